//! Which channel tells what: pages to those that a level names, and that an alert is over to those that were told of it. Each
//! channel has its own queue, so one that is down delays no other. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tilth_core::alert::AlertId;
use tilth_core::id::Id;
use tilth_core::time::Uptime;

use super::notice::Notice;
use super::queue::{self, Fate, Limits, Next, Outcome, Queue};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// Nothing but time.
    Tick,
    /// People are to be told, by these channels.
    Page(Notice, Vec<Id>),
    /// Somebody takes an alert on.
    Acknowledged(AlertId),
    /// An alert is over.
    Resolved(Notice),
    /// An alert that is still open was told by these channels before the process began.
    Paged(AlertId, Vec<Id>),
    /// What a channel sent arrived.
    Sent(Id),
    /// What a channel sent did not.
    Failed(Id, queue::Failure),
    /// These are the channels now; of those that there were before, these lead elsewhere.
    Channels(BTreeMap<Id, Limits>, BTreeSet<Id>),
}

/// All channels' queues.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    queues: BTreeMap<Id, Queue>,
    /// Which channels were asked to tell of an alert that is open.
    told: BTreeMap<AlertId, BTreeSet<Id>>,
    effects: VecDeque<(Id, queue::Effect)>,
}

impl Dispatch {
    /// Takes what happened.
    pub(crate) fn handle(&mut self, now: Uptime, input: Input) {
        match input {
            Input::Tick => {
                for queue in self.queues.values_mut() {
                    queue.handle(now, queue::Input::Tick);
                }
            }
            Input::Page(notice, channels) => self.page(now, notice, channels),
            Input::Acknowledged(alert) => {
                for channel in self.told.get(&alert).into_iter().flatten() {
                    if let Some(queue) = self.queues.get_mut(channel) {
                        queue.handle(now, queue::Input::Acknowledged(alert));
                    }
                }
            }
            Input::Resolved(notice) => {
                let told = notice.alert().and_then(|alert| self.told.remove(&alert));
                self.tell(now, notice, told.into_iter().flatten());
            }
            Input::Paged(alert, channels) => self.told.entry(alert).or_default().extend(channels),
            Input::Sent(channel) => self.answer(now, &channel, queue::Input::Sent),
            Input::Failed(channel, failure) => self.answer(now, &channel, queue::Input::Failed(failure)),
            Input::Channels(channels, elsewhere) => self.set_channels(now, channels, &elsewhere),
        }
        self.collect();
    }

    /// The next thing to do, and the channel that does it.
    pub(crate) fn poll(&mut self) -> Option<(Id, queue::Effect)> {
        self.effects.pop_front()
    }

    /// When to come again if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Uptime> {
        self.queues.values().filter_map(Queue::deadline).min()
    }

    /// How many notices wait, by channel, and when the next of them goes.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Id, usize, Option<Next>)> {
        self.queues.iter().map(|(id, queue)| (id, queue.waiting(), queue.next()))
    }

    fn page(&mut self, now: Uptime, notice: Notice, channels: Vec<Id>) {
        if let Some(alert) = notice.alert() {
            self.told.entry(alert).or_default().extend(channels.iter().cloned());
        }
        self.tell(now, notice, channels);
    }

    fn tell(&mut self, now: Uptime, notice: Notice, channels: impl IntoIterator<Item = Id>) {
        let notice = Arc::new(notice);
        for channel in channels {
            match self.queues.get_mut(&channel) {
                Some(queue) => queue.handle(now, queue::Input::Notice(Arc::clone(&notice))),
                None => {
                    let reason = Some(format!("there is no channel {channel} any more"));
                    let outcome = Outcome { notice: notice.id.clone(), fate: Fate::Failed, attempts: 0, reason };
                    self.effects.push_back((channel, queue::Effect::Outcome(outcome)));
                }
            }
        }
    }

    fn answer(&mut self, now: Uptime, channel: &Id, input: queue::Input) {
        if let Some(queue) = self.queues.get_mut(channel) {
            queue.handle(now, input);
        }
    }

    fn set_channels(&mut self, now: Uptime, channels: BTreeMap<Id, Limits>, elsewhere: &BTreeSet<Id>) {
        for (id, queue) in &mut self.queues {
            match channels.get(id) {
                Some(limits) => {
                    queue.set_limits(*limits);
                    if elsewhere.contains(id) {
                        queue.redirect(now);
                    }
                }
                None => queue.close("the configuration has this channel no more"),
            }
        }
        self.collect();
        self.queues.retain(|id, _| channels.contains_key(id));
        for (id, limits) in channels {
            self.queues.entry(id).or_insert_with(|| Queue::new(limits));
        }
    }

    fn collect(&mut self) {
        for (id, queue) in &mut self.queues {
            while let Some(effect) = queue.poll() {
                self.effects.push_back((id.clone(), effect));
            }
        }
    }
}

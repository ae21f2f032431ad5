//! Which channel tells what: pages to those that a level names, and that an alert is over to those that were told of it. Each
//! channel has its own queue, so one that is down delays no other. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;

use tilth_core::alert::AlertId;
use tilth_core::id::Id;
use tilth_core::time::Uptime;
use tilth_notify::notice::Notice;
use tilth_notify::queue::{self, Fate, Limits, Next, Outcome, Queue};

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
    /// These are the channels now.
    Channels(Channels),
}

/// The channels of a configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Channels {
    /// Each with its limits.
    pub(crate) limits: BTreeMap<Id, Limits>,
    /// Those whose secret may not be sent where they lead: they tell nothing.
    pub(crate) barred: BTreeSet<Id>,
    /// Those of before that lead elsewhere.
    pub(crate) elsewhere: BTreeSet<Id>,
    /// Which tell of each open alert by the policy of this configuration.
    pub(crate) levels: Levels,
}

/// For each open alert the channels of its level.
pub(crate) type Levels = BTreeMap<AlertId, Vec<Id>>;

/// All channels' queues.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    queues: BTreeMap<Id, Queue>,
    /// Which channels were asked to tell of an alert that is open.
    told: BTreeMap<AlertId, BTreeSet<Id>>,
    levels: Levels,
    barred: BTreeSet<Id>,
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
            Input::Resolved(notice) => self.resolved(now, notice),
            Input::Paged(alert, channels) => self.told.entry(alert).or_default().extend(channels),
            Input::Sent(channel) => self.answer(now, &channel, queue::Input::Sent),
            Input::Failed(channel, failure) => self.answer(now, &channel, queue::Input::Failed(failure)),
            Input::Channels(channels) => self.set_channels(now, channels),
        }
        self.collect(now);
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
        let open = self.queues.iter().filter(|(_, queue)| !queue.is_closed());
        open.map(|(id, queue)| (id, queue.waiting(), queue.next()))
    }

    fn page(&mut self, now: Uptime, notice: Notice, channels: Vec<Id>) {
        if let Some(alert) = notice.alert() {
            self.told.entry(alert).or_default().extend(channels.iter().cloned());
        }
        self.tell(now, notice, channels);
    }

    /// Told to those who were told of the alert; where their channels are gone, to those that tell of it now.
    fn resolved(&mut self, now: Uptime, notice: Notice) {
        let Some(told) = notice.alert().and_then(|alert| self.told.remove(&alert)) else { return };
        let there: Vec<Id> = told.iter().filter(|channel| self.is_open(channel)).cloned().collect();
        let channels = if there.is_empty() { self.another(&notice, &[]).into_iter().collect() } else { there };
        self.tell(now, notice, channels);
    }

    fn tell(&mut self, now: Uptime, notice: Notice, channels: impl IntoIterator<Item = Id>) {
        let notice = Arc::new(notice);
        for channel in channels {
            match self.queues.get_mut(&channel).filter(|queue| !queue.is_closed()) {
                Some(queue) => queue.handle(now, queue::Input::Notice(Arc::clone(&notice))),
                None => {
                    let reason = Some(format!("there is no channel {channel}"));
                    let outcome =
                        Outcome { notice: notice.id.clone(), fate: Fate::Failed, attempts: 0, reason, instead: None };
                    self.give_up(now, channel, &notice, outcome);
                }
            }
        }
    }

    /// A channel will not tell a notice any more. Another one tells a page in its place, and says why.
    fn give_up(&mut self, now: Uptime, channel: Id, notice: &Notice, outcome: Outcome) {
        let mut tried = notice.instead.as_ref().map_or(Vec::new(), |instead| instead.of.clone());
        tried.push(channel.clone());
        let another = if notice.is_page() { self.another(notice, &tried) } else { None };
        if let Some(another) = &another {
            if let Some(alert) = notice.alert() {
                self.told.entry(alert).or_default().insert(another.clone());
            }
            let notice = notice.instead_of(tried, outcome.reason.as_deref().unwrap_or_default());
            if let Some(queue) = self.queues.get_mut(another) {
                queue.handle(now, queue::Input::Notice(Arc::new(notice)));
            }
        }
        self.effects.push_back((channel, queue::Effect::Outcome(Outcome { instead: another, ..outcome })));
    }

    /// A channel that can tell a notice in place of these: of the alert's level now, of its policy when it was decided on, or
    /// any; the first of them that works, else the first that is tried again. Each is asked once, so this comes to an end.
    fn another(&self, notice: &Notice, tried: &[Id]) -> Option<Id> {
        let level = notice.alert().and_then(|alert| self.levels.get(&alert));
        let others = level.into_iter().flatten().chain(&notice.others).chain(self.queues.keys());
        let can = |channel: &&Id| !tried.contains(channel) && self.is_open(channel) && !self.barred.contains(*channel);
        let others: Vec<&Id> = others.filter(can).collect();
        let works = |channel: &&&Id| self.queues.get(**channel).is_some_and(Queue::works);
        others.iter().find(works).or(others.first()).map(|channel| (*channel).clone())
    }

    fn is_open(&self, channel: &Id) -> bool {
        self.queues.get(channel).is_some_and(|queue| !queue.is_closed())
    }

    fn answer(&mut self, now: Uptime, channel: &Id, input: queue::Input) {
        if let Some(queue) = self.queues.get_mut(channel) {
            queue.handle(now, input);
        }
    }

    /// What waits on a channel that is gone is told by another one, and so is what is under way there, if it fails.
    fn set_channels(&mut self, now: Uptime, channels: Channels) {
        let Channels { limits, barred, elsewhere, levels } = channels;
        (self.levels, self.barred) = (levels, barred);
        for (id, limits) in &limits {
            let queue = self.queues.entry(id.clone()).or_insert_with(|| Queue::new(*limits));
            queue.set_limits(*limits);
            if elsewhere.contains(id) {
                queue.redirect(now);
            }
        }
        for (id, queue) in &mut self.queues {
            if !limits.contains_key(id) {
                queue.close();
            }
        }
    }

    /// Takes what the queues have to say. What one gives up, another may have to say more of.
    fn collect(&mut self, now: Uptime) {
        let mut given_up = Vec::new();
        loop {
            for (id, queue) in &mut self.queues {
                while let Some(effect) = queue.poll() {
                    match effect {
                        queue::Effect::GivenUp(notice, outcome) => given_up.push((id.clone(), notice, outcome)),
                        effect => self.effects.push_back((id.clone(), effect)),
                    }
                }
            }
            if given_up.is_empty() {
                break;
            }
            for (channel, notice, outcome) in mem::take(&mut given_up) {
                self.give_up(now, channel, &notice, outcome);
            }
        }
        self.queues.retain(|_, queue| !queue.is_closed() || queue.is_flying());
    }
}

#[cfg(test)]
mod tests;

//! Dispatch of notifications: pages go to the channels of their level, resolved alerts to the channels that paged them. Each channel
//! has its own queue, so one that is down delays no other. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;

use tilth_config::Channel;
use tilth_core::alert::AlertId;
use tilth_core::effect::{Effect, Transition};
use tilth_core::escalate::PageId;
use tilth_core::id::Id;
use tilth_core::plan::{AlertKey, Plan};
use tilth_core::time::Uptime;
use tilth_notify::kinds::siren::Status;
use tilth_notify::message::{DeliveryStatus, Outcome};
use tilth_notify::notification::Notification;
use tilth_notify::queue::{self, Limits, Next, Queue};

use crate::random::RunId;

/// What the agent asks of its channels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// Page by these channels.
    Page(Box<Notification>, Vec<Id>),
    /// An alert was acknowledged: withdraw its pages.
    Acknowledged(AlertId),
    /// An alert is resolved: tell the channels that paged it.
    Resolved(Box<Notification>),
    /// An open alert was paged by these channels before the process began.
    Paged(AlertId, Vec<Id>),
    /// The configuration changed: its channels, and which of them tell of each open alert.
    Channels(BTreeMap<Id, Channel>, ChannelsByAlert),
    /// What sirens do changed, by channel.
    Sirens(BTreeMap<Id, Status>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    Tick,
    Request(Request),
    /// What became of a message of a channel, or that the channel works again.
    Channel(Id, queue::Input),
}

/// Cause of an alert that the engine does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) why: String,
    /// What to do, in place of the rule's advice.
    pub(crate) advice: Option<&'static str>,
}

/// For each open alert the channels of its level.
pub(crate) type ChannelsByAlert = BTreeMap<AlertId, Vec<Id>>;

impl Request {
    /// Request for an effect of the engine, if people are told of it. `explain` finds what the engine does not know of an alert.
    pub(crate) fn of(
        effect: &Effect,
        plan: &Plan,
        (device, run): (&Id, &RunId),
        explain: impl Fn(&AlertKey) -> Option<Explanation>,
    ) -> Option<Request> {
        match effect {
            Effect::Page(page) => {
                let mut notification =
                    Notification::page(notification_id(device, page.id, Some(run)), page, plan, false);
                if let Some(Explanation { why, advice }) = explain(&page.details.key) {
                    notification.details.advice = advice.map(Arc::from).or(notification.details.advice);
                    notification.why = Some(why);
                }
                Some(Request::Page(Box::new(notification), page.channels.clone()))
            }
            Effect::Alert(Transition::Acknowledged { .. }, details) => details.alert.map(Request::Acknowledged),
            Effect::Alert(Transition::Resolved(reason), details) => {
                // An alert without a number never fired and paged nobody.
                let id = format!("{device}-{}-resolved-{run}", details.alert?);
                Some(Request::Resolved(Box::new(Notification::resolved(id, *reason, details, plan))))
            }
            _ => None,
        }
    }
}

/// Id of a page, `DEVICE-ALERT-PAGE-RUN`: RUN is the run that decided on it, absent in checkpoints of early versions.
pub(crate) fn notification_id(device: &Id, page: PageId, run: Option<&RunId>) -> String {
    let run = run.map_or(String::new(), |run| format!("-{run}"));
    format!("{device}-{page}{run}")
}

/// All channels' queues.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    pub(crate) channels: BTreeMap<Id, Channel>,
    queues: BTreeMap<Id, Queue>,
    /// Channels that were asked to page, by open alert.
    paged: BTreeMap<AlertId, BTreeSet<Id>>,
    channels_by_alert: ChannelsByAlert,
    effects: VecDeque<(Id, queue::Effect)>,
}

impl Dispatch {
    pub(crate) fn handle(&mut self, now: Uptime, input: Input) {
        match input {
            Input::Tick => {
                for queue in self.queues.values_mut() {
                    queue.handle(now, queue::Input::Tick);
                }
            }
            Input::Request(request) => self.take(now, request),
            Input::Channel(channel, input) => {
                if let Some(queue) = self.queues.get_mut(&channel) {
                    queue.handle(now, input);
                }
            }
        }
        self.collect(now);
    }

    /// The next thing to do, and the channel that does it.
    pub(crate) fn poll(&mut self) -> Option<(Id, queue::Effect)> {
        self.effects.pop_front()
    }

    /// When to handle [`Input::Tick`] if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Uptime> {
        self.queues.values().filter_map(Queue::deadline).min()
    }

    /// Channels with the number of waiting notifications and the time of the next message.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Id, usize, Option<Next>)> {
        let open = self.queues.iter().filter(|(_, queue)| !queue.is_closed());
        open.map(|(id, queue)| (id, queue.waiting(), queue.next()))
    }

    fn take(&mut self, now: Uptime, request: Request) {
        match request {
            Request::Page(notification, channels) => {
                if let Some(alert) = notification.alert() {
                    self.paged.entry(alert).or_default().extend(channels.iter().cloned());
                }
                self.send(now, *notification, channels);
            }
            Request::Acknowledged(alert) => {
                for channel in self.paged.get(&alert).into_iter().flatten() {
                    if let Some(queue) = self.queues.get_mut(channel) {
                        queue.handle(now, queue::Input::Acknowledged(alert));
                    }
                }
            }
            Request::Resolved(notification) => self.resolved(now, *notification),
            Request::Paged(alert, channels) => self.paged.entry(alert).or_default().extend(channels),
            Request::Channels(channels, channels_by_alert) => self.set_channels(now, channels, channels_by_alert),
            // Shown, and nothing of the queues.
            Request::Sirens(_) => {}
        }
    }

    /// Sends to the channels that paged the alert; where they are gone, to one of its level.
    fn resolved(&mut self, now: Uptime, notification: Notification) {
        let Some(paged) = notification.alert().and_then(|alert| self.paged.remove(&alert)) else { return };
        let there: Vec<Id> = paged.iter().filter(|channel| self.is_open(channel)).cloned().collect();
        let channels = if there.is_empty() { self.another(&notification, &[]).into_iter().collect() } else { there };
        self.send(now, notification, channels);
    }

    fn send(&mut self, now: Uptime, notification: Notification, channels: impl IntoIterator<Item = Id>) {
        let notification = Arc::new(notification);
        for channel in channels {
            match self.queues.get_mut(&channel).filter(|queue| !queue.is_closed()) {
                Some(queue) => queue.handle(now, queue::Input::Notification(Arc::clone(&notification))),
                None => {
                    let reason = Some(format!("there is no channel {channel}"));
                    let outcome = Outcome::new(&notification, DeliveryStatus::Failed, 0, reason);
                    self.give_up(now, channel, &notification, outcome);
                }
            }
        }
    }

    /// Takes a notification that a channel gave up: another one sends a page in its place, with the reason.
    fn give_up(&mut self, now: Uptime, channel: Id, notification: &Notification, outcome: Outcome) {
        let mut tried = notification.instead.as_ref().map_or(Vec::new(), |instead| instead.of.clone());
        tried.push(channel.clone());
        let another = if notification.is_page() { self.another(notification, &tried) } else { None };
        if let Some(another) = &another {
            if let Some(alert) = notification.alert() {
                self.paged.entry(alert).or_default().insert(another.clone());
            }
            let notification = notification.instead_of(tried, outcome.reason.as_deref().unwrap_or_default());
            if let Some(queue) = self.queues.get_mut(another) {
                queue.handle(now, queue::Input::Notification(Arc::new(notification)));
            }
        }
        self.effects.push_back((channel, queue::Effect::Outcome(Outcome { instead: another, ..outcome })));
    }

    /// Another channel for a notification: of the alert's present level, of its policy when it was decided on, or any; the first that
    /// works, else the first. Each is tried once, so this ends.
    fn another(&self, notification: &Notification, tried: &[Id]) -> Option<Id> {
        let level = notification.alert().and_then(|alert| self.channels_by_alert.get(&alert));
        let others = level.into_iter().flatten().chain(&notification.others).chain(self.queues.keys());
        let others: Vec<&Id> = others.filter(|channel| !tried.contains(channel) && self.can_tell(channel)).collect();
        let works = |channel: &&&Id| self.queues.get(**channel).is_some_and(Queue::works);
        others.iter().find(works).or(others.first()).map(|channel| (*channel).clone())
    }

    fn is_open(&self, channel: &Id) -> bool {
        self.queues.get(channel).is_some_and(|queue| !queue.is_closed())
    }

    fn can_tell(&self, channel: &Id) -> bool {
        self.is_open(channel) && self.channels.get(channel).is_some_and(|channel| channel.blocked.is_none())
    }

    /// Takes changed channels. Notifications of a removed channel are sent by another one.
    fn set_channels(&mut self, now: Uptime, channels: BTreeMap<Id, Channel>, channels_by_alert: ChannelsByAlert) {
        let before = mem::replace(&mut self.channels, channels);
        self.channels_by_alert = channels_by_alert;
        for (id, channel) in &self.channels {
            let limits = Limits::of(channel);
            let queue = self.queues.entry(id.clone()).or_insert_with(|| Queue::new(limits));
            queue.set_limits(limits);
            if before.get(id).is_some_and(|before| !channel.leads_where(before)) {
                queue.redirect(now);
            }
        }
        for (id, queue) in &mut self.queues {
            if !self.channels.contains_key(id) {
                queue.close();
            }
        }
    }

    /// Collects the effects of the queues. A notification that one gives up may be an input of another.
    fn collect(&mut self, now: Uptime) {
        let next = |(id, queue): (&Id, &mut Queue)| Some((id.clone(), queue.poll()?));
        while let Some((channel, effect)) = self.queues.iter_mut().find_map(next) {
            match effect {
                queue::Effect::GivenUp(notification, outcome) => self.give_up(now, channel, &notification, outcome),
                effect => self.effects.push_back((channel, effect)),
            }
        }
        self.queues.retain(|_, queue| !queue.is_closed() || queue.is_in_flight());
    }
}

#[cfg(test)]
mod tests;

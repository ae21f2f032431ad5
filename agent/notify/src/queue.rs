//! Queue of one channel: the most severe first, retries after a failure, digests over the rate cap. Pure.
//!
//! ```text
//! handle(now, input)    what happened, time included
//! poll() -> Effect      what to do, until `None`
//! deadline() -> Uptime  when to call `handle` again
//! ```
//!
//! Notifications that were not sent by themselves are counted in the next message.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use tilth_config::{Channel, Target};
use tilth_core::alert::AlertId;
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};

use crate::budget::Budget;
use crate::message::{DeliveryStatus, Failure, Item, Message, Outcome, REFUSED_TRIES, Retry};
use crate::notification::Notification;

/// Age at which a notification for a server is given up, and only counted.
pub const EXPIRY: Span = Span::from_mins(12 * 60);

/// Most notifications that wait; past it the least severe and oldest is dropped and counted.
pub const MAX_WAITING: usize = 256;

/// Most messages that may turn out not to have arrived.
const MAX_DELIVERED: usize = 16;

/// Wait after the first failure; doubles with each, up to the longest.
const RETRY_FIRST: Span = Span::from_secs(5);
const RETRY_LONGEST: Span = Span::from_mins(5);

/// Longest wait of a new page after the last attempt.
const RETRY_NEWS: Span = Span::from_secs(30);

/// Longest wait that a server's `Retry-After` is granted.
const LONGEST_ASKED: Span = Span::from_mins(60);

/// The same for a critical or urgent page: the longest wait of a shipped escalation level.
const LONGEST_ASKED_WORST: Span = Span::from_mins(15);

/// Rejections after which a notification leaves its digest: the fault may be another notification's.
const ALONE_AFTER: u32 = 2;

/// Reason of notifications that wait on a channel that was removed.
pub const REMOVED: &str = "the configuration has this channel no more";

/// Limits of a channel; by default none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Notifications per hour, beyond which they become digests; none for no cap.
    pub max_per_hour: Option<u32>,
    /// Age at which a notification is given up; none for never.
    pub expiry: Option<Span>,
}

impl Limits {
    /// Limits of a configured channel. A line of the log never expires.
    #[must_use]
    pub fn of(channel: &Channel) -> Limits {
        let expiry = (channel.target != Target::Log).then_some(EXPIRY);
        Limits { max_per_hour: channel.max_per_hour, expiry }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A notification to send.
    Notification(Arc<Notification>),
    /// An alert was acknowledged: its pages that wait are withdrawn.
    Acknowledged(AlertId),
    /// The message was delivered.
    Sent,
    /// The message was not delivered, as far as is known.
    Failed(Failure),
    /// A message that was delivered, by its id, did not arrive after all; and why.
    Lost(String, String),
    /// The channel, which could send nothing, works again: what waits goes at once.
    Works,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send this, then answer [`Input::Sent`] or [`Input::Failed`]. One at a time.
    Send(Message),
    /// Result for the store.
    Outcome(Outcome),
    /// A notification that this channel gave up ([`DeliveryStatus::is_given_up`]), with the result.
    GivenUp(Arc<Notification>, Outcome),
}

/// When a channel sends next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A message is being sent.
    UnderWay,
    /// At this time.
    At(Uptime),
}

/// A message that is being sent.
#[derive(Debug)]
struct InFlight {
    message: Message,
    /// The channel's target has changed since: the result is about the former one.
    to_former_target: bool,
}

/// One channel's queue.
#[derive(Debug, Default)]
pub struct Queue {
    limits: Limits,
    budget: Option<Budget>,
    waiting: Vec<Item>,
    in_flight: Option<InFlight>,
    /// Pages of late messages, by the id of the message, as long as nothing took their place.
    delivered: VecDeque<(String, Vec<Item>)>,
    /// Failed attempts since the last delivery.
    failures: u32,
    not_before: Uptime,
    last_attempt: Uptime,
    /// The server asked for the wait, so a new page does not shorten it.
    asked: bool,
    /// The channel was removed: the message in flight is awaited, nothing else is sent.
    is_closed: bool,
    undelivered: u32,
    /// Most notifications that the server accepts in one digest; none before it rejected one.
    most_together: Option<usize>,
    orders: u64,
    effects: VecDeque<Effect>,
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: Limits) -> Queue {
        let budget = limits.max_per_hour.map(Budget::per_hour);
        Queue { limits, budget, ..Queue::default() }
    }

    /// Whether the last message arrived, or none was sent yet.
    pub fn works(&self) -> bool {
        self.failures == 0
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        self.expire(now);
        match input {
            Input::Tick => {}
            Input::Notification(notification) => self.add(now, notification),
            Input::Acknowledged(alert) => drop(self.take_pages(alert, DeliveryStatus::Withdrawn)),
            Input::Sent => self.sent(),
            Input::Failed(failure) => self.failed(now, &failure),
            Input::Lost(message, why) => self.lost(&message, &why),
            Input::Works => self.forget_failures(),
        }
        self.send(now);
    }

    /// The next thing to do; call until there is none after each [`Queue::handle`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Queue::handle`] with [`Input::Tick`] if nothing else happens.
    pub fn deadline(&self) -> Option<Uptime> {
        let expiry = self.limits.expiry;
        let expires = expiry.and_then(|expiry| self.waiting.iter().map(|item| item.since + expiry).min());
        let goes = match self.next() {
            Some(Next::At(at)) => Some(at),
            Some(Next::UnderWay) | None => None,
        };
        expires.into_iter().chain(goes).min()
    }

    /// Changes the limits; what waits stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.is_closed = false;
        if limits != self.limits {
            self.limits = limits;
            self.budget = limits.max_per_hour.map(Budget::per_hour);
        }
    }

    /// Takes a new target: failures and waits of the former one do not count.
    pub fn redirect(&mut self, now: Uptime) {
        self.forget_failures();
        self.most_together = None;
        for item in &mut self.waiting {
            (item.refusals, item.not_before) = (0, Uptime(i64::MIN));
        }
        self.in_flight.iter_mut().for_each(|in_flight| in_flight.to_former_target = true);
        self.handle(now, Input::Tick);
    }

    /// Removes the channel: notifications that wait are given up, the message in flight has this one attempt.
    pub fn close(&mut self) {
        self.is_closed = true;
        for item in mem::take(&mut self.waiting) {
            self.report_outcome(&item, DeliveryStatus::Failed, Some(REMOVED.to_owned()));
        }
    }

    /// Whether the channel was removed.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether a message is in flight.
    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Notifications that wait or are in flight.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.in_flight.as_ref().map_or(0, |in_flight| in_flight.message.items.len())
    }

    /// When the next message goes; none where nothing waits.
    pub fn next(&self) -> Option<Next> {
        match self.in_flight {
            Some(_) => Some(Next::UnderWay),
            None => self.waiting.iter().map(|item| self.earliest(item)).min().map(Next::At),
        }
    }

    fn add(&mut self, now: Uptime, notification: Arc<Notification>) {
        let is_page = notification.is_page();
        if notification.instead.is_some() && self.counts_in_another(&notification) {
            return;
        }
        let status = if is_page { DeliveryStatus::Replaced } else { DeliveryStatus::Withdrawn };
        let replaced = notification.alert().map_or(0, |alert| self.take_pages(alert, status));
        self.orders += 1;
        self.waiting.push(Item {
            earlier: replaced,
            repeat: notification.repeat,
            attempts: 0,
            since: now,
            order: self.orders,
            withdrawn: false,
            refusals: 0,
            not_before: Uptime(i64::MIN),
            notification,
        });
        if self.waiting.len() > MAX_WAITING {
            self.drop_least();
        }
        if is_page && self.failures > 0 && !self.asked {
            self.not_before = self.not_before.min(now.max(self.last_attempt + RETRY_NEWS));
        }
    }

    /// Counts a page in place of another channel's in the page that this queue has of the same alert, if any.
    fn counts_in_another(&mut self, notification: &Arc<Notification>) -> bool {
        let in_flight = self.in_flight.iter_mut().flat_map(|in_flight| &mut in_flight.message.items);
        let Some(item) = self
            .waiting
            .iter_mut()
            .chain(in_flight)
            .find(|item| item.notification.is_page() && item.notification.alert() == notification.alert())
        else {
            return false;
        };
        item.earlier += 1;
        self.effects.push_back(Effect::Outcome(Outcome::new(notification, DeliveryStatus::Replaced, 0, None)));
        true
    }

    /// Removes the waiting pages of an alert. Returns how many pages were not sent thereby.
    fn take_pages(&mut self, alert: AlertId, status: DeliveryStatus) -> u32 {
        let is_meant = |item: &Item| item.notification.alert() == Some(alert) && item.notification.rank().is_some();
        let mut pages = 0;
        for item in self.waiting.extract_if(.., |item| is_meant(item)).collect::<Vec<_>>() {
            pages += 1 + item.earlier;
            self.report_outcome(&item, status, None);
        }
        // A message in flight may still fail, and is then not tried again.
        let in_flight = self.in_flight.iter_mut().flat_map(|in_flight| &mut in_flight.message.items);
        in_flight.filter(|item| is_meant(item)).for_each(|item| item.withdrawn = true);
        self.delivered.iter_mut().for_each(|(_, items)| items.retain(|item| !is_meant(item)));
        pages
    }

    fn drop_least(&mut self) {
        let least = (0..self.waiting.len()).min_by_key(|ix| {
            let item = &self.waiting[*ix];
            (item.notification.rank(), item.order)
        });
        if let Some(least) = least {
            let item = self.waiting.remove(least);
            self.lose(&item, DeliveryStatus::Dropped, format!("more than {MAX_WAITING} notices waited"));
        }
    }

    fn expire(&mut self, now: Uptime) {
        let Some(expiry) = self.limits.expiry else { return };
        for item in self.waiting.extract_if(.., |item| item.since + expiry <= now).collect::<Vec<_>>() {
            self.lose(&item, DeliveryStatus::Expired, format!("not delivered within {expiry}"));
        }
    }

    fn sent(&mut self) {
        let Some(InFlight { message, .. }) = self.in_flight.take() else { return };
        self.forget_failures();
        self.undelivered = self.undelivered.saturating_sub(message.undelivered);
        for item in &message.items {
            self.report_outcome(item, DeliveryStatus::Sent, None);
        }
        let id = message.id();
        let pages = message.items.into_iter().filter(|item| item.notification.is_page() && !item.withdrawn);
        self.delivered.push_back((id, pages.collect()));
        if self.delivered.len() > MAX_DELIVERED {
            self.delivered.pop_front();
        }
    }

    /// Gives up the pages of a message that did not arrive, so that another channel sends them.
    fn lost(&mut self, message: &str, why: &str) {
        let place = self.delivered.iter().position(|(id, _)| id == message);
        let pages = place.and_then(|place| self.delivered.remove(place)).map_or(Vec::new(), |(_, pages)| pages);
        pages.iter().for_each(|page| self.lose(page, DeliveryStatus::Failed, why.to_owned()));
    }

    fn failed(&mut self, now: Uptime, failure: &Failure) {
        let Some(InFlight { message, to_former_target }) = self.in_flight.take() else { return };
        if let Some(budget) = &mut self.budget
            && !failure.may_have_arrived
        {
            budget.give_back();
        }
        self.hold_back(now, failure);
        let is_digest = message.items.len() > 1;
        if is_digest && failure.retry == Retry::Never {
            self.most_together = Some(message.items.len() / 2);
        }
        for item in message.items {
            self.item_failed(now, item, failure, is_digest, to_former_target);
        }
        if to_former_target {
            (self.failures, self.asked, self.not_before) = (0, false, now);
        }
        self.expire(now);
    }

    fn forget_failures(&mut self) {
        (self.failures, self.asked, self.not_before) = (0, false, Uptime(i64::MIN));
    }

    /// When the channel is tried next.
    fn hold_back(&mut self, now: Uptime, failure: &Failure) {
        if failure.retry != Retry::UntilExpired {
            // The fault is the notification's: the next one does not wait for it.
            (self.asked, self.not_before) = (false, now + RETRY_FIRST);
            return;
        }
        self.failures += 1;
        let doubled = doubled(self.failures);
        let asked = failure.retry_after.map(|retry_after| retry_after.max(doubled).min(LONGEST_ASKED));
        self.asked = asked.is_some();
        self.not_before = now + asked.unwrap_or(doubled);
    }

    fn item_failed(
        &mut self,
        now: Uptime,
        mut item: Item,
        failure: &Failure,
        was_digest: bool,
        to_former_target: bool,
    ) {
        let reason = Some(failure.reason.clone());
        if item.withdrawn {
            let alert = item.notification.alert();
            if let Some(later) = self.waiting.iter_mut().find(|later| later.notification.alert() == alert) {
                later.earlier += 1 + item.earlier;
            }
            return self.report_outcome(&item, DeliveryStatus::Withdrawn, reason);
        }
        item.refusals += u32::from(failure.retry == Retry::Few && !to_former_target);
        // Notifications of a digest that is too large may fit in a smaller one.
        let is_hopeless = failure.retry == Retry::Never && !was_digest;
        let is_final = is_hopeless || item.refusals >= REFUSED_TRIES || self.is_closed;
        if is_final {
            return self.lose(&item, DeliveryStatus::Failed, failure.reason.clone());
        }
        if failure.retry == Retry::Few {
            item.not_before = if to_former_target { now } else { now + doubled(item.refusals) };
        }
        self.report_outcome(&item, DeliveryStatus::Retrying, reason);
        item.repeat |= failure.may_have_arrived;
        self.waiting.push(item);
    }

    /// When an item may go.
    fn earliest(&self, item: &Item) -> Uptime {
        let budget = self.budget.map_or(Uptime(i64::MIN), |budget| budget.next());
        self.channel_ready(item).max(item.not_before).max(budget)
    }

    /// When the channel is tried with an item, leaving aside its budget.
    fn channel_ready(&self, item: &Item) -> Uptime {
        match item.notification.rank() {
            Some(Severity::Critical | Severity::Urgent) => self.not_before.min(self.last_attempt + LONGEST_ASKED_WORST),
            Some(Severity::Preventive | Severity::Warning) | None => self.not_before,
        }
    }

    fn send(&mut self, now: Uptime) {
        if self.in_flight.is_some() || self.is_closed {
            return;
        }
        let mut waiting = mem::take(&mut self.waiting);
        let is_ready = |item: &Item| self.earliest(item) <= now;
        waiting.sort_by_key(|item| {
            (!is_ready(item), item.refusals.min(ALONE_AFTER), Reverse(item.notification.rank()), item.order)
        });
        let ready = waiting.iter().filter(|item| is_ready(item)).count();
        let together = waiting[..ready].iter().take_while(|item| item.refusals < ALONE_AFTER).count();
        self.waiting = waiting;
        if ready == 0 {
            return;
        }
        // The last message that the cap allows takes everything that is ready.
        let is_digest = self.budget.is_some_and(|budget| budget.left(now) <= 1);
        let count = if is_digest { together.min(self.most_together.unwrap_or(usize::MAX)).max(1) } else { 1 };
        let mut items: Vec<Item> = self.waiting.drain(..count).collect();
        items.iter_mut().for_each(|item| item.attempts += 1);
        if let Some(budget) = &mut self.budget {
            budget.take(now);
        }
        self.last_attempt = now;
        let message = Message { items, undelivered: self.undelivered };
        self.in_flight = Some(InFlight { message: message.clone(), to_former_target: false });
        self.effects.push_back(Effect::Send(message));
    }

    /// Gives an item up; the next message counts it.
    fn lose(&mut self, item: &Item, status: DeliveryStatus, reason: String) {
        self.undelivered += 1 + item.earlier;
        self.report_outcome(item, status, Some(reason));
    }

    fn report_outcome(&mut self, item: &Item, status: DeliveryStatus, reason: Option<String>) {
        let outcome = Outcome::new(&item.notification, status, item.attempts, reason);
        self.effects.push_back(match status.is_given_up() {
            true => Effect::GivenUp(Arc::clone(&item.notification), outcome),
            false => Effect::Outcome(outcome),
        });
    }
}

/// The wait after so many failures, the first of which is 1.
fn doubled(failures: u32) -> Span {
    Span(RETRY_FIRST.0 << failures.saturating_sub(1).min(16)).min(RETRY_LONGEST)
}

#[cfg(test)]
mod tests;

//! What one channel still has to tell: the worst first, again after a failure, together when there is too much. Pure.
//!
//! ```text
//! handle(now, input)    what happened, time included
//! poll() -> Effect      what to do, until there is nothing
//! deadline() -> Uptime  when to come again
//! ```
//!
//! Nothing is dropped unsaid: what was not told by itself is counted in what is told next.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use tilth_config::Channel;
use tilth_core::alert::AlertId;
use tilth_core::id::Id;
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};

use crate::budget::Budget;
use crate::notice::Notice;

/// What a remote channel could not tell within this is no news any more; it is then only counted.
pub const EXPIRY: Span = Span::from_mins(12 * 60);

/// More waiting than this is no queue for people: the least and oldest goes, counted.
pub const MAX_WAITING: usize = 256;

/// The wait after a first failure; it doubles with each, up to the longest.
const RETRY_FIRST: Span = Span::from_secs(5);
const RETRY_LONGEST: Span = Span::from_mins(5);

/// A page that comes while a channel is down is tried this soon after the last attempt, whatever the wait has grown to.
const RETRY_NEWS: Span = Span::from_secs(30);

/// A channel may ask for at most this much patience.
const LONGEST_ASKED: Span = Span::from_mins(60);

/// With a critical or urgent page it is tried again this soon after the last attempt, whatever it asks for: no later than the
/// longest wait of a shipped escalation level.
const LONGEST_ASKED_WORST: Span = Span::from_mins(15);

/// A notice that the other side refuses (400, 413 and their like) is tried this often, within three minutes, and then given
/// up: a receiver that starts anew takes it later, one that cannot read it never will.
pub const REFUSED_TRIES: u32 = 6;

/// Refused this often in a digest, a notice goes alone: the fault may be another's.
const ALONE_AFTER: u32 = 2;

/// Why a channel tells nothing any more.
pub const GONE: &str = "the configuration has this channel no more";

/// What a channel's queue goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Past this many an hour they become digests; no cap where there is none.
    pub max_per_hour: Option<u32>,
    /// What is older is not told any more; never, where there is none.
    pub expiry: Option<Span>,
}

impl Limits {
    /// Those of a channel. What is told to a server expires, a line of the log does not.
    #[must_use]
    pub fn of(channel: &Channel) -> Limits {
        Limits { max_per_hour: channel.max_per_hour, expiry: channel.target.url().map(|_| EXPIRY) }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Nothing but time.
    Tick,
    /// There is something to tell.
    Notice(Arc<Notice>),
    /// Somebody takes an alert on: pages about it that wait are not told.
    Acknowledged(AlertId),
    /// What was sent arrived.
    Sent,
    /// What was sent did not arrive, as far as is known.
    Failed(Failure),
}

/// Why something did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words, for `status` and the log.
    pub reason: String,
    /// Whether to try the same again.
    pub again: Again,
    /// The other side asks for so much patience.
    pub after: Option<Span>,
    /// It may have arrived all the same: the answer is what was lost.
    pub perhaps: bool,
}

/// What a failure says of another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The channel failed: all that waits is tried until it expires.
    UntilExpired,
    /// The other side refused this very notice: it is tried [`REFUSED_TRIES`] times and holds up no other.
    Few,
    /// The other side never takes it as it is. One of several in a digest is tried in a smaller one.
    Never,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send this; then say [`Input::Sent`] or [`Input::Failed`]. There is one at a time.
    Send(Parcel),
    /// What became of a notice, for the store.
    Outcome(Outcome),
    /// A notice that this channel will not tell any more ([`Fate::is_given_up`]), and what became of it.
    GivenUp(Arc<Notice>, Outcome),
}

/// What is sent at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// One, or those of a digest: the worst first. Never none.
    pub items: Vec<Item>,
    /// So many earlier ones were not told and will not be.
    pub untold: u32,
}

/// A notice in a parcel.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The notice.
    pub notice: Arc<Notice>,
    /// So many earlier pages of the same alert never went out by themselves.
    pub earlier: u32,
    /// It may have been told before.
    pub repeat: bool,
    /// How often it was tried, this time included.
    pub attempts: u32,
    since: Uptime,
    order: u64,
    withdrawn: bool,
    /// How often the other side refused it.
    refusals: u32,
    /// After a refusal it is not tried before.
    not_before: Uptime,
}

/// What became of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which.
    pub notice: String,
    /// What became of it.
    pub fate: Fate,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed.
    pub reason: Option<String>,
    /// The channel that tells it in place of this one.
    pub instead: Option<Id>,
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was told, by itself or in a digest.
    Sent,
    /// One attempt failed; there will be another.
    Retrying,
    /// It cannot be told.
    Failed,
    /// It waited too long.
    Expired,
    /// A later page of the same alert is told in its place.
    Replaced,
    /// The alert was acknowledged or is over before it could be told.
    Withdrawn,
    /// Too many waited, and this was the least of them.
    Crowded,
}

/// When a channel sends next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Something is on its way.
    UnderWay,
    /// Not before.
    At(Uptime),
}

/// One channel's queue.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    budget: Option<Budget>,
    waiting: Vec<Item>,
    flying: Option<Parcel>,
    /// Attempts that failed since the last that did not.
    failures: u32,
    not_before: Uptime,
    last_attempt: Uptime,
    /// The other side asked for patience: news does not shorten the wait.
    asked: bool,
    /// What is under way goes to where the channel was before.
    is_astray: bool,
    /// The configuration has the channel no more: what is under way is awaited and nothing else is sent.
    is_closed: bool,
    untold: u32,
    /// The other side takes at most so many notices in one digest.
    most_together: usize,
    orders: u64,
    effects: VecDeque<Effect>,
}

impl Queue {
    /// Nothing to tell yet.
    pub fn new(limits: Limits) -> Queue {
        Queue {
            limits,
            budget: limits.max_per_hour.map(Budget::per_hour),
            waiting: Vec::new(),
            flying: None,
            failures: 0,
            not_before: Uptime(i64::MIN),
            last_attempt: Uptime(i64::MIN),
            asked: false,
            is_astray: false,
            is_closed: false,
            untold: 0,
            most_together: usize::MAX,
            orders: 0,
            effects: VecDeque::new(),
        }
    }

    /// Whether what it sent last arrived, or nothing was sent yet.
    pub fn works(&self) -> bool {
        self.failures == 0
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        self.expire(now);
        match input {
            Input::Tick => {}
            Input::Notice(notice) => self.enter(now, notice),
            Input::Acknowledged(alert) => self.withdraw(alert),
            Input::Sent => self.sent(),
            Input::Failed(failure) => self.failed(now, &failure),
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
        let goes = self.waiting.iter().filter(|_| self.flying.is_none()).map(|item| self.earliest(item));
        expires.into_iter().chain(goes).min()
    }

    /// Another rate cap or expiry; what waits goes on waiting.
    pub fn set_limits(&mut self, limits: Limits) {
        self.is_closed = false;
        if limits != self.limits {
            self.limits = limits;
            self.budget = limits.max_per_hour.map(Budget::per_hour);
        }
    }

    /// The channel leads elsewhere from now on: what the other side did or asked for before means nothing there.
    pub fn redirect(&mut self, now: Uptime) {
        (self.failures, self.asked, self.not_before) = (0, false, Uptime(i64::MIN));
        self.most_together = usize::MAX;
        for item in &mut self.waiting {
            (item.refusals, item.not_before) = (0, Uptime(i64::MIN));
        }
        self.is_astray = self.flying.is_some();
        self.handle(now, Input::Tick);
    }

    /// The channel is gone: what waits cannot be told, and what is under way has this one attempt.
    pub fn close(&mut self) {
        self.is_closed = true;
        for item in mem::take(&mut self.waiting) {
            self.say(&item, Fate::Failed, Some(GONE.to_owned()));
        }
    }

    /// Whether the channel is gone.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether something is under way.
    pub fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.flying.as_ref().map_or(0, |parcel| parcel.items.len())
    }

    /// When the next is sent; nothing where none waits.
    pub fn next(&self) -> Option<Next> {
        match (&self.flying, self.waiting.is_empty()) {
            (Some(_), _) => Some(Next::UnderWay),
            (None, false) => {
                let earliest = self.waiting.iter().map(|item| self.earliest(item)).min();
                earliest.map(Next::At)
            }
            (None, true) => None,
        }
    }

    fn enter(&mut self, now: Uptime, notice: Arc<Notice>) {
        let is_page = notice.is_page();
        if notice.instead.is_some() && self.counts_in_another(&notice) {
            return;
        }
        let fate = if is_page { Fate::Replaced } else { Fate::Withdrawn };
        let replaced = notice.alert().map_or(0, |alert| self.take_pages(alert, fate));
        self.orders += 1;
        self.waiting.push(Item {
            earlier: replaced,
            repeat: notice.repeat,
            attempts: 0,
            since: now,
            order: self.orders,
            withdrawn: false,
            refusals: 0,
            not_before: Uptime(i64::MIN),
            notice,
        });
        if self.waiting.len() > MAX_WAITING {
            self.crowd_out();
        }
        if is_page && self.failures > 0 && !self.asked {
            self.not_before = self.not_before.min(now.max(self.last_attempt + RETRY_NEWS));
        }
    }

    /// A page in place of another channel's, while this channel has a page of that alert to tell anyway: that one counts it.
    fn counts_in_another(&mut self, notice: &Arc<Notice>) -> bool {
        let flying = self.flying.iter_mut().flat_map(|parcel| &mut parcel.items);
        let Some(item) = self
            .waiting
            .iter_mut()
            .chain(flying)
            .find(|item| item.notice.is_page() && item.notice.alert() == notice.alert())
        else {
            return false;
        };
        item.earlier += 1;
        let outcome =
            Outcome { notice: notice.id.clone(), fate: Fate::Replaced, attempts: 0, reason: None, instead: None };
        self.effects.push_back(Effect::Outcome(outcome));
        true
    }

    fn withdraw(&mut self, alert: AlertId) {
        self.take_pages(alert, Fate::Withdrawn);
    }

    /// Takes out the pages of an alert that wait; says how many pages that leaves untold.
    fn take_pages(&mut self, alert: AlertId, fate: Fate) -> u32 {
        let is_meant = |item: &Item| item.notice.alert() == Some(alert) && item.notice.rank().is_some();
        let mut pages = 0;
        let (taken, kept) = mem::take(&mut self.waiting).into_iter().partition::<Vec<_>, _>(|item| is_meant(item));
        self.waiting = kept;
        for item in taken {
            pages += 1 + item.earlier;
            self.say(&item, fate, None);
        }
        // What is under way may still fail, and is then not tried again.
        let flying = self.flying.iter_mut().flat_map(|parcel| &mut parcel.items);
        flying.filter(|item| is_meant(item)).for_each(|item| item.withdrawn = true);
        pages
    }

    fn crowd_out(&mut self) {
        let least = (0..self.waiting.len()).min_by_key(|ix| {
            let item = &self.waiting[*ix];
            (item.notice.rank(), item.order)
        });
        if let Some(least) = least {
            let item = self.waiting.remove(least);
            self.untold += 1 + item.earlier;
            self.say(&item, Fate::Crowded, Some(format!("more than {MAX_WAITING} notices waited")));
        }
    }

    fn expire(&mut self, now: Uptime) {
        let Some(expiry) = self.limits.expiry else { return };
        let (old, kept) =
            mem::take(&mut self.waiting).into_iter().partition::<Vec<_>, _>(|item| item.since + expiry <= now);
        self.waiting = kept;
        for item in old {
            self.untold += 1 + item.earlier;
            self.say(&item, Fate::Expired, Some(format!("not delivered within {expiry}")));
        }
    }

    fn sent(&mut self) {
        let Some(parcel) = self.flying.take() else { return };
        (self.failures, self.asked, self.not_before) = (0, false, Uptime(i64::MIN));
        self.is_astray = false;
        self.untold = self.untold.saturating_sub(parcel.untold);
        for item in &parcel.items {
            self.say(item, Fate::Sent, None);
        }
    }

    fn failed(&mut self, now: Uptime, failure: &Failure) {
        let Some(parcel) = self.flying.take() else { return };
        if let Some(budget) = &mut self.budget
            && !failure.perhaps
        {
            budget.give_back();
        }
        self.hold_back(now, failure);
        let is_digest = parcel.items.len() > 1;
        if is_digest && failure.again == Again::Never {
            self.most_together = parcel.items.len() / 2;
        }
        for item in parcel.items {
            self.item_failed(now, item, failure, is_digest);
        }
        if mem::take(&mut self.is_astray) {
            (self.failures, self.asked, self.not_before) = (0, false, now);
        }
        self.expire(now);
    }

    /// When the channel is tried next.
    fn hold_back(&mut self, now: Uptime, failure: &Failure) {
        if failure.again != Again::UntilExpired {
            // The fault is the notice's: the next one need not wait for it.
            (self.asked, self.not_before) = (false, now + RETRY_FIRST);
            return;
        }
        self.failures += 1;
        let doubled = doubled(self.failures);
        let asked = failure.after.map(|after| after.max(doubled).min(LONGEST_ASKED));
        self.asked = asked.is_some();
        self.not_before = now + asked.unwrap_or(doubled);
    }

    fn item_failed(&mut self, now: Uptime, mut item: Item, failure: &Failure, was_digest: bool) {
        let reason = Some(failure.reason.clone());
        if item.withdrawn {
            let alert = item.notice.alert();
            if let Some(later) = self.waiting.iter_mut().find(|later| later.notice.alert() == alert) {
                later.earlier += 1 + item.earlier;
            }
            return self.say(&item, Fate::Withdrawn, reason);
        }
        item.refusals += u32::from(failure.again == Again::Few && !self.is_astray);
        // What is too large for the other side in a digest need not be so in a smaller one, or alone.
        let is_hopeless = failure.again == Again::Never && !was_digest;
        let is_final = is_hopeless || item.refusals >= REFUSED_TRIES || self.is_closed;
        if is_final {
            self.untold += 1 + item.earlier;
            return self.say(&item, Fate::Failed, reason);
        }
        if failure.again == Again::Few {
            item.not_before = if self.is_astray { now } else { now + doubled(item.refusals) };
        }
        self.say(&item, Fate::Retrying, reason);
        item.repeat |= failure.perhaps;
        self.waiting.push(item);
    }

    /// When an item may go.
    fn earliest(&self, item: &Item) -> Uptime {
        let budget = self.budget.map_or(Uptime(i64::MIN), |budget| budget.next());
        self.channel_ready(item).max(item.not_before).max(budget)
    }

    /// When the channel is tried with an item, whatever its budget.
    fn channel_ready(&self, item: &Item) -> Uptime {
        match item.notice.rank() {
            Some(Severity::Critical | Severity::Urgent) => self.not_before.min(self.last_attempt + LONGEST_ASKED_WORST),
            Some(Severity::Preventive | Severity::Warning) | None => self.not_before,
        }
    }

    fn send(&mut self, now: Uptime) {
        if self.flying.is_some() || self.is_closed {
            return;
        }
        let mut waiting = mem::take(&mut self.waiting);
        let is_ready = |item: &Item| self.earliest(item) <= now;
        waiting.sort_by_key(|item| {
            (!is_ready(item), item.refusals.min(ALONE_AFTER), Reverse(item.notice.rank()), item.order)
        });
        let ready = waiting.iter().filter(|item| is_ready(item)).count();
        let together = waiting[..ready].iter().take_while(|item| item.refusals < ALONE_AFTER).count();
        self.waiting = waiting;
        if ready == 0 {
            return;
        }
        // The last that may go now takes everything along.
        let is_digest = self.budget.is_some_and(|budget| budget.left(now) <= 1);
        let count = if is_digest { together.min(self.most_together).max(1) } else { 1 };
        let mut items: Vec<Item> = self.waiting.drain(..count).collect();
        items.iter_mut().for_each(|item| item.attempts += 1);
        if let Some(budget) = &mut self.budget {
            budget.take(now);
        }
        self.last_attempt = now;
        let parcel = Parcel { items, untold: self.untold };
        self.flying = Some(parcel.clone());
        self.effects.push_back(Effect::Send(parcel));
    }

    fn say(&mut self, item: &Item, fate: Fate, reason: Option<String>) {
        let outcome = Outcome { notice: item.notice.id.clone(), fate, attempts: item.attempts, reason, instead: None };
        self.effects.push_back(match fate.is_given_up() {
            true => Effect::GivenUp(Arc::clone(&item.notice), outcome),
            false => Effect::Outcome(outcome),
        });
    }
}

/// The wait after so many failures, the first of which is 1.
fn doubled(failures: u32) -> Span {
    Span(RETRY_FIRST.0 << failures.saturating_sub(1).min(16)).min(RETRY_LONGEST)
}

impl Parcel {
    /// The notice's own id; a digest's is made of the ids of all that it holds, so that another one never has the same.
    pub fn id(&self) -> String {
        match self.items.as_slice() {
            [] => String::new(),
            [item] => item.notice.id.clone(),
            [first, ..] => {
                let mut ids = Context::new(&SHA256);
                self.items.iter().for_each(|item| ids.update(format!("{}\n", item.notice.id).as_bytes()));
                let name: String = ids.finish().as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{}-digest-{name}", first.notice.id)
            }
        }
    }
}

impl Fate {
    /// The word in the store and in `status`.
    pub const fn name(self) -> &'static str {
        match self {
            Fate::Sent => "sent",
            Fate::Retrying => "retrying",
            Fate::Failed => "failed",
            Fate::Expired => "expired",
            Fate::Replaced => "replaced",
            Fate::Withdrawn => "withdrawn",
            Fate::Crowded => "crowded",
        }
    }

    /// Whether this channel never tells it, and nothing else does in its place.
    pub const fn is_given_up(self) -> bool {
        matches!(self, Fate::Failed | Fate::Expired | Fate::Crowded)
    }

    /// Whether nothing more will become of it.
    pub const fn is_final(self) -> bool {
        !matches!(self, Fate::Retrying)
    }
}

#[cfg(test)]
mod tests;

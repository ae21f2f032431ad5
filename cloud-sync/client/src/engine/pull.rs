//! Asking for configuration: every [`PULL_PERIOD`](super::limits::PULL_PERIOD), or at once when something says that it waits.
//!
//! Verifying and applying is the agent's; this machine only brings bytes, and not the same ones twice.

use serde::{Deserialize, Serialize};
use tilth_config::bundle::MAX_VERSION;
use tilth_config::sha256;
use tilth_core::time::{Span, Uptime};

use super::backoff::Backoff;
use super::limits::{Intervals, MAX_BACKOFF, MAX_RETRY_AFTER, REQUEST_TIMEOUT};
use super::messages::{Effect, Report};
use super::verdict::{self, Verdict, is_page};
use crate::transport::{Exchange, NewestBundle};

/// ```text
///             due, or hinted at
///  Waiting ------------------> Asking
///    ^  ^                       |  |
///    |  +---- 200, 304, 404 ----+  | refused, 429, 500, garbage, no answer
///    |  +- a new key, at once --+  v
///    +-- due, or a new key --- BackingOff
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting { at: Uptime },
    Asking { request: u64, until: Uptime },
    BackingOff { at: Uptime, why: String },
}

/// State machine of pulling.
#[derive(Debug)]
pub(super) struct Pull {
    state: State,
    newest: NewestBundle,
    period: Span,
    /// Wait after the hub rejected the device key.
    key_rejected: Span,
    backoff: Backoff,
    /// SHA-256 of the bytes that were given to the agent last: the same ones are not given again.
    given: Option<[u8; 32]>,
    /// The highest version that a hint made us ask for.
    followed: u64,
    last_success: Option<Uptime>,
}

/// Status of pulling, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PullStatus {
    /// `waiting`, `asking` or `backing off`.
    pub state: String,
    /// Why it is not going well.
    pub why: Option<String>,
    /// When it asks again, since boot.
    pub next_try: Option<Uptime>,
    /// When the hub answered last, since boot.
    pub last_success: Option<Uptime>,
}

impl Pull {
    pub(super) fn new(now: Uptime, newest: NewestBundle, intervals: &Intervals, seed: u64) -> Pull {
        let backoff = Backoff::new(MAX_BACKOFF, seed);
        Pull {
            state: State::Waiting { at: now },
            newest,
            period: intervals.pull,
            key_rejected: intervals.key_rejected,
            backoff,
            given: None,
            followed: 0,
            last_success: None,
        }
    }

    /// Whether a request is on its way.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking { .. })
    }

    /// When something is to be done: ask, or give up asking.
    pub(super) fn deadline(&self) -> Uptime {
        match self.state {
            State::Waiting { at } | State::BackingOff { at, .. } => at,
            State::Asking { until, .. } => until,
        }
    }

    /// Asks.
    pub(super) fn start(&mut self, now: Uptime, request: u64) -> Effect {
        self.state = State::Asking { request, until: now + REQUEST_TIMEOUT };
        Effect::PullBundle { request, newest: self.newest.clone() }
    }

    /// Gives up a request that is overdue; its number.
    pub(super) fn expire(&mut self, now: Uptime) -> Option<u64> {
        match self.state {
            State::Asking { request, until } if until <= now => {
                self.back_off(now, None, format!("no answer within {REQUEST_TIMEOUT}"));
                Some(request)
            }
            State::Asking { .. } | State::Waiting { .. } | State::BackingOff { .. } => None,
        }
    }

    /// The hub said that this version waits: ask at once, unless the hub fails. Each version causes one request: one that
    /// the agent rejects is not asked for at every batch.
    pub(super) fn hint(&mut self, now: Uptime, version: u64) {
        // A higher one than there can be is no bundle's, and would outdo every hint after it.
        if version <= MAX_VERSION && version > self.newest.version && version > self.followed {
            self.followed = version;
            if let State::Waiting { at } = &mut self.state {
                *at = now.min(*at);
            }
        }
    }

    /// The link to the hub is another one: what was wrong may be mended. Gives up a request on the link before; returns its number.
    pub(super) fn try_again(&mut self, now: Uptime) -> Option<u64> {
        self.given = None;
        let given_up = match self.state {
            State::Waiting { .. } => return None,
            State::Asking { request, .. } => Some(request),
            State::BackingOff { .. } => None,
        };
        self.backoff.reset();
        self.state = State::Waiting { at: now };
        given_up
    }

    /// The newest bundle that the agent has seen.
    pub(super) fn set_newest(&mut self, newest: NewestBundle) {
        if newest.etag.is_none() {
            self.given = None;
        }
        self.newest = newest;
    }

    /// Takes the result of a request. `None` if that request is not awaited, else whether there is a bundle to give.
    pub(super) fn answered(&mut self, now: Uptime, request: u64, exchange: Exchange) -> Option<Option<Effect>> {
        match self.state {
            State::Asking { request: asked, .. } if asked == request => {}
            State::Asking { .. } | State::Waiting { .. } | State::BackingOff { .. } => return None,
        }
        let reply = match exchange.outcome {
            Ok(reply) => reply,
            Err(error) => {
                self.back_off(now, None, error.to_string());
                return Some(None);
            }
        };
        match reply.status {
            200 if reply.body.is_empty() || is_page(&reply.body) => {
                self.back_off(
                    now,
                    None,
                    "answered 200 without a bundle (a captive portal or proxy in between?)".to_owned(),
                );
            }
            200 => {
                let bytes = Some(sha256(&reply.body));
                let is_known = std::mem::replace(&mut self.given, bytes) == bytes;
                // The agent does not use these bytes, and cannot tell the hub so: their signature is not good.
                self.rest(now, if is_known { self.key_rejected } else { self.period });
                return Some((!is_known).then_some(Effect::Report(Report::Bundle(reply.body))));
            }
            // 404: nothing is configured for this device yet.
            304 | 404 => self.rest(now, self.period),
            status => match verdict::refusal(status, &reply) {
                Verdict::Rejected(why) => self.back_off(now, Some(self.key_rejected), why),
                Verdict::BackOff { why, wait } => self.back_off(now, wait, why),
                Verdict::Conflict(why)
                | Verdict::TooLarge(why)
                | Verdict::Unreadable(why)
                | Verdict::Slow(why)
                | Verdict::Unreachable(why) => self.back_off(now, None, why),
                Verdict::Accepted(_) => unreachable!("a refusal takes nothing"),
            },
        }
        Some(None)
    }

    /// Status, for people.
    pub(super) fn status(&self) -> PullStatus {
        let (state, why, next_try) = match &self.state {
            State::Waiting { at } => ("waiting", None, Some(*at)),
            State::Asking { .. } => ("asking", None, None),
            State::BackingOff { at, why } => ("backing off", Some(why.clone()), Some(*at)),
        };
        PullStatus { state: state.to_owned(), why, next_try, last_success: self.last_success }
    }

    fn rest(&mut self, now: Uptime, wait: Span) {
        self.backoff.reset();
        self.last_success = Some(now);
        self.state = State::Waiting { at: now + wait };
    }

    fn back_off(&mut self, now: Uptime, wait: Option<Span>, why: String) {
        let wait = wait.unwrap_or_default().clamp(Span(0), MAX_RETRY_AFTER);
        self.state = State::BackingOff { at: now + wait + self.backoff.next(), why };
    }
}

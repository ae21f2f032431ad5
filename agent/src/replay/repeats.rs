//! Repeats in the long gaps of a recording, counted where printing them would fill a disk.
//!
//! An alert without an acknowledgement is repeated for as long as it fires. One timestamp that is years ahead would print that
//! hundreds of thousands of times. So in a gap longer than [`LONG_GAP`] only the first [`PRINTED`] repeats of each alert are
//! printed as they come, and of the others only the last, which says how many there were before it: when the alert goes on
//! to something else, or at the end of the gap. Everything that counts has counted them all.

use std::collections::BTreeMap;
use std::mem;

use tilth_core::alert::AlertId;
use tilth_core::effect::Effect;
use tilth_core::escalate::Cause;
use tilth_core::time::Span;

/// Longer than any outage that a recording should be silent about: a gap like this is more likely a wrong timestamp.
pub(crate) const LONG_GAP: Span = Span(31 * 24 * 3_600_000);

/// Repeats of each alert that are printed in a long gap before the others are counted.
const PRINTED: u64 = 10;

#[derive(Debug, Default)]
pub(crate) struct Repeats {
    long: bool,
    alerts: BTreeMap<AlertId, Alert>,
}

#[derive(Debug, Default)]
struct Alert {
    printed: u64,
    deferred: Option<Deferred>,
}

/// The last repeat that was deferred.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deferred {
    pub(crate) effect: Effect,
    /// Repeats before this one that were deferred and are never printed.
    pub(crate) skipped: u64,
}

impl Repeats {
    /// The recording goes on after so long.
    pub(crate) fn enter(&mut self, gap: Span) {
        self.long = gap > LONG_GAP;
    }

    /// What was deferred of an alert and is to be printed before an effect that is about the alert and no repeat; and whether the
    /// effect is to be printed.
    pub(crate) fn filter(&mut self, effect: &Effect) -> (Option<Deferred>, bool) {
        let alert = match effect {
            _ if !self.long => None,
            Effect::Page(page) if page.cause == Cause::Repeated => return (None, !self.defer(page.id.alert, effect)),
            Effect::Page(page) => Some(page.id.alert),
            Effect::Alert(_, details) => details.alert,
            _ => None,
        };
        (alert.and_then(|alert| self.alerts.get_mut(&alert)?.deferred.take()), true)
    }

    fn defer(&mut self, alert: AlertId, effect: &Effect) -> bool {
        let alert = self.alerts.entry(alert).or_default();
        if alert.printed < PRINTED {
            alert.printed += 1;
            return false;
        }
        let skipped = alert.deferred.as_ref().map_or(0, |deferred| deferred.skipped + 1);
        alert.deferred = Some(Deferred { effect: effect.clone(), skipped });
        true
    }

    /// The gap is over: what was deferred in it, in the order of time.
    pub(crate) fn leave(&mut self) -> Vec<Deferred> {
        self.long = false;
        let mut deferred: Vec<Deferred> =
            mem::take(&mut self.alerts).into_values().filter_map(|alert| alert.deferred).collect();
        deferred.sort_by_key(|deferred| match &deferred.effect {
            Effect::Page(page) => Some(page.details.at.uptime),
            _ => None,
        });
        deferred
    }
}

//! Time on within the last hour and the last 24 hours, and the end of the last time on.
//!
//! A dose counts in full from when it begins until a whole period after its output is off at the latest, so the sum over any
//! hour or day of real time is at most the sum in the ledger at the last switching on within it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::actuator::Actuator;
use crate::time::{Due, Span, Stamp, Uptime};

const HOUR: Span = Span::from_mins(60);
pub(super) const DAY: Span = Span::from_mins(24 * 60);

/// Doses that begin within this part of a period count as one, which bounds the ledger to as many entries and some.
const PARTS: i64 = 60;

/// What is known of one actuator's or output's time on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct History {
    hour: Ledger,
    day: Ledger,
    /// When it went off last, at the latest.
    off: Option<Due>,
}

/// Doses of one period.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Ledger(VecDeque<Entry>);

/// Doses that began about the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// Begin of the first.
    from: Due,
    /// End of the last, at the latest.
    until: Due,
    /// Time on of all of them together.
    span: Span,
}

/// Under what an actuator's time on is kept: its name, and its output. An output's form has a colon, which no name has.
pub(super) fn keys(actuator: &Actuator) -> [String; 2] {
    [actuator.id.to_string(), actuator.output.to_string()]
}

/// Time on of an actuator within the last hour and the last day, as far as it counts: under its name or its output, whichever is more.
pub(super) fn totals(all: &BTreeMap<String, History>, actuator: &Actuator, now: Uptime) -> (Span, Span) {
    let known = keys(actuator).into_iter().filter_map(|key| Some(all.get(&key)?.totals(now)));
    known.fold((Span::ZERO, Span::ZERO), |most, found| (most.0.max(found.0), most.1.max(found.1)))
}

impl History {
    /// A dose that begins now and has ended by `at_latest`.
    pub(super) fn add(&mut self, now: Stamp, span: Span, at_latest: Uptime) {
        self.hour.add(now, span, at_latest, HOUR);
        self.day.add(now, span, at_latest, DAY);
    }

    pub(super) fn went_off(&mut self, now: Stamp) {
        self.off = Some(Due::after(now, Span::ZERO));
    }

    /// Time since it went off; none where it was never on.
    pub(super) fn off_for(&self, now: Uptime) -> Option<Span> {
        self.off.map(|off| now - off.at)
    }

    /// Time on within the last hour, and within the last day.
    pub(super) fn totals(&self, now: Uptime) -> (Span, Span) {
        (self.hour.total(now, HOUR), self.day.total(now, DAY))
    }

    /// Time to wait until a dose keeps to a limit of the hour: zero where it does now, none where it never will.
    pub(super) fn wait_in_hour(&self, now: Uptime, dose: Span, limit: Span) -> Option<Span> {
        self.hour.wait(now, dose, limit, HOUR)
    }

    /// The same for a limit of the day.
    pub(super) fn wait_in_day(&self, now: Uptime, dose: Span, limit: Span) -> Option<Span> {
        self.day.wait(now, dose, limit, DAY)
    }

    /// Whether nothing in it matters any more where this is the longest pause of all.
    pub(super) fn is_over(&self, now: Uptime, min_off: Span) -> bool {
        self.totals(now) == (Span::ZERO, Span::ZERO) && self.off_for(now).is_none_or(|span| span > min_off)
    }

    pub(super) fn shift(&mut self, up_to_boot: u32, by: Span) {
        for entry in self.hour.0.iter_mut().chain(&mut self.day.0) {
            entry.from.shift(up_to_boot, by);
            entry.until.shift(up_to_boot, by);
        }
        self.off.iter_mut().for_each(|off| off.shift(up_to_boot, by));
    }

    /// Adds what was known before, of which nothing was known until now.
    pub(super) fn merge_earlier(&mut self, mut before: History) {
        for (ledger, before) in [(&mut self.hour, &mut before.hour), (&mut self.day, &mut before.day)] {
            before.0.append(&mut ledger.0);
            std::mem::swap(&mut ledger.0, &mut before.0);
        }
        self.off = self.off.or(before.off);
    }
}

impl Ledger {
    fn add(&mut self, now: Stamp, span: Span, at_latest: Uptime, period: Span) {
        self.0.retain(|entry| entry.counts(now.uptime, period));
        let (from, until) = (Due::after(now, Span::ZERO), Due::after(now, at_latest - now.uptime));
        let part = Span(period.0 / PARTS);
        match self.0.back_mut().filter(|last| last.from.is_of(now.boot) && now.uptime - last.from.at < part) {
            Some(last) => {
                last.span = Span(last.span.0.saturating_add(span.0));
                last.until = if last.until.at < until.at { until } else { last.until };
            }
            None => self.0.push_back(Entry { from, until, span }),
        }
    }

    fn total(&self, now: Uptime, period: Span) -> Span {
        let counting = self.0.iter().filter(|entry| entry.counts(now, period));
        Span(counting.fold(0, |sum, entry| sum.saturating_add(entry.span.0)))
    }

    fn wait(&self, now: Uptime, dose: Span, limit: Span, period: Span) -> Option<Span> {
        let fits = |at: Uptime| self.total(at, period).0.saturating_add(dose.0) <= limit.0;
        let ends = self.0.iter().map(|entry| entry.until.at + period).filter(|end| *end > now);
        let mut instants: Vec<Uptime> = std::iter::once(now).chain(ends).collect();
        instants.sort_unstable();
        instants.into_iter().find(|at| fits(*at)).map(|at| at - now)
    }
}

impl Entry {
    fn counts(&self, now: Uptime, period: Span) -> bool {
        self.until.at + period > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Stamp {
        Stamp { boot: 1, uptime: Uptime(secs * 1000), wall: None }
    }

    #[test]
    fn a_dose_counts_until_a_whole_period_after_its_end() {
        let mut history = History::default();
        history.add(at(0), Span::from_secs(5), Uptime(15_000));
        for (secs, hour, day) in [(0, 5, 5), (3614, 5, 5), (3615, 0, 5), (86_414, 0, 5), (86_415, 0, 0)] {
            let expected = (Span::from_secs(hour), Span::from_secs(day));
            assert_eq!(history.totals(at(secs).uptime), expected, "after {secs} s");
        }
    }

    #[test]
    fn it_says_when_a_dose_fits_again() {
        let mut history = History::default();
        history.add(at(0), Span::from_secs(5), Uptime(15_000));
        history.add(at(600), Span::from_secs(4), Uptime(614_000));
        let (now, limit) = (at(700).uptime, Span::from_secs(10));
        for (dose, wait) in
            [(1, Some(0)), (2, Some(3615 - 700)), (6, Some(3615 - 700)), (7, Some(4214 - 700)), (11, None)]
        {
            let found = history.wait_in_hour(now, Span::from_secs(dose), limit);
            assert_eq!(found, wait.map(Span::from_secs), "a dose of {dose} s");
        }
    }

    #[test]
    fn a_storm_of_doses_takes_bounded_room_and_forgets_none() {
        let mut history = History::default();
        for secs in 0..200_000 {
            history.add(at(secs), Span(10), Uptime(secs * 1000 + 10));
        }
        let (hour, day) = history.totals(at(199_999).uptime);
        assert!(
            history.hour.0.len() <= 62 && history.day.0.len() <= 62,
            "{} and {}",
            history.hour.0.len(),
            history.day.0.len()
        );
        assert!(hour >= Span(36_000) && day >= Span(864_000), "{hour} and {day}");
    }
}

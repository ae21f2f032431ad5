//! Unknown doses: history was lost, so actuators with a total stay off until no dose of before counts any more, or a person releases their zone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Interlock, OffReason, SWITCH_WITHIN, ledger};
use crate::actuator::Actuator;
use crate::id::Id;
use crate::time::{Due, Span, Stamp, Uptime};

/// Since when doses are unknown is in `until`, a day after the last of them may have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnknownDoses {
    until: Due,
    /// Zones that a person released.
    released: BTreeSet<Id>,
}

impl UnknownDoses {
    pub(super) fn until(&self) -> Uptime {
        self.until.at
    }

    pub(super) fn shift(&mut self, up_to_boot: u32, by: Span) {
        self.until.shift(up_to_boot, by);
    }
}

impl Interlock {
    /// What was dosed before this instant is not known.
    pub(super) fn set_doses_unknown(&mut self, now: Stamp) {
        let longest = self.actuators.values().filter(|actuator| actuator.has_total()).filter_map(|of| of.max_on).max();
        let span = Span(ledger::DAY.0.saturating_add(longest.unwrap_or(Span::ZERO).0).saturating_add(SWITCH_WITHIN.0));
        self.unknown = Some(UnknownDoses { until: Due::after(now, span), released: BTreeSet::new() });
        self.stop_all(now, Actuator::has_total, &OffReason::DosesUnknown);
        self.report_zones(now, true, self.unknown_zones());
    }

    /// A person who looked at a zone lets its actuators dose again.
    pub(super) fn release_doses(&mut self, now: Stamp, zone: &Id, by: &str) {
        let is_held = self.unknown_zones().contains(zone);
        if let (true, Some(unknown)) = (is_held, &mut self.unknown) {
            unknown.released.insert(zone.clone());
            self.report_hold(now, zone.clone(), Some(by.to_owned()), false, true);
        }
    }

    /// Ends when no dose of before counts any more.
    pub(super) fn end_unknown(&mut self, now: Stamp) {
        if self.unknown.as_ref().is_some_and(|unknown| unknown.until() <= now.uptime) {
            let zones = self.unknown_zones();
            self.unknown = None;
            self.report_zones(now, false, zones);
        }
    }

    /// Whether an actuator must not run because doses of before are unknown.
    pub(super) fn has_unknown_doses(&self, actuator: &Actuator) -> bool {
        let is_held = |unknown: &UnknownDoses| !unknown.released.contains(&actuator.zone);
        actuator.has_total() && self.unknown.as_ref().is_some_and(is_held)
    }

    /// Zones with an actuator that must not run for that reason.
    pub(super) fn unknown_zones(&self) -> BTreeSet<Id> {
        let held = self.actuators.values().filter(|actuator| self.has_unknown_doses(actuator));
        held.map(|actuator| actuator.zone.clone()).collect()
    }

    fn report_zones(&mut self, now: Stamp, began: bool, zones: BTreeSet<Id>) {
        zones.into_iter().for_each(|zone| self.report_hold(now, zone, None, began, true));
    }
}

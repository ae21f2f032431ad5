//! What sirens tell of: every alert that fires, that people were told of, and that nobody acknowledged or silenced. It is derived from
//! the engine and not from pages, so an acknowledgement, its expiry, a silence and a restart change what is heard alike.

use std::collections::{BTreeMap, BTreeSet};

use tilth_config::{Channel, Target};
use tilth_core::effect::Effect;
use tilth_core::engine::{AlertView, Standing};
use tilth_core::id::Id;
use tilth_core::plan::Severity;

use super::Decide;
use crate::notify::dispatch::{Heard, Request};

/// Sirens of the configuration, and what notify was told of them.
#[derive(Default)]
pub(super) struct Sirens {
    channels: BTreeSet<Id>,
    told: Heard,
    /// Something happened that may change what is heard.
    is_due: bool,
}

impl Sirens {
    pub(super) fn of(channels: &BTreeMap<Id, Channel>) -> Sirens {
        let is_siren = |(_, channel): &(&Id, &Channel)| matches!(channel.target, Target::Siren { .. });
        let channels = channels.iter().filter(is_siren).map(|(id, _)| id.clone()).collect();
        Sirens { channels, told: Heard::new(), is_due: true }
    }

    /// Notes an effect that may change what is heard.
    pub(super) fn note(&mut self, effect: &Effect) {
        self.is_due |= matches!(effect, Effect::Alert(..) | Effect::Page(_) | Effect::Site | Effect::Planned(_));
    }
}

impl Decide {
    /// Tells notify what sirens tell of, where it changed.
    pub(super) fn follow_sirens(&mut self) {
        if !std::mem::take(&mut self.sirens.is_due) || self.sirens.channels.is_empty() {
            return;
        }
        let heard: Heard = self.engine.alerts().filter_map(|view| self.heard(&view)).collect();
        if heard != self.sirens.told {
            self.sirens.told = heard.clone();
            // The newest alone counts: what waits for room in the queue of notify gives way.
            self.unsent.retain(|request| !matches!(request, Request::Heard(_)));
            self.send_to_channels(Request::Heard(heard));
        }
    }

    fn heard(&self, view: &AlertView) -> Option<(tilth_core::alert::AlertId, (Severity, BTreeSet<Id>))> {
        let report = &view.report;
        let is_told = view.standing == Standing::Firing && view.silenced_until.is_none() && report.pages > 0;
        let rule = self.plan.rule(&report.key).filter(|_| is_told)?;
        // One that was heard at its first level goes on being heard at a level that names no siren.
        let levels = Severity::ALL.into_iter().filter(|level| (rule.severity..=report.severity).contains(level));
        let named = levels.flat_map(|level| &rule.escalation.level(level).channels);
        let sirens: BTreeSet<Id> = named.filter(|channel| self.sirens.channels.contains(*channel)).cloned().collect();
        (!sirens.is_empty()).then_some((report.alert?, (report.severity, sirens)))
    }
}

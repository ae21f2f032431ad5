//! What people did on site and only the site knows: calibrations and silences. No configuration overwrites it. Holds and doses, which
//! belong to it for the hub, are kept by the interlock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calibrate::Calibration;
use crate::id::{Id, SensorId};
use crate::plan::AlertKey;
use crate::time::{Due, Uptime};

/// More silences at once than this are refused: a person who needs them needs another rule.
pub const MAX_SILENCES: usize = 256;

/// State that people set on site: silences and calibrations; one version higher with each change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SiteState {
    /// Counts the changes.
    pub version: u64,
    /// Calibrations made on site; each takes the place of the configured one.
    pub calibrations: BTreeMap<SensorId, Calibration>,
    /// Silences that have not ended, by their number.
    pub silences: BTreeMap<u32, Silence>,
    last_silence: u32,
}

/// Keeps matching alerts from paging until it ends. They still fire, escalate no further, and page when it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Which alerts.
    pub of: Matcher,
    /// Name of the person who set it.
    pub by: String,
    pub(crate) until: Due,
}

/// Names alerts; an absent part matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Matcher {
    /// Only of this zone.
    pub zone: Option<Id>,
    /// Only of this rule.
    pub rule: Option<Id>,
    /// Only of this sensor.
    pub sensor: Option<SensorId>,
}

impl Silence {
    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Uptime {
        self.until.at
    }
}

impl Matcher {
    /// Whether an alert matches.
    #[must_use]
    pub fn matches(&self, key: &AlertKey) -> bool {
        self.zone.as_ref().is_none_or(|zone| *zone == key.zone)
            && self.rule.as_ref().is_none_or(|rule| *rule == key.rule)
            && self.sensor.as_ref().is_none_or(|sensor| *sensor == key.sensor)
    }
}

impl SiteState {
    /// Takes over the calibrations of an earlier state; a newer one of a sensor stays.
    pub(crate) fn merge_earlier(&mut self, before: &SiteState) {
        self.version += before.version;
        self.last_silence = self.last_silence.max(before.last_silence);
        for (sensor, calibration) in &before.calibrations {
            self.calibrations.entry(sensor.clone()).or_insert_with(|| calibration.clone());
        }
    }

    pub(crate) fn calibrate(&mut self, sensor: SensorId, calibration: Option<Calibration>) {
        self.version += 1;
        match calibration {
            Some(calibration) => self.calibrations.insert(sensor, calibration),
            None => self.calibrations.remove(&sensor),
        };
    }

    /// Adds a silence; none where there are [`MAX_SILENCES`].
    pub(crate) fn silence(&mut self, silence: Silence) -> Option<u32> {
        if self.silences.len() >= MAX_SILENCES {
            return None;
        }
        self.version += 1;
        self.last_silence += 1;
        self.silences.insert(self.last_silence, silence);
        Some(self.last_silence)
    }

    pub(crate) fn end_silence(&mut self, number: u32) -> Option<Silence> {
        let ended = self.silences.remove(&number);
        self.version += u64::from(ended.is_some());
        ended
    }

    /// Until when an alert is silenced, by the silence that lasts longest.
    pub(crate) fn silenced_until(&self, key: &AlertKey) -> Option<Uptime> {
        self.silences.values().filter(|silence| silence.of.matches(key)).map(Silence::until).max()
    }
}

//! What changed between two snapshots of one engine: a checkpoint writes what happened since the one before it, not the whole farm.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::clock::Clock;
use super::super::numbers::Reserve;
use super::super::removed::Removed;
use super::{AlertRecord, BusRecord, SensorRecord, Snapshot};
use crate::alert::AlertId;
use crate::id::Id;
use crate::interlock;
use crate::plan::AlertKey;
use crate::site::SiteState;
use crate::time::Uptime;

/// What a later [`Snapshot`] holds and an earlier one does not: changed sensors and alerts, and every part that is small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    now: Uptime,
    clock: Clock,
    last_alert: AlertId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reserve: Option<Reserve>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<SiteState>,
    buses_down: Vec<Id>,
    buses: Vec<BusRecord>,
    removed: Vec<Removed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interlock: Option<interlock::Record>,
    sensors: Vec<SensorRecord>,
    alerts: Vec<AlertRecord>,
    /// Alerts of the earlier snapshot that need not be remembered any more.
    forgotten: Vec<AlertKey>,
    waiting: Vec<AlertKey>,
}

impl Snapshot {
    /// What changed since an `earlier` snapshot of the same engine; none where the whole is no longer than that: after a new plan
    /// with other sensors, and where more than half of the sensors changed.
    ///
    /// Compares no sensor by value: one is unchanged if both snapshots share it.
    #[must_use]
    pub fn changes_since(&self, earlier: &Snapshot) -> Option<Changes> {
        // Named one by one: a new part of a snapshot must have its place in the changes, too.
        let Snapshot {
            format: _,
            now,
            clock,
            last_alert,
            reserve,
            site,
            buses_down,
            buses,
            removed,
            interlock,
            sensors,
            alerts,
            waiting,
        } = self;
        let pairs = || sensors.iter().zip(&earlier.sensors);
        let is_same_farm = sensors.len() == earlier.sensors.len() && pairs().all(|(now, then)| now.0.id == then.0.id);
        let changed: Vec<SensorRecord> =
            pairs().filter(|(now, then)| !Arc::ptr_eq(&now.0, &then.0)).map(|(now, _)| now.clone()).collect();
        if !is_same_farm || changed.len() * 2 > sensors.len() {
            return None;
        }
        let is_changed =
            |alert: &&AlertRecord| find(&earlier.alerts, &alert.key).map(|at| &earlier.alerts[at]) != Ok(alert);
        let is_forgotten = |alert: &&AlertRecord| find(alerts, &alert.key).is_err();
        Some(Changes {
            now: *now,
            clock: clock.clone(),
            last_alert: *last_alert,
            reserve: *reserve,
            site: (*site != earlier.site).then(|| site.clone()),
            buses_down: buses_down.clone(),
            buses: buses.clone(),
            removed: removed.clone(),
            interlock: (*interlock != earlier.interlock).then(|| interlock.clone()),
            sensors: changed,
            alerts: alerts.iter().filter(is_changed).cloned().collect(),
            forgotten: earlier.alerts.iter().filter(is_forgotten).map(|alert| alert.key.clone()).collect(),
            waiting: waiting.clone(),
        })
    }

    /// Makes the later snapshot of the earlier one.
    pub fn apply(&mut self, changes: Changes) {
        let Changes { now, clock, last_alert, reserve, site, buses_down, buses, removed, interlock, .. } = changes;
        (self.now, self.clock, self.last_alert, self.reserve) = (now, clock, last_alert, reserve);
        (self.buses_down, self.buses, self.removed, self.waiting) = (buses_down, buses, removed, changes.waiting);
        site.into_iter().for_each(|site| self.site = site);
        interlock.into_iter().for_each(|interlock| self.interlock = interlock);
        for sensor in changes.sensors {
            if let Ok(at) = self.sensors.binary_search_by(|other| other.0.id.cmp(&sensor.0.id)) {
                self.sensors[at] = sensor;
            }
        }
        for alert in changes.alerts {
            match find(&self.alerts, &alert.key) {
                Ok(at) => self.alerts[at] = alert,
                Err(at) => self.alerts.insert(at, alert),
            }
        }
        for key in changes.forgotten {
            if let Ok(at) = find(&self.alerts, &key) {
                self.alerts.remove(at);
            }
        }
    }
}

/// The index of an alert in a snapshot, which has them by their keys; or where it would be.
fn find(alerts: &[AlertRecord], key: &AlertKey) -> Result<usize, usize> {
    alerts.binary_search_by(|alert| alert.key.cmp(key))
}

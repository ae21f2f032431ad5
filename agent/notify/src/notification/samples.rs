//! Notifications for tests.

use tilth_core::alert::AlertId;
use tilth_core::effect::{AlertDetails, Reason};
use tilth_core::escalate::Cause;
use tilth_core::id::{Id, SensorId};
use tilth_core::local::Local;
use tilth_core::plan::{AlertKey, Severity};
use tilth_core::rules::DisplayValue;
use tilth_core::time::{Stamp, Uptime, WallTime};
use tilth_core::value::{Resolution, Value};

use super::{Kind, Notification};

/// 2026-03-01T06:30:00Z.
pub(crate) const WALL: i64 = 1_772_346_600_000;

pub(crate) fn stamp(uptime_s: i64) -> Stamp {
    Stamp { boot: 3, uptime: Uptime(uptime_s * 1000), wall: Some(WallTime(WALL + uptime_s * 1000)) }
}

fn details(alert: u64, severity: Severity) -> AlertDetails {
    let resolution = Resolution::new(0.01).unwrap();
    let sensor = SensorId::new("tower-1/ec").unwrap();
    let key = AlertKey { zone: sensor.zone(), rule: Id::new("ec-high").unwrap(), sensor };
    AlertDetails {
        at: stamp(300),
        alert: Some(AlertId(alert)),
        key,
        severity,
        value: Some(DisplayValue::Value(Value { steps: resolution.nearest(2.93).unwrap(), resolution })),
        limit: Some(DisplayValue::Number(2.8)),
        since: stamp(0),
        reading_at: Some(stamp(299)),
        pages: 1,
        message: "EC 2.93 in tower-1, limit 2.8".to_owned(),
        advice: Some("Dilute the tank.".into()),
    }
}

fn notification(id: String, kind: Kind, details: AlertDetails) -> Notification {
    let unit = "mS/cm".to_owned();
    let local = Local::UTC;
    Notification {
        id,
        kind,
        details,
        local,
        unit,
        is_measured: true,
        why: None,
        repeat: false,
        others: Vec::new(),
        instead: None,
    }
}

/// A page as the tests of the queue use it, too.
pub(crate) fn page(alert: u64, page: u32, severity: Severity, cause: Cause) -> Notification {
    let id = format!("pi-{alert}-{page}");
    notification(id, Kind::Page(cause), details(alert, severity))
}

/// An alert that is over.
pub(crate) fn resolved(alert: u64) -> Notification {
    let id = format!("pi-{alert}-resolved");
    notification(id, Kind::Resolved(Reason::Cleared), details(alert, Severity::Warning))
}

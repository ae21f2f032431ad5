//! What people read, compared as golden text; and notices for the other tests.

use std::sync::Arc;

use tilth_core::alert::AlertId;
use tilth_core::effect::{Reason, Report};
use tilth_core::escalate::Cause;
use tilth_core::id::{Id, SensorId};
use tilth_core::local::Local;
use tilth_core::plan::{AlertKey, Severity};
use tilth_core::rules::Figure;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_core::value::{Resolution, Value};

use crate::notice::{Kind, Notice};
use crate::queue::{self, Limits, Parcel, Queue};
use crate::text::Text;

/// 2026-03-01T06:30:00Z.
const WALL: i64 = 1_772_346_600_000;

fn stamp(uptime_s: i64) -> Stamp {
    Stamp { boot: 3, uptime: Uptime(uptime_s * 1000), wall: Some(WallTime(WALL + uptime_s * 1000)) }
}

fn report(alert: u64, severity: Severity) -> Report {
    let resolution = Resolution::new(0.01).unwrap();
    let sensor = SensorId::new("tower-1/ec").unwrap();
    let key = AlertKey { zone: sensor.zone(), rule: Id::new("ec-high").unwrap(), sensor };
    Report {
        at: stamp(300),
        alert: Some(AlertId(alert)),
        key,
        severity,
        value: Some(Figure::Value(Value { steps: resolution.nearest(2.93).unwrap(), resolution })),
        limit: Some(Figure::Number(2.8)),
        since: stamp(0),
        reading_at: Some(stamp(299)),
        pages: 1,
        message: "EC 2.93 in tower-1, limit 2.8".to_owned(),
        advice: Some("Dilute the tank.".into()),
    }
}

fn notice(id: String, kind: Kind, report: Report) -> Notice {
    let unit = "mS/cm".to_owned();
    let local = Local::UTC;
    Notice {
        id,
        kind,
        report,
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
pub(crate) fn page(alert: u64, page: u32, severity: Severity, cause: Cause) -> Notice {
    let id = format!("pi-{alert}-{page}");
    notice(id, Kind::Page(cause), report(alert, severity))
}

/// An alert that is over.
pub(crate) fn resolved(alert: u64) -> Notice {
    let id = format!("pi-{alert}-resolved");
    notice(id, Kind::Resolved(Reason::Cleared), report(alert, Severity::Warning))
}

fn id(name: &str) -> Id {
    Id::new(name).unwrap()
}

/// The parcel that a queue makes of these, the first of them alone.
pub(crate) fn parcels(notices: Vec<Notice>, most: u32) -> Vec<Parcel> {
    let mut queue = Queue::new(Limits { max_per_hour: Some(most), expiry: None });
    for notice in notices {
        queue.handle(Uptime(0), queue::Input::Notice(Arc::new(notice)));
    }
    let mut parcels = Vec::new();
    while let Some(effect) = queue.poll() {
        if let queue::Effect::Send(parcel) = effect {
            parcels.push(parcel);
            queue.handle(Uptime(0), queue::Input::Sent);
        }
    }
    parcels
}

fn check_text(parcel: &Parcel, expected: &str) {
    let Text { title, body, .. } = Text::of(parcel);
    assert_eq!(format!("{title}\n{body}"), expected.trim());
}

#[test]
fn what_people_read() {
    let one = |notice| parcels(vec![notice], 10).remove(0);
    check_text(
        &one(page(12, 1, Severity::Critical, Cause::Fired)),
        "
Critical: EC 2.93 in tower-1, limit 2.8
Dilute the tank.
Now 2.93 mS/cm, limit 2.8 mS/cm
For 5 min, since 2026-03-01 06:30 UTC
Alert 12: ec-high, tower-1/ec",
    );
    let mut repeated = page(12, 3, Severity::Urgent, Cause::Escalated);
    repeated.repeat = true;
    repeated.report.since = Stamp { wall: None, ..stamp(60) };
    repeated.report.message = "one\ntwo".to_owned();
    let mut repeated = one(repeated);
    repeated.items[0].earlier = 2;
    repeated.untold = 3;
    check_text(
        &repeated,
        "
Repeat: Urgent: one two
Nobody has acknowledged it yet.
Dilute the tank.
Now 2.93 mS/cm, limit 2.8 mS/cm
For 4 min; the clock is not set
2 earlier pages about it were not delivered.
Alert 12: ec-high, tower-1/ec
3 earlier notices could not be delivered.",
    );
    let mut silent = resolved(12);
    silent.report.value = Some(Figure::Time(Span::from_mins(125)));
    silent.report.limit = Some(Figure::Time(Span::from_mins(120)));
    silent.report.since = Stamp { boot: 2, ..stamp(0) };
    silent.report.message = "tower-1/ec reporting again after 2 h 5 min".to_owned();
    check_text(
        &one(silent),
        "
Resolved: tower-1/ec reporting again after 2 h 5 min
Since 2026-03-01 06:30 UTC
Alert 12: ec-high, tower-1/ec",
    );
    let mut bus = page(13, 1, Severity::Critical, Cause::Fired);
    bus.report.message = "bus gateway is down".to_owned();
    bus.report.at = stamp(7200 + 59);
    (bus.is_measured, bus.why) = (false, Some("/dev/ttyUSB0: there is no such port".to_owned()));
    bus.report.key.zone = Id::new("shed").unwrap();
    check_text(
        &one(bus),
        "
Critical: bus gateway is down
/dev/ttyUSB0: there is no such port
Dilute the tank.
For 2 h, since 2026-03-01 06:30 UTC
Alert 13: ec-high, tower-1/ec in shed",
    );
    let refused =
        page(14, 2, Severity::Critical, Cause::Fired).instead_of(vec![id("phone")], "answered 400 Bad Request");
    check_text(
        &one(refused),
        "
Critical: EC 2.93 in tower-1, limit 2.8
Channel phone could not deliver this: answered 400 Bad Request
Dilute the tank.
Now 2.93 mS/cm, limit 2.8 mS/cm
For 5 min, since 2026-03-01 06:30 UTC
Alert 14: ec-high, tower-1/ec",
    );
    let many = (1..=25)
        .map(|alert| page(alert, 1, if alert == 9 { Severity::Urgent } else { Severity::Warning }, Cause::Fired));
    let digest = parcels(many.chain([resolved(99)]).collect(), 1);
    assert_eq!(digest.len(), 1, "the first went alone, and with it the budget");
    let many = (1..=25)
        .map(|alert| page(alert, 1, if alert == 9 { Severity::Urgent } else { Severity::Warning }, Cause::Fired));
    let digest = &parcels(many.chain([resolved(99)]).collect(), 3)[1];
    let Text { title, body, severity } = Text::of(digest);
    assert_eq!(title, "25 notices: 1 urgent, 23 warning, 1 resolved");
    assert_eq!(body.lines().count(), 21);
    assert!(body.starts_with("Urgent: EC 2.93") && body.ends_with("\nand 5 more"), "{body}");
    assert_eq!((severity, digest.id().as_str()), (Some(Severity::Urgent), "pi-9-1-digest-5200012f"));
}

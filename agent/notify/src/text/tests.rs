//! What people read, compared as golden text.

use std::sync::Arc;

use tilth_core::time::{Stamp, Uptime};

use super::*;
use crate::notification::samples::{page, resolved, stamp};
use crate::queue::{self, Limits, Queue};

fn id(name: &str) -> Id {
    Id::new(name).unwrap()
}

/// The parcel that a queue makes of these, the first of them alone.
pub(crate) fn messages(notifications: Vec<Notification>, most: u32) -> Vec<Message> {
    let mut queue = Queue::new(Limits { max_per_hour: Some(most), expiry: None });
    for notification in notifications {
        queue.handle(Uptime(0), queue::Input::Notification(Arc::new(notification)));
    }
    let mut messages = Vec::new();
    while let Some(effect) = queue.poll() {
        if let queue::Effect::Send(message) = effect {
            messages.push(message);
            queue.handle(Uptime(0), queue::Input::Sent);
        }
    }
    messages
}

fn check_text(message: &Message, expected: &str) {
    let Text { title, body, .. } = Text::of(message);
    assert_eq!(format!("{title}\n{body}"), expected.trim());
}

#[test]
fn what_people_read() {
    let one = |notification| messages(vec![notification], 10).remove(0);
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
    repeated.details.since = Stamp { wall: None, ..stamp(60) };
    repeated.details.message = "one\ntwo".to_owned();
    let mut repeated = one(repeated);
    repeated.items[0].earlier = 2;
    repeated.undelivered = 3;
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
    silent.details.value = Some(DisplayValue::Time(Span::from_mins(125)));
    silent.details.limit = Some(DisplayValue::Time(Span::from_mins(120)));
    silent.details.since = Stamp { boot: 2, ..stamp(0) };
    silent.details.message = "tower-1/ec reporting again after 2 h 5 min".to_owned();
    check_text(
        &one(silent),
        "
Resolved: tower-1/ec reporting again after 2 h 5 min
Since 2026-03-01 06:30 UTC
Alert 12: ec-high, tower-1/ec",
    );
    let mut bus = page(13, 1, Severity::Critical, Cause::Fired);
    bus.details.message = "bus gateway is down".to_owned();
    bus.details.at = stamp(7200 + 59);
    (bus.is_measured, bus.why) = (false, Some("/dev/ttyUSB0: there is no such port".to_owned()));
    bus.details.key.zone = Id::new("shed").unwrap();
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
    let digest = messages(many.chain([resolved(99)]).collect(), 1);
    assert_eq!(digest.len(), 1, "the first went alone, and with it the budget");
    let many = (1..=25)
        .map(|alert| page(alert, 1, if alert == 9 { Severity::Urgent } else { Severity::Warning }, Cause::Fired));
    let digest = &messages(many.chain([resolved(99)]).collect(), 3)[1];
    let Text { title, body, severity } = Text::of(digest);
    assert_eq!(title, "25 notices: 1 urgent, 23 warning, 1 resolved");
    assert_eq!(body.lines().count(), 21);
    assert!(body.starts_with("Urgent: EC 2.93") && body.ends_with("\nand 5 more"), "{body}");
    assert_eq!((severity, digest.id().as_str()), (Some(Severity::Urgent), "pi-9-1-digest-5200012f"));
}

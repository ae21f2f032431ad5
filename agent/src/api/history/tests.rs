use serde_json::json;
use tilth_core::time::Uptime;

use super::*;

const NOON: WallTime = WallTime(1_780_315_200_000);

fn now(wall: Option<WallTime>) -> Stamp {
    Stamp { boot: 2, uptime: Uptime(3_600_000), wall }
}

#[test]
fn a_period_begins_some_time_ago_or_at_a_time_of_day() {
    let berlin = tilth_core::local::Local::new(jiff::tz::TimeZone::get("Europe/Berlin").ok());
    let ago = |text: &str, wall| ago(text, now(wall), |shown| berlin.instant(shown)).map_err(|problem| problem.detail);
    assert_eq!(ago("24h", None), Ok(Span::from_mins(24 * 60)));
    assert_eq!(ago("2026-06-01T10:00:00Z", Some(NOON)), Ok(Span::from_mins(120)));
    // 12:00 UTC is 14:00 in Berlin.
    for text in ["2026-06-01T13:00", "2026-06-01 13:00"] {
        assert_eq!(ago(text, Some(NOON)), Ok(Span::from_mins(60)), "{text}");
    }
    assert_eq!(ago("2026-06-01", Some(NOON)), Ok(Span::from_mins(14 * 60)));
    assert_eq!(ago("2027-01-01", Some(NOON)), Ok(Span::ZERO));
    assert!(ago("2026-06-01", None).unwrap_err().contains("give a time ago, such as 24h"));
    assert!(ago("yesterday", Some(NOON)).unwrap_err().starts_with("\"yesterday\": expected a time ago, such as 24h"));
}

fn transition(event: &str, alert: Option<u64>, at_s: i64, more: &Json) -> Event {
    let Json::Object(mut body) = json!({
        "event": event, "alert": alert, "zone": "tank", "rule": "ph-high", "sensor": "tank/ph", "severity": "warning",
        "since": "2026-06-01T11:55:00Z", "message": format!("pH at {at_s} s"),
    }) else {
        unreachable!("an object is written here")
    };
    body.extend(more.as_object().cloned().unwrap_or_default());
    let at = Stamp { boot: 1, uptime: Uptime(at_s * 1000), wall: Some(WallTime(NOON.0 + at_s * 1000)) };
    Event { seq: 1, at, kind: "alert".to_owned(), body }
}

#[test]
fn transitions_of_an_alert_become_one_row() {
    let rows = past_alerts(&[
        transition("pending", None, 0, &json!({})),
        transition("firing", Some(31), 60, &json!({})),
        transition("firing", Some(32), 61, &json!({"sensor": "tank/ec"})),
        transition("escalated", Some(31), 120, &json!({"severity": "critical"})),
        transition("acknowledged", Some(31), 180, &json!({"by": "anna", "severity": "critical"})),
        transition("resolved", Some(31), 240, &json!({"reason": "cleared", "severity": "critical"})),
        transition("resolved", Some(7), 300, &json!({"reason": "removed"})),
    ]);
    let [before, first, second] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((first.alert, first.severity.as_str(), first.is_over), (31, "critical", true));
    assert_eq!(first.fired.as_deref(), Some("2026-06-01T12:01:00Z"));
    assert_eq!(first.resolved.as_deref(), Some("2026-06-01T12:04:00Z"));
    assert_eq!((first.by.as_deref(), first.reason.as_deref()), (Some("anna"), Some("cleared")));
    assert_eq!((first.since.as_deref(), first.message.as_str()), (Some("2026-06-01T11:55:00Z"), "pH at 240 s"));
    assert_eq!((second.alert, second.sensor.as_str(), second.is_over), (32, "tank/ec", false));
    assert_eq!((before.alert, before.fired.as_deref(), before.is_over), (7, None, true));
}

fn actuation(action: &str, at_s: i64, more: &Json) -> Event {
    let Event { at, mut body, .. } =
        transition("actuate", None, at_s, &json!({ "actuator": "acid", "action": action }));
    body.extend(more.as_object().cloned().unwrap_or_default());
    Event { seq: 1, at, kind: "actuation".to_owned(), body }
}

#[test]
fn events_of_an_actuator_become_a_row_for_each_dose_and_refusal() {
    let on = |hour: f64| json!({ "for_s": 3.0, "hour_s": hour, "day_s": hour, "by": "its target" });
    let rows = past_actuations(&[
        actuation("off", 0, &json!({ "reason": "hold" })),
        actuation("on", 60, &on(3.0)),
        actuation("on", 61, &json!({ "actuator": "horn", "by": "channel siren" })),
        actuation("off", 63, &json!({ "reason": "time-over" })),
        actuation("refused", 64, &json!({ "reason": "min-off", "by": "anna" })),
        actuation("on", 660, &on(6.0)),
        actuation("lost", 670, &json!({})),
        actuation("off", 670, &json!({ "reason": "lost" })),
        actuation("on", 1300, &on(9.0)),
        actuation("on", 1900, &on(12.0)),
    ]);
    let said = |row: &ActuationRow| {
        let [on, hour] = [row.on_s, row.hour_s].map(|time| time.map_or(-1.0, f64::round));
        let [by, reason] = [&row.by, &row.reason].map(|text| text.as_deref().unwrap_or("-"));
        format!("{} {} {} on {on} hour {hour} by {by}: {reason}", row.at.as_deref().unwrap(), row.actuator, row.outcome)
    };
    assert_eq!(
        rows.iter().map(said).collect::<Vec<_>>(),
        [
            "2026-06-01T12:00:00Z acid off on -1 hour -1 by -: hold",
            "2026-06-01T12:01:00Z acid off on 3 hour 3 by its target: time-over",
            "2026-06-01T12:01:01Z horn on on -1 hour -1 by channel siren: -",
            "2026-06-01T12:01:04Z acid refused on -1 hour -1 by anna: min-off",
            "2026-06-01T12:11:00Z acid lost on 10 hour 6 by its target: lost",
            // Nobody recorded its end: the agent was killed, or the disk was full.
            "2026-06-01T12:21:40Z acid on on -1 hour 9 by its target: -",
            "2026-06-01T12:31:40Z acid on on -1 hour 12 by its target: -",
        ]
    );
}

#[test]
fn alerts_that_are_open_belong_to_each_period_that_they_were_open_in() {
    let open = |alert: u64, for_s: f64| -> AlertRow {
        let row = json!({
            "alert": alert, "zone": "tank", "rule": "ph-high", "sensor": "tank/ph", "state": "firing", "severity": "warning",
            "since": null, "for_s": for_s, "silenced": false, "inhibited": false, "pages": 1, "message": "pH 7.4",
        });
        serde_json::from_value(row).unwrap()
    };
    let shown = |from: i64, until: i64| {
        let (from, until) = (Span::from_mins(from), Span::from_mins(until));
        let rows = past_alerts(&[transition("firing", Some(31), 60, &json!({}))]);
        let open = vec![open(7, 7_200.0), open(31, 1_800.0), open(40, 0.0)];
        let rows = with_open(rows, open, &Period { now: now(Some(NOON)), from, until });
        rows.iter().map(|row| (row.alert, row.fired.is_some(), row.is_over)).collect::<Vec<_>>()
    };
    assert_eq!(shown(60, 0), [(7, false, false), (31, true, false), (40, false, false)]);
    assert_eq!(shown(120, 60), [(7, false, false), (31, true, false)]);
    assert_eq!(shown(180, 60), [(31, true, false)]);
}

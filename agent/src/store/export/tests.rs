use std::collections::BTreeMap;

use serde_json::json;

use super::*;

const ZERO: i64 = 1_780_272_000_000;

/// An export of these events, each with its second, its kind and its body.
fn export(events: &[(i64, &str, serde_json::Value)]) -> Export {
    let mut export = Export::scratch().unwrap();
    let boots = BTreeMap::from([(1, BootPart::whole(Some(WallTime(ZERO))))]);
    let stream = tilth_protocol::Stream(1);
    let contents = Contents { stream, boots, undated: Vec::new(), series: BTreeMap::new(), keys: BTreeMap::new() };
    export.begin(&contents, &BTreeSet::new()).unwrap();
    let row = |(index, (second, kind, body)): (usize, &(i64, &str, serde_json::Value))| {
        let at = json!({ "boot": 1, "uptime": second * 1000, "wall": null });
        let event = json!({ "seq": index + 1, "at": at, "kind": kind, "body": body });
        StoredRow { boot: 1, start: tilth_core::time::Uptime(second * 1000), content: event.to_string().into_bytes() }
    };
    let rows: Vec<StoredRow> = events.iter().enumerate().map(row).collect();
    export.add(Table::Event, &rows).unwrap();
    assert_eq!(export.counts.events, events.len() as u64);
    export
}

#[track_caller]
fn check(export: &Export, view: &str, expected: &[&str]) {
    let mut rows = Vec::new();
    let row = |cells: &[String]| {
        rows.push(cells.join("|"));
        Ok::<(), ()>(())
    };
    export.show(view, row).unwrap().unwrap();
    assert_eq!(rows[1..], *expected, "{view} under {}", rows[0]);
}

#[test]
fn an_alert_is_one_row_with_the_times_of_all_its_transitions() {
    let of = |event: &str, alert: Option<u64>, more: serde_json::Value| {
        let mut body = json!({ "event": event, "zone": "t", "rule": "hot", "sensor": "t/temp", "severity": "warning",
            "since": "2026-06-01T00:00:00Z", "message": event });
        if let (Some(alert), Some(body)) = (alert, body.as_object_mut()) {
            body.insert("alert".to_owned(), alert.into());
        }
        if let (serde_json::Value::Object(more), Some(body)) = (more, body.as_object_mut()) {
            body.extend(more);
        }
        body
    };
    let export = export(&[
        (1, "alert", of("pending", None, json!({}))),
        (2, "alert", of("firing", Some(7), json!({}))),
        (3, "page", of("notify", Some(7), json!({}))),
        (4, "alert", of("acknowledged", Some(7), json!({ "by": "zoe" }))),
        (5, "alert", of("acknowledged", Some(7), json!({ "by": "anna" }))),
        (6, "alert", of("firing", Some(8), json!({ "severity": "critical" }))),
        (7, "alert", of("resolved", Some(7), json!({ "reason": "cleared" }))),
    ]);
    let since = "2026-06-01T00:00:00Z";
    check(
        &export,
        "alerts",
        &[
            &format!(
                "7|t|hot|t/temp|warning|{since}|2026-06-01T00:00:02.000Z|2026-06-01T00:00:07.000Z|1|cleared|anna|resolved"
            ),
            &format!("8|t|hot|t/temp|critical|{since}|2026-06-01T00:00:06.000Z||0|||firing"),
        ],
    );
}

#[test]
fn a_dose_lasts_until_the_actuator_is_off_or_on_again() {
    let of = |actuator: &str, action: &str, reason: Option<&str>| json!({ "event": "actuate", "zone": "t", "actuator": actuator, "action": action, "reason": reason, "by": "anna", "message": "m" });
    let export = export(&[
        (10, "actuation", of("acid", "on", None)),
        (11, "actuation", of("fan", "on", None)),
        (12, "actuation", of("acid", "refused", Some("dose_per_day"))),
        (13, "actuation", of("acid", "off", Some("max_on"))),
        (20, "actuation", of("acid", "on", None)),
        (25, "actuation", of("acid", "on", None)),
        (26, "actuation", of("acid", "lost", None)),
        (30, "note", json!({ "by": "anna", "text": "a \"quoted\" word,\nand a line" })),
    ]);
    check(
        &export,
        "doses",
        &[
            "2026-06-01T00:00:10.000Z|t|acid|3|max_on|anna|||1|10",
            "2026-06-01T00:00:11.000Z|t|fan|||anna|||1|11",
            "2026-06-01T00:00:20.000Z|t|acid|5|on again|anna|||1|20",
            "2026-06-01T00:00:25.000Z|t|acid|1|not confirmed|anna|||1|25",
        ],
    );
    check(&export, "notes", &["2026-06-01T00:00:30.000Z|anna|a \"quoted\" word,\nand a line|1|30"]);
}

/// Guards against: a large scratch that fills the disk unseen.
#[test]
fn a_scratch_beyond_its_memory_is_in_a_file_and_says_so() {
    // SQLite's own has no name.
    let has_file = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut names = open.filter_map(|file| std::fs::read_link(file.path()).ok());
        names.any(|name| name.to_string_lossy().ends_with(" (deleted)"))
    };
    let small = export(&[(1, "note", json!({ "text": "looked" }))]);
    assert_eq!((small.is_on_disk().unwrap(), has_file()), (false, false));
    let text = "x".repeat(1000);
    let notes: Vec<_> = (0..2500).map(|second| (second, "note", json!({ "text": text }))).collect();
    let large = export(&notes);
    assert_eq!((large.is_on_disk().unwrap(), has_file()), (true, true));
}

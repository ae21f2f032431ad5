//! JSON of what tasks post for `status`: programs read it, so its keys and their order stay.

use serde_json::{from_str, json, to_string};
use tilth_config::BusKind;
use tilth_core::id::{Id, SensorId};

use super::*;
use crate::decide::ReadingCounts;
use crate::sense::bus::health::{BoardHealth, BusHealth, HealthHandle, Reason, UnusableValue};

fn sensor() -> SensorId {
    SensorId::new("room/co2").unwrap()
}

fn check_bus(id: &str, kind: BusKind, fill: impl FnOnce(&mut BusHealth), expected: &str) {
    let health = HealthHandle::default();
    fill(&mut health.lock());
    let bus = Bus { id: Id::new(id).unwrap(), kind, port: "/dev/x".to_owned(), health, calibrations: None };
    assert_eq!(to_string(&bus_state(bus, Uptime(5000), None)).unwrap(), expected);
}

#[test]
fn the_json_of_a_bus_stays() {
    let lines = |health: &mut BusHealth| {
        (health.state, health.since, health.opened, health.bytes) = (State::Up, Some(Uptime(1000)), 2, 300);
        health.last_input = Some(Uptime(4000));
        let value = UnusableValue { field: "co2".to_owned(), text: "n/a".to_owned(), sensor: sensor() };
        health.messages.ignore(Reason::new("not_a_number", "no number"), "co2=n/a", Some(value));
        health.messages.set_fault(&sensor(), Some(&"broken".into()));
        health.mixed = [(sensor(), "node says 7 and 9".to_owned())].into();
    };
    let expected = r#"{"bus":"gateway","kind":"line","port":"/dev/x","state":"up","reason":null,"since":null,"for_s":4.0,"opened":2,"bytes":300,"messages":0,"used":0,"last_message":null,"last_message_s":1.0,"ignored":{"not_a_number":1},"reasons":{"not_a_number":"no number"},"last_ignored":{"reason":"not_a_number","message":"co2=n/a","field":"co2","text":"n/a","sensor":"room/co2"},"unclaimed":[],"not_received":[],"rejected_stamps":[],"faults":[{"sensor":"room/co2","why":"broken"}],"several_nodes":[{"sensor":"room/co2","why":"node says 7 and 9"}],"failures":0,"failed":null,"board":null}"#;
    check_bus("gateway", BusKind::Line, lines, expected);
    let board = |health: &mut BusHealth| {
        health.board = Some(BoardHealth {
            id: "00ff".to_owned(),
            kind: "Uno".to_owned(),
            firmware: "1.2".to_owned(),
            port: "/dev/y".to_owned(),
            last_start: "power".to_owned(),
            restarts: 1,
            readings: 2,
            lost: 3,
            held: 4,
            bad_frames: 5,
            refused: vec!["relay-1".to_owned()],
            unanswered: 6,
            instead_of: Some("11aa".to_owned()),
        });
    };
    let expected = r#"{"bus":"relays","kind":"board","port":"/dev/x","state":"opening","reason":null,"since":null,"for_s":null,"opened":0,"bytes":0,"messages":0,"used":0,"last_message":null,"last_message_s":null,"ignored":{},"reasons":{},"last_ignored":null,"unclaimed":[],"not_received":[],"rejected_stamps":[],"faults":[],"several_nodes":[],"failures":0,"failed":null,"board":{"id":"00ff","kind":"Uno","firmware":"1.2","port":"/dev/y","last_start":"power","restarts":1,"readings":2,"lost":3,"held":4,"bad_frames":5,"refused":["relay-1"],"unanswered":6,"instead_of":"11aa"}}"#;
    check_bus("relays", BusKind::Board, board, expected);
}

#[test]
fn the_json_of_bundles_and_counts_stays() {
    let sync = |bundle: BundleStatus| {
        let snapshot = SyncSnapshot { hub: Some("https://h".to_owned()), ..SyncSnapshot::default() };
        to_string(&sync_state(snapshot, bundle, Uptime(5000))).unwrap()
    };
    let rejected = json!({"hash":"ab","trusted":"k","version":4,"reason":"bad","reverted":{"content":"cd"}});
    let shown = sync(BundleStatus {
        active: from_str(r#"{"version":3,"hash":"0123"}"#).unwrap(),
        unavailable_reason: Some("gone".to_owned()),
        state_error: Some("lost".to_owned()),
        probation: Some(vec![sensor()]),
        rejected: from_str(&rejected.to_string()).unwrap(),
        deferred_reason: Some("disk full".to_owned()),
        ignored: vec!["config.d/a.toml".to_owned()],
    });
    let expected = r#"{"hub":"https://h","now":5000,"trouble":null,"alerts":{},"bundle":{"version":3,"hash":"0123"},"unavailable_reason":"gone","state_error":"lost","probation":["room/co2"],"rejected":{"hash":"ab","trusted":"k","version":4,"reason":"bad","reverted":{"content":"cd"}},"pending_reason":"disk full","ignored":["config.d/a.toml"]"#;
    assert_eq!(shown.split_once(r#","state":"#).unwrap().0, expected);
    let rejected = json!({"hash":"ab","trusted":"k","version":null,"reason":"bad","content":"cd"});
    let rejected = from_str(&rejected.to_string()).unwrap();
    let expected = r#"{"hub":"https://h","now":5000,"trouble":null,"alerts":{},"bundle":null,"unavailable_reason":null,"state_error":null,"probation":null,"rejected":{"hash":"ab","trusted":"k","version":null,"reason":"bad","content":"cd"},"pending_reason":null,"ignored":[]"#;
    let shown = sync(BundleStatus { rejected, ..BundleStatus::default() });
    assert_eq!(shown.split_once(r#","state":"#).unwrap().0, expected);
    let counts = ReadingCounts {
        decided: 1,
        missing: 2,
        late: 3,
        future_stamps: 4,
        past_stamps: 5,
        unplaced_stamps: 6,
        dropped: 7,
    };
    let expected =
        r#"{"decided":1,"missing":2,"late":3,"future_stamps":4,"past_stamps":5,"unplaced_stamps":6,"dropped":7}"#;
    assert_eq!(to_string(&counts).unwrap(), expected);
}

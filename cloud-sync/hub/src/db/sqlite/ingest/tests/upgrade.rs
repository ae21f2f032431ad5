//! An upgrade of the hub or of the agent while rows are sent again: they stay the same rows, and those that one of the two cannot read
//! hold up no other.

use std::path::Path;

use super::*;
use crate::db::sqlite::{MIGRATIONS, migrate};

/// A database as a hub of schema 6 left it after it took [`note`] 1 and [`first_window`], which it fingerprinted by version 1; then migrated.
fn of_schema_6() -> Farm {
    let mut connection = Connection::open_in_memory().unwrap();
    for migration in &MIGRATIONS[..6] {
        connection.execute_batch(migration).unwrap();
    }
    connection
        .execute_batch(&format!(
            "PRAGMA user_version = 6;
            INSERT INTO hub (id, epoch, created) VALUES (1, '{}', 0);
            INSERT INTO tenants (id, name, created) VALUES (1, 'acme', 0);
            INSERT INTO devices (id, tenant, name, created) VALUES (1, 1, 'pi-7', 0);
            INSERT INTO streams (id, device, name, created, last_heard) VALUES (1, 1, '{}', 0, 0);
            INSERT INTO device_state (device, last_heard, stream) VALUES (1, 0, 1);
            INSERT INTO lanes (stream, lane, confirmed, lost) VALUES (1, 'events', 1, 0), (1, 'windows', 1, 0);
            INSERT INTO runs (stream, lane, first, last, kind, marks, received)
                VALUES (1, 'events', 1, 1, 'rows', x'73ebfdce12a3b33b', 1), (1, 'windows', 1, 1, 'rows', x'5907517d2b1077d0', 1);",
            Epoch(7),
            Stream(1)
        ))
        .unwrap();
    migrate(&mut connection, Path::new("memory")).unwrap();
    let client = ClientState { confirmed: Confirmed::default(), next_epoch: Epoch(99) };
    let row = |table: &str| connection.query_row(&format!("SELECT id FROM {table}"), [], |row| row.get(0));
    let (tenant, device) =
        (row("tenants").unwrap(), connection.query_row("SELECT id FROM devices", [], |row| row.get(0)));
    Farm { tenant, device: device.unwrap(), quota: Quota::USUAL, client, now: WallTime(MIDNIGHT), connection }
}

fn first_window() -> Json {
    window(1, at(1, 60_000, None), 0, 680)
}

/// As a newer agent sends it.
fn with_more(mut row: Json) -> Json {
    row["added"] = json!({"by": "a newer agent"});
    row
}

fn unreadable(seq: u64) -> Json {
    let mut row = window(seq, at(1, seq as i64 * 60_000, None), 0, 680);
    row["quantity"] = json!("mood");
    row
}

fn mark_versions(farm: &Farm) -> Vec<(String, i64)> {
    let mut select = farm.connection.prepare("SELECT lane, mark_version FROM runs ORDER BY lane, last").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn rows_that_an_earlier_hub_took_are_known_when_a_newer_agent_sends_them_again() {
    let farm = of_schema_6();
    let again = json!({
        "events": rows(&[with_more(note(1, "x")), with_more(note(2, "y"))]),
        "windows": rows(&[with_more(first_window())]),
    });
    for _ in 0..2 {
        let answer = farm.answer(&batch(1, again.clone()));
        assert_eq!(
            (answer.confirmed[&Lane::Events], answer.confirmed[&Lane::Windows], answer.rejected),
            (2, 1, vec![])
        );
        assert_eq!((farm.count("events"), farm.count("windows")), (1, 0), "what is known is not stored again");
    }
    let versions = [("events".to_owned(), 1), ("events".to_owned(), 2), ("windows".to_owned(), 1)];
    assert_eq!(mark_versions(&farm), versions);
    assert_eq!(devices::get(&farm.connection, farm.device).unwrap().unknown_keys, 6);
    // Another row under a known sequence is still found, by the fingerprints of either version.
    for (lanes, lane, seq) in [
        (json!({"events": rows(&[note(1, "z"), note(2, "y")])}), Lane::Events, 1),
        (json!({"events": rows(&[note(1, "x"), note(2, "z")])}), Lane::Events, 2),
        (json!({"windows": rows(&[window(1, at(1, 60_000, None), 0, 681)])}), Lane::Windows, 1),
    ] {
        assert_eq!(farm.refused(&batch(1, lanes)), BatchRejection::Content { lane, seq });
    }
}

#[test]
fn rows_of_a_newer_agent_are_known_when_the_one_before_sends_them_again() {
    let plain = [note(1, "x"), note(2, "y")];
    let newer = plain.clone().map(with_more);
    for (first, then) in [(&newer, &plain), (&plain, &newer)] {
        let farm = farm();
        farm.answer(&batch(1, json!({"events": rows(first)})));
        assert_eq!(farm.confirmed(&batch(1, json!({"events": rows(then)})), Lane::Events), 2);
        assert_eq!(farm.count("events"), 2);
    }
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_taken_once_it_can_be() {
    let farm = farm();
    let brought = batch(1, json!({"windows": rows(&[first_window(), unreadable(2), window(3, at(1, 1, None), 0, 1)])}));
    for _ in 0..2 {
        let answer = farm.answer(&brought);
        let [row] = answer.rejected.as_slice() else { panic!("{answer:?}") };
        assert_eq!((row.lane, row.seq), (Lane::Windows, 2), "named each time that it comes");
        assert!(row.reason.starts_with("quantity: unknown word mood; expected one of "), "{}", row.reason);
        assert_eq!((answer.confirmed[&Lane::Windows], farm.count("windows")), (3, 2), "the others are taken");
        assert_eq!(farm.count("quarantine"), 1);
    }
    let device = devices::get(&farm.connection, farm.device).unwrap();
    assert_eq!(
        (device.quarantined, device.rows, device.others),
        (1, 2, 3),
        "the row, its boot, and one of the refused"
    );
    // The device sets it aside; or the hub learns to read it before that is known.
    let gap = json!({"first": 2, "last": 2, "rows": [], "gaps": [{"first": 2, "last": 2, "kind": "quarantined", "reason": "x"}]});
    assert_eq!(farm.confirmed(&batch(1, json!({"windows": gap})), Lane::Windows), 3);
    let mended = batch(1, json!({"windows": rows(&[window(2, at(1, 120_000, None), 0, 680)])}));
    assert_eq!(farm.answer(&mended).rejected, []);
    assert_eq!((farm.count("windows"), farm.count("quarantine")), (3, 0));
    farm.answer(&mended);
    assert_eq!(farm.count("windows"), 3);
}

#[test]
fn refused_rows_are_counted_and_the_newest_are_kept() {
    let farm = farm();
    let mut long = unreadable(250);
    long["zz"] = json!("\u{e9}".repeat(5_000));
    let all: Vec<Json> = (1..250).map(unreadable).chain([long]).collect();
    let answer = farm.answer(&batch(1, json!({"windows": rows(&all)})));
    assert_eq!((answer.rejected.len(), answer.confirmed[&Lane::Windows]), (250, 250));
    assert_eq!((farm.count("quarantine"), farm.count("windows")), (100, 0));
    assert_eq!(devices::get(&farm.connection, farm.device).unwrap().quarantined, 250);
    let newest = quarantine::newest(&farm.connection, farm.device).unwrap();
    assert_eq!((newest.len(), newest[0].seq, newest[1].seq), (10, 250, 249));
    assert!(newest[0].text.len() <= 4 << 10 && newest[0].text.contains("mood"), "{} bytes", newest[0].text.len());
    // What is readable and cannot be stored goes the same way.
    let rejected =
        farm.answer(&batch(1, json!({"events": rows(&[event(1, "No", at(1, 1, None), json!({}))])}))).rejected;
    assert_eq!((rejected.len(), farm.count("quarantine")), (1, 100));
    let newest = quarantine::newest(&farm.connection, farm.device).unwrap();
    assert_eq!((newest[0].lane.as_str(), &newest[0].reason), ("events", &rejected[0].reason));
    assert!(newest[0].text.contains("\"kind\":\"No\""), "{}", newest[0].text);
}

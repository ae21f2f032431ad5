//! Rows that are due go, the rest stays, and what was confirmed stays confirmed.

use serde_json::json;
use tilth_core::id::Id;
use tilth_core::time::Span;
use tilth_protocol::{Confirmed, Epoch, Lane, Stream};

use super::*;
use crate::db::sqlite::ingest;
use crate::db::sqlite::tests::in_memory;
use crate::domain::ingest::quota::Quota;
use crate::domain::ingest::received::{ParsedBatch, RawBatch};
use crate::domain::ingest::{BatchOutcome, ClientState};
use crate::domain::retention::{Keep, Retention};

const DAY: i64 = 86_400_000;

struct Hub {
    connection: Connection,
    tenant: TenantId,
    device: DeviceId,
}

fn hub() -> Hub {
    let connection = in_memory();
    let id = |name: &str| Id::new(name).unwrap();
    let tenant = devices::add_tenant(&connection, &id("acme"), WallTime(0)).unwrap().unwrap();
    let device = devices::add(&connection, tenant, &id("pi-7"), WallTime(0)).unwrap().unwrap();
    Hub { connection, tenant, device }
}

/// An event, a window and a lost sequence of each lane, from a sequence on.
fn batch(first: u64, kind: &str) -> ParsedBatch {
    let at = json!({"boot": 1, "uptime": first * 60_000, "wall": null});
    let sums = json!({"sum": 1, "sum_sq": "1", "min": 1, "max": 1, "last": 1, "last_at": 0});
    let window = json!({
        "seq": first, "sensor": "a/b", "quantity": "ph", "resolution": 0.01, "grain": "minute", "start": at,
        "revision": 0, "bad": 0, "count": 1, "sums": sums,
    });
    let event = json!({"seq": first, "at": at, "kind": kind, "body": {"version": first, "outcome": "applied"}});
    let gaps = json!([{"first": first + 1, "last": first + 1, "kind": "lost", "reason": "x"}]);
    let lane = |row| json!({"first": first, "last": first + 1, "rows": [row], "gaps": gaps});
    let batch = json!({
        "version": 1, "client": "acme", "device": "pi-7", "stream": Stream(1).to_string(), "epoch": null,
        "lanes": {"events": lane(event), "windows": lane(window)},
    });
    serde_json::from_value::<RawBatch>(batch).unwrap().parse()
}

impl Hub {
    fn take(&self, batch: &ParsedBatch, day: i64) -> BatchOutcome {
        let client = ClientState { confirmed: Confirmed::default(), next_epoch: Epoch(9) };
        ingest::store(&self.connection, self.device, (batch, &client), Quota::USUAL, WallTime(day * DAY)).unwrap()
    }

    fn confirmed(&self, batch: &ParsedBatch, day: i64) -> [u64; 2] {
        match self.take(batch, day) {
            BatchOutcome::Stored { answer, .. } => [Lane::Events, Lane::Windows].map(|lane| answer.confirmed[&lane]),
            BatchOutcome::Rejected(refused) => panic!("{refused}"),
        }
    }

    fn keep(&self, windows: Keep, events: Keep, batches: Keep) {
        let retention = Retention { windows, events, batches };
        devices::set_retention(&self.connection, self.tenant, &retention).unwrap();
    }

    fn prune(&self, most: usize, day: i64) -> usize {
        step(&self.connection, most, WallTime(day * DAY)).unwrap()
    }

    fn count(&self, table: &str) -> u64 {
        self.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// Windows, events, and runs of sequences; rows and others that are counted.
    fn counts(&self) -> ([u64; 3], [u64; 2]) {
        let device = devices::get(&self.connection, self.device).unwrap();
        (["windows", "events", "runs"].map(|table| self.count(table)), [device.rows, device.others])
    }
}

fn days(days: i64) -> Keep {
    Keep::For(Span(days * DAY))
}

#[test]
fn what_was_received_before_is_deleted_by_kind() {
    for (keep, expected) in [
        ([Keep::Forever; 3], ([3, 3, 12], [6, 7])),
        ([days(100); 3], ([3, 3, 12], [6, 7])),
        ([days(5), Keep::Forever, Keep::Forever], ([1, 3, 12], [4, 7])),
        ([Keep::Forever, days(5), Keep::Forever], ([3, 1, 12], [4, 7])),
        ([Keep::Forever, Keep::Forever, days(5)], ([3, 3, 4], [6, 3])),
        ([days(5); 3], ([1, 1, 4], [2, 3])),
        // A batch of the day itself is not before it.
        ([days(20), days(10), days(9)], ([3, 2, 4], [5, 3])),
    ] {
        let hub = hub();
        for (first, day) in [(1, 0), (3, 10), (5, 19)] {
            assert_eq!(hub.confirmed(&batch(first, "note"), day), [first + 1; 2]);
        }
        hub.keep(keep[0], keep[1], keep[2]);
        while hub.prune(2, 20) == 2 {}
        assert_eq!(hub.counts(), expected, "{keep:?}");
        assert_eq!((hub.prune(100, 20), hub.counts()), (0, expected));
    }
}

/// Guards against: rows that come again after their fingerprints are gone, taken for new ones or for another agent's.
#[test]
fn what_comes_again_after_it_was_deleted_is_confirmed_and_not_stored() {
    let hub = hub();
    for (first, day) in [(1, 0), (3, 0), (5, 19)] {
        hub.confirmed(&batch(first, "note"), day);
    }
    hub.keep(days(5), days(5), days(5));
    assert_eq!(hub.prune(100, 20), 12);
    let before = hub.counts();
    for again in [batch(1, "note"), batch(3, "other"), batch(5, "note")] {
        assert_eq!(hub.confirmed(&again, 20), [6, 6]);
    }
    assert_eq!(hub.counts(), before);
    assert!(matches!(hub.take(&batch(5, "other"), 20), BatchOutcome::Rejected(_)), "what is still known is compared");
    assert_eq!(hub.confirmed(&batch(7, "note"), 20), [8, 8]);
}

/// Runs of a lane are kept until they are confirmed: else a hole could not be told from what was taken.
#[test]
fn marks_of_what_is_not_confirmed_stay() {
    let hub = hub();
    assert_eq!(hub.confirmed(&batch(3, "note"), 0), [0, 0]);
    hub.keep(Keep::Forever, Keep::Forever, days(5));
    assert_eq!(hub.prune(100, 20), 0);
    assert_eq!(hub.confirmed(&batch(1, "note"), 20), [4, 4]);
    assert_eq!(hub.prune(100, 20), 0, "the first of the lane came just now");
    assert_eq!(hub.prune(100, 30), 8);
}

#[test]
fn other_tenants_and_the_last_word_on_a_configuration_stay() {
    let hub = hub();
    for first in [1, 3] {
        hub.confirmed(&batch(first, "bundle"), 0);
    }
    let id = |name: &str| Id::new(name).unwrap();
    let other = devices::add_tenant(&hub.connection, &id("other"), WallTime(0)).unwrap().unwrap();
    let device = devices::add(&hub.connection, other, &id("pi-7"), WallTime(0)).unwrap().unwrap();
    let others = Hub { connection: hub.connection, tenant: other, device };
    others.confirmed(&batch(1, "note"), 0);
    let of_acme = Retention { windows: days(5), events: days(5), batches: days(5) };
    devices::set_retention(&others.connection, hub.tenant, &of_acme).unwrap();
    while others.prune(3, 20) == 3 {}
    assert_eq!(others.counts().0, [1, 2, 4], "of the other tenant, and the newest report of a bundle");
}

#[test]
fn when_a_row_was_received_never_changes() {
    let hub = hub();
    hub.confirmed(&batch(1, "note"), 1);
    // The same minute again, in a higher revision.
    let mut again = batch(3, "note");
    let window = &mut again.batch.lanes.windows.as_mut().unwrap().rows[0];
    (window.start.uptime.0, window.revision) = (60_000, 1);
    hub.confirmed(&again, 7);
    let received: Vec<(i64, i64)> = {
        let mut select = hub.connection.prepare("SELECT revision, received FROM windows").unwrap();
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(received, [(1, DAY)]);
}

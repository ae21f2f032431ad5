//! Cost of a batch, in steps of SQLite's machine: it follows from the batch's size, not from what is stored or what the batch multiplies;
//! and no statement reads a table whole.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::*;
use tilth_core::time::Span;
use tilth_protocol::{EnrolmentRequest, HexBytes, Key, KeyKind};

use crate::db::NewCode;
use crate::db::context::{Actor, TenantContext};
use crate::db::sqlite::{enrolment_codes, health, keys, retention};
use crate::domain::access;
use crate::domain::configs::SignedBundle;
use crate::domain::retention::{Keep, Retention};

/// What a connection does: which statements, and how many steps they take.
#[derive(Clone, Default)]
struct Trace {
    statements: Arc<Mutex<BTreeSet<String>>>,
    steps: Arc<AtomicI64>,
}

impl Trace {
    fn of(connection: &mut Connection) -> Trace {
        let trace = Trace::default();
        let statements = Arc::clone(&trace.statements);
        let note = move |event: TraceEvent<'_>| {
            let TraceEvent::Profile(statement, _) = event else { return };
            statements.lock().unwrap().insert(statement.sql().into_owned());
        };
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note)).unwrap();
        let steps = Arc::clone(&trace.steps);
        let count = move || {
            steps.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(1, Some(count)).unwrap();
        trace
    }

    fn steps(&self) -> i64 {
        self.steps.load(Ordering::Relaxed)
    }
}

/// A device with `size` of everything: events, windows, alerts, boots, streams, live values, and ranges that do not join.
fn full(size: u64) -> (Farm, Trace) {
    let mut farm = farm();
    for stream in 100..100 + size as u128 / 50 {
        farm.answer(&batch(stream, json!({})));
    }
    for boot in 1..=size / 25 {
        let first = (boot - 1) * 25 + 1;
        let start = |seq: u64| at(boot as u32, seq as i64 * 60_000, Some(MIDNIGHT + boot as i64 * 86_400_000));
        let alert = |seq: u64| {
            let body = json!({"alert": seq, "zone": "tower-1", "rule": "ph-high", "sensor": SENSOR, "event": "firing"});
            event(seq, "alert", start(seq), body)
        };
        let bundle = event(first + 12, "bundle", start(first), json!({"version": 1, "outcome": "refused"}));
        let events: Vec<Json> = (first..first + 12).map(alert).chain([bundle]).collect();
        let windows: Vec<Json> = (first..first + 12).map(|seq| window(seq, start(seq), 0, 680)).collect();
        farm.answer(&batch(1, json!({"events": rows(&events), "windows": rows(&windows)})));
    }
    let trace = Trace::of(&mut farm.connection);
    (farm, trace)
}

fn live(boot: u64, sensor: u64, wall: Option<i64>) -> Json {
    json!({"sensor": format!("tower-1/s{sensor}"), "quantity": "ph", "at": at(boot as u32, 1, wall), "value": 6.8, "quality": "good"})
}

fn with_live(mut batch: ParsedBatch, values: Vec<Json>) -> ParsedBatch {
    batch.batch.live = serde_json::from_value(Json::Array(values)).unwrap();
    batch
}

/// Batches with `count` of each thing that a batch may have many of, each meant for a device with history.
fn multiplied(count: u64) -> Vec<(&'static str, Vec<ParsedBatch>)> {
    let day = 86_400_000;
    let clock = |seq: u64| {
        event(
            seq,
            "clock",
            at(seq as u32, 5, None),
            json!({"offset": MIDNIGHT + seq as i64 * day + 7, "source": "ntp"}),
        )
    };
    let lane = |rows_of: &dyn Fn(u64) -> Json| rows(&(1..=count).map(rows_of).collect::<Vec<_>>());
    let gaps: Vec<Json> = (1..=count)
        .map(|seq| json!({"first": 100_000 + seq, "last": 100_000 + seq, "kind": "lost", "reason": "x"}))
        .collect();
    let gaps = json!({"first": 100_001, "last": 100_000 + count, "rows": [], "gaps": gaps});
    let undated = |seq: u64| {
        let mut row = window(seq, at(seq as u32, 60_000, None), 0, 680);
        row["sensor"] = json!(format!("tower-1/s{seq}"));
        row
    };
    let boots = (1..=count).map(|boot| live(boot, 1, Some(MIDNIGHT + boot as i64 * day + 5)));
    let sensors = (1..=count).map(|sensor| live(1, sensor, None));
    vec![
        ("boots of a new stream, as live values", vec![with_live(batch(2, json!({})), boots.collect())]),
        ("sensors, as live values", vec![with_live(batch(2, json!({})), sensors.collect())]),
        ("gaps that do not join", vec![batch(1, json!({"windows": gaps}))]),
        (
            "boots with rows whose clocks become known",
            vec![batch(2, json!({"windows": lane(&undated)})), batch(2, json!({"events": lane(&clock)}))],
        ),
        ("notes", vec![batch(2, json!({"events": lane(&|seq| note(seq, "x"))}))]),
        ("streams", (0..count).map(|stream| batch(1_000_000 + u128::from(stream), json!({}))).collect()),
    ]
}

/// The steps of each kind of batch, over a device with some history.
fn costs(stored: u64, count: u64) -> Vec<(&'static str, i64)> {
    let kinds = multiplied(count).len();
    let cost = |kind: usize| {
        let (farm, trace) = full(stored);
        let (name, batches) = multiplied(count).swap_remove(kind);
        for batch in &batches {
            farm.answer(batch);
        }
        (name, trace.steps())
    };
    (0..kinds).map(cost).collect()
}

#[test]
fn a_batch_costs_what_it_brings_and_not_what_is_stored() {
    let (little, much, large) = (costs(250, 20), costs(2_500, 20), costs(250, 80));
    for (((name, little), (_, much)), (_, large)) in little.into_iter().zip(much).zip(large) {
        // Each new stream counts those of the day, which are bounded.
        assert!(much < little * 5 / 4 + 4_000, "{name}: {little} steps over 250 rows, {much} over 2500");
        assert!(large < little * 6 + 200, "{name}: {little} steps for 20, {large} for 80");
    }
}

#[test]
fn no_statement_reads_a_table_whole() {
    let (mut farm, trace) = full(500);
    for (_, batches) in multiplied(20) {
        for batch in &batches {
            farm.take(batch);
        }
    }
    everything_else(&mut farm);
    let seen = trace.statements.lock().unwrap().clone();
    let mut wrong = Vec::new();
    for sql in seen.iter().filter(|sql| !sql.starts_with("--")) {
        let mut plan = farm.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut lines = plan.raw_query();
        while let Some(line) = lines.next().unwrap() {
            let line: String = line.get("detail").unwrap();
            let is_walk = line.starts_with("SCAN") && !SMALL.contains(&line.as_str());
            // Sorted are the keys that people made for a device, and what the hub said of one, once an hour at most.
            let is_few = ["FROM keys WHERE device", "FROM hub_alerts"].iter().any(|few| sql.contains(few));
            let is_sorted = line.contains("TEMP B-TREE") && !is_few;
            if is_walk || line.contains("AUTOMATIC") || is_sorted {
                wrong.push(format!("{line}: {sql}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(seen.len() > 40, "{} statements", seen.len());
}

/// Walks over what has one row, or rows that the statement itself made.
const SMALL: [&str; 3] = ["SCAN hub", "SCAN CONSTANT ROW", "SCAN 4 CONSTANT ROWS"];

/// What is read and written on behalf of devices and readers beside batches.
fn everything_else(farm: &mut Farm) {
    let (connection, device, tenant, now) = (&farm.connection, farm.device, farm.tenant, farm.now);
    let actor = Actor { who: "k1".to_owned(), origin: "local".to_owned() };
    let context = TenantContext::open(tenant, Id::new("acme").unwrap(), actor);
    let key = Key::from_random(KeyKind::Device, [1; 6], [2; 32]);
    keys::add(connection, key.id(), &access::hash(&key), (tenant, Some(device)), now).unwrap();
    assert!(keys::find(connection, &key, "127.0.0.1").unwrap().is_some());
    keys::used(connection, "k1", now).unwrap();
    keys::end_older(connection, "k1", now).unwrap();
    keys::of_device(connection, device).unwrap();
    keys::revoke(connection, device, now).unwrap();
    let code = access::draw_code(None).unwrap();
    let new = NewCode { id: code.id(), hash: access::hash_secret(&code.secret()), expires: now, ca: None };
    enrolment_codes::add(connection, device, &new, now).unwrap();
    let (key_id, key_hash) = (HexBytes([1; 6]), HexBytes([2; 32]));
    let request = EnrolmentRequest { code: code.id(), secret: code.secret(), key_id, key_hash };
    assert!(enrolment_codes::find(connection, &request, [127, 0, 0, 1].into()).unwrap().is_some());
    enrolment_codes::of_device(connection, device).unwrap();
    enrolment_codes::revoke(connection, device, now).unwrap();
    audit::record(connection, &context, "x", now).unwrap();
    alerts::raise(connection, device, "stream-conflict", "two", now).unwrap();
    alerts::raise(connection, device, "stream-conflict", "two", now).unwrap();
    let bundle = SignedBundle { version: 1, issued: now, hash: String::new(), bytes: Vec::new() };
    bundles::add(connection, device, &bundle).unwrap();
    bundles::newest(connection, device).unwrap();
    devices::shown(connection, device, 1).unwrap();
    devices::find(connection, &context, "pi-7").unwrap();
    devices::tenant(connection, "acme").unwrap();
    let health = health::of_tenant(connection, tenant).unwrap();
    assert!(health[0].report.is_some() && !health[0].earlier.is_empty());
    events::newest_of_bundle(connection, device).unwrap();
    events::newest_taken(connection, device).unwrap();
    farm.windows();
    let (from, to) = (WallTime(i64::MIN), WallTime(i64::MAX));
    for named in [None, Some("pi-7".to_owned())] {
        let query = windows::WindowQuery {
            sensor: SENSOR.to_owned(),
            device: named,
            grain: Grain::Minute,
            from,
            to,
            at: None,
            limit: 10,
        };
        assert!(!windows::page(connection, &context, &query).unwrap().windows.is_empty());
    }
    let keep = Keep::For(Span::from_mins(24 * 60));
    let retention = Retention { windows: keep, events: keep, batches: keep };
    devices::set_retention(connection, tenant, &retention).unwrap();
    for of in [None, Some(device)] {
        let scope = Scope { tenant, device: of };
        for is_open in [true, false] {
            alerts::of_devices(connection, scope, is_open, (0, 100), now).unwrap();
            alerts::of_hub(connection, scope, is_open, 100, now).unwrap();
        }
        latest::newest(connection, tenant, of, ("", ""), 10).unwrap();
        for kind in [None, Some("alert")] {
            let kind = kind.map(str::to_owned);
            let query = events::EventQuery { device: None, kind, after: 0, limit: 10 };
            events::page(connection, scope, &query).unwrap();
        }
    }
    assert_eq!(retention::step(connection, 100, WallTime(now.0 + 86_400_001)).unwrap(), 100);
    retention::batches(connection, tenant, i64::MAX, 100).unwrap();
    retention::events(connection, tenant, i64::MAX, 100).unwrap();
}

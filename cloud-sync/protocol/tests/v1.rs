//! Version 1 of the protocol, byte for byte. Never edit what stands here: a change of these bytes is another version, and
//! another file beside this one.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, json};
use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::reading::Quality;
use tilth_core::time::{Stamp, Uptime, WallTime};
use tilth_core::windows::Grain;
use tilth_protocol::{
    Answer, Batch, BatchError, Epoch, ErrorCode, Event, Extent, Failure, Figures, Gap, GapKind, Lane, Lanes, Live,
    RejectedRow, Stream, VERSION, WindowRow,
};

const BATCH: &str = concat!(
    r#"{"version":1,"client":"acme","device":"pi-7","stream":"000102030405060708090a0b0c0d0e0f","#,
    r#""epoch":"f0e0d0c0b0a090807060504030201000","lanes":{"#,
    r#""events":{"first":7,"last":7,"rows":[{"seq":7,"at":{"boot":3,"uptime":61000,"wall":1763683261000},"#,
    r#""kind":"clock","body":{"error":5,"offset":1763683200000,"source":"ntp"}}]},"#,
    r#""windows":{"first":41,"last":45,"rows":["#,
    r#"{"seq":41,"sensor":"tower-1/ph","quantity":"ph","resolution":0.01,"grain":"minute","#,
    r#""start":{"boot":3,"uptime":0,"wall":1763683200000},"revision":0,"bad":1,"count":2,"#,
    r#""sums":{"sum":1370,"sum_sq":"938500","min":680,"max":690,"last":690,"last_at":59000}},"#,
    r#"{"seq":45,"sensor":"tower-1/ec","quantity":"ec","resolution":0.001,"grain":"quarter","#,
    r#""start":{"boot":3,"uptime":-500,"wall":null},"revision":2,"bad":60,"count":0}],"#,
    r#""gaps":[{"first":42,"last":43,"kind":"lost","reason":"damaged block"},"#,
    r#"{"first":44,"last":44,"kind":"quarantined","reason":"resolution 0"}]},"#,
    r#""diagnostics":{"first":1,"last":9,"rows":[],"#,
    r#""gaps":[{"first":1,"last":9,"kind":"replaced","reason":"counted"}]}},"#,
    r#""live":[{"sensor":"tower-1/ph","quantity":"ph","at":{"boot":3,"uptime":61500,"wall":1763683261500},"#,
    r#""value":6.91,"quality":"good"}]}"#,
);

const SMALLEST: &str = concat!(
    r#"{"version":1,"client":"acme","device":"pi-7","stream":"000102030405060708090a0b0c0d0e0f","#,
    r#""epoch":null,"lanes":{}}"#,
);

const ANSWER: &str = concat!(
    r#"{"epoch":"f0e0d0c0b0a090807060504030201000","confirmed":{"events":7,"windows":45,"diagnostics":0},"#,
    r#""poison":[{"lane":"windows","seq":44,"reason":"resolution 0"}],"config_version":12,"now":1763683262000}"#,
);

const FAILURE: &str = r#"{"error":"stream-conflict","message":"events: sequence 7 is known with other content"}"#;

const STREAM: u128 = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
const EPOCH: u128 = 0xf0e0_d0c0_b0a0_9080_7060_5040_3020_1000;

fn stamp(uptime: i64, wall: Option<i64>) -> Stamp {
    Stamp { boot: 3, uptime: Uptime(uptime), wall: wall.map(WallTime) }
}

fn gap(first: u64, last: u64, kind: GapKind, reason: &str) -> Gap {
    Gap { first, last, kind, reason: reason.to_owned() }
}

fn events() -> Extent<Event> {
    let body: Map<_, _> =
        json!({"offset": 1_763_683_200_000_i64, "source": "ntp", "error": 5}).as_object().unwrap().clone();
    let at = stamp(61_000, Some(1_763_683_261_000));
    Extent { first: 7, last: 7, rows: vec![Event { seq: 7, at, kind: "clock".into(), body }], gaps: vec![] }
}

fn windows() -> Extent<WindowRow> {
    let ph = WindowRow {
        seq: 41,
        sensor: SensorId::new("tower-1/ph").unwrap(),
        quantity: Quantity::Ph,
        resolution: 0.01,
        grain: Grain::Minute,
        start: stamp(0, Some(1_763_683_200_000)),
        revision: 0,
        bad: 1,
        count: 2,
        sums: Some(Figures { sum: 1370, sum_sq: 938_500, min: 680, max: 690, last: 690, last_at: Uptime(59_000) }),
    };
    let ec = WindowRow {
        seq: 45,
        sensor: SensorId::new("tower-1/ec").unwrap(),
        quantity: Quantity::Ec,
        resolution: 0.001,
        grain: Grain::Quarter,
        start: stamp(-500, None),
        revision: 2,
        bad: 60,
        count: 0,
        sums: None,
    };
    let gaps = vec![gap(42, 43, GapKind::Lost, "damaged block"), gap(44, 44, GapKind::Quarantined, "resolution 0")];
    Extent { first: 41, last: 45, rows: vec![ph, ec], gaps }
}

fn batch() -> Batch {
    Batch {
        version: VERSION,
        client: Id::new("acme").unwrap(),
        device: Id::new("pi-7").unwrap(),
        stream: Stream(STREAM),
        epoch: Some(Epoch(EPOCH)),
        lanes: Lanes {
            events: Some(events()),
            windows: Some(windows()),
            diagnostics: Some(Extent {
                first: 1,
                last: 9,
                rows: vec![],
                gaps: vec![gap(1, 9, GapKind::Replaced, "counted")],
            }),
        },
        live: vec![Live {
            sensor: SensorId::new("tower-1/ph").unwrap(),
            quantity: Quantity::Ph,
            at: stamp(61_500, Some(1_763_683_261_500)),
            value: 6.91,
            quality: Quality::Good,
        }],
    }
}

#[test]
fn a_batch() {
    assert_eq!(serde_json::to_string(&batch()).unwrap(), BATCH);
    let read: Batch = serde_json::from_str(BATCH).unwrap();
    assert_eq!(read, batch());
    assert_eq!(read.check(), Ok(()));
}

#[test]
fn the_smallest_batch() {
    let smallest = Batch { epoch: None, lanes: Lanes::default(), live: vec![], ..batch() };
    assert_eq!(serde_json::to_string(&smallest).unwrap(), SMALLEST);
    let read: Batch = serde_json::from_str(SMALLEST).unwrap();
    assert_eq!((read.check(), read), (Ok(()), smallest));
}

#[test]
fn an_answer() {
    let answer = Answer {
        epoch: Epoch(EPOCH),
        confirmed: BTreeMap::from([(Lane::Events, 7), (Lane::Windows, 45), (Lane::Diagnostics, 0)]),
        rejected: vec![RejectedRow { lane: Lane::Windows, seq: 44, reason: "resolution 0".into() }],
        config_version: Some(12),
        now: WallTime(1_763_683_262_000),
    };
    assert_eq!(serde_json::to_string(&answer).unwrap(), ANSWER);
    assert_eq!(serde_json::from_str::<Answer>(ANSWER).unwrap(), answer);
    let bare = r#"{"epoch":"f0e0d0c0b0a090807060504030201000","confirmed":{},"now":0}"#;
    let read: Answer = serde_json::from_str(bare).unwrap();
    assert_eq!((read.rejected.len(), read.config_version), (0, None));
    assert_eq!(serde_json::to_string(&read).unwrap(), bare);
}

#[test]
fn a_refusal() {
    let failure =
        Failure { error: ErrorCode::StreamConflict, message: "events: sequence 7 is known with other content".into() };
    assert_eq!(serde_json::to_string(&failure).unwrap(), FAILURE);
    assert_eq!(serde_json::from_str::<Failure>(FAILURE).unwrap(), failure);
    for (code, word, status) in [
        (ErrorCode::BadRequest, "bad-request", 400),
        (ErrorCode::UnknownKey, "unknown-key", 401),
        (ErrorCode::Forbidden, "forbidden", 403),
        (ErrorCode::NotFound, "not-found", 404),
        (ErrorCode::StreamConflict, "stream-conflict", 409),
        (ErrorCode::TooLarge, "too-large", 413),
        (ErrorCode::TooMany, "too-many", 429),
        (ErrorCode::Internal, "internal", 500),
    ] {
        assert_eq!(serde_json::to_string(&code).unwrap(), format!("{word:?}"));
        assert_eq!(code.status(), status);
    }
}

#[test]
fn every_sequence_is_accounted_for_once() {
    let not_accounted = |seq| Err(BatchError::NotAccounted { lane: Lane::Windows, seq });
    let changed = |change: &dyn Fn(&mut Extent<WindowRow>)| {
        let mut extent = windows();
        change(&mut extent);
        Batch { lanes: Lanes { windows: Some(extent), ..Lanes::default() }, ..batch() }.check()
    };
    assert_eq!(changed(&|_| ()), Ok(()));
    assert_eq!(changed(&|extent| extent.last = 44), not_accounted(45));
    assert_eq!(changed(&|extent| extent.last = 46), not_accounted(46));
    assert_eq!(changed(&|extent| extent.first = 40), not_accounted(40));
    assert_eq!(changed(&|extent| extent.first = 42), not_accounted(45));
    assert_eq!(changed(&|extent| extent.rows.swap(0, 1)), not_accounted(41));
    assert_eq!(changed(&|extent| extent.gaps.swap(0, 1)), not_accounted(42));
    assert_eq!(changed(&|extent| drop(extent.gaps.pop())), not_accounted(44));
    assert_eq!(changed(&|extent| extent.gaps[1].last = 45), not_accounted(45));
    assert_eq!(changed(&|extent| extent.gaps[1].last = u64::MAX), not_accounted(44));
    assert_eq!(changed(&|extent| extent.gaps[0].last = 41), not_accounted(42));
    for (first, last) in [(0, 5), (5, 4), (1, u64::MAX)] {
        let refused = BatchError::Range { lane: Lane::Windows, first, last };
        assert_eq!(changed(&|extent| (extent.first, extent.last) = (first, last)), Err(refused));
    }
    assert_eq!(changed(&|extent| extent.rows[0].sums = None), Err(BatchError::Figures { seq: 41, count: 2 }));
    assert_eq!(changed(&|extent| extent.rows[0].count = 0), Err(BatchError::Figures { seq: 41, count: 0 }));
    assert_eq!(Batch { version: 2, ..batch() }.check(), Err(BatchError::Version(2)));
}

/// Any bytes are read and checked, or refused.
fn swallow(bytes: &[u8]) {
    if let Ok(batch) = serde_json::from_slice::<Batch>(bytes)
        && batch.check().is_ok()
    {
        let again: Batch = serde_json::from_slice(&serde_json::to_vec(&batch).unwrap()).unwrap();
        assert_eq!(again, batch);
    }
    let _ = serde_json::from_slice::<Answer>(bytes);
    let _ = serde_json::from_slice::<Failure>(bytes);
}

/// Numbers that are at home in a batch, and those at the ends of their types.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..8_u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        swallow(&bytes);
    }

    #[test]
    fn any_damage_to_a_batch_never_panics(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = BATCH.as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        swallow(&bytes);
        swallow(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn any_ranges_never_panic(
        (first, last) in (number(), number()),
        rows in proptest::collection::vec(number(), 0..6),
        gaps in proptest::collection::vec((number(), number()), 0..6),
    ) {
        let row = |seq| Event { seq, at: stamp(0, None), kind: "note".into(), body: Map::new() };
        let gaps: Vec<Gap> = gaps.into_iter().map(|(first, last)| gap(first, last, GapKind::Lost, "")).collect();
        let accounted = rows.len() as u128 + gaps.iter().map(|gap| u128::from(gap.last.saturating_sub(gap.first)) + 1).sum::<u128>();
        let extent = Extent { first, last, rows: rows.into_iter().map(row).collect(), gaps };
        let batch = Batch { lanes: Lanes { events: Some(extent), ..Lanes::default() }, ..batch() };
        if batch.check().is_ok() {
            prop_assert_eq!(accounted, u128::from(last - first) + 1);
        }
    }
}

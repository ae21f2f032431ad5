//! What is written comes back; what is not what was written is refused; nothing panics.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Numbers as devices print them, and any others.
fn raw() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        (-1_000_000i32..1_000_000, 0u8..5).prop_map(|(number, decimals)| f64::from(number) / power(decimals)),
    ]
}

fn point() -> impl Strategy<Value = Point> {
    let at = prop_oneof![any::<i64>(), 0i64..100_000];
    let steps = prop_oneof![any::<i64>(), -500i64..500];
    (at, steps, 0usize..6, raw()).prop_map(|(at, steps, quality, raw)| Point {
        at: Uptime(at),
        steps: Steps(steps),
        quality: QUALITIES[quality],
        raw: Some(raw),
    })
}

prop_compose! {
    fn block()(plan: u32, columns in vec((any::<u32>(), 0u32..3, vec(point(), 0..40)), 0..6)) -> RawBlock {
        let columns = columns.into_iter().map(|(series, calibration, mut points)| {
            if calibration == IDENTITY {
                points.iter_mut().for_each(|point| point.raw = None);
            }
            Column { series, calibration, points }
        });
        RawBlock { plan, columns: columns.collect() }
    }
}

/// Equal to the bit, for numbers that are none.
fn same(one: &RawBlock, other: &RawBlock) -> bool {
    let bits = |block: &RawBlock| -> Vec<Option<u64>> {
        let points = block.columns.iter().flat_map(|column| &column.points);
        points.map(|point| point.raw.map(f64::to_bits)).collect()
    };
    let rest = |block: &RawBlock| {
        let mut block = block.clone();
        block.columns.iter_mut().flat_map(|column| &mut column.points).for_each(|point| point.raw = None);
        block
    };
    bits(one) == bits(other) && rest(one) == rest(other)
}

proptest! {
    #[test]
    fn blocks_come_back(block in block()) {
        let read = decode(&encode(&block)).unwrap();
        prop_assert!(same(&read, &block), "{read:?}");
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let mut sealed = [&[LAYOUT], &bytes[..]].concat();
        seal(&mut sealed);
        let _ = decode(&sealed);
    }

    #[test]
    fn a_block_cut_short_or_changed_is_refused(block in block(), at: prop::sample::Index, flip in 1u8..) {
        let bytes = encode(&block);
        let at = at.index(bytes.len());
        prop_assert!(decode(&bytes[..at]).is_none());
        let mut changed = bytes;
        changed[at] ^= flip;
        prop_assert_eq!(decode(&changed), None);
    }
}

/// What a block of so many readings costs; times and values as given.
fn cost(calibration: u32, count: i64, at: impl Fn(i64) -> i64, steps: impl Fn(i64) -> i64) -> usize {
    let points = (0..count).map(|n| Point {
        at: Uptime(at(n)),
        steps: Steps(steps(n)),
        quality: Quality::Good,
        raw: (calibration != IDENTITY).then_some((512 + n % 5) as f64 / 10.0),
    });
    encode(&RawBlock { plan: 1, columns: vec![Column { series: 3, calibration, points: points.collect() }] }).len()
}

#[test]
fn a_reading_costs_as_many_bits_as_it_moves() {
    let (regular, still) = (|n| 1000 * n, |_| 600);
    assert!(cost(IDENTITY, 1000, regular, still) < 30, "nothing moves");
    assert!(cost(IDENTITY, 1000, regular, |n| 600 + n % 4) < 3 * 125 + 30, "three bits a value");
    assert!(cost(IDENTITY, 1000, |n| 1000 * n + n % 4, still) < 5 * 125 + 30, "four bits a time");
    assert!(cost(7, 1000, regular, still) < 4 * 125 + 30, "and what is read before calibration");
}

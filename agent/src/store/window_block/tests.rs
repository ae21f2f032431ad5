use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

prop_compose! {
    fn sums()(count in 1u32.., sum: i64, sum_sq: u128, min: i64, max: i64, last: i64, last_at: i64) -> Sums {
        let (min, max, last) = (Steps(min), Steps(max), Steps(last));
        Sums { count, sum, sum_sq, min, max, last, last_at: Uptime(last_at) }
    }
}

prop_compose! {
    fn entry()(series: u32, revision: u32, bad: u32, good in proptest::option::of(sums())) -> Entry {
        Entry { series, row: Row { revision, window: Window { bad, good } } }
    }
}

proptest! {
    #[test]
    fn blocks_come_back(start: i64, entries in vec(entry(), 0..30)) {
        let start = Uptime(start);
        prop_assert_eq!(decode(start, &encode(start, &entries)), Some(entries));
    }

    #[test]
    fn any_bytes_are_read_without_panic(start: i64, bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(Uptime(start), &bytes);
        let mut sealed = [&[LAYOUT], &bytes[..]].concat();
        seal(&mut sealed);
        let _ = decode(Uptime(start), &sealed);
    }

    #[test]
    fn a_block_cut_short_or_changed_is_refused(
        entries in vec(entry(), 0..9), at: prop::sample::Index, flip in 1u8..
    ) {
        let bytes = encode(Uptime(0), &entries);
        let at = at.index(bytes.len());
        prop_assert!(decode(Uptime(0), &bytes[..at]).is_none());
        let mut changed = bytes;
        changed[at] ^= flip;
        prop_assert_eq!(decode(Uptime(0), &changed), None);
    }
}

#[test]
fn a_minute_of_a_slow_sensor_costs_few_bytes() {
    let (min, max, last) = (Steps(612), Steps(619), Steps(615));
    let values: Vec<i64> = (0..60).map(|n| 612 + n % 8).collect();
    let sums = Sums {
        count: 60,
        sum: values.iter().sum(),
        sum_sq: values.iter().map(|value| (value * value) as u128).sum(),
        min,
        max,
        last,
        last_at: Uptime(59_000),
    };
    let row = Row { revision: 0, window: Window { bad: 0, good: Some(sums) } };
    let entries: Vec<Entry> = (0..20).map(|series| Entry { series, row }).collect();
    assert!(encode(Uptime(0), &entries).len() < 20 * 17, "{}", encode(Uptime(0), &entries).len());
}

//! Every sequence of an extent is accounted for once, for any rows, gaps and limits.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Map;
use tilth_core::time::{Stamp, Uptime};
use tilth_protocol::Event;

use super::*;

const NO_LIMIT: Limit = Limit { rows: usize::MAX, bytes: usize::MAX, until: None };

fn event(seq: u64) -> Event {
    Event { seq, at: Stamp { boot: 1, uptime: Uptime(0), wall: None }, kind: "note".to_owned(), body: Map::new() }
}

fn gap(first: u64, last: u64, kind: GapKind) -> Gap {
    Gap { first, last, kind, reason: "test".to_owned() }
}

/// Fills from rows and gaps; `R` a row, `.` a gap that was recorded, `_` one that was not.
fn fill(range: RangeInclusive<u64>, limit: Limit, rows: &[u64], gaps: &[Gap]) -> Option<(u64, String)> {
    let inside = gaps.iter().filter(|gap| gap.first <= *range.end() && gap.last >= *range.start());
    let cut = |gap: &Gap| Gap { first: gap.first.max(*range.start()), last: gap.last.min(*range.end()), ..gap.clone() };
    let mut extent = ExtentBuilder::new(range.clone(), limit, inside.map(cut).collect());
    // Whole blocks of three rows are offered, also where only part of one is in the range.
    let near = range.start().saturating_sub(3)..=range.end().saturating_add(3);
    for seq in rows.iter().filter(|seq| near.contains(seq)) {
        if !extent.offer(event(*seq), Instant::now()) {
            break;
        }
    }
    let extent = extent.finish()?;
    let mut drawn = String::new();
    for seq in extent.first..=extent.last {
        let row = extent.rows.iter().filter(|row| row.seq == seq).map(|_| 'R');
        let gaps = extent.gaps.iter().filter(|gap| (gap.first..=gap.last).contains(&seq));
        let mut here: Vec<char> = row.chain(gaps.map(|gap| if gap.reason == NOT_HELD { '_' } else { '.' })).collect();
        assert_eq!(here.len(), 1, "{seq} of {extent:?}");
        drawn.extend(here.pop());
    }
    Some((extent.first, drawn))
}

#[test]
fn an_extent_has_a_bounded_number_of_gaps_and_the_next_one_goes_on() {
    let kind = |seq: u64| if seq.is_multiple_of(2) { GapKind::Lost } else { GapKind::Replaced };
    let gaps: Vec<Gap> = (1..=2_500).map(|seq| gap(seq, seq, kind(seq))).collect();
    let lengths: Vec<usize> =
        [1, 1_001, 2_001].into_iter().map(|first| fill(first..=2_500, NO_LIMIT, &[], &gaps).unwrap().1.len()).collect();
    assert_eq!(lengths, [1_000, 1_000, 500]);
}

#[test]
fn extents() {
    let gaps = [gap(3, 5, GapKind::Lost), gap(8, 8, GapKind::Quarantined)];
    let rows = [1, 2, 6, 7, 8, 10];
    let two = Limit { rows: 2, ..NO_LIMIT };
    let tiny = Limit { bytes: 1, ..NO_LIMIT };
    for (range, limit, expected) in [
        (1..=11, NO_LIMIT, Some((1, "RR...RR._R_"))),
        (4..=11, NO_LIMIT, Some((4, "..RR._R_"))),
        (1..=11, two, Some((1, "RR"))),
        (3..=11, two, Some((3, "...RR"))),
        (1..=11, tiny, Some((1, "R"))),
        (3..=11, tiny, Some((3, "..."))),
        (11..=11, NO_LIMIT, Some((11, "_"))),
        (RangeInclusive::new(12, 11), NO_LIMIT, None),
        (RangeInclusive::new(u64::MAX, 11), NO_LIMIT, None),
        (4..=7, NO_LIMIT, Some((4, "..RR"))),
        (4..=7, tiny, Some((4, ".."))),
        (1..=7, two, Some((1, "RR"))),
        (7..=9, two, Some((7, "R._"))),
        (8..=8, NO_LIMIT, Some((8, "."))),
    ] {
        let found = fill(range.clone(), limit, &rows, &gaps);
        assert_eq!(found, expected.map(|(first, drawn)| (first, drawn.to_owned())), "{range:?} {limit:?}");
    }
}

prop_compose! {
    /// What is held, in pieces of rows, gaps and nothing.
    fn held()(pieces in vec((0u8..3, 1u64..5), 1..12)) -> (u64, Vec<u64>, Vec<Gap>) {
        let (mut next, mut rows, mut gaps) = (1, Vec::new(), Vec::new());
        for (kind, length) in pieces {
            match kind {
                0 => rows.extend(next..next + length),
                1 => gaps.push(gap(next, next + length - 1, GapKind::Replaced)),
                _ => {}
            }
            next += length;
        }
        (next - 1, rows, gaps)
    }
}

proptest! {
    /// Extents one after the other give every sequence exactly once.
    #[test]
    fn a_lane_is_passed_through_completely((committed, rows, gaps) in held(), most in 1usize..6, bytes in 1usize..900) {
        let limit = Limit { rows: most, bytes, until: None };
        let (mut drawn, mut after) = (String::new(), 0);
        while let Some((first, piece)) = fill(after + 1..=committed, limit, &rows, &gaps) {
            prop_assert_eq!(first, after + 1);
            after += piece.len() as u64;
            drawn += &piece;
        }
        prop_assert_eq!(after, committed);
        let (_, whole) = fill(1..=committed, NO_LIMIT, &rows, &gaps).unwrap();
        prop_assert_eq!(drawn, whole);
    }

    /// A range begins where it was asked for, ends by where it was asked for, and says of each sequence what the lane says.
    #[test]
    fn a_range_is_a_part_of_its_lane(
        (committed, rows, gaps) in held(), first in 1u64..30, length in 0u64..30, most in 1usize..6, bytes in 1usize..900
    ) {
        let (_, whole) = fill(1..=committed, NO_LIMIT, &rows, &gaps).unwrap();
        let last = committed.min(first + length);
        match fill(first..=last, Limit { rows: most, bytes, until: None }, &rows, &gaps) {
            None => prop_assert!(first > committed),
            Some((begin, drawn)) => {
                prop_assert_eq!(begin, first);
                let end = first as usize - 1 + drawn.len();
                prop_assert!(!drawn.is_empty() && end as u64 <= last);
                prop_assert_eq!(drawn.as_str(), &whole[first as usize - 1..end]);
            }
        }
    }
}

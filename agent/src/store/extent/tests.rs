//! Every sequence of an extent is accounted for once, whatever is held and whatever the limits.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Map;
use tilth_core::time::{Stamp, Uptime};
use tilth_protocol::Event;

use super::*;

const NO_LIMIT: Limit = Limit { rows: usize::MAX, bytes: usize::MAX };

fn event(seq: u64) -> Event {
    Event { seq, at: Stamp { boot: 1, uptime: Uptime(0), wall: None }, kind: "note".to_owned(), body: Map::new() }
}

fn gap(first: u64, last: u64, kind: GapKind) -> Gap {
    Gap { first, last, kind, reason: "test".to_owned() }
}

/// Fills from rows and gaps; `R` a row, `.` a gap that was recorded, `_` one that was not.
fn fill(want: Want, limit: Limit, committed: u64, rows: &[u64], gaps: &[Gap]) -> Option<(u64, String)> {
    let range = want.range(committed, limit);
    let inside = gaps.iter().filter(|gap| gap.first <= *range.end() && gap.last >= *range.start());
    let cut = |gap: &Gap| Gap { first: gap.first.max(*range.start()), last: gap.last.min(*range.end()), ..gap.clone() };
    let mut filling = Filling::new(range.clone(), want, limit, inside.map(cut).collect());
    // Whole blocks of three rows are offered, whatever of them is in the range.
    let near = range.start().saturating_sub(3)..=range.end().saturating_add(3);
    for seq in rows.iter().filter(|seq| near.contains(seq)) {
        if !filling.offer(event(*seq)) {
            break;
        }
    }
    let extent = filling.finish()?;
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
fn extents() {
    let gaps = [gap(3, 5, GapKind::Lost), gap(8, 8, GapKind::Quarantined)];
    let rows = [1, 2, 6, 7, 8, 10];
    let two = Limit { rows: 2, ..NO_LIMIT };
    let tiny = Limit { bytes: 1, ..NO_LIMIT };
    for (want, limit, committed, expected) in [
        (Want::Oldest { after: 0 }, NO_LIMIT, 11, Some((1, "RR...RR._R_"))),
        (Want::Oldest { after: 3 }, NO_LIMIT, 11, Some((4, "..RR._R_"))),
        (Want::Oldest { after: 0 }, two, 11, Some((1, "RR"))),
        (Want::Oldest { after: 2 }, two, 11, Some((3, "...RR"))),
        (Want::Oldest { after: 0 }, tiny, 11, Some((1, "R"))),
        (Want::Oldest { after: 2 }, tiny, 11, Some((3, "..."))),
        (Want::Oldest { after: 10 }, NO_LIMIT, 11, Some((11, "_"))),
        (Want::Oldest { after: 11 }, NO_LIMIT, 11, None),
        (Want::Oldest { after: u64::MAX }, NO_LIMIT, 11, None),
        (Want::Range { first: 1, last: u64::MAX }, NO_LIMIT, 11, Some((1, "RR...RR._R_"))),
        (Want::Range { first: 4, last: 7 }, NO_LIMIT, 11, Some((4, "..RR"))),
        (Want::Range { first: 4, last: 7 }, tiny, 11, Some((4, ".."))),
        (Want::Range { first: 1, last: 7 }, two, 11, Some((1, "RR"))),
        (Want::Range { first: 7, last: 9 }, two, 11, Some((7, "R._"))),
        (Want::Range { first: 8, last: 8 }, NO_LIMIT, 11, Some((8, "."))),
        (Want::Range { first: 0, last: 1 }, NO_LIMIT, 11, Some((1, "R"))),
        (Want::Range { first: 12, last: 20 }, NO_LIMIT, 11, None),
        (Want::Range { first: 5, last: 4 }, NO_LIMIT, 11, None),
        (Want::Newest { before: u64::MAX, after: 0 }, two, 10, Some((9, "_R"))),
        (Want::Newest { before: 9, after: 0 }, two, 10, Some((7, "R."))),
        (Want::Newest { before: 7, after: 5 }, NO_LIMIT, 10, Some((6, "R"))),
        (Want::Newest { before: u64::MAX, after: 0 }, tiny, 10, Some((10, "R"))),
        (Want::Newest { before: 6, after: 5 }, NO_LIMIT, 10, None),
        (Want::Newest { before: 0, after: 0 }, NO_LIMIT, 10, None),
    ] {
        let found = fill(want, limit, committed, &rows, &gaps);
        assert_eq!(found, expected.map(|(first, drawn)| (first, drawn.to_owned())), "{want:?} {limit:?}");
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
    /// Extents one after the other, in either direction, give every sequence exactly once.
    #[test]
    fn a_lane_is_passed_through_completely((committed, rows, gaps) in held(), most in 1usize..6, bytes in 1usize..900) {
        let limit = Limit { rows: most, bytes };
        let (mut upwards, mut after) = (String::new(), 0);
        while let Some((first, drawn)) = fill(Want::Oldest { after }, limit, committed, &rows, &gaps) {
            prop_assert_eq!(first, after + 1);
            after += drawn.len() as u64;
            upwards += &drawn;
        }
        prop_assert_eq!(after, committed);
        let (mut downwards, mut before) = (String::new(), committed + 1);
        while let Some((first, drawn)) = fill(Want::Newest { before, after: 0 }, limit, committed, &rows, &gaps) {
            prop_assert_eq!(first + drawn.len() as u64, before);
            before = first;
            downwards = drawn + &downwards;
        }
        prop_assert_eq!(before, 1);
        prop_assert_eq!(&upwards, &downwards);
    }

    /// A range begins where it was asked for, ends by where it was asked for, and says of each sequence what the lane says.
    #[test]
    fn a_range_is_a_part_of_its_lane(
        (committed, rows, gaps) in held(), first in 1u64..30, length in 0u64..30, most in 1usize..6, bytes in 1usize..900
    ) {
        let (_, whole) = fill(Want::Oldest { after: 0 }, NO_LIMIT, committed, &rows, &gaps).unwrap();
        let last = first + length;
        match fill(Want::Range { first, last }, Limit { rows: most, bytes }, committed, &rows, &gaps) {
            None => prop_assert!(first > committed),
            Some((begin, drawn)) => {
                prop_assert_eq!(begin, first);
                let end = first as usize - 1 + drawn.len();
                prop_assert!(!drawn.is_empty() && end as u64 <= last.min(committed));
                prop_assert_eq!(drawn.as_str(), &whole[first as usize - 1..end]);
            }
        }
    }
}

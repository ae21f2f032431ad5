//! The law of the outbox: every sequence that was made is confirmed, a row, or stated as lost, replaced or quarantined.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use tilth_protocol::{Event, Extent, Gap, GapKind, Lane, Sequenced, WindowRow};

use crate::store::{Limit, Store, StoreReader};

/// Everything that a lane says after a sequence.
#[derive(Debug, Default)]
pub(crate) struct LaneContents<R> {
    pub(crate) rows: BTreeMap<u64, R>,
    pub(crate) gaps: Vec<Gap>,
}

impl<R> LaneContents<R> {
    pub(crate) fn in_gaps(&self, kind: GapKind) -> u64 {
        self.gaps.iter().filter(|gap| gap.kind == kind).map(|gap| gap.last - gap.first + 1).sum()
    }
}

pub(crate) const LIMIT: Limit = Limit { rows: 37, bytes: 20_000, until: None };

/// Walks a lane as sync does, and checks that each extent goes on where the last one ended and accounts for all of it.
pub(crate) fn walk<R: Sequenced>(
    after: u64,
    mut next: impl FnMut(RangeInclusive<u64>) -> Option<Extent<R>>,
) -> LaneContents<R> {
    let mut found = LaneContents { rows: BTreeMap::new(), gaps: Vec::new() };
    let mut after = after;
    while let Some(extent) = next(after.saturating_add(1)..=u64::MAX) {
        assert_eq!(extent.first, after + 1);
        assert!(extent.last >= extent.first, "{} to {}", extent.first, extent.last);
        let accounted: u64 = extent.gaps.iter().map(|gap| gap.last - gap.first + 1).sum();
        assert_eq!(accounted + extent.rows.len() as u64, extent.last - after);
        after = extent.last;
        found.rows.extend(extent.rows.into_iter().map(|row| (row.seq(), row)));
        found.gaps.extend(extent.gaps);
    }
    found
}

pub(crate) fn windows(reader: &StoreReader, after: u64) -> LaneContents<WindowRow> {
    walk(after, |range| reader.windows(range, LIMIT).unwrap())
}

pub(crate) fn events(reader: &StoreReader, lane: Lane, after: u64) -> LaneContents<Event> {
    walk(after, |range| reader.events(lane, range, LIMIT).unwrap())
}

/// Checks the law for what is not confirmed: nothing in it may be missing without a record.
#[track_caller]
pub(crate) fn holds(store: &Store) {
    for lane in Lane::ALL {
        let state = store.lanes().of(lane);
        assert!(state.confirmed <= state.committed, "{lane}: {state:?}");
        let (rows, gaps) = match lane {
            Lane::Windows => {
                let found = windows(store.reader(), state.confirmed);
                (found.rows.len() as u64, found.gaps)
            }
            lane => {
                let found = events(store.reader(), lane, state.confirmed);
                (found.rows.len() as u64, found.gaps)
            }
        };
        let unsaid: Vec<&Gap> = gaps.iter().filter(|gap| gap.reason == "no longer held").collect();
        assert!(unsaid.is_empty(), "{lane}: {unsaid:?}");
        let accounted: u64 = gaps.iter().map(|gap| gap.last - gap.first + 1).sum();
        assert_eq!(rows + accounted, state.waiting(), "{lane}: sent + lost + replaced + quarantined = made");
    }
}

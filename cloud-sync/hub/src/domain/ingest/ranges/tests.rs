use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn fingerprint(number: u8) -> Fingerprint {
    [number; 8]
}

/// Of version 1, a fingerprint is that of the newest with its first byte changed.
fn fingerprinted(version: Version, numbers: &[u8]) -> Fingerprints {
    let first = |fingerprint: Fingerprint| {
        if version == Version::NEWEST { fingerprint } else { [0, 1, 2, 3, 4, 5, 6, fingerprint[7]] }
    };
    Fingerprints { version, fingerprints: numbers.iter().map(|number| first(fingerprint(*number))).collect() }
}

/// Rows whose number is that of their sequence.
fn again(version: Version, span: &RangeInclusive<u64>) -> Vec<Fingerprint> {
    fingerprinted(version, &span.clone().map(|seq| seq as u8).collect::<Vec<_>>()).fingerprints
}

fn rows(first: u64, fingerprints: &[u8]) -> SeqRange {
    let last = first + fingerprints.len() as u64 - 1;
    SeqRange { first, last, content: Content::Rows(fingerprinted(Version::NEWEST, fingerprints)) }
}

fn old_rows(first: u64, fingerprints: &[u8]) -> SeqRange {
    SeqRange { content: Content::Rows(fingerprinted(Version::One, fingerprints)), ..rows(first, fingerprints) }
}

fn unreadable(seq: u64) -> SeqRange {
    SeqRange { first: seq, last: seq, content: Content::Unreadable }
}

fn gap(first: u64, last: u64) -> SeqRange {
    SeqRange { first, last, content: Content::Gap(GapKind::Lost, "corrupt".into()) }
}

#[test]
fn what_is_new_and_what_contradicts() {
    let known = [rows(1, &[1, 2, 3]), gap(4, 6), rows(10, &[10, 11])];
    for (brought, expected) in [
        (vec![], Ok(vec![])),
        (vec![rows(1, &[1, 2, 3])], Ok(vec![])),
        (vec![rows(2, &[2])], Ok(vec![])),
        (vec![rows(3, &[3]), gap(4, 9)], Ok(vec![gap(7, 9)])),
        (vec![rows(7, &[7, 8, 9, 10, 11, 12])], Ok(vec![rows(7, &[7, 8, 9]), rows(12, &[12])])),
        (vec![gap(1, 20)], Ok(vec![gap(7, 9), gap(12, 20)])),
        (vec![rows(30, &[1])], Ok(vec![rows(30, &[1])])),
        (vec![rows(2, &[9])], Err(Conflict { seq: 2 })),
        (vec![rows(9, &[9, 10, 12])], Err(Conflict { seq: 11 })),
        (vec![rows(5, &[5])], Err(Conflict { seq: 5 })),
        (vec![gap(4, 4), rows(5, &[5])], Err(Conflict { seq: 5 })),
    ] {
        assert_eq!(new_ranges(&brought, &known, &again), expected, "{brought:?}");
    }
}

/// A row is the same row whichever version of the program fingerprinted it, and another row is found by either.
#[test]
fn rows_of_an_earlier_version_are_compared_by_its_marks() {
    let known = [old_rows(1, &[1, 2, 3]), rows(4, &[4, 5])];
    for (brought, expected) in [
        (rows(1, &[1, 2, 3, 4, 5, 6]), Ok(vec![rows(6, &[6])])),
        (rows(2, &[2]), Ok(vec![])),
        (rows(4, &[9]), Err(Conflict { seq: 4 })),
    ] {
        assert_eq!(new_ranges(std::slice::from_ref(&brought), &known, &again), expected, "{brought:?}");
    }
    let known = [old_rows(1, &[1, 9, 3])];
    assert_eq!(new_ranges(&[rows(1, &[1, 2, 3])], &known, &again), Err(Conflict { seq: 2 }));
}

#[test]
fn a_row_that_was_not_read_contradicts_no_row_and_is_news_once_it_is() {
    let known = [rows(1, &[1]), unreadable(2), gap(3, 4)];
    for (brought, expected) in [
        (vec![unreadable(2)], Ok(vec![])),
        (vec![gap(2, 2)], Ok(vec![])),
        (vec![rows(2, &[2])], Ok(vec![rows(2, &[2])])),
        (vec![rows(1, &[1, 2])], Ok(vec![rows(2, &[2])])),
        (vec![unreadable(1)], Ok(vec![])),
        (vec![unreadable(3)], Err(Conflict { seq: 3 })),
    ] {
        assert_eq!(new_ranges(&brought, &known, &again), expected, "{brought:?}");
    }
}

#[test]
fn the_prefix_without_a_hole_is_confirmed() {
    for (confirmed, spans, expected) in [
        (0, vec![], 0),
        (0, vec![(1, 3)], 3),
        (0, vec![(2, 3)], 0),
        (0, vec![(1, 3), (4, 4), (6, 9)], 4),
        (4, vec![(6, 9)], 4),
        (4, vec![(5, 5), (6, 9)], 9),
        (9, vec![(1, 3), (4, 9)], 9),
        (0, vec![(1, u64::MAX - 2)], u64::MAX - 2),
    ] {
        assert_eq!(confirm(confirmed, spans.clone()), expected, "{confirmed} {spans:?}");
    }
}

/// What a device sends of a lane: some cuts of one history, in any order, each any number of times.
#[derive(Debug, Clone)]
struct History {
    /// A row, or nothing where the device has lost it.
    sequences: Vec<Option<u8>>,
    sendings: Vec<(usize, usize)>,
}

fn history() -> impl Strategy<Value = History> {
    let sequences = proptest::collection::vec(proptest::option::weighted(0.8, any::<u8>()), 1..40);
    sequences.prop_flat_map(|sequences| {
        let length = sequences.len();
        let sending = (0..length).prop_flat_map(move |first| (Just(first), first..length));
        let sendings = proptest::collection::vec(sending, 0..30);
        sendings.prop_map(move |sendings| History { sequences: sequences.clone(), sendings })
    })
}

/// One range of a history as runs, sequences from 1.
fn runs(sequences: &[Option<u8>], first: usize, last: usize) -> Vec<SeqRange> {
    let mut runs: Vec<SeqRange> = Vec::new();
    for (at, sequence) in sequences.iter().enumerate().take(last + 1).skip(first) {
        let seq = at as u64 + 1;
        match (runs.last_mut(), sequence) {
            (Some(SeqRange { last, content: Content::Rows(fingerprints), .. }), Some(row)) => {
                fingerprints.fingerprints.push(fingerprint(*row));
                *last = seq;
            }
            (Some(SeqRange { last, content: Content::Gap(..), .. }), None) => *last = seq,
            (_, Some(row)) => runs.push(rows(seq, &[*row])),
            (_, None) => runs.push(gap(seq, seq)),
        }
    }
    runs
}

/// Keeps runs as the store does.
#[derive(Default)]
struct Lane {
    known: Vec<SeqRange>,
    confirmed: u64,
    stored: Vec<u64>,
}

impl Lane {
    fn take(&mut self, brought: &[SeqRange]) -> Result<(), Conflict> {
        let new = new_ranges(brought, &self.known, &again)?;
        for run in &new {
            if let Content::Rows(_) = run.content {
                self.stored.extend(run.first..=run.last);
            }
        }
        self.known.extend(new);
        self.known.sort_by_key(|run| run.first);
        let spans = self.known.iter().filter(|run| run.last > self.confirmed).map(|run| (run.first, run.last));
        self.confirmed = confirm(self.confirmed, spans);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// The naive model: a set of sequences.
    #[test]
    fn any_order_repetition_and_split_come_to_the_same(history in history()) {
        let mut lane = Lane::default();
        let mut seen = BTreeSet::new();
        let mut before = 0;
        for (first, last) in &history.sendings {
            lane.take(&runs(&history.sequences, *first, *last)).unwrap();
            seen.extend(*first as u64 + 1..=*last as u64 + 1);
            let prefix = (1..).take_while(|seq| seen.contains(seq)).count() as u64;
            prop_assert_eq!(lane.confirmed, prefix);
            prop_assert!(lane.confirmed >= before, "a confirmation never goes back");
            before = lane.confirmed;
        }
        let rows: Vec<u64> = seen.iter().copied().filter(|seq| history.sequences[*seq as usize - 1].is_some()).collect();
        let mut stored = lane.stored.clone();
        stored.sort_unstable();
        prop_assert_eq!(stored, rows, "each row is stored once");
        let known: u64 = lane.known.iter().map(|run| run.last - run.first + 1).sum();
        prop_assert_eq!(known, seen.len() as u64, "no sequence is accounted for twice");
    }

    /// Against a map from sequence to content, with histories that contradict each other.
    #[test]
    fn a_contradiction_is_found_and_changes_nothing(history in history(), other in history()) {
        let mut lane = Lane::default();
        let mut model: BTreeMap<u64, Option<u8>> = BTreeMap::new();
        for (index, (first, last)) in history.sendings.iter().chain(&other.sendings).enumerate() {
            let sequences = if index < history.sendings.len() { &history.sequences } else { &other.sequences };
            let brought = runs(sequences, *first, *last);
            let contradicts = (*first..=*last).any(|at| match (model.get(&(at as u64 + 1)), sequences[at]) {
                (Some(known), Some(row)) => *known != Some(row),
                _ => false,
            });
            let before = (lane.known.clone(), lane.confirmed);
            let taken = lane.take(&brought);
            prop_assert_eq!(taken.is_err(), contradicts);
            if contradicts {
                prop_assert_eq!(&before, &(lane.known.clone(), lane.confirmed));
            } else {
                let numbered = (1..).zip(sequences).take(*last + 1).skip(*first);
                numbered.for_each(|(seq, content)| _ = model.entry(seq).or_insert(*content));
            }
        }
    }
}

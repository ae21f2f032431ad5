use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn exactly_the_rejected_rows_are_found_in_few_tries(
        rejected in prop::collection::btree_set(1_u64..1000, 0..4),
        live_is_bad in any::<bool>(),
        short_by in 0_u64..3,
    ) {
        let mut search = Search::new(vec![Suspect::Rows(Lane::Windows, 1, 1000), Suspect::Live]);
        prop_assert_eq!(search.next(), None);
        search.accepted(None);
        let (mut found, mut live_found, mut tries, mut covered) = (Vec::new(), false, 0, Vec::new());
        while let Some(suspect) = search.next() {
            tries += 1;
            match suspect {
                Suspect::Live if live_is_bad => live_found |= search.blame(None) == Finding::Live,
                Suspect::Live => search.accepted(None),
                Suspect::Rows(_, first, last) => {
                    // A store that gives a little less than was wanted.
                    let through = if last - first > 10 { last - short_by } else { last };
                    if rejected.range(first..=through).next().is_none() {
                        covered.extend(first..=through);
                        search.accepted(Some(through));
                    } else if let Finding::Row(_, seq) = search.blame(Some(through)) {
                        found.push(seq);
                        covered.push(seq);
                    }
                }
            }
        }
        prop_assert!(search.is_over());
        prop_assert_eq!(found, rejected.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(live_found, live_is_bad);
        prop_assert_eq!(covered, (1..=1000).collect::<Vec<_>>());
        prop_assert!(tries <= 2 + 1 + rejected.len() * 34, "{} tries", tries);
    }
}

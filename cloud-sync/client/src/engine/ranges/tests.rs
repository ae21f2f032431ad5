use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn ranges_say_what_a_set_of_numbers_says(
        steps in prop::collection::vec((any::<bool>(), 1_u64..60, 0_u64..12), 0..30),
        from in 1_u64..40,
        width in 0_u64..40,
    ) {
        let mut ranges = Ranges::default();
        let mut truth = BTreeSet::new();
        for (is_insert, first, more) in steps {
            let last = first + more;
            if is_insert {
                ranges.insert(first, last);
                truth.extend(first..=last);
            } else {
                ranges.remove(first, last);
                truth.retain(|seq| !(first..=last).contains(seq));
            }
        }
        let to = from + width;
        let absent: Vec<u64> = (from..=to).filter(|seq| !truth.contains(seq)).collect();
        prop_assert_eq!(ranges.count(from, to), width + 1 - absent.len() as u64);
        for seq in from..=to {
            prop_assert_eq!(ranges.around(seq).is_some(), truth.contains(&seq));
        }
        let low = absent.first().map(|&first| {
            (first, (first..=to).take_while(|seq| !truth.contains(seq)).last().unwrap())
        });
        let high = absent.last().map(|&last| {
            ((from..=last).rev().take_while(|seq| !truth.contains(seq)).last().unwrap(), last)
        });
        prop_assert_eq!(ranges.lowest_missing(from, to), low);
        prop_assert_eq!(ranges.highest_missing(from, to), high);
    }
}

#[test]
fn the_number_of_ranges_is_bounded_and_the_lowest_and_the_newest_stay() {
    let mut ranges = Ranges::default();
    for place in 1..=200 {
        ranges.insert(place * 10, place * 10 + 1);
    }
    assert_eq!(ranges.len(), MAX_RANGES);
    assert_eq!(ranges.around(2000), Some((2000, 2001)));
    assert_eq!((ranges.around(10), ranges.around(20)), (Some((10, 11)), None));
}

use super::*;

#[test]
fn a_confirmation_is_raised_known_or_late() {
    let mut book = LaneProgress::new(10, 100);
    for (seq, expected) in [
        (10, Confirmation::Same),
        (20, Confirmation::Raised(20)),
        (20, Confirmation::Same),
        (19, Confirmation::OutOfOrder),
        (100, Confirmation::Raised(100)),
    ] {
        book.mark_at_hub(11, 100);
        assert_eq!(book.confirm(seq, |_| false), expected, "{seq}");
    }
    assert_eq!((book.unconfirmed(), book.oldest(), book.newest()), (0, None, None));
}

#[test]
fn what_the_hub_says_it_lacks_is_sent_again_whatever_was_believed() {
    let mut book = LaneProgress::new(0, 100);
    book.mark_at_hub(51, 100);
    assert_eq!(book.oldest(), Some((1, 50)));
    book.mark_at_hub(1, 50);
    // A hub that had kept 51 to 100 would have confirmed 100.
    assert_eq!(book.confirm(50, |_| false), Confirmation::Raised(50));
    assert_eq!(book.oldest(), Some((51, 100)));
}

#[test]
fn only_what_the_hub_accepted_is_confirmed() {
    let mut book = LaneProgress::new(10, 100);
    assert_eq!(book.confirm(100, |_| false), Confirmation::Same);
    book.mark_at_hub(11, 20);
    book.mark_at_hub(31, 100);
    assert_eq!((book.confirm(100, |_| false), book.oldest()), (Confirmation::Raised(20), Some((21, 30))));
    book.mark_at_hub(21, 30);
    assert_eq!((book.confirm(100, |_| false), book.unconfirmed()), (Confirmation::Raised(100), 0));
}

#[test]
fn what_closes_the_gap_is_confirmed_however_much_is_ahead_of_it() {
    let mut book = LaneProgress::new(0, 10_000);
    (1..=200).for_each(|number| book.mark_at_hub(number * 10, number * 10 + 1));
    book.mark_at_hub(1, 5);
    assert_eq!(book.confirm(5, |_| false), Confirmation::Raised(5));
}

#[test]
fn a_rejected_row_is_accounted_for_unless_the_hub_says_otherwise() {
    let mut book = LaneProgress::new(0, 20);
    book.mark_at_hub(1, 10);
    assert_eq!((book.confirm(10, |seq| seq == 4), book.oldest()), (Confirmation::Raised(10), Some((11, 20))));

    let mut book = LaneProgress::new(0, 10);
    book.mark_at_hub(1, 10);
    assert_eq!((book.confirm(3, |seq| seq == 4), book.oldest()), (Confirmation::Raised(3), Some((4, 4))));
}

#[test]
fn a_new_epoch_may_go_back() {
    let mut book = LaneProgress::new(80, 100);
    book.mark_at_hub(90, 100);
    book.rewind(30);
    assert_eq!((book.confirmed(), book.oldest(), book.ranges()), (30, Some((31, 100)), 0));
}

#[test]
fn the_newest_ends_where_the_backlog_begins() {
    let mut book = LaneProgress::new(0, 100);
    book.mark_at_hub(91, 100);
    assert_eq!(book.newest(), Some((1, 90)));
    book.backlog_through(70);
    assert_eq!(book.newest(), Some((71, 90)));
    book.mark_at_hub(71, 90);
    assert_eq!((book.newest(), book.oldest()), (None, Some((1, 70))));
    book.grow(105);
    assert_eq!(book.newest(), Some((101, 105)));
}

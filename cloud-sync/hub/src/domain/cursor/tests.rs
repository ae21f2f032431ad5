use proptest::prelude::*;

use super::*;

fn cursors(tenant: &str, listing: Listing) -> Cursors {
    Cursors::new(&SigningKey::from_seed(&[7; 32]), &Id::new(tenant).unwrap(), listing)
}

proptest! {
    #[test]
    fn a_cursor_is_read_as_it_was_made(id in 1..END_OF_IDS, number in any::<u64>()) {
        let cursors = cursors("acme", Listing::Events);
        prop_assert_eq!(cursors.id(cursors.after(id as i64)), Some(id as i64));
        prop_assert_eq!(cursors.restore(cursors.permute(number)), number);
    }
}

/// Bytes that must not change: readers keep their cursors over an upgrade.
#[test]
fn a_cursor_stays_what_it_is() {
    assert_eq!(cursors("acme", Listing::Events).after(1), 9_748_635_041_187_866_122);
}

#[test]
fn no_other_number_is_a_cursor() {
    let acme = cursors("acme", Listing::Events);
    for other in [cursors("basil", Listing::Events), cursors("acme", Listing::Alerts)] {
        assert!((1..500).all(|id| acme.id(other.after(id)).is_none()));
    }
    assert!((0..500).all(|number| acme.id(number).is_none()), "0 and small numbers, such as ids");
}

/// Cursors in their order show neither how many rows lie between two nor which is the later one.
#[test]
fn cursors_do_not_rise_with_their_ids() {
    let acme = cursors("acme", Listing::Events);
    let made: Vec<u64> = (1..=1000).map(|id| acme.after(id)).collect();
    let rises = made.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((400..600).contains(&rises), "{rises} of 999 rise");
    let near = made.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1 << 40).count();
    assert_eq!(near, 0, "neighbours are not close");
}

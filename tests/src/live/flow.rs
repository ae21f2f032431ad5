//! When the relays of a board were on, by the board's own clock.

use tilth_wire::MAX_RELAYS;

/// The times in which each relay was on, in milliseconds of board time; the last one of a relay that is on has no end.
#[derive(Debug, Default, Clone)]
pub struct Flow([Vec<(i64, Option<i64>)>; MAX_RELAYS]);

impl Flow {
    /// Takes that a relay was switched; one that is on already stays on.
    pub fn switched(&mut self, relay: u8, on: bool, at: i64) {
        let times = &mut self.0[usize::from(relay)];
        match (times.last_mut(), on) {
            (Some((_, end @ None)), false) => *end = Some(at),
            (Some((_, None)), true) | (_, false) => {}
            (_, true) => times.push((at, None)),
        }
    }

    /// How often a relay was switched on.
    #[must_use]
    pub fn doses(&self, relay: u8) -> usize {
        self.0[usize::from(relay)].len()
    }

    /// Whether a relay is on.
    #[must_use]
    pub fn is_on(&self, relay: u8) -> bool {
        self.0[usize::from(relay)].last().is_some_and(|(_, end)| end.is_none())
    }

    /// How long a relay was on the last time, in milliseconds; none while it is on, or where it never was.
    #[must_use]
    pub fn last_ms(&self, relay: u8) -> Option<i64> {
        let (begin, end) = self.0[usize::from(relay)].last()?;
        Some((*end)? - begin)
    }

    /// Time on between two instants.
    #[must_use]
    pub fn between_ms(&self, relay: u8, from: i64, until: i64) -> i64 {
        let part = |(begin, end): &(i64, Option<i64>)| (end.unwrap_or(until).min(until) - (*begin).max(from)).max(0);
        self.0[usize::from(relay)].iter().map(part).sum()
    }

    /// The longest time on within any period of this length. It begins with a dose. A relay that is on counts as on until the period ends.
    #[must_use]
    pub fn most_within_ms(&self, relay: u8, period: i64) -> i64 {
        let begins = self.0[usize::from(relay)].iter().map(|(begin, _)| *begin);
        begins.map(|begin| self.between_ms(relay, begin, begin + period)).max().unwrap_or(0)
    }

    /// The times on of a relay after an instant: when each began and ended.
    pub fn since(&self, relay: u8, from: i64) -> impl Iterator<Item = (i64, Option<i64>)> {
        self.0[usize::from(relay)].iter().copied().filter(move |(begin, _)| *begin >= from)
    }

    /// Time until now in which two relays were on together.
    #[must_use]
    pub fn together_ms(&self, one: u8, other: u8, now: i64) -> i64 {
        let times = self.0[usize::from(one)].iter();
        times.map(|(begin, end)| self.between_ms(other, *begin, end.unwrap_or(now))).sum()
    }
}

#[test]
fn the_most_within_a_period_counts_parts_of_doses() {
    let mut flow = Flow::default();
    for (on, at) in [(true, 0), (false, 10), (true, 90), (true, 90), (false, 120), (false, 121), (true, 200)] {
        flow.switched(1, on, at);
    }
    assert_eq!((flow.doses(1), flow.is_on(1), flow.is_on(0), flow.last_ms(1)), (3, true, false, None));
    assert_eq!((flow.most_within_ms(1, 100), flow.between_ms(1, 100, 210)), (100, 30));
    flow.switched(0, true, 115);
    assert_eq!((flow.together_ms(0, 1, 203), flow.together_ms(1, 0, 203)), (5 + 3, 5 + 3));
    flow.switched(1, false, 205);
    assert_eq!(flow.since(1, 90).collect::<Vec<_>>(), [(90, Some(120)), (200, Some(205))]);
    assert_eq!((flow.most_within_ms(1, 100), flow.last_ms(1)), (30, Some(5)));
}

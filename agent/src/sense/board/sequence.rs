//! Sequence numbers of one board: which reading comes next, which came before, and which cannot come any more. Pure.

/// Whether a wrapping number comes before another one, as `docs/wire-protocol.md` compares them.
pub(super) const fn is_before(number: u32, other: u32) -> bool {
    (number.wrapping_sub(other) as i32) < 0
}

/// What a reading is, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// The one that was waited for.
    Next,
    /// The reading came before.
    Repeated,
    /// Readings before it are missing: a frame was lost.
    Beyond,
    /// Not known yet which numbers the board holds.
    Unknown,
}

/// Where the sequence of a board stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Number of the next reading; none before it is known which readings the board holds.
    next: Option<u32>,
    /// `next` when the board last said that it has more than that.
    behind_at: Option<u32>,
}

impl Sequence {
    /// The sequence of a board that started after the agent saw it last: every number from 0 on is expected.
    pub(super) fn of_started_board() -> Sequence {
        Sequence { next: Some(0), behind_at: None }
    }

    /// Number of the next reading.
    pub(super) fn next(self) -> Option<u32> {
        self.next
    }

    /// Takes the number of a reading that came.
    pub(super) fn take(&mut self, number: u32) -> Position {
        match self.next {
            None => Position::Unknown,
            Some(next) if number == next => {
                self.next = Some(next.wrapping_add(1));
                Position::Next
            }
            Some(next) if is_before(number, next) => Position::Repeated,
            Some(_) => Position::Beyond,
        }
    }

    /// Takes what a Heartbeat says: the number of the next reading, and of the oldest that is held. Returns how many readings cannot
    /// come any more.
    pub(super) fn heartbeat(&mut self, oldest: u32) -> u32 {
        let next = *self.next.get_or_insert(oldest);
        if !is_before(next, oldest) {
            return 0;
        }
        self.next = Some(oldest);
        oldest.wrapping_sub(next)
    }

    /// Whether readings that the board made were not on their way but lost: two heartbeats one after the other say that there are
    /// more, and none came between them.
    pub(super) fn is_stuck(&mut self, boards_next: u32) -> bool {
        let is_behind = self.next.is_some_and(|next| is_before(next, boards_next));
        let behind_at = self.next.filter(|_| is_behind);
        std::mem::replace(&mut self.behind_at, behind_at).is_some_and(|before| behind_at == Some(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_taken_in_order_and_once() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.take(7), Position::Unknown);
        assert_eq!(sequence.heartbeat(u32::MAX), 0);
        let orders = [u32::MAX, 0, u32::MAX, 2, 1].map(|number| sequence.take(number));
        assert_eq!(orders, [Position::Next, Position::Next, Position::Repeated, Position::Beyond, Position::Next]);
        assert_eq!(sequence.next(), Some(2));
    }

    #[test]
    fn what_the_board_dropped_is_counted_and_no_longer_waited_for() {
        let mut sequence = Sequence::of_started_board();
        assert_eq!(sequence.heartbeat(40), 40);
        assert_eq!(sequence.take(40), Position::Next);
        assert_eq!(sequence.heartbeat(41), 0);
    }

    #[test]
    fn a_board_that_is_ahead_twice_with_nothing_between_lost_a_frame() {
        let mut sequence = Sequence::of_started_board();
        assert!(!sequence.is_stuck(0) && !sequence.is_stuck(1), "expected the reading to be on its way");
        assert_eq!(sequence.take(0), Position::Next);
        assert!(!sequence.is_stuck(2), "expected another one to be on its way");
        assert!(sequence.is_stuck(2));
    }
}

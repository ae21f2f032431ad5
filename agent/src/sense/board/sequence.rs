//! Sequence numbers of one board: which reading comes next, which came before, and which cannot come any more. Pure.

use std::collections::VecDeque;

use tilth_wire::{FromBoard, MAX_FRAME, Reading, crc16};

/// Readings that are recognised when they come again: two rounds of four channels.
const REMEMBERED: usize = 8;

/// Whether a wrapping number comes before another one, as `docs/wire-protocol.md` compares them.
pub(super) const fn is_before(number: u32, other: u32) -> bool {
    (number.wrapping_sub(other) as i32) < 0
}

/// What a reading is, by its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeqCheck {
    /// The one that was waited for.
    InOrder,
    /// A repeat. `is_same`: its checksum is still remembered, and is the same.
    Duplicate { is_same: bool },
    /// Another reading came before under this number: the board restarted since.
    OtherContent,
    /// Readings before it did not come: a frame was lost.
    Skipped,
    /// Not known yet which numbers the board holds.
    Unplaced,
}

/// Position in the sequence of a board.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Number of the next reading; none before it is known which readings the board holds.
    pub(super) next: Option<u32>,
    /// `next` when the board last said that it has more than that.
    behind_at: Option<u32>,
    /// Checksums of the newest readings, the last one last.
    pub(super) recent: VecDeque<u16>,
}

impl Sequence {
    /// The sequence of a board that booted after the agent saw it last: every number from 0 on is expected.
    pub(super) fn of_new_boot() -> Sequence {
        Sequence::resumed(0, VecDeque::new())
    }

    /// The sequence of a board whose readings before `next` were accepted; `recent` are checksums of the newest ones.
    pub(super) fn resumed(next: u32, recent: VecDeque<u16>) -> Sequence {
        Sequence { next: Some(next), behind_at: None, recent }
    }

    /// What a reading that came is; accepts it where it is the next one.
    pub(super) fn check(&mut self, reading: &Reading) -> SeqCheck {
        let Some(next) = self.next else { return SeqCheck::Unplaced };
        if reading.seq == next {
            self.next = Some(next.wrapping_add(1));
            self.recent.push_back(checksum(reading));
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
            return SeqCheck::InOrder;
        }
        if !is_before(reading.seq, next) {
            return SeqCheck::Skipped;
        }
        let ix = self.recent.len().checked_sub(next.wrapping_sub(reading.seq) as usize);
        match ix.map(|ix| self.recent[ix] == checksum(reading)) {
            Some(false) => SeqCheck::OtherContent,
            is_same => SeqCheck::Duplicate { is_same: is_same.is_some() },
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
        self.recent.clear();
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

/// Checksum of all that a reading says.
fn checksum(reading: &Reading) -> u16 {
    let mut frame = [0; MAX_FRAME];
    FromBoard::Reading(*reading).encode(&mut frame).map_or(0, crc16)
}

#[cfg(test)]
mod tests {
    use tilth_wire::Sample;

    use super::*;

    fn reading(seq: u32, value: i32) -> Reading {
        Reading { seq, at: 0, channel: 0, sample: Sample::Value(value) }
    }

    fn check<const N: usize>(sequence: &mut Sequence, numbers: [u32; N]) -> [SeqCheck; N] {
        numbers.map(|number| sequence.check(&reading(number, 0)))
    }

    const DUPLICATE: SeqCheck = SeqCheck::Duplicate { is_same: true };

    #[test]
    fn readings_are_accepted_in_order_and_once() {
        let mut sequence = Sequence::default();
        assert_eq!(check(&mut sequence, [7]), [SeqCheck::Unplaced]);
        assert_eq!(sequence.heartbeat(u32::MAX), 0);
        let orders = check(&mut sequence, [u32::MAX, 0, u32::MAX, 2, 1]);
        assert_eq!(orders, [SeqCheck::InOrder, SeqCheck::InOrder, DUPLICATE, SeqCheck::Skipped, SeqCheck::InOrder]);
        assert_eq!(sequence.next, Some(2));
    }

    /// Guards against: readings of a board that restarted while the agent was away, mistaken for those of before by their numbers.
    #[test]
    fn a_reading_under_the_number_of_another_one_is_told_from_one_that_comes_again() {
        let mut sequence = Sequence::of_new_boot();
        (0..12).for_each(|number| assert_eq!(check(&mut sequence, [number]), [SeqCheck::InOrder]));
        let mut sequence = Sequence::resumed(12, sequence.recent.clone());
        assert_eq!(check(&mut sequence, [3, 4, 11]), [SeqCheck::Duplicate { is_same: false }, DUPLICATE, DUPLICATE]);
        assert_eq!(sequence.check(&reading(11, 5)), SeqCheck::OtherContent);
        assert_eq!(sequence.heartbeat(40), 28);
        assert_eq!(check(&mut sequence, [39, 40]), [SeqCheck::Duplicate { is_same: false }, SeqCheck::InOrder]);
    }

    #[test]
    fn what_the_board_dropped_is_counted_and_no_longer_waited_for() {
        let mut sequence = Sequence::of_new_boot();
        assert_eq!(sequence.heartbeat(40), 40);
        assert_eq!(check(&mut sequence, [40]), [SeqCheck::InOrder]);
        assert_eq!(sequence.heartbeat(41), 0);
    }

    #[test]
    fn a_board_that_is_ahead_twice_with_nothing_between_lost_a_frame() {
        let mut sequence = Sequence::of_new_boot();
        assert!(!sequence.is_stuck(0) && !sequence.is_stuck(1), "expected the reading to be on its way");
        assert_eq!(check(&mut sequence, [0]), [SeqCheck::InOrder]);
        assert!(!sequence.is_stuck(2), "expected another one to be on its way");
        assert!(sequence.is_stuck(2));
    }
}

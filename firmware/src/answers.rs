//! Commands that were done or refused: each is done once, and its answer can be repeated.

use tilth_wire::{Ack, CommandError, Refusal, Writer};

use crate::bits::bit;
use crate::time::is_same;

/// Commands that are remembered. The agent repeats those that are not answered, one for each relay and one setting. That others come between
/// does no harm: a relay knows the command that switched it on, and a setting may be made twice.
const REMEMBERED: usize = 4;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Done, where the board's own limits hold in place of what was asked.
    Limited,
    Refused(Refusal),
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    command: u32,
    outcome: Outcome,
}

/// The newest commands with their answers, the oldest one first.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    answers: [Answer; REMEMBERED],
    /// Answers that are to be sent, as bits.
    pending: u8,
}

impl Answers {
    /// No command yet. A constant of zeros, which is made where it stays.
    pub(crate) const NONE: Self = {
        let outcome = Outcome::Refused(Refusal::NotUnderstood);
        Self { answers: [Answer { command: 0, outcome }; REMEMBERED], pending: 0 }
    };

    /// Whether the command is known, whose answer is then sent once more.
    pub(crate) fn repeat(&mut self, command: u32) -> bool {
        let is_known = |answer: &Answer| !is_same(command, 0) && is_same(answer.command, command);
        let known = self.answers.iter().position(is_known);
        self.pending |= known.map_or(0, |place| bit(place as u8));
        known.is_some()
    }

    /// Adds the answer to a command, in place of the oldest one.
    #[inline(never)]
    pub(crate) fn add(&mut self, command: u32, outcome: Outcome) {
        self.answers.copy_within(1.., 0);
        let [.., newest] = &mut self.answers;
        *newest = Answer { command, outcome };
        self.pending = (self.pending >> 1) | (1 << (REMEMBERED - 1));
    }

    /// The next answer to send, that to the oldest command first: the command and its outcome.
    pub(crate) fn next_pending(&mut self) -> Option<(u32, Outcome)> {
        let mut bit = 1;
        for answer in &self.answers {
            if self.pending & bit != 0 {
                self.pending ^= bit;
                return Some((answer.command, answer.outcome));
            }
            bit <<= 1;
        }
        None
    }
}

/// Writes the answer to a command.
pub(crate) fn write(command: u32, outcome: Outcome, frame: &mut Writer<'_>) {
    match outcome {
        Outcome::Refused(reason) => CommandError { command, reason }.write(frame),
        _ => Ack { command, limited: outcome == Outcome::Limited }.write(frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_in_the_order_of_their_commands() {
        let mut answers = Answers::NONE;
        for command in 1..=6 {
            answers.add(command, Outcome::Done);
        }
        for command in 3..=6 {
            assert_eq!(answers.next_pending(), Some((command, Outcome::Done)));
        }
        assert_eq!(answers.next_pending(), None);
    }

    #[test]
    fn a_repeated_command_gets_its_first_answer() {
        let mut answers = Answers::NONE;
        answers.add(9, Outcome::Refused(Refusal::TooSoon));
        let error = Some((9, Outcome::Refused(Refusal::TooSoon)));
        assert_eq!(answers.next_pending(), error);
        assert!(answers.repeat(9));
        assert_eq!(answers.next_pending(), error);
        assert!(!answers.repeat(8) && !answers.repeat(0));
        assert_eq!(answers.next_pending(), None);
    }
}

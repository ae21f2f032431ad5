//! Readings of the board: each is taken once, and confirmed once it is stored.

use tilth_wire::{BoardId, ChannelKind, Reading, ToBoard};

use super::{Effect, Session, State, Value};
use crate::sense::board::line::Identity;
use crate::sense::board::sequence::Position;
use crate::sense::board::words;
use crate::sense::receipt::{BoardPosition, Receipts};

impl Session {
    pub(super) fn handle_reading(&mut self, reading: Reading) {
        let Some(at) = self.clock.uptime(reading.at) else { return };
        let position = self.sequence.take(&reading);
        if let (State::Greeted { is_proven, .. }, Position::Next | Position::Repeated { is_known: true }) =
            (&mut self.state, position)
        {
            *is_proven = true;
        }
        match position {
            Position::Next => {
                self.counts.readings += 1;
                self.is_unmarked = true;
                self.is_asked_again = false;
                let Reading { channel, sample, .. } = reading;
                if let Some(kind) = self.kinds.of(&reading) {
                    let counts = kind.is_some_and(|(kind, _)| kind == ChannelKind::Pulse);
                    let pulses = if counts { self.counters.take(&reading) } else { None };
                    self.effects.push_back(Effect::Value(Value { channel, kind, at, sample, pulses }));
                }
            }
            Position::Repeated { .. } => self.counts.ignore(words::REPEATED),
            // Relays may have been ordered on since: the next Heartbeat says which are.
            Position::Different => {
                if let Some(Identity { reset, .. }) = self.greeting {
                    self.restarted(reset);
                }
                self.ask();
            }
            Position::Beyond if !self.is_asked_again => {
                self.is_asked_again = true;
                self.send(ToBoard::Identify);
            }
            Position::Beyond | Position::Unknown => {}
        }
    }

    /// Says up to where the readings are that were taken since this was last said, for the store to confirm.
    pub(super) fn mark(&mut self) {
        if !std::mem::take(&mut self.is_unmarked) {
            return;
        }
        let Some(next) = self.sequence.next else { return };
        let mark = u64::from(self.starts) << 32 | u64::from(next.wrapping_sub(1));
        let BoardId(board) = self.id;
        let (recent, counted) = (self.sequence.recent.clone(), self.counters.counted.clone());
        let position = BoardPosition { board, next, recent, counted };
        self.effects.push_back(Effect::Mark(mark, position));
    }

    /// What the store dropped reached rules and windows before, which would count it twice if the board sent it again: it is said, and
    /// confirmed once its loss is stored.
    pub(super) fn handle_receipts(&mut self, Receipts { stored, dropped }: Receipts) {
        let news = dropped.saturating_sub(self.counts.dropped);
        if news > 0 {
            self.counts.dropped = dropped;
            self.effects.push_back(Effect::Remark(words::dropped(news)));
        }
        let of_this_start = stored.filter(|mark| (mark >> 32) as u32 == self.starts).map(|mark| mark as u32);
        if of_this_start.is_some() && of_this_start != self.stored {
            self.stored = of_this_start;
            self.confirm();
        }
    }

    pub(super) fn confirm(&mut self) {
        if let (Some(through), State::Greeted { is_proven: true, .. }) = (self.stored, self.state) {
            self.send(ToBoard::Received { through });
        }
    }
}

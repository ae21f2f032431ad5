//! Readings of the board: each is accepted once, and confirmed once it is stored.

use tilth_wire::{BoardId, ChannelKind, Reading, ToBoard};

use super::{ChannelReading, Effect, Session, State, Topic};
use crate::sense::board::connection::Identity;
use crate::sense::board::sequence::SeqCheck;
use crate::sense::board::texts;
use crate::sense::store_ack::{BoardPosition, StoreProgress};

impl Session {
    pub(super) fn handle_reading(&mut self, reading: Reading) {
        let Some(at) = self.clock.uptime(reading.at) else { return };
        let check = self.sequence.check(&reading);
        if let (State::Connected { is_verified, .. }, SeqCheck::InOrder | SeqCheck::Duplicate { is_same: true }) =
            (&mut self.state, check)
        {
            *is_verified = true;
        }
        match check {
            SeqCheck::InOrder => {
                self.counts.readings += 1;
                self.is_ack_due = true;
                self.is_resend_requested = false;
                let Reading { channel, sample, .. } = reading;
                if let Some(channel_type) = self.channel_types.of(&reading) {
                    let counts = channel_type.is_some_and(|(kind, _)| kind == ChannelKind::Pulse);
                    let pulses = if counts { self.counters.take(&reading) } else { None };
                    let reading = ChannelReading { channel, channel_type, at, sample, pulses };
                    self.effects.push_back(Effect::Reading(reading));
                }
            }
            SeqCheck::Duplicate { .. } => self.counts.ignore(texts::REPEATED),
            // Relays may have been ordered on since: the next Heartbeat says which are.
            SeqCheck::OtherContent => {
                if let Some(Identity { reset, .. }) = self.identity {
                    self.restarted(reset);
                }
                self.start_handshake();
            }
            SeqCheck::Skipped if !self.is_resend_requested => {
                self.is_resend_requested = true;
                self.send(ToBoard::Identify);
            }
            SeqCheck::Skipped | SeqCheck::Unplaced => {}
        }
    }

    /// Asks the store to acknowledge the readings that were accepted since the last time.
    pub(super) fn request_ack(&mut self) {
        if !std::mem::take(&mut self.is_ack_due) {
            return;
        }
        let Some(next) = self.sequence.next else { return };
        let through = u64::from(self.boots) << 32 | u64::from(next.wrapping_sub(1));
        let BoardId(board) = self.id;
        let (recent, counted) = (self.sequence.recent.clone(), self.counters.counted.clone());
        let position = BoardPosition { board, next, recent, counted };
        self.effects.push_back(Effect::RequestAck(through, position));
    }

    /// Values that the store dropped had reached rules and windows already, which would count them twice if the board sent them again: so the
    /// loss is logged, and the readings are confirmed once the loss is stored.
    pub(super) fn handle_stored(&mut self, StoreProgress { stored, dropped }: StoreProgress) {
        let news = dropped.saturating_sub(self.counts.dropped);
        if news > 0 {
            self.counts.dropped = dropped;
            self.log(Topic::Loss, texts::dropped(news));
        }
        let of_this_boot = stored.filter(|through| (through >> 32) as u32 == self.boots).map(|through| through as u32);
        if of_this_boot.is_some() && of_this_boot != self.stored {
            self.stored = of_this_boot;
            self.confirm();
        }
    }

    pub(super) fn confirm(&mut self) {
        if let (Some(through), State::Connected { is_verified: true, .. }) = (self.stored, self.state) {
            self.send(ToBoard::Received { through });
        }
    }
}

//! What board and agent said to each other, frame by frame, before any noise.

use std::collections::{BTreeMap, BTreeSet};

use tilth_wire::{Decoder, FromBoard, Heartbeat, MAX_FRAME, OffReason, Reading, Refusal, ResetCause, ToBoard};

/// Everything that was said since the board was plugged in.
#[derive(Default)]
pub(super) struct Heard {
    /// The board's starts, the newest last.
    pub(super) starts: Vec<Start>,
    /// What the board answered to each command: whether its own limits hold, or why it was refused.
    pub(super) answers: BTreeMap<u32, Result<bool, Refusal>>,
    /// Relays that went off, and why.
    pub(super) off: Vec<(u8, OffReason)>,
    /// What contradicts itself.
    pub(super) findings: Vec<String>,
    from_board: Decoder<MAX_FRAME>,
    to_board: Decoder<MAX_FRAME>,
}

/// One run of the board, from its start to the next.
#[derive(Default)]
pub(super) struct Start {
    /// Why it started, once it said so.
    pub(super) cause: Option<ResetCause>,
    /// Newest board time that it said, in milliseconds.
    pub(super) at: u32,
    pub(super) heartbeat: Option<Heartbeat>,
    /// All its readings by their numbers, each counted once.
    pub(super) readings: BTreeMap<u32, Reading>,
    /// Board times that the agent said it heard.
    pub(super) echoed: BTreeSet<u32>,
    /// Up to which reading the agent said it stored.
    pub(super) stored: Option<u32>,
}

impl Heard {
    /// The board's newest start; none before it said anything.
    pub(super) fn newest(&self) -> Option<&Start> {
        self.starts.last()
    }

    /// Takes bytes that the board sent.
    pub(super) fn take_from_board(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let mut body = [0; MAX_FRAME];
            let length = match self.from_board.push(*byte) {
                None => continue,
                Some(Ok(frame)) => {
                    body[..frame.len()].copy_from_slice(frame);
                    frame.len()
                }
                // What was sent when the watchdog struck.
                Some(Err(_)) => continue,
            };
            match FromBoard::decode(&body[..length]) {
                Ok(message) => self.take_message(&message),
                Err(error) => self.findings.push(format!("the board sent {error}: {}", hex::encode(&body[..length]))),
            }
        }
    }

    /// Takes bytes that the agent sent.
    pub(super) fn take_from_agent(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let Some(Ok(frame)) = self.to_board.push(*byte) else { continue };
            let (message, start) = (ToBoard::decode(frame), self.starts.last_mut());
            match (message, start) {
                // A later one was heard before the board restarted.
                (Ok(ToBoard::Heartbeat { heard }), Some(start)) if heard <= start.at => {
                    let _ = start.echoed.insert(heard);
                }
                (Ok(ToBoard::Received { through }), Some(start)) => start.stored = start.stored.max(Some(through)),
                _ => {}
            }
        }
    }

    fn take_message(&mut self, message: &FromBoard<'_>) {
        match message {
            FromBoard::Hello(hello) => {
                self.at(hello.at).cause = Some(hello.reset);
            }
            FromBoard::Heartbeat(heartbeat) => self.at(heartbeat.at).heartbeat = Some(*heartbeat),
            FromBoard::Reading(reading) => self.take_reading(*reading),
            FromBoard::Batch(batch) => batch.readings().for_each(|reading| self.take_reading(reading)),
            FromBoard::Ack(ack) => drop(self.answers.insert(ack.command, Ok(ack.limited))),
            FromBoard::Error(error) => drop(self.answers.insert(error.command, Err(error.reason))),
            FromBoard::Switched(switched) => self.off.extend(switched.off.map(|why| (switched.relay, why))),
        }
    }

    fn take_reading(&mut self, reading: Reading) {
        let Some(start) = self.starts.last_mut() else { return };
        let kept = *start.readings.entry(reading.seq).or_insert(reading);
        if kept != reading {
            self.findings.push(format!("a reading came as {kept:?} and again as {reading:?}"));
        }
    }

    /// The start that a board time belongs to: a new one where the time went back.
    fn at(&mut self, at: u32) -> &mut Start {
        if self.newest().is_none_or(|start| at < start.at) {
            self.starts.push(Start::default());
        }
        let last = self.starts.len() - 1;
        self.starts[last].at = at;
        &mut self.starts[last]
    }
}

impl Start {
    /// Numbers between the first and the last reading that never came.
    pub(super) fn missing(&self) -> usize {
        let (Some(first), Some(last)) = (self.readings.keys().next(), self.readings.keys().last()) else { return 0 };
        (last - first + 1) as usize - self.readings.len()
    }
}

#[cfg(test)]
mod tests {
    use tilth_wire::{BoardKind, Hello, Sample};

    use super::*;

    fn from_board(heard: &mut Heard, message: &FromBoard<'_>) {
        heard.take_from_board(message.encode(&mut [0; MAX_FRAME]).unwrap());
    }

    fn hello(heard: &mut Heard, at: u32) {
        let (kind, reset) = (BoardKind::Uno, ResetCause::Watchdog);
        let hello =
            Hello { protocol: 1, kind, firmware: [0; 3], id: None, reset, at, next: 0, relays: 2, channels: &[] };
        from_board(heard, &FromBoard::Hello(hello));
    }

    fn reading(heard: &mut Heard, seq: u32, value: i32) {
        from_board(heard, &FromBoard::Reading(Reading { seq, at: 0, channel: 0, sample: Sample::Value(value) }));
    }

    fn echo(heard: &mut Heard, at: u32) {
        heard.take_from_agent(ToBoard::Heartbeat { heard: at }.encode(&mut [0; MAX_FRAME]).unwrap());
    }

    #[test]
    fn a_board_whose_time_goes_back_has_started_and_an_echo_of_before_is_none_of_it() {
        let mut heard = Heard::default();
        hello(&mut heard, 5_000);
        reading(&mut heard, 0, 7);
        hello(&mut heard, 20);
        echo(&mut heard, 5_000);
        echo(&mut heard, 20);
        assert_eq!(heard.starts.len(), 2);
        assert_eq!(heard.starts[1].echoed, BTreeSet::from([20]));
        assert!(heard.starts[1].readings.is_empty());
    }

    #[test]
    fn a_reading_that_comes_again_counts_once_and_must_be_the_same() {
        let mut heard = Heard::default();
        hello(&mut heard, 0);
        for (seq, value) in [(3, 7), (3, 7), (5, 8)] {
            reading(&mut heard, seq, value);
        }
        assert_eq!((heard.starts[0].readings.len(), heard.starts[0].missing(), heard.findings.len()), (2, 1, 0));
        reading(&mut heard, 5, 9);
        assert_eq!(heard.findings.len(), 1);
    }
}

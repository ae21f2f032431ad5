//! Timelines of a whole node: what comes in at which instant, what goes out.

mod histories;
mod readings;
mod relays;
mod settings;

use std::vec::Vec;

use tilth_wire::{
    BoardKind, ChannelKind, Decoder, FromBoard, Heartbeat, MAX_FRAME, Reading, ResetCause, Sample, Switch, ToBoard,
    UNLIMITED,
};

use crate::{BoardTime, ChannelSettings, Effect, Input, Kinds, Limits, Node, RECORD_LEN, Wiring};

/// Two analog channels, two unused ones; a doser and a pump that exclude each other, and a siren that is normally energised.
#[derive(Debug)]
struct Bench;

const DOSER: u8 = 0;
const PUMP: u8 = 1;
const SIREN: u8 = 2;

const HARD_LIMITS: [Limits; 3] = [
    Limits { max_on: 5_000, min_off: 20_000, link_timeout: 10_000, excludes: 1 << PUMP },
    Limits { max_on: 60_000, min_off: 1_000, link_timeout: 10_000, excludes: 0 },
    Limits { max_on: UNLIMITED, min_off: 0, link_timeout: 60_000, excludes: 0 },
];

impl Wiring for Bench {
    const KIND: BoardKind = BoardKind::Host;

    fn channel(channel: u8) -> (Kinds, ChannelSettings) {
        let kind = if channel < 2 { ChannelKind::Analog } else { ChannelKind::Off };
        let kinds = Kinds::OFF.or(ChannelKind::Analog).or(ChannelKind::Ds18b20).or(ChannelKind::Dht22Humidity);
        (kinds, ChannelSettings { kind, interval: 10_000, oversampling: 4 })
    }

    fn relay(relay: u8) -> Limits {
        HARD_LIMITS[usize::from(relay)]
    }
}

type BenchNode = Node<Bench, 4, 3, 256, 0>;

/// A message of the board, without what it borrowed.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Hello { id: Option<[u8; 8]>, at: u32, next: u32, kinds: Vec<ChannelKind> },
    Readings(Vec<Reading>),
    Answer(u32, Result<bool, tilth_wire::Refusal>),
    Switched(tilth_wire::Switched),
    Heartbeat(Heartbeat),
}

/// A node with its line, its outputs and the measurements that it began.
struct Rig {
    node: BenchNode,
    now: u32,
    decoder: Decoder<{ MAX_FRAME - 1 }>,
    outputs: [bool; 3],
    measuring: Vec<u8>,
    /// Channels that are off, each as it was said so.
    released: Vec<u8>,
    /// Answers each measurement at once with this, if there is one.
    sample: Option<Sample>,
}

impl Rig {
    /// A board that starts at the board time 0, with outputs as they float before.
    fn new() -> Self {
        Self::started(0, &[], Some(Sample::Value(7)))
    }

    /// A board whose measurements the test ends.
    fn slow() -> Self {
        Self::started(0, &[], None)
    }

    /// A board that starts at a board time with what it keeps.
    fn started(now: u32, kept: &[[u8; RECORD_LEN]], sample: Option<Sample>) -> Self {
        let mut node = BenchNode::new(BoardTime::from_millis(now), ResetCause::PowerOn);
        node.restore(kept.iter().flatten().copied());
        let (outputs, measuring, released) = ([true; 3], Vec::new(), Vec::new());
        let mut rig = Self { node, now, decoder: Decoder::new(), outputs, measuring, released, sample };
        rig.effects();
        rig
    }

    /// A board whose agent has been there from the start; past every minimum off-time.
    fn linked() -> Self {
        let mut rig = Self::new();
        for at in (0..=25_000).step_by(1_000) {
            rig.at(at).heartbeat();
        }
        rig.said();
        rig
    }

    /// Goes on to a board time, millisecond by millisecond.
    fn at(&mut self, now: u32) -> &mut Self {
        while self.now != now {
            self.now = self.now.wrapping_add(1);
            self.input(Input::Tick);
        }
        self
    }

    fn input(&mut self, input: Input) {
        self.node.handle(BoardTime::from_millis(self.now), input);
        self.effects();
    }

    fn effects(&mut self) {
        while let Some(effect) = self.node.poll() {
            match effect {
                Effect::SetRelay { relay, on } => self.outputs[usize::from(relay)] = on,
                Effect::Measure { channel, kind: ChannelKind::Off, .. } => self.released.push(channel),
                Effect::Measure { channel, .. } => match self.sample {
                    Some(sample) => {
                        self.node.handle(BoardTime::from_millis(self.now), Input::Measured { channel, sample });
                    }
                    None => self.measuring.push(channel),
                },
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.input(Input::Byte(*byte));
        }
    }

    fn send(&mut self, message: ToBoard) -> &mut Self {
        let mut out = [0; MAX_FRAME];
        let frame = message.encode(&mut out).unwrap().to_vec();
        self.bytes(&frame);
        self
    }

    /// A heartbeat of an agent that hears the board.
    fn heartbeat(&mut self) -> &mut Self {
        self.send(ToBoard::Heartbeat { heard: self.now })
    }

    /// Goes on to a board time with an agent that sends a heartbeat every second.
    fn linked_to(&mut self, now: u32) -> &mut Self {
        while self.now + 1_000 < now {
            self.at(self.now + 1_000).heartbeat();
        }
        self.at(now).heartbeat()
    }

    fn switch(&mut self, command: u32, relay: u8, on_for: u32) -> &mut Self {
        let expires = self.now.wrapping_add(5_000);
        self.send(ToBoard::Switch(Switch { command, relay, on_for, expires }))
    }

    /// Everything that the board has to say by now.
    fn said(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        while let Some(byte) = self.node.next_byte() {
            if let Some(body) = self.decoder.push(byte) {
                said.push(match FromBoard::decode(body.unwrap()).unwrap() {
                    FromBoard::Hello(hello) => Said::Hello {
                        id: hello.id.map(|id| id.0),
                        at: hello.at,
                        next: hello.next,
                        kinds: hello.channels().map(|channel| channel.unwrap().0).collect(),
                    },
                    FromBoard::Reading(reading) => Said::Readings(std::vec![reading]),
                    FromBoard::Batch(batch) => Said::Readings(batch.readings().collect()),
                    FromBoard::Ack(ack) => Said::Answer(ack.command, Ok(ack.limited)),
                    FromBoard::Error(error) => Said::Answer(error.command, Err(error.reason)),
                    FromBoard::Switched(switched) => Said::Switched(switched),
                    FromBoard::Heartbeat(heartbeat) => Said::Heartbeat(heartbeat),
                });
            }
        }
        said
    }

    /// Answers to commands that the board has to say by now.
    fn answers(&mut self) -> Vec<(u32, Result<bool, tilth_wire::Refusal>)> {
        let answer = |said| match said {
            Said::Answer(command, outcome) => Some((command, outcome)),
            _ => None,
        };
        self.said().into_iter().filter_map(answer).collect()
    }

    /// Readings that the board has to say by now.
    fn readings(&mut self) -> Vec<Reading> {
        let readings = |said| match said {
            Said::Readings(readings) => readings,
            _ => Vec::new(),
        };
        self.said().into_iter().flat_map(readings).collect()
    }
}

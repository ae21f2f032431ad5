//! The firmware of a board, built for the host: the same node behind a pseudo-terminal or a TCP port, with simulated channels.

mod line;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tilth_firmware::{Board, BoardTime, ChannelSettings, Kinds, Limits, Node, RECORD_LEN, Record, Wiring, round};
use tilth_wire::{BoardKind, ChannelKind, ResetCause, Sample, UNLIMITED};

pub use line::Line;

/// Channels of the host board; each can be of any kind.
pub const CHANNELS: usize = 8;

/// Relays of the host board: two dosers that exclude each other, and one that may be held on, for a siren.
pub const RELAYS: usize = 3;

/// Bytes of its send queue: 30 minutes of four channels at 10 s.
const QUEUE: usize = 4_096;

/// What is wired to the host board.
#[derive(Debug)]
pub struct HostWiring;

impl Wiring for HostWiring {
    const KIND: BoardKind = BoardKind::Host;

    fn channel(channel: u8) -> (Kinds, ChannelSettings) {
        let kinds = ChannelKind::ALL.iter().fold(Kinds::OFF, |kinds, kind| kinds.or(*kind));
        let kind = match channel {
            0 | 1 => ChannelKind::Analog,
            2 => ChannelKind::Sht3xTemperature,
            3 => ChannelKind::Sht3xHumidity,
            4 => ChannelKind::Ds18b20,
            5 => ChannelKind::Pulse,
            6 => ChannelKind::Contact,
            _ => ChannelKind::Off,
        };
        (kinds, ChannelSettings { kind, interval: 10_000, oversampling: 6 })
    }

    fn relay(relay: u8) -> Limits {
        match relay {
            0 => Limits { max_on: 60_000, min_off: 5_000, link_timeout: 10_000, excludes: 0b010 },
            1 => Limits { max_on: 60_000, min_off: 5_000, link_timeout: 10_000, excludes: 0b001 },
            _ => Limits { max_on: UNLIMITED, min_off: 0, link_timeout: 60_000, excludes: 0 },
        }
    }
}

/// A value that a channel shows before a test says otherwise: plausible for its kind, and constant.
const fn usual(kind: ChannelKind) -> Sample {
    Sample::Value(match kind {
        ChannelKind::Off | ChannelKind::Pulse | ChannelKind::Contact => 0,
        ChannelKind::Analog => 32_768,
        ChannelKind::Sht3xTemperature | ChannelKind::Bme280Temperature | ChannelKind::Dht22Temperature => 21_500,
        ChannelKind::Ds18b20 => 19_875,
        ChannelKind::Sht3xHumidity | ChannelKind::Bme280Humidity | ChannelKind::Dht22Humidity => 60_000,
        ChannelKind::Bme280Pressure => 101_325,
    })
}

/// How long a measurement of a kind takes, in milliseconds of board time.
const fn duration(kind: ChannelKind) -> u32 {
    match kind {
        ChannelKind::Off | ChannelKind::Analog | ChannelKind::Pulse | ChannelKind::Contact => 0,
        ChannelKind::Sht3xTemperature | ChannelKind::Sht3xHumidity => 16,
        ChannelKind::Bme280Temperature | ChannelKind::Bme280Humidity | ChannelKind::Bme280Pressure => 10,
        ChannelKind::Dht22Temperature | ChannelKind::Dht22Humidity => 5,
        ChannelKind::Ds18b20 => 750,
    }
}

/// A board on the host: its node, and what the node finds wired to it.
#[derive(Debug)]
pub struct HostBoard {
    node: Node<HostWiring, CHANNELS, RELAYS, QUEUE, 2>,
    wired: Wired,
    /// When the last round was.
    last: BoardTime,
}

impl HostBoard {
    /// A board that starts now, on a line. Its clock runs `time_scale` times as fast as the machine's; its settings are kept in a
    /// file, if there is one.
    #[must_use]
    pub fn start(line: Line, time_scale: u32, settings: Option<PathBuf>, reset: ResetCause) -> Self {
        let mut wired = Wired {
            line,
            settings,
            started: Instant::now(),
            time_scale,
            round: None,
            samples: [None; CHANNELS],
            measurements: VecDeque::new(),
            outputs: [false; RELAYS],
            switched: VecDeque::new(),
        };
        let mut node = Node::new(wired.now(), reset);
        node.restore(wired.kept());
        let last = wired.now();
        Self { node, wired, last }
    }

    /// Restarts the board, as by a reset: what it held in memory is gone.
    #[must_use]
    pub fn restart(self, reset: ResetCause) -> Self {
        let Wired { line, settings, time_scale, samples, .. } = self.wired;
        let mut board = Self::start(line, time_scale, settings, reset);
        board.wired.samples = samples;
        board
    }

    /// What a channel shows from now on.
    pub fn set(&mut self, channel: u8, sample: Sample) {
        if let Some(place) = self.wired.samples.get_mut(usize::from(channel)) {
            *place = Some(sample);
        }
    }

    /// Cuts the line, or joins it again.
    pub fn set_cut(&mut self, is_cut: bool) {
        self.wired.line.set_cut(is_cut);
    }

    /// Does everything that is due, then waits until something comes over the line or the next thing is due, at most `patience`.
    ///
    /// # Errors
    /// When the line fails for good.
    pub fn run(&mut self, patience: Duration) -> io::Result<()> {
        self.catch_up();
        let now = self.wired.now();
        self.round_at(now);
        self.wired.line.flush()?;
        let due = self.wired.measurements.iter().map(|(due, _, _)| *due).fold(self.node.deadline(), BoardTime::earlier);
        let millis = if now.has_reached(due) { 1 } else { due.since(now).div_ceil(self.wired.time_scale) };
        self.wired.line.wait(patience.min(Duration::from_millis(millis.into())))
    }

    /// Does what was due while the machine was late, each at its own instant: a relay is on no longer than its time.
    fn catch_up(&mut self) {
        let now = self.wired.now();
        let is_later = |due: BoardTime, last| due != last && due.has_reached(last);
        loop {
            let due = self.node.deadline();
            if !now.has_reached(due) || !is_later(due, self.last) {
                break;
            }
            self.round_at(due);
        }
    }

    /// One round, all of it at one instant: what is switched is on from the time that the node reckons with.
    fn round_at(&mut self, now: BoardTime) {
        (self.wired.round, self.last) = (Some(now), now);
        round(&mut self.node, &mut self.wired);
        self.wired.round = None;
    }

    /// The next relay that was switched since this was last asked: its number, whether it is on, and the board time.
    pub fn next_switched(&mut self) -> Option<(u8, bool, u32)> {
        self.wired.switched.pop_front()
    }

    /// Whether a relay's output is on.
    #[must_use]
    pub fn is_on(&self, relay: u8) -> bool {
        self.wired.outputs.get(usize::from(relay)).copied().unwrap_or_default()
    }
}

/// What is wired to the node: line, clock, channels, outputs, and a file in place of an EEPROM.
#[derive(Debug)]
struct Wired {
    line: Line,
    settings: Option<PathBuf>,
    started: Instant,
    time_scale: u32,
    /// The instant of the round that runs.
    round: Option<BoardTime>,
    /// What a test made the channels show.
    samples: [Option<Sample>; CHANNELS],
    /// Measurements under way: when each ends, its channel and its kind.
    measurements: VecDeque<(BoardTime, u8, ChannelKind)>,
    outputs: [bool; RELAYS],
    switched: VecDeque<(u8, bool, u32)>,
}

impl Wired {
    /// What the file holds, as the bytes of a whole EEPROM; one without a file is blank.
    fn kept(&self) -> Vec<u8> {
        let mut bytes = self.settings.as_ref().and_then(|file| fs::read(file).ok()).unwrap_or_default();
        bytes.resize((1 + CHANNELS + RELAYS) * RECORD_LEN, 0xFF);
        bytes
    }
}

impl Board for Wired {
    fn now(&mut self) -> BoardTime {
        let millis = self.started.elapsed().as_millis() * u128::from(self.time_scale);
        self.round.unwrap_or(BoardTime::from_millis(millis as u32))
    }

    fn receive(&mut self) -> Option<u8> {
        self.line.receive()
    }

    fn can_send(&mut self) -> bool {
        self.line.can_send()
    }

    fn send(&mut self, byte: u8) {
        self.line.send(byte);
    }

    fn set_relay(&mut self, relay: u8, on: bool) {
        if std::mem::replace(&mut self.outputs[usize::from(relay)], on) != on {
            let at = self.now().millis();
            self.switched.push_back((relay, on, at));
        }
    }

    fn measure(&mut self, channel: u8, kind: ChannelKind, _oversampling: u8) {
        let due = self.now().after(duration(kind));
        self.measurements.retain(|(_, busy, _)| *busy != channel);
        if kind != ChannelKind::Off {
            self.measurements.push_back((due, channel, kind));
        }
    }

    fn measured(&mut self) -> Option<(u8, Sample)> {
        let now = self.now();
        let place = self.measurements.iter().position(|(due, _, _)| now.has_reached(*due))?;
        let (_, channel, kind) = self.measurements.remove(place)?;
        Some((channel, self.samples[usize::from(channel)].unwrap_or(usual(kind))))
    }

    fn can_keep(&mut self) -> bool {
        true
    }

    fn keep(&mut self, record: &Record) -> bool {
        let Some(file) = &self.settings else { return true };
        let mut bytes = self.kept();
        let at = usize::from(record.slot) * RECORD_LEN;
        bytes[at..at + RECORD_LEN].copy_from_slice(&record.bytes);
        // As with an EEPROM that is worn out, a board whose settings cannot be kept goes on with those it has.
        let _ = fs::write(file, bytes);
        true
    }

    fn feed_watchdog(&mut self) {}
}

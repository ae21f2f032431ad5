//! Channels: what is measured where, and when each measurement begins and ends.

use tilth_wire::{ChannelKind, Writer};

use crate::time::{BoardTime, is_at_least, renew};

/// Shortest time between readings of a channel, in milliseconds.
pub const MIN_INTERVAL: u32 = 100;

/// Longest time between readings of a channel, in milliseconds: a day.
pub const MAX_INTERVAL: u32 = 86_400_000;

/// Largest oversampling: the mean of 2 to this power of conversions.
const MAX_OVERSAMPLING: u8 = 6;

/// Time that a measurement may take, in milliseconds. The slowest sensor, a DS18B20, takes 750.
const MEASUREMENT_TIMEOUT: u32 = 5_000;

/// How late a measurement may begin and still count as of its due time, in milliseconds, so that readings of one round share it.
const PUNCTUAL: u32 = 50;

/// Kinds that a channel's pin or bus can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// The channel can be switched off, and measures nothing else.
    pub const OFF: Self = Self(1);

    /// Every kind.
    pub const ALL: Self = Self(u16::MAX);

    /// These kinds and one more.
    #[must_use]
    pub const fn or(self, kind: ChannelKind) -> Self {
        Self(self.0 | 1 << kind.number())
    }

    /// The kinds that are among these and among the others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether the kind is one of these.
    pub const fn has(self, kind: ChannelKind) -> bool {
        self.0 & (1 << kind.number()) != 0
    }
}

/// What a channel measures, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelSettings {
    /// What to measure.
    pub kind: ChannelKind,
    /// Milliseconds between readings, [`MIN_INTERVAL`] to [`MAX_INTERVAL`].
    pub interval: u32,
    /// Conversions of which an analog value is the mean, as a power of two: 0 to 6.
    pub oversampling: u8,
}

impl ChannelSettings {
    /// Whether a channel of these kinds can be set so.
    pub(crate) fn are_possible(&self, kinds: Kinds) -> bool {
        kinds.has(self.kind)
            && is_at_least(self.interval, MIN_INTERVAL)
            && is_at_least(MAX_INTERVAL, self.interval)
            && self.oversampling <= MAX_OVERSAMPLING
    }
}

/// State of a channel.
///
/// ```text
///              due                  sample, or time out
///   Waiting ---------> Measuring ------------------------+
///      ^                   | new settings                |
///      +-------------------+-----------------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next measurement begins then.
    Waiting { due: BoardTime },
    /// A measurement is under way.
    Measuring { began: BoardTime },
}

#[derive(Debug, Clone, Copy)]
struct Channel {
    settings: ChannelSettings,
    state: State,
}

/// Channels of a board.
#[derive(Debug, Clone)]
pub(crate) struct Channels<const N: usize> {
    channels: [Channel; N],
}

impl<const N: usize> Channels<N> {
    /// Channels that are off. A constant of zeros, which is made where it stays.
    pub(crate) const OFF: Self = {
        let settings = ChannelSettings { kind: ChannelKind::Off, interval: 0, oversampling: 0 };
        let channel = Channel { settings, state: State::Waiting { due: BoardTime::from_millis(0) } };
        Self { channels: [channel; N] }
    };

    #[inline(never)]
    fn channel(&self, number: u8) -> Option<&Channel> {
        self.channels.get(usize::from(number))
    }

    #[inline(never)]
    fn channel_mut(&mut self, number: u8) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(number))
    }

    pub(crate) fn settings(&self, number: u8) -> Option<&ChannelSettings> {
        self.channel(number).map(|channel| &channel.settings)
    }

    /// Sets a channel and begins anew with it at `due`; whether that changed anything.
    pub(crate) fn set(&mut self, due: BoardTime, number: u8, settings: &ChannelSettings) -> bool {
        let Some(channel) = self.channel_mut(number) else { return false };
        let ChannelSettings { kind, interval, oversampling } = &mut channel.settings;
        let changes = renew(interval, settings.interval)
            | (core::mem::replace(kind, settings.kind) != settings.kind)
            | (core::mem::replace(oversampling, settings.oversampling) != settings.oversampling);
        if changes {
            channel.state = State::Waiting { due };
        }
        changes
    }

    /// The next channel whose measurement begins now.
    pub(crate) fn next_due(&mut self, now: BoardTime) -> Option<(u8, ChannelSettings)> {
        let is_due = |channel: &Channel| match channel.state {
            State::Waiting { due } => channel.settings.kind != ChannelKind::Off && now.has_reached(due),
            State::Measuring { .. } => false,
        };
        let (number, channel) = (0..).zip(&mut self.channels).find(|(_, channel)| is_due(channel))?;
        let State::Waiting { due } = channel.state else { return None };
        let began = if is_at_least(now.since(due), PUNCTUAL + 1) { now } else { due };
        channel.state = State::Measuring { began };
        Some((number, channel.settings))
    }

    /// Ends the measurement of a channel; when it began. `None` if none was under way, as after a timeout.
    pub(crate) fn end(&mut self, number: u8) -> Option<BoardTime> {
        let channel = self.channel_mut(number)?;
        let State::Measuring { began } = channel.state else { return None };
        channel.state = State::Waiting { due: began.after(channel.settings.interval) };
        Some(began)
    }

    /// Whether the measurement of a channel takes too long.
    pub(crate) fn is_overdue(&self, now: BoardTime, number: u8) -> bool {
        match self.channel(number) {
            Some(Channel { state: State::Measuring { began }, .. }) => {
                is_at_least(now.since(*began), MEASUREMENT_TIMEOUT)
            }
            _ => false,
        }
    }

    /// Writes each channel's kind and unit, as a Hello lists them.
    #[inline(never)]
    pub(crate) fn write(&self, hello: &mut Writer<'_>) {
        hello.byte(2 * N as u8);
        for channel in &self.channels {
            hello.byte(channel.settings.kind.number());
            hello.byte(channel.settings.kind.unit().number());
        }
    }

    /// When a measurement begins, or ends by timeout.
    pub(crate) fn deadline(&self) -> Option<BoardTime> {
        let deadline = |channel: &Channel| match channel.state {
            State::Waiting { due } => due,
            State::Measuring { began } => began.after(MEASUREMENT_TIMEOUT),
        };
        let used = self.channels.iter().filter(|channel| channel.settings.kind != ChannelKind::Off);
        used.map(deadline).reduce(BoardTime::earlier)
    }
}

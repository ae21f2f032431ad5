//! Channels: what is measured where, and when each measurement begins and ends.

use tilth_wire::{ChannelKind, Writer};

use crate::time::{BoardTime, is_at_least, renew};

/// Shortest time between readings of a channel, in milliseconds.
pub const MIN_INTERVAL: u32 = 100;

/// Longest time between readings of a channel, in milliseconds: a day.
pub const MAX_INTERVAL: u32 = 86_400_000;

/// Time that a DHT22 must be left alone before it is asked, also after a start, in milliseconds (Aosong datasheet AM2302).
const DHT22_REST: u32 = 2_000;

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

    /// Adds one kind to these.
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
    /// Conversions of which an analog value is the mean, as a power of two: 0 to 6. Of pulses
    /// [`OVERSAMPLING_OF_CONTACT`](tilth_wire::OVERSAMPLING_OF_CONTACT) or another number.
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

    /// Leaves a DHT22 its rest between readings.
    pub(crate) fn rest(&mut self) {
        if is_dht22(self.kind) {
            self.interval = self.interval.max(DHT22_REST);
        }
    }
}

fn is_dht22(kind: ChannelKind) -> bool {
    matches!(kind, ChannelKind::Dht22Temperature | ChannelKind::Dht22Humidity)
}

/// What is measured, in a byte: the kind's number in bits 0 to 3, the oversampling in bits 4 to 6, and a bit for its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured(u8);

impl Measured {
    /// Measures nothing; all bits are 0.
    pub(crate) const NOTHING: Self = Self(0);

    const MARK: u8 = 0x80;

    pub(crate) fn new(kind: ChannelKind, oversampling: u8) -> Self {
        Self(kind.number() | (oversampling << 4))
    }

    pub(crate) fn kind(self) -> ChannelKind {
        ChannelKind::from_number(self.0 & 0x0F).unwrap_or(ChannelKind::Off)
    }

    pub(crate) fn oversampling(self) -> u8 {
        (self.0 >> 4) & 0x07
    }

    fn is_marked(self) -> bool {
        self.0 & Self::MARK != 0
    }

    /// Whether a sample is awaited: marked, and of a kind that measures.
    fn is_measuring(self) -> bool {
        self.0 & (Self::MARK | 0x0F) > Self::MARK
    }

    fn marked(self) -> Self {
        Self(self.0 | Self::MARK)
    }

    fn unmarked(self) -> Self {
        Self(self.0 & !Self::MARK)
    }
}

/// A channel, which is in one of two states.
///
/// ```text
///              due                  sample, or time out
///   Waiting ---------> Measuring ------------------------+
///      ^                   | new settings                |
///      +-------------------+-----------------------------+
/// ```
///
/// A channel that is off becomes due as well, once after each change of settings: its board then lets go of the pin.
#[derive(Debug, Clone, Copy)]
struct Channel {
    /// Marked while a measurement is under way.
    measured: Measured,
    interval: u32,
    /// When the measurement that is under way began; or when the next one is due.
    at: BoardTime,
}

/// Channels of a board.
#[derive(Debug, Clone)]
pub(crate) struct Channels<const N: usize> {
    channels: [Channel; N],
}

impl<const N: usize> Channels<N> {
    /// Channels that are off. A constant of zeros, which is made where it stays.
    pub(crate) const OFF: Self =
        Self { channels: [Channel { measured: Measured::NOTHING, interval: 0, at: BoardTime::from_millis(0) }; N] };

    #[inline(never)]
    fn channel(&self, number: u8) -> Option<&Channel> {
        self.channels.get(usize::from(number))
    }

    #[inline(never)]
    fn channel_mut(&mut self, number: u8) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(number))
    }

    pub(crate) fn settings(&self, number: u8) -> Option<ChannelSettings> {
        self.channel(number).map(|Channel { measured, interval, .. }| ChannelSettings {
            kind: measured.kind(),
            interval: *interval,
            oversampling: measured.oversampling(),
        })
    }

    /// Sets a channel; whether that changed anything. If it did, all channels start again at `due`, after the rest of a DHT22 if the
    /// image can measure one and a channel does: readings of one round share their time, which the queue packs in fewer bytes.
    pub(crate) fn set(&mut self, mut due: BoardTime, number: u8, settings: &ChannelSettings, kinds: Kinds) -> bool {
        let Some(channel) = self.channel_mut(number) else { return false };
        let measured = Measured::new(settings.kind, settings.oversampling);
        let changes = renew(&mut channel.interval, settings.interval) | (channel.measured.unmarked() != measured);
        if changes {
            channel.measured = measured;
            let rests = |channel: &Channel| is_dht22(channel.measured.kind());
            if kinds.has(ChannelKind::Dht22Temperature) && self.channels.iter().any(rests) {
                due = due.after(DHT22_REST);
            }
            for channel in &mut self.channels {
                channel.measured = channel.measured.unmarked();
                channel.at = due;
            }
        }
        changes
    }

    /// The next channel whose measurement begins now, or which is off from now on, with its kind and oversampling.
    pub(crate) fn next_due(&mut self, now: BoardTime) -> Option<(u8, ChannelKind, u8)> {
        let is_due = |channel: &Channel| !channel.measured.is_marked() && now.has_reached(channel.at);
        let (number, channel) = (0..).zip(&mut self.channels).find(|(_, channel)| is_due(channel))?;
        if is_at_least(now.since(channel.at), PUNCTUAL + 1) {
            channel.at = now;
        }
        let (kind, oversampling) = (channel.measured.kind(), channel.measured.oversampling());
        channel.measured = channel.measured.marked();
        Some((number, kind, oversampling))
    }

    /// Ends the measurement of a channel; when it began. `None` if none was under way, as after a timeout.
    pub(crate) fn end(&mut self, number: u8) -> Option<BoardTime> {
        let channel = self.channel_mut(number).filter(|channel| channel.measured.is_measuring())?;
        channel.measured = channel.measured.unmarked();
        let began = channel.at;
        channel.at = began.after(channel.interval);
        Some(began)
    }

    /// Whether the measurement of a channel takes too long.
    pub(crate) fn is_overdue(&self, now: BoardTime, number: u8) -> bool {
        self.channel(number).is_some_and(|channel| {
            channel.measured.is_measuring() && is_at_least(now.since(channel.at), MEASUREMENT_TIMEOUT)
        })
    }

    /// Writes each channel's kind and unit, as a Hello lists them.
    #[inline(never)]
    pub(crate) fn write(&self, hello: &mut Writer<'_>) {
        hello.byte(2 * N as u8);
        for channel in &self.channels {
            let kind = channel.measured.kind();
            hello.byte(kind.number());
            hello.byte(kind.unit().number());
        }
    }

    /// When a measurement begins, or ends by timeout.
    pub(crate) fn deadline(&self) -> Option<BoardTime> {
        let deadline = |channel: &Channel| {
            if channel.measured.is_marked() { channel.at.after(MEASUREMENT_TIMEOUT) } else { channel.at }
        };
        let used = self.channels.iter().filter(|channel| channel.measured.kind() != ChannelKind::Off);
        used.map(deadline).reduce(BoardTime::earlier)
    }
}

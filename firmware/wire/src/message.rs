//! Messages: what board and agent say to each other in version 1.
//!
//! Values are integers: thousandths of a unit, or raw counts that the agent calibrates. Board time is in milliseconds since the board
//! started; it wraps after 49.7 days, so times are compared by their wrapping difference.

use crate::batch::Batch;
use crate::body::{Reader, Writer};
use crate::frame::{MAX_BODY, MAX_FRAME, TooLong};
use crate::reading::Reading;
use crate::version;

/// Most channels that a board has; their numbers begin at 0.
pub const MAX_CHANNELS: usize = 16;

/// Most relays that a board has; their numbers begin at 0.
pub const MAX_RELAYS: usize = 8;

/// Longest body that a board receives, in bytes: that of a [`SetRelay`].
pub const MAX_BODY_TO_BOARD: usize = 23;

/// Longest frame that a board receives, in bytes: code byte, body, checksum, closing zero.
pub const MAX_FRAME_TO_BOARD: usize = MAX_FRAME - MAX_BODY + MAX_BODY_TO_BOARD;

/// As an on-time: until switched off. As a maximum on-time: none.
pub const UNLIMITED: u32 = u32::MAX;

/// What a board says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub enum FromBoard<'a> {
    /// Identity of the board: once a second from its start until the agent speaks, and when asked.
    #[cfg_attr(test, serde(borrow))]
    Hello(Hello<'a>),
    /// One value.
    Reading(Reading),
    /// Values that follow each other.
    Batch(Batch<'a>),
    /// A command was done.
    Ack(Ack),
    /// A command was refused.
    Error(CommandError),
    /// A relay went on or off.
    Switched(Switched),
    /// The board runs; once a second.
    Heartbeat(Heartbeat),
}

/// What the agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub enum ToBoard {
    /// Asks for a Hello; after it the board sends all readings that are not confirmed once more.
    Identify,
    /// Gives a board its id, if it has none. The answer is a Hello.
    SetId(BoardId),
    /// The agent runs and hears the board; at least once a second.
    Heartbeat {
        /// Board time of the newest Hello or Heartbeat that the agent has heard.
        heard: u32,
    },
    /// The agent's store has all readings up to this one: the board may forget them.
    Received {
        /// Sequence number of the newest reading that is stored together with all before it.
        through: u32,
    },
    /// Switches a relay.
    Switch(Switch),
    /// Sets what a channel measures, and how often; kept over power loss.
    SetChannel(SetChannel),
    /// Tightens the limits of a relay; kept over power loss.
    SetRelay(SetRelay),
}

numbered! {
    /// Which message of [`ToBoard`] a body holds.
    Request {
        /// [`ToBoard::Identify`].
        Identify,
        /// [`ToBoard::SetId`].
        SetId,
        /// [`ToBoard::Heartbeat`].
        Heartbeat,
        /// [`ToBoard::Received`].
        Received,
        /// [`ToBoard::Switch`].
        Switch,
        /// [`ToBoard::SetChannel`].
        SetChannel,
        /// [`ToBoard::SetRelay`].
        SetRelay,
    }
}

/// Most fields of a message to a board: the bytes of an id.
pub const MAX_FIELDS: usize = 8;

/// Fields of a message to a board as numbers, in the order of their declaration: what a board reads, which has no flash for a type a
/// message.
pub type Fields = [u32; MAX_FIELDS];

/// Why a body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A Hello of a protocol version outside [`version::MIN`]..=[`version::CURRENT`]: that version.
    #[error("the board speaks protocol version {0}")]
    Version(u8),
    /// No message of this version, or bytes after it.
    #[error("not a message")]
    Message,
}

impl<'a> FromBoard<'a> {
    /// Writes the message's frame to `out` and returns it, closing zero included.
    ///
    /// # Errors
    ///
    /// When the message does not fit. [`crate::MAX_FRAME`] bytes take all but a message of more than [`MAX_CHANNELS`] channels or
    /// [`crate::ITEMS_LEN`] bytes of items.
    pub fn encode<'out>(&self, out: &'out mut [u8]) -> Result<&'out [u8], TooLong> {
        let mut frame = Writer::frame(out);
        self.write(&mut frame);
        let length = frame.close().ok_or(TooLong)?;
        out.get(..length).ok_or(TooLong)
    }

    /// The message of a body.
    ///
    /// # Errors
    ///
    /// When the body is none, or the Hello of another version.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        if let Some(version) = version::of_hello(body)
            && !(version::MIN..=version::CURRENT).contains(&version)
        {
            return Err(DecodeError::Version(version));
        }
        match whole(body, Self::read)? {
            Self::Batch(batch) if !batch.is_whole() => Err(DecodeError::Message),
            Self::Hello(hello) if hello.channels.len() % 2 != 0 => Err(DecodeError::Message),
            message => Ok(message),
        }
    }
}

impl ToBoard {
    /// Writes the message's frame to `out` and returns it, closing zero included.
    ///
    /// # Errors
    ///
    /// When the message does not fit. [`MAX_FRAME_TO_BOARD`] bytes take every one.
    pub fn encode<'out>(&self, out: &'out mut [u8]) -> Result<&'out [u8], TooLong> {
        let mut frame = Writer::frame(out);
        self.write(&mut frame);
        let length = frame.close().ok_or(TooLong)?;
        out.get(..length).ok_or(TooLong)
    }

    /// The message of a body.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Message`] when the body is none.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        whole(body, Self::read)
    }
}

impl Request {
    /// The message of a body, whose fields are read into `fields`; `None` when the body is none.
    pub fn decode(body: &[u8], fields: &mut Fields) -> Option<Self> {
        let mut body = Reader::new(body);
        let request = Self::read_fields(&mut body, fields);
        if body.is_read() { request } else { None }
    }
}

/// What `read` finds in a body, if nothing is wrong with it and nothing follows.
fn whole<'a, M>(body: &'a [u8], read: impl FnOnce(&mut Reader<'a>) -> Option<M>) -> Result<M, DecodeError> {
    let mut body = Reader::new(body);
    let message = read(&mut body);
    if body.rest().is_some_and(<[u8]>::is_empty) {
        message.ok_or(DecodeError::Message)
    } else {
        Err(DecodeError::Message)
    }
}

/// Identity of a board, set once by the agent and kept in EEPROM or flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct BoardId(pub [u8; 8]);

numbered! {
    /// Model of a board.
    BoardKind {
        /// Arduino Uno, ATmega328P.
        Uno,
        /// Arduino Mega 2560, ATmega2560.
        Mega2560,
        /// Raspberry Pi Pico, RP2040.
        Pico,
        /// The same firmware built for the host, on a pseudo-terminal.
        Host,
    }
}

/// Identity of a board and what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct Hello<'a> {
    /// Version of this protocol; the first field in every version.
    pub protocol: u8,
    /// Model of the board.
    pub kind: BoardKind,
    /// Version of the firmware: major, minor, patch.
    pub firmware: [u8; 3],
    /// Identity; `None` until the agent has set it.
    pub id: Option<BoardId>,
    /// Why the board last started.
    pub reset: ResetCause,
    /// Board time, in milliseconds.
    pub at: u32,
    /// Sequence number of the next reading; 0 after a start.
    pub next: u32,
    /// Number of relays.
    pub relays: u8,
    /// Kind and unit of each channel, a byte each; [`Hello::channels`] names them.
    pub channels: &'a [u8],
}

/// A [`Hello`] without its channels, as a board writes it.
#[derive(Debug, Clone, Copy)]
pub struct HelloHead<'a> {
    /// As in a Hello.
    pub protocol: u8,
    /// As in a Hello.
    pub kind: BoardKind,
    /// As in a Hello.
    pub firmware: [u8; 3],
    /// As in a Hello, where it stands: an Uno has no stack for copies.
    pub id: Option<&'a BoardId>,
    /// As in a Hello.
    pub reset: ResetCause,
    /// As in a Hello.
    pub at: u32,
    /// As in a Hello.
    pub next: u32,
    /// As in a Hello.
    pub relays: u8,
}

impl Hello<'_> {
    /// What each channel measures, by channel number; `None` for a kind or unit that this version does not know.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = Option<(ChannelKind, Unit)>> {
        let named = |pair: &[u8; 2]| Some((ChannelKind::from_number(pair[0])?, Unit::from_number(pair[1])?));
        self.channels.as_chunks().0.iter().map(named)
    }
}

numbered! {
    /// Why a board started.
    ResetCause {
        /// Power came on.
        PowerOn,
        /// The reset pin, as when a port is opened.
        External,
        /// The supply voltage fell too low.
        BrownOut,
        /// The firmware made no progress.
        Watchdog,
        /// The firmware found an error in itself, opened its relays and restarted.
        Panic,
    }
}

numbered! {
    /// What a channel measures.
    ChannelKind {
        /// Not used: no readings.
        Off,
        /// Voltage at an analog pin (pH, EC, soil moisture, level).
        Analog,
        /// Temperature of an SHT30, SHT31 or SHT35.
        Sht3xTemperature,
        /// Relative humidity of an SHT30, SHT31 or SHT35.
        Sht3xHumidity,
        /// Temperature of a BME280.
        Bme280Temperature,
        /// Relative humidity of a BME280.
        Bme280Humidity,
        /// Air pressure of a BME280.
        Bme280Pressure,
        /// Temperature of a DHT22.
        Dht22Temperature,
        /// Relative humidity of a DHT22.
        Dht22Humidity,
        /// Temperature of a DS18B20, alone on its pin.
        Ds18b20,
        /// Falling edges at a digital pin since the board started (flow, rain, wind).
        Pulse,
        /// Level of a digital pin (door, float, leak).
        Contact,
    }
}

impl ChannelKind {
    /// Unit of the kind's values.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Off | Self::Analog => Unit::Raw,
            Self::Sht3xTemperature | Self::Bme280Temperature | Self::Dht22Temperature | Self::Ds18b20 => {
                Unit::MilliCelsius
            }
            Self::Sht3xHumidity | Self::Bme280Humidity | Self::Dht22Humidity => Unit::MilliPercent,
            Self::Bme280Pressure => Unit::Pascal,
            Self::Pulse => Unit::Count,
            Self::Contact => Unit::State,
        }
    }
}

numbered! {
    /// Unit of a channel's values.
    Unit {
        /// Converter counts, 0 to 65,535 at full scale for converters of any width.
        Raw,
        /// Thousandths of a degree Celsius.
        MilliCelsius,
        /// Thousandths of a percent.
        MilliPercent,
        /// Pascals.
        Pascal,
        /// Events since the board started.
        Count,
        /// 0 when the contact is closed to ground, 1 when it is open.
        State,
    }
}

/// A [`ToBoard::Switch`], [`ToBoard::SetChannel`] or [`ToBoard::SetRelay`] was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct Ack {
    /// Id of the command.
    pub command: u32,
    /// The board's own limits are tighter than what was asked, and hold.
    pub limited: bool,
}

/// A command was refused and changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct CommandError {
    /// Id of the command; 0 for a message that the board does not know.
    pub command: u32,
    /// Why.
    pub reason: Refusal,
}

numbered! {
    /// Why a command was refused.
    Refusal {
        /// No message of the board's protocol version.
        NotUnderstood,
        /// No channel or relay of this number.
        NoSuchNumber,
        /// The channel cannot measure that kind, or the interval or oversampling is out of range; or the relay's maximum on-time is 0.
        NotPossible,
        /// The command's expiry has passed, or is more than a minute ahead, as of a command made before the board restarted.
        Expired,
        /// A relay that excludes this one is on.
        Excluded,
        /// The relay went off less than its minimum off-time ago, or the board started less than that ago.
        TooSoon,
        /// The relay is on already: a command never extends an on-time.
        AlreadyOn,
        /// The agent's heartbeat did not come within the relay's link timeout.
        LinkLost,
    }
}

/// Switches a relay on for a time, or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct Switch {
    /// Id of the command, not 0. The board does a command once: the same id again is only answered again.
    pub command: u32,
    /// Number of the relay.
    pub relay: u8,
    /// How long to stay on, in milliseconds; 0 switches off, [`UNLIMITED`] stays on until switched off.
    pub on_for: u32,
    /// Board time after which the relay must not go on any more, at most a minute ahead. Switching off never expires.
    pub expires: u32,
}

/// What a channel measures and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct SetChannel {
    /// Id of the command, not 0.
    pub command: u32,
    /// Number of the channel.
    pub channel: u8,
    /// What to measure there.
    pub kind: ChannelKind,
    /// Milliseconds between readings: 100 to 86,400,000 (a day).
    pub interval: u32,
    /// Conversions of which an analog value is the mean, as a power of two: 0 to 6. Of pulses [`OVERSAMPLING_OF_CONTACT`] or another number.
    pub oversampling: u8,
}

/// Oversampling of a channel that counts the pulses of a contact, which bounces.
pub const OVERSAMPLING_OF_CONTACT: u8 = 0;

/// Limits of a relay. The board's own limits stay in force where they are tighter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct SetRelay {
    /// Id of the command, not 0.
    pub command: u32,
    /// Number of the relay.
    pub relay: u8,
    /// Longest time on at a stretch, in milliseconds; [`UNLIMITED`] for none.
    pub max_on: u32,
    /// Shortest time off before the relay goes on again, in milliseconds.
    pub min_off: u32,
    /// The relay goes off when no heartbeat came for this long, in milliseconds.
    pub link_timeout: u32,
    /// Relays that must be off while this one is on, as bits.
    pub excludes: u8,
}

/// A relay went on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct Switched {
    /// Board time, in milliseconds.
    pub at: u32,
    /// Number of the relay.
    pub relay: u8,
    /// Id of the command that last switched it on; 0 for none.
    pub command: u32,
    /// Why it is off; `None` while it is on.
    pub off: Option<OffReason>,
}

numbered! {
    /// Why a relay went off.
    OffReason {
        /// The time that the command asked for is over.
        Done,
        /// The maximum on-time is over.
        MaxOn,
        /// A command switched it off.
        Command,
        /// No heartbeat came within the link timeout.
        LinkLost,
        /// The limits of the relay changed.
        Settings,
    }
}

/// The board runs, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct Heartbeat {
    /// Board time, in milliseconds.
    pub at: u32,
    /// Sequence number of the next reading.
    pub next: u32,
    /// Sequence number of the oldest reading that the board still holds; equal to `next` when it holds none.
    pub oldest: u32,
    /// Readings that were dropped unconfirmed because the queue was full, since the board started.
    pub lost: u32,
    /// Frames that could not be decoded, since the board started; wraps.
    pub bad_frames: u16,
    /// Relays that are on, as bits.
    pub on: u8,
}

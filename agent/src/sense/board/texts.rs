//! What messages of a board mean in the words of a technician, and why frames are not used.

use tilth_config::BoardChannelKind;
use tilth_core::id::Id;
use tilth_core::quantity::Quantity;
use tilth_core::time::Span;
use tilth_wire::{BoardId, BoardKind, ChannelKind, Fault, Refusal, ResetCause, SetChannel, SetRelay, Unit, version};

use super::settings_queue::Setting;
use crate::sense::bus::health::Reason;

pub(super) const TOO_LONG: Reason = Reason::new("too_long", "too long");
pub(super) const MALFORMED: Reason = Reason::new("malformed", "not a frame");
pub(super) const CHECKSUM: Reason = Reason::new("checksum", "wrong checksum");
pub(super) const NOT_UNDERSTOOD: Reason = Reason::new("not_understood", "not a message of this protocol version");
pub(super) const REPEATED: Reason = Reason::new("repeated", "a reading that came before");

/// An id as `agent.toml` and `status` have it.
pub(super) fn id(BoardId(bytes): BoardId) -> String {
    hex::encode(bytes)
}

/// Which side of the line is old, and what to do.
pub(super) fn version(theirs: u8) -> String {
    let ours = version::CURRENT;
    let what = if theirs > ours {
        "the agent is the older one: update it"
    } else {
        "the board is the older one: flash it with the agent's firmware"
    };
    format!("the board speaks protocol version {theirs} and the agent version {ours}; {what}")
}

pub(crate) const fn board_kind(kind: BoardKind) -> &'static str {
    match kind {
        BoardKind::Uno => "Arduino Uno",
        BoardKind::Mega2560 => "Arduino Mega 2560",
        BoardKind::Pico => "Raspberry Pi Pico",
        BoardKind::Host => "host program",
    }
}

pub(super) const fn reset(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::PowerOn => "power on",
        ResetCause::External => "reset pin",
        ResetCause::BrownOut => "the supply voltage fell too low",
        ResetCause::Watchdog => "watchdog: the firmware made no progress",
        ResetCause::Panic => "the firmware found an error in itself",
    }
}

pub(super) const fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Absent => "the sensor does not answer: not connected, or no power",
        Fault::Checksum => "the checksum of the sensor's answer is wrong",
        Fault::PowerOn => "the sensor answers with its value after power-on, which is no measurement",
        Fault::Range => "outside what the sensor can measure",
        Fault::Timeout => "the measurement did not end in time",
        Fault::Bus => "the sensor's bus is held down",
    }
}

/// Another board took the place of one that is gone.
pub(super) fn replaces(board: BoardId, before: BoardId) -> String {
    let (board, before) = (id(board), id(before));
    format!(
        "board {board} takes the place of board {before}, which is at no port: its values go to the sensors of this bus from now on. If \
         that is not meant, plug in {before} and unplug {board}, or state board = \"{before}\" under the bus in agent.toml"
    )
}

/// Readings that a board dropped.
pub(super) fn lost(readings: u32) -> String {
    format!("{readings} readings lost: the board's memory was full before the agent had stored them")
}

/// Values of a board that the store dropped.
pub(super) fn dropped(values: u64) -> String {
    format!("{values} values lost: the store dropped them before they were written; rules and windows had them")
}

/// A kind of channel as the wire has it.
pub(super) const fn channel_kind(kind: BoardChannelKind) -> ChannelKind {
    match kind {
        BoardChannelKind::Off => ChannelKind::Off,
        BoardChannelKind::Analog => ChannelKind::Analog,
        BoardChannelKind::Sht3xTemperature => ChannelKind::Sht3xTemperature,
        BoardChannelKind::Sht3xHumidity => ChannelKind::Sht3xHumidity,
        BoardChannelKind::Bme280Temperature => ChannelKind::Bme280Temperature,
        BoardChannelKind::Bme280Humidity => ChannelKind::Bme280Humidity,
        BoardChannelKind::Bme280Pressure => ChannelKind::Bme280Pressure,
        BoardChannelKind::Dht22Temperature => ChannelKind::Dht22Temperature,
        BoardChannelKind::Dht22Humidity => ChannelKind::Dht22Humidity,
        BoardChannelKind::Ds18b20 => ChannelKind::Ds18b20,
        BoardChannelKind::Pulses => ChannelKind::Pulse,
        BoardChannelKind::Contact => ChannelKind::Contact,
    }
}

/// The word of a kind of channel in `agent.toml`.
pub(super) fn kind_name(kind: ChannelKind) -> &'static str {
    let word = BoardChannelKind::ALL.into_iter().find(|word| channel_kind(*word) == kind);
    word.map_or("another kind", BoardChannelKind::name)
}

/// What a kind of channel measures; none where that depends on what is wired to it.
pub(super) const fn quantity(kind: ChannelKind) -> Option<Quantity> {
    match kind {
        ChannelKind::Off | ChannelKind::Analog => None,
        ChannelKind::Sht3xTemperature
        | ChannelKind::Bme280Temperature
        | ChannelKind::Dht22Temperature
        | ChannelKind::Ds18b20 => Some(Quantity::Temperature),
        ChannelKind::Sht3xHumidity | ChannelKind::Bme280Humidity | ChannelKind::Dht22Humidity => {
            Some(Quantity::Humidity)
        }
        ChannelKind::Bme280Pressure => Some(Quantity::Pressure),
        ChannelKind::Pulse => Some(Quantity::Count),
        ChannelKind::Contact => Some(Quantity::Contact),
    }
}

/// A setting in short.
fn setting(setting: &Setting) -> String {
    match setting {
        Setting::Channel(SetChannel { channel, kind: ChannelKind::Off, .. }) => format!("channel {channel} off"),
        Setting::Channel(SetChannel { channel, kind, interval, .. }) => {
            format!("channel {channel} as {} every {}", kind_name(*kind), Span(i64::from(*interval)))
        }
        Setting::Relay(SetRelay { relay, .. }) => format!("the limits of relay {relay}"),
    }
}

/// A setting that the board does not take, and what to do.
pub(super) fn refused(refused: &Setting, reason: Refusal) -> String {
    let why = match (refused, reason) {
        (Setting::Channel(_), Refusal::NoSuchNumber) => {
            "it has no such channel; correct the number in agent.toml, /usr/share/doc/tilth-agent/boards.md has the wiring"
        }
        (Setting::Relay(_), Refusal::NoSuchNumber) => {
            "it has no such relay; correct the output of the actuator, /usr/share/doc/tilth-agent/boards.md has the wiring"
        }
        (_, Refusal::NotPossible) => {
            "its pin or its image cannot measure that; use a channel that can, or flash the image with that sensor \
             (/usr/share/doc/tilth-agent/boards.md, Sensors)"
        }
        _ => {
            "its firmware does not know this setting; flash current firmware (/usr/share/doc/tilth-agent/boards.md, Flashing)"
        }
    };
    format!("the board refuses {}: {why}", setting(refused))
}

/// A setting that the board does not answer, though it is heard.
pub(super) fn unanswered(unanswered: &Setting) -> String {
    format!("the board does not answer the setting of {}; it is sent again each second", setting(unanswered))
}

/// A siren that is energised at rest, on a relay that the board does not hold for ever.
pub(super) fn limited(relay: u8) -> String {
    format!(
        "relay {relay} of the board has a maximum on-time, after which a siren that rests energised sounds for a moment; give it a relay \
         without one, by the table at the top of the board's main.rs"
    )
}

/// A relay that is on and that no order keeps on.
pub(super) fn unexpectedly_on(relay: u8, actuator: &Id) -> String {
    format!("relay {relay} of the board is on though {actuator} is off: switching it off")
}

/// A relay that the board switches off sooner than it was ordered to.
pub(super) fn shortened(relay: u8, ordered: Span) -> String {
    format!(
        "relay {relay} of the board is on for its own maximum on-time, shorter than the {ordered} that were ordered; lower max_on of its \
         actuator, or build the image with a longer one, by the table at the top of the board's main.rs"
    )
}

/// Name of a unit, and how many of the board's numbers make one of it.
pub(super) const fn unit(unit: Unit) -> (&'static str, f64) {
    match unit {
        Unit::MilliCelsius => ("C", 1000.0),
        Unit::MilliPercent => ("%", 1000.0),
        Unit::Pascal => ("Pa", 1.0),
        Unit::Raw | Unit::Count | Unit::State => ("", 1.0),
    }
}

/// Why a sensor that reads a channel gets no values.
pub(super) fn no_channel(channel: u8, channels: usize) -> String {
    format!("the board has no channel {channel}; its {channels} channels begin at 0")
}

pub(super) fn channel_off(channel: u8) -> String {
    format!("channel {channel} of the board is off; its kind in agent.toml switches it on")
}

pub(super) fn no_scale(channel: u8, key: &str, quantity: Quantity) -> String {
    format!("channel {channel} of the board counts pulses; {key} in its table in agent.toml makes a {quantity} of them")
}

pub(super) fn wrong_unit(channel: u8, unit: &str, quantity: Quantity) -> String {
    format!("channel {channel} of the board measures {unit}, which is no unit of {quantity}")
}

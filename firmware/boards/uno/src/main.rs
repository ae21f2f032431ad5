//! Arduino Uno (ATmega328P, 32 KiB of flash, 2 KiB of memory): what is wired to it, and its loop.
#![no_std]
#![no_main]

use tilth_avr::Connection::{Analog, I2c, Pin as At};
use tilth_avr::{Channel, Flash, Pin, Place, Port, Relay, Station, Wired, entry, reset};
use tilth_firmware::{Board, BoardTime, ChannelSettings, Kinds, Limits, Node, Wiring, round};
use tilth_wire::{BoardKind, ChannelKind, ResetCause};

const CHANNELS: usize = 8;
const RELAYS: usize = 2;

/// Bytes of the send queue: four channels at 10 s for 180 s.
const QUEUE: usize = 256;

/// Channels, from number 0. The agent can set each to another kind that its connection can measure.
#[unsafe(link_section = ".progmem.data")]
#[rustfmt::skip]
// SAFETY: in the section of tables that stay in flash.
static CHANNEL: Flash<[Channel; CHANNELS]> = unsafe {
    Flash::new([
        Channel { at: Analog(0),                measures: ChannelKind::Analog,           every: 10_000 }, // A0
        Channel { at: Analog(1),                measures: ChannelKind::Analog,           every: 10_000 }, // A1
        Channel { at: I2c,                      measures: ChannelKind::Sht3xTemperature, every: 10_000 }, // A4 SDA, A5 SCL
        Channel { at: I2c,                      measures: ChannelKind::Sht3xHumidity,    every: 10_000 },
        Channel { at: At(Pin::new(Port::D, 4)), measures: ChannelKind::Ds18b20,          every: 10_000 }, // D4
        Channel { at: At(Pin::new(Port::D, 2)), measures: ChannelKind::Pulse,            every: 10_000 }, // D2
        Channel { at: At(Pin::new(Port::D, 3)), measures: ChannelKind::Contact,          every: 10_000 }, // D3
        Channel { at: At(Pin::new(Port::D, 5)), measures: ChannelKind::Off,              every: 10_000 }, // D5
    ])
};

/// Hard limits of both relays, in milliseconds: no command and no setting passes them.
const LIMITS: Limits = Limits { max_on: 600_000, min_off: 1_000, link_timeout: 10_000, excludes: 0 };

/// Relays, from number 0.
#[unsafe(link_section = ".progmem.data")]
// SAFETY: in the section of tables that stay in flash.
static RELAY: Flash<[Relay; RELAYS]> = unsafe {
    Flash::new([
        Relay { pin: Pin::new(Port::D, 7), limits: LIMITS }, // D7
        Relay { pin: Pin::new(Port::D, 6), limits: LIMITS }, // D6
    ])
};

struct Uno;

impl Wiring for Uno {
    const KIND: BoardKind = BoardKind::Uno;

    fn channel(channel: u8) -> (Kinds, ChannelSettings) {
        CHANNEL.row(channel).first_settings()
    }

    fn relay(relay: u8) -> Limits {
        RELAY.row(relay).limits
    }
}

impl Wired for Uno {
    fn channel(channel: u8) -> Channel {
        CHANNEL.row(channel)
    }

    fn relay_pin(relay: u8) -> Pin {
        RELAY.row(relay).pin
    }
}

static STATION: Place<Station<Uno, CHANNELS>> = Place::new();
static NODE: Place<UnoNode> = Place::new();

#[entry]
fn main() -> ! {
    let (station, cause) = Station::start(&STATION);
    let node = start_node(station.now(), cause);
    restore(node, station);
    loop {
        round(node, station);
        station.idle();
    }
}

type UnoNode = Node<Uno, CHANNELS, RELAYS, QUEUE>;

// What the start needs of the stack is free again in the loop: functions of their own.

#[inline(never)]
fn start_node(now: BoardTime, cause: ResetCause) -> &'static mut UnoNode {
    let node = NODE.fill(|| Node::unwired(now, cause));
    node.wire();
    node
}

/// Takes up the settings that the board kept.
#[inline(never)]
fn restore(node: &mut UnoNode, station: &mut Station<Uno, CHANNELS>) {
    for slot in 0..=(CHANNELS + RELAYS) as u8 {
        node.restore(slot, &station.kept(slot));
    }
}

/// Opens the relays first; the watchdog then restarts the board.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    (0..RELAYS).for_each(|relay| RELAY.row(relay as u8).pin.drive(false));
    reset::panicked()
}

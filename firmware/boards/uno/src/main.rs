//! Arduino Uno (ATmega328P, 32 KiB of flash, 2 KiB of memory): what is wired to it, and its loop.
#![no_std]
#![no_main]
#![expect(static_mut_refs, reason = "`entry` gives the static of `main` to it alone")]

use tilth_avr::Connection::{Analog, I2c, Pin as At};
use tilth_avr::{Channel, Flash, Pin, Port, Relay, Station, Wired, entry, reset};
use tilth_firmware::{Board, ChannelSettings, Kinds, Limits, Node, RECORD_LEN, Wiring, round};
use tilth_wire::{BoardKind, ChannelKind, UNLIMITED};

const CHANNELS: usize = 8;
const RELAYS: usize = 2;

/// Bytes of the send queue: four channels at 10 s for 180 s.
const QUEUE: usize = 256;

/// Longest frame to the agent: a Hello of all channels.
const FRAME: usize = 48;

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

/// Kinds that the image has drivers for. Those of BME280 and DHT22 take 4 KB of flash: they are in the image `uno-all`.
const KINDS: Kinds = if cfg!(feature = "all-sensors") {
    Kinds::ALL
} else {
    Kinds::OFF
        .or(ChannelKind::Analog)
        .or(ChannelKind::Sht3xTemperature)
        .or(ChannelKind::Sht3xHumidity)
        .or(ChannelKind::Ds18b20)
        .or(ChannelKind::Pulse)
        .or(ChannelKind::Contact)
};

/// Hard limits of a relay for pumps and valves, in milliseconds: no command and no setting passes them.
const PUMP: Limits = Limits { max_on: 600_000, min_off: 1_000, link_timeout: 10_000, excludes: 0 };

/// Hard limits of the relay for a siren that is normally energised: it is held for ever, and falls with the link.
const SIREN: Limits = Limits { max_on: UNLIMITED, min_off: 0, ..PUMP };

/// Relays, from number 0.
#[unsafe(link_section = ".progmem.data")]
// SAFETY: in the section of tables that stay in flash.
static RELAY: Flash<[Relay; RELAYS]> = unsafe {
    Flash::new([
        Relay { pin: Pin::new(Port::D, 7), limits: PUMP },  // D7
        Relay { pin: Pin::new(Port::D, 6), limits: SIREN }, // D6
    ])
};

struct Uno;

impl Wiring for Uno {
    const KIND: BoardKind = BoardKind::Uno;
    const KINDS: Kinds = KINDS;

    fn channel(channel: u8) -> (Kinds, ChannelSettings) {
        CHANNEL.row(channel).first_settings(KINDS)
    }

    fn relay(relay: u8) -> Limits {
        RELAY.row(relay).limits
    }
}

impl Wired for Uno {
    const KINDS: Kinds = KINDS;

    fn channel(channel: u8) -> Channel {
        CHANNEL.row(channel)
    }

    #[inline(never)]
    fn relay_pin(relay: u8) -> Pin {
        RELAY.row(relay).pin
    }
}

/// Bytes of the settings that the board keeps.
const KEPT: u16 = ((1 + CHANNELS + RELAYS) * RECORD_LEN) as u16;

#[entry]
fn main() -> ! {
    // In static memory, whose use the linker counts; `entry` gives it to this function alone.
    static mut NODE: UnoNode = Node::UNSTARTED;
    let (mut station, cause) = Station::<Uno, CHANNELS>::start();
    NODE.start(station.now(), cause);
    NODE.restore((0..KEPT).map(|at| station.kept(at)));
    loop {
        round(NODE, &mut station);
        station.idle();
    }
}

type UnoNode = Node<Uno, CHANNELS, RELAYS, QUEUE, 0, FRAME>;

/// Opens the relays first; the watchdog then restarts the board.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    (0..RELAYS as u8).for_each(|relay| Uno::relay_pin(relay).drive(false));
    reset::panicked()
}

//! Arduino Mega 2560 (256 KiB of flash, 8 KiB of memory): what is wired to it, and its loop.
#![no_std]
#![no_main]
#![expect(static_mut_refs, reason = "`entry` gives the static of `main` to it alone")]

use tilth_avr::Connection::{Analog, I2c, Pin as At};
use tilth_avr::{Channel, Flash, Pin, Port, Relay, Station, Wired, entry, reset};
use tilth_firmware::{Board, ChannelSettings, Kinds, Limits, Node, RECORD_LEN, Wiring, round};
use tilth_wire::{BoardKind, ChannelKind, UNLIMITED};

const CHANNELS: usize = 16;
const RELAYS: usize = 4;

/// Bytes of the send queue: sixteen channels at 10 s for 10 minutes.
const QUEUE: usize = 3_072;

/// Channels, from number 0. The agent can set each to another kind that its connection can measure.
#[unsafe(link_section = ".progmem.data")]
#[rustfmt::skip]
// SAFETY: in the section of tables that stay in flash.
static CHANNEL: Flash<[Channel; CHANNELS]> = unsafe {
    Flash::new([
        Channel { at: Analog(0),                measures: ChannelKind::Analog,           every: 10_000 }, // A0
        Channel { at: Analog(1),                measures: ChannelKind::Analog,           every: 10_000 }, // A1
        Channel { at: Analog(2),                measures: ChannelKind::Analog,           every: 10_000 }, // A2
        Channel { at: Analog(3),                measures: ChannelKind::Analog,           every: 10_000 }, // A3
        Channel { at: Analog(4),                measures: ChannelKind::Analog,           every: 10_000 }, // A4
        Channel { at: Analog(5),                measures: ChannelKind::Analog,           every: 10_000 }, // A5
        Channel { at: Analog(6),                measures: ChannelKind::Analog,           every: 10_000 }, // A6
        Channel { at: Analog(7),                measures: ChannelKind::Analog,           every: 10_000 }, // A7
        Channel { at: I2c,                      measures: ChannelKind::Sht3xTemperature, every: 10_000 }, // 20 SDA, 21 SCL
        Channel { at: I2c,                      measures: ChannelKind::Sht3xHumidity,    every: 10_000 },
        Channel { at: I2c,                      measures: ChannelKind::Off,              every: 10_000 },
        Channel { at: At(Pin::new(Port::G, 5)), measures: ChannelKind::Ds18b20,          every: 10_000 }, // D4
        Channel { at: At(Pin::new(Port::E, 4)), measures: ChannelKind::Pulse,            every: 10_000 }, // D2
        Channel { at: At(Pin::new(Port::E, 5)), measures: ChannelKind::Contact,          every: 10_000 }, // D3
        Channel { at: At(Pin::new(Port::E, 3)), measures: ChannelKind::Off,              every: 10_000 }, // D5
        Channel { at: At(Pin::new(Port::H, 3)), measures: ChannelKind::Off,              every: 10_000 }, // D6
    ])
};

/// Hard limits of relays for pumps and valves, in milliseconds: no command and no setting passes them.
const PUMP: Limits = Limits { max_on: 600_000, min_off: 1_000, link_timeout: 10_000, excludes: 0 };

/// Hard limits of the relay for a siren that is normally energised: it is held for ever, and falls with the link.
const SIREN: Limits = Limits { max_on: UNLIMITED, min_off: 0, ..PUMP };

/// Relays, from number 0.
#[unsafe(link_section = ".progmem.data")]
// SAFETY: in the section of tables that stay in flash.
static RELAY: Flash<[Relay; RELAYS]> = unsafe {
    Flash::new([
        Relay { pin: Pin::new(Port::H, 4), limits: PUMP },  // D7
        Relay { pin: Pin::new(Port::H, 5), limits: PUMP },  // D8
        Relay { pin: Pin::new(Port::H, 6), limits: PUMP },  // D9
        Relay { pin: Pin::new(Port::B, 4), limits: SIREN }, // D10
    ])
};

struct Mega;

impl Wiring for Mega {
    const KIND: BoardKind = BoardKind::Mega2560;

    fn channel(channel: u8) -> (Kinds, ChannelSettings) {
        CHANNEL.row(channel).first_settings(Kinds::ALL)
    }

    fn relay(relay: u8) -> Limits {
        RELAY.row(relay).limits
    }
}

impl Wired for Mega {
    const KINDS: Kinds = Kinds::ALL;

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
    static mut NODE: MegaNode = Node::UNSTARTED;
    let (mut station, cause) = Station::<Mega, CHANNELS>::start();
    NODE.start(station.now(), cause);
    NODE.restore((0..KEPT).map(|at| station.kept(at)));
    loop {
        round(NODE, &mut station);
        station.idle();
    }
}

type MegaNode = Node<Mega, CHANNELS, RELAYS, QUEUE, 2>;

/// Opens the relays first; the watchdog then restarts the board.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    (0..RELAYS as u8).for_each(|relay| Mega::relay_pin(relay).drive(false));
    reset::panicked()
}

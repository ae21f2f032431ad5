//! Raspberry Pi Pico (RP2040, 2 MiB of flash, 264 KiB of memory): what is wired to it, and its loop.
//!
//! Section numbers are of the RP2040 datasheet (RP-008371-DS).
#![no_std]
#![no_main]

mod adc;
mod chip;
mod clock;
mod delay;
mod flash;
mod i2c;
mod line;
mod pin;
mod pulse;
mod reset;
mod station;
mod uart;

use cortex_m_rt::{ExceptionFrame, exception};
use tilth_firmware::Connection::{Analog, I2c, Pin as At};
use tilth_firmware::{Board, ChannelSettings, Kinds, Limits, Node, Wiring, round};
use tilth_wire::{BoardKind, ChannelKind, UNLIMITED};

use crate::chip::Chip;
use crate::pin::Pin;
use crate::station::Station;

type Channel = tilth_firmware::Channel<Pin>;
type Relay = tilth_firmware::Relay<Pin>;

const CHANNELS: usize = 12;
const RELAYS: usize = 4;

/// Bytes of the send queue: twelve channels at 10 s for 30 minutes.
const QUEUE: usize = 8_192;

/// Channels, from number 0. The agent can set each to another kind that its connection can measure.
#[rustfmt::skip]
static CHANNEL: [Channel; CHANNELS] = [
    Channel { at: Analog(0),        measures: ChannelKind::Analog,           every: 10_000 }, // GP26
    Channel { at: Analog(1),        measures: ChannelKind::Analog,           every: 10_000 }, // GP27
    Channel { at: Analog(2),        measures: ChannelKind::Analog,           every: 10_000 }, // GP28
    Channel { at: I2c,              measures: ChannelKind::Sht3xTemperature, every: 10_000 }, // GP4 SDA, GP5 SCL
    Channel { at: I2c,              measures: ChannelKind::Sht3xHumidity,    every: 10_000 },
    Channel { at: I2c,              measures: ChannelKind::Off,              every: 10_000 },
    Channel { at: I2c,              measures: ChannelKind::Off,              every: 10_000 },
    Channel { at: I2c,              measures: ChannelKind::Off,              every: 10_000 },
    Channel { at: At(Pin::new(6)),  measures: ChannelKind::Ds18b20,          every: 10_000 }, // GP6
    Channel { at: At(Pin::new(7)),  measures: ChannelKind::Pulse,            every: 10_000 }, // GP7
    Channel { at: At(Pin::new(8)),  measures: ChannelKind::Contact,          every: 10_000 }, // GP8
    Channel { at: At(Pin::new(9)),  measures: ChannelKind::Off,              every: 10_000 }, // GP9
];

/// Hard limits of relays for pumps and valves, in milliseconds: no command and no setting passes them.
const PUMP: Limits = Limits { max_on: 600_000, min_off: 1_000, link_timeout: 10_000, excludes: 0 };

/// Hard limits of the relay for a siren that is normally energised: it is held for ever, and falls with the link.
const SIREN: Limits = Limits { max_on: UNLIMITED, min_off: 0, ..PUMP };

/// Relays, from number 0.
static RELAY: [Relay; RELAYS] = [
    Relay { pin: Pin::new(18), limits: PUMP },  // GP18
    Relay { pin: Pin::new(19), limits: PUMP },  // GP19
    Relay { pin: Pin::new(20), limits: PUMP },  // GP20
    Relay { pin: Pin::new(21), limits: SIREN }, // GP21
];

/// Frequency of the crystal.
const CRYSTAL_HZ: u32 = 12_000_000;

/// Frequency of the processor.
const CPU_HZ: u32 = 125_000_000;

/// Second stage of the boot ROM: makes the flash readable, four bits at a time.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

struct Pico;

impl Wiring for Pico {
    const KIND: BoardKind = BoardKind::Pico;

    fn channel(channel: u8) -> (Kinds, ChannelSettings) {
        CHANNEL[usize::from(channel).min(CHANNELS - 1)].first_settings(Kinds::ALL)
    }

    fn relay(relay: u8) -> Limits {
        RELAY[usize::from(relay).min(RELAYS - 1)].limits
    }
}

#[rp2040_hal::entry]
fn main() -> ! {
    let (chip, usb, cause) = Chip::start();
    let mut station = Station::new(chip, &usb);
    let mut node = Node::<Pico, CHANNELS, RELAYS, QUEUE, 2>::new(station.now(), cause);
    node.restore((0..=(CHANNELS + RELAYS) as u8).flat_map(|slot| station.kept(slot)));
    loop {
        round(&mut node, &mut station);
        station.idle();
    }
}

/// Opens the relays first; the watchdog then restarts the board.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    RELAY.iter().for_each(|relay| relay.pin.drive(false));
    reset::panicked()
}

/// An access or an instruction that does not exist.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    panic!("hard fault")
}

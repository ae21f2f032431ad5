//! The board as the node sees it: [`Board`] over the chip's peripherals, and [`Inputs`] for its measurements.

use core::marker::PhantomData;

use embedded_hal::i2c::I2c;
use tilth_firmware::measure::{Inputs, Measurer};
use tilth_firmware::{Board, BoardTime, Connection, Kinds, RECORD_LEN, Record};
use tilth_wire::{ChannelKind, ResetCause, Sample};

use crate::chip::Peripherals;
use crate::{Adc, Clock, Delay, Eeprom, OpenDrain, Pin, Serial, Twi, Watchdog, interrupt, pulse, reset};

/// A channel's line of the wiring table.
pub type Channel = tilth_firmware::Channel<Pin>;

/// A relay's line of the wiring table.
pub type Relay = tilth_firmware::Relay<Pin>;

/// What a board's `main.rs` wires.
pub trait Wired {
    /// Kinds that the image has drivers for.
    const KINDS: Kinds;

    /// A channel's line.
    fn channel(channel: u8) -> Channel;
    /// The pin of a relay.
    fn relay_pin(relay: u8) -> Pin;
}

/// A board of `CHANNELS` channels, wired as `W`.
pub struct Station<W, const CHANNELS: usize> {
    clock: Clock,
    serial: Serial,
    watchdog: Watchdog,
    measurer: Measurer<CHANNELS>,
    terminals: Terminals<W>,
    eeprom: Eeprom,
    processor: crate::chip::CPU,
}

/// What the channels are connected to.
struct Terminals<W> {
    wiring: PhantomData<W>,
    adc: Adc,
    i2c: Twi,
}

impl<W: Wired, const CHANNELS: usize> Station<W, CHANNELS> {
    /// Starts the peripherals, the watchdog and interrupts; the station, and why the board started.
    pub fn start() -> (Self, ResetCause) {
        // SAFETY: comes once, at the start of `main`, and nothing else takes peripherals.
        let peripherals = unsafe { Peripherals::steal() };
        let cause = reset::cause(&peripherals.CPU);
        let station = Self {
            clock: Clock::start(&peripherals.TC0),
            serial: Serial::start(peripherals.USART0),
            watchdog: Watchdog::start(&peripherals.WDT),
            measurer: Measurer::NONE,
            terminals: Terminals {
                wiring: PhantomData,
                adc: Adc::start(peripherals.ADC),
                i2c: Twi::start(peripherals.TWI),
            },
            eeprom: Eeprom::new(peripherals.EEPROM),
            processor: peripherals.CPU,
        };
        // SAFETY: the start is no critical section.
        unsafe { interrupt::enable() };
        (station, cause)
    }

    /// A byte of the records that are kept, 0xFF where there is none.
    pub fn kept(&self, at: u16) -> u8 {
        self.eeprom.read(at)
    }

    /// Sleeps until the next interrupt, at most a millisecond, if the line is quiet.
    pub fn idle(&mut self) {
        if self.serial.can_send() {
            crate::idle(&self.processor, &self.serial);
        }
    }
}

/// First address of a slot.
fn address(slot: u8) -> u16 {
    u16::from(slot) * RECORD_LEN as u16
}

impl<W: Wired, const CHANNELS: usize> Board for Station<W, CHANNELS> {
    fn now(&mut self) -> BoardTime {
        BoardTime::from_millis(self.clock.now())
    }

    fn receive(&mut self) -> Option<u8> {
        self.serial.receive()
    }

    fn can_send(&mut self) -> bool {
        self.serial.can_send()
    }

    fn send(&mut self, byte: u8) {
        self.serial.send(byte);
    }

    fn set_relay(&mut self, relay: u8, on: bool) {
        W::relay_pin(relay).drive(on);
    }

    fn measure(&mut self, channel: u8, kind: ChannelKind, oversampling: u8) {
        if kind != ChannelKind::Pulse
            && let Some(pin) = Terminals::<W>::pin(channel)
        {
            pulse::forget(pin);
        }
        self.measurer.request(channel, kind, oversampling);
    }

    fn measured(&mut self) -> Option<(u8, Sample)> {
        self.measurer.poll(self.clock.now(), &mut self.terminals)
    }

    fn can_keep(&mut self) -> bool {
        self.eeprom.is_ready()
    }

    /// Writes a byte of the record at a time: the first one that is not yet there.
    fn keep(&mut self, record: &Record) -> bool {
        (address(record.slot)..).zip(&record.bytes).all(|(at, byte)| self.eeprom.is_written(at, *byte))
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed();
    }
}

impl<W: Wired> Terminals<W> {
    /// The channel's pin. Only channels at pins have the kinds that ask for one.
    fn pin(channel: u8) -> Option<Pin> {
        match W::channel(channel).at {
            Connection::Pin(pin) => Some(pin),
            Connection::Analog(_) | Connection::I2c => None,
        }
    }
}

impl<W: Wired> Inputs for Terminals<W> {
    type Line = OpenDrain;
    type Delay = Delay;

    const KINDS: Kinds = W::KINDS;

    fn i2c(&mut self) -> &mut impl I2c {
        &mut self.i2c
    }

    fn convert(&mut self, channel: u8) {
        if let Connection::Analog(input) = W::channel(channel).at {
            self.adc.convert(input);
        }
    }

    fn conversion(&mut self) -> Option<u16> {
        self.adc.poll()
    }

    fn line(&mut self, channel: u8) -> Option<OpenDrain> {
        Self::pin(channel).map(OpenDrain::new)
    }

    fn delay(&mut self) -> Delay {
        Delay
    }

    fn is_open(&mut self, channel: u8) -> Option<bool> {
        let pin = Self::pin(channel)?;
        pin.pull_up();
        Some(pin.is_high())
    }

    fn pulses(&mut self, channel: u8, is_contact: bool) -> Option<u32> {
        Self::pin(channel).and_then(|pin| pulse::count(pin, is_contact))
    }

    fn share_a_line(&self, one: u8, other: u8) -> bool {
        Self::pin(one) == Self::pin(other)
    }
}

//! The board as the node sees it: [`Board`] over the chip's peripherals, and [`Inputs`] for its measurements.

use tilth_firmware::measure::{Inputs, Measurer};
use tilth_firmware::{Board, BoardTime, Connection, Kinds, RECORD_LEN, Record};
use tilth_wire::{ChannelKind, Sample};

use crate::adc::Adc;
use crate::chip::Chip;
use crate::clock::Clock;
use crate::delay::Delay;
use crate::i2c::I2c;
use crate::line::Line;
use crate::pin::{OpenDrain, Pin};
use crate::{CHANNEL, CHANNELS, RELAY, flash, pulse};

/// The board of this wiring.
pub(crate) struct Station<'bus> {
    clock: Clock,
    line: Line<'bus>,
    watchdog: rp2040_hal::Watchdog,
    measurer: Measurer<CHANNELS>,
    terminals: Terminals,
    /// Steps that were taken towards the record at hand.
    steps: u8,
}

/// More steps than any record takes: two erased sectors, a place for each slot, and the head. Then a flash that does not keep it is given up.
const STEPS: u8 = 64;

/// What the channels are connected to.
struct Terminals {
    adc: Adc,
    i2c: I2c,
}

impl<'bus> Station<'bus> {
    /// The station of a chip that has started.
    pub(crate) fn new(chip: Chip, usb: &'bus usb_device::bus::UsbBusAllocator<rp2040_hal::usb::UsbBus>) -> Self {
        Self {
            clock: chip.clock,
            line: Line::start(chip.uart, usb),
            watchdog: chip.watchdog,
            measurer: Measurer::NONE,
            terminals: Terminals { adc: chip.adc, i2c: chip.i2c },
            steps: 0,
        }
    }

    /// The record that a slot keeps; an empty slot has bytes of 0xFF.
    pub(crate) fn kept(&self, slot: u8) -> [u8; RECORD_LEN] {
        flash::journal().kept(slot)
    }

    /// Does what is due on the line, and sleeps until the next interrupt, at most a millisecond.
    pub(crate) fn idle(&mut self) {
        self.line.poll();
        cortex_m::asm::wfi();
    }
}

impl Board for Station<'_> {
    fn now(&mut self) -> BoardTime {
        BoardTime::from_millis(self.clock.now())
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
        if let Some(relay) = RELAY.get(usize::from(relay)) {
            relay.pin.drive(on);
        }
    }

    fn measure(&mut self, channel: u8, kind: ChannelKind, oversampling: u8) {
        if let Some(pin) = pin(channel)
            && kind != ChannelKind::Pulse
        {
            pulse::forget(pin);
        }
        self.measurer.request(channel, kind, oversampling);
    }

    fn measured(&mut self) -> Option<(u8, Sample)> {
        self.measurer.poll(self.clock.now(), &mut self.terminals)
    }

    fn can_keep(&mut self) -> bool {
        true
    }

    fn keep(&mut self, record: &Record) -> bool {
        let step = flash::journal().next_step(record).filter(|_| self.steps < STEPS);
        self.steps = step.as_ref().map_or(0, |_| self.steps + 1);
        step.map(|step| flash::take(&step)).is_none()
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed();
    }
}

/// What a channel is connected to; `None` for a number beyond the table.
fn connection(channel: u8) -> Option<Connection<Pin>> {
    CHANNEL.get(usize::from(channel)).map(|channel| channel.at)
}

/// The channel's pin. Only channels at pins have the kinds that ask for one.
fn pin(channel: u8) -> Option<Pin> {
    match connection(channel)? {
        Connection::Pin(pin) => Some(pin),
        Connection::Analog(_) | Connection::I2c => None,
    }
}

impl Inputs for Terminals {
    type Line = OpenDrain;
    type Delay = Delay;

    const KINDS: Kinds = Kinds::ALL;

    fn i2c(&mut self) -> &mut impl embedded_hal::i2c::I2c {
        &mut self.i2c
    }

    fn convert(&mut self, channel: u8) {
        if let Some(Connection::Analog(input)) = connection(channel) {
            self.adc.convert(input);
        }
    }

    fn conversion(&mut self) -> Option<u16> {
        self.adc.poll()
    }

    fn line(&mut self, channel: u8) -> Option<OpenDrain> {
        pin(channel).map(OpenDrain::new)
    }

    fn delay(&mut self) -> Delay {
        Delay
    }

    fn is_open(&mut self, channel: u8) -> Option<bool> {
        let pin = pin(channel)?;
        pin.pull_up();
        Some(pin.is_high())
    }

    fn pulses(&mut self, channel: u8, is_contact: bool) -> Option<u32> {
        pin(channel).and_then(|pin| pulse::count(pin, is_contact))
    }

    fn share_a_line(&self, one: u8, other: u8) -> bool {
        connection(one) == connection(other)
    }
}

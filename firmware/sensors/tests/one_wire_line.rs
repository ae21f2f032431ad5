//! DS18B20 on a line whose time is counted in microseconds: the master's slots against a device that keeps the datasheet's.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use tilth_sensors::one_wire::OneWire;
use tilth_sensors::{Fault, ds18b20};

/// The line and the one device on it.
#[derive(Default)]
struct Line {
    now: u32,
    /// When the master pulled the line down, while it does.
    pulled_at: Option<u32>,
    /// The device holds the line down in this span.
    held: Option<(u32, u32)>,
    connected: bool,
    shorted: bool,
    /// Bits that the device was sent since the reset.
    received: Vec<bool>,
    /// Bits that the device is to send.
    sending: Vec<bool>,
    scratchpad: [u8; 9],
    converted: bool,
}

impl Line {
    fn pull(&mut self) {
        self.pulled_at.get_or_insert(self.now);
        if self.connected && self.received.len() >= 16 && self.received_byte(1) == 0xBE && !self.sending.is_empty() {
            // A read slot: a zero holds the line for 30 us from its falling edge (15 to 60 by the datasheet).
            if !self.sending.remove(0) {
                self.held = Some((self.now, self.now + 30));
            }
        }
    }

    fn release(&mut self) {
        let Some(since) = self.pulled_at.take() else { return };
        let low_for = self.now - since;
        if !self.connected {
            return;
        }
        match low_for {
            480.. => {
                self.received.clear();
                self.sending.clear();
                // Presence: 30 us after the release, for 120 us (15 to 60, 60 to 240).
                self.held = Some((self.now + 30, self.now + 150));
            }
            1..=15 if self.received.len() < 16 => self.receive(true),
            60..=120 if self.received.len() < 16 => self.receive(false),
            1..=15 => {}
            _ => panic!("a slot of {low_for} us is neither a one nor a zero nor a reset"),
        }
    }

    fn receive(&mut self, bit: bool) {
        self.received.push(bit);
        if self.received.len() == 16 {
            match self.received_byte(1) {
                0x44 => self.converted = true,
                0xBE => {
                    let bits = self.scratchpad.iter().flat_map(|byte| (0..8).map(move |bit| byte & (1 << bit) != 0));
                    self.sending = bits.collect();
                }
                other => panic!("command {other:#04x}"),
            }
            assert_eq!(self.received_byte(0), 0xCC, "expected Skip ROM first");
        }
    }

    fn received_byte(&self, at: usize) -> u8 {
        (0..8).fold(0, |byte, bit| byte | (u8::from(self.received[at * 8 + bit]) << bit))
    }

    fn is_low(&self) -> bool {
        let held = self.held.is_some_and(|(from, until)| (from..until).contains(&self.now));
        self.shorted || self.pulled_at.is_some() || held
    }
}

#[derive(Clone)]
struct Pin(Rc<RefCell<Line>>);

impl ErrorType for Pin {
    type Error = Infallible;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().pull();
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().release();
        Ok(())
    }
}

impl InputPin for Pin {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.borrow().is_low())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.borrow().is_low())
    }
}

impl DelayNs for Pin {
    fn delay_ns(&mut self, ns: u32) {
        self.0.borrow_mut().now += ns.div_ceil(1_000);
    }

    fn delay_us(&mut self, us: u32) {
        self.0.borrow_mut().now += us;
    }
}

fn line_with(scratchpad: [u8; 9]) -> Pin {
    Pin(Rc::new(RefCell::new(Line { connected: true, scratchpad, ..Line::default() })))
}

fn measure(pin: &Pin) -> Result<i32, Fault> {
    let mut line = OneWire::new(pin.clone(), pin.clone());
    ds18b20::start(&mut line)?;
    assert!(pin.0.borrow().converted, "expected a conversion");
    let mut reader = ds18b20::Reader::begin(&mut line)?;
    (0..9).find_map(|_| reader.poll(&mut line)).expect("a value after nine bytes")
}

/// 23.187 C and 41.125 C as sensors in the field sent them.
#[test]
fn scratchpads_of_real_sensors_are_read() {
    let mut first = [0x73, 0x01, 0x4B, 0x46, 0x7F, 0xFF, 0x0D, 0x10, 0x41];
    assert_eq!(measure(&line_with(first)), Ok(23_187));
    first[8] ^= 1;
    assert_eq!(measure(&line_with(first)), Err(Fault::Checksum));
}

#[test]
fn an_absent_sensor_and_a_held_line_are_told_apart() {
    let pin = line_with([0; 9]);
    pin.0.borrow_mut().connected = false;
    assert_eq!(measure(&pin), Err(Fault::Absent));
    pin.0.borrow_mut().shorted = true;
    assert_eq!(measure(&pin), Err(Fault::Bus));
}

#[test]
fn a_sensor_that_lost_its_power_gives_its_power_on_value() {
    let pin = line_with([0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10, 0x1C]);
    assert_eq!(measure(&pin), Err(Fault::PowerOn));
}

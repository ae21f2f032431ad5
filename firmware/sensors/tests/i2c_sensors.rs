//! SHT3x and BME280 against fakes that answer as the chips' registers do: present, absent, without power, on a bus that is held.

use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use tilth_sensors::{Fault, bme280, crc8, sht3x};

#[derive(Debug, Clone, Copy)]
struct BusError(ErrorKind);

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

const NAK: BusError = BusError(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));

/// A chip, seen from the bus.
trait Chip {
    const ADDRESS: u8;
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError>;
    fn read(&mut self, into: &mut [u8]) -> Result<(), BusError>;
}

/// A bus with one chip.
struct Bus<C> {
    chip: C,
    connected: bool,
    held: bool,
}

impl<C> Bus<C> {
    fn with(chip: C) -> Self {
        Self { chip, connected: true, held: false }
    }
}

impl<C> ErrorType for Bus<C> {
    type Error = BusError;
}

impl<C: Chip> I2c for Bus<C> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        if self.held {
            return Err(BusError(ErrorKind::Bus));
        }
        if !self.connected || address != C::ADDRESS {
            return Err(NAK);
        }
        operations.iter_mut().try_for_each(|operation| match operation {
            Operation::Write(bytes) => self.chip.write(bytes),
            Operation::Read(into) => self.chip.read(into),
        })
    }
}

/// An SHT3x: one measurement for each command.
struct Sht3x {
    raw: [u16; 2],
    spoilt: Option<usize>,
    measured: bool,
}

impl Chip for Sht3x {
    const ADDRESS: u8 = sht3x::ADDRESS;

    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        assert_eq!(bytes, [0x24, 0x00], "expected a single shot at high repeatability");
        self.measured = true;
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), BusError> {
        if !std::mem::take(&mut self.measured) {
            return Err(NAK);
        }
        let mut answer = self.raw.iter().flat_map(|raw| {
            let [high, low] = raw.to_be_bytes();
            [high, low, crc8::sensirion(&[high, low])]
        });
        into.fill_with(|| answer.next().unwrap_or(0xFF));
        if let Some(at) = self.spoilt {
            into[at] ^= 0x04;
        }
        Ok(())
    }
}

fn sht3x(temperature: u16, humidity: u16) -> Bus<Sht3x> {
    Bus::with(Sht3x { raw: [temperature, humidity], spoilt: None, measured: false })
}

fn measure_sht3x(bus: &mut Bus<Sht3x>) -> Result<(i32, i32), Fault> {
    sht3x::start(bus, sht3x::ADDRESS)?;
    let measured = sht3x::read(bus, sht3x::ADDRESS)?;
    Ok((measured.temperature, measured.humidity))
}

#[test]
fn an_sht3x_gives_temperature_and_humidity() {
    // 0x6666 / 65,535 is 0.4: -45 + 175 * 0.4 = 25 C and 40 %.
    assert_eq!(measure_sht3x(&mut sht3x(0x6666, 0x6666)), Ok((25_000, 40_000)));
    assert_eq!(measure_sht3x(&mut sht3x(0x2000, 0xFFFF)), Ok((-23_125, 100_000)));
}

#[test]
fn an_sht3x_with_a_changed_bit_is_a_checksum_fault() {
    for at in 0..6 {
        let mut bus = sht3x(0x6666, 0x6666);
        bus.chip.spoilt = Some(at);
        assert_eq!(measure_sht3x(&mut bus), Err(Fault::Checksum), "byte {at} changed");
    }
}

#[test]
fn an_sht3x_outside_of_its_range_is_a_fault() {
    assert_eq!(measure_sht3x(&mut sht3x(0, 0x6666)), Err(Fault::Range));
    assert_eq!(measure_sht3x(&mut sht3x(0xFFFF, 0x6666)), Err(Fault::Range));
}

#[test]
fn an_sht3x_that_is_gone_comes_back() {
    let mut bus = sht3x(0x6666, 0x6666);
    bus.connected = false;
    assert_eq!(measure_sht3x(&mut bus), Err(Fault::Absent));
    bus.connected = true;
    bus.held = true;
    assert_eq!(measure_sht3x(&mut bus), Err(Fault::Bus));
    bus.held = false;
    assert_eq!(measure_sht3x(&mut bus), Ok((25_000, 40_000)));
}

#[test]
fn an_sht3x_that_loses_its_power_while_measuring_has_no_value() {
    let mut bus = sht3x(0x6666, 0x6666);
    sht3x::start(&mut bus, sht3x::ADDRESS).unwrap();
    bus.chip.measured = false;
    assert_eq!(sht3x::read(&mut bus, sht3x::ADDRESS), Err(Fault::Timeout));
}

/// A BME280: 256 registers, and a measurement when forced mode is written.
struct Bme280 {
    registers: [u8; 256],
    pointer: u8,
    measurement: [u8; 8],
}

impl Bme280 {
    fn new() -> Self {
        let mut chip =
            Self { registers: [0; 256], pointer: 0, measurement: [0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00, 0x75, 0x30] };
        chip.registers[0x88..0x88 + 24].copy_from_slice(&CALIBRATION_LOW);
        chip.registers[0xA1] = 75;
        chip.registers[0xE1..0xE8].copy_from_slice(&[0x6A, 0x01, 0x00, 0x13, 0x29, 0x03, 0x1E]);
        chip.power_on();
        chip
    }

    fn power_on(&mut self) {
        self.registers[0xD0] = 0x60;
        self.registers[0xF2..0xF6].fill(0);
        self.registers[0xF7..=0xFE].copy_from_slice(&[0x80, 0, 0, 0x80, 0, 0, 0x80, 0]);
    }
}

/// Words T1 to P9 of the worked example of Bosch's datasheet BST-BMP280-DS001, section 3.12.
const CALIBRATION_LOW: [u8; 24] = [
    0x70, 0x6B, 0x43, 0x67, 0x18, 0xFC, 0x7D, 0x8E, 0x43, 0xD6, 0xD0, 0x0B, 0x27, 0x0B, 0x8C, 0x00, 0xF9, 0xFF, 0x8C,
    0x3C, 0xF8, 0xC6, 0x70, 0x17,
];

impl Chip for Bme280 {
    const ADDRESS: u8 = bme280::ADDRESS;

    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        if let [pointer] = bytes {
            self.pointer = *pointer;
            return Ok(());
        }
        for pair in bytes.chunks(2) {
            self.registers[usize::from(pair[0])] = pair[1];
        }
        // Forced mode with every quantity sampled: the measurement is there, and the mode is sleep again.
        if self.registers[0xF4] & 0b11 == 0b01 && self.registers[0xF2] & 0b111 != 0 {
            self.registers[0xF7..=0xFE].copy_from_slice(&self.measurement);
            self.registers[0xF4] &= !0b11;
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), BusError> {
        into.fill_with(|| {
            let value = self.registers[usize::from(self.pointer)];
            self.pointer = self.pointer.wrapping_add(1);
            value
        });
        Ok(())
    }
}

fn measure_bme280(bus: &mut Bus<Bme280>) -> Result<bme280::Measurement, Fault> {
    bme280::start(bus, bme280::ADDRESS)?;
    bme280::read(bus, bme280::ADDRESS)
}

#[test]
fn a_bme280_gives_the_values_of_the_worked_example() {
    let measured = measure_bme280(&mut Bus::with(Bme280::new())).unwrap();
    assert_eq!(measured.temperature / 10, 2_508);
    assert!((measured.pressure - 100_653).abs() <= 4, "expected 100653 Pa within 4, got {}", measured.pressure);
    assert!((20_000..90_000).contains(&measured.humidity), "expected a humidity indoors, got {}", measured.humidity);
}

#[test]
fn another_chip_at_the_address_is_no_bme280() {
    let mut bus = Bus::with(Bme280::new());
    bus.chip.registers[0xD0] = 0x58;
    assert_eq!(measure_bme280(&mut bus), Err(Fault::Absent));
}

#[test]
fn a_bme280_that_loses_its_power_while_measuring_has_no_value() {
    let mut bus = Bus::with(Bme280::new());
    bme280::start(&mut bus, bme280::ADDRESS).unwrap();
    bus.chip.power_on();
    assert_eq!(bme280::read(&mut bus, bme280::ADDRESS), Err(Fault::PowerOn));
    assert!(measure_bme280(&mut bus).is_ok());
}

/// Guards against: 26 degrees or 70 % of humidity taken for a sensor that lost its power, and a quantity that was not sampled taken for one.
#[test]
fn a_bme280_whose_value_is_that_of_power_on_has_it_if_it_was_sampled() {
    let mut bus = Bus::with(Bme280::new());
    bus.chip.measurement[3..6].copy_from_slice(&[0x80, 0, 0]);
    let measured = measure_bme280(&mut bus).unwrap();
    assert!((26_000..27_000).contains(&measured.temperature), "expected 26.46 C, got {measured:?}");
    for (register, other) in [(0xF2, 0b000), (0xF4, 0b001 << 2)] {
        bme280::start(&mut bus, bme280::ADDRESS).unwrap();
        bus.chip.registers[register] = other;
        assert_eq!(bme280::read(&mut bus, bme280::ADDRESS), Err(Fault::PowerOn), "register {register:#x}");
    }
}

/// Guards against: a chip that is never read, for it gives bits as it likes that the datasheet keeps for itself.
#[test]
fn reserved_bits_of_a_bme280_say_nothing() {
    let mut bus = Bus::with(Bme280::new());
    bme280::start(&mut bus, bme280::ADDRESS).unwrap();
    bus.chip.registers[0xF2] |= 0b1111_1000;
    assert!(bme280::read(&mut bus, bme280::ADDRESS).is_ok());
}

#[test]
fn a_bme280_that_still_measures_is_a_timeout() {
    let mut bus = Bus::with(Bme280::new());
    bme280::start(&mut bus, bme280::ADDRESS).unwrap();
    bus.chip.registers[0xF3] = 0b1000;
    assert_eq!(bme280::read(&mut bus, bme280::ADDRESS), Err(Fault::Timeout));
}

#[test]
fn a_bme280_that_is_gone_or_on_a_held_bus_is_a_fault() {
    let mut bus = Bus::with(Bme280::new());
    bus.connected = false;
    assert_eq!(measure_bme280(&mut bus), Err(Fault::Absent));
    bus.connected = true;
    bme280::start(&mut bus, bme280::ADDRESS).unwrap();
    bus.held = true;
    assert_eq!(bme280::read(&mut bus, bme280::ADDRESS), Err(Fault::Bus));
}

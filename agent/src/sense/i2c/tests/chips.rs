//! Each chip's registers: values, wrong checksums, lost power, power-on values and conversions that never end.

use crate::sense::i2c::chip::{Driver, Step, Values};
use crate::sense::i2c::chip_io::Fault;
use crate::sense::i2c::fake::{Commands, FakeBus, FakeChip, Registers, reading, step, words};
use tilth_config::I2cChip;

/// A reading with two decimals, or why there is none.
fn shown(reading: Result<Values, Fault>) -> String {
    match reading {
        Ok(values) => {
            let values: Vec<String> = values.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
            values.join(", ")
        }
        Err(fault) => fault.to_string(),
    }
}

/// What one reading of a chip gives, with a driver that is new to it.
fn read(chip: I2cChip, fields: &[&'static str], fake: impl FakeChip + 'static) -> String {
    shown(reading(&mut Driver::new(chip, fields), &mut FakeBus::with(0x44, fake), 0x44))
}

#[test]
fn sht_chips_give_what_their_formulas_say() {
    for (raw, expected) in [
        ([0x6666, 0x8000], "temperature 25.00, humidity 50.00"),
        ([0x4000, 0xffff], "temperature -1.25, humidity 100.00"),
        ([0x0000, 0x8000], "-45.0 C is outside what the chip can measure"),
    ] {
        assert_eq!(read(I2cChip::Sht3x, &[], Commands::new([(&[0x24, 0], words(raw))])), expected);
    }
    let sht4x = Commands::new([(&[0xfd], words([0x6666, 0x8000]))]);
    assert_eq!(read(I2cChip::Sht4x, &[], sht4x), "temperature 25.00, humidity 56.50");
    let mut wrong = words([0x6666, 0x8000]);
    wrong[4] ^= 1;
    assert_eq!(read(I2cChip::Sht3x, &[], Commands::new([(&[0x24, 0], wrong)])), Fault::Checksum.to_string());
}

#[test]
fn an_sht_that_lost_its_power_is_asked_anew() {
    let fake = || Commands::new([(&[0x24, 0], words([0x6666, 0x8000]))]);
    let (mut driver, mut bus) = (Driver::new(I2cChip::Sht3x, &[]), FakeBus::with(0x44, fake()));
    assert!(matches!(step(&mut driver, &mut bus, 0x44), Ok(Step::Again(_))));
    bus.add(0x44, fake());
    assert_eq!(step(&mut driver, &mut bus, 0x44), Err(Fault::Absent(0x44)));
    assert!(reading(&mut driver, &mut bus, 0x44).is_ok());
}

/// A BME280 with the calibration of Bosch's example, and this humidity part.
fn bme280() -> Registers {
    let mut values = [0; 256];
    values[0xd0] = 0x60;
    let calibration: [i32; 12] = [27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000];
    for (ix, word) in calibration.into_iter().enumerate() {
        values[0x88 + 2 * ix..][..2].copy_from_slice(&(word as u16).to_le_bytes());
    }
    values[0xa1] = 75;
    values[0xe1..0xe8].copy_from_slice(&[0x6d, 0x01, 0, 0x13, 0x29, 0x03, 0x1e]);
    values[0xf7..0xff].copy_from_slice(&[0x80, 0, 0, 0x80, 0, 0, 0x80, 0]);
    // Pressure 415148, temperature 519888, humidity 30000.
    Registers::new(values, |values, _| forced(values, [0x65, 0x5a, 0xc0, 0x7e, 0xed, 0, 0x75, 0x30]))
}

/// A forced measurement ends at once, with this in the data registers.
fn forced(values: &mut [u8; 256], data: [u8; 8]) {
    if values[0xf4] & 3 == 1 {
        values[0xf4] &= !3;
        values[0xf7..0xff].copy_from_slice(&data);
    }
}

#[test]
fn a_bme280_gives_what_boschs_formulas_say() {
    let read = read(I2cChip::Bme280, &[], bme280());
    assert!(read.starts_with("temperature 25.08, humidity ") && read.ends_with(", pressure 1006.53"), "{read}");
}

#[test]
fn a_bme280_without_its_settings_or_values_has_lost_its_power() {
    let (mut driver, mut bus) = (Driver::new(I2cChip::Bme280, &[]), FakeBus::with(0x44, bme280()));
    assert!(reading(&mut driver, &mut bus, 0x44).is_ok());
    assert!(matches!(step(&mut driver, &mut bus, 0x44), Ok(Step::Again(_))));
    bus.add(0x44, bme280());
    assert_eq!(step(&mut driver, &mut bus, 0x44), Err(Fault::PowerLost));
    assert!(reading(&mut driver, &mut bus, 0x44).is_ok(), "it is set up again");
    let mut never = bme280();
    never.written = |values, register| {
        if register == 0xf4 {
            values[0xf4] &= !3;
        }
    };
    assert_eq!(read(I2cChip::Bme280, &[], never), Fault::PowerLost.to_string(), "power-on values");
    let mut slow = bme280();
    slow.written = |values, _| values[0xf3] = 0x08;
    assert_eq!(read(I2cChip::Bme280, &[], slow), Fault::NotReady.to_string());
    let mut copying = bme280();
    copying.values[0xf3] = 0x01;
    assert_eq!(read(I2cChip::Bme280, &[], copying), Fault::NotReady.to_string(), "its calibration is not there yet");
}

/// A raw temperature of 0x80000 is 26.5 C with this calibration, a raw humidity of 0x8000 is 70.9 %.
#[test]
fn a_bme280_may_measure_what_one_register_has_at_power_on() {
    type Written = fn(&mut [u8; 256], u8);
    let measured: [(Written, &str); 2] = [
        (|values, _| forced(values, [0x65, 0x5a, 0xc0, 0x80, 0, 0, 0x75, 0x30]), "temperature 26.46, humidity 55.50, "),
        (|values, _| forced(values, [0x65, 0x5a, 0xc0, 0x7e, 0xed, 0, 0x80, 0]), "temperature 25.08, humidity 70.94, "),
    ];
    for (written, expected) in measured {
        let mut chip = bme280();
        chip.written = written;
        let read = read(I2cChip::Bme280, &[], chip);
        assert!(read.starts_with(expected), "expected {expected}, got {read}");
    }
}

#[test]
fn what_is_no_bme280_is_named() {
    let mut bmp280 = bme280();
    bmp280.values[0xd0] = 0x58;
    let expected = "another chip answers: expected a BME280, got a BMP280, without humidity";
    assert_eq!(read(I2cChip::Bme280, &[], bmp280), expected);
    let mut blank = bme280();
    blank.values[0x88..0xa2].fill(0xff);
    assert_eq!(read(I2cChip::Bme280, &[], blank), "unusable answer \"blank calibration\"");
}

fn scd4x(ready: u16, measured: [u16; 3]) -> Commands {
    let nothing = Vec::new;
    Commands::new([
        (&[0x3f, 0x86], nothing()),
        (&[0x21, 0xb1], nothing()),
        (&[0xe4, 0xb8], words([ready])),
        (&[0xec, 0x05], words(measured)),
    ])
}

#[test]
fn an_scd4x_waits_for_a_measurement() {
    let good = [500, 0x6667, 0x5eb9];
    assert_eq!(read(I2cChip::Scd4x, &[], scd4x(0x8006, good)), "co2 500.00, temperature 25.00, humidity 37.00");
    assert_eq!(read(I2cChip::Scd4x, &[], scd4x(0x8000, good)), Fault::NotReady.to_string(), "lost its power");
    let none = read(I2cChip::Scd4x, &[], scd4x(0x8006, [0, 0x6667, 0x5eb9]));
    assert_eq!(none, "0.0 ppm is outside what the chip can measure");
}

#[test]
fn an_scd4x_is_stopped_and_started_again_after_it_was_gone() {
    let good = [500, 0x6667, 0x5eb9];
    let (mut driver, mut bus) = (Driver::new(I2cChip::Scd4x, &[]), FakeBus::with(0x44, scd4x(1, good)));
    assert!(reading(&mut driver, &mut bus, 0x44).is_ok());
    assert!(matches!(step(&mut driver, &mut bus, 0x44), Ok(Step::Done(_))), "it measures on by itself");
    bus.lock().chips.clear();
    assert_eq!(step(&mut driver, &mut bus, 0x44), Err(Fault::Absent(0x44)));
    bus.add(0x44, scd4x(1, good));
    assert!(matches!(step(&mut driver, &mut bus, 0x44), Ok(Step::Again(_))), "stops");
    assert!(reading(&mut driver, &mut bus, 0x44).is_ok());
}

/// A chip with registers of two bytes.
struct Ads1115 {
    config: u16,
    counts: [i16; 4],
    pointer: u8,
    is_done: bool,
}

impl Ads1115 {
    fn new(counts: [i16; 4]) -> Ads1115 {
        Ads1115 { config: 0x8583, counts, pointer: 0, is_done: true }
    }
}

impl FakeChip for Ads1115 {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.pointer = bytes[0];
        if let [1, high, low] = bytes {
            self.config = u16::from_be_bytes([*high, *low]);
        }
        true
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        let channel = usize::from(self.config >> 12 & 3);
        let done = if self.is_done { 0x8000 } else { 0 };
        let value = if self.pointer == 1 { self.config & 0x7fff | done } else { self.counts[channel].cast_unsigned() };
        bytes.copy_from_slice(&value.to_be_bytes());
        true
    }
}

#[test]
fn an_ads1115_gives_the_wanted_voltages() {
    let read_of = |fields: &[&'static str], counts| read(I2cChip::Ads1115, fields, Ads1115::new(counts));
    assert_eq!(read_of(&["a0", "a3"], [16384, 0, 0, -800]), "a0 2.05, a3 -0.10");
    assert_eq!(read_of(&["a1"], [0, i16::MAX, 0, 0]), "4.096 V or more at a1 is outside what the chip can measure");
    let mut hangs = Ads1115::new([0; 4]);
    hangs.is_done = false;
    assert_eq!(read(I2cChip::Ads1115, &["a0"], hangs), Fault::NotReady.to_string());
}

#[test]
fn an_ads1115_that_lost_its_power_gives_no_voltage() {
    let (mut driver, mut bus) = (Driver::new(I2cChip::Ads1115, &["a0"]), FakeBus::with(0x44, Ads1115::new([100; 4])));
    assert!(matches!(step(&mut driver, &mut bus, 0x44), Ok(Step::Again(_))));
    bus.add(0x44, Ads1115::new([100; 4]));
    assert_eq!(step(&mut driver, &mut bus, 0x44), Err(Fault::PowerLost));
    assert!(reading(&mut driver, &mut bus, 0x44).is_ok());
}

#[test]
fn a_bh1750_gives_lux() {
    let bh1750 = |counts: u16| Commands::new([(&[0x01], Vec::new()), (&[0x20], counts.to_be_bytes().to_vec())]);
    assert_eq!(read(I2cChip::Bh1750, &[], bh1750(0x8390)), "light 28066.67", "the example of the technical note");
    let expected = "54612 lux or more is outside what the chip can measure";
    assert_eq!(read(I2cChip::Bh1750, &[], bh1750(0xffff)), expected);
    assert_eq!(read(I2cChip::Bh1750, &[], bh1750(0)), "light 0.00");
}

#[test]
fn a_bh1750_that_lost_its_power_is_not_in_the_dark() {
    let bh1750 = |counts: u16| Commands::new([(&[0x01], Vec::new()), (&[0x20], counts.to_be_bytes().to_vec())]);
    let (mut driver, mut bus) = (Driver::new(I2cChip::Bh1750, &[]), FakeBus::with(0x44, bh1750(0)));
    assert!(matches!(step(&mut driver, &mut bus, 0x44), Ok(Step::Again(_))));
    assert!(matches!(step(&mut driver, &mut bus, 0x44), Ok(Step::Again(_))), "it may be dark");
    bus.add(0x44, bh1750(1200));
    assert_eq!(reading(&mut driver, &mut bus, 0x44), Ok(vec![("light", 1000.0)]));
}

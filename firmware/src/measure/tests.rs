//! Each edge of the chart above, on inputs whose sensors answer at once or never.

use core::convert::Infallible;
use std::vec::Vec;

use embedded_hal::digital::ErrorType as PinErrorType;
use embedded_hal::i2c::{ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
use tilth_sensors::crc8;

use super::*;

/// Channels 0 and 1 at an analog input, 2 to 4 on the I2C bus, 5 and 6 at one pin, 7 at another.
#[derive(Default)]
struct Bench {
    i2c: Chips,
    conversions: Vec<u8>,
    is_open: bool,
    pulses: Option<u32>,
}

/// The I2C bus: an SHT3x at 25 C and 40 %, which may be absent, and nothing else.
#[derive(Default)]
struct Chips {
    sht3x_is_absent: bool,
    measurements: usize,
}

impl ErrorType for Chips {
    type Error = ErrorKind;
}

impl I2c for Chips {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        if address != sht3x::ADDRESS || self.sht3x_is_absent {
            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        }
        for operation in operations {
            match operation {
                Operation::Write(_) => self.measurements += 1,
                Operation::Read(into) => {
                    let crc = crc8::sensirion(&[0x66, 0x66]);
                    into.copy_from_slice(&[0x66, 0x66, crc, 0x66, 0x66, crc]);
                }
            }
        }
        Ok(())
    }
}

/// A pin whose line stays high: no sensor is there.
struct Empty;

impl PinErrorType for Empty {
    type Error = Infallible;
}

impl InputPin for Empty {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(true)
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(false)
    }
}

impl OutputPin for Empty {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl DelayNs for Empty {
    fn delay_ns(&mut self, _: u32) {}
}

impl Inputs for Bench {
    type Line = Empty;
    type Delay = Empty;

    const KINDS: Kinds = Kinds::ALL;

    fn i2c(&mut self) -> &mut impl I2c {
        &mut self.i2c
    }

    fn convert(&mut self, channel: u8) {
        self.conversions.push(channel);
    }

    fn conversion(&mut self) -> Option<u16> {
        Some(1_023)
    }

    fn line(&mut self, channel: u8) -> Option<Empty> {
        (channel >= 5).then_some(Empty)
    }

    fn delay(&mut self) -> Empty {
        Empty
    }

    fn is_open(&mut self, channel: u8) -> Option<bool> {
        (channel >= 5).then_some(self.is_open)
    }

    fn pulses(&mut self, _: u8, is_contact: bool) -> Option<u32> {
        self.pulses.map(|count| if is_contact { count / 2 } else { count })
    }

    fn share_a_line(&self, one: u8, other: u8) -> bool {
        let line = |channel| [0, 1, 2, 2, 2, 3, 3, 4][usize::from(channel)];
        line(one) == line(other)
    }
}

/// Asks for measurements and polls for a second, a millisecond a step; samples with their times.
fn measure(bench: &mut Bench, wanted: &[(u8, ChannelKind)]) -> Vec<(u32, u8, Sample)> {
    let mut measurer = Measurer::<8>::NONE;
    for (channel, kind) in wanted {
        measurer.request(*channel, *kind, 2);
    }
    // A clock that is about to wrap, for the short one inside.
    let start = 0xFFF0;
    (start..start + 1_000)
        .filter_map(|now| measurer.poll(now, bench).map(|(channel, sample)| (now - start, channel, sample)))
        .collect()
}

#[test]
fn an_analog_value_is_the_mean_of_its_conversions() {
    let mut bench = Bench::default();
    assert_eq!(measure(&mut bench, &[(1, ChannelKind::Analog)]), [(4, 1, Sample::Value(65_535))]);
    assert_eq!(bench.conversions, [1; 4]);
}

#[test]
fn channels_of_one_chip_share_its_measurement() {
    let mut bench = Bench::default();
    let samples = measure(&mut bench, &[(2, ChannelKind::Sht3xTemperature), (3, ChannelKind::Sht3xHumidity)]);
    let values: Vec<_> = samples.iter().map(|(_, channel, sample)| (*channel, *sample)).collect();
    assert_eq!(values, [(2, Sample::Value(25_000)), (3, Sample::Value(40_000))]);
    assert_eq!(bench.i2c.measurements, 1);
    assert!(samples[0].0 >= u32::from(sht3x::MEASUREMENT_MS), "before the chip was ready: {samples:?}");
}

#[test]
fn a_chip_that_is_absent_is_a_fault_of_all_its_channels() {
    let mut bench = Bench { i2c: Chips { sht3x_is_absent: true, ..Chips::default() }, ..Bench::default() };
    let samples = measure(&mut bench, &[(2, ChannelKind::Sht3xTemperature), (3, ChannelKind::Sht3xHumidity)]);
    let absent = Sample::Fault(tilth_wire::Fault::Absent);
    assert_eq!(
        samples.iter().map(|(_, channel, sample)| (*channel, *sample)).collect::<Vec<_>>(),
        [(2, absent), (3, absent)]
    );
}

#[test]
fn a_contact_is_read_once_it_rests() {
    let mut bench = Bench { is_open: true, ..Bench::default() };
    let samples = measure(&mut bench, &[(7, ChannelKind::Contact)]);
    assert_eq!(samples, [(30, 7, Sample::Value(1))]);
}

#[test]
fn pulses_are_a_count_or_a_fault() {
    let mut bench = Bench { pulses: Some(7), ..Bench::default() };
    assert_eq!(measure(&mut bench, &[(7, ChannelKind::Pulse)]), [(0, 7, Sample::Value(7))]);
    let none = measure(&mut Bench::default(), &[(7, ChannelKind::Pulse)]);
    assert_eq!(none, [(0, 7, Sample::Fault(tilth_wire::Fault::Absent))]);
}

/// An oversampling of 0 says that the sensor is a contact; the bench's bounces once at each pulse.
#[test]
fn pulses_of_a_contact_are_counted_as_such() {
    let mut bench = Bench { pulses: Some(8), ..Bench::default() };
    let mut measurer = Measurer::<8>::NONE;
    for (oversampling, expected) in [(0, 4), (1, 8), (6, 8)] {
        measurer.request(7, ChannelKind::Pulse, oversampling);
        assert_eq!(measurer.poll(0, &mut bench), Some((7, Sample::Value(expected))));
    }
}

#[test]
fn a_line_without_a_sensor_is_a_fault() {
    let wanted = [(5, ChannelKind::Ds18b20), (7, ChannelKind::Dht22Temperature)];
    let samples = measure(&mut Bench::default(), &wanted);
    let absent = Sample::Fault(tilth_wire::Fault::Absent);
    assert_eq!(
        samples.iter().map(|(_, channel, sample)| (*channel, *sample)).collect::<Vec<_>>(),
        [(5, absent), (7, absent)]
    );
}

#[test]
fn a_kind_that_the_connection_cannot_measure_is_a_fault() {
    for kind in [ChannelKind::Ds18b20, ChannelKind::Dht22Humidity, ChannelKind::Contact] {
        let samples = measure(&mut Bench::default(), &[(0, kind)]);
        assert_eq!(samples.len(), 1, "{kind:?}: {samples:?}");
        assert!(matches!(samples[0].2, Sample::Fault(_)), "{kind:?}: {samples:?}");
    }
}

#[test]
fn a_channel_that_changes_its_kind_begins_anew() {
    let mut bench = Bench { is_open: true, ..Bench::default() };
    let mut measurer = Measurer::<8>::NONE;
    measurer.request(2, ChannelKind::Sht3xTemperature, 0);
    assert_eq!(measurer.poll(0, &mut bench), None);
    measurer.request(2, ChannelKind::Off, 0);
    assert!(
        (1..100).all(|now| measurer.poll(now, &mut bench).is_none()),
        "expected no sample of a channel that is off"
    );
    measurer.request(2, ChannelKind::Sht3xHumidity, 0);
    let sample = (100..200).find_map(|now| measurer.poll(now, &mut bench));
    assert_eq!(sample, Some((2, Sample::Value(40_000))));
}

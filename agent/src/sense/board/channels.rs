//! Which sensors show a board's channels, and how a reading becomes their values. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_config::{Input, InputSettings};
use tilth_core::id::SensorId;
use tilth_core::quantity::Quantity;
use tilth_core::reading::Quality;
use tilth_core::time::Uptime;
use tilth_core::unit::{Conversion, Unit};
use tilth_wire::{ChannelKind, Sample as Measured, Unit as WireUnit};

use super::session::Value;
use super::words;
use crate::sense::bus::Absent;
use crate::sense::sample::Sample;

/// A sensor that shows a channel.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    sensor: SensorId,
    quantity: Quantity,
    /// Unit that the configuration says of a channel without one.
    unit: Option<Unit>,
}

/// The sensors of a bus by the channel that they show.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Channels {
    sensors: BTreeMap<u8, Vec<Shown>>,
    /// What the board has, by number; none for a kind that this version does not know.
    kinds: Vec<Option<(ChannelKind, WireUnit)>>,
}

impl Channels {
    /// Replaces the sensors.
    pub(super) fn set_sensors(&mut self, inputs: &[(SensorId, InputSettings)]) {
        self.sensors.clear();
        for (sensor, settings) in inputs {
            let Some(Input::Board { channel, .. }) = settings.input else { continue };
            let shown = Shown { sensor: sensor.clone(), quantity: settings.quantity, unit: settings.unit };
            self.sensors.entry(channel).or_default().push(shown);
        }
    }

    /// Replaces what the board has, as its Hello says it.
    pub(super) fn set_kinds(&mut self, kinds: &[Option<(ChannelKind, WireUnit)>]) {
        self.kinds = kinds.to_vec();
    }

    /// Sensors whose channel the board does not have or measure, and why.
    pub(super) fn absent(&self) -> Absent {
        let mut absent = Absent::new();
        for (channel, shown) in &self.sensors {
            for shown in shown {
                if let Some(why) = self.why_absent(*channel, shown) {
                    absent.insert(shown.sensor.clone(), why.into());
                }
            }
        }
        absent
    }

    fn why_absent(&self, channel: u8, shown: &Shown) -> Option<String> {
        match self.kinds.get(usize::from(channel)) {
            None => Some(words::no_channel(channel, self.kinds.len())),
            Some(Some((ChannelKind::Off, _))) => Some(words::channel_off(channel)),
            Some(Some((_, unit))) if shown.conversion(*unit).is_none() => {
                Some(words::wrong_unit(channel, words::unit(*unit).0, shown.quantity))
            }
            Some(_) => None,
        }
    }

    /// The values of a reading that came at `arrived`: one for each sensor that shows its channel.
    pub(super) fn samples(&self, value: Value, arrived: Uptime) -> impl Iterator<Item = Sample> {
        let unit =
            self.kinds.get(usize::from(value.channel)).copied().flatten().map_or(WireUnit::Raw, |(_, unit)| unit);
        let shown = self.sensors.get(&value.channel).into_iter().flatten();
        shown.filter_map(move |shown| shown.sample(value, unit, arrived))
    }
}

impl Shown {
    /// How a number of a channel becomes one of the sensor's quantity; none where the channel measures something else.
    fn conversion(&self, unit: WireUnit) -> Option<Conversion> {
        match Unit::of(words::unit(unit).0) {
            Some(unit) => self.quantity.conversion(unit),
            None => self.unit.map_or(Some(Conversion::NONE), |unit| self.quantity.conversion(unit)),
        }
    }

    fn sample(&self, value: Value, unit: WireUnit, arrived: Uptime) -> Option<Sample> {
        let conversion = self.conversion(unit)?;
        let (number, quality, fault) = match value.sample {
            // Thousandths are divided, so that 21,500 is 21.5 to the last bit.
            Measured::Value(number) => (conversion.apply(f64::from(number) / words::unit(unit).1), Quality::Good, None),
            Measured::Fault(fault) => (f64::NAN, Quality::Fault, Some(Arc::from(words::fault(fault)))),
        };
        // A little ahead is the jitter of the line: no reading is from later than now.
        let taken = Some(value.at.min(arrived));
        let sensor = self.sensor.clone();
        Some(Sample { sensor, value: number, quality, fault, arrived, taken, source_time: None, rejected: None })
    }
}

#[cfg(test)]
mod tests {
    use tilth_config::Stamping;
    use tilth_core::id::Id;
    use tilth_wire::Fault;

    use super::*;

    fn input(quantity: Quantity, channel: u8) -> InputSettings {
        let bus = Id::new("uno").unwrap();
        let input = Some(Input::Board { bus: bus.clone(), channel });
        InputSettings { input, bus: Some(bus), interval: None, stamp: Stamping::Arrival, quantity, unit: None }
    }

    fn channels(sensors: &[(&str, Quantity, u8)]) -> Channels {
        let mut channels = Channels::default();
        let sensors: Vec<(SensorId, InputSettings)> = sensors
            .iter()
            .map(|(sensor, quantity, channel)| (SensorId::new(sensor).unwrap(), input(*quantity, *channel)))
            .collect();
        channels.set_sensors(&sensors);
        let kinds = [ChannelKind::Analog, ChannelKind::Sht3xTemperature, ChannelKind::Bme280Pressure, ChannelKind::Off];
        channels.set_kinds(&kinds.map(|kind| Some((kind, kind.unit()))));
        channels
    }

    #[test]
    fn a_reading_is_in_the_unit_of_each_sensor_that_shows_its_channel_and_has_its_own_time() {
        let channels = channels(&[
            ("a/ph", Quantity::Ph, 0),
            ("a/temp", Quantity::Temperature, 1),
            ("b/temp", Quantity::Temperature, 1),
            ("a/air", Quantity::Pressure, 2),
        ]);
        let samples = |channel, sample, at| {
            let value = Value { channel, at: Uptime(at), sample };
            let text = |sample: Sample| format!("{}={} @{}", sample.sensor, sample.value, sample.taken.unwrap().0);
            channels.samples(value, Uptime(9_000)).map(text).collect::<Vec<_>>()
        };
        assert_eq!(samples(0, Measured::Value(32_768), 4_000), ["a/ph=32768 @4000"]);
        assert_eq!(samples(1, Measured::Value(-5), 4_000), ["a/temp=-0.005 @4000", "b/temp=-0.005 @4000"]);
        assert_eq!(samples(1, Measured::Value(21_500), 4_000)[0], "a/temp=21.5 @4000");
        assert_eq!(samples(2, Measured::Value(101_325), 9_010), ["a/air=1013.25 @9000"]);
        assert!(samples(3, Measured::Value(1), 0).is_empty());
    }

    #[test]
    fn a_fault_of_a_channel_is_a_reading_with_a_fault() {
        let channels = channels(&[("a/temp", Quantity::Temperature, 1)]);
        let value = Value { channel: 1, at: Uptime(1), sample: Measured::Fault(Fault::Checksum) };
        let sample = channels.samples(value, Uptime(2)).next().unwrap();
        assert_eq!((sample.value.is_nan(), sample.quality), (true, Quality::Fault));
        assert_eq!(sample.fault.as_deref(), Some("the checksum of the sensor's answer is wrong"));
    }

    #[test]
    fn a_sensor_whose_channel_measures_nothing_for_it_is_told_why() {
        let channels = channels(&[
            ("a/a", Quantity::Temperature, 1),
            ("a/b", Quantity::Ph, 1),
            ("a/c", Quantity::Ph, 3),
            ("a/d", Quantity::Ph, 9),
        ]);
        let absent: Vec<String> = channels.absent().iter().map(|(sensor, why)| format!("{sensor}: {why}")).collect();
        assert_eq!(
            absent,
            [
                "a/b: channel 1 of the board measures C, which is no unit of ph",
                "a/c: channel 3 of the board is off",
                "a/d: the board has no channel 9; its 4 channels begin at 0",
            ]
        );
    }
}

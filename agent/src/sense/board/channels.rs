//! Which sensors read a board's channels, and how a reading becomes their values. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_config::{BoardChannel, Input, InputSettings, PulseScale};
use tilth_core::id::SensorId;
use tilth_core::quantity::Quantity;
use tilth_core::reading::Quality;
use tilth_core::time::Uptime;
use tilth_core::unit::{Conversion, Unit};
use tilth_wire::{ChannelKind, Refusal, Sample, SetChannel, Unit as WireUnit};

use super::channel_types::ChannelType;
use super::session::ChannelReading;
use super::settings_queue::Setting;
use super::texts;
use crate::sense::bus::MissingValues;
use crate::sense::sensor_value::SensorValue;

/// A sensor that reads a channel.
#[derive(Debug, Clone, PartialEq)]
struct ChannelSensor {
    sensor: SensorId,
    quantity: Quantity,
    /// Unit that the configuration says of a channel without one.
    unit: Option<Unit>,
}

/// The sensors of a bus by the channel that they read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Channels {
    sensors: BTreeMap<u8, Vec<ChannelSensor>>,
    /// What `agent.toml` configures. While the board measures something else there, its readings are of no sensor.
    pub(super) configured: BTreeMap<u8, BoardChannel>,
    /// What the board has, by number; none for a kind that this version does not know.
    channel_types: Vec<ChannelType>,
    /// Settings of channels that the board refuses.
    refused: BTreeMap<u8, (Setting, Refusal)>,
}

impl Channels {
    /// Replaces the sensors.
    pub(super) fn set_sensors(&mut self, inputs: &[(SensorId, InputSettings)]) {
        self.sensors.clear();
        for (sensor, settings) in inputs {
            let Some(Input::Board { channel, .. }) = settings.input else { continue };
            let reads = ChannelSensor { sensor: sensor.clone(), quantity: settings.quantity, unit: settings.unit };
            self.sensors.entry(channel).or_default().push(reads);
        }
    }

    /// Replaces what the board has, as its Hello says it, and what it refuses.
    pub(super) fn set_board(&mut self, types: &[ChannelType], refused: impl Iterator<Item = (Setting, Refusal)>) {
        self.channel_types = types.to_vec();
        let of_channel = |(setting, reason)| match setting {
            Setting::Channel(SetChannel { channel, .. }) => Some((channel, (setting, reason))),
            Setting::Relay(_) => None,
        };
        self.refused = refused.filter_map(of_channel).collect();
    }

    /// Sensors whose channel the board does not have or measure, and why.
    pub(super) fn missing(&self) -> MissingValues {
        let mut missing = MissingValues::new();
        for (channel, sensors) in &self.sensors {
            for sensor in sensors {
                if let Some(why) = self.why_missing(*channel, sensor) {
                    missing.insert(sensor.sensor.clone(), why.into());
                }
            }
        }
        missing
    }

    fn why_missing(&self, channel: u8, sensor: &ChannelSensor) -> Option<String> {
        let channel_type = self.channel_types.get(usize::from(channel));
        if channel_type.is_some_and(|channel_type| !self.is_as_configured(channel, *channel_type)) {
            // A setting that is still on its way is no reason.
            return self.refused.get(&channel).map(|(setting, reason)| texts::refused(setting, *reason));
        }
        if let (Some(Some((ChannelKind::Pulse, _))), Some(key)) = (channel_type, PulseScale::key(sensor.quantity))
            && self.scale(channel, sensor.quantity).is_none()
        {
            return Some(texts::no_scale(channel, key, sensor.quantity));
        }
        match channel_type {
            None => Some(texts::no_channel(channel, self.channel_types.len())),
            Some(Some((ChannelKind::Off, _))) => Some(texts::channel_off(channel)),
            Some(Some((_, unit))) if sensor.conversion(*unit).is_none() => {
                Some(texts::wrong_unit(channel, texts::unit(*unit).0, sensor.quantity))
            }
            Some(_) => None,
        }
    }

    /// Whether a channel that measures this does as `agent.toml` says, if that has the channel.
    fn is_as_configured(&self, channel: u8, channel_type: ChannelType) -> bool {
        let kind = channel_type.map(|(kind, _)| kind);
        self.configured.get(&channel).is_none_or(|channel| kind == Some(texts::channel_kind(channel.kind)))
    }

    /// What a pulse of a channel stands for, for a sensor of this quantity.
    fn scale(&self, channel: u8, quantity: Quantity) -> Option<PulseScale> {
        self.configured.get(&channel)?.pulses.filter(|scale| scale.quantity == quantity)
    }

    /// The values of a reading that came at `arrived`: one for each sensor that reads its channel.
    pub(super) fn values(&self, reading: ChannelReading, arrived: Uptime) -> impl Iterator<Item = SensorValue> {
        let ChannelReading { channel, channel_type, .. } = reading;
        let is_used = self.is_as_configured(channel, channel_type);
        let sensors = self.sensors.get(&channel).filter(|_| is_used).into_iter().flatten();
        sensors.filter_map(move |sensor| sensor.value(reading, self.scale(channel, sensor.quantity), arrived))
    }
}

impl ChannelSensor {
    /// How a number of a channel becomes one of the sensor's quantity; none where the channel measures something else.
    fn conversion(&self, unit: WireUnit) -> Option<Conversion> {
        match Unit::of(texts::unit(unit).0) {
            Some(unit) => self.quantity.conversion(unit),
            None => self.unit.map_or(Some(Conversion::NONE), |unit| self.quantity.conversion(unit)),
        }
    }

    fn value(&self, reading: ChannelReading, scale: Option<PulseScale>, arrived: Uptime) -> Option<SensorValue> {
        let unit = reading.channel_type.map_or(WireUnit::Raw, |(_, unit)| unit);
        let conversion = self.conversion(unit)?;
        let (number, quality, fault) = match reading.sample {
            Sample::Value(_) if unit == WireUnit::Count && PulseScale::key(self.quantity).is_some() => {
                let (scale, pulses) = (scale?, reading.pulses?);
                (scale.value(pulses.count, pulses.millis), Quality::Good, None)
            }
            // Thousandths are divided, so that 21,500 is 21.5 to the last bit.
            Sample::Value(number) => (conversion.apply(f64::from(number) / texts::unit(unit).1), Quality::Good, None),
            Sample::Fault(fault) => (f64::NAN, Quality::Fault, Some(Arc::from(texts::fault(fault)))),
        };
        // A little ahead is the jitter of the connection: no reading is from later than now.
        let measured_at = Some(reading.at.min(arrived));
        Some(SensorValue { measured_at, ..SensorValue::new(self.sensor.clone(), number, quality, fault, arrived) })
    }
}

#[cfg(test)]
mod tests {
    use tilth_config::{BoardChannelKind, Stamping};
    use tilth_core::id::Id;
    use tilth_core::time::Span;
    use tilth_wire::Fault;

    use super::super::pulses::Pulses;
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
        channels.set_board(&KINDS.map(of), std::iter::empty());
        channels
    }

    const KINDS: [ChannelKind; 4] =
        [ChannelKind::Analog, ChannelKind::Sht3xTemperature, ChannelKind::Bme280Pressure, ChannelKind::Off];

    fn of(kind: ChannelKind) -> ChannelType {
        Some((kind, kind.unit()))
    }

    #[test]
    fn a_reading_is_in_the_unit_of_each_sensor_that_reads_its_channel_and_has_its_own_time() {
        let channels = channels(&[
            ("a/ph", Quantity::Ph, 0),
            ("a/temp", Quantity::Temperature, 1),
            ("b/temp", Quantity::Temperature, 1),
            ("a/air", Quantity::Pressure, 2),
        ]);
        let values = |channel, sample, at| {
            let reading = ChannelReading {
                channel,
                channel_type: of(KINDS[usize::from(channel)]),
                at: Uptime(at),
                sample,
                pulses: None,
            };
            let text =
                |value: SensorValue| format!("{}={} @{}", value.sensor, value.number, value.measured_at.unwrap().0);
            channels.values(reading, Uptime(9_000)).map(text).collect::<Vec<_>>()
        };
        assert_eq!(values(0, Sample::Value(32_768), 4_000), ["a/ph=32768 @4000"]);
        assert_eq!(values(1, Sample::Value(-5), 4_000), ["a/temp=-0.005 @4000", "b/temp=-0.005 @4000"]);
        assert_eq!(values(1, Sample::Value(21_500), 4_000)[0], "a/temp=21.5 @4000");
        assert_eq!(values(2, Sample::Value(101_325), 9_010), ["a/air=1013.25 @9000"]);
        assert!(values(3, Sample::Value(1), 0).is_empty());
    }

    #[test]
    fn a_fault_of_a_channel_is_a_reading_with_a_fault() {
        let channels = channels(&[("a/temp", Quantity::Temperature, 1)]);
        let (channel_type, sample) = (of(KINDS[1]), Sample::Fault(Fault::Checksum));
        let reading = ChannelReading { channel: 1, channel_type, at: Uptime(1), sample, pulses: None };
        let found = channels.values(reading, Uptime(2)).next().unwrap();
        assert_eq!((found.number.is_nan(), found.quality), (true, Quality::Fault));
        assert_eq!(found.fault.as_deref(), Some("the checksum of the sensor's answer is wrong"));
    }

    #[test]
    fn a_sensor_whose_channel_measures_nothing_for_it_is_told_why() {
        let channels = channels(&[
            ("a/a", Quantity::Temperature, 1),
            ("a/b", Quantity::Ph, 1),
            ("a/c", Quantity::Ph, 3),
            ("a/d", Quantity::Ph, 9),
        ]);
        let missing: Vec<String> = channels.missing().iter().map(|(sensor, why)| format!("{sensor}: {why}")).collect();
        assert_eq!(
            missing,
            [
                "a/b: channel 1 of the board measures C, which is no unit of ph",
                "a/c: channel 3 of the board is off; its kind in agent.toml switches it on",
                "a/d: the board has no channel 9; its 4 channels begin at 0",
            ]
        );
    }

    /// Guards against: a flow or rain that only ever rises, for it is all that came since the board started.
    #[test]
    fn a_flow_meter_and_a_rain_gauge_show_what_came_since_the_reading_before() {
        let mut channels =
            channels(&[("a/flow", Quantity::Flow, 0), ("a/pulses", Quantity::Count, 0), ("a/rain", Quantity::Rain, 1)]);
        channels.set_board(&[of(ChannelKind::Pulse); 2], std::iter::empty());
        let missing: Vec<String> = channels.missing().values().map(ToString::to_string).collect();
        let why =
            "channel 0 of the board counts pulses; pulses_per_litre in its table in agent.toml makes a flow of them";
        assert_eq!((missing[0].as_str(), missing.len()), (why, 2));
        let configured = |quantity, number| BoardChannel {
            kind: BoardChannelKind::Pulses,
            interval: Span(10_000),
            oversampling: 6,
            pulses: Some(PulseScale::new(quantity, number)),
        };
        channels.configured =
            BTreeMap::from([(0, configured(Quantity::Flow, 450.0)), (1, configured(Quantity::Rain, 0.2))]);
        assert_eq!(channels.missing().len(), 0);
        let shown = |channel, pulses| {
            let (channel_type, sample) = (of(ChannelKind::Pulse), Sample::Value(90_000));
            let reading = ChannelReading { channel, channel_type, at: Uptime(1), sample, pulses };
            let text = |value: SensorValue| format!("{} {:.3}", value.sensor, value.number);
            channels.values(reading, Uptime(2)).map(text).collect::<Vec<_>>()
        };
        let pulses = Some(Pulses { count: 150, millis: 10_000 });
        assert_eq!(shown(0, pulses), ["a/flow 2.000", "a/pulses 90000.000"]);
        assert_eq!(shown(1, pulses), ["a/rain 30.000"]);
        assert_eq!(shown(0, None), ["a/pulses 90000.000"]);
    }

    #[test]
    fn a_channel_that_is_not_yet_as_configured_gives_no_values_and_one_that_the_board_refuses_says_why() {
        let mut channels = channels(&[("a/water", Quantity::WaterTemperature, 0)]);
        let kind = BoardChannelKind::Ds18b20;
        let configured = BoardChannel { kind, interval: Span(1_000), oversampling: 6, pulses: None };
        channels.configured = BTreeMap::from([(0, configured)]);
        let sample = Sample::Value(19_000);
        let reading = |kind| ChannelReading { channel: 0, channel_type: of(kind), at: Uptime(1), sample, pulses: None };
        let shown =
            |channels: &Channels, kind| channels.values(reading(kind), Uptime(2)).next().map(|value| value.number);
        assert_eq!((shown(&channels, ChannelKind::Analog), channels.missing().len()), (None, 0));
        assert_eq!(shown(&channels, ChannelKind::Ds18b20), Some(19.0));

        let set = SetChannel { command: 0, channel: 0, kind: ChannelKind::Ds18b20, interval: 1_000, oversampling: 6 };
        channels.set_board(&KINDS.map(of), [(Setting::Channel(set), Refusal::NotPossible)].into_iter());
        let missing: Vec<String> = channels.missing().values().map(ToString::to_string).collect();
        assert!(missing[0].starts_with("the board refuses channel 0 as ds18b20 every 1s: its pin"), "{missing:?}");
        // One whose interval alone is refused measures the right thing.
        channels.set_board(&[of(ChannelKind::Ds18b20)], [(Setting::Channel(set), Refusal::NotPossible)].into_iter());
        assert_eq!(channels.missing().len(), 0);
    }
}

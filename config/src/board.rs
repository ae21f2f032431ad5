//! Channels of boards with our firmware, as `agent.toml` states them: what is wired to each, and which quantities it can be.

use std::fmt;

use tilth_core::quantity::Quantity;
use tilth_core::time::Span;
use tilth_core::unit::Unit;

/// What a channel measures, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardChannel {
    /// What is wired to it.
    pub kind: BoardChannelKind,
    /// Time between readings.
    pub interval: Span,
    /// Conversions of which an analog value is the mean, as a power of two: 0 to 6.
    pub oversampling: u8,
    /// What a pulse stands for, of kind pulses.
    pub pulses: Option<PulseScale>,
}

/// What a pulse of a meter stands for: it makes a flow, rain or wind of the pulses that a board counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PulseScale {
    /// The quantity.
    pub quantity: Quantity,
    /// Litres, mm or metres of a pulse, above 0.
    each: f64,
}

// The number is finite.
impl Eq for PulseScale {}

impl PulseScale {
    /// Keys of a channel, and the quantity that each makes of its pulses.
    pub(crate) const KEYS: [(&'static str, Quantity); 3] =
        [("pulses_per_litre", Quantity::Flow), ("mm_per_pulse", Quantity::Rain), ("m_per_pulse", Quantity::Wind)];

    /// The key that makes a quantity of pulses; none for one that pulses are not turned into.
    #[must_use]
    pub fn key(quantity: Quantity) -> Option<&'static str> {
        Self::KEYS.into_iter().find(|(_, of)| *of == quantity).map(|(key, _)| key)
    }

    /// The number that stands under the key of a quantity, above 0.
    #[must_use]
    pub fn new(quantity: Quantity, number: f64) -> PulseScale {
        PulseScale { quantity, each: if quantity == Quantity::Flow { 1.0 / number } else { number } }
    }

    /// Value of so many pulses in so many milliseconds, above 0: a flow in L/min, wind in m/s, rain in mm within that time.
    #[must_use]
    pub fn value(self, pulses: u32, millis: u32) -> f64 {
        let total = self.each * f64::from(pulses);
        match self.quantity {
            Quantity::Flow => total * 60_000.0 / f64::from(millis),
            Quantity::Wind => total * 1_000.0 / f64::from(millis),
            _ => total,
        }
    }
}

/// What is wired to a channel. `docs/boards.md` has the sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoardChannelKind {
    /// Not used: no readings.
    Off,
    /// A voltage at an analog pin.
    Analog,
    /// Temperature of an SHT30, SHT31 or SHT35.
    Sht3xTemperature,
    /// Humidity of an SHT30, SHT31 or SHT35.
    Sht3xHumidity,
    /// Temperature of a BME280.
    Bme280Temperature,
    /// Humidity of a BME280.
    Bme280Humidity,
    /// Air pressure of a BME280.
    Bme280Pressure,
    /// Temperature of a DHT22.
    Dht22Temperature,
    /// Humidity of a DHT22.
    Dht22Humidity,
    /// Temperature of a DS18B20, alone on its pin.
    Ds18b20,
    /// Falling edges at a digital pin.
    Pulses,
    /// A contact to ground at a digital pin.
    Contact,
}

impl BoardChannelKind {
    /// Every kind.
    pub const ALL: [BoardChannelKind; 12] = [
        BoardChannelKind::Off,
        BoardChannelKind::Analog,
        BoardChannelKind::Sht3xTemperature,
        BoardChannelKind::Sht3xHumidity,
        BoardChannelKind::Bme280Temperature,
        BoardChannelKind::Bme280Humidity,
        BoardChannelKind::Bme280Pressure,
        BoardChannelKind::Dht22Temperature,
        BoardChannelKind::Dht22Humidity,
        BoardChannelKind::Ds18b20,
        BoardChannelKind::Pulses,
        BoardChannelKind::Contact,
    ];

    /// The word in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BoardChannelKind::Off => "off",
            BoardChannelKind::Analog => "analog",
            BoardChannelKind::Sht3xTemperature => "sht3x-temperature",
            BoardChannelKind::Sht3xHumidity => "sht3x-humidity",
            BoardChannelKind::Bme280Temperature => "bme280-temperature",
            BoardChannelKind::Bme280Humidity => "bme280-humidity",
            BoardChannelKind::Bme280Pressure => "bme280-pressure",
            BoardChannelKind::Dht22Temperature => "dht22-temperature",
            BoardChannelKind::Dht22Humidity => "dht22-humidity",
            BoardChannelKind::Ds18b20 => "ds18b20",
            BoardChannelKind::Pulses => "pulses",
            BoardChannelKind::Contact => "contact",
        }
    }

    /// Unit of its values; none where they are numbers that a calibration turns into a measurement.
    pub(crate) const fn unit(self) -> Option<&'static str> {
        use BoardChannelKind as Kind;
        match self {
            Kind::Sht3xTemperature | Kind::Bme280Temperature | Kind::Dht22Temperature | Kind::Ds18b20 => Some("C"),
            Kind::Sht3xHumidity | Kind::Bme280Humidity | Kind::Dht22Humidity => Some("%"),
            Kind::Bme280Pressure => Some("Pa"),
            Kind::Off | Kind::Analog | Kind::Pulses | Kind::Contact => None,
        }
    }

    /// Shortest time between its readings.
    pub(crate) const fn shortest_interval(self) -> Span {
        match self {
            BoardChannelKind::Dht22Temperature | BoardChannelKind::Dht22Humidity => Span::from_secs(2),
            _ => Span(100),
        }
    }

    /// Whether its values may be of a quantity.
    pub(crate) fn can_be(self, quantity: Quantity) -> bool {
        self.unit().and_then(Unit::of).is_none_or(|unit| quantity.conversion(unit).is_some())
    }
}

/// Whether a channel gives numbers of its converter that only a calibration makes values of a quantity. `kind` is what is wired to it,
/// where `agent.toml` says so.
pub(crate) fn is_raw(kind: Option<BoardChannelKind>, quantity: Quantity) -> bool {
    let is_number = |quantity| matches!(quantity, Quantity::Count | Quantity::Contact);
    // Rain, flow and wind come as pulses; what a board has in a unit of its own is converted.
    let is_digital = || {
        matches!(quantity, Quantity::Flow | Quantity::Rain | Quantity::Wind)
            || BoardChannelKind::ALL.into_iter().any(|kind| kind.unit().is_some() && kind.can_be(quantity))
    };
    match kind {
        Some(kind) => kind == BoardChannelKind::Analog && quantity != Quantity::Count,
        None => !is_number(quantity) && !is_digital(),
    }
}

impl fmt::Display for BoardChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! What is measured, each with its one unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of measurement. The unit is part of the kind; what else a board may say is converted by [`crate::unit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Air or surface temperature, degrees Celsius.
    Temperature,
    /// Temperature of water or a nutrient solution, degrees Celsius.
    WaterTemperature,
    /// Relative humidity, %.
    Humidity,
    /// Absolute humidity, g/m3.
    AbsoluteHumidity,
    /// Acidity, pH (no unit).
    Ph,
    /// Electrical conductivity, mS/cm.
    Ec,
    /// Total dissolved solids, ppm. No EC: what a ppm stands for differs from meter to meter.
    Tds,
    /// Oxidation-reduction potential, mV.
    Orp,
    /// Dissolved oxygen, mg/L.
    DissolvedOxygen,
    /// Carbon dioxide, ppm.
    Co2,
    /// Illuminance, lux.
    Light,
    /// Photosynthetically active radiation, umol/m2/s.
    Par,
    /// Solar radiation, W/m2.
    Radiation,
    /// Daily light integral, mol/m2/d.
    Dli,
    /// Vapour pressure deficit, kPa.
    Vpd,
    /// Dew point, degrees Celsius.
    DewPoint,
    /// Air pressure, hPa.
    Pressure,
    /// Water level, cm.
    WaterLevel,
    /// Flow, L/min.
    Flow,
    /// Rain, mm.
    Rain,
    /// Wind speed, m/s.
    Wind,
    /// Direction that the wind comes from, degrees clockwise from north; 0 and 360 are the same.
    WindDirection,
    /// Volumetric soil moisture, %.
    SoilMoisture,
    /// A nutrient in the soil, mg/kg.
    SoilNutrient,
    /// Voltage, V.
    Voltage,
    /// Current, A.
    Current,
    /// Power, W.
    Power,
    /// Open (0) or closed (1): door, float, leak, mains.
    Contact,
    /// A number of things.
    Count,
    /// A share, %.
    Percent,
}

impl Quantity {
    /// Every quantity, in the order of the design's word list.
    pub const ALL: [Quantity; 30] = [
        Quantity::Temperature,
        Quantity::WaterTemperature,
        Quantity::Humidity,
        Quantity::AbsoluteHumidity,
        Quantity::Ph,
        Quantity::Ec,
        Quantity::Tds,
        Quantity::Orp,
        Quantity::DissolvedOxygen,
        Quantity::Co2,
        Quantity::Light,
        Quantity::Par,
        Quantity::Radiation,
        Quantity::Dli,
        Quantity::Vpd,
        Quantity::DewPoint,
        Quantity::Pressure,
        Quantity::WaterLevel,
        Quantity::Flow,
        Quantity::Rain,
        Quantity::Wind,
        Quantity::WindDirection,
        Quantity::SoilMoisture,
        Quantity::SoilNutrient,
        Quantity::Voltage,
        Quantity::Current,
        Quantity::Power,
        Quantity::Contact,
        Quantity::Count,
        Quantity::Percent,
    ];

    /// The name and the unit, as documents and messages write them.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Quantity::Temperature => ("temperature", "C"),
            Quantity::WaterTemperature => ("water_temperature", "C"),
            Quantity::Humidity => ("humidity", "%"),
            Quantity::AbsoluteHumidity => ("absolute_humidity", "g/m3"),
            Quantity::Ph => ("ph", ""),
            Quantity::Ec => ("ec", "mS/cm"),
            Quantity::Tds => ("tds", "ppm"),
            Quantity::Orp => ("orp", "mV"),
            Quantity::DissolvedOxygen => ("dissolved_oxygen", "mg/L"),
            Quantity::Co2 => ("co2", "ppm"),
            Quantity::Light => ("light", "lux"),
            Quantity::Par => ("par", "umol/m2/s"),
            Quantity::Radiation => ("radiation", "W/m2"),
            Quantity::Dli => ("dli", "mol/m2/d"),
            Quantity::Vpd => ("vpd", "kPa"),
            Quantity::DewPoint => ("dew_point", "C"),
            Quantity::Pressure => ("pressure", "hPa"),
            Quantity::WaterLevel => ("water_level", "cm"),
            Quantity::Flow => ("flow", "L/min"),
            Quantity::Rain => ("rain", "mm"),
            Quantity::Wind => ("wind", "m/s"),
            Quantity::WindDirection => ("wind_direction", "degrees"),
            Quantity::SoilMoisture => ("soil_moisture", "%"),
            Quantity::SoilNutrient => ("soil_nutrient", "mg/kg"),
            Quantity::Voltage => ("voltage", "V"),
            Quantity::Current => ("current", "A"),
            Quantity::Power => ("power", "W"),
            Quantity::Contact => ("contact", ""),
            Quantity::Count => ("count", ""),
            Quantity::Percent => ("percent", "%"),
        }
    }

    /// The name in documents, such as `water_level`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// The unit, such as `mS/cm`; empty for pH, contacts and counts.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        self.words().1
    }

    /// The value after which the scale begins again, 360 for a direction: no mean is taken of such values, and a change across
    /// the end is as small as it is.
    #[must_use]
    pub const fn circle(self) -> Option<f64> {
        match self {
            Quantity::WindDirection => Some(360.0),
            _ => None,
        }
    }

    /// The quantity of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Quantity> {
        Quantity::ALL.into_iter().find(|quantity| quantity.name() == name)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_serde_names_and_find_their_quantity() {
        for quantity in Quantity::ALL {
            assert_eq!(Quantity::from_name(quantity.name()), Some(quantity));
            assert_eq!(serde_json::to_string(&quantity).unwrap(), format!("\"{}\"", quantity.name()));
        }
        assert_eq!(Quantity::from_name("pH"), None);
    }
}

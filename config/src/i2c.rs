//! I2C chips that the agent reads: their names in inputs, the addresses they can have and the values they give.

use std::fmt;

use tilth_core::quantity::Quantity;
use tilth_core::unit::{Conversion, Unit};

use crate::diagnostic::Problem;

/// A kind of chip on an I2C bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum I2cChip {
    /// Bosch BME280: air temperature, humidity and pressure.
    Bme280,
    /// Sensirion SHT30, SHT31 or SHT35: air temperature and humidity.
    Sht3x,
    /// Sensirion SHT40, SHT41 or SHT45: air temperature and humidity.
    Sht4x,
    /// Sensirion SCD40 or SCD41: carbon dioxide, air temperature and humidity.
    Scd4x,
    /// Texas Instruments ADS1115: four voltages.
    Ads1115,
    /// ROHM BH1750: light.
    Bh1750,
    /// Atlas Scientific EZO pH circuit.
    EzoPh,
    /// Atlas Scientific EZO conductivity circuit.
    EzoEc,
    /// Atlas Scientific EZO RTD circuit: water temperature.
    EzoRtd,
    /// Atlas Scientific EZO dissolved oxygen circuit.
    EzoDo,
}

/// A value that a chip gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct I2cField {
    /// Name in the input.
    pub name: &'static str,
    /// Unit of the chip's numbers; empty for a number without one.
    pub unit: &'static str,
}

/// How a chip is named, addressed and asked.
struct Kind {
    chip: I2cChip,
    /// First the name of the family, then those of its members.
    names: &'static [&'static str],
    addresses: &'static [u8],
    fields: &'static [I2cField],
}

const fn field(name: &'static str, unit: &'static str) -> I2cField {
    I2cField { name, unit }
}

const TEMPERATURE: I2cField = field("temperature", "C");
const HUMIDITY: I2cField = field("humidity", "%");

/// EZO circuits take any address that the bus allows.
const ANY: &[u8] = &[];

const KINDS: [Kind; 10] = [
    Kind {
        chip: I2cChip::Bme280,
        names: &["bme280"],
        addresses: &[0x76, 0x77],
        fields: &[TEMPERATURE, HUMIDITY, field("pressure", "hPa")],
    },
    Kind {
        chip: I2cChip::Sht3x,
        names: &["sht3x", "sht30", "sht31", "sht35"],
        addresses: &[0x44, 0x45],
        fields: &[TEMPERATURE, HUMIDITY],
    },
    Kind {
        chip: I2cChip::Sht4x,
        names: &["sht4x", "sht40", "sht41", "sht45"],
        addresses: &[0x44, 0x45, 0x46],
        fields: &[TEMPERATURE, HUMIDITY],
    },
    Kind {
        chip: I2cChip::Scd4x,
        names: &["scd4x", "scd40", "scd41"],
        addresses: &[0x62],
        fields: &[field("co2", "ppm"), TEMPERATURE, HUMIDITY],
    },
    Kind {
        chip: I2cChip::Ads1115,
        names: &["ads1115"],
        addresses: &[0x48, 0x49, 0x4a, 0x4b],
        fields: &[field("a0", "V"), field("a1", "V"), field("a2", "V"), field("a3", "V")],
    },
    Kind { chip: I2cChip::Bh1750, names: &["bh1750"], addresses: &[0x23, 0x5c], fields: &[field("light", "lux")] },
    Kind { chip: I2cChip::EzoPh, names: &["ezo_ph"], addresses: ANY, fields: &[field("ph", "")] },
    Kind {
        chip: I2cChip::EzoEc,
        names: &["ezo_ec"],
        addresses: ANY,
        fields: &[field("ec", "uS/cm"), field("tds", "ppm"), field("salinity", "ppt"), field("gravity", "")],
    },
    Kind { chip: I2cChip::EzoRtd, names: &["ezo_rtd"], addresses: ANY, fields: &[TEMPERATURE] },
    Kind {
        chip: I2cChip::EzoDo,
        names: &["ezo_do"],
        addresses: ANY,
        fields: &[field("oxygen", "mg/L"), field("saturation", "%")],
    },
];

impl I2cChip {
    /// The chip of this name, of the family or of a member of it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<I2cChip> {
        KINDS.iter().find(|kind| kind.names.contains(&name)).map(|kind| kind.chip)
    }

    /// The name of its family in inputs.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.kind().names[0]
    }

    /// The value of the chip with this name.
    #[must_use]
    pub fn field(self, name: &str) -> Option<I2cField> {
        self.kind().fields.iter().find(|field| field.name == name).copied()
    }

    /// Whether the chip can be set to an address. Those below 0x08 and above 0x77 are kept for the bus itself.
    pub(crate) fn takes_address(self, address: u32) -> bool {
        let addresses = self.kind().addresses;
        let is_own = |own: &u8| u32::from(*own) == address;
        (0x08..=0x77).contains(&address) && (addresses.is_empty() || addresses.iter().any(is_own))
    }

    fn kind(self) -> &'static Kind {
        // The list has every chip once, in the order of the enum; a test holds it to that.
        &KINDS[self as usize]
    }
}

impl fmt::Display for I2cChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl I2cField {
    /// How the chip's number becomes one in the unit of a quantity; none where it measures something else. A voltage is taken as it
    /// is by any quantity, for the sensor's calibration to make it one.
    #[must_use]
    pub fn conversion(self, quantity: Quantity) -> Option<Conversion> {
        match Unit::of(self.unit) {
            None => Some(Conversion::NONE),
            Some(unit) => quantity.conversion(unit).or((self.unit == "V").then_some(Conversion::NONE)),
        }
    }
}

/// Why no chip can be read by `CHIP@ADDRESS/FIELD`, where that has the form of an input. `integer` reads an address.
pub(crate) fn check(text: &str, integer: fn(&str) -> Option<u32>) -> Result<(), Problem> {
    let Some((device, rest)) = text.split_once('/') else { return Ok(()) };
    let Some((chip, address)) = device.split_once('@') else { return Ok(()) };
    let Some(known) = I2cChip::from_name(chip) else {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.names[0]).collect();
        let problem = Problem::new(format!("this version reads no chip {chip:?}"));
        return Err(problem.help(format!("expected one of {}", names.join(", "))));
    };
    let kind = known.kind();
    if let Some(address) = integer(address).filter(|address| !known.takes_address(*address)) {
        let can: Vec<String> = kind.addresses.iter().map(|address| format!("{address:#04x}")).collect();
        let can = if can.is_empty() { "0x08 to 0x77".to_owned() } else { can.join(" or ") };
        let problem = Problem::new(format!("{chip} cannot have the address {address:#04x}"));
        return Err(problem.help(format!("expected {can}")));
    }
    let field = rest.split_once('?').map_or(rest, |(field, _)| field);
    if known.field(field).is_none() {
        let names: Vec<&str> = kind.fields.iter().map(|field| field.name).collect();
        let problem = Problem::new(format!("{chip} has no value {field:?}"));
        return Err(problem.help(format!("expected {}", names.join(" or "))));
    }
    Ok(())
}

/// Field and address of the RTD circuit that compensates, of `FIELD` or `FIELD?rtd=ADDRESS`.
pub(crate) fn field_of(chip: I2cChip, text: &str, address: fn(&str) -> Option<u8>) -> Option<(I2cField, Option<u8>)> {
    let Some((name, rest)) = text.split_once('?') else { return Some((chip.field(text)?, None)) };
    let is_compensated = matches!(chip, I2cChip::EzoPh | I2cChip::EzoEc | I2cChip::EzoDo);
    let rtd = address(rest.strip_prefix("rtd=").filter(|_| is_compensated)?)?;
    Some((chip.field(name)?, Some(rtd)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chip_has_its_own_line() {
        for (ix, kind) in KINDS.iter().enumerate() {
            assert_eq!(kind.chip as usize, ix);
            for name in kind.names {
                assert_eq!(I2cChip::from_name(name), Some(kind.chip));
            }
            for field in kind.fields.iter().filter(|field| !field.unit.is_empty()) {
                assert!(Unit::of(field.unit).is_some(), "{} has an unknown unit {}", field.name, field.unit);
            }
        }
    }

    #[test]
    fn what_no_chip_can_be_read_by_is_said() {
        let integer = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        let why = |text: &str| check(text, integer).err().and_then(|problem| problem.help_text().map(str::to_owned));
        assert_eq!(why("sht31@0x44/humidity"), None);
        assert_eq!(why("ezo_ph@0x10/ph?rtd=0x66"), None);
        assert_eq!(why("bme280@0x44/pressure").as_deref(), Some("expected 0x76 or 0x77"));
        assert_eq!(why("bme280@68/pressure").as_deref(), Some("expected 0x76 or 0x77"));
        assert_eq!(why("ezo_ph@0x78/ph").as_deref(), Some("expected 0x08 to 0x77"));
        assert_eq!(why("sht31@0x44/pressure").as_deref(), Some("expected temperature or humidity"));
        assert!(why("bmp180@0x77/pressure").unwrap().starts_with("expected one of bme280, sht3x"));
    }

    #[test]
    fn a_field_becomes_the_quantity_that_its_unit_measures() {
        let conversion = |chip: I2cChip, name, quantity| chip.field(name).unwrap().conversion(quantity);
        let ec = conversion(I2cChip::EzoEc, "ec", Quantity::Ec).unwrap();
        assert!((ec.apply(1413.0) - 1.413).abs() < 1e-9);
        assert_eq!(conversion(I2cChip::Bme280, "pressure", Quantity::Temperature), None);
        assert_eq!(conversion(I2cChip::Ads1115, "a0", Quantity::Ph), Some(Conversion::NONE));
    }
}

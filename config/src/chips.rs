//! I2C chips that cannot be read as the sensors of a configuration say.

use std::collections::BTreeMap;

use tilth_core::id::Id;

use crate::diagnostic::{Diagnostics, Problem};
use crate::i2c::I2cChip;
use crate::input::Input;
use crate::path;
use crate::sensor_list::Sensors;
use crate::source::Sources;

/// Says of two chips at one address, which answer at once, of a chip's value that is none of the sensor's quantity, and of an EZO circuit
/// that waits for a temperature that nobody reads.
pub(crate) fn say_wrong(sensors: &Sensors, sources: &Sources, log: &Diagnostics) {
    let mut at = BTreeMap::new();
    for known in sensors.entries.iter().filter(|known| known.enabled) {
        let Some(Input::I2c { bus, chip, address, field, rtd }) = &known.settings.input else { continue };
        let path = path::join(&known.path, "input");
        let error = |problem| log.error(known.input, &path, problem);
        let quantity = known.sensor.quantity;
        if field.conversion(quantity).is_none() {
            let problem =
                Problem::new(format!("{chip} gives {} in {}, which is no {quantity}", field.name, field.unit));
            error(problem.help(format!("expected a value in {}", quantity.units().join(", "))));
        }
        let (first, owner) = *at.entry((bus, *address)).or_insert((*chip, known));
        if first != *chip {
            let (other, place) = (&owner.sensor.id, sources.name(owner.input));
            let message =
                format!("{chip} and {first} of {other} ({place}) have one address, {address:#04x} on the bus {bus}");
            let help = "expected another address: most chips have a pin that sets it";
            error(Problem::new(message).across_documents().help(help));
        }
        if let Some(rtd) = rtd.filter(|rtd| !sensors.some_are_wrong() && !is_read(sensors, bus, *rtd)) {
            // No error: the sensor is at fault by itself, and the others are watched.
            log.warning(known.input, &path, missing_rtd(bus, rtd));
        }
    }
}

/// Whether a sensor reads an RTD circuit.
fn is_read(sensors: &Sensors, bus: &Id, rtd: u8) -> bool {
    sensors.entries.iter().filter(|known| known.enabled).any(|known| {
        let Some(Input::I2c { bus: of, chip: I2cChip::EzoRtd, address, .. }) = &known.settings.input else {
            return false;
        };
        (of, *address) == (bus, rtd)
    })
}

fn missing_rtd(bus: &Id, rtd: u8) -> Problem {
    let wrong = format!("no sensor reads an ezo_rtd at {rtd:#04x} on the bus {bus}, so the values would stay suspect");
    let input = format!("i2c:{bus}/ezo_rtd@{rtd:#04x}/temperature");
    let help =
        format!("add a sensor with input = \"{input}\", or take ?rtd= out: the circuit then takes the water for 25 C");
    Problem::new(wrong).help(help).across_documents()
}

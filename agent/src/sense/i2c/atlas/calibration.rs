//! Steps of a calibration of EZO circuits, and how long each takes. Source: "Calibration" in the I2C part of the datasheets.

use std::time::Duration;

use tilth_config::I2cChip;

/// A step of a calibration, with the value of the solution that the probe is in.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(not(test), expect(dead_code, reason = "no command of a person calibrates yet"))]
pub(in crate::sense::i2c) enum Point {
    /// Forgets all points.
    Clear,
    /// The first point of a pH probe, which forgets the others.
    Mid(f64),
    Low(f64),
    High(f64),
    /// The only point of a temperature, or the second and last of a conductivity.
    One(f64),
    /// A dry conductivity probe.
    Dry,
    /// An oxygen probe in air.
    Air,
    /// An oxygen probe in a solution without oxygen.
    Zero,
}

impl Point {
    /// The command; none where the circuit has no such step.
    pub(super) fn text(self, chip: I2cChip) -> Option<String> {
        use I2cChip::{EzoDo, EzoEc, EzoPh, EzoRtd};
        Some(match (self, chip) {
            (Point::Clear, _) => "Cal,clear".to_owned(),
            (Point::Mid(value), EzoPh) => format!("Cal,mid,{value:.2}"),
            (Point::Low(value), EzoPh) => format!("Cal,low,{value:.2}"),
            (Point::High(value), EzoPh) => format!("Cal,high,{value:.2}"),
            (Point::Low(value), EzoEc) => format!("Cal,low,{value}"),
            (Point::High(value), EzoEc) => format!("Cal,high,{value}"),
            (Point::One(value), EzoEc | EzoRtd) => format!("Cal,{value}"),
            (Point::Dry, EzoEc) => "Cal,dry".to_owned(),
            (Point::Air, EzoDo) => "Cal".to_owned(),
            (Point::Zero, EzoDo) => "Cal,0".to_owned(),
            _ => return None,
        })
    }

    /// Processing delay of the datasheet.
    pub(super) fn delay(self, chip: I2cChip) -> Duration {
        Duration::from_millis(match (self, chip) {
            (Point::Clear, _) => 300,
            (_, I2cChip::EzoPh) => 900,
            (_, I2cChip::EzoDo) => 1300,
            _ => 600,
        })
    }
}

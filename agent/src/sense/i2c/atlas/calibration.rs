//! Steps of a calibration of EZO circuits: their names, values and commands, and how long each takes. Source: "Calibration" in the I2C
//! part of the datasheets.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tilth_config::I2cChip;
use tilth_core::id::SensorId;
use tokio::sync::oneshot;

use super::CircuitKind;

/// Step of a calibration as people and the API name it. Each circuit has some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CalibrationStep {
    /// pH, always first, for it forgets the others: a buffer of pH 6 to 8
    Mid,
    /// pH, second: a buffer of pH 1 to 6. EC: the lower of two solutions in uS/cm
    Low,
    /// pH, third: a buffer of pH 8 to 14. EC: the higher of two solutions in uS/cm
    High,
    /// EC, always first: the dry probe
    Dry,
    /// EC: the only solution in uS/cm. RTD: the temperature in C
    Single,
    /// Dissolved oxygen, first: the probe in air
    Air,
    /// Dissolved oxygen, second: a solution without oxygen
    Zero,
    /// Forget all points
    Clear,
    /// Only say how many points the circuit keeps
    Query,
}

/// Wish of a person that a circuit takes a step, on its way to the task of the bus.
#[derive(Debug)]
pub(crate) struct CalibrationRequest {
    /// A sensor that the circuit feeds.
    pub(crate) sensor: SensorId,
    pub(crate) step: CalibrationStep,
    pub(crate) value: Option<f64>,
    pub(crate) begun: StartSignal,
    pub(crate) answer: Answer,
}

/// Told when the step begins. It does not begin once the other end is gone, whose person has given up.
pub(crate) type StartSignal = oneshot::Sender<()>;

/// Told what the circuit keeps in the end, or why it has not taken the step, in words.
pub(crate) type Answer = oneshot::Sender<Result<CalibrationStatus, String>>;

/// What a circuit says of its calibration; none of what its firmware does not say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct CalibrationStatus {
    /// How many points it keeps.
    pub(crate) points: Option<u8>,
    /// Slopes of a pH probe in acid and in base, % of an ideal probe's.
    pub(crate) slope: Option<[f64; 2]>,
}

/// Buffers of pH. Those that are sold as low, middle and high ones do not overlap, so a mix-up is noticed.
const PH_LOW: RangeInclusive<f64> = 1.0..=6.0;
const PH_MID: RangeInclusive<f64> = 6.0..=8.0;
const PH_HIGH: RangeInclusive<f64> = 8.0..=14.0;

/// What the circuits can measure, uS/cm and C.
const EC: RangeInclusive<f64> = 0.07..=500_000.0;
const RTD: RangeInclusive<f64> = -126.0..=1254.0;

/// A step that the circuit of a chip has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sense::i2c) struct CalibrationCommand {
    chip: I2cChip,
    step: CalibrationStep,
    /// Value of the solution that the probe is in; of a step that takes none 0.
    value: f64,
}

impl fmt::Display for CalibrationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |name| f.write_str(name.get_name()))
    }
}

impl CalibrationCommand {
    /// The command for a step at this value; none for a query.
    ///
    /// # Errors
    /// What the circuit takes instead, in words.
    pub(in crate::sense::i2c) fn of(
        chip: I2cChip,
        step: CalibrationStep,
        value: Option<f64>,
    ) -> Result<Option<CalibrationCommand>, String> {
        use CalibrationStep::{Air, Clear, Dry, High, Low, Mid, Query, Single, Zero};
        use I2cChip::{EzoDo, EzoEc, EzoPh, EzoRtd};
        let (range, unit) = match (step, chip) {
            (Query | Clear, _) | (Dry, EzoEc) | (Air | Zero, EzoDo) if value.is_some() => {
                return Err(format!("{step} of an {chip} takes no value"));
            }
            (Query, _) => return Ok(None),
            (Clear, _) | (Dry, EzoEc) | (Air | Zero, EzoDo) => {
                return Ok(Some(CalibrationCommand { chip, step, value: 0.0 }));
            }
            (Mid, EzoPh) => (PH_MID, "pH"),
            (Low, EzoPh) => (PH_LOW, "pH"),
            (High, EzoPh) => (PH_HIGH, "pH"),
            (Single | Low | High, EzoEc) => (EC, "uS/cm"),
            (Single, EzoRtd) => (RTD, "C"),
            _ => {
                let steps = CircuitKind::of(chip).steps;
                return Err(format!("an {chip} has no step {step}; its steps are {steps}, clear and query"));
            }
        };
        let within = value.filter(|value| range.contains(value));
        let expected = || format!("{step} of an {chip} takes a value from {} to {} {unit}", range.start(), range.end());
        within.map(|value| Some(CalibrationCommand { chip, step, value })).ok_or_else(expected)
    }

    /// The command as the circuit takes it.
    pub(super) fn text(self) -> String {
        let CalibrationCommand { chip, step, value } = self;
        match step {
            CalibrationStep::Single => format!("Cal,{value}"),
            CalibrationStep::Air => "Cal".to_owned(),
            CalibrationStep::Zero => "Cal,0".to_owned(),
            CalibrationStep::Clear | CalibrationStep::Dry | CalibrationStep::Query => format!("Cal,{step}"),
            CalibrationStep::Mid | CalibrationStep::Low | CalibrationStep::High => match chip {
                I2cChip::EzoPh => format!("Cal,{step},{value:.2}"),
                _ => format!("Cal,{step},{value}"),
            },
        }
    }

    /// Processing delay of the datasheet.
    pub(super) fn delay(self) -> Duration {
        Duration::from_millis(match (self.step, self.chip) {
            (CalibrationStep::Clear, _) => 300,
            (_, I2cChip::EzoPh) => 900,
            (_, I2cChip::EzoDo) => 1300,
            _ => 600,
        })
    }
}

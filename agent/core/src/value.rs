//! Values as whole steps of a sensor's resolution, so that comparing, summing and storing are exact.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Larger values than this many steps are no measurement; it leaves room to sum a million of them in 64 bits.
const MAX_STEPS: i64 = 1 << 40;

/// Number of steps that stands for every larger one.
const OUTERMOST: f64 = (MAX_STEPS + 1) as f64;

/// A number of steps is wrong by less than this part of itself: reading a decimal, multiplying and dividing each lose 1.2e-16 at
/// most.
const LOST: f64 = 1e-15;

/// A value as a number of steps of its sensor's [`Resolution`]: 6.85 at 0.01 is 685.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Steps(pub i64);

/// The smallest difference a sensor tells, an exact decimal: `mantissa` times ten to the minus `decimals`.
///
/// 0.01 is (1, 2); a DS18B20's 0.0625 is (625, 4); 5 is (5, 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resolution {
    mantissa: u32,
    decimals: u8,
}

/// A value with the resolution that gives it meaning. Prints as an exact decimal: `6.85`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// How many steps.
    pub steps: Steps,
    /// How large a step is.
    pub resolution: Resolution,
}

/// Why a number cannot be a resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a resolution above 0, at most 1000000, with at most 9 significant digits and 9 decimals")]
pub struct ResolutionError;

/// Ten to the n for n up to [`Resolution`]'s nine decimals; each exact in binary as well.
const TEN_TO: [i64; 10] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

const fn ten_to(decimals: u8) -> i64 {
    TEN_TO[decimals as usize]
}

impl Steps {
    /// The largest measurement; the smallest is as far below zero.
    pub const MAX: Steps = Steps(MAX_STEPS);
}

impl Resolution {
    /// Whole units.
    pub const ONE: Resolution = Resolution { mantissa: 1, decimals: 0 };

    /// The decimal that the number was written as; 0.01 is taken as one hundredth and not as the nearest binary fraction.
    ///
    /// # Errors
    /// [`ResolutionError`] when the number is not positive, not finite, or has more than nine digits or decimals.
    pub fn new(number: f64) -> Result<Resolution, ResolutionError> {
        if !(number > 0.0 && number <= 1_000_000.0) {
            return Err(ResolutionError);
        }
        // The shortest text that reads back as this number is what was written.
        let text = format!("{number}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let decimals = u8::try_from(fraction.len()).map_err(|_| ResolutionError)?;
        let mantissa = format!("{whole}{fraction}").parse().map_err(|_| ResolutionError)?;
        if decimals > 9 || mantissa > 999_999_999 {
            return Err(ResolutionError);
        }
        Ok(Resolution { mantissa, decimals })
    }

    /// The nearest step to a number in the sensor's unit, as it is written in decimal: 20.025 at 0.01 is 20.03, although its
    /// binary fraction lies below. Halves go away from zero. `None` where it is not a number. One too large to be a measurement
    /// gives a step beyond [`Steps::MAX`].
    #[must_use]
    pub fn nearest(self, number: f64) -> Option<Steps> {
        if number.is_nan() {
            return None;
        }
        let steps = self.steps(number).clamp(-OUTERMOST, OUTERMOST);
        let whole = steps as i64;
        let past_half = (steps - whole as f64).abs() - 0.5;
        let is_clear = past_half.abs() > steps.abs() * LOST;
        let is_up = if is_clear { past_half > 0.0 } else { number.abs() >= self.half_above(whole.abs()) };
        Some(Steps(whole + if is_up { number.signum() as i64 } else { 0 }))
    }

    /// The number half a step above a whole number of steps: the binary fraction that its decimal is read as. No other decimal of
    /// up to 15 digits is read as the same one.
    fn half_above(self, whole: i64) -> f64 {
        (2 * whole + 1) as f64 * (5.0 * f64::from(self.mantissa)) / (10.0 * ten_to(self.decimals) as f64)
    }

    /// The last step at or below the number; numbers beyond any measurement give the outermost step.
    #[must_use]
    pub fn floor(self, number: f64) -> Steps {
        self.on_grid(number).unwrap_or_else(|steps| steps.floor())
    }

    /// The first step at or above the number; numbers beyond any measurement give the outermost step.
    #[must_use]
    pub fn ceil(self, number: f64) -> Steps {
        self.on_grid(number).unwrap_or_else(|steps| steps.ceil())
    }

    /// A number of the sensor's unit in steps, not rounded.
    #[must_use]
    pub fn steps(self, number: f64) -> f64 {
        number * ten_to(self.decimals) as f64 / f64::from(self.mantissa)
    }

    /// The step that the number is, allowing for what binary fractions lose; else where it lies between two.
    fn on_grid(self, number: f64) -> Result<Steps, Between> {
        let steps = self.steps(number).clamp(-OUTERMOST, OUTERMOST);
        let nearest = steps.round();
        if (steps - nearest).abs() <= 1e-9 * nearest.abs().max(1.0) {
            Ok(Steps(nearest as i64))
        } else {
            Err(Between(steps))
        }
    }
}

/// A place between two steps.
struct Between(f64);

impl Between {
    fn floor(&self) -> Steps {
        Steps(self.0.floor() as i64)
    }

    fn ceil(&self) -> Steps {
        Steps(self.0.ceil() as i64)
    }
}

impl Value {
    /// The value in billionths of its unit, to the last one: what values of different resolutions have in common.
    pub(crate) fn billionths(self) -> i128 {
        let resolution = i128::from(self.resolution.mantissa) * i128::from(ten_to(9 - self.resolution.decimals));
        i128::from(self.steps.0) * resolution
    }

    /// The value as the nearest binary fraction, in the sensor's unit.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        let scaled = i128::from(self.steps.0) * i128::from(self.resolution.mantissa);
        scaled as f64 / ten_to(self.resolution.decimals) as f64
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = i128::from(self.steps.0) * i128::from(self.resolution.mantissa);
        let one = i128::from(ten_to(self.resolution.decimals));
        let sign = if scaled < 0 { "-" } else { "" };
        let (whole, fraction) = (scaled.abs() / one, scaled.abs() % one);
        match self.resolution.decimals {
            0 => write!(f, "{sign}{whole}"),
            decimals => write!(f, "{sign}{whole}.{fraction:0width$}", width = usize::from(decimals)),
        }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value { steps: Steps(1), resolution: *self }.fmt(f)
    }
}

#[cfg(test)]
mod tests;

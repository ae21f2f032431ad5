//! The first step: what an input delivers becomes what the sensor measures, in whole steps of its resolution.

use serde::{Deserialize, Serialize};

use crate::value::{Resolution, Steps};

/// How a raw number becomes a measurement.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Calibration {
    /// The input already delivers the quantity's unit.
    #[default]
    Identity,
    /// `gain * raw + offset`.
    Linear {
        /// Units per raw unit.
        gain: f64,
        /// Units at raw zero.
        offset: f64,
    },
    /// Straight lines between points (raw, true); the outer lines go on beyond the outer points.
    Points(Points),
}

/// Two or more calibration points with raw values that rise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(f64, f64)>", into = "Vec<(f64, f64)>")]
pub struct Points(Vec<(f64, f64)>);

/// Why a calibration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// Not a number, or infinite.
    #[error("expected finite numbers")]
    NotFinite,
    /// A gain of zero makes every reading the same.
    #[error("a gain of 0 makes every reading the same; expected another")]
    NoGain,
    /// Fewer than two points.
    #[error("expected at least two points; for a constant correction use gain = 1 and an offset")]
    TooFew,
    /// Raw values that repeat or fall.
    #[error("expected raw values that rise from point to point")]
    NotRising,
}

impl Points {
    /// Checks and keeps the points.
    ///
    /// # Errors
    /// [`CalibrationError`] for fewer than two, numbers that are not finite, or raw values that do not rise.
    pub fn new(points: Vec<(f64, f64)>) -> Result<Points, CalibrationError> {
        if points.iter().any(|(raw, real)| !raw.is_finite() || !real.is_finite()) {
            return Err(CalibrationError::NotFinite);
        }
        if points.len() < 2 {
            return Err(CalibrationError::TooFew);
        }
        if !points.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            return Err(CalibrationError::NotRising);
        }
        Ok(Points(points))
    }

    fn apply(&self, raw: f64) -> f64 {
        let above = self.0.partition_point(|point| point.0 < raw).clamp(1, self.0.len() - 1);
        let ((x0, y0), (x1, y1)) = (self.0[above - 1], self.0[above]);
        y0 + (raw - x0) * (y1 - y0) / (x1 - x0)
    }
}

impl TryFrom<Vec<(f64, f64)>> for Points {
    type Error = CalibrationError;
    fn try_from(points: Vec<(f64, f64)>) -> Result<Points, CalibrationError> {
        Points::new(points)
    }
}

impl From<Points> for Vec<(f64, f64)> {
    fn from(points: Points) -> Self {
        points.0
    }
}

impl Calibration {
    /// A straight line.
    ///
    /// # Errors
    /// [`CalibrationError`] when a number is not finite or the gain is zero.
    pub fn linear(gain: f64, offset: f64) -> Result<Calibration, CalibrationError> {
        if !gain.is_finite() || !offset.is_finite() {
            return Err(CalibrationError::NotFinite);
        }
        if gain == 0.0 {
            return Err(CalibrationError::NoGain);
        }
        Ok(Calibration::Linear { gain, offset })
    }

    /// The measurement in steps; `None` where the result is not a number.
    #[must_use]
    pub fn apply(&self, raw: f64, resolution: Resolution) -> Option<Steps> {
        let number = match self {
            Calibration::Identity => raw,
            Calibration::Linear { gain, offset } => gain * raw + offset,
            Calibration::Points(points) => points.apply(raw),
        };
        resolution.nearest(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(points: &[(f64, f64)]) -> Result<Points, CalibrationError> {
        Points::new(points.to_vec())
    }

    #[test]
    fn each_kind_ends_in_steps() {
        let buffers = points(&[(150.0, 4.01), (0.0 + 300.0, 7.0), (450.0, 10.0)]).unwrap();
        let hundredth = Resolution::new(0.01).unwrap();
        for (calibration, raw, expected) in [
            (Calibration::Identity, 6.849, Some(685)),
            (Calibration::linear(0.1, -5.0).unwrap(), 71.3, Some(213)),
            (Calibration::Points(buffers.clone()), 150.0, Some(401)),
            (Calibration::Points(buffers.clone()), 225.0, Some(551)),
            (Calibration::Points(buffers.clone()), 375.0, Some(850)),
            (Calibration::Points(buffers.clone()), 600.0, Some(1300)),
            (Calibration::Points(buffers), 0.0, Some(102)),
            (Calibration::Identity, f64::NAN, None),
        ] {
            assert_eq!(calibration.apply(raw, hundredth), expected.map(Steps), "{calibration:?} of {raw}");
        }
    }

    #[test]
    fn impossible_calibrations_are_refused() {
        assert_eq!(Calibration::linear(0.0, 1.0), Err(CalibrationError::NoGain));
        assert_eq!(Calibration::linear(f64::NAN, 1.0), Err(CalibrationError::NotFinite));
        assert_eq!(points(&[(1.0, 2.0)]), Err(CalibrationError::TooFew));
        assert_eq!(points(&[(1.0, 2.0), (1.0, 3.0)]), Err(CalibrationError::NotRising));
        assert_eq!(points(&[(1.0, 2.0), (f64::INFINITY, 3.0)]), Err(CalibrationError::NotFinite));
    }
}

//! A sensor as the engine watches it, checked.

use crate::calibrate::Calibration;
use crate::id::{Id, SensorId};
use crate::quantity::Quantity;
use crate::time::Span;
use crate::value::Resolution;

/// A named, calibrated series at a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// `zone/name`.
    pub id: SensorId,
    /// The zone it belongs to; by default the first half of its id.
    pub zone: Id,
    /// Quantity that the sensor measures.
    pub quantity: Quantity,
    /// The smallest difference it tells; every value is a whole number of these.
    pub resolution: Resolution,
    /// How raw numbers become measurements, unless people on site have set another.
    pub calibration: Calibration,
    /// Lowest and highest plausible value, both still plausible; outside is a fault.
    pub range: Option<(f64, f64)>,
    /// The most it can change within a minute; a faster change is suspect.
    pub max_rate: Option<f64>,
    /// An unmoving value for this long is suspect.
    pub stuck_for: Option<Span>,
    /// Without a reading for this long its value is stale.
    pub stale_after: Option<Span>,
    /// The bus that it shares with others; while that is down its alerts do not page.
    pub bus: Option<Id>,
    /// On a bus: without a reading for this long the sensor is overdue, and its bus silent where nothing else comes. None where
    /// how often it is heard is not known.
    pub heard_within: Option<Span>,
    /// The bus whose state this sensor is, where it is a state sensor: its silence is that of all sensors on the bus.
    pub state_of_bus: Option<Id>,
}

impl Sensor {
    /// Whether values of both mean the same number of steps.
    pub(crate) fn measures_like(&self, other: &Sensor) -> bool {
        self.quantity == other.quantity && self.resolution == other.resolution
    }
}

//! A value as a bus hands it on, and how it becomes one that the engine takes.

use std::sync::Arc;

use tilth_core::engine::Input;
use tilth_core::id::SensorId;
use tilth_core::plan::Plan;
use tilth_core::reading::{Quality, Raw};
use tilth_core::time::{Uptime, WallTime};

use super::stamp::StampRejection;
use crate::clock::{Clock, ClockMode};

/// A value on its way to decide. It names its sensor, for the plan may change while it waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SensorValue {
    /// Sensor that the value is of.
    pub(crate) sensor: SensorId,
    /// Not a number where the input answered without a value.
    pub(crate) number: f64,
    /// What the bus knows of the value; the engine only ever finds it worse.
    pub(crate) quality: Quality,
    /// Why the input has no value, where the quality is fault, or one that is suspect.
    pub(crate) fault: Option<Arc<str>>,
    pub(crate) arrived: Uptime,
    /// When it was measured, where the bus knows that on the agent's clock; never later than its arrival.
    pub(crate) measured_at: Option<Uptime>,
    /// Time of day that its source gave it, where its input says `stamp = "source"` and it carried one.
    pub(crate) stamp: Option<WallTime>,
    /// Why `stamp` is not used; ignored on the event-time clock.
    pub(crate) rejected: Option<StampRejection>,
}

impl SensorValue {
    /// A value that arrived now and counts from then.
    pub(crate) fn new(
        sensor: SensorId,
        number: f64,
        quality: Quality,
        fault: Option<Arc<str>>,
        arrived: Uptime,
    ) -> SensorValue {
        SensorValue { sensor, number, quality, fault, arrived, measured_at: None, stamp: None, rejected: None }
    }

    /// The value as input of the engine; none where the plan has no such sensor any more. Made as decide takes the value from the
    /// queue: this moves the event-time clock.
    pub(crate) fn input(&self, plan: &Plan, clock: &Clock) -> Option<Input> {
        let sensor = plan.sensor_ix(self.sensor.as_str())?;
        let raw = |at| Raw { sensor, at, value: self.number, quality: self.quality };
        Some(match self.stated_time(clock) {
            Some(at) => Input::Reading(raw(at)),
            None if self.rejected.is_some() && clock.mode() != ClockMode::EventTime => {
                Input::Undated(raw(self.arrived))
            }
            None => Input::Reading(raw(self.arrived)),
        })
    }

    /// Instant of the value for the engine, the same for all values of a line. To be called after [`SensorValue::input`].
    pub(crate) fn instant(&self, clock: &Clock) -> Uptime {
        if clock.mode() == ClockMode::EventTime { clock.uptime() } else { self.arrived }
    }

    /// When it was measured, if its arrival does not count.
    fn stated_time(&self, clock: &Clock) -> Option<Uptime> {
        if clock.mode() == ClockMode::EventTime {
            return Some(match self.stamp {
                Some(stamp) => {
                    clock.observe(stamp);
                    Uptime(stamp.0)
                }
                None => clock.uptime(),
            });
        }
        if self.measured_at.is_some() {
            return self.measured_at;
        }
        let stamp = self.stamp.filter(|_| self.rejected.is_none())?;
        // A little ahead is the difference of two clocks: no reading is from later than now.
        Some(clock.uptime_at(stamp)?.min(self.arrived))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Anchor, Trust};
    use tilth_core::time::Span;

    #[test]
    fn a_stamp_is_accepted_unless_it_was_rejected() {
        let clock = Clock::new(ClockMode::Scaled(1));
        let arrived = Uptime(10_000_000);
        let value = |stamp, rejected| {
            SensorValue {
                sensor: SensorId::new("a/b").unwrap(),
                number: 1.0,
                quality: Quality::Good,
                fault: None,
                arrived,
                measured_at: None,
                stamp,
                rejected,
            }
            .stated_time(&clock)
        };
        clock.trust(Anchor { offset_ms: 1_000_000_000, trust: Trust::Stated, error: None });
        let wall = |ms: i64| Some(WallTime(1_010_000_000 + ms));
        for (stamp, rejected, at) in [
            (None, None, None),
            (None, Some(StampRejection::NoTime), None),
            (wall(0), None, Some(arrived)),
            (wall(-5000), None, Some(Uptime(9_995_000))),
            (wall(-20_000_000), None, Some(Uptime(-10_000_000))),
            (wall(-20_000_000), Some(StampRejection::Behind), None),
            (wall(super::super::stamp::AHEAD.0), None, Some(arrived)),
            (wall(Span::from_mins(60).0), Some(StampRejection::Ahead), None),
        ] {
            assert_eq!(value(stamp, rejected), at, "{stamp:?} {rejected:?}");
        }
    }

    #[test]
    fn on_the_event_time_clock_stamps_are_the_time() {
        let clock = Clock::new(ClockMode::EventTime);
        let value = |stamp| {
            let sensor = SensorId::new("a/b").unwrap();
            SensorValue {
                sensor,
                number: 1.0,
                quality: Quality::Good,
                fault: None,
                arrived: Uptime(0),
                measured_at: None,
                stamp,
                rejected: Some(StampRejection::NoClock),
            }
        };
        assert_eq!(value(Some(WallTime(5000))).stated_time(&clock), Some(Uptime(5000)));
        assert_eq!(value(Some(WallTime(4000))).stated_time(&clock), Some(Uptime(4000)));
        assert_eq!(value(None).stated_time(&clock), Some(Uptime(5000)));
        assert_eq!(clock.uptime(), Uptime(5000));
        let sensor = SensorId::new("a/b").unwrap();
        let old = SensorValue {
            sensor,
            number: 1.0,
            quality: Quality::Good,
            fault: None,
            arrived: Uptime(0),
            measured_at: None,
            stamp: Some(WallTime(4000)),
            rejected: None,
        };
        assert_eq!(old.instant(&clock), Uptime(5000));
        assert_eq!(old.instant(&Clock::new(ClockMode::Scaled(1))), Uptime(0));
    }
}

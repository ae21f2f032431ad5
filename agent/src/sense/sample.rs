//! A value as a bus hands it on, and how it becomes one that the engine takes.

use tilth_core::id::SensorId;
use tilth_core::plan::Plan;
use tilth_core::reading::{Quality, Raw};
use tilth_core::time::{Span, Uptime, WallTime};

use crate::clock::{Clock, Source};

/// A stamp from outside may be this far ahead, for clocks differ; beyond it, it is wrong, and would keep the sensor's true
/// readings from moving anything until then.
pub(crate) const FUTURE_BOUND: Span = Span::from_mins(2);

/// A value on its way to decide. It names its sensor, for the plan may change while it waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Whose value it is.
    pub(crate) sensor: SensorId,
    /// Not a number where the input answered without a value.
    pub(crate) value: f64,
    /// When it arrived.
    pub(crate) arrived: Uptime,
    /// Its own time, where its input says `stamp = "source"` and it carried one.
    pub(crate) stamp: Option<WallTime>,
}

/// What became of a value's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dated {
    /// Its arrival is its time: it carries no other, or none is wanted.
    Arrival,
    /// Its own time holds.
    Source,
    /// Its own time lies in the future; its arrival is taken. To be counted and shown.
    Future,
    /// Its own time cannot be placed while the clock is not trusted; its arrival is taken.
    NoClock,
}

impl Sample {
    /// The value as the engine of this plan takes it; nothing where the plan has no such sensor any more.
    ///
    /// To be called when decide takes it from the queue, and then [`Clock::now`] for the instant: the input clock moves here.
    pub(crate) fn raw(&self, plan: &Plan, clock: &Clock) -> Option<(Raw, Dated)> {
        let sensor = plan.sensor_ix(self.sensor.as_str())?;
        let (at, dated) = self.date(clock);
        Some((Raw { sensor, at, value: self.value, quality: Quality::Good }, dated))
    }

    fn date(&self, clock: &Clock) -> (Uptime, Dated) {
        if clock.source() == Source::Input {
            return match self.stamp {
                Some(stamp) => {
                    clock.observe(stamp);
                    (Uptime(stamp.0), Dated::Source)
                }
                None => (clock.uptime(), Dated::Arrival),
            };
        }
        let Some(stamp) = self.stamp else { return (self.arrived, Dated::Arrival) };
        match clock.uptime_at(stamp) {
            None => (self.arrived, Dated::NoClock),
            Some(at) if at > self.arrived + FUTURE_BOUND => (self.arrived, Dated::Future),
            // A little ahead is the difference of two clocks: no reading is from later than now.
            Some(at) => (at.min(self.arrived), Dated::Source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Anchor, Trust};

    #[test]
    fn a_stamp_is_taken_unless_it_lies_in_the_future() {
        let clock = Clock::new(Source::Scaled(1));
        let arrived = Uptime(10_000_000);
        let sample = |stamp| Sample { sensor: SensorId::new("a/b").unwrap(), value: 1.0, arrived, stamp };
        clock.trust(Anchor { offset_ms: 1_000_000_000, trust: Trust::Told, error: None });
        let wall = |ms: i64| Some(WallTime(1_010_000_000 + ms));
        for (stamp, at, dated) in [
            (None, arrived, Dated::Arrival),
            (wall(0), arrived, Dated::Source),
            (wall(-5000), Uptime(9_995_000), Dated::Source),
            (wall(-20_000_000), Uptime(-10_000_000), Dated::Source),
            (wall(FUTURE_BOUND.0), arrived, Dated::Source),
            (wall(FUTURE_BOUND.0 + 1), arrived, Dated::Future),
        ] {
            assert_eq!(sample(stamp).date(&clock), (at, dated), "{stamp:?}");
        }
    }

    #[test]
    fn on_the_input_clock_stamps_are_the_time() {
        let clock = Clock::new(Source::Input);
        let sample = |stamp| Sample { sensor: SensorId::new("a/b").unwrap(), value: 1.0, arrived: Uptime(0), stamp };
        assert_eq!(sample(Some(WallTime(5000))).date(&clock), (Uptime(5000), Dated::Source));
        assert_eq!(sample(Some(WallTime(4000))).date(&clock), (Uptime(4000), Dated::Source));
        assert_eq!(sample(None).date(&clock), (Uptime(5000), Dated::Arrival));
        assert_eq!(clock.uptime(), Uptime(5000));
    }
}

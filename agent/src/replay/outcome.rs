//! How a replay ended: everything that its summary and its page tell.

use std::error::Error;
use std::iter;

use super::course::Course;
use super::feed::End;
use super::readings::{ReadingsError, Report};
use super::roster::Roster;
use super::tally::{FAULTS, SensorTally, Tally};

/// Everything counted, after the last row.
pub(crate) struct Outcome {
    pub(crate) course: Course,
    pub(crate) roster: Roster,
    pub(crate) tally: Tally,
    pub(crate) report: Report,
    /// Why the recording was not read to its end.
    pub(crate) broken: Option<ReadingsError>,
}

impl Outcome {
    pub(crate) fn new(course: Course, roster: Roster, mut tally: Tally, end: End) -> Outcome {
        if let Some((_, last)) = course.ends() {
            tally.finish(last);
        }
        let End { report, broken } = end;
        Outcome { course, roster, tally, report, broken }
    }

    /// Sensors of the configuration that the recording does not have.
    pub(crate) fn absent(&self) -> impl Iterator<Item = &str> {
        self.tally.sensors.iter().filter(|sensor| !sensor.appeared()).map(|sensor| sensor.id.as_str())
    }

    /// Sensors that were at fault at some time.
    pub(crate) fn faulty(&self) -> impl Iterator<Item = &SensorTally> {
        self.tally.sensors.iter().filter(|sensor| sensor.faults.iter().any(|count| *count > 0))
    }

    /// Why the recording was not read to its end, with its causes.
    pub(crate) fn broken(&self) -> Option<String> {
        let first: &dyn Error = self.broken.as_ref()?;
        let causes = iter::successors(Some(first), |&error| error.source());
        Some(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }

    /// What one stamp far ahead did to the others.
    pub(crate) fn hint(&self) -> Option<String> {
        let ahead = self.course.ran_ahead()?;
        Some(format!(
            "line {} is stamped {}, and {} of {} readings come after it with earlier stamps, when the clock stands \
             still; if that stamp is wrong, take the line out",
            ahead.line,
            ahead.at(),
            ahead.followers,
            self.course.rows(),
        ))
    }
}

/// `range 3, stale 1`.
pub(crate) fn faults(sensor: &SensorTally) -> String {
    let kinds = FAULTS.iter().zip(sensor.faults).filter(|(_, count)| *count > 0);
    kinds.map(|(fault, count)| format!("{fault} {count}")).collect::<Vec<_>>().join(", ")
}

//! How a replay ended: everything that its summary and its page tell.

use std::error::Error;
use std::iter;

use tilth_core::id::SensorId;
use tilth_core::local::Local;
use tilth_core::plan::Plan;
use tilth_core::time::{Span, WallTime};

use super::reader_thread::End;
use super::readings::{ReadingsError, Report};
use super::recorded_names::RecordedNames;
use super::time_order::{Disorder, TimeOrder};
use super::timestamps::RejectedLines;
use super::totals::{PastAlert, RuleTotals, SensorTotals, Totals};

/// Names of the recording in the message that they are of no use, or that one is not among them.
const MAX_SAID: usize = 12;

/// Everything counted, after the last row.
pub(crate) struct Outcome {
    pub(crate) time_order: TimeOrder,
    pub(crate) names: RecordedNames,
    pub(crate) totals: Totals,
    pub(crate) report: Report,
    /// Lines that were not played because their time cannot be true.
    pub(crate) rejected: RejectedLines,
    /// Unknown names that are near to a sensor of the configuration, each with that.
    pub(crate) meant: Vec<(String, String)>,
    /// How the recording was read, where that is not plain.
    pub(crate) notes: Vec<String>,
    /// The clock by which people read times.
    pub(crate) local: Local,
    /// Why the recording was not read to its end.
    pub(crate) broken: Option<ReadingsError>,
}

impl Outcome {
    pub(crate) fn new(
        plan: &Plan,
        time_order: TimeOrder,
        names: RecordedNames,
        mut totals: Totals,
        end: End,
        notes: Vec<String>,
    ) -> Outcome {
        if let Some((_, last)) = time_order.ends() {
            totals.finish(last);
        }
        let End { mut report, rejected, broken } = end;
        let notes = std::mem::take(&mut report.notes).into_iter().chain(notes).collect();
        let meant = names.meant(plan).map(|(name, id)| (name.to_owned(), id.to_owned())).collect();
        Outcome { time_order, names, totals, report, rejected, meant, local: plan.local().clone(), notes, broken }
    }

    /// Sensors of the configuration that the recording does not have.
    pub(crate) fn absent(&self) -> Vec<&SensorTotals> {
        self.totals.sensors.iter().filter(|sensor| !sensor.heard).collect()
    }

    /// Sensors that the recording has, with alerts from before their first reading.
    pub(crate) fn began_late(&self) -> Vec<&SensorTotals> {
        self.totals.sensors.iter().filter(|sensor| sensor.heard && sensor.unheard > 0).collect()
    }

    pub(crate) fn faulty(&self) -> Vec<&SensorTotals> {
        self.totals.sensors.iter().filter(|sensor| sensor.faults().next().is_some()).collect()
    }

    /// Rules that never fired, not even for a sensor that had not spoken.
    pub(crate) fn quiet(&self) -> Vec<&str> {
        let quiet = |rule: &RuleTotals| rule.fired == 0 && rule.unheard == 0;
        self.totals.rules.iter().filter(|(_, rule)| quiet(rule)).map(|(name, _)| name.as_str()).collect()
    }

    /// A time as people read it; empty where it is not known.
    pub(crate) fn second(&self, at: Option<WallTime>) -> String {
        at.map_or(String::new(), |at| self.local.second(at))
    }

    /// How long an alert fired, or has fired at the end of the recording.
    pub(crate) fn lasted(&self, alert: &PastAlert) -> Span {
        self.time_order.ends().map_or(Span::ZERO, |(_, last)| alert.lasted(last))
    }

    /// The earliest and the greatest timestamp as people read them; nothing without readings.
    pub(crate) fn ends(&self) -> Option<(String, String)> {
        self.time_order.ends().map(|(from, to)| (self.local.second(from), self.local.second(to)))
    }

    /// The first reading that was not believed: its sensor and its time.
    pub(crate) fn first_doubt(&self) -> Option<(&SensorId, WallTime)> {
        let (index, at) = self.totals.first_doubt?;
        Some((&self.totals.sensors[index].id, WallTime(self.time_order.first()?.0 + at.0)))
    }

    /// Why the recording shows nothing with this configuration, though it could be read.
    pub(crate) fn nothing(&self) -> Option<String> {
        self.unmet_map().or_else(|| self.means_nothing())
    }

    fn means_nothing(&self) -> Option<String> {
        if self.report.values == 0 {
            return Some("no readings".to_owned());
        }
        if self.names.fits() {
            return None;
        }
        let names: Vec<&str> = self.names.unknown().take(MAX_SAID).map(|(name, _)| name).collect();
        let meant = self.meant.first().map(|(_, id)| format!("; did you mean {id}?")).unwrap_or_default();
        let map = self.suggested_map().map(|map| format!("; to say which is which: {map}")).unwrap_or_default();
        let names = names.join(", ");
        Some(format!("no reading is of a sensor that the configuration names: {names}{meant}{map}"))
    }

    /// Words for the command line that make a name of the recording a sensor, ready to be copied and corrected.
    fn suggested_map(&self) -> Option<String> {
        let first = self.totals.sensors.first()?.id.as_str();
        let name = self.names.unknown().find(|(name, _)| self.meant(name).is_some());
        let (name, _) = name.or_else(|| self.names.unknown().next())?;
        Some(format!("--map \"{name}={}\"", self.meant(name).unwrap_or(first)))
    }

    /// The sensor of the configuration that an unknown name is near to.
    pub(crate) fn meant(&self, name: &str) -> Option<&str> {
        self.meant.iter().find(|(known, _)| known == name).map(|(_, id)| id.as_str())
    }

    fn unmet_map(&self) -> Option<String> {
        let map = self.report.unmet.as_ref()?;
        let names: Vec<&str> = self.names.all().take(MAX_SAID).collect();
        Some(format!(
            "--map \"{}={}\": the recording has no such name; found {}",
            map.name,
            map.sensor,
            names.join(", ")
        ))
    }

    /// Why the recording was not read to its end, with its causes.
    pub(crate) fn broken(&self) -> Option<String> {
        let first: &dyn Error = self.broken.as_ref()?;
        let causes = iter::successors(Some(first), |&error| error.source());
        Some(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }

    /// Why readings came behind the clock, where one cause explains many; with times by that clock.
    pub(crate) fn hint(&self, local: &Local) -> Option<String> {
        let rows = self.time_order.rows;
        Some(match self.time_order.disorder()? {
            Disorder::BySensor => format!(
                "the recording is sorted by sensor, and {} of {rows} readings are stamped before the clock, which stands \
                 still for them; sort it by time",
                self.time_order.behind,
            ),
            // No line of a file.
            Disorder::RanAhead(ahead) if ahead.line == 0 => return None,
            Disorder::RanAhead(ahead) => format!(
                "line {} is stamped {}, and {} of {rows} readings come after it with earlier stamps, when the clock stands \
                 still; if that stamp is wrong, take the line out, else sort the recording by time",
                ahead.line,
                local.second(ahead.at()),
                ahead.rows_behind,
            ),
        })
    }
}

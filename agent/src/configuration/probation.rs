//! Probation: whether the sensors that were good before a configuration became active are good again under it. Pure.
//!
//! Each of those sensors is *pending* until its first good value: then it has *recovered*. Its time runs while its bus carries something,
//! and where the configuration moved it to another bus, while either of the two is up.
//!
//! What counts as a fault of the configuration, and what does not:
//! `docs/decisions/2026-11-27-probation-of-configurations.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilth_config::InputSettings;
use tilth_core::id::{Id, SensorId};
use tilth_core::plan::Plan;
use tilth_core::sensor::Sensor;
use tilth_core::time::{Span, Stamp, Uptime};

use super::first_of;

/// Shortest time in which a sensor must be good again, and shortest probation: a board that restarts is back before.
pub(super) const SHORTEST: Span = Span::from_secs(30);

/// Longest probation. A sensor that is heard less often than this cannot be judged within it.
pub(super) const LONGEST: Span = Span::from_mins(5);

/// Values that come within this time may be of the configuration before: they were on their way when the inputs changed.
const SETTLE: Span = Span::from_secs(5);

/// A sensor must be good again within this many of its intervals: two readings may be lost.
const INTERVALS: i64 = 3;

/// Upper limit of the growth of anonymous memory in bytes: five times what the largest farm in the tests takes.
const MOST_GROWTH: u64 = 128 << 20;

/// Upper limit of sensors named in a reason; the rest is counted.
const MAX_NAMED: usize = 5;

/// How the sensors of a configuration are read and judged.
#[derive(Debug, Clone)]
pub(super) struct SensorConfig {
    pub(super) plan: Arc<Plan>,
    pub(super) input_settings: Arc<BTreeMap<SensorId, InputSettings>>,
}

/// A sensor that must be good again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Expected {
    /// The bus that the sensor was on before; `None` where it was on none, or is on none now.
    bus: Option<Id>,
    /// The other bus that it is on now; `None` where it stays on its bus. Older versions did not save it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved_to: Option<Id>,
    /// Time within which the sensor must be good again, once that runs.
    within: Span,
    /// The configuration reads or judges the sensor in another way: its values are enough, in any quality.
    is_changed: bool,
    /// What a silent sensor is blamed on: the bundle, or files on site.
    #[serde(skip)]
    pub(super) origin: Blame,
}

/// What is to blame for a sensor that stays silent: the bundle on probation, or files that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Blame {
    #[default]
    Bundle,
    Files,
}

/// State of sensors and buses at one instant.
#[derive(Debug, Clone, Default)]
pub(super) struct Observation {
    pub(super) at: Uptime,
    pub(super) sensors: BTreeMap<SensorId, Observed>,
    pub(super) buses: BTreeMap<Id, BusActivity>,
    /// Anonymous memory of the agent in bytes; `None` where the system does not say.
    pub(super) memory: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Observed {
    /// When its newest value was measured.
    pub(super) newest: Option<Stamp>,
    pub(super) is_good: bool,
    /// Time since the sensor was last heard.
    pub(super) silent_for: Span,
    /// Mean time between its values, where enough came.
    pub(super) spacing: Option<Span>,
    /// Why its value is not believed, in words.
    pub(super) problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BusActivity {
    pub(super) is_up: bool,
    /// Bytes and messages that came since the agent started: a chip that does not answer is a message without a byte.
    pub(super) traffic: u64,
    /// Times that its task ended or panicked since then, and the last reason.
    pub(super) failures: u64,
    pub(super) failed: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbationResult {
    Wait,
    /// Every sensor is good again, or cannot be judged.
    Pass,
    /// The configuration of this origin does not work, and why in words. A bundle on probation is not to blame for changed files.
    Fail(Blame, String),
}

/// A configuration on probation.
///
/// Each expected sensor goes through these states; probation passes once all of them have recovered and [`SHORTEST`] is over, and
/// at the latest after [`LONGEST`].
///
/// ```text
///             its bus is up and carries something
///  Pending ----------------------------------------> its time runs --- longer than `within` ---> failed: the configuration goes
///     ^                                                |  |
///     `-- its bus goes down, or carries nothing -------'  `--- a good value; any value where the sensor was changed ---> recovered
/// ```
///
/// A bus that a sensor was moved away from may carry nothing because nobody asks its chips any more, so for such a sensor it is enough
/// that the bus, or the new one, is up.
#[derive(Debug, Clone)]
pub(super) struct Probation {
    /// Sensors that must be good again, as they are kept over a restart.
    pub(super) expected: BTreeMap<SensorId, Expected>,
    /// Anonymous memory of the agent before the configuration was read, in bytes; `None` where that is not known.
    memory: Option<u64>,
    /// What is to blame for the configuration that became active last.
    origin: Blame,
    /// `None` before the first observation under the configuration.
    run: Option<ProbationRun>,
}

/// Probation since its first observation.
#[derive(Debug, Clone)]
struct ProbationRun {
    began: Uptime,
    memory: Option<u64>,
    /// How often the task of each bus had failed when probation began.
    failures: BTreeMap<Id, u64>,
    pending: BTreeMap<SensorId, Pending>,
}

/// A sensor that has not recovered yet.
#[derive(Debug, Clone)]
struct Pending {
    expected: Expected,
    /// Newest value of the sensor at the beginning, which says nothing about the new configuration.
    baseline: Option<Stamp>,
    /// Traffic of its bus at the last observation, and when it last rose.
    traffic: u64,
    last_traffic: Uptime,
    /// Since when its time runs; `None` while it does not.
    since: Option<Uptime>,
    /// The sensor was overdue at the last observation. Its value may have been on its way then.
    was_overdue: bool,
}

impl Observation {
    /// As if every sensor that is read were good: where it is not known which were.
    pub(super) fn all_good(config: &SensorConfig) -> Observation {
        let good = Observed { newest: None, is_good: true, silent_for: Span::ZERO, spacing: None, problem: None };
        let read = config.input_settings.iter().filter(|(_, settings)| settings.input.is_some());
        let sensors = read.map(|(id, _)| (id.clone(), good.clone())).collect();
        let up = |bus: &Id| (bus.clone(), BusActivity { is_up: true, ..BusActivity::default() });
        let buses = config.input_settings.values().filter_map(|settings| settings.bus.as_ref()).map(up).collect();
        Observation { sensors, buses, ..Observation::default() }
    }
}

impl SensorConfig {
    fn get(&self, id: &SensorId) -> Option<(&Sensor, &InputSettings)> {
        let ix = self.plan.sensor_ix(id.as_str())?;
        Some((self.plan.sensor(ix), self.input_settings.get(id)?))
    }
}

/// Sensors that must be good again under another configuration: those that were good, on a bus that is up, and that it still has.
pub(super) fn expected(before: &SensorConfig, now: &SensorConfig, seen: &Observation) -> BTreeMap<SensorId, Expected> {
    let expect = |id: &SensorId| {
        let ((sensor, settings), (new_sensor, new_settings)) = (before.get(id)?, now.get(id)?);
        let observed = seen.sensors.get(id).filter(|observed| observed.is_good)?;
        let is_up = |bus: &Id| seen.buses.get(bus).is_some_and(|bus| bus.is_up);
        let was_recent = observed.silent_for <= within(settings.interval.or(observed.spacing)?)?;
        if !was_recent || settings.bus.as_ref().is_some_and(|bus| !is_up(bus)) {
            return None;
        }
        let within = within(new_settings.interval.or(observed.spacing)?)?;
        let is_changed = is_changed((sensor, settings), (new_sensor, new_settings));
        let (bus, moved_to) = settings.bus.clone().zip(new_settings.bus.clone()).unzip();
        let moved_to = moved_to.filter(|_| bus != new_settings.bus);
        Some((id.clone(), Expected { bus, moved_to, within, is_changed, origin: Blame::Bundle }))
    };
    before.input_settings.keys().filter_map(expect).collect()
}

/// Time within which a sensor must be good again; `None` for one that is heard too rarely to be judged.
fn within(interval: Span) -> Option<Span> {
    (interval.0 + SETTLE.0 < LONGEST.0).then(|| Span(interval.0.saturating_mul(INTERVALS)).clamp(SHORTEST, LONGEST))
}

/// Whether a sensor is read or judged in another way.
fn is_changed((before, old): (&Sensor, &InputSettings), (now, settings): (&Sensor, &InputSettings)) -> bool {
    let how = |settings: &InputSettings| InputSettings { interval: None, ..settings.clone() };
    how(old) != how(settings) || judging(before) != judging(now)
}

/// What of a sensor says how its values are judged. Each field is here or left out by name, so that a new one is decided on.
fn judging(sensor: &Sensor) -> impl PartialEq + '_ {
    let Sensor {
        quantity,
        resolution,
        calibration,
        range,
        max_rate,
        stuck_for,
        id: _,
        zone: _,
        stale_after: _,
        bus: _,
        heard_within: _,
        state_of_bus: _,
    } = sensor;
    (quantity, resolution, calibration, range, max_rate, stuck_for)
}

impl Probation {
    pub(super) fn new(expected: BTreeMap<SensorId, Expected>, origin: Blame, memory: Option<u64>) -> Probation {
        Probation { expected, memory, origin, run: None }
    }

    /// Sensors that have not recovered yet, and whose fault that is.
    pub(super) fn pending_origins(&self) -> Vec<(SensorId, Blame)> {
        self.pending().into_iter().filter_map(|id| Some((id.clone(), self.expected.get(&id)?.origin))).collect()
    }

    /// Expects no sensor any more that changed files silenced.
    pub(super) fn exempt_sensors_of_files(&mut self) {
        self.expected.retain(|_, expected| expected.origin != Blame::Files);
        if let Some(run) = &mut self.run {
            run.pending.retain(|_, pending| pending.expected.origin != Blame::Files);
            run.memory = None;
        }
    }

    /// Sensors that have not recovered yet.
    pub(super) fn pending(&self) -> Vec<SensorId> {
        match &self.run {
            Some(run) => run.pending.keys().cloned().collect(),
            None => self.expected.keys().cloned().collect(),
        }
    }

    /// Judges by what is known now. The first observation only says what was there before.
    pub(super) fn judge(&mut self, seen: &Observation) -> ProbationResult {
        let Some(run) = &mut self.run else {
            let run = ProbationRun::new(&self.expected, seen);
            self.run = Some(ProbationRun { memory: self.memory.or(run.memory), ..run });
            return ProbationResult::Wait;
        };
        if let (Some(before), Some(now)) = (run.memory, seen.memory)
            && now > before.saturating_add(MOST_GROWTH)
        {
            return ProbationResult::Fail(
                self.origin,
                format!("the agent's memory grew from {} to {} MB", before >> 20, now >> 20),
            );
        }
        if let Some(reason) = run.failed_bus(seen) {
            return ProbationResult::Fail(self.origin, reason);
        }
        let age = seen.at - run.began;
        if age < SETTLE {
            let newest = |id| seen.sensors.get(id).and_then(|observed| observed.newest);
            run.pending.iter_mut().for_each(|(id, pending)| pending.baseline = newest(id));
        }
        run.pending.retain(|id, pending| !pending.has_recovered(seen.sensors.get(id)));
        let (mut overdue, mut may_fail_next) = (Vec::new(), false);
        for (id, pending) in &mut run.pending {
            pending.note_bus(seen);
            let is_overdue = pending.is_overdue(seen.at);
            let was_overdue = std::mem::replace(&mut pending.was_overdue, is_overdue);
            may_fail_next |= is_overdue && !was_overdue;
            if is_overdue && was_overdue {
                overdue.push((pending.expected.origin, pending.describe(id, seen.sensors.get(id))));
            }
        }
        for origin in [Blame::Bundle, Blame::Files] {
            let of_it = overdue.iter().filter(|(of, _)| *of == origin);
            let of_it: Vec<String> = of_it.map(|(_, why)| why.clone()).collect();
            if !of_it.is_empty() {
                return ProbationResult::Fail(origin, first_of(&of_it, MAX_NAMED, "; ", "more sensors"));
            }
        }
        if age >= LONGEST && !may_fail_next || run.pending.is_empty() && age >= SHORTEST {
            ProbationResult::Pass
        } else {
            ProbationResult::Wait
        }
    }
}

impl ProbationRun {
    fn new(expected: &BTreeMap<SensorId, Expected>, seen: &Observation) -> ProbationRun {
        let pending = |(id, expected): (&SensorId, &Expected)| {
            let traffic = expected.bus.as_ref().and_then(|bus| seen.buses.get(bus)).map_or(0, |bus| bus.traffic);
            let since = expected.runs_without_traffic(seen).then_some(seen.at);
            let baseline = seen.sensors.get(id).and_then(|observed| observed.newest);
            let expected = expected.clone();
            (id.clone(), Pending { expected, baseline, traffic, last_traffic: seen.at, since, was_overdue: false })
        };
        let failures = seen.buses.iter().map(|(id, bus)| (id.clone(), bus.failures)).collect();
        ProbationRun { began: seen.at, memory: seen.memory, failures, pending: expected.iter().map(pending).collect() }
    }

    /// A bus whose task failed since: it is begun again and the bus is down until then, so its sensors do not show it.
    fn failed_bus(&self, seen: &Observation) -> Option<String> {
        let before = |id: &Id| self.failures.get(id).copied().unwrap_or(0);
        let (id, bus) = seen.buses.iter().find(|(id, bus)| bus.failures > before(id))?;
        Some(format!("bus {id} failed: {}", bus.failed.as_deref().unwrap_or("its task ended")))
    }
}

impl Expected {
    /// Whether its time runs whatever its bus carries.
    fn runs_without_traffic(&self, seen: &Observation) -> bool {
        let is_up = |bus: &Id| seen.buses.get(bus).is_some_and(|bus| bus.is_up);
        self.bus.as_ref().is_none_or(|bus| self.moved_to.as_ref().is_some_and(|to| is_up(bus) || is_up(to)))
    }
}

impl Pending {
    fn has_value(&self, observed: &Observed) -> bool {
        // Boot and time of day of one reading may become known, or be corrected, meanwhile.
        let uptime = |newest: Option<Stamp>| newest.map(|newest| newest.uptime);
        observed.newest.is_some() && uptime(observed.newest) != uptime(self.baseline)
    }

    fn has_recovered(&self, observed: Option<&Observed>) -> bool {
        observed.is_some_and(|observed| self.has_value(observed) && (observed.is_good || self.expected.is_changed))
    }

    /// Notes whether its time runs since the last observation.
    fn note_bus(&mut self, seen: &Observation) {
        if self.expected.runs_without_traffic(seen) {
            self.since.get_or_insert(seen.at);
            self.last_traffic = seen.at;
            return;
        }
        match self.expected.bus.as_ref().and_then(|bus| seen.buses.get(bus)).filter(|bus| bus.is_up) {
            None => (self.since, self.last_traffic) = (None, seen.at),
            Some(bus) if bus.traffic != self.traffic => {
                let was_quiet = seen.at - self.last_traffic > self.expected.within;
                self.since = if was_quiet { Some(seen.at) } else { self.since.or(Some(self.last_traffic)) };
                (self.traffic, self.last_traffic) = (bus.traffic, seen.at);
            }
            Some(_) => {}
        }
    }

    /// Whether the sensor has had its time: a board that falls silent takes its sensors with it.
    fn is_overdue(&self, now: Uptime) -> bool {
        let within = self.expected.within;
        self.since.is_some_and(|since| now - since >= within) && now - self.last_traffic <= Span(within.0 / INTERVALS)
    }

    fn describe(&self, id: &SensorId, observed: Option<&Observed>) -> String {
        let has_value = observed.is_some_and(|observed| self.has_value(observed));
        let problem = observed.and_then(|observed| observed.problem.as_ref());
        match problem {
            Some(problem) if has_value => format!("{id} is not good: {problem}"),
            _ => match self.baseline.and_then(|stamp| stamp.wall) {
                Some(wall) => format!("{id} has had no value since {wall}"),
                None => format!("{id} has had no value for {}", self.expected.within),
            },
        }
    }
}

#[cfg(test)]
mod tests;

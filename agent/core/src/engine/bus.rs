//! Buses that go down or fall silent: one cause is one alert, and that is the bus's own.
//!
//! While a bus is down, or nothing comes from its sensors, their alerts are *inhibited*: they do not page. Once the bus is back, each
//! sensor has a *grace* period before anybody is paged about it.
//!
//! | word | of | means |
//! | --- | --- | --- |
//! | heard | both | a message came, whatever the quality of its value |
//! | overdue | a sensor | not heard for longer than its interval allows. While others on its bus are heard, the fault is its own, and it no longer counts for the silence of the bus |
//! | silent | a bus | none of the sensors that count is heard any more |
//! | stale | a value | older than `stale_after` of its sensor: a quality, whatever the bus does |

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Engine, Kind, SensorState};
use crate::id::Id;
use crate::plan::{self, CompiledRule};
use crate::reading::SensorIx;
use crate::rules::{Condition, Facts};
use crate::time::{Span, Stamp, Uptime};

/// Shortest grace period of a sensor whose bus is back.
const MIN_GRACE: Span = Span::from_mins(1);

/// What to do where lines come and none has a value.
const UNMATCHED_ADVICE: &str = "tilth-agent status says what came last, and why it was not used.";

/// What is remembered of a bus that has a state sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bus {
    /// When one of its sensors was heard last; boot, before that.
    heard_at: Uptime,
    /// Whether one was heard since boot, and since the port was last opened.
    heard: bool,
    /// When the port was opened first after a sensor was heard last; none where it stayed open.
    up_at: Option<Uptime>,
    /// A page about a silent sensor is deferred, for its whole bus may be silent.
    #[serde(rename = "suspected")]
    page_deferred: bool,
    /// When a message came that matched no sensor.
    #[serde(rename = "line_at", default, skip_serializing_if = "Option::is_none")]
    unmatched_at: Option<Uptime>,
    /// How long it was silent last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    silent_for: Option<Span>,
}

/// When a bus is silent, as it follows from the sensors on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnheardTimes {
    /// Silent after this long without anything; `None` where the sensors that are not overdue have no known interval.
    silent_after: Option<Span>,
    /// Earliest time at which one of its sensors becomes overdue.
    overdue_at: Uptime,
}

/// Why an alert does not page though it is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inhibition {
    /// The port of its sensor's bus is not open.
    Down,
    /// No sensor on its bus was heard since then.
    Silent(Stamp),
    /// The bus is back, and the grace period of its sensor lasts until then.
    Back(Stamp),
    /// The sensor is silent; whether its whole bus is, is not known yet.
    Undecided,
}

impl Bus {
    /// A bus of which nothing was heard yet, from this instant on.
    pub(super) fn new(at: Uptime) -> Bus {
        Bus { heard_at: at, heard: false, up_at: None, page_deferred: false, unmatched_at: None, silent_for: None }
    }

    /// Since when nothing came although the port was open.
    fn idle_since(&self) -> Uptime {
        self.up_at.map_or(self.heard_at, |up_at| up_at.max(self.heard_at))
    }

    /// Adds a time in which the agent did not listen.
    pub(super) fn shift(&mut self, gap: Span) {
        self.heard_at = self.heard_at + gap;
        self.up_at = self.up_at.map(|up_at| up_at + gap);
    }
}

impl UnheardTimes {
    /// State of a bus before its sensors are checked.
    pub(super) fn new(bus: &plan::Bus) -> UnheardTimes {
        UnheardTimes { silent_after: bus.silent_after, overdue_at: Uptime(i64::MIN) }
    }
}

impl Engine {
    pub(super) fn set_bus(&mut self, bus: Id, up: bool) {
        self.follow_bus(&bus, up);
        if !up {
            self.buses_down.insert(bus);
        } else if self.buses_down.remove(&bus) {
            if let Some(bus_ix) = self.plan.buses.iter().position(|planned| planned.id == bus) {
                self.open_again(bus_ix);
            }
            self.retry_all_pages();
        }
    }

    /// A port is open again, and nothing has come yet.
    fn open_again(&mut self, bus: usize) {
        let memory = &mut self.buses[bus];
        memory.up_at.get_or_insert(self.now);
        (memory.heard, memory.unmatched_at) = (false, None);
        self.start_grace(bus, false);
        if let Some(rule) = self.plan.buses[bus].silent_rule {
            self.compare(rule);
        }
    }

    /// Something came from a sensor, late or not, and so from its bus.
    pub(super) fn note_bus_heard(&mut self, sensor: SensorIx) {
        let Some(bus) = self.plan.bus_of[sensor.0 as usize] else { return };
        let was_silent = self.is_silent(bus as usize);
        self.note_sensor_heard(bus as usize, sensor);
        self.bus_heard_again(bus as usize, was_silent);
    }

    /// A message came from a bus and matched no sensor: it has a board, and its sensors are silent all the same.
    pub(super) fn note_unmatched(&mut self, bus: &Id) {
        if let Some(bus) = self.plan.buses.iter().position(|planned| planned.id == *bus) {
            self.buses[bus].unmatched_at = Some(self.now);
        }
    }

    /// What is said of a silent bus and what to do, where the rule's own words are not true: lines come and none has a value, or
    /// its port is not even open any more.
    pub(super) fn silent_bus_message(&self, rule_ix: u32) -> Option<(String, Option<Arc<str>>)> {
        let planned = &self.plan.buses[self.bus_index(self.plan.rules[rule_ix as usize].sensor)?];
        let bus = Some(&planned.id).filter(|_| planned.silent_rule == Some(rule_ix))?;
        if self.buses_down.contains(bus) {
            return Some((format!("bus {bus} was silent before it went down"), None));
        }
        let words = || format!("bus {bus}: lines come, and none has a value for a sensor");
        self.is_unmatched(bus).then(|| (words(), Some(Arc::from(UNMATCHED_ADVICE))))
    }

    /// Whether no sensor of a bus was heard since messages came that matched none.
    #[must_use]
    pub fn is_unmatched(&self, bus: &Id) -> bool {
        let Some(bus) = self.plan.buses.iter().position(|planned| planned.id == *bus) else { return false };
        let after = self.unheard_times[bus].silent_after.or(self.plan.buses[bus].silent_after).unwrap_or(MIN_GRACE);
        let is_new =
            |unmatched_at: Uptime| self.now - unmatched_at < after && unmatched_at >= self.buses[bus].idle_since();
        self.buses[bus].unmatched_at.is_some_and(is_new)
    }

    fn bus_heard_again(&mut self, bus: usize, was_silent: bool) {
        let Bus { page_deferred, silent_for, .. } = self.buses[bus];
        let silent_for = if was_silent { Some(self.now - self.buses[bus].idle_since()) } else { silent_for };
        self.buses[bus] = Bus { heard: true, silent_for, ..Bus::new(self.now) };
        if was_silent || page_deferred {
            self.start_grace(bus, was_silent);
        }
        if let Some(rule) =
            self.plan.buses[bus].silent_rule.filter(|rule| !self.rule_states[*rule as usize].alert.is_quiet())
        {
            self.compare(rule);
        }
    }

    /// Notes that a sensor was heard and is no longer overdue; others that are past their time become so. The bus then counts as silent by
    /// the remaining sensors.
    fn note_sensor_heard(&mut self, bus: usize, sensor: SensorIx) {
        let state = &mut self.sensors[sensor.0 as usize];
        state.heard_at = self.now;
        let was_overdue = std::mem::take(&mut state.overdue);
        if let Some(within) = self.plan.sensor(sensor).heard_within {
            let times = &mut self.unheard_times[bus];
            times.overdue_at = times.overdue_at.min(self.now + within);
        }
        let is_due = self.now >= self.unheard_times[bus].overdue_at;
        if is_due {
            for member in 0..self.plan.buses[bus].members.len() {
                let ix = self.plan.buses[bus].members[member];
                let state = &mut self.sensors[ix.0 as usize];
                let within = self.plan.sensor(ix).heard_within;
                if within.is_some_and(|within| state.heard_at + within <= self.now) {
                    state.overdue = true;
                }
            }
        }
        if is_due || was_overdue {
            self.set_unheard_times(bus);
        }
        // The bus may be silent sooner than was known when its timer was set.
        let soon = self.plan.buses[bus].silent_rule.zip(self.unheard_times[bus].silent_after).filter(|_| was_overdue);
        if let Some((rule, after)) = soon {
            self.timers.add(self.now + after, Kind::Missing, rule);
        }
    }

    /// From which of its sensors are overdue.
    pub(super) fn set_unheard_times(&mut self, bus: usize) {
        let planned = &self.plan.buses[bus];
        let is_awaited = |ix: &&SensorIx| !self.sensors[ix.0 as usize].overdue;
        let awaited: Vec<(SensorIx, Option<Span>)> =
            planned.members.iter().filter(is_awaited).map(|ix| (*ix, self.plan.sensor(*ix).heard_within)).collect();
        let soonest = awaited.iter().filter_map(|(_, within)| *within).min();
        // With all sensors overdue, all of them count: there are no others to go by.
        let is_whole = awaited.is_empty() || awaited.len() == planned.members.len();
        let silent_after = if is_whole {
            planned.silent_after
        } else {
            planned.silent_after.and_then(|after| soonest.map(|soonest| soonest.max(after)))
        };
        let overdue_at =
            awaited.iter().filter_map(|(ix, within)| Some(self.sensors[ix.0 as usize].heard_at + (*within)?)).min();
        self.unheard_times[bus] = UnheardTimes { silent_after, overdue_at: overdue_at.unwrap_or(Uptime(i64::MAX)) };
    }

    /// The bus is back: the grace periods of its sensors begin. A sensor that did not come within one is silent by itself, unless the
    /// whole bus was silent meanwhile.
    fn start_grace(&mut self, bus: usize, was_silent: bool) {
        for member in 0..self.plan.buses[bus].members.len() {
            let ix = self.plan.buses[bus].members[member];
            let grace = self.grace(ix);
            let state = &mut self.sensors[ix.0 as usize];
            // A grace period that is over was before the bus fell silent.
            let is_over = state.back_at.is_none_or(|back_at| back_at + grace <= self.now);
            if was_silent || is_over {
                state.back_at = Some(self.now);
                self.timers.add(self.now + grace, Kind::BusBack, ix.0);
            }
        }
    }

    /// The grace period of a sensor is over.
    pub(super) fn bus_back_due(&mut self, ix: SensorIx) {
        if self.sensors[ix.0 as usize].back_at.is_some_and(|back_at| back_at + self.grace(ix) <= self.now) {
            self.retry_pages_about(ix);
        }
    }

    /// Length of a sensor's grace period.
    fn grace(&self, ix: SensorIx) -> Span {
        let bus = self.plan.bus_of[ix.0 as usize].and_then(|bus| self.plan.buses[bus as usize].silent_after);
        let usual = bus.unwrap_or(MIN_GRACE).max(MIN_GRACE);
        usual.max(self.plan.sensor(ix).stale_after.unwrap_or(Span::ZERO))
    }

    /// Sets the timer of a sensor's grace period, if it is not over.
    pub(super) fn arm_bus_back(&mut self, ix: SensorIx) {
        let due = self.sensors[ix.0 as usize].back_at.map(|back_at| back_at + self.grace(ix));
        if let Some(due) = due.filter(|due| *due > self.now) {
            self.timers.add(due, Kind::BusBack, ix.0);
        }
    }

    /// Why an alert does not page because of the bus of a sensor that it is about; nothing where it may.
    pub(super) fn inhibition(&self, rule_ix: u32) -> Option<Inhibition> {
        let compiled = &self.plan.rules[rule_ix as usize];
        compiled.inputs().find_map(|input| self.inhibition_by(input, compiled))
    }

    fn inhibition_by(&self, input: SensorIx, compiled: &CompiledRule) -> Option<Inhibition> {
        let sensor = self.plan.sensor(input);
        if let Some(bus) = &sensor.state_of_bus {
            // A bus that is down counts by that alone; its silence adds nothing.
            let is_missing = matches!(compiled.rule.condition, Condition::MissingFor(_));
            return (is_missing && self.buses_down.contains(bus)).then_some(Inhibition::Down);
        }
        if self.buses_down.contains(sensor.bus.as_ref()?) {
            return Some(Inhibition::Down);
        }
        let bus = self.plan.bus_of[input.0 as usize]? as usize;
        if self.is_silent(bus) {
            return Some(Inhibition::Silent(self.clock.stamp(self.buses[bus].idle_since())));
        }
        let state = &self.sensors[input.0 as usize];
        let until = state.back_at.map(|back_at| back_at + self.grace(input));
        if let Some(until) = until.filter(|until| self.now < *until) {
            return Some(Inhibition::Back(self.clock.stamp(until)));
        }
        self.may_be_silent_bus(bus, compiled, state).then_some(Inhibition::Undecided)
    }

    /// Whether no sensor of a bus was heard for as long as its own rule allows.
    fn is_silent(&self, bus: usize) -> bool {
        let Some(rule) = self.plan.buses[bus].silent_rule else { return false };
        let is_raised = self.rule_states[rule as usize].alert.raised().is_some();
        let silent = self.now - self.buses[bus].idle_since();
        is_raised || self.unheard_times[bus].silent_after.is_some_and(|after| silent >= after)
    }

    /// Since when a bus is silent; nothing where it is not.
    pub(super) fn silent_since(&self, bus: usize) -> Option<Uptime> {
        self.is_silent(bus).then(|| self.buses[bus].idle_since())
    }

    /// Whether a silent sensor is probably silent with its whole bus, which is not noticed yet: no other sensor of it was heard much
    /// later.
    fn may_be_silent_bus(&self, bus: usize, compiled: &CompiledRule, state: &SensorState) -> bool {
        let (Condition::MissingFor(span), Some(silent_after)) =
            (&compiled.rule.condition, self.unheard_times[bus].silent_after)
        else {
            return false;
        };
        self.buses[bus].heard_at <= state.read_at + Span(span.0.min(silent_after.0) / 3)
    }

    /// A page of an alert is deferred because of its bus.
    pub(super) fn note_deferred_page(&mut self, rule_ix: u32) {
        for input in self.plan.rules[rule_ix as usize].inputs() {
            if let Some(bus) = self.plan.bus_of[input.0 as usize] {
                self.buses[bus as usize].page_deferred = true;
            }
        }
    }

    /// The facts of a sensor that stands for a bus, which is silent when all sensors on it are. While it is down nothing can
    /// be told of that.
    pub(super) fn with_bus(&self, ix: SensorIx, facts: Facts) -> Facts {
        let Some(bus_ix) = self.bus_index(ix) else { return facts };
        let (bus, planned) = (&self.buses[bus_ix], &self.plan.buses[bus_ix]);
        let is_down = self.buses_down.contains(&planned.id);
        let mut silent = if is_down { Span::ZERO } else { self.now - bus.idle_since() };
        if self.unheard_times[bus_ix].silent_after.is_none_or(|after| silent < after) {
            // Nothing unusual, for those that are heard more often are overdue by themselves.
            silent = silent.min(planned.silent_after.map_or(silent, |after| Span(after.0 - 1)));
        }
        Facts { silent_for: silent, heard: bus.heard && !is_down, ..facts }
    }

    /// How long the bus of a state sensor was silent last.
    pub(super) fn bus_unheard_for(&self, ix: SensorIx) -> Option<Span> {
        self.buses[self.bus_index(ix)?].silent_for
    }

    /// When the subject of a rule will have been silent long enough; none for a rule about something else, or where that is unknown.
    pub(super) fn missing_at(&self, rule_ix: u32) -> Option<Uptime> {
        let compiled = &self.plan.rules[rule_ix as usize];
        let Condition::MissingFor(span) = compiled.rule.condition else { return None };
        match self.bus_index(compiled.sensor) {
            Some(bus) => {
                let is_of_bus = self.plan.buses[bus].silent_rule == Some(rule_ix);
                let after = if is_of_bus { self.unheard_times[bus].silent_after } else { Some(span) };
                Some(self.buses[bus].idle_since() + after?)
            }
            None => Some(self.sensors[compiled.sensor.0 as usize].read_at + span),
        }
    }

    /// Whether a sensor stands for a bus whose port was opened since one of its sensors was heard last.
    pub(super) fn is_open_again(&self, ix: SensorIx) -> bool {
        self.bus_index(ix).is_some_and(|bus| self.buses[bus].up_at.is_some())
    }

    /// The bus that a sensor stands for.
    fn bus_index(&self, ix: SensorIx) -> Option<usize> {
        self.plan.sensor(ix).state_of_bus.as_ref()?;
        self.plan.buses.iter().position(|bus| bus.sensor == ix)
    }
}

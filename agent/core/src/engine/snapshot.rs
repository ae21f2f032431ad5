//! What a restart continues from: everything the engine remembers, by name and not by index.

mod changes;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bus::Bus;
use super::clock::Clock;
use super::numbers::{Numbers, Reserve};
use super::raise::timing;
use super::removed::Removed;
use super::{Engine, Kind, RuleState, ScheduleState, SensorMemory, SensorState, Start};
use crate::alert::{Alert, AlertId};
use crate::effect::{AlertDetails, Effect, Reason, Transition};
use crate::escalate::Escalation;
use crate::id::{Id, SensorId};
use crate::interlock::{self, Interlock};
use crate::judge::Judge;
use crate::plan::{self, AlertKey, Plan, Severity};
use crate::quantity::Quantity;
use crate::reading::SensorIx;
use crate::resolved;
use crate::rules::Condition;
use crate::sensor::Sensor;
use crate::site::SiteState;
use crate::time::{Span, Stamp, Uptime};
use crate::value::Resolution;
use crate::windows::{Closed, OpenWindows};
pub use changes::Changes;

/// The layout that this version writes and reads.
const FORMAT: u32 = 1;

/// Everything an engine remembers between two inputs. Opaque; made to be kept as it serializes.
///
/// Two engines with one history have equal snapshots, and serialize to equal bytes. Taking one copies no sensor: the snapshot shares what
/// the engine remembers, and the engine copies a part before changing it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    format: u32,
    now: Uptime,
    clock: Clock,
    last_alert: AlertId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reserve: Option<Reserve>,
    site: SiteState,
    buses_down: Vec<Id>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    buses: Vec<BusRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removed: Vec<Removed>,
    #[serde(default, skip_serializing_if = "interlock::Record::is_empty")]
    interlock: interlock::Record,
    sensors: Vec<SensorRecord>,
    alerts: Vec<AlertRecord>,
    /// Rules over several sensors that are compared when the instant is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<AlertKey>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "SensorAtRest", into = "SensorAtRest")]
struct SensorRecord(Arc<SensorMemory>);

/// A [`SensorRecord`] as it serializes.
#[derive(Serialize, Deserialize)]
struct SensorAtRest {
    id: SensorId,
    quantity: Quantity,
    resolution: Resolution,
    #[serde(rename = "seen")]
    read_at: Uptime,
    #[serde(rename = "unheard", default)]
    old: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    back_at: Option<Uptime>,
    /// When anything came from it last, where that is not `read_at`.
    #[serde(rename = "spoke", default, skip_serializing_if = "Option::is_none")]
    heard_at: Option<Uptime>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    overdue: bool,
    judge: Judge,
    open: OpenWindows,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct BusRecord {
    id: Id,
    memory: Bus,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct AlertRecord {
    pub(super) key: AlertKey,
    /// Tells whether the condition changed, and not only its limit.
    condition: Cow<'static, str>,
    hold: Span,
    pub(super) alert: Alert,
    escalation: Option<Escalation>,
    /// Name of the person who acknowledged the alert last; none in checkpoints of versions that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "taker")]
    acknowledged_by: Option<String>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by a version that keeps other things.
    #[error("the snapshot has format {0}; expected {FORMAT}")]
    Format(u32),
}

impl Snapshot {
    /// The instant after which it was taken, on the clock of the boot it was taken in.
    #[must_use]
    pub fn now(&self) -> Uptime {
        self.now
    }

    /// The boot in which it was taken.
    #[must_use]
    pub fn boot(&self) -> u32 {
        self.clock.boot()
    }

    /// What was known of actuators then.
    #[must_use]
    pub fn interlock(&self) -> &interlock::Record {
        &self.interlock
    }

    /// The number of the last alert in the row, as it was then.
    #[must_use]
    pub fn last_number(&self) -> AlertId {
        self.last_alert
    }

    /// What the engine that continues from it numbers alerts by ([`Engine::number_alerts`]).
    pub fn number_alerts(&mut self, after: AlertId, reserve: Option<Reserve>) {
        self.last_alert = self.last_alert.max(after);
        self.reserve = reserve;
    }
}

impl Engine {
    /// Everything the engine remembers. Effects that were not polled yet are not part of it: poll them first.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let bus = |(bus, memory): (&plan::Bus, &Bus)| BusRecord { id: bus.id.clone(), memory: *memory };
        let is_remembered = |removed: &&Removed| removed.is_remembered(self.now);
        Snapshot {
            format: FORMAT,
            now: self.now,
            clock: self.clock.clone(),
            last_alert: self.numbers.last,
            reserve: self.numbers.reserve,
            site: self.site.clone(),
            buses_down: self.buses_down.iter().cloned().collect(),
            buses: self.plan.buses.iter().zip(&self.buses).map(bus).collect(),
            removed: self.removed.values().filter(is_remembered).cloned().collect(),
            interlock: self.interlock.record(),
            sensors: self.sensors.iter().map(|state| SensorRecord(Arc::clone(&state.memory))).collect(),
            alerts: (0..self.plan.rules.len()).filter_map(|rule_ix| self.alert_record(rule_ix)).collect(),
            waiting: self.waiting.iter().map(|rule_ix| self.plan.rules[*rule_ix as usize].rule.key.clone()).collect(),
        }
    }

    /// What is kept of an alert; nothing of one of which nothing matters.
    fn alert_record(&self, rule_ix: usize) -> Option<AlertRecord> {
        let (compiled, rule_state) = (&self.plan.rules[rule_ix], &self.rule_states[rule_ix]);
        let alert = rule_state.alert.remembered(self.now)?;
        Some(AlertRecord {
            key: compiled.rule.key.clone(),
            condition: compiled.rule.condition.identity(),
            hold: compiled.rule.hold,
            alert,
            escalation: rule_state.escalation,
            acknowledged_by: rule_state.acknowledged_by.clone().filter(|_| rule_state.alert.raised().is_some()),
        })
    }

    /// Goes on in the same boot, as if nothing had been. Where the plan is another: rules that it no longer has resolve as removed, a
    /// sensor that it no longer has, or measures differently, starts from scratch, and what is new is compared at once.
    ///
    /// # Errors
    /// [`SnapshotError`] when another version wrote it.
    pub fn restore(plan: Arc<Plan>, snapshot: &Snapshot) -> Result<Engine, SnapshotError> {
        let mut engine = Engine::of_snapshot(plan, snapshot)?;
        engine.arm();
        engine.resume_returned();
        engine.compare_all();
        Ok(engine)
    }

    /// Goes on after a reboot. Waits go on with what was left of them; time spent off counts where the clock was trusted before and is
    /// trusted now, else once it is. What was seen of sensors, and with it `missing_for` and staleness, starts from scratch; windows that
    /// were open are closed.
    ///
    /// # Errors
    /// [`SnapshotError`] when another version wrote it.
    pub fn restart(plan: Arc<Plan>, snapshot: &Snapshot, start: Start) -> Result<Engine, SnapshotError> {
        let mut engine = Engine::of_snapshot(plan, snapshot)?;
        engine.close_all_windows(|_| true);
        // A sensor that was silent by itself is so until something comes from it.
        for (sensor, state) in engine.plan.sensors.iter().zip(&mut engine.sensors) {
            let overdue = state.overdue;
            *state = SensorState::new(sensor, start.at);
            state.overdue = overdue;
        }
        engine.buses_down.clear();
        engine.buses.fill(Bus::new(start.at));
        engine.clock = snapshot.clock.restart(snapshot.now, start);
        engine.now = start.at;
        engine.set_all_unheard_times();
        engine.shift_waits(u32::MAX, start.at - snapshot.now);
        if let Some((boot, by)) = engine.clock.move_waits() {
            engine.shift_waits(boot, by);
        }
        engine.arm();
        engine.resume_returned();
        engine.compare_all();
        engine.resume_outputs(start.at);
        Ok(engine)
    }

    fn set_all_unheard_times(&mut self) {
        (0..self.buses.len()).for_each(|bus| self.set_unheard_times(bus));
    }

    /// The agent did not listen from the engine's instant until this one. Nothing was silent then: `missing_for` and staleness go on
    /// with what was left of them, but a sensor that was said to be silent stays silent. And what was read before says nothing of
    /// now: no value is compared before the next reading.
    pub fn listen_again(&mut self, at: Uptime) {
        let gap = at - self.now;
        self.resume_outputs(at.max(self.now));
        if gap <= Span::ZERO {
            return;
        }
        for ix in 0..self.sensors.len() {
            let is_said = self.plan.rules_of[ix].iter().any(|rule_ix| {
                matches!(self.plan.rules[*rule_ix as usize].rule.condition, Condition::MissingFor(_))
                    && !self.rule_states[*rule_ix as usize].alert.is_quiet()
            });
            let state = &mut self.sensors[ix];
            state.old = true;
            if !is_said {
                state.read_at = state.read_at + gap;
            }
            state.heard_at = state.heard_at + gap;
            state.back_at = state.back_at.map(|back_at| back_at + gap);
        }
        for (bus, memory) in self.plan.buses.iter().zip(&mut self.buses) {
            if bus.silent_rule.is_none_or(|rule_ix| self.rule_states[rule_ix as usize].alert.is_quiet()) {
                memory.shift(gap);
            }
        }
    }

    /// Changes the plan under a running engine.
    pub(super) fn replan(&mut self, plan: Arc<Plan>) {
        if plan == self.plan {
            return;
        }
        for rule_ix in 0..self.plan.rules.len() {
            if plan.rule_ix(&self.plan.rules[rule_ix].rule.key).is_none() {
                let record = self.alert_record(rule_ix);
                record.into_iter().for_each(|record| self.remember_removed(record, plan.remember_removed));
                self.stop(rule_ix as u32, Reason::Removed);
            }
        }
        let is_lost = |sensor: &Sensor| {
            plan.sensor_ix(sensor.id.as_str()).is_none_or(|ix| !plan.sensor(ix).measures_like(sensor))
        };
        self.close_all_windows(is_lost);
        let mut next =
            Engine::of_snapshot(Arc::clone(&plan), &self.snapshot()).expect("the format is this version's own");
        next.effects = std::mem::take(&mut self.effects);
        next.effects.push_back(Effect::PlanChanged(plan));
        next.interlock = std::mem::take(&mut self.interlock);
        *self = next;
        self.arm();
        self.follow_plan();
        self.resume_returned();
        self.compare_all();
    }

    /// Everything by name put in its place, with no timers yet.
    fn of_snapshot(plan: Arc<Plan>, snapshot: &Snapshot) -> Result<Engine, SnapshotError> {
        if snapshot.format != FORMAT {
            return Err(SnapshotError::Format(snapshot.format));
        }
        let start = Start { boot: snapshot.clock.boot(), at: snapshot.now, wall: None };
        let mut engine = Engine::blank(plan, start);
        engine.clock = snapshot.clock.clone();
        engine.numbers = Numbers { last: snapshot.last_alert, reserve: snapshot.reserve };
        engine.site = snapshot.site.clone();
        engine.interlock = Interlock::restore(&engine.plan.actuators, &snapshot.interlock);
        engine.waiting = snapshot.waiting.iter().filter_map(|key| engine.plan.rule_ix(key)).collect();
        engine.buses_down = snapshot.buses_down.iter().cloned().collect();
        for SensorRecord(record) in &snapshot.sensors {
            let same = |sensor: &Sensor| sensor.quantity == record.quantity && sensor.resolution == record.resolution;
            match engine.plan.sensor_ix(record.id.as_str()).filter(|ix| same(engine.plan.sensor(*ix))) {
                Some(ix) => engine.sensors[ix.0 as usize].memory = Arc::clone(record),
                None if record.open.readings() > 0 => {
                    engine.effects.push_back(Effect::Unwindowed(record.id.clone(), record.open.readings()));
                }
                None => {}
            }
        }
        for record in &snapshot.buses {
            if let Some(bus_ix) = engine.plan.buses.iter().position(|bus| bus.id == record.id) {
                engine.buses[bus_ix] = record.memory;
            }
        }
        engine.set_all_unheard_times();
        engine.restore_alerts(snapshot);
        Ok(engine)
    }

    fn restore_alerts(&mut self, snapshot: &Snapshot) {
        let now = self.clock.stamp(self.now);
        for record in &snapshot.alerts {
            match self.plan.rule_ix(&record.key) {
                Some(rule_ix) => self.restore_alert(rule_ix, record),
                None => {
                    self.effects.extend(record.removed(now));
                    self.remember_removed(record.clone(), self.plan.remember_removed);
                }
            }
        }
        for removed in snapshot.removed.iter().filter(|removed| removed.is_remembered(snapshot.now)) {
            match self.plan.rule_ix(&removed.record.key) {
                Some(rule_ix) if self.rule_states[rule_ix as usize].alert.is_quiet() => {
                    self.restore_alert(rule_ix, &removed.record);
                    self.returned.push(rule_ix);
                }
                Some(_) => {}
                None => drop(self.removed.insert(removed.record.key.clone(), removed.clone())),
            }
        }
    }

    fn restore_alert(&mut self, rule_ix: u32, record: &AlertRecord) {
        let now = self.clock.stamp(self.now);
        let rule = &self.plan.rules[rule_ix as usize].rule;
        let mut alert = record.alert.clone();
        if record.condition != rule.condition.identity() || record.hold != rule.hold {
            alert.restart_hold(now, timing(rule));
        }
        alert.shorten_cooldown(now, timing(rule));
        let (mut escalation, acknowledged_by) = (record.escalation, record.acknowledged_by.clone());
        escalation.iter_mut().for_each(|escalation| escalation.shorten_wait(now, &rule.escalation));
        self.rule_states[rule_ix as usize] = RuleState { alert, escalation, acknowledged_by, ..RuleState::default() };
    }

    /// Sets every timer from what is remembered.
    pub(super) fn arm(&mut self) {
        self.arm_schedules();
        self.arm_sensors();
        for rule_ix in 0..self.plan.rules.len() as u32 {
            let compiled = &self.plan.rules[rule_ix as usize];
            let state = &mut self.sensors[compiled.sensor.0 as usize];
            state.wants_rate |=
                matches!(compiled.rule.condition, Condition::RateAbove { .. } | Condition::RateBelow { .. });
            self.watch_missing(rule_ix);
            self.set_alert_timer(rule_ix);
        }
        for (number, silence) in &self.site.silences {
            self.timers.add(silence.until(), Kind::SilenceEnds, *number);
        }
        self.interlock_due = None;
        self.follow_interlock();
    }

    fn arm_sensors(&mut self) {
        let phase = self.clock.known_phase();
        for ix in 0..self.sensors.len() as u32 {
            let state = &mut self.sensors[ix as usize];
            if state.judge.is_heard() && !state.judge.is_stale() {
                self.watch_silence(SensorIx(ix));
            }
            self.arm_bus_back(SensorIx(ix));
            let state = &mut self.sensors[ix as usize];
            if let Some(end) = state.open.next_end(self.now, phase) {
                state.has_open_windows = true;
                self.with_open_windows.push(ix);
                self.arm_windows(end);
            }
        }
    }

    fn arm_schedules(&mut self) {
        let mut rules = vec![Vec::new(); self.plan.schedules.len()];
        for (rule_ix, compiled) in self.plan.rules.iter().enumerate() {
            if let Some(schedule) = compiled.schedule {
                rules[schedule as usize].push(rule_ix as u32);
            }
        }
        self.schedules = rules.into_iter().map(|rules| ScheduleState { open: false, rules }).collect();
        for ix in 0..self.schedules.len() as u32 {
            self.schedules[ix as usize].open = self.arm_schedule(ix);
        }
    }

    /// Closes the open windows of some sensors before their end.
    fn close_all_windows(&mut self, is_selected: impl Fn(&Sensor) -> bool) {
        let phase = self.clock.known_phase();
        for ix in 0..self.sensors.len() {
            if is_selected(&self.plan.sensors[ix]) {
                self.sensors[ix].open.close(Uptime(i64::MAX), phase, |grain, start, late, window| {
                    let sensor = SensorIx(ix as u32);
                    let closed = Closed { sensor, grain, start: self.clock.stamp(start), late, window };
                    self.effects.push_back(Effect::Window(closed));
                });
            }
        }
    }

    /// Moves the waits that were set up to a boot.
    pub(super) fn shift_waits(&mut self, up_to_boot: u32, by: Span) {
        for rule_state in &mut self.rule_states {
            rule_state.alert.shift(up_to_boot, by);
            if let Some(escalation) = &mut rule_state.escalation {
                escalation.shift(up_to_boot, by);
            }
        }
        for silence in self.site.silences.values_mut() {
            silence.until.shift(up_to_boot, by);
        }
        self.removed.values_mut().for_each(|removed| removed.shift(up_to_boot, by));
        self.interlock.shift(up_to_boot, by);
    }

    /// Sets every timer again, after waits moved.
    pub(super) fn rearm(&mut self) {
        self.timers = super::Timers::default();
        self.with_open_windows.clear();
        self.windows_due = None;
        for state in &mut self.sensors {
            (state.has_open_windows, state.stale_timer) = (false, false);
        }
        for rule_state in &mut self.rule_states {
            (rule_state.timer, rule_state.missing_timer) = (None, false);
        }
        self.arm();
    }
}

impl From<SensorRecord> for SensorAtRest {
    fn from(SensorRecord(memory): SensorRecord) -> SensorAtRest {
        let memory = Arc::unwrap_or_clone(memory);
        let SensorMemory { id, quantity, resolution, judge, open, read_at, old, heard_at, overdue, back_at } = memory;
        let heard_at = Some(heard_at).filter(|heard_at| *heard_at != read_at);
        SensorAtRest { id, quantity, resolution, read_at, old, back_at, heard_at, overdue, judge, open }
    }
}

impl From<SensorAtRest> for SensorRecord {
    fn from(at_rest: SensorAtRest) -> SensorRecord {
        let SensorAtRest { id, quantity, resolution, read_at, old, back_at, heard_at, overdue, judge, open } = at_rest;
        let heard_at = heard_at.unwrap_or(read_at);
        let memory = SensorMemory { id, quantity, resolution, judge, open, read_at, old, heard_at, overdue, back_at };
        SensorRecord(Arc::new(memory))
    }
}

impl AlertRecord {
    /// Moves the waits that were decided on up to a boot.
    pub(super) fn shift(&mut self, up_to_boot: u32, by: Span) {
        self.alert.shift(up_to_boot, by);
        self.escalation.iter_mut().for_each(|escalation| escalation.shift(up_to_boot, by));
    }

    /// What is said of a raised alert whose rule is gone.
    fn removed(&self, at: Stamp) -> Option<Effect> {
        let raised = self.alert.raised()?;
        let details = AlertDetails {
            at,
            alert: Some(raised.id),
            key: self.key.clone(),
            severity: self.escalation.map_or(Severity::Warning, |escalation| escalation.severity),
            value: None,
            limit: None,
            since: raised.since,
            reading_at: None,
            pages: self.escalation.map_or(0, |escalation| escalation.pages),
            message: resolved::removed(&self.key),
            advice: None,
        };
        Some(Effect::Alert(Transition::Resolved(Reason::Removed), Box::new(details)))
    }
}

//! What the engine watches: sensors, and rules bound to them with their escalation policies and schedules, all checked.
//!
//! A plan is made once, by the reader of the configuration, and is then only read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actuator::{Actuator, Actuators, Wanted};
use crate::calibrate::Calibration;
use crate::id::{Id, SensorId};
use crate::judge::Bounds;
use crate::local::Local;
use crate::message::Template;
use crate::reading::SensorIx;
use crate::rules::{Condition, SensorRef, Test};
use crate::schedule::Schedule;
use crate::sensor::Sensor;
use crate::target::{self, Target};
use crate::time::Span;
use crate::value::{Steps, Value};

/// How bad it is. Ordered: later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing before it becomes a problem.
    Preventive,
    /// Somebody should look today.
    Warning,
    /// Somebody should come now.
    Critical,
    /// The crop is at stake.
    Urgent,
}

/// What an alert is about, and its identity: one zone, rule and sensor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    /// The zone whose rule it is.
    pub zone: Id,
    /// The rule's name.
    pub rule: Id,
    /// The sensor that it watches.
    pub sensor: SensorId,
}

/// A condition that must not hold, bound to one sensor of one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Zone, rule and sensor.
    pub key: AlertKey,
    /// What must not be the case.
    pub condition: Condition,
    /// Time that the condition must hold before the alert fires (`for`).
    pub hold: Span,
    /// The alert goes on for this long after the condition ended.
    pub keep_firing_for: Span,
    /// After it resolved it does not fire again for this long.
    pub cooldown: Span,
    /// Severity at which escalation begins.
    pub severity: Severity,
    /// Policy that says whom to tell. Shared by the rules of a zone.
    pub escalation: Arc<Policy>,
    /// The schedule during which the rule watches; always where there is none. Shared by the rules of a zone.
    pub during: Option<Arc<Schedule>>,
    /// What an alert says.
    pub message: Arc<Template>,
    /// Message once the condition no longer holds; the usual words where there is none.
    pub resolved: Option<Arc<Template>>,
    /// What to do about it.
    pub advice: Option<Arc<str>>,
    /// What actuators do when the alert fires. Shared by the sensors of a rule.
    pub actions: Arc<[Action]>,
}

/// What an actuator does when an alert fires.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The actuator.
    pub actuator: Id,
    /// On for so long, or off.
    pub wanted: Wanted,
}

/// One step of a policy: whom to tell at a severity, and how long to wait for an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Time unacknowledged before the next level; the highest level repeats at its own wait.
    pub wait: Span,
    /// Channels told when the alert is at this level.
    pub channels: Vec<Id>,
}

/// What is told to whom after how long without an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The policy's name.
    pub id: Id,
    /// One level for each severity, from preventive to urgent.
    pub levels: [Level; 4],
}

/// Everything the engine watches: sensors, and rules bound to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(crate) sensors: Vec<Sensor>,
    pub(crate) rules: Vec<CompiledRule>,
    /// The schedules that rules and targets use, in the order of the first that does.
    pub(crate) schedules: Vec<Arc<Schedule>>,
    /// For each sensor what its values are held against.
    pub(crate) bounds: Vec<Bounds>,
    /// For each sensor the rules that are about it alone, as indices into `rules`.
    pub(crate) rules_of: Vec<Vec<u32>>,
    /// For each sensor the rules that are about it and others.
    pub(crate) shared_rules_of: Vec<Vec<u32>>,
    local: Local,
    /// The buses that have a state sensor, in the order of those.
    pub(crate) buses: Vec<Bus>,
    /// For each sensor its bus, as an index into `buses`.
    pub(crate) bus_of: Vec<Option<u32>>,
    /// How long an alert is remembered whose rule is gone; not at all, where it is zero.
    pub(crate) remember_removed: Span,
    pub(crate) actuators: Actuators,
    pub(crate) targets: Vec<target::CompiledTarget>,
    /// For each sensor whether an actuator needs it, or it is a switch that holds its zone.
    pub(crate) needed: Vec<bool>,
    /// Contact sensors that hold their zone, and whether they do while open.
    pub(crate) hold_switches: BTreeMap<SensorId, bool>,
}

/// A bus that sensors share, and whose state is a sensor too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bus {
    pub(crate) id: Id,
    /// State sensor of the bus.
    pub(crate) sensor: SensorIx,
    /// The sensors on it.
    pub(crate) members: Vec<SensorIx>,
    /// The rule that it is silent, as an index into `rules`.
    pub(crate) silent_rule: Option<u32>,
    /// After how long that holds, as long as no sensor on it is overdue by itself.
    pub(crate) silent_after: Option<Span>,
}

/// A rule with its sensor found and its limits in steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CompiledRule {
    pub(crate) rule: Rule,
    pub(crate) test: Test,
    pub(crate) sensor: SensorIx,
    pub(crate) schedule: Option<u32>,
}

/// Why a plan does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two sensors or two rules of one name.
    #[error("{0} is there twice")]
    Twice(String),
    /// A rule on a sensor that is not in the plan.
    #[error("{0}: there is no such sensor")]
    NoSensor(Box<AlertKey>),
    /// A rule that compares its sensor with one that is not in the plan, with itself, or with one of another quantity.
    #[error("{0}: expected another sensor of the same quantity to compare with")]
    NotComparable(Box<AlertKey>),
    /// A name that nothing has.
    #[error("there is no {0}")]
    Unknown(String),
    /// More sensors or rules than an index can count.
    #[error("more than {} sensors or rules", u32::MAX)]
    TooMany,
}

impl Plan {
    /// Sorts everything by name and finds the sensor of each rule.
    ///
    /// # Errors
    /// [`PlanError`] for a name that is there twice, or a sensor that is not there.
    pub fn new(mut sensors: Vec<Sensor>, mut rules: Vec<Rule>) -> Result<Plan, PlanError> {
        if u32::try_from(sensors.len().max(rules.len())).is_err() {
            return Err(PlanError::TooMany);
        }
        sort_unique(&mut sensors, |sensor| &sensor.id)?;
        sort_unique(&mut rules, |rule| &rule.key)?;
        let none = vec![Vec::new(); sensors.len()];
        let bounds = sensors.iter().map(Bounds::new).collect();
        let needed = vec![false; sensors.len()];
        let mut plan = Plan {
            sensors,
            bounds,
            rules: Vec::with_capacity(rules.len()),
            schedules: Vec::new(),
            rules_of: none.clone(),
            shared_rules_of: none,
            local: Local::UTC,
            buses: Vec::new(),
            bus_of: Vec::new(),
            remember_removed: Span::ZERO,
            actuators: Actuators::default(),
            targets: Vec::new(),
            needed,
            hold_switches: BTreeMap::new(),
        };
        for (ix, rule) in rules.into_iter().enumerate() {
            let sensor = plan.sensor_ix(rule.key.sensor.as_str());
            let sensor = sensor.ok_or_else(|| PlanError::NoSensor(Box::new(rule.key.clone())))?;
            let test = plan.test(&rule.condition, sensor);
            let test = test.ok_or_else(|| PlanError::NotComparable(Box::new(rule.key.clone())))?;
            let schedule = rule.during.as_ref().map(|during| plan.schedule_ix(during));
            let compiled = CompiledRule { rule, test, sensor, schedule };
            let is_shared = compiled.test.other().is_some();
            let rules_of = if is_shared { &mut plan.shared_rules_of } else { &mut plan.rules_of };
            compiled.inputs().for_each(|input| rules_of[input.0 as usize].push(ix as u32));
            plan.rules.push(compiled);
        }
        plan.find_buses();
        Ok(plan)
    }

    /// The same, where an alert whose rule goes is remembered for so long in case its rule comes back.
    #[must_use]
    pub fn remembering_removed(self, span: Span) -> Plan {
        Plan { remember_removed: span, ..self }
    }

    /// The same, with these actuators.
    ///
    /// # Errors
    /// [`PlanError`] for a name or an output that is there twice, and for a name that nothing has: a sensor that an actuator
    /// needs, an actuator that it excludes, an actuator of an action.
    pub fn with_actuators(mut self, actuators: Vec<Actuator>) -> Result<Plan, PlanError> {
        let mut by_name = BTreeMap::new();
        let mut outputs = BTreeSet::new();
        for actuator in actuators {
            let name = actuator.id.clone();
            for sensor in &actuator.needs_fresh {
                let ix = self.sensor_ix(sensor.as_str()).ok_or_else(|| PlanError::Unknown(sensor.to_string()))?;
                self.needed[ix.0 as usize] = true;
            }
            if !outputs.insert(actuator.output.clone()) || by_name.insert(name.clone(), actuator).is_some() {
                return Err(PlanError::Twice(name.to_string()));
            }
        }
        let excluded = by_name.values().flat_map(|actuator| &actuator.excludes);
        let acting = self.rules.iter().flat_map(|compiled| compiled.rule.actions.iter().map(|action| &action.actuator));
        if let Some(unknown) = excluded.chain(acting).find(|name| !by_name.contains_key(*name)) {
            return Err(PlanError::Unknown(unknown.to_string()));
        }
        self.actuators = Arc::new(by_name);
        Ok(self)
    }

    /// The same, with actuators that follow sensors.
    ///
    /// # Errors
    /// [`PlanError`] for an actuator or a sensor that the plan lacks, for a sensor that the actuator does not need, and for two targets of
    /// one actuator.
    pub fn with_targets(mut self, targets: Vec<Target>) -> Result<Plan, PlanError> {
        for target in targets {
            let name = &target.actuator;
            let actuator = self.actuators.get(name).ok_or_else(|| PlanError::Unknown(name.to_string()))?;
            let sensor =
                self.sensor_ix(target.sensor.as_str()).filter(|_| actuator.needs_fresh.contains(&target.sensor));
            let sensor = sensor.ok_or_else(|| PlanError::Unknown(target.sensor.to_string()))?;
            if self.targets.iter().any(|other| other.target.actuator == *name) {
                return Err(PlanError::Twice(name.to_string()));
            }
            let schedule = target.during.as_ref().map(|during| self.schedule_ix(during));
            self.targets.push(target::CompiledTarget { target, sensor, schedule });
        }
        Ok(self)
    }

    /// The same, with contact sensors that hold the actuators of their zone, each with whether it does while open; else while closed.
    ///
    /// # Errors
    /// [`PlanError`] for a sensor that the plan lacks.
    pub fn with_hold_switches(mut self, switches: BTreeMap<SensorId, bool>) -> Result<Plan, PlanError> {
        for sensor in switches.keys() {
            let ix = self.sensor_ix(sensor.as_str()).ok_or_else(|| PlanError::Unknown(sensor.to_string()))?;
            self.needed[ix.0 as usize] = true;
        }
        Ok(Plan { hold_switches: switches, ..self })
    }

    /// The actuators, by name.
    #[must_use]
    pub fn actuators(&self) -> &Actuators {
        &self.actuators
    }

    fn test(&self, condition: &Condition, sensor: SensorIx) -> Option<Test> {
        let input = |ix| SensorRef::new(ix, self.sensor(ix));
        Test::new(condition, input(sensor), |other| self.sensor_ix(other.as_str()).map(input))
    }

    fn find_buses(&mut self) {
        for (ix, sensor) in self.sensors.iter().enumerate() {
            let Some(id) = sensor.state_of_bus.clone() else { continue };
            let is_on = |(_, member): &(usize, &Sensor)| member.bus.as_ref() == Some(&id);
            let members = self.sensors.iter().enumerate().filter(is_on).map(|(ix, _)| SensorIx(ix as u32)).collect();
            let silent_rule = self.rules_of[ix].iter().find_map(|of| match self.rules[*of as usize].rule.condition {
                Condition::MissingFor(span) => Some((*of, span)),
                _ => None,
            });
            let (silent_rule, silent_after) = silent_rule.unzip();
            self.buses.push(Bus { id, sensor: SensorIx(ix as u32), members, silent_rule, silent_after });
        }
        self.bus_of = vec![None; self.sensors.len()];
        for (bus_ix, bus) in self.buses.iter().enumerate() {
            bus.members.iter().for_each(|ix| self.bus_of[ix.0 as usize] = Some(bus_ix as u32));
        }
    }

    fn schedule_ix(&mut self, schedule: &Arc<Schedule>) -> u32 {
        let known = self.schedules.iter().position(|known| Arc::ptr_eq(known, schedule));
        let ix = known.unwrap_or_else(|| {
            self.schedules.push(Arc::clone(schedule));
            self.schedules.len() - 1
        });
        ix as u32
    }

    /// The same, for people who read times by this clock; a new plan is in UTC.
    #[must_use]
    pub fn read_by(self, local: Local) -> Plan {
        Plan { local, ..self }
    }

    /// The clock by which people read times.
    #[must_use]
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// The sensors, sorted by id; a [`SensorIx`] is an index into this list.
    #[must_use]
    pub fn sensors(&self) -> &[Sensor] {
        &self.sensors
    }

    /// The sensor at an index.
    ///
    /// # Panics
    /// When the index is not from this plan.
    #[must_use]
    pub fn sensor(&self, ix: SensorIx) -> &Sensor {
        &self.sensors[ix.0 as usize]
    }

    /// The index of a sensor of that name.
    #[must_use]
    pub fn sensor_ix(&self, id: &str) -> Option<SensorIx> {
        let found = self.sensors.binary_search_by(|sensor| sensor.id.as_str().cmp(id));
        found.ok().map(|ix| SensorIx(ix as u32))
    }

    /// The index of a rule.
    pub(crate) fn rule_ix(&self, key: &AlertKey) -> Option<u32> {
        self.rules.binary_search_by(|compiled| compiled.rule.key.cmp(key)).ok().map(|ix| ix as u32)
    }

    /// The rule of that zone, name and sensor, if there is one.
    #[must_use]
    pub fn rule(&self, key: &AlertKey) -> Option<&Rule> {
        self.rule_ix(key).map(|ix| &self.rules[ix as usize].rule)
    }

    /// The rules about a sensor, alone or with others.
    pub(crate) fn rules_about(&self, ix: SensorIx) -> impl Iterator<Item = u32> + '_ {
        let (alone, shared) = (&self.rules_of[ix.0 as usize], &self.shared_rules_of[ix.0 as usize]);
        alone.iter().chain(shared).copied()
    }

    /// The rules, sorted by zone, rule and sensor.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    /// The shortest time without a reading after which the sensor is stale or one of its rules calls it missing.
    #[must_use]
    pub fn soonest_silent(&self, ix: SensorIx) -> Option<Span> {
        let missing =
            self.rules_of[ix.0 as usize].iter().filter_map(|rule| match self.rules[*rule as usize].rule.condition {
                Condition::MissingFor(span) => Some(span),
                _ => None,
            });
        missing.chain(self.sensor(ix).stale_after).min()
    }

    /// Lets a sensor be without a reading for `least` before it is stale or a rule calls it missing, where that would be after
    /// `usual` or sooner; what allows more than `usual` stays.
    pub fn allow_silence(&mut self, ix: SensorIx, usual: Span, least: Span) {
        let allowed = |span: Span| if span <= usual { least } else { span };
        let sensor = &mut self.sensors[ix.0 as usize];
        sensor.stale_after = sensor.stale_after.map(allowed);
        for index in 0..self.rules_of[ix.0 as usize].len() {
            let of = self.rules_of[ix.0 as usize][index] as usize;
            if let Condition::MissingFor(span) = self.rules[of].rule.condition {
                let condition = Condition::MissingFor(allowed(span));
                self.rules[of].test = self.test(&condition, ix).unwrap_or(self.rules[of].test);
                self.rules[of].rule.condition = condition;
            }
        }
    }

    /// Takes values as they come: those of a history are calibrated already. Returns whether that changes anything.
    pub fn ignore_calibrations(&mut self) -> bool {
        let calibrated = self.sensors.iter_mut().filter(|sensor| sensor.calibration != Calibration::Identity);
        calibrated.map(|sensor| sensor.calibration = Calibration::Identity).count() > 0
    }

    /// A number of steps as a value of that sensor.
    #[must_use]
    pub fn value(&self, sensor: SensorIx, steps: Steps) -> Value {
        Value { steps, resolution: self.sensor(sensor).resolution }
    }
}

impl CompiledRule {
    /// The sensors that the rule is about, its own first.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = SensorIx> + use<> {
        [Some(self.sensor), self.test.other()].into_iter().flatten()
    }
}

fn sort_unique<T, K: Ord + fmt::Display>(items: &mut [T], key: impl Fn(&T) -> &K) -> Result<(), PlanError> {
    items.sort_by(|a, b| key(a).cmp(key(b)));
    match items.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        Some(pair) => Err(PlanError::Twice(key(&pair[0]).to_string())),
        None => Ok(()),
    }
}

impl Policy {
    /// The level of a severity.
    #[must_use]
    pub fn level(&self, severity: Severity) -> &Level {
        &self.levels[severity as usize]
    }

    /// Every channel of the policy once: those of a severity, then those of worse ones, then those of milder ones.
    #[must_use]
    pub fn channels_from(&self, severity: Severity) -> Vec<Id> {
        let (milder, worse) = self.levels.split_at(severity as usize);
        let mut channels = Vec::new();
        for channel in worse.iter().chain(milder.iter().rev()).flat_map(|level| &level.channels) {
            if !channels.contains(channel) {
                channels.push(channel.clone());
            }
        }
        channels
    }
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Severity; 4] = [Severity::Preventive, Severity::Warning, Severity::Critical, Severity::Urgent];

    /// The word in documents and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Preventive => "preventive",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
            Severity::Urgent => "urgent",
        }
    }

    /// The severity of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.name() == name)
    }

    /// One worse; urgent stays.
    #[must_use]
    pub const fn next(self) -> Severity {
        match self {
            Severity::Preventive => Severity::Warning,
            Severity::Warning => Severity::Critical,
            Severity::Critical | Severity::Urgent => Severity::Urgent,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.zone, self.rule, self.sensor)
    }
}

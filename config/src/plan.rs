//! Sensors, rules and settings, zone by zone, into the plan that the engine runs.

mod built_in;
mod compared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tilth_core::id::{Id, SensorId};
use tilth_core::interlock::Wanted;
use tilth_core::local::Local;
use tilth_core::message::Template;
use tilth_core::plan::{self, Action, AlertKey, Plan, Policy};
use tilth_core::quantity::Quantity;
use tilth_core::rules::Condition;
use tilth_core::schedule::Schedule;
use tilth_core::sensor::Sensor;
use tilth_core::target::Target;
use tilth_core::time::Span;

use crate::actuators::Actuators;
use crate::agent_toml::AgentToml;
use crate::conditions;
use crate::diagnostic::{Diagnostics, Level, Problem};
use crate::document::{Effective, ZONES};
use crate::dosing::{self, DosedBy, Side};
use crate::limit_conflicts::LimitConflicts;
use crate::namespaces;
use crate::path;
use crate::reader;
use crate::rules::{self, AlertSettings, Name, Rule, RuleAction};
use crate::selector::Selector;
use crate::sensor_list::{SensorEntry, Sensors};
use crate::settings::{Settings, Zones};
use crate::source::{Layer, Place, Sources};
use crate::suggest;
use crate::tree::Entry;

/// A rule bound to a sensor costs the engine up to 2 KB, and this many are 200 MB: all that a Pi has to spare.
const MAX_BOUND: usize = 100_000;

/// Time in which an alert keeps its number if its rule is removed and comes back.
const REMEMBER_REMOVED: Span = Span::from_mins(60);

/// Input of the compiler.
pub(crate) struct Parts<'a> {
    pub(crate) effective: &'a Effective,
    pub(crate) sources: &'a Sources,
    pub(crate) zones: &'a Zones,
    pub(crate) sensors: &'a Sensors,
    pub(crate) actuators: &'a Actuators,
    pub(crate) targets: Vec<Target>,
    /// The machine whose lines are watched as well; none where there is none to watch.
    pub(crate) agent_toml: Option<&'a AgentToml>,
    pub(crate) log: &'a Diagnostics,
}

/// Binds every rule to its sensors; none where anything at all is wrong.
pub(crate) fn compile(parts: &Parts<'_>) -> Option<Plan> {
    let limit_conflicts = LimitConflicts::default();
    let mut binder = Binder {
        parts,
        bound: Vec::new(),
        findings: BTreeMap::new(),
        limit_conflicts,
        dosed_by: DosedBy::new(),
        shipped: Vec::new(),
        full: false,
    };
    binder.shipped = binder.shipped_rules();
    binder.device_rules();
    for (zone, entry) in parts.effective.zones().into_iter().flatten() {
        binder.zone_rules(zone, entry.key);
    }
    binder.sensor_faults();
    let within = binder.heard_within();
    let built_in = binder.built_in(&within);
    binder.report_findings();
    std::mem::take(&mut binder.limit_conflicts).say(parts.sources, parts.log);
    for target in &parts.targets {
        let quantity = parts.sensors.get(&target.sensor).map(|entry| entry.sensor.quantity);
        if quantity.is_some_and(dosing::is_dosed) {
            binder.dosed_by.entry(target.actuator.clone()).or_insert_with(|| target.sensor.clone());
        }
    }
    binder.say_idle_switches();
    dosing::say_unlimited(parts.effective, parts.actuators, &binder.dosed_by, parts.log);
    say_unused(parts.effective, parts.log);
    if parts.log.has_errors() {
        return None;
    }
    let sensors = parts.sensors.entries.iter().filter(|entry| entry.enabled).map(|entry| {
        let heard_within = within.get(&entry.sensor.id).copied();
        Sensor { heard_within, ..entry.sensor.clone() }
    });
    let actuators = parts.actuators.values().flatten().cloned().collect();
    let plan = Plan::new(sensors.chain(built_in).collect(), binder.bound);
    let plan = plan.and_then(|plan| plan.with_actuators(actuators));
    let enabled = parts.sensors.entries.iter().filter(|entry| entry.enabled);
    let switches = enabled.filter_map(|entry| Some((entry.sensor.id.clone(), entry.hold_while_open?))).collect();
    let plan = plan.and_then(|plan| plan.with_hold_switches(switches));
    let targets = parts.targets.iter().filter(|target| !is_by_counts(target, parts)).cloned().collect();
    match plan.and_then(|plan| plan.with_targets(targets)) {
        Ok(plan) => {
            let local = Local::new(parts.zones.device().timezone.clone());
            Some(plan.read_by(local).remembering_removed(REMEMBER_REMOVED))
        }
        Err(error) => {
            // Every way to get here has been checked before; if one was not, it is said and not run.
            let place = parts.sensors.entries.first().map(|entry| entry.key)?;
            parts.log.error(place, "", Problem::new(error.to_string()));
            None
        }
    }
}

/// Whether the target's sensor shows counts, by which nothing is dosed.
fn is_by_counts(target: &Target, parts: &Parts<'_>) -> bool {
    let limits = dosing::limits_of_target(target.on, target.off);
    let sensor = parts.sensors.get(&target.sensor).map(|entry| &entry.sensor);
    sensor.is_some_and(|sensor| dosing::by_counts(&target.actuator, sensor, &limits).is_some())
}

fn say_unused(effective: &Effective, log: &Diagnostics) {
    for name in namespaces::unused() {
        let mut tables = effective.tables(name);
        if let Some((path, key)) = tables.find_map(|(path, _, table)| Some((path, table.values().next()?.key))) {
            log.warning(key, &path, Problem::new(format!("this version does not use {name}")));
        }
    }
}

struct Binder<'a> {
    parts: &'a Parts<'a>,
    bound: Vec<plan::Rule>,
    /// Findings about a rule and some of its sensors: one for each rule, with the first sensor and the number of others.
    findings: BTreeMap<Place, RuleFinding>,
    limit_conflicts: LimitConflicts,
    /// Actuators that rules and targets switch on by a value of the water.
    dosed_by: DosedBy,
    /// The shipped rules that are for a quantity, and which that is.
    shipped: Vec<(String, String)>,
    full: bool,
}

struct RuleFinding {
    level: Level,
    path: String,
    message: String,
    help: Option<String>,
    others: usize,
}

/// Schedule, policy and last words of a rule, found.
struct RuleBindings {
    during: Option<Arc<Schedule>>,
    escalation: Arc<Policy>,
    /// Message when the alert resolves, where it is not the usual one.
    resolved: Option<Arc<Template>>,
    actions: Arc<[Action]>,
}

impl RuleBindings {
    /// Bindings of a rule of the agent itself.
    fn built_in(escalation: Arc<Policy>, resolved: Option<Arc<Template>>) -> RuleBindings {
        RuleBindings { during: None, escalation, resolved, actions: Arc::from([]) }
    }
}

impl<'a> Binder<'a> {
    /// Binds the rules of the whole device to each sensor, unless its zone sets the rule itself.
    fn device_rules(&mut self) {
        let parts = self.parts;
        let rules = parts.effective.device().namespace("rules");
        let reader = rules::RuleReader { sources: parts.sources, log: parts.log, known: &rules };
        for (name, entry) in rules.iter() {
            let Some(rule) = rules::read(name, entry, None, path::join("rules", name), &reader) else { continue };
            if let Some(place) = rule.across {
                let problem = Problem::new("a rule for the whole device watches every zone already");
                let path = path::join(&rule.path, "across");
                parts.log.warning(place, &path, problem.help("write it under zones, where one zone watches another"));
            }
            self.bindings(&rule, parts.zones.device());
            if !rule.alert.enabled {
                continue;
            }
            let watched = parts.sensors.watched(&rule.selector, rule.quantity, None);
            if watched.is_empty() {
                self.say_unbound(&rule, None);
            }
            self.say_misspelt(&rule, &watched);
            for entry in watched {
                let zone = &entry.sensor.zone;
                let view = parts.effective.zone(zone.as_str());
                if view.own("rules").is_none_or(|own| !own.contains_key(name)) {
                    self.bind(&rule, zone, entry);
                }
            }
        }
    }

    /// Rules that a zone adds or changes.
    fn zone_rules(&mut self, zone: &str, place: Place) {
        let parts = self.parts;
        let Ok(id) = Id::new(zone) else { return };
        let mut in_force = parts.sensors.has_zone(&id) || parts.sensors.some_are_wrong();
        let rules = parts.effective.device().namespace("rules");
        let reader = rules::RuleReader { sources: parts.sources, log: parts.log, known: &rules };
        let view = parts.effective.zone(zone);
        let at = path::join(&path::join(ZONES, zone), "rules");
        for (name, own) in view.own("rules").into_iter().flatten() {
            let (path, own) = (path::join(&at, name), own.node.as_table());
            let Some(entry) = view.entry("rules", name) else { continue };
            let Some(rule) = rules::read(name, &entry, own, path, &reader) else { continue };
            self.bindings(&rule, parts.zones.settings(zone));
            if !rule.alert.enabled {
                continue;
            }
            let within = rule.across.is_none().then_some(&id);
            let watched = parts.sensors.watched(&rule.selector, rule.quantity, within);
            in_force |= !watched.is_empty();
            if watched.is_empty() && parts.sensors.has_zone(&id) {
                self.say_unbound(&rule, within);
            }
            self.say_misspelt(&rule, &watched);
            for entry in watched {
                self.bind(&rule, &id, entry);
            }
        }
        if !in_force {
            self.say_empty_zone(zone, place);
        }
    }

    fn say_empty_zone(&self, zone: &str, place: Place) {
        let log = self.parts.log;
        let problem = Problem::new("no sensor is in this zone, so nothing under it is in force").across_documents();
        let problem = match log.did_you_mean(zone, self.parts.sensors.zones()) {
            Some(meant) => problem.help(meant),
            None => problem.help("the zone of a sensor is the part of its name before the /, or its key zone"),
        };
        log.error(place, &path::join(ZONES, zone), problem);
    }

    fn shipped_rules(&self) -> Vec<(String, String)> {
        let quantity = |(name, entry): (&String, &Entry)| {
            let quantity = entry.node.get(["quantity"]).filter(|quantity| self.is_shipped(quantity.place))?;
            Some((name.clone(), quantity.as_text()?.to_owned()))
        };
        self.parts.effective.device().namespace("rules").iter().filter_map(quantity).collect()
    }

    /// Says of a rule that it is probably a shipped one misspelt, where both watch the same.
    fn say_misspelt(&self, rule: &Rule, watched: &[&SensorEntry]) {
        let name = rule.id.as_str();
        if self.shipped.iter().any(|(shipped, _)| shipped == name) {
            return;
        }
        let watches = |quantity: &str| watched.iter().any(|entry| entry.sensor.quantity.name() == quantity);
        let meant = self.shipped.iter().find(|(shipped, of)| suggest::is_slip(name, shipped) && watches(of));
        if let Some((meant, _)) = meant {
            let problem =
                Problem::new(format!("looks like {meant}, which stays in force beside it")).across_documents();
            self.parts.log.warning(rule.key, &rule.path, problem.help(format!("to change that one write {meant}")));
        }
    }

    fn sensor_faults(&mut self) {
        let parts = self.parts;
        for settings in parts.zones.all() {
            if let Some(alert) = &settings.sensor_fault {
                self.policy(&alert.escalation, settings);
            }
        }
        let Ok(rule) = Id::new(rules::SENSOR_FAULT) else { return };
        for entry in parts.sensors.entries.iter().filter(|entry| entry.enabled) {
            let settings = parts.zones.settings(entry.sensor.zone.as_str());
            let Some(alert) = settings.sensor_fault.as_ref().filter(|alert| alert.enabled) else { continue };
            let Some(escalation) = self.policy(&alert.escalation, settings) else { continue };
            let key = AlertKey { zone: entry.sensor.zone.clone(), rule: rule.clone(), sensor: entry.sensor.id.clone() };
            let hold = alert.hold.max(entry.settings.interval.map_or(Span::ZERO, past_one_reading));
            let alert = AlertSettings { hold, ..alert.clone() };
            self.push(key, Condition::Faulty, &alert, RuleBindings::built_in(escalation, None), entry.key);
        }
    }

    fn bind(&mut self, rule: &Rule, zone: &Id, entry: &SensorEntry) {
        let settings = self.parts.zones.settings(zone.as_str());
        let Some(mut bindings) = self.bindings(rule, settings) else { return };
        if !self.fits(rule, entry) {
            return;
        }
        if let Some(condition) = self.condition(rule, entry) {
            let key = AlertKey { zone: zone.clone(), rule: rule.id.clone(), sensor: entry.sensor.id.clone() };
            self.say_hours(rule, settings);
            self.check_zones(rule, entry);
            let by_counts = self.check_dosing(rule, entry);
            if !by_counts.is_empty() {
                let is_kept = |action: &&Action| action.wanted == Wanted::Off || !by_counts.contains(&action.actuator);
                bindings.actions = bindings.actions.iter().filter(is_kept).cloned().collect();
            }
            self.limit_conflicts.add(&entry.sensor.id, rule);
            self.push(key, condition, &rule.alert, bindings, rule.key);
        }
    }

    fn push(
        &mut self,
        key: AlertKey,
        condition: Condition,
        alert: &AlertSettings,
        bindings: RuleBindings,
        place: Place,
    ) {
        if self.bound.len() >= MAX_BOUND {
            if !std::mem::replace(&mut self.full, true) {
                let problem = Problem::new(format!("more than {MAX_BOUND} rules once each is bound to its sensors"));
                self.parts.log.error(place, &path::join("rules", key.rule.as_str()), problem);
            }
            return;
        }
        self.bound.push(plan::Rule {
            key,
            condition,
            hold: alert.hold,
            keep_firing_for: alert.keep_firing_for,
            cooldown: alert.cooldown,
            severity: alert.severity,
            escalation: bindings.escalation,
            during: bindings.during,
            message: Arc::clone(&alert.message),
            resolved: bindings.resolved,
            advice: alert.advice.clone(),
            actions: bindings.actions,
        });
    }

    /// Finds what a rule names; what is not there is said.
    fn bindings(&self, rule: &Rule, settings: &Settings) -> Option<RuleBindings> {
        let escalation = self.policy(&rule.alert.escalation, settings);
        let during = match &rule.during {
            None => None,
            Some(name) => match settings.schedules.get(&name.name) {
                Some(hours) => Some(Arc::clone(&hours.as_ref()?.schedule)),
                None => {
                    self.say_unknown("schedule", name, "schedules", settings.schedules.keys());
                    return None;
                }
            },
        };
        let actions = rule.actions.iter().map(|action| self.action(rule, action)).collect::<Option<_>>()?;
        Some(RuleBindings { during, escalation: escalation?, resolved: None, actions })
    }

    /// An action of a rule whose actuator is there and may do that.
    fn action(&self, rule: &Rule, action: &RuleAction) -> Option<Action> {
        let parts = self.parts;
        let path = path::join(&rule.path, "actions");
        let name = action.action.actuator.as_str();
        let Some(actuator) = parts.actuators.get(name) else {
            let problem = reader::unknown_name("actuator", name, "actuators", parts.actuators.keys(), parts.log);
            parts.log.error(action.place, &path, problem);
            return None;
        };
        let actuator = actuator.as_ref()?;
        if let Wanted::On(Some(span)) = action.action.wanted {
            let limits = [
                ("max_on", actuator.max_on),
                ("dose_per_hour", actuator.dose_per_hour),
                ("dose_per_day", actuator.dose_per_day),
            ];
            if let Some((key, limit)) =
                limits.into_iter().find_map(|(key, limit)| Some((key, limit.filter(|it| span > *it)?)))
            {
                let problem = Problem::new(format!("{span} is longer than the {key} of {name}, {limit}"));
                let problem = problem.help(format!("expected {limit} or less: a longer dose is refused each time"));
                parts.log.error(action.place, &path, problem.across_documents());
                return None;
            }
        }
        Some(action.action.clone())
    }

    /// A pump that doses one zone by the sensor of another one is a mistake, mostly of a glob.
    fn check_zones(&mut self, rule: &Rule, entry: &SensorEntry) {
        let actuators = self.parts.actuators;
        for action in &rule.actions {
            let Some(Some(actuator)) = actuators.get(action.action.actuator.as_str()) else { continue };
            if actuator.has_total() && actuator.zone != entry.sensor.zone {
                let (name, zone, of) = (&actuator.id, &actuator.zone, &entry.sensor.id);
                let message = format!("{name} doses zone {zone}, and this rule watches {of}");
                let help = Some(format!("write sensor = \"{zone}/..\", or the rule under zones.{zone}"));
                let path = path::join(&rule.path, "actions");
                self.add_finding(action.place, Level::Error, path, message, help);
            }
        }
    }

    /// Says which switches have no actuators to hold: mostly the zone is another one.
    fn say_idle_switches(&self) {
        let zones: Vec<&Id> = self.parts.actuators.values().flatten().map(|actuator| &actuator.zone).collect();
        for entry in self.parts.sensors.entries.iter().filter(|entry| entry.enabled && entry.hold_while_open.is_some())
        {
            let zone = &entry.sensor.zone;
            if !zones.contains(&zone) && !self.parts.actuators.values().any(Option::is_none) {
                let problem = Problem::new(format!("no actuator is in zone {zone}, so this switch holds nothing"));
                let path = path::join(&entry.path, "hold_while");
                let help = "set zone of the sensor to that of the actuators";
                self.parts.log.warning(entry.key, &path, problem.help(help).across_documents());
            }
        }
    }

    /// Takes note of what a rule doses by the value of a sensor, and says where that makes the value worse. Returns the actuators that the
    /// rule does not switch on, since the sensor shows counts.
    fn check_dosing(&mut self, rule: &Rule, entry: &SensorEntry) -> BTreeSet<Id> {
        let mut all_by_counts = BTreeSet::new();
        let quantity = entry.sensor.quantity;
        let side = rule.condition.of_one_sensor().and_then(Side::of_condition);
        for action in rule.actions.iter().filter(|action| matches!(action.action.wanted, Wanted::On(_))) {
            let actuator = &action.action.actuator;
            if dosing::is_dosed(quantity) {
                self.dosed_by.entry(actuator.clone()).or_insert_with(|| entry.sensor.id.clone());
            }
            let limits = rule.condition.of_one_sensor().and_then(dosing::limits_of);
            let is_enabled = matches!(self.parts.actuators.get(actuator.as_str()), Some(Some(found)) if found.enabled);
            if let Some(limits) = limits.filter(|_| is_enabled)
                && let Some((wrong, help)) = dosing::by_counts(actuator, &entry.sensor, &limits)
            {
                let path = path::join(&rule.path, rule.condition.key);
                self.add_finding(rule.condition.place, Level::Warning, path, wrong, Some(help));
                all_by_counts.insert(actuator.clone());
            }
            let side = side.filter(|_| quantity == Quantity::Ph);
            if let Some((wrong, help)) = side.and_then(|side| dosing::wrong_direction(actuator, side)) {
                let path = path::join(&rule.path, rule.condition.key);
                self.add_finding(rule.condition.place, Level::Error, path, wrong, Some(help));
            }
        }
        all_by_counts
    }

    fn policy(&self, name: &Name, settings: &Settings) -> Option<Arc<Policy>> {
        match settings.policies.get(&name.name) {
            Some(policy) => policy.clone(),
            None => {
                self.say_unknown("escalation policy", name, "escalation", settings.policies.keys());
                None
            }
        }
    }

    fn say_unknown<'n>(&self, what: &str, name: &Name, namespace: &str, known: impl Iterator<Item = &'n String>) {
        let problem = reader::unknown_name(what, &name.name, namespace, known, self.parts.log);
        self.parts.log.error(name.place, &name.path, problem);
    }

    /// Says what is odd about the hours in which a rule watches.
    fn say_hours(&self, rule: &Rule, settings: &Settings) {
        let hours = rule.during.as_ref().and_then(|name| settings.schedules.get(&name.name)?.as_ref());
        let Some(hours) = hours else { return };
        if let Some(open) = hours.open_for().filter(|open| rule.alert.hold >= *open) {
            // A hold starts again when the schedule opens.
            let problem = Problem::new(format!("never fires: {} is open for {open} at a time", hours.schedule.id));
            let path = path::join(&rule.path, "for");
            self.parts.log.warning(rule.alert.hold_at, &path, problem.help("expected a shorter time"));
        }
        if hours.zone_assumed {
            let problem = Problem::new("no time zone is set, so these hours are taken in UTC").across_documents();
            let path = path::join("schedules", hours.schedule.id.as_str());
            self.parts.log.warning(
                hours.place,
                &path,
                problem.help("set agent.timezone, such as \"Europe/Amsterdam\""),
            );
        }
    }

    /// Whether a rule makes sense on a sensor, as far as the sensor's own figures tell.
    ///
    /// A limit of a shipped rule is no mistake of the farm: the finding names the sensor, which the rule does not watch.
    fn fits(&mut self, rule: &Rule, entry: &SensorEntry) -> bool {
        let shipped = self.is_shipped(rule.condition.place);
        let path = path::join(&rule.path, rule.condition.key);
        let id = &entry.sensor.id;
        let Some(condition) = rule.condition.of_one_sensor() else { return true };
        let span_and_why = match *condition {
            Condition::MissingFor(span) => Some((span, format!("{span} without a reading is nothing unusual"))),
            Condition::StuckFor(span) => Some((span, format!("two equal readings are {span} without a change"))),
            _ => None,
        };
        if let Some((span, why)) = span_and_why
            && let Some(interval) = entry.settings.interval.filter(|interval| span <= *interval)
        {
            let message = format!("{id} speaks only every {interval}, so {why}");
            let help = Some(format!("set zones.{}.{path} longer", entry.sensor.zone));
            let place = if shipped { entry.interval } else { rule.condition.place };
            self.add_finding(place, Level::Warning, path, message, help);
            return true;
        }
        let Some((low, high)) = entry.sensor.range else { return true };
        let Some(why) = conditions::pointless(condition, low, high) else { return true };
        let quantity = entry.sensor.quantity;
        let unit = quantity.unit();
        let in_unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let why = format!("{why}: {id} is plausible from {low} to {high}{in_unit}");
        if shipped {
            let place = entry.range.unwrap_or(entry.key);
            let path = path::join(&entry.path, "range");
            let message = format!("the shipped rule {} leaves this sensor alone, for {why}", rule.id);
            let help = Some(format!("set zones.{}.rules.{} for it", entry.sensor.zone, rule.id));
            self.parts.log.warning(place, &path, with_help(message, help));
        } else {
            let help = (!unit.is_empty()).then(|| format!("limits for {quantity} are in {unit}"));
            self.add_finding(rule.condition.place, Level::Error, path, format!("impossible limit: {why}"), help);
        }
        false
    }

    fn is_shipped(&self, place: Place) -> bool {
        self.parts.sources.get(place.source).layer == Some(Layer::Base)
    }

    fn add_finding(&mut self, place: Place, level: Level, path: String, message: String, help: Option<String>) {
        match self.findings.get_mut(&place) {
            Some(complaint) => complaint.others += 1,
            None => {
                self.findings.insert(place, RuleFinding { level, path, message, help, others: 0 });
            }
        }
    }

    fn report_findings(&mut self) {
        for (place, complaint) in std::mem::take(&mut self.findings) {
            let message = match complaint.others {
                0 => complaint.message,
                1 => format!("{}, and 1 sensor more", complaint.message),
                others => format!("{}, and {others} sensors more", complaint.message),
            };
            let problem = with_help(message, complaint.help).across_documents();
            match complaint.level {
                Level::Error => self.parts.log.error(place, &complaint.path, problem),
                Level::Warning => self.parts.log.warning(place, &complaint.path, problem),
            }
        }
    }

    /// Says why a rule watches no sensor. Shipped rules are for any farm, so theirs is no mistake.
    fn say_unbound(&self, rule: &Rule, within: Option<&Id>) {
        let log = self.parts.log;
        let path = path::join(&rule.path, "sensor");
        match &rule.selector {
            Selector::One(id) if !self.parts.sensors.names.contains_key(id.as_str()) => {
                let known = self.parts.sensors.names.keys();
                log.error(rule.watches, &path, reader::unknown_name("sensor", id.as_str(), "sensors", known, log));
            }
            Selector::One(id) => {
                if let Some(problem) = self.why_unbound(rule, id, within) {
                    log.warning(rule.watches, &path, problem);
                }
            }
            Selector::Glob(_) if self.is_shipped(rule.key) || self.parts.sensors.some_are_wrong() => {}
            Selector::Glob(_) => {
                let problem = Problem::new("this rule watches no sensor").across_documents();
                log.warning(rule.key, &rule.path, problem.help("none that is enabled fits sensor and quantity"));
            }
        }
    }

    fn why_unbound(&self, rule: &Rule, id: &SensorId, within: Option<&Id>) -> Option<Problem> {
        let entry = self.parts.sensors.get(id)?;
        let SensorEntry { sensor, enabled, .. } = entry;
        let problem = if !enabled {
            Problem::new(format!("this rule watches no sensor: {id} is not enabled"))
        } else if let Some(quantity) = rule.quantity.filter(|quantity| *quantity != sensor.quantity) {
            Problem::new(format!("this rule watches no sensor: {id} measures {}, not {quantity}", sensor.quantity))
        } else {
            let zone = within.filter(|zone| **zone != sensor.zone)?;
            Problem::new(format!("this rule watches no sensor: {id} is in zone {}, not {zone}", sensor.zone))
                .help("write across = true to watch a sensor of another zone")
        };
        Some(problem.across_documents())
    }
}

/// Long enough for the reading after a bad one to say that all is well: one and a half intervals.
fn past_one_reading(interval: Span) -> Span {
    Span(interval.0.saturating_add(interval.0 / 2))
}

fn with_help(message: String, help: Option<String>) -> Problem {
    match help {
        Some(help) => Problem::new(message).help(help),
        None => Problem::new(message),
    }
}

//! Actuators of channels of kind `siren`, and whether they can sound the patterns.

use std::collections::{BTreeMap, BTreeSet};

use tilth_core::actuator::Actuator;
use tilth_core::id::Id;
use tilth_core::plan::Severity;

use crate::actuators::Actuators;
use crate::channels::{Channel, Patterns, Target};
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::Effective;
use crate::path;
use crate::reader;
use crate::settings::Zones;
use crate::tree::{Content, Entry, Node};

/// Marks the actuators of sirens, and says what keeps one from sounding as it should.
pub(crate) fn attach(effective: &Effective, zones: &Zones, actuators: &mut Actuators, log: &Diagnostics) {
    let mut sirens: BTreeMap<Id, &String> = BTreeMap::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for (at, zone, table) in effective.tables("notifications") {
        let settings = zone.map_or_else(|| zones.device(), |zone| zones.settings(zone));
        for (name, entry) in table {
            named.extend(entry.node.get(["actuator"]).and_then(Node::as_text));
            let channel = settings.channels.get(name).and_then(|channel| channel.as_ref());
            let Some((_, Channel { target: Target::Siren { actuator, patterns }, .. })) = channel else { continue };
            let at = path::join(&at, name);
            let other = sirens.insert(actuator.clone(), name).filter(|other| *other != name);
            if let Some(problem) = attach_one(actuators, actuator, other, log) {
                let place = entry.node.get(["actuator"]).map_or(entry.key, |node| node.place);
                log.error(place, &path::join(&at, "actuator"), problem);
            } else if let Some(Some(actuator)) = actuators.get(actuator.as_str()) {
                check_patterns(actuator, patterns, (&at, entry), log);
            }
        }
    }
    refuse_energised(effective, &named, log);
}

/// Only a siren may be normally energised: nothing limits for how long such an actuator is on. `named` are the actuators that channels
/// name, also those that are wrong.
fn refuse_energised(effective: &Effective, named: &BTreeSet<&str>, log: &Diagnostics) {
    for (at, _, table) in effective.tables("actuators") {
        for (name, entry) in table {
            let node = entry.node.get(["normally_energised"]).filter(|node| node.content == Content::Bool(true));
            if let Some(node) = node.filter(|_| !named.contains(name.as_str())) {
                let problem =
                    Problem::new("no channel of kind siren has this actuator, and nothing limits its time on");
                let help =
                    format!("take the key out and set max_on, or set actuator = \"{name}\" in a channel of kind siren");
                let at = path::join(&path::join(&at, name), "normally_energised");
                log.error(node.place, &at, problem.help(help).across_documents());
            }
        }
    }
}

/// Marks the actuator of a siren; says why it cannot be one.
fn attach_one(actuators: &mut Actuators, name: &Id, other: Option<&String>, log: &Diagnostics) -> Option<Problem> {
    if let Some(other) = other {
        return Some(Problem::new(format!("the channel {other} sounds this actuator as well")));
    }
    let Some(found) = actuators.get_mut(name.as_str()) else {
        return Some(reader::unknown_name("actuator", name.as_str(), "actuators", actuators.keys(), log));
    };
    let actuator = found.as_mut()?;
    actuator.is_alarm = true;
    let may_be_refused = [
        ("dose_per_hour", actuator.dose_per_hour.is_some()),
        ("dose_per_day", actuator.dose_per_day.is_some()),
        ("needs_fresh", !actuator.needs_fresh.is_empty()),
        ("excludes", !actuator.excludes.is_empty()),
    ];
    let (key, _) = may_be_refused.into_iter().find(|(_, is_set)| *is_set)?;
    let problem = Problem::new(format!("{name} has {key}, so it would fall silent while an alert is open"));
    Some(problem.help(format!("take {key} out of the actuator")).across_documents())
}

/// Says which patterns the limits of an actuator do not allow.
fn check_patterns(actuator: &Actuator, patterns: &Patterns, (at, entry): (&str, &Entry), log: &Diagnostics) {
    let id = &actuator.id;
    if !actuator.enabled {
        let problem = Problem::new(format!("{id} is not enabled, so nothing sounds")).across_documents();
        log.warning(entry.key, &path::join(at, "actuator"), problem);
    }
    for (severity, pattern) in Severity::ALL.into_iter().zip(patterns) {
        let node = entry.node.get([severity.name()]);
        let place = node.map_or(entry.key, |node| node.place);
        let at = path::join(at, severity.name());
        if let Some(max_on) = actuator.max_on.filter(|max_on| pattern.on > *max_on) {
            let problem = Problem::new(format!("on for {} is longer than the max_on of {id}, {max_on}", pattern.on));
            log.warning(place, &at, problem.help(format!("it sounds for {max_on} at a time")).across_documents());
        }
        if pattern.off < actuator.min_off {
            let (off, min_off) = (pattern.off, actuator.min_off);
            let problem = Problem::new(format!("off for {off} is shorter than the min_off of {id}, {min_off}"));
            log.warning(
                place,
                &at,
                problem.help(format!("it pauses for {min_off}; take min_off out")).across_documents(),
            );
        }
    }
}

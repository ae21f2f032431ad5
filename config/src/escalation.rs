//! Escalation policies: which channels are told after how long without an acknowledgement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tilth_core::id::Id;
use tilth_core::plan::{Level, Policy, Severity};

use crate::channels::Channels;
use crate::diagnostic::{Diagnostics, Problem};
use crate::namespaces::POLICY;
use crate::path;
use crate::reader::{self, Fields};
use crate::tree::{Entry, Node, Table};

/// The policy of rules that name none, and of what another policy leaves out.
pub(crate) const DEFAULT_POLICY: &str = "default";

/// Policies by name. One that is wrong is there without levels, so that rules may still name it.
pub(crate) type Policies = BTreeMap<String, Option<Arc<Policy>>>;

/// One level as it is written; what is missing is taken from the default policy.
type Levels = [Option<Level>; 4];

pub(crate) fn read_policies(table: &Table, channels: &Channels, at: &str, log: &Diagnostics) -> Policies {
    let path = |name: &str| path::join(at, name);
    let read = |name: &str, entry| read_levels(name, entry, channels, path(name), log);
    let written: BTreeMap<&String, Option<(Id, Levels)>> =
        table.iter().map(|(name, entry)| (name, read(name, entry))).collect();
    let default = match written.iter().find(|(name, _)| **name == DEFAULT_POLICY) {
        Some((_, Some((_, levels)))) => levels.clone(),
        // Already said to be wrong; saying it again for every policy that builds on it would not help.
        Some((_, None)) => return table.keys().map(|name| (name.clone(), None)).collect(),
        None => Levels::default(),
    };
    let policies = written.into_iter().map(|(name, levels)| {
        let policy = levels.and_then(|(id, levels)| match complete(&levels, &default) {
            Ok(levels) => Some(Arc::new(Policy { id, levels })),
            Err(severity) => {
                let problem = Problem::new(format!("{severity} is missing, here and in the policy default"));
                log.error(table[name].key, &path(name), problem.across_documents());
                None
            }
        });
        (name.clone(), policy)
    });
    policies.collect()
}

fn complete(levels: &Levels, default: &Levels) -> Result<[Level; 4], Severity> {
    let level = |severity: Severity| {
        let ix = severity as usize;
        levels[ix].clone().or_else(|| default[ix].clone()).ok_or(severity)
    };
    let [preventive, warning, critical, urgent] = Severity::ALL;
    Ok([level(preventive)?, level(warning)?, level(critical)?, level(urgent)?])
}

/// The levels of a policy; none where one of them is wrong.
fn read_levels(
    name: &str,
    entry: &Entry,
    channels: &Channels,
    path: String,
    log: &Diagnostics,
) -> Option<(Id, Levels)> {
    let fields = Fields::of(entry, path, &POLICY, log)?;
    let id = reader::entry_id(name, &fields, log);
    let mut levels = Levels::default();
    let mut whole = true;
    for severity in Severity::ALL {
        let stated = fields.has(severity.name());
        levels[severity as usize] = fields.table(severity.name()).and_then(|level| read_level(level, channels, log));
        whole &= stated == levels[severity as usize].is_some();
    }
    fields.finish();
    whole.then_some((id?, levels))
}

fn read_level(fields: Fields<'_>, channels: &Channels, log: &Diagnostics) -> Option<Level> {
    let wait = fields.required("wait", reader::some_duration);
    if !fields.has("channels") {
        fields.error_here(Problem::new("channels is missing").across_documents());
    }
    let channels = fields.list("channels", "a list of channels such as [\"log\"]", |item| channel(item, channels, log));
    if channels.as_ref().is_some_and(Vec::is_empty) {
        fields.warning("channels", Problem::new("nobody is told at this level"));
    }
    fields.finish();
    let mut seen = BTreeSet::new();
    let channels = channels?.into_iter().filter(|id| seen.insert(id.clone())).collect();
    Some(Level { wait: wait?, channels })
}

fn channel(node: &Node, channels: &Channels, log: &Diagnostics) -> Result<Id, Problem> {
    let id = reader::id(node)?;
    if channels.contains_key(id.as_str()) {
        return Ok(id);
    }
    Err(reader::unknown_name("channel", id.as_str(), "notifications", channels.keys(), log))
}

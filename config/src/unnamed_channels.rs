//! Channels that no level of an escalation policy names.

use std::collections::BTreeSet;

use tilth_core::id::Id;

use crate::diagnostic::{Diagnostics, Problem};
use crate::document::Effective;
use crate::path;
use crate::settings::Zones;
use crate::source::{Layer, Sources};

/// Warns of channels that no level names: no alert reaches them. That the shipped ones are not named is a choice.
pub(crate) fn say(effective: &Effective, zones: &Zones, sources: &Sources, log: &Diagnostics) {
    let policies = || zones.all().flat_map(|settings| settings.policies.values());
    if policies().any(Option::is_none) {
        // A policy that is wrong may name any of them.
        return;
    }
    let mut named: BTreeSet<&str> = policies()
        .flatten()
        .flat_map(|policy| &policy.levels)
        .flat_map(|level| &level.channels)
        .map(Id::as_str)
        .collect();
    for (at, _, table) in effective.tables("notifications") {
        for (name, entry) in table {
            let is_shipped = sources.get(entry.key.source).layer == Some(Layer::Base);
            let is_read = zones.all().any(|settings| matches!(settings.channels.get(name), Some(Some(_))));
            if is_shipped || !is_read || !named.insert(name) {
                continue;
            }
            let problem = Problem::new("no level of an escalation policy names this channel, so it tells nobody");
            let help = format!(
                "expected it in one, such as [escalation.default] urgent = {{ wait = \"15m\", channels = [\"log\", \"{name}\"] }}"
            );
            log.warning(entry.key, &path::join(&at, name), problem.help(help).across_documents());
        }
    }
}

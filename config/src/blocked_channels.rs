//! Says of each channel whose secret `agent.toml` does not let go where the channel leads.

use crate::agent_toml::AgentToml;
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::Effective;
use crate::path;
use crate::settings::Zones;

/// Says of each channel that may not use its secret.
pub(crate) fn say(effective: &Effective, zones: &Zones, agent_toml: &AgentToml, log: &Diagnostics) {
    for (at, zone, table) in effective.tables("notifications") {
        let settings = zone.map_or_else(|| zones.device(), |zone| zones.settings(zone));
        for (name, entry) in table {
            let channel = settings.channels.get(name).and_then(|channel| channel.as_ref());
            let Some(why) = channel.and_then(|(_, channel)| channel.blocked_by(agent_toml)) else { continue };
            let place = entry.node.get(["url"]).map_or(entry.key, |node| node.place);
            let problem = Problem::new(why).help("nothing is sent by this channel");
            log.warning(place, &path::join(&path::join(&at, name), "url"), problem);
        }
    }
}

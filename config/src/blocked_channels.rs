//! Says of each channel whose secret `agent.toml` does not let go where the channel leads.

use crate::channels::Channels;
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::{Effective, ZONES};
use crate::path;
use crate::settings::Zones;
use crate::site::Site;
use crate::source::Place;
use crate::tree::Table;

/// Says of each channel that may not use its secret.
pub(crate) fn say(effective: &Effective, zones: &Zones, site: &Site, log: &Diagnostics) {
    let device = effective.device().namespace("notifications");
    say_of(&device, "notifications", &zones.device().channels, site, log);
    for (zone, _) in effective.zones().into_iter().flatten() {
        if let Some(own) = effective.zone(zone).own("notifications") {
            let at = path::join(&path::join(ZONES, zone), "notifications");
            say_of(own, &at, &zones.settings(zone).channels, site, log);
        }
    }
}

fn say_of(table: &Table, at: &str, channels: &Channels, site: &Site, log: &Diagnostics) {
    for (name, entry) in table {
        let channel = channels.get(name).and_then(|channel| channel.as_ref());
        let Some(why) = channel.and_then(|(_, channel)| channel.blocked_by(site)) else { continue };
        let place: Place = entry.node.get(["url"]).map_or(entry.key, |node| node.place);
        let problem = Problem::new(why).help("nothing is sent by this channel");
        log.warning(place, &path::join(&path::join(at, name), "url"), problem);
    }
}

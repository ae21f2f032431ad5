//! What the agent begins with: the last good bundle of the hub, else `config.d`.

use std::path::Path;
use std::sync::Arc;

use tilth_config::bundle::Bundle;
use tilth_config::{Device, Level, Loaded, Purpose, Site};
use tilth_core::plan::Plan;

use super::{Farm, reload};
use crate::findings;
use crate::output::tell;
use crate::seen::Seen;
use crate::sync::Home;
use crate::sync::bundle::{self, Ruling, ignored, say_ignored};
use crate::sync::kept::Kept;
use crate::sync::way::trusted_key;

/// What it begins with.
pub(super) struct First {
    pub(super) farm: Farm,
    /// None on a farm without a hub.
    pub(super) home: Option<Home>,
    pub(super) ruling: Ruling,
    /// How the folder looked before it was read.
    pub(super) seen: Seen,
}

impl First {
    /// Nothing where the configuration has errors; they are said.
    pub(super) fn read(folder: &Path, data: &Path) -> Option<First> {
        let seen = reload::seen(folder);
        let mut loaded = tilth_config::load(folder, Purpose::Run);
        let home = loaded.site.as_ref().and_then(|site| home(site, folder, data));
        if let Some(home) = &home {
            match good(home) {
                Ok(Some((bundle, farm))) => {
                    tell(format_args!("tilth-agent: the hub's bundle {} is in force", bundle.version));
                    say_ignored(&ignored(folder));
                    let ruling = Ruling::new(Some(Arc::new(bundle)), farm.configured.hash.clone());
                    return Some(First { farm, home: Some(home.clone()), ruling, seen });
                }
                Ok(None) if waits_for_hub(&loaded, folder) => {
                    tell("tilth-agent: nothing is configured; waiting for the hub's configuration");
                    loaded.diagnostics.clear();
                    loaded.plan = Plan::new(Vec::new(), Vec::new()).ok();
                }
                Ok(None) => {}
                Err(why) => tell(format_args!("tilth-agent: the last good bundle cannot be used: {why}; config.d is")),
            }
        }
        findings::shown(&loaded, false).for_each(tell);
        let farm = Farm::of(loaded)?;
        let ruling = Ruling::new(None, farm.configured.hash.clone());
        Some(First { farm, home, ruling, seen })
    }
}

fn home(site: &Site, folder: &Path, data: &Path) -> Option<Home> {
    let (Some(hub), Some(Device { id, client: Some(client) })) = (&site.hub, &site.device) else { return None };
    Some(Home {
        client: client.clone(),
        device: id.clone(),
        hub: hub.clone(),
        folder: folder.to_owned(),
        data: data.to_owned(),
    })
}

fn good(home: &Home) -> Result<Option<(Bundle, Farm)>, String> {
    let kept = Kept::new(&home.data);
    if !kept.has_good() {
        return Ok(None);
    }
    let key = trusted_key(home).map_err(|error| format!("{error:#}"))?;
    let Some(bundle) = kept.good(&key, &home.client, &home.device)? else { return Ok(None) };
    let loaded = bundle::compile(&bundle, &home.folder);
    let problems: Vec<String> = findings::shown(&loaded, false).collect();
    let refused = loaded.has_errors();
    match Farm::of(loaded) {
        Some(farm) if !refused => Ok(Some((bundle, farm))),
        _ => Err(format!("version {} does not compile: {}", bundle.version, problems.join("; "))),
    }
}

/// A new device: no file says what to watch, and nothing else is wrong.
fn waits_for_hub(loaded: &Loaded, folder: &Path) -> bool {
    let mut errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
    ignored(folder).is_empty() && errors.all(|error| error.file == "config.d")
}

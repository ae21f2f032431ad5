//! What the agent begins with: the last good bundle of the hub, else `config.d`.

use std::path::Path;
use std::sync::Arc;

use tilth_config::bundle::Bundle;
use tilth_config::{Device, Diagnostic, Level, Loaded, Purpose, Site};
use tilth_core::plan::Plan;

use super::{Farm, opened, reload};
use crate::clock::Clock;
use crate::findings;
use crate::output::tell;
use crate::seen::Seen;
use crate::sync::Home;
use crate::sync::bundle::{self, Ruling, ignored, say_ignored};
use crate::sync::kept::{Kept, NotGood};
use crate::sync::way::trusted_key;

/// What it begins with.
pub(super) struct First {
    pub(super) farm: Farm,
    /// None on a farm without a hub.
    pub(super) home: Option<Home>,
    pub(super) ruling: Ruling,
    /// Why it is not the last good bundle, where there was one.
    pub(super) lost: Option<String>,
    /// How the folder looked before it was read.
    pub(super) seen: Seen,
}

impl First {
    /// Nothing where what a person wrote has errors; they are said.
    pub(super) fn read(folder: &Path, data: &Path, clock: &Clock) -> Option<First> {
        let seen = reload::seen(folder);
        let mut loaded = tilth_config::load(folder, Purpose::Run);
        let home = loaded.site.as_ref().and_then(|site| home(site, folder, data));
        let mut lost = None;
        if let Some(home) = &home {
            match good(home) {
                Ok(Some((bundle, farm))) => return Some(First::of_bundle(home.clone(), bundle, farm, seen)),
                Ok(None) if is_new(&loaded, folder) => {
                    tell("tilth-agent: nothing is configured; waiting for the hub's configuration");
                    watch_nothing(&mut loaded);
                }
                Ok(None) => {}
                Err(reason) => {
                    let why = format!("{}; {}", said(&reason, home, clock), go_on_without(&mut loaded));
                    tell(format_args!("tilth-agent: {why}"));
                    lost = Some(why);
                }
            }
        }
        findings::shown(&loaded, false).for_each(tell);
        let farm = Farm::of(loaded)?;
        let highest = home.as_ref().map_or(0, |home| Kept::new(&home.data).highest());
        let ruling = Ruling::new(None, highest, farm.configured.hash.clone());
        Some(First { farm, home, ruling, lost, seen })
    }

    fn of_bundle(home: Home, bundle: Bundle, farm: Farm, seen: Seen) -> First {
        tell(format_args!("tilth-agent: the hub's bundle {} is in force", bundle.version));
        say_ignored(&ignored(&home.folder));
        let highest = Kept::new(&home.data).highest();
        let ruling = Ruling::new(Some(Arc::new(bundle)), highest, farm.configured.hash.clone());
        First { farm, home: Some(home), ruling, lost: None, seen }
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

fn good(home: &Home) -> Result<Option<(Bundle, Farm)>, NotGood> {
    let kept = Kept::new(&home.data);
    if !kept.has_good() {
        return if kept.highest() > 0 { Err(NotGood::Gone) } else { Ok(None) };
    }
    let key = trusted_key(home).map_err(|error| NotGood::Unusable(format!("{error:#}")))?;
    let Some(bundle) = kept.good(&key, &home.client, &home.device)? else { return Ok(None) };
    let loaded = bundle::compile(&bundle, &home.folder);
    let problems: Vec<String> = findings::shown(&loaded, false).collect();
    let refused = loaded.has_errors();
    match Farm::of(loaded) {
        Some(farm) if !refused => Ok(Some((bundle, farm))),
        _ => Err(NotGood::Unusable(format!("version {} does not compile: {}", bundle.version, problems.join("; ")))),
    }
}

/// A damaged file is put aside, since the next good one would take its place; a whole one is of use again once it fits.
fn said(reason: &NotGood, home: &Home, clock: &Clock) -> String {
    let why = match reason {
        NotGood::Gone => return "the last good bundle is not there any more".to_owned(),
        NotGood::Unusable(why) => return format!("the last good bundle cannot be used: {why}"),
        NotGood::Damaged(why) => why,
    };
    match Kept::new(&home.data).put_good_aside(&opened::mark(clock)) {
        Ok(to) => format!("the last good bundle is damaged ({why}) and lies in {}", to.display()),
        Err(stuck) => format!("the last good bundle is damaged ({why}) and stays in its place: {stuck}"),
    }
}

/// What is in force instead of the last good bundle, in words. Files that it made void are no reason to end: the hub can
/// still mend it.
fn go_on_without(loaded: &mut Loaded) -> &'static str {
    if !loaded.has_errors() {
        return "config.d is in force until the hub's next one";
    }
    if errors(loaded).any(|error| error.file == "agent.toml") {
        return "agent.toml has errors";
    }
    findings::shown(loaded, false).for_each(tell);
    watch_nothing(loaded);
    "config.d cannot be in force: nothing is watched until it is mended or the hub sends the next one"
}

fn watch_nothing(loaded: &mut Loaded) {
    loaded.diagnostics.clear();
    loaded.feeds.clear();
    loaded.plan = Plan::new(Vec::new(), Vec::new()).ok();
}

/// A new device: no file says what to watch, and nothing else is wrong.
fn is_new(loaded: &Loaded, folder: &Path) -> bool {
    ignored(folder).is_empty() && errors(loaded).all(|error| error.file == "config.d")
}

fn errors(loaded: &Loaded) -> impl Iterator<Item = &Diagnostic> {
    loaded.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error)
}

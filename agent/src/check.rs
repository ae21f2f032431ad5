//! `tilth-agent check`: everything that is wrong with a configuration.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use serde::Serialize;
use tilth_config::{Loaded, Purpose};
use tilth_core::id::SensorId;

use crate::cli;
use crate::exit::Exit;
use crate::findings::{self, Counts};
use crate::output::{Output, counted};
use crate::sync::bundle;
use crate::sync::kept::Kept;

/// What a configuration comes to.
#[derive(Debug, Serialize)]
struct Summary {
    /// Sensors, their zones, and rules bound to them; none where errors keep the rules from being bound.
    sensors: Option<u64>,
    zones: Option<u64>,
    rules: Option<u64>,
    errors: u64,
    warnings: u64,
    /// Files of `config.d` that mean nothing here, because the hub's configuration rules.
    ignored: Vec<String>,
}

/// Checks a folder. Warnings alone are no failure.
pub(crate) fn run(wanted: &cli::Check) -> anyhow::Result<Exit> {
    let loaded = tilth_config::load(&wanted.config.folder, Purpose::Check);
    let ignored = ignored(wanted, &loaded);
    let mut output = Output::new();
    if wanted.json {
        loaded.diagnostics.iter().try_for_each(|diagnostic| output.json(diagnostic))?;
        output.json(&summary(&loaded, ignored))?;
    } else {
        findings::shown(&loaded, io::stdout().is_terminal()).try_for_each(|finding| output.line(finding))?;
        if !ignored.is_empty() {
            let (files, data) = (ignored.join(", "), wanted.data.display());
            output.line(format_args!("the hub's configuration rules this device ({data}); ignored: {files}"))?;
        }
        output.line(words(&summary(&loaded, ignored)))?;
    }
    output.flush()?;
    Ok(if loaded.has_errors() { Exit::Refused } else { Exit::Done })
}

/// What a bundle in the data folder makes void.
fn ignored(wanted: &cli::Check, loaded: &Loaded) -> Vec<String> {
    let has_hub = loaded.site.as_ref().is_some_and(|site| site.hub.is_some());
    if has_hub && Kept::new(&wanted.data).has_good() { bundle::ignored(&wanted.config.folder) } else { Vec::new() }
}

fn summary(loaded: &Loaded, ignored: Vec<String>) -> Summary {
    let Counts { errors, warnings } = Counts::of(loaded);
    let plan = loaded.plan.as_ref();
    // The agent adds some of its own to those that documents name.
    let named = |sensor: &SensorId| loaded.feeds.contains_key(sensor);
    let sensors = plan.map(|plan| plan.sensors().iter().filter(|sensor| named(&sensor.id)));
    let zones = sensors.clone().map(|sensors| sensors.map(|sensor| &sensor.zone).collect::<BTreeSet<_>>());
    Summary {
        sensors: sensors.map(|sensors| sensors.count() as u64),
        zones: zones.map(|zones| zones.len() as u64),
        rules: plan.map(|plan| plan.rules().filter(|rule| named(&rule.key.sensor)).count() as u64),
        errors,
        warnings,
        ignored,
    }
}

fn words(summary: &Summary) -> String {
    let counts = Counts { errors: summary.errors, warnings: summary.warnings };
    match summary {
        Summary { sensors: Some(sensors), zones: Some(zones), rules: Some(rules), .. } => {
            let (sensors, zones) = (counted(*sensors, "sensor"), counted(*zones, "zone"));
            format!("{sensors} in {zones}, {} bound to them: {counts}", counted(*rules, "rule"))
        }
        _ => counts.to_string(),
    }
}

//! `tilth-agent check`: everything that is wrong with a configuration.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use serde::Serialize;
use tilth_config::{Loaded, Purpose};

use crate::cli;
use crate::exit::Exit;
use crate::findings::{self, Counts};
use crate::output::{Output, counted};

/// What a configuration comes to.
#[derive(Debug, Serialize)]
struct Summary {
    /// Sensors, their zones, and rules bound to them; none where errors keep the rules from being bound.
    sensors: Option<u64>,
    zones: Option<u64>,
    rules: Option<u64>,
    errors: u64,
    warnings: u64,
}

/// Checks a folder. Warnings alone are no failure.
pub(crate) fn run(wanted: &cli::Check) -> anyhow::Result<Exit> {
    let loaded = tilth_config::load(&wanted.config.folder, Purpose::Check);
    let mut output = Output::new();
    if wanted.json {
        loaded.diagnostics.iter().try_for_each(|diagnostic| output.json(diagnostic))?;
        output.json(&summary(&loaded))?;
    } else {
        findings::shown(&loaded, io::stdout().is_terminal()).try_for_each(|finding| output.line(finding))?;
        output.line(words(&summary(&loaded)))?;
    }
    output.flush()?;
    Ok(if loaded.has_errors() { Exit::Refused } else { Exit::Done })
}

fn summary(loaded: &Loaded) -> Summary {
    let Counts { errors, warnings } = Counts::of(loaded);
    let plan = loaded.plan.as_ref();
    let zones = plan.map(|plan| plan.sensors().iter().map(|sensor| &sensor.zone).collect::<BTreeSet<_>>());
    Summary {
        sensors: plan.map(|plan| plan.sensors().len() as u64),
        zones: zones.map(|zones| zones.len() as u64),
        rules: plan.map(|plan| plan.rules().len() as u64),
        errors,
        warnings,
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

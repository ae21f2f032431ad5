//! `tilth-agent check`: everything that is wrong with a configuration.

pub(crate) mod machine;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::Path;

use serde::Serialize;
use tilth_config::{Diagnostic, Loaded, Purpose};
use tilth_core::id::SensorId;

use crate::cli;
use crate::configuration::preview::{BundlePreview, Preview};
use crate::console::{Console, counted};
use crate::exit::Exit;
use crate::findings::{self, Counts};

/// Last line of the answer.
#[derive(Debug, Serialize)]
struct Summary {
    /// Sensors, their zones, and rules bound to them; `None` where errors keep the rules from being bound.
    sensors: Option<u64>,
    zones: Option<u64>,
    rules: Option<u64>,
    #[serde(flatten)]
    counts: Counts,
    /// Version of the active bundle.
    bundle: Option<u64>,
    /// Files of `config.d` that are ignored because of the bundle.
    ignored: Vec<String>,
}

/// A finding in a file that is ignored.
#[derive(Debug, Serialize)]
struct Ignored<'a> {
    #[serde(flatten)]
    finding: &'a Diagnostic,
    ignored: bool,
}

/// Checks a folder. Warnings alone are no failure.
pub(crate) fn run(wanted: &cli::Check) -> anyhow::Result<Exit> {
    let Preview { mut loaded, bundle, .. } = Preview::read(&wanted.config.folder, &wanted.data, Purpose::Check);
    if loaded.agent_toml.is_some() {
        let wrong = machine::warnings(&loaded, &wanted.config.folder);
        loaded.diagnostics.extend(wrong);
        if bundle.is_some() {
            let unbound = machine::unbound(&loaded);
            loaded.diagnostics.extend(unbound);
        }
    }
    loaded.diagnostics.iter_mut().for_each(|finding| say_what_to_do(finding, &wanted.config.folder));
    let summary = summary(&loaded, bundle.as_ref());
    let ignored = bundle.iter().flat_map(|active| &active.diagnostics);
    let mut console = Console::new();
    if wanted.json {
        loaded.diagnostics.iter().try_for_each(|finding| console.json(finding))?;
        ignored.map(|finding| Ignored { finding, ignored: true }).try_for_each(|finding| console.json(&finding))?;
        console.json(&summary)?;
    } else {
        findings::shown(&loaded, io::stdout().is_terminal()).try_for_each(|finding| console.line(finding))?;
        ignored.map(|finding| format!("ignored: {finding}")).try_for_each(|finding| console.line(finding))?;
        if let Some(active) = &bundle {
            console.line(active.summary(&wanted.data))?;
        }
        console.line(words(&summary))?;
    }
    console.flush()?;
    Ok(if loaded.has_errors() { Exit::Refused } else { Exit::Done })
}

/// Adds what only the agent knows to findings about files: who may look at one, and what writes the first ones.
fn say_what_to_do(finding: &mut Diagnostic, folder: &Path) {
    const DENIED: &str = "Permission denied (os error 13)";
    let message = &finding.message;
    let is_missing = message.ends_with("(os error 2)") && finding.file == folder.display().to_string();
    if message.contains(DENIED) {
        let message = message.replace(DENIED, "you may not read it");
        finding.message =
            message.replace("cannot be read", "was not looked at").replace("cannot be used", "was not looked at");
        finding.help = Some(
            "sudo tilth-agent check looks at it; what the group tilth may read you may read after \
             sudo usermod -aG tilth $USER and a new login"
                .to_owned(),
        );
    } else if is_missing || message.starts_with("no .toml file in ") {
        finding.help = Some("sudo tilth-agent init writes the first configuration".to_owned());
    }
}

fn summary(loaded: &Loaded, bundle: Option<&BundlePreview>) -> Summary {
    let plan = loaded.plan.as_ref();
    // The agent adds some of its own to those that documents name.
    let named = |sensor: &SensorId| loaded.input_settings.contains_key(sensor);
    let sensors = plan.map(|plan| plan.sensors().iter().filter(|sensor| named(&sensor.id)));
    let zones = sensors.clone().map(|sensors| sensors.map(|sensor| &sensor.zone).collect::<BTreeSet<_>>());
    Summary {
        sensors: sensors.map(|sensors| sensors.count() as u64),
        zones: zones.map(|zones| zones.len() as u64),
        rules: plan.map(|plan| plan.rules().filter(|rule| named(&rule.key.sensor)).count() as u64),
        counts: Counts::of(loaded),
        bundle: bundle.map(|active| active.version),
        ignored: bundle.map(|active| active.ignored.clone()).unwrap_or_default(),
    }
}

fn words(summary: &Summary) -> String {
    match summary {
        Summary { sensors: Some(sensors), zones: Some(zones), rules: Some(rules), counts, .. } => {
            let (sensors, zones) = (counted(*sensors, "sensor"), counted(*zones, "zone"));
            format!("{sensors} in {zones}, {} bound to them: {counts}", counted(*rules, "rule"))
        }
        _ => summary.counts.to_string(),
    }
}

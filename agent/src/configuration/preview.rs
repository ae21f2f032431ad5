//! What an agent that starts now would run, for `check` and `explain`. Changes nothing.

use std::path::Path;

use tilth_config::{Diagnostic, Level, Loaded, Purpose};
use tilth_core::calibrate::Calibration;
use tilth_core::plan::Plan;
use tilth_core::sensor::Sensor;

use super::bundle::ignored;
use super::startup::{Candidates, Choice, ConfigOrigin, ConfigSet, FileSet, SavedBundle, instead_of_bundle};

pub(crate) struct Preview {
    pub(crate) loaded: Loaded,
    /// The bundle that would be active.
    pub(crate) bundle: Option<BundlePreview>,
    /// Why the saved bundle would not be active, where there is one; also among the diagnostics.
    pub(crate) unavailable: Option<Diagnostic>,
}

/// A bundle that would be active, and the files that are ignored because of it.
pub(crate) struct BundlePreview {
    pub(crate) version: u64,
    pub(crate) ignored: Vec<String>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Preview {
    /// Reads the files in the folder and the saved bundle.
    pub(crate) fn read(folder: &Path, data: &Path, purpose: Purpose) -> Preview {
        let Candidates { in_folder, choice, .. } = Candidates::read(folder, data, purpose);
        let ConfigSet { loaded: mut files, bundle, is_new, .. } = in_folder;
        let why = match bundle {
            SavedBundle::Usable(usable) => {
                let (bundle, mut loaded) = *usable;
                loaded.diagnostics.extend(unused_calibrations(&files, &loaded));
                let diagnostics =
                    files.diagnostics.into_iter().filter(|one| one.file.starts_with("config.d/")).collect();
                let active = BundlePreview { version: bundle.version, ignored: ignored(folder), diagnostics };
                return Preview { loaded, bundle: Some(active), unavailable: None };
            }
            SavedBundle::None => {
                if is_new && choice == Choice::Run(ConfigOrigin::Nothing, FileSet::InFolder) {
                    wait_for_hub(&mut files);
                }
                return Preview { loaded: files, bundle: None, unavailable: None };
            }
            SavedBundle::Incompatible(version, loaded) => {
                let more = loaded.diagnostics.into_iter().filter(|one| !files.diagnostics.contains(one));
                let more: Vec<Diagnostic> = more.collect();
                files.diagnostics.extend(more);
                format!("cannot be used: version {version} has errors with this agent.toml")
            }
            SavedBundle::Unavailable(why) => why.to_string(),
        };
        let file = data.join("bundle.good").display().to_string();
        let why = Diagnostic::warning(&file, format!("the hub's last good bundle {why}"), instead_of_bundle(choice));
        files.diagnostics.push(why.clone());
        Preview { loaded: files, bundle: None, unavailable: Some(why) }
    }
}

impl BundlePreview {
    /// One line for people: the version, and which files are ignored.
    pub(crate) fn summary(&self, data: &Path) -> String {
        let ignored =
            if self.ignored.is_empty() { String::new() } else { format!("; ignored: {}", self.ignored.join(", ")) };
        format!("the hub configures this device (bundle {} in {}){ignored}", self.version, data.display())
    }
}

/// Calibrations on site that the configuration of the hub has not, or has otherwise: their sensors show other values now.
fn unused_calibrations(files: &Loaded, active: &Loaded) -> Vec<Diagnostic> {
    let active = active.plan.iter().flat_map(Plan::sensors);
    let lost = active.filter(|sensor| {
        let on_site = files.plan.as_ref().and_then(|plan| Some(plan.sensor(plan.sensor_ix(sensor.id.as_str())?)));
        on_site.is_some_and(|on_site| {
            on_site.calibration != Calibration::Identity && on_site.calibration != sensor.calibration
        })
    });
    let say = |sensor: &Sensor| {
        let message = format!("the calibration of {} in config.d is not used: the hub has another or none", sensor.id);
        Diagnostic::warning("config.d", message, "put the farm's files with it to the hub: tilth-hub config put")
    };
    lost.map(say).collect()
}

/// A new device that waits for its hub has no error: its configuration comes from there.
fn wait_for_hub(loaded: &mut Loaded) {
    loaded.diagnostics.retain(|one| one.level != Level::Error);
    let help = "the agent waits for the hub's first bundle and watches no sensor until then";
    loaded.diagnostics.push(Diagnostic::warning("config.d", "no configuration yet".to_owned(), help));
}

#[cfg(test)]
mod tests {
    use tilth_config::{Document, Layer, base, load_documents};

    use super::*;

    /// Guards against: a first `config put` without the calibration of the site, after which every pH is wrong and nothing says why.
    #[test]
    fn a_calibration_that_the_hub_has_not_is_said() {
        let load = |calibration: &str| {
            let mut documents = base();
            let sensor = format!("[sensors.'a/ph']\nquantity = 'ph'\n{calibration}");
            documents.layers.push(Document::toml(Layer::ConfigD, "config.d/a.toml", &sensor));
            load_documents(documents, Purpose::Replay)
        };
        let said = |site: &str, hub: &str| {
            unused_calibrations(&load(site), &load(hub)).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let own = "calibration = { gain = 1.02 }";
        let expected = "config.d: warning: the calibration of a/ph in config.d is not used: the hub has another or none; put the farm's \
                        files with it to the hub: tilth-hub config put";
        assert_eq!(said(own, ""), [expected]);
        assert_eq!(said(own, "calibration = { gain = 1.03 }"), [expected]);
        assert!(said(own, own).is_empty() && said("", own).is_empty());
    }
}

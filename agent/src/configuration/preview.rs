//! What an agent that starts now would run, for `check` and `explain`. Changes nothing.

use std::path::Path;

use tilth_config::{Diagnostic, Level, Loaded, Purpose};

use super::bundle::ignored;
use super::startup::{Choice, ConfigOrigin, ConfigSet, SavedBundle, choose};

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
        let in_folder = ConfigSet::read(folder, data, purpose);
        let choice = choose(in_folder.candidate(), None);
        let ConfigSet { loaded: mut files, bundle, .. } = in_folder;
        let (why, instead) = match bundle {
            SavedBundle::Usable(usable) => {
                let (bundle, loaded) = *usable;
                let diagnostics =
                    files.diagnostics.into_iter().filter(|one| one.file.starts_with("config.d/")).collect();
                let active = BundlePreview { version: bundle.version, ignored: ignored(folder), diagnostics };
                return Preview { loaded, bundle: Some(active), unavailable: None };
            }
            SavedBundle::None => {
                if matches!(choice, Choice::Run(ConfigOrigin::Nothing, _)) {
                    wait_for_hub(&mut files);
                }
                return Preview { loaded: files, bundle: None, unavailable: None };
            }
            SavedBundle::Incompatible(version, loaded) => {
                let more = loaded.diagnostics.into_iter().filter(|one| !files.diagnostics.contains(one));
                let more: Vec<Diagnostic> = more.collect();
                files.diagnostics.extend(more);
                let why = format!("cannot be used: version {version} has errors with this agent.toml");
                (why, "an agent that ran before keeps the last good agent.toml")
            }
            SavedBundle::Unavailable(why) => {
                (why.to_string(), "config.d is in force until the hub sends the next bundle")
            }
        };
        let file = data.join("bundle.good").display().to_string();
        let why = Diagnostic::warning(&file, format!("the hub's last good bundle {why}"), instead);
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

/// A new device that waits for its hub has no error: its configuration comes from there.
fn wait_for_hub(loaded: &mut Loaded) {
    loaded.diagnostics.retain(|one| one.level != Level::Error);
    let help = "the agent waits for the hub's first bundle and watches no sensor until then";
    loaded.diagnostics.push(Diagnostic::warning("config.d", "no configuration yet".to_owned(), help));
}

//! What an agent that starts now would have in force, for those who look; nothing is changed.
//!
//! The files as they are now are judged: where they have errors, an agent that ran before goes on with what was in force then.

use std::path::Path;

use tilth_config::bundle::Bundle;
use tilth_config::{Diagnostic, Level, Loaded, Purpose};

use super::bundle::ignored;
use super::bundle_files::Lost;
use super::startup::{Choice, LastBundle, Written, choose};

/// What would be in force.
pub(crate) struct InForce {
    /// The configuration, and what is wrong with it.
    pub(crate) loaded: Loaded,
    /// The bundle in force, and what it makes void.
    pub(crate) bundle: Option<OfBundle>,
    /// Why it is not the last good bundle, where there was one; among what is wrong, too.
    pub(crate) lost: Option<Diagnostic>,
}

/// A bundle that is in force.
pub(crate) struct OfBundle {
    pub(crate) version: u64,
    /// The files that mean nothing here.
    pub(crate) files: Vec<String>,
    /// What is wrong in them.
    pub(crate) findings: Vec<Diagnostic>,
}

impl InForce {
    /// What the agent would begin with now, as far as it has no errors.
    pub(crate) fn find(folder: &Path, data: &Path, purpose: Purpose) -> InForce {
        let now = Written::read(folder, data, purpose);
        let choice = choose(now.candidate(), None);
        let Written { loaded: mut files, bundle, .. } = now;
        let (why, instead) = match bundle {
            LastBundle::Fits(fits) => {
                let (bundle, loaded) = *fits;
                return InForce::bundle(&bundle, loaded, files, folder);
            }
            LastBundle::None => {
                if matches!(choice, Choice::Wait(_)) {
                    wait(&mut files);
                }
                return InForce { loaded: files, bundle: None, lost: None };
            }
            LastBundle::Unfit(version, loaded) => {
                let more = loaded.diagnostics.into_iter().filter(|one| !files.diagnostics.contains(one));
                let more: Vec<Diagnostic> = more.collect();
                files.diagnostics.extend(more);
                (format!("cannot be used: version {version} has errors with this agent.toml"), BY_BEFORE)
            }
            LastBundle::Lost(Lost::Gone) => ("is missing".to_owned(), BY_FILES),
            LastBundle::Lost(Lost::Reverted) => ("was reverted, and there is no earlier one".to_owned(), BY_FILES),
            LastBundle::Lost(Lost::Damaged(why)) => (format!("is damaged: {why}"), BY_FILES),
            LastBundle::Lost(Lost::Unusable(why)) => (format!("cannot be used: {why}"), BY_FILES),
        };
        let lost = lost(data, &why, instead);
        files.diagnostics.push(lost.clone());
        InForce { loaded: files, bundle: None, lost: Some(lost) }
    }

    fn bundle(bundle: &Bundle, loaded: Loaded, files: Loaded, folder: &Path) -> InForce {
        let findings = files.diagnostics.into_iter().filter(|one| one.file.starts_with("config.d/")).collect();
        let of_bundle = OfBundle { version: bundle.version, files: ignored(folder), findings };
        InForce { loaded, bundle: Some(of_bundle), lost: None }
    }
}

impl OfBundle {
    /// Says that it rules, over which files.
    pub(crate) fn words(&self, data: &Path) -> String {
        let ignored =
            if self.files.is_empty() { String::new() } else { format!("; ignored: {}", self.files.join(", ")) };
        format!("the hub configures this device (bundle {} in {}){ignored}", self.version, data.display())
    }
}

/// What the agent does where the bundle is lost.
const BY_FILES: &str = "config.d is in force until the hub sends the next bundle";

/// What it does where the bundle is whole.
const BY_BEFORE: &str = "an agent that ran before keeps the last good agent.toml";

fn lost(data: &Path, why: &str, instead: &str) -> Diagnostic {
    Diagnostic {
        level: Level::Warning,
        file: data.join("bundle.good").display().to_string(),
        position: None,
        path: String::new(),
        message: format!("the hub's last good bundle {why}"),
        help: Some(instead.to_owned()),
    }
}

/// No error, since nobody has to write anything here: the hub will.
fn wait(loaded: &mut Loaded) {
    loaded.diagnostics.retain(|one| one.level != Level::Error);
    loaded.diagnostics.push(Diagnostic {
        level: Level::Warning,
        file: "config.d".to_owned(),
        position: None,
        path: String::new(),
        message: "no configuration yet".to_owned(),
        help: Some("the agent waits for the hub's first bundle and watches no sensor until then".to_owned()),
    });
}

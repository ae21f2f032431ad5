//! What is to be in force on a device: the hub's last good bundle, else `config.d`. For those who look; nothing is changed.
//!
//! What lies there is judged, and nothing in its stead: where it has errors, `startup.rs` goes on with what was in force before.

use std::fs;
use std::io;
use std::path::Path;

use tilth_config::bundle::Bundle;
use tilth_config::{Diagnostic, Documents, Level, Loaded, Purpose, load_documents};

use crate::cli;
use crate::configuration::bundle::{self, ignored, is_new};
use crate::configuration::bundle_files::NotGood;
use crate::sync::Home;

/// What is in force.
pub(crate) struct InForce {
    /// It, compiled; what is wrong with it.
    pub(crate) loaded: Loaded,
    /// The bundle that rules, and what it makes void.
    pub(crate) bundle: Option<Ruling>,
    /// Why it is not the last good bundle, where there was one; among what is wrong, too.
    pub(crate) lost: Option<Diagnostic>,
}

/// A bundle that rules.
pub(crate) struct Ruling {
    pub(crate) version: u64,
    /// The files that mean nothing here.
    pub(crate) files: Vec<String>,
    /// What is wrong in them.
    pub(crate) findings: Vec<Diagnostic>,
}

impl InForce {
    /// What the agent would begin with now, as far as it has no errors.
    pub(crate) fn find(config: &cli::Config, data: &Path, purpose: Purpose) -> InForce {
        let folder = &config.folder;
        let mut files = tilth_config::load(folder, purpose);
        let home = files.site.as_ref().and_then(|site| Home::of(site, folder, data));
        let Some(home) = home else { return InForce::files(files, None) };
        let unfit =
            |version| (format!("cannot be used: version {version} does not compile with agent.toml"), BY_BEFORE);
        let (why, instead) = match good(&home) {
            Ok(Some(bundle)) => match compiled(&bundle, folder, purpose) {
                loaded if !loaded.has_errors() => return InForce::bundle(&bundle, loaded, files, folder),
                broken => {
                    let more = broken.diagnostics.into_iter().filter(|one| !files.diagnostics.contains(one));
                    let more: Vec<Diagnostic> = more.collect();
                    files.diagnostics.extend(more);
                    unfit(bundle.version)
                }
            },
            Ok(None) if is_new(&files, folder) => {
                wait(&mut files);
                return InForce::files(files, None);
            }
            Ok(None) => return InForce::files(files, None),
            Err(NotGood::Unfit(version, _)) => unfit(version),
            Err(NotGood::Gone) => ("is not there any more".to_owned(), BY_FILES),
            Err(NotGood::Damaged(why)) => (format!("is damaged: {why}"), BY_FILES),
            Err(NotGood::Unusable(why)) => (format!("cannot be used: {why}"), BY_FILES),
        };
        InForce::files(files, Some(lost(data, &why, instead)))
    }

    fn files(mut loaded: Loaded, lost: Option<Diagnostic>) -> InForce {
        loaded.diagnostics.extend(lost.clone());
        InForce { loaded, bundle: None, lost }
    }

    fn bundle(bundle: &Bundle, loaded: Loaded, files: Loaded, folder: &Path) -> InForce {
        let findings = files.diagnostics.into_iter().filter(|one| one.file.starts_with("config.d/")).collect();
        let ruling = Ruling { version: bundle.version, files: ignored(folder), findings };
        InForce { loaded, bundle: Some(ruling), lost: None }
    }
}

impl Ruling {
    /// Says that it rules, over which files.
    pub(crate) fn words(&self, data: &Path) -> String {
        let ignored =
            if self.files.is_empty() { String::new() } else { format!("; ignored: {}", self.files.join(", ")) };
        format!("the hub's configuration rules this device (bundle {} in {}){ignored}", self.version, data.display())
    }
}

fn good(home: &Home) -> Result<Option<Bundle>, NotGood> {
    if let Err(error) = fs::read_dir(&home.data)
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        return Err(NotGood::Unusable(format!("{}: {error}", home.data.display())));
    }
    bundle::last_good(home)
}

fn compiled(bundle: &Bundle, folder: &Path, purpose: Purpose) -> Loaded {
    load_documents(Documents { site: bundle::site(folder), ..bundle.documents() }, purpose)
}

/// What the agent does where the bundle is lost.
const BY_FILES: &str = "config.d is in force until the hub sends the next one";

/// What it does where the bundle is whole.
const BY_BEFORE: &str = "an agent that began before goes on with the agent.toml of then";

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
        message: "nothing is configured".to_owned(),
        help: Some("the agent waits for the hub's configuration, and watches nothing until then".to_owned()),
    });
}

//! Chooses what the agent starts with. Pure.
//!
//! ```text
//! the saved bundle, with the agent.toml in the folder
//!   |- there is none, or it is unavailable --> agent.toml and config.d in the folder
//!   `- these have errors, or do not fit the bundle
//!        |- the saved bundle, with the last good agent.toml
//!        |- last good agent.toml and config.d
//!        |- nothing, until the hub sends a bundle
//!        `- no hub either, or there was never a good configuration: rejected
//! ```

/// What the choice needs to know of one set of files: a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// `agent.toml` and `config.d` have no errors.
    pub(super) files: bool,
    /// The saved bundle, with this `agent.toml`.
    pub(super) bundle: BundleFit,
    /// `agent.toml` has no errors and names a hub.
    pub(super) enrolled: bool,
    /// No file says what to watch, and nothing else is wrong: a new device that waits for its hub.
    pub(super) is_new: bool,
}

/// How the saved bundle fits an `agent.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BundleFit {
    /// There never was a bundle, or there is no hub.
    None,
    Usable,
    /// The bundle is whole and has errors with this `agent.toml`.
    Incompatible,
    /// The bundle is damaged or not found, or the hub's key is.
    Unavailable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSet {
    /// The files as they are now.
    InFolder,
    /// The files as they were when they were last active.
    LastGood,
}

/// Origin of the sensors and rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigOrigin {
    Bundle,
    Files,
    /// No sensor is watched until the hub that `agent.toml` names sends a bundle.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Run(ConfigOrigin, FileSet),
    /// No candidate can be used.
    Reject,
}

impl Candidate {
    /// Whether no other candidate is needed.
    pub(super) fn is_enough(self) -> bool {
        self.bundle == BundleFit::Usable || self.files && self.bundle != BundleFit::Incompatible
    }

    fn has_lost_bundle(self) -> bool {
        matches!(self.bundle, BundleFit::Incompatible | BundleFit::Unavailable)
    }
}

pub(crate) fn choose(in_folder: Candidate, last_good: Option<Candidate>) -> Choice {
    use ConfigOrigin::{Bundle, Files, Nothing};
    use FileSet::{InFolder, LastGood};
    match (in_folder, last_good) {
        (in_folder, _) if in_folder.bundle == BundleFit::Usable => Choice::Run(Bundle, InFolder),
        (in_folder, _) if in_folder.is_enough() => Choice::Run(Files, InFolder),
        (_, Some(last_good)) if last_good.bundle == BundleFit::Usable => Choice::Run(Bundle, LastGood),
        (in_folder, _) if in_folder.files => Choice::Run(Files, InFolder),
        (_, Some(last_good)) if last_good.files => Choice::Run(Files, LastGood),
        (in_folder, last_good)
            if in_folder.enrolled
                && (in_folder.is_new
                    || in_folder.has_lost_bundle()
                    || last_good.is_some_and(Candidate::has_lost_bundle)) =>
        {
            Choice::Run(Nothing, InFolder)
        }
        (in_folder, Some(last_good)) if !in_folder.enrolled && last_good.enrolled => Choice::Run(Nothing, LastGood),
        _ => Choice::Reject,
    }
}

#[cfg(test)]
mod tests;

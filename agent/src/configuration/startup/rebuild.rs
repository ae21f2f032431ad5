//! The state of bundles where `bundle.state` is lost, by the other files of bundles.

use std::path::Path;

use tilth_config::bundle::{Bundle, TrustedKey};
use tilth_config::{Files, Purpose};

use super::super::bundle;
use super::super::bundle_files::{
    ACTIVE, BundleFiles, BundleState, OnProbation, PREVIOUS, REVERTED, RejectedBundle, Reverted,
};
use super::super::compiled::Compiled;
use super::super::probation::{self, Observation};
use super::Startup;

/// A bundle is on probation as long as the one before it is here, and one that was reverted stays rejected. Which sensors were good is lost:
/// those that the bundle before has count as good.
pub(super) fn rebuilt_state(data: &Path, startup: &Startup) -> BundleState {
    let files = BundleFiles::new(data);
    // A damaged bundle that was moved aside left its mark there.
    let state = files.state().unwrap_or_default();
    let Some((enrolment, key)) = startup.enrolment.as_ref().and_then(|of| Some((of, of.trusted_key().ok()?))) else {
        return state;
    };
    let active = startup.bundle.as_deref();
    let reverted = files.verified(REVERTED, &key, enrolment).ok().flatten();
    let reverted = reverted.filter(|reverted| reverted.version > active.map_or(0, |active| active.version));
    let highest = reverted.as_ref().map_or(state.highest, |reverted| reverted.version);
    let rejected = reverted.and_then(|reverted| as_rejected(&files, &key, &reverted));
    let probation = active.and_then(|active| {
        let before = files.verified(PREVIOUS, &key, enrolment).transpose()?.ok();
        // A file that is left over from another time, or is the active bundle's own copy, says nothing of a probation.
        let is_before = before.as_ref().is_none_or(|before| before.version < active.version);
        is_before.then(|| on_probation(&files, &key, active, (before, startup)))?
    });
    let state = BundleState { highest, rejected, probation, ..state };
    if state.rejected.is_some() || state.probation.is_some() {
        // Where this fails the next start has to do it again, and finds the same files.
        let _ = files.save_state(&state);
    }
    state
}

fn as_rejected(files: &BundleFiles, key: &TrustedKey, reverted: &Bundle) -> Option<RejectedBundle> {
    Some(RejectedBundle {
        hash: files.hash(REVERTED)?,
        trusted: key.id().to_string(),
        version: Some(reverted.version),
        reason: "reverted: it did not pass its probation; the reason was lost with bundle.state".to_owned(),
        content: None,
        reverted: Some(Reverted { content: reverted.hash.to_string() }),
    })
}

fn on_probation(
    files: &BundleFiles,
    key: &TrustedKey,
    active: &Bundle,
    (before, startup): (Option<Bundle>, &Startup),
) -> Option<OnProbation> {
    let agent_toml = startup.compiled.summary.files.agent_toml();
    let before = before.map(|before| bundle::compile(&before, agent_toml, Purpose::Run));
    let before = before.and_then(|loaded| Compiled::of(loaded, Files::of_agent_toml));
    let expected = before.map(|before| {
        let before = before.sensors();
        probation::expected(&before, &startup.compiled.sensors(), &Observation::all_good(&before))
    });
    Some(OnProbation::begin(files.hash(ACTIVE)?, key.id().to_string(), active, expected.unwrap_or_default()))
}

//! What a start begins with, of all that there is. Pure.
//!
//! ```text
//! the last good bundle, with agent.toml as it is now
//!   |- there is none, or it is lost --> agent.toml and config.d as they are now
//!   `- these have errors, or do not go with it
//!        |- the last good bundle, with the agent.toml that was in force before
//!        |- agent.toml and config.d that were in force before
//!        |- nothing, until the hub sends something
//!        `- no hub either, or nothing ever was in force: rejected
//! ```

/// What the configuration of one time offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// `agent.toml` and `config.d` have no errors.
    pub(super) files: bool,
    /// The last good bundle, with this `agent.toml`.
    pub(super) bundle: Fit,
    /// `agent.toml` has no errors and names a hub.
    pub(super) enrolled: bool,
    /// No file says what to watch, and nothing else is wrong: a new device that waits for its hub.
    pub(super) is_new: bool,
}

/// How a bundle goes with an `agent.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// There never was a bundle, or there is no hub.
    None,
    Fits,
    /// The bundle is whole and has errors with this `agent.toml`.
    Unfit,
    /// The bundle is damaged, gone, or its key is.
    Lost,
}

/// A configuration of two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// As the files are now.
    Now,
    /// As the files were when they were last in force.
    Before,
}

/// What a start begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The last good bundle, with this `agent.toml`.
    Bundle(From),
    /// These files.
    Files(From),
    /// The agent waits, and watches no sensor, until the hub that this `agent.toml` names sends a configuration.
    Wait(From),
    /// There is nothing to begin with.
    Reject,
}

impl Candidate {
    /// Whether no other candidate is needed.
    pub(super) fn is_sound(self) -> bool {
        self.bundle == Fit::Fits || self.files && self.bundle != Fit::Unfit
    }
}

/// Chooses what to begin with.
pub(crate) fn choose(now: Candidate, before: Option<Candidate>) -> Choice {
    match (now, before) {
        (now, _) if now.bundle == Fit::Fits => Choice::Bundle(From::Now),
        (now, _) if now.is_sound() => Choice::Files(From::Now),
        (_, Some(before)) if before.bundle == Fit::Fits => Choice::Bundle(From::Before),
        (now, _) if now.files => Choice::Files(From::Now),
        (_, Some(before)) if before.files => Choice::Files(From::Before),
        (now, before) if now.enrolled && (now.is_new || is_lost(now) || before.is_some_and(is_lost)) => {
            Choice::Wait(From::Now)
        }
        (now, Some(before)) if !now.enrolled && before.enrolled => Choice::Wait(From::Before),
        _ => Choice::Reject,
    }
}

fn is_lost(candidate: Candidate) -> bool {
    matches!(candidate.bundle, Fit::Unfit | Fit::Lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Candidate = Candidate { files: true, bundle: Fit::None, enrolled: false, is_new: false };
    const BAD: Candidate = Candidate { files: false, ..GOOD };

    const fn hub(candidate: Candidate, bundle: Fit) -> Candidate {
        Candidate { bundle, enrolled: true, ..candidate }
    }

    #[test]
    fn a_start_watches_by_the_best_that_there_is() {
        let new = Candidate { is_new: true, ..hub(BAD, Fit::None) };
        for (now, before, expected) in [
            // No hub.
            (GOOD, None, Choice::Files(From::Now)),
            (GOOD, Some(GOOD), Choice::Files(From::Now)),
            (BAD, None, Choice::Reject),
            (BAD, Some(BAD), Choice::Reject),
            (BAD, Some(GOOD), Choice::Files(From::Before)),
            // A bundle that fits wins over any files, good or bad.
            (hub(GOOD, Fit::Fits), Some(GOOD), Choice::Bundle(From::Now)),
            (hub(BAD, Fit::Fits), None, Choice::Bundle(From::Now)),
            // A bundle that agent.toml no longer fits, or that a broken agent.toml leads nowhere.
            (hub(GOOD, Fit::Unfit), Some(hub(BAD, Fit::Fits)), Choice::Bundle(From::Before)),
            (hub(GOOD, Fit::Unfit), Some(hub(GOOD, Fit::Unfit)), Choice::Files(From::Now)),
            (hub(GOOD, Fit::Unfit), None, Choice::Files(From::Now)),
            (BAD, Some(hub(BAD, Fit::Fits)), Choice::Bundle(From::Before)),
            // A bundle that is lost.
            (hub(GOOD, Fit::Lost), Some(hub(GOOD, Fit::Lost)), Choice::Files(From::Now)),
            (hub(BAD, Fit::Lost), Some(hub(GOOD, Fit::Lost)), Choice::Files(From::Before)),
            (hub(BAD, Fit::Lost), Some(hub(BAD, Fit::Lost)), Choice::Wait(From::Now)),
            (hub(BAD, Fit::Lost), None, Choice::Wait(From::Now)),
            (BAD, Some(hub(BAD, Fit::Lost)), Choice::Wait(From::Before)),
            // Before the hub sent anything.
            (new, None, Choice::Wait(From::Now)),
            (hub(BAD, Fit::None), None, Choice::Reject),
            (BAD, Some(new), Choice::Wait(From::Before)),
        ] {
            assert_eq!(choose(now, before), expected, "{now:?}, before {before:?}");
        }
    }
}

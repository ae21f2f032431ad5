//! States of an update, and what follows from each. Pure.

use serde::{Deserialize, Serialize};

/// How often one state may be cut off: what cuts the power again and again may be the new version itself.
const MOST_CUTS: u8 = 3;

/// State of an update. Each is on the disk before its effect begins, and an effect that was cut off is carried out again, from its beginning.
///
/// ```text
///             data copied              dpkg done               proven
///  Staged -------------------> Installing -----------> Proving --------> Updated
///    |                             |                      |
///    | cannot be copied            | dpkg fails,          | not proven,
///    v                             v cut off 3 times      | cut off 3 times
///  Abandoned                   Returning <----------------'
///                                  |
///                                  | old data and package put back
///                                  v
///                              Returned
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Both packages are in the folder of the update; the old version is installed.
    Staged,
    /// dpkg may have begun to install the new version.
    Installing { cuts: u8 },
    /// The new version is installed, and has to do what the old one did.
    Proving { cuts: u8 },
    /// The old version is put back, whatever is installed now.
    Returning { why: String },
    /// The new version stays.
    Updated,
    /// The old version is installed again, with its data.
    Returned { why: String },
    /// The update ended before anything was installed.
    Abandoned { why: String },
}

/// What is to be done in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    CopyData,
    Install,
    Prove,
    PutBack,
}

impl State {
    /// The effect of this state; none where the update is over.
    pub(super) fn effect(&self) -> Option<Effect> {
        match self {
            State::Staged => Some(Effect::CopyData),
            State::Installing { .. } => Some(Effect::Install),
            State::Proving { .. } => Some(Effect::Prove),
            State::Returning { .. } => Some(Effect::PutBack),
            State::Updated | State::Returned { .. } | State::Abandoned { .. } => None,
        }
    }

    /// The state after the effect of this one, which succeeded or failed. Putting back is tried until it succeeds.
    pub(super) fn after(self, done: Result<(), String>) -> State {
        match (self, done) {
            (State::Staged, Ok(())) => State::Installing { cuts: 0 },
            (State::Staged, Err(why)) => State::Abandoned { why },
            (State::Installing { .. }, Ok(())) => State::Proving { cuts: 0 },
            (State::Installing { .. } | State::Proving { .. }, Err(why)) => State::Returning { why },
            (State::Proving { .. }, Ok(())) => State::Updated,
            (State::Returning { why }, Ok(())) => State::Returned { why },
            (same, _) => same,
        }
    }

    /// Word of the state, and why it is reached.
    pub(super) fn word(&self) -> (&'static str, Option<&str>) {
        match self {
            State::Staged => ("staged", None),
            State::Installing { .. } => ("installing", None),
            State::Proving { .. } => ("proving", None),
            State::Returning { why } => ("returning", Some(why)),
            State::Updated => ("updated", None),
            State::Returned { why } => ("returned", Some(why)),
            State::Abandoned { why } => ("abandoned", Some(why)),
        }
    }

    /// The state of an update between two versions, in words.
    pub(super) fn said(&self, from: &str, to: &str) -> String {
        match self {
            State::Staged => format!("update from {from} to {to}: preparing"),
            State::Installing { .. } => format!("update from {from} to {to}: installing"),
            State::Proving { .. } => {
                format!(
                    "update from {from} to {to}: installed; waiting until everything works as before, at most 10 min"
                )
            }
            State::Returning { why } => format!("update from {from} to {to} failed, putting {from} back: {why}"),
            State::Updated => format!("updated from {from} to {to}: everything works as before"),
            State::Returned { why } => format!("update to {to} failed, {from} is back: {why}"),
            State::Abandoned { why } => format!("update to {to} was not begun, {from} stays: {why}"),
        }
    }

    /// The state with which the update goes on, where its effect was cut off in this one.
    pub(super) fn cut_off(self) -> State {
        let of = |cuts: u8, what: &str| Err(format!("{what} was cut off {cuts} times"));
        match self {
            State::Installing { cuts } if cuts + 1 >= MOST_CUTS => self.after(of(cuts + 1, "the installation")),
            State::Proving { cuts } if cuts + 1 >= MOST_CUTS => self.after(of(cuts + 1, "the trial")),
            State::Installing { cuts } => State::Installing { cuts: cuts + 1 },
            State::Proving { cuts } => State::Proving { cuts: cuts + 1 },
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(why: &str) -> String {
        why.to_owned()
    }

    #[test]
    fn every_edge_of_the_chart_is_walked() {
        let failed = || Err(why("no"));
        for (from, done, to) in [
            (State::Staged, Ok(()), State::Installing { cuts: 0 }),
            (State::Staged, failed(), State::Abandoned { why: why("no") }),
            (State::Installing { cuts: 2 }, Ok(()), State::Proving { cuts: 0 }),
            (State::Installing { cuts: 0 }, failed(), State::Returning { why: why("no") }),
            (State::Proving { cuts: 1 }, Ok(()), State::Updated),
            (State::Proving { cuts: 0 }, failed(), State::Returning { why: why("no") }),
            (State::Returning { why: why("a") }, Ok(()), State::Returned { why: why("a") }),
            (State::Returning { why: why("a") }, failed(), State::Returning { why: why("a") }),
        ] {
            assert!(from.effect().is_some(), "{from:?}");
            assert_eq!(from.clone().after(done), to, "after {from:?}");
        }
        for over in [State::Updated, State::Returned { why: why("a") }, State::Abandoned { why: why("a") }] {
            assert_eq!((over.effect(), over.clone().cut_off()), (None, over));
        }
    }

    /// Guards against: a new version that stops the machine, and is tried at each boot for ever.
    #[test]
    fn what_is_cut_off_goes_on_twice_and_then_returns() {
        for (first, said) in [
            (State::Installing { cuts: 0 }, "the installation was cut off 3 times"),
            (State::Proving { cuts: 0 }, "the trial was cut off 3 times"),
        ] {
            let third = first.clone().cut_off().cut_off();
            assert_eq!(third.effect(), first.effect());
            assert_eq!(third.cut_off(), State::Returning { why: why(said) });
        }
        for same in [State::Staged, State::Returning { why: why("a") }] {
            assert_eq!(same.clone().cut_off(), same);
        }
    }
}

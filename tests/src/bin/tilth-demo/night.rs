//! How far a night is, and what has happened in it.

use std::time::Duration;

pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// Progress of the night. Each chapter ends with what its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chapter {
    PhoneTested,
    InternetCut,
    AcidEmpty,
    AgentKilled,
    AgentBack,
    AnnaAnswers,
    AcidReplaced,
    LinkBack,
    CaughtUp,
    AlertResolved,
    NextNight,
}

/// What has happened in a night. Times are the demo's.
#[derive(Default)]
pub(crate) struct Night {
    pub(crate) began: Duration,
    /// SMS to Anna.
    pub(crate) texts: Vec<(Duration, String)>,
    pub(crate) doser: Doser,
    pub(crate) siren: Siren,
    /// Number of the alert.
    pub(crate) alert: Option<u64>,
    pub(crate) acknowledged: Option<Duration>,
    pub(crate) is_resolved: bool,
    /// When the internet was cut, and when it was back.
    pub(crate) cut: Option<Duration>,
    pub(crate) back: Option<Duration>,
}

/// What is known of the doser's pump.
#[derive(Default)]
pub(crate) struct Doser {
    /// Board time since which it is on.
    pub(crate) since: Option<Duration>,
    pub(crate) doses: usize,
    /// Somebody was told that it runs in vain.
    pub(crate) is_told: bool,
}

/// What is heard of the siren.
#[derive(Default)]
pub(crate) struct Siren {
    /// Board time since which it is on.
    pub(crate) since: Option<Duration>,
    /// Somebody was told that it sounds.
    pub(crate) is_told: bool,
}

impl Chapter {
    /// What has not happened while the chapter goes on.
    pub(crate) const fn lacks(self) -> &'static str {
        match self {
            Chapter::PhoneTested | Chapter::AcidEmpty | Chapter::AgentBack | Chapter::LinkBack => {
                "the demo was too slow"
            }
            Chapter::InternetCut => "the doser gave no acid",
            Chapter::AgentKilled => "no SMS came when the alert was critical",
            Chapter::AnnaAnswers => "no SMS came when the alert was urgent",
            Chapter::AcidReplaced => "the answer by SMS acknowledged nothing",
            Chapter::CaughtUp => "the hub does not have everything of the time without a link",
            Chapter::AlertResolved => "the alert was not resolved",
            Chapter::NextNight => "the night is not over",
        }
    }
}

//! The states of sending.

use tilth_core::time::Uptime;

use super::encoded_batch::Part;
use super::messages::RowsRequest;
use super::meter::TrafficKind;
use super::status::StateName;

/// State of sending. Data that one state needs is inside it.
///
/// ```text
///            rows come
///   Idle <--------------> Gathering        Idle: a heartbeat or live values when due; Gathering: rows, when due
///     |    all is there       |
///     |                       | due
///     |                       v          store silent, or gives what was not wanted
///     +---- live due ----> Fetching ------------------------------------------+
///     |                       |                                               |
///     +--- heartbeat ---+    | rows                                          |
///                        v    v       429, 500, garbage, slow, stuck          v
///                        Sending -----------------------------------> BackingOff --+
///                        | | |  \     no way there                                  |
///                        | | |   +--------------------------------> Offline --------+ due, or a new key
///                        | | |        401, 403                                      |
///                        | | +------------------------------------> Rejected -------+
///                        | |  409, twice more than was made            ^            |
///                        | +--------------------------> Conflict ------|--- silent, |
///                        |                                |  again     |  backs off |
///                        | accepted, 400, 413,            | new stream             |
///                        | new stream, new key            |                        |
///                        v                                v                        v
///                   Idle or Gathering <--------------------------------------------+
/// ```
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Idle,
    Gathering,
    Fetching { asked: RowsRequest, purpose: BatchPurpose, until: Uptime },
    Sending { sent: SentBatch, until: Uptime },
    BackingOff { until: Uptime, why: String },
    Rejected { until: Uptime, why: String },
    Conflict { until: Uptime, why: String },
    Offline { until: Uptime, why: String },
}

/// What a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchPurpose {
    /// Rows, live values, or a heartbeat.
    Ordinary,
    /// An empty one: after a rejected key, to see whether it is accepted again; after a strange answer, to hear it once more.
    Probe,
    /// In a search for the row at fault: an empty one, to see whether the hub reads this agent at all.
    Control,
    /// In a search for the row at fault: one suspect.
    Suspect,
}

/// A batch on its way, without its rows: on failure the store is asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentBatch {
    pub(super) request: u64,
    pub(super) purpose: BatchPurpose,
    pub(super) parts: Vec<Part>,
    pub(super) live: usize,
    pub(super) asked_live: bool,
    pub(super) shares: Vec<(TrafficKind, u64)>,
}

impl SentBatch {
    pub(super) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows).sum()
    }
}

impl State {
    pub(super) fn name(&self) -> StateName {
        match self {
            State::Idle => StateName::Idle,
            State::Gathering => StateName::Gathering,
            State::Fetching { .. } => StateName::Fetching,
            State::Sending { .. } => StateName::Sending,
            State::BackingOff { .. } => StateName::BackingOff,
            State::Rejected { .. } => StateName::Rejected,
            State::Conflict { .. } => StateName::Conflict,
            State::Offline { .. } => StateName::Offline,
        }
    }

    /// When the state ends by itself. Resting states end when something is due.
    pub(super) fn until(&self) -> Option<Uptime> {
        match self {
            State::Idle | State::Gathering => None,
            State::Fetching { until, .. }
            | State::Sending { until, .. }
            | State::BackingOff { until, .. }
            | State::Rejected { until, .. }
            | State::Conflict { until, .. }
            | State::Offline { until, .. } => Some(*until),
        }
    }

    /// Why it is not going well.
    pub(super) fn why(&self) -> Option<&str> {
        match self {
            State::Idle | State::Gathering | State::Fetching { .. } | State::Sending { .. } => None,
            State::BackingOff { why, .. }
            | State::Rejected { why, .. }
            | State::Conflict { why, .. }
            | State::Offline { why, .. } => Some(why),
        }
    }

    pub(super) fn is_resting(&self) -> bool {
        matches!(self, State::Idle | State::Gathering)
    }
}

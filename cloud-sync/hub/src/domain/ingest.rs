//! Decisions about a batch: which rows are new, rejected or over quota, and which alert the hub raises. Pure.

pub(crate) mod clock;
pub(crate) mod fingerprints;
pub(crate) mod quota;
pub(crate) mod ranges;
pub(crate) mod received;
pub(crate) mod stream;
pub(crate) mod validate;

use std::collections::BTreeMap;
use std::fmt;

use tilth_protocol::{Answer, Confirmed, Epoch, Lane};

use self::quota::{MAX_OTHERS, MAX_STREAMS, MAX_TOUCHED};

/// Reason to reject a whole batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BatchRejection {
    /// A sequence is known with other content.
    Content { lane: Lane, seq: u64 },
    /// Another stream of the device is alive.
    TwoStreams,
    /// The device has begun [`MAX_STREAMS`] streams within a day.
    TooManyStreams,
    /// The device has [`MAX_OTHERS`] gaps and boots.
    TooManyOthers,
    /// The batch overlaps more than [`MAX_TOUCHED`] known ranges of a lane.
    TooManyRanges { lane: Lane },
}

impl fmt::Display for BatchRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TWO: &str = "two agents use this key, or one database was copied: continue under a new stream";
        match self {
            BatchRejection::Content { lane, seq } => {
                write!(f, "{lane}: sequence {seq} is known with other content; {TWO}")
            }
            BatchRejection::TwoStreams => write!(f, "another stream of this device is alive; {TWO}"),
            BatchRejection::TooManyStreams => {
                write!(f, "a device may begin at most {MAX_STREAMS} streams within a day")
            }
            BatchRejection::TooManyOthers => {
                write!(f, "quota: this hub keeps at most {MAX_OTHERS} gaps, boots and rejected rows of a device")
            }
            BatchRejection::TooManyRanges { lane } => {
                write!(f, "{lane}: the batch overlaps more than {MAX_TOUCHED} known ranges: send fewer sequences")
            }
        }
    }
}

/// Outcome of a batch.
#[derive(Debug)]
pub(crate) enum BatchOutcome {
    Stored {
        answer: Answer,
        is_new_stream: bool,
        /// Quota by which rows or live values were left out.
        over_quota: Option<String>,
        /// What was confirmed to the device and this database lacks.
        behind: Option<String>,
    },
    Rejected(BatchRejection),
}

/// State of the device beside its batch.
#[derive(Debug, Clone)]
pub(crate) struct ClientState {
    /// What was confirmed to the device, as it states.
    pub(crate) confirmed: Confirmed,
    /// Epoch that the device gets if it needs a new one.
    pub(crate) next_epoch: Epoch,
}

/// Sequences that were confirmed to the device and that this database lacks: it was set back.
pub(crate) fn missing_confirmed(told: &Confirmed, here: &BTreeMap<Lane, u64>) -> Option<String> {
    let of = |(lane, seq): (&Lane, &u64)| {
        let here = here.get(lane).copied().unwrap_or(0);
        (*seq > here).then(|| format!("{lane} {seq}, here {here}"))
    };
    let lanes: Vec<String> = told.0.iter().filter_map(of).collect();
    (!lanes.is_empty()).then(|| lanes.join("; "))
}

/// An alert of the hub about the device of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnAlert {
    pub(crate) rule: &'static str,
    pub(crate) message: String,
    /// Text for the audit trail.
    pub(crate) detail: String,
}

/// Rule of the alert about two agents with one key, or a copied database.
const STREAM_CONFLICT: &str = "stream-conflict";

/// Rule of the alert about a device over its quota.
const OVER_QUOTA: &str = "device-quota";

/// Rule of the alert about a database that was set back.
const SET_BACK: &str = "database-set-back";

impl BatchOutcome {
    /// Alert that the hub raises because of the batch.
    pub(crate) fn own_alert(&self) -> Option<OwnAlert> {
        let alert = |rule, message: String, detail| Some(OwnAlert { rule, message, detail });
        match self {
            BatchOutcome::Stored { behind: Some(behind), .. } => {
                let message = format!(
                    "the hub's database was set back: more was confirmed to the device ({behind}); the device sends again the rows that it still has"
                );
                alert(SET_BACK, message.clone(), format!("new epoch: {message}"))
            }
            BatchOutcome::Stored { over_quota: Some(limit), .. } => alert(OVER_QUOTA, limit.clone(), limit.clone()),
            BatchOutcome::Stored { .. } => None,
            BatchOutcome::Rejected(rejection @ (BatchRejection::Content { .. } | BatchRejection::TwoStreams)) => {
                alert(STREAM_CONFLICT, "two agents use this key".to_owned(), rejection.to_string())
            }
            BatchOutcome::Rejected(rejection) => {
                alert(OVER_QUOTA, "too many streams, boots or gaps".to_owned(), rejection.to_string())
            }
        }
    }
}

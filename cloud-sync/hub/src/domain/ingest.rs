//! What a batch brings: which rows are new, which cannot be stored, what is over a quota, and what the hub says of it. Pure.

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

/// Why a batch is refused. Nothing of it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A sequence is known with other content.
    Content { lane: Lane, seq: u64 },
    /// Another stream of the device is alive.
    TwoStreams,
    /// The device has begun [`MAX_STREAMS`] streams within a day.
    TooManyStreams,
    /// The device has [`MAX_OTHERS`] gaps and boots.
    TooManyOthers,
    /// The batch touches more than [`MAX_TOUCHED`] known runs of a lane.
    TooManyRuns { lane: Lane },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TWO: &str = "two agents use this key, or one store is there twice: go on under a new stream";
        match self {
            Refused::Content { lane, seq } => {
                write!(f, "{lane}: sequence {seq} is known with other content; {TWO}")
            }
            Refused::TwoStreams => write!(f, "another stream of this device is alive; {TWO}"),
            Refused::TooManyStreams => write!(f, "a device may begin at most {MAX_STREAMS} streams within a day"),
            Refused::TooManyOthers => {
                write!(f, "quota: this hub keeps at most {MAX_OTHERS} gaps, boots and refused rows of a device")
            }
            Refused::TooManyRuns { lane } => {
                write!(f, "{lane}: the batch touches more than {MAX_TOUCHED} known ranges: send fewer sequences")
            }
        }
    }
}

/// What a batch comes to.
#[derive(Debug)]
pub(crate) enum Taken {
    Stored {
        answer: Answer,
        is_new_stream: bool,
        /// The limit by which rows or live values were left out.
        over_quota: Option<String>,
        /// What the device was confirmed and this database does not have, where there is any.
        behind: Option<String>,
    },
    Refused(Refused),
}

/// What a device says of itself with a batch, and what it gets in answer to that.
#[derive(Debug, Clone)]
pub(crate) struct ClientState {
    /// What the device was confirmed before, as it says.
    pub(crate) confirmed: Confirmed,
    /// The device's next epoch, if it needs one.
    pub(crate) next_epoch: Epoch,
}

/// What a device was confirmed beyond what is here: only a database that was set back says less than before.
pub(crate) fn behind(told: &Confirmed, here: &BTreeMap<Lane, u64>) -> Option<String> {
    let of = |(lane, seq): (&Lane, &u64)| {
        let here = here.get(lane).copied().unwrap_or(0);
        (*seq > here).then(|| format!("{lane} {seq}, here {here}"))
    };
    let lanes: Vec<String> = told.0.iter().filter_map(of).collect();
    (!lanes.is_empty()).then(|| lanes.join("; "))
}

/// An alert of the hub's own about the device of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) rule: &'static str,
    pub(crate) message: String,
    /// What the audit trail says in place of the message.
    pub(crate) detail: String,
}

/// Rule of the alert about a device whose key, or whose store, is there twice.
const STREAM_CONFLICT: &str = "stream-conflict";

/// Rule of the alert about a device that has more than its quota.
const OVER_QUOTA: &str = "device-quota";

/// Rule of the alert about a database that was set back.
const SET_BACK: &str = "database-set-back";

impl Taken {
    /// What the hub has to say of the device because of a batch, if anything.
    pub(crate) fn remark(&self) -> Option<Remark> {
        let remark = |rule, message: String, detail| Some(Remark { rule, message, detail });
        match self {
            Taken::Stored { behind: Some(behind), .. } => {
                let message = format!(
                    "this database is older than what the device was confirmed ({behind}): was a copy put back? The device sends again what it still has"
                );
                remark(SET_BACK, message.clone(), format!("new epoch: {message}"))
            }
            Taken::Stored { over_quota: Some(limit), .. } => remark(OVER_QUOTA, limit.clone(), limit.clone()),
            Taken::Stored { .. } => None,
            Taken::Refused(refused @ (Refused::Content { .. } | Refused::TwoStreams)) => {
                remark(STREAM_CONFLICT, "two agents use this key".to_owned(), refused.to_string())
            }
            Taken::Refused(refused) => {
                remark(OVER_QUOTA, "too many streams, boots or gaps".to_owned(), refused.to_string())
            }
        }
    }
}

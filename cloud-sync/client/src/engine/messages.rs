//! Inputs and effects of the sync engine: plain values, carried by a task, a test or a simulation.

use std::collections::BTreeMap;

use serde::Serialize;
use tilth_core::id::Id;
use tilth_protocol::{Confirmed, Epoch, Lane, Lanes, Live, RejectedRow, Stream};

use super::limits::Intervals;
use super::status::Status;
use crate::transport::{Exchange, NewestBundle};

/// What does not change while an engine lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The tenant.
    pub tenant: Id,
    /// The device.
    pub device: Id,
    /// How often rows, live values and heartbeats are sent.
    pub intervals: Intervals,
    /// Seed of the jitter of waits; another one for each start of each device.
    pub seed: u64,
}

/// State of one lane in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneState {
    /// The highest sequence that the hub confirmed.
    pub confirmed: u64,
    /// The highest sequence that was committed.
    pub head: u64,
}

/// State of the outbox in the store: at the start, and after a new stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// The stream of this database.
    pub stream: Stream,
    /// The hub's epoch of the last confirmation, if there was one.
    pub epoch: Option<Epoch>,
    /// Lanes of the stream; an absent one is empty.
    pub lanes: BTreeMap<Lane, LaneState>,
}

/// How far the store has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// Stream of the sequences.
    pub stream: Stream,
    /// The highest committed sequence of each lane; an absent one has not moved.
    pub lanes: BTreeMap<Lane, u64>,
}

/// Range of one lane that the store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRange {
    /// The lane.
    pub lane: Lane,
    /// The first sequence. What comes back begins here.
    pub first: u64,
    /// The last sequence. What comes back may end before, never after.
    pub last: u64,
    /// The most rows; gaps cost nothing.
    pub max_rows: usize,
    /// About the most bytes of JSON, but at least one row.
    pub max_bytes: usize,
}

/// A question to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsRequest {
    /// Number of the request; the answer repeats it.
    pub id: u64,
    /// At most one range of each lane, in the order of a batch.
    pub lanes: Vec<LaneRange>,
    /// Whether the newest value of each sensor is wanted too.
    pub live: bool,
}

/// The store's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The number of the question.
    pub id: u64,
    /// The stream that the rows belong to.
    pub stream: Stream,
    /// An extent for each lane that was asked for.
    pub lanes: Lanes,
    /// The newest value of each sensor, if they were wanted.
    pub live: Vec<Live>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum SyncInput {
    /// Time has passed; nothing else.
    Tick,
    /// The store committed rows. Of another stream than the present one it says nothing.
    Committed(Heads),
    /// The store answered [`Effect::Fetch`].
    Fetched(Rows),
    /// The store could not answer the question of that number.
    FetchFailed {
        /// Number of the request.
        id: u64,
        /// Why.
        why: String,
    },
    /// The store answered [`Effect::NewStream`], or began a new stream by itself.
    Stream(Outbox),
    /// What became of the batch of that number.
    Answered {
        /// Number of the batch.
        request: u64,
        /// What became of it.
        exchange: Exchange,
    },
    /// What became of the pull of that number.
    Pulled {
        /// Number of the pull.
        request: u64,
        /// What became of it.
        exchange: Exchange,
    },
    /// The newest bundle that the agent has seen changed. Without an `etag` the next bundle is delivered in any case.
    NewestBundle(NewestBundle),
    /// The link to the hub is another one: a new key, or another authority. A batch on the link before goes again on this one, a try may
    /// help, also after a rejected key, and the next bundle is delivered in any case.
    HubLinkChanged,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the store; the answer is [`SyncInput::Fetched`] or [`SyncInput::FetchFailed`].
    Fetch(RowsRequest),
    /// Send a batch; the answer is [`SyncInput::Answered`].
    Send {
        /// Number of the batch; the answer repeats it.
        request: u64,
        /// The batch as JSON, at most [`tilth_protocol::MAX_BATCH_BYTES`].
        body: Vec<u8>,
        /// What the hub confirmed so far, where it was heard of: by that it knows whether it was set back.
        confirmed: Option<Confirmed>,
    },
    /// Give up the batch or pull of that number.
    Abandon {
        /// Number of the batch or pull.
        request: u64,
    },
    /// Send a command to the store; no answer comes.
    Store(StoreCommand),
    /// Ask the store for a new stream; the answer is [`SyncInput::Stream`].
    NewStream {
        /// Why.
        reason: String,
    },
    /// Ask the hub for configuration; the answer is [`SyncInput::Pulled`].
    PullBundle {
        /// Number of the pull; the answer repeats it.
        request: u64,
        /// The newest bundle that the agent has seen.
        newest: NewestBundle,
    },
    /// Tell the agent.
    Report(Report),
}

/// A command to the store, without an answer: where the store does not keep it, the hub says it again. A store that is in another stream
/// by now ignores it.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreCommand {
    /// The hub confirmed rows.
    Confirm {
        /// In this stream.
        stream: Stream,
        /// The highest confirmed sequences; lanes that did not rise are absent.
        confirmed: BTreeMap<Lane, u64>,
    },
    /// The hub lives in another epoch. Also sent at the very first contact. A store in another stream takes the epoch alone.
    Rewind {
        /// In this stream.
        stream: Stream,
        /// The new epoch.
        epoch: Epoch,
        /// What of the confirmed rows the hub still has: never more than before. Every lane is named.
        confirmed: BTreeMap<Lane, u64>,
    },
    /// Quarantine rows; from then on their sequences are gaps.
    Quarantine {
        /// In this stream.
        stream: Stream,
        /// The rows, to be written together: a hub may reject thousands at once.
        rows: Vec<RejectedRow>,
    },
}

/// What the agent is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A bundle to verify and apply: the bytes of the hub, unchecked.
    Bundle(Vec<u8>),
    /// A problem that a person on site should know of.
    Problem(SyncProblem),
    /// A problem of this kind is over.
    ProblemOver(ProblemKind),
    /// State of sync, from the driver: only the newest is kept for an agent that is busy.
    Status(Box<Status>),
}

/// A problem of sync that needs a person. Monitoring goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncProblem {
    /// Kind.
    pub kind: ProblemKind,
    /// What happened and what comes next, in words.
    pub reason: String,
}

/// Kinds of [`SyncProblem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The hub rejects the device key. Over with the next batch accepted.
    #[serde(rename = "key-refused")]
    KeyRejected,
    /// The hub has other rows under this agent's sequences, or more sequences than this agent has made, or two agents use one key. Over
    /// after [`super::limits::CONFLICT_AGAIN`].
    StreamConflict,
    /// Rows were quarantined. Never over by itself: a person should look at them.
    RowsQuarantined,
    /// The hub cannot read what this agent sends, rows or none. Over with the next batch accepted.
    NotUnderstood,
}

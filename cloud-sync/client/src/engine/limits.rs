//! How often, how much, how long: every limit of the engine, with its reason.

use tilth_core::time::Span;

/// How long events wait for others before they are sent, so that the transitions of one moment share a request.
pub const BATCH_DELAY: Span = Span(500);

/// How often windows go up when there is no backlog: once for each minute that closes.
pub const WINDOWS_PERIOD: Span = Span::from_mins(1);

/// The pause between two batches of a backlog, so that neither the Pi nor the hub is kept busy by it.
pub const BACKLOG_PAUSE: Span = Span::from_secs(1);

/// The shortest time between two sendings of live values. They travel with every batch; only when this is shorter than the windows' period
/// do they go by themselves. The fast path for them is MQTT.
pub const LIVE_PERIOD: Span = Span::from_mins(1);

/// After this long without a batch an empty one says that the farm lives.
pub const HEARTBEAT: Span = Span::from_mins(2);

/// How often the hub is asked for configuration where it names no version that waits.
pub const PULL_PERIOD: Span = Span::from_mins(1);

/// The most rows of one batch: about 250 kB of JSON, so that building it holds up the runtime for a millisecond or two.
pub const MAX_ROWS: usize = 1_000;

/// The most bytes of rows asked of the store for one batch; the rest up to [`tilth_protocol::MAX_BATCH_BYTES`] is for the
/// envelope and live values.
pub const MAX_FETCH_BYTES: usize = tilth_protocol::MAX_BATCH_BYTES / 4 * 3;

/// Windows travel with events only when so few wait; more would hold the events up on a slow link.
pub const JOIN_ROWS: u64 = 200;

/// How far back from the newest window sending goes newest first.
pub const NEWEST_FIRST: Span = Span::from_mins(60);

/// How long the store may take to answer. A slow card takes seconds; after this it counts as failed.
pub const STORE_TIMEOUT: Span = Span::from_secs(30);

/// How long a request may be on its way before it is given up. Above the transport's own limit, which says more.
pub const REQUEST_TIMEOUT: Span = Span::from_secs(75);

/// The longest wait after a failure at the hub.
pub const MAX_BACKOFF: Span = Span::from_mins(5);

/// The longest wait while the hub cannot be reached: a try costs a few packets, and a link that is back is to be used.
pub const MAX_OFFLINE: Span = Span::from_mins(1);

/// The most of a hub's `Retry-After` that is honoured (jitter comes on top), so that a slip of its clock does not silence a farm for a year.
pub const MAX_RETRY_AFTER: Span = Span::from_mins(60);

/// How long sync stops when the hub rejects the device key, jitter on top. A person must act, so asking more often changes nothing.
/// A new key ends the wait.
pub const REJECTED_WAIT: Span = Span::from_mins(15);

/// A conflict so soon after a new stream is no accident: two agents use the key. Sync then stops as for a rejected key.
pub const CONFLICT_AGAIN: Span = Span::from_mins(10);

/// A second new epoch so soon is no restored hub: two hubs answer at one address. Then a wait lies between two tries.
pub const EPOCH_AGAIN: Span = Span::from_mins(1);

/// After so many quarantined rows without one that was accepted, the fault is not in the rows: wait before more are quarantined.
pub const MAX_QUARANTINE_RUN: u32 = 10;

/// How long live values are not sent after the hub could not read them or found them too large.
pub const LIVE_MUTED: Span = Span::from_mins(60);

/// Intervals that an operator may want longer on a metered link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// See [`BATCH_DELAY`].
    pub batch_delay: Span,
    /// See [`WINDOWS_PERIOD`].
    pub windows: Span,
    /// See [`BACKLOG_PAUSE`].
    pub backlog: Span,
    /// See [`LIVE_PERIOD`]; `None` sends no live values.
    pub live: Option<Span>,
    /// See [`HEARTBEAT`].
    pub heartbeat: Span,
    /// See [`PULL_PERIOD`].
    pub pull: Span,
    /// See [`MAX_OFFLINE`].
    pub offline: Span,
    /// See [`REJECTED_WAIT`].
    pub key_rejected: Span,
}

impl Default for Intervals {
    fn default() -> Intervals {
        Intervals {
            batch_delay: BATCH_DELAY,
            windows: WINDOWS_PERIOD,
            backlog: BACKLOG_PAUSE,
            live: Some(LIVE_PERIOD),
            heartbeat: HEARTBEAT,
            pull: PULL_PERIOD,
            offline: MAX_OFFLINE,
            key_rejected: REJECTED_WAIT,
        }
    }
}

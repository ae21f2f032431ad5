//! Messages between agent and hub, as JSON; described in `docs/sync-protocol.md`, frozen to the byte in `tests/v1.rs`.
//!
//! Knows neither end: no SQLite, no sockets, no engine.

mod answer;
mod batch;
mod confirmed;
mod enrolment;
mod key;
mod random_id;

pub use answer::{Answer, ErrorCode, Failure, RejectedRow};
pub use batch::{Batch, BatchError, Event, Extent, Figures, Gap, GapKind, Lane, Lanes, Live, Sequenced, WindowRow};
pub use confirmed::{CONFIRMED_HEADER, Confirmed, ConfirmedError};
pub use enrolment::{
    CodeError, CodeId, CodeSecret, EnrolmentAnswer, EnrolmentCa, EnrolmentCode, EnrolmentRequest, HexBytes,
};
pub use key::{Key, KeyError, KeyKind};
pub use random_id::{Epoch, HexError, Stream};

/// Version of this protocol, stated in each batch.
pub const VERSION: u32 = 1;

/// Header that carries the key.
pub const KEY_HEADER: &str = "x-device-key";

/// Maximum size of a batch in bytes, packed and unpacked. An agent splits a larger one.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// Maximum number of rows, gaps and live values of a batch, so that its transaction at the hub stays short.
pub const MAX_BATCH_ROWS: usize = 5_000;

/// Reason of the gap of kind `replaced` at the beginning of a stream whose device keeps to itself what it recorded for another client or hub.
pub const WITHHELD: &str = "recorded before the device was enrolled here";

/// Maximum number of boots in a batch. Each costs the hub a search; an agent's batch has one, or a few after restarts.
pub const MAX_BATCH_BOOTS: usize = 100;

//! What agent and hub say to each other, in its JSON form. `docs/sync-protocol.md` says it for people; `tests/v1.rs` freezes
//! its bytes.
//!
//! Knows neither end: no SQLite, no sockets, no engine.

mod answer;
mod batch;
mod confirmed;
mod key;
mod name;

pub use answer::{Answer, ErrorCode, Failure, Poison};
pub use batch::{Batch, BatchError, Event, Extent, Figures, Gap, GapKind, Lane, Lanes, Live, Sequenced, WindowRow};
pub use confirmed::{CONFIRMED_HEADER, Confirmed, ConfirmedError};
pub use key::{Key, KeyError, KeyKind};
pub use name::{Epoch, HexError, Stream};

/// The version of this protocol; stated in each batch.
pub const VERSION: u32 = 1;

/// The header that carries a key.
pub const KEY_HEADER: &str = "x-device-key";

/// The most bytes of one batch. The hub refuses larger ones; an agent splits them.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// The most rows, gaps and live values of one batch over all lanes, so that one transaction at the hub stays short.
pub const MAX_BATCH_ROWS: usize = 5_000;

/// The most boots that the rows and live values of one batch may speak of. Each costs the hub a search for the boot that it
/// may be; an agent's batch has one, or a few after restarts.
pub const MAX_BATCH_BOOTS: usize = 100;

//! What carries requests: plain values and one trait. Each file below names one crate of the network and is the only one to.

pub mod https;
pub mod tls;

use std::future::Future;

use tilth_core::time::Span;
use tilth_protocol::Confirmed;

/// Carries one request at a time.
pub trait Transport: Sync {
    /// Sends a batch (JSON, uncompressed), with what was confirmed before, and waits for its answer.
    fn post_batch(&self, body: Vec<u8>, confirmed: Option<Confirmed>) -> impl Future<Output = Exchange> + Send;
    /// Asks for a bundle newer than the newest that the agent has seen.
    fn get_bundle(&self, newest: &NewestBundle) -> impl Future<Output = Exchange> + Send;
}

/// The newest bundle that the agent has seen, stated with each pull: the active one, or one that it rejected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewestBundle {
    /// Version of the bundle; 0 for none.
    pub version: u64,
    /// The `ETag` it came with; `None` where the hub is to send it again.
    pub etag: Option<String>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The answer, or why there is none.
    pub outcome: Result<Reply, TransportError>,
    /// Bytes sent, bodies as they travel and headers.
    pub sent: u64,
    /// Bytes received, bodies and headers.
    pub received: u64,
}

/// An answer, not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long `Retry-After` says to wait.
    pub retry_after: Option<Span>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{peer}: {kind}: {detail}")]
pub struct TransportError {
    /// Scheme, host and port of the server.
    pub peer: String,
    /// What kind of failure.
    pub kind: TransportErrorKind,
    /// What the network said.
    pub detail: String,
}

/// Kinds of [`TransportError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TransportErrorKind {
    /// No connection: refused, unreachable, no such host, no handshake in time.
    #[error("cannot be reached")]
    NoConnection,
    /// The certificate is not believed: wrong authority, wrong name, out of date, or this clock is wrong.
    #[error("its certificate is not trusted")]
    Untrusted,
    /// The answer did not come whole in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended before the answer did.
    #[error("the answer broke off")]
    CutOff,
    /// What answers there does not speak TLS.
    #[error("does not speak TLS")]
    NoTls,
    /// The answer is larger than any answer may be.
    #[error("the answer is too long")]
    TooLong,
    /// What came is not HTTP.
    #[error("the answer cannot be read")]
    Garbled,
}

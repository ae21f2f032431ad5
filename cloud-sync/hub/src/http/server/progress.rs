//! Timeouts of a connection for each part of a request, and the stream that notes how far it is.
//!
//! ```text
//! Head ---- request ----> Request ---- answer ----> Rest ---- first byte of the next request ----> Head ...
//! FIRST_HEAD, HEAD        REQUEST                   IDLE; STALLED and ANSWER while bytes wait
//! ```

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// From the first byte of a request, or from the beginning of a connection, to the end of the request's head. A head is below
/// 2 KiB: some seconds over the worst line.
const HEAD: Duration = Duration::from_secs(10);

/// From the head of a request to its answer: the body's time, and what it waits for the disk.
const REQUEST: Duration = Duration::from_secs(90);

/// A connection without a request for this long is ended. An agent asks once a minute.
const IDLE: Duration = Duration::from_secs(75);

/// A client that takes not one byte of its answer for this long is gone.
const STALLED: Duration = Duration::from_secs(20);

/// The longest that an answer may take to leave: an agent waits a minute.
const ANSWER: Duration = Duration::from_secs(120);

/// Longest time between two checks of a connection.
const LOOK: Duration = Duration::from_secs(2);

/// Progress of a connection through a request.
#[derive(Debug)]
pub(in crate::http) struct Progress {
    at: Mutex<At>,
    /// The connection showed a known key.
    is_known: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct At {
    phase: Phase,
    /// When the bytes that wait to leave were last seen not to.
    stalled_since: Option<Instant>,
    /// When the last byte left.
    sent: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A head is awaited; it has begun, or the connection has.
    Head { since: Instant },
    /// A request is worked on.
    Request { since: Instant },
    /// The answer leaves, or has left.
    Rest { since: Instant },
}

impl Progress {
    pub(super) fn new() -> Progress {
        let now = Instant::now();
        let at = At { phase: Phase::Head { since: now }, stalled_since: None, sent: now };
        Progress { at: Mutex::new(at), is_known: AtomicBool::new(false) }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A head is awaited from now on, as after a handshake.
    pub(super) fn begin(&self) {
        self.at().phase = Phase::Head { since: Instant::now() };
    }

    /// A head has come.
    pub(super) fn asked(&self) {
        self.at().phase = Phase::Request { since: Instant::now() };
    }

    /// There is an answer.
    pub(super) fn answered(&self) {
        let now = Instant::now();
        let mut at = self.at();
        (at.phase, at.sent) = (Phase::Rest { since: now }, now);
    }

    /// A key that is known was shown.
    pub(crate) fn set_known(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// No request is worked on: the connection can be ended to make room for another.
    pub(super) fn is_waiting(&self) -> bool {
        !matches!(self.at().phase, Phase::Request { .. })
    }

    fn received(&self) {
        let mut at = self.at();
        if matches!(at.phase, Phase::Rest { .. }) && at.stalled_since.is_none() {
            at.phase = Phase::Head { since: Instant::now() };
        }
    }

    fn sent(&self) {
        let mut at = self.at();
        (at.stalled_since, at.sent) = (None, Instant::now());
    }

    fn stalled(&self) {
        self.at().stalled_since.get_or_insert_with(Instant::now);
    }

    /// When the connection has taken too long.
    fn deadline(&self) -> Instant {
        let At { phase, stalled_since, sent } = *self.at();
        let ends = match phase {
            Phase::Head { since } => since + HEAD,
            Phase::Request { since } => since + REQUEST,
            Phase::Rest { since } if stalled_since.is_some() => since + ANSWER,
            Phase::Rest { .. } => sent + IDLE,
        };
        stalled_since.map_or(ends, |since| ends.min(since + STALLED))
    }

    /// Ends when the connection has taken too long.
    pub(super) async fn expired(&self) {
        loop {
            let (deadline, now) = (self.deadline(), Instant::now());
            if deadline <= now {
                return;
            }
            // What happens meanwhile may bring the deadline nearer.
            sleep_until(deadline.min(now + LOOK)).await;
        }
    }
}

/// A stream whose bytes are noted.
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Progress>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, watch: Arc<Progress>) -> Watched<S> {
        Watched { stream, watch }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.watch.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn noted<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.watch.stalled(),
            Poll::Ready(_) => self.watch.sent(),
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A flush without bytes is no progress, and one that waits does so for bytes.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() {
            self.watch.stalled();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

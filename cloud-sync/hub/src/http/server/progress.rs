//! Timeouts of a connection for each phase of a request, and the stream that tracks the phase.
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

/// Timeout of a request's head, from its first byte or from the beginning of the connection.
const HEAD: Duration = Duration::from_secs(10);

/// Timeout from the head of a request to its answer, with the body and waiting for the disk.
const REQUEST: Duration = Duration::from_secs(90);

/// Timeout of an idle connection. An agent sends a request every minute.
const IDLE: Duration = Duration::from_secs(75);

/// Timeout of an answer of which no byte is taken.
const STALLED: Duration = Duration::from_secs(20);

/// Timeout of a whole answer. An agent waits a minute.
const ANSWER: Duration = Duration::from_secs(120);

/// Longest time between two checks of a connection.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Progress of a connection through a request.
#[derive(Debug)]
pub(in crate::http) struct Progress {
    at: Mutex<At>,
    /// True once a known key was sent.
    is_known: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct At {
    phase: Phase,
    /// Since when written bytes have to wait.
    stalled_since: Option<Instant>,
    /// When the last byte was written.
    sent: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for a head that has begun, or for the first one.
    Head { since: Instant },
    /// Working on a request.
    Request { since: Instant },
    /// Writing the answer, then idle.
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

    /// Starts waiting for a head, as after a handshake.
    pub(super) fn begin(&self) {
        self.at().phase = Phase::Head { since: Instant::now() };
    }

    /// A head was received.
    pub(super) fn asked(&self) {
        self.at().phase = Phase::Request { since: Instant::now() };
    }

    /// The answer is ready.
    pub(super) fn answered(&self) {
        let now = Instant::now();
        let mut at = self.at();
        (at.phase, at.sent) = (Phase::Rest { since: now }, now);
    }

    /// A known key was sent.
    pub(crate) fn set_known(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// True without a request in work: the connection can be closed.
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

    /// When the current timeout ends.
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

    /// Completes when a timeout ends.
    pub(super) async fn expired(&self) {
        loop {
            let (deadline, now) = (self.deadline(), Instant::now());
            if deadline <= now {
                return;
            }
            // Meanwhile the deadline may come nearer.
            sleep_until(deadline.min(now + CHECK_INTERVAL)).await;
        }
    }
}

/// A stream that reports its bytes.
pub(super) struct TrackedStream<S> {
    stream: S,
    progress: Arc<Progress>,
}

impl<S> TrackedStream<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>) -> TrackedStream<S> {
        TrackedStream { stream, progress }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> TrackedStream<S> {
    fn noted<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.progress.stalled(),
            Poll::Ready(_) => self.progress.sent(),
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
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
            self.progress.stalled();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

//! Activity of a connection, tracked by its requests and bytes, and its timeouts.
//!
//! ```text
//! Idle ---- a whole request ----> Answering ---- answer ----> Idle ...
//! IDLE                               |
//!                                    `---- stream of events ----> Streaming
//! ```
//!
//! In each state a connection that takes no byte for [`STUCK`] is closed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// Longest time from the beginning of a connection, or from an answer, to the end of the next request.
const IDLE: Duration = Duration::from_secs(60);

/// Longest time without one byte taken. Until then a slow reader of events misses some, and is told how many.
const STUCK: Duration = Duration::from_secs(10);

/// Interval of the check of a deadline, which may move nearer meanwhile.
const CHECK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No complete request since the last answer.
    Idle,
    Answering,
    Streaming,
}

#[derive(Debug, Clone, Copy)]
struct Tracked {
    state: State,
    since: Instant,
    /// Since when the client takes no bytes; none while none wait.
    stalled_since: Option<Instant>,
    has_answered: bool,
}

/// Activity of a connection, shared with the list of connections.
#[derive(Debug)]
pub(super) struct Activity(Mutex<Tracked>);

impl Activity {
    pub(super) fn new() -> Activity {
        let since = Instant::now();
        Activity(Mutex::new(Tracked { state: State::Idle, since, stalled_since: None, has_answered: false }))
    }

    fn at(&self) -> MutexGuard<'_, Tracked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        let mut at = self.at();
        at.has_answered |= at.state == State::Answering;
        (at.state, at.since) = (state, Instant::now());
    }

    /// A request is complete.
    pub(super) fn requested(&self) {
        self.set(State::Answering);
    }

    /// A request was answered; `is_stream`: by a stream without an end.
    pub(super) fn answered(&self, is_stream: bool) {
        self.set(if is_stream { State::Streaming } else { State::Idle });
    }

    /// Order in which connections are closed to make room, the smallest first: idle ones, then those that had an answer. `None` for
    /// one that waits for its first answer or follows events.
    pub(super) fn rank(&self) -> Option<(u8, Instant)> {
        let Tracked { state, since, has_answered, .. } = *self.at();
        match state {
            State::Idle => Some((0, since)),
            State::Answering if has_answered => Some((1, since)),
            State::Answering | State::Streaming => None,
        }
    }

    /// When the connection times out in its present state.
    fn deadline(&self) -> Option<Instant> {
        let Tracked { state, since, stalled_since, .. } = *self.at();
        let idle = (state == State::Idle).then(|| since + IDLE);
        idle.into_iter().chain(stalled_since.map(|since| since + STUCK)).min()
    }

    /// Ends when the connection has timed out.
    pub(super) async fn expired(&self) {
        loop {
            let (deadline, now) = (self.deadline(), Instant::now());
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            sleep_until(deadline.map_or(now + CHECK, |deadline| deadline.min(now + CHECK))).await;
        }
    }

    fn written<T>(&self, written: Poll<T>) -> Poll<T> {
        let mut at = self.at();
        match written {
            Poll::Pending => drop(at.stalled_since.get_or_insert_with(Instant::now)),
            Poll::Ready(_) => at.stalled_since = None,
        }
        written
    }
}

pub(super) struct TrackedStream<S> {
    pub(super) stream: S,
    pub(super) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.written(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

//! What a connection is at, noted as requests and bytes go by, and for how long it may be so.
//!
//! ```text
//! Waits ---- a whole request ----> Answers ---- answer ----> Waits ...
//! IDLE                                |
//!                                     `---- stream of events ----> Watches
//! ```
//!
//! In each of them, whoever takes no byte of what is sent for [`STUCK`] is hung up on.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// From the beginning of a connection, or from an answer, to the end of the next request.
const IDLE: Duration = Duration::from_secs(60);

/// Time without one byte taken. Until then a slow reader of events misses some, and is told how many.
const STUCK: Duration = Duration::from_secs(10);

/// Between two looks at a deadline, which what happens meanwhile may bring nearer.
const LOOK: Duration = Duration::from_secs(2);

/// What an agent says to a client of before there was HTTP, which begins with an object in JSON and reads a line of it.
const TO_OLD_CLIENT: &str = concat!(
    r#"{"failed":"this agent (tilth-agent "#,
    env!("CARGO_PKG_VERSION"),
    r#") is asked over HTTP, and this tilth-agent is older: use the tilth-agent that the service runs"}"#,
    "\n"
);

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// No whole request has come since the last answer.
    Waits,
    /// A request is being answered.
    Answers,
    /// The connection is sent what happens.
    Watches,
}

#[derive(Debug, Clone, Copy)]
struct At {
    doing: Doing,
    since: Instant,
    /// Since when the other side takes nothing; none while nothing waits to be taken.
    stalled_since: Option<Instant>,
    has_answered: bool,
}

/// What a connection is at, shared with whoever looks for one that may go.
#[derive(Debug)]
pub(super) struct Activity(Mutex<At>);

impl Activity {
    pub(super) fn new() -> Activity {
        let since = Instant::now();
        Activity(Mutex::new(At { doing: Doing::Waits, since, stalled_since: None, has_answered: false }))
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, doing: Doing) {
        let mut at = self.at();
        at.has_answered |= at.doing == Doing::Answers;
        (at.doing, at.since) = (doing, Instant::now());
    }

    /// A whole request has come.
    pub(super) fn asked(&self) {
        self.set(Doing::Answers);
    }

    /// There is an answer; `is_stream`: one without an end.
    pub(super) fn answered(&self, is_stream: bool) {
        self.set(if is_stream { Doing::Watches } else { Doing::Waits });
    }

    /// How soon the connection makes room for another one, the smallest first: whoever has asked nothing for longest, then
    /// whoever was answered before. Never one that waits for its first answer, nor one that watches.
    pub(super) fn rank(&self) -> Option<(u8, Instant)> {
        let At { doing, since, has_answered, .. } = *self.at();
        match doing {
            Doing::Waits => Some((0, since)),
            Doing::Answers if has_answered => Some((1, since)),
            Doing::Answers | Doing::Watches => None,
        }
    }

    /// When the connection has taken too long, as things are.
    fn deadline(&self) -> Option<Instant> {
        let At { doing, since, stalled_since, .. } = *self.at();
        let idle = (doing == Doing::Waits).then(|| since + IDLE);
        idle.into_iter().chain(stalled_since.map(|since| since + STUCK)).min()
    }

    /// Ends when the connection has taken too long.
    pub(super) async fn expired(&self) {
        loop {
            let (deadline, now) = (self.deadline(), Instant::now());
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            sleep_until(deadline.map_or(now + LOOK, |deadline| deadline.min(now + LOOK))).await;
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

/// A stream whose progress is noted.
pub(super) struct Noted<S> {
    stream: S,
    activity: Arc<Activity>,
    has_read: bool,
}

impl<S> Noted<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Noted<S> {
        Noted { stream, activity, has_read: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Noted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let is_old_client = !self.has_read && buf.filled().get(before) == Some(&b'{');
        self.has_read = true;
        if is_old_client {
            // Nothing was written before, so there is room for a line.
            let _ = Pin::new(&mut self.stream).poll_write(cx, TO_OLD_CLIENT.as_bytes())?;
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
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

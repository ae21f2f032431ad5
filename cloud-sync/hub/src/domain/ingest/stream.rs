//! Which stream of a device may send: the current one, unless it is silent.
//!
//! ```text
//! new stream                     --> stored; the stream is the current one from now on
//! current stream                 --> stored
//! older stream without new rows  --> a late packet: answered as before
//! older stream with new rows     --> current one silent for 15 min: stored; the stream is the current one again
//!                                --> else conflict: two agents use one key
//! ```

use tilth_core::time::{Span, WallTime};

/// Shortest time between two updates of the last contact of a device or stream.
pub(crate) const NOTED_EVERY: Span = Span::from_mins(1);

/// A stream is alive for 15 minutes after its last batch, which is known to the minute. An idle agent sends one every few minutes.
pub(crate) const ALIVE: Span = Span::from_mins(16);

/// State of a stream among those of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// Never used before.
    New,
    /// The stream of the last batch.
    Current,
    /// Replaced by another stream, which was last heard at `current_heard`.
    Older { current_heard: WallTime },
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Store; the stream is the current one.
    Current,
    /// Answer; live values are ignored.
    Late,
    /// Reject: two agents use one key.
    Conflict,
}

/// Judges a batch by its stream and by whether it has new rows.
pub(crate) fn judge(state: StreamState, brings_news: bool, now: WallTime) -> Verdict {
    match state {
        StreamState::New | StreamState::Current => Verdict::Current,
        StreamState::Older { .. } if !brings_news => Verdict::Late,
        StreamState::Older { current_heard } if now - current_heard > ALIVE => Verdict::Current,
        StreamState::Older { .. } => Verdict::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_through_the_drawing() {
        let heard = WallTime(1_000_000);
        let older = StreamState::Older { current_heard: heard };
        let (soon, late) = (WallTime(heard.0 + ALIVE.0), WallTime(heard.0 + ALIVE.0 + 1));
        for (standing, news, now, expected) in [
            (StreamState::New, true, soon, Verdict::Current),
            (StreamState::New, false, soon, Verdict::Current),
            (StreamState::Current, true, soon, Verdict::Current),
            (StreamState::Current, false, late, Verdict::Current),
            (older, false, soon, Verdict::Late),
            (older, false, late, Verdict::Late),
            (older, true, soon, Verdict::Conflict),
            (older, true, late, Verdict::Current),
            // The hub's own clock was set back.
            (older, true, WallTime(0), Verdict::Conflict),
        ] {
            assert_eq!(judge(standing, news, now), expected, "{standing:?} {news} {now}");
        }
    }
}

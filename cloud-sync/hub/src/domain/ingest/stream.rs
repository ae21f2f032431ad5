//! Which of a device's streams may speak.
//!
//! ```text
//! a stream never heard of      --> it is the current one from now on
//! the current stream           --> taken
//! an older one, nothing new    --> a late packet: answered as if it were the first time
//! an older one, with new rows  --> the current one is silent for long: it is the current one again
//!                              --> otherwise two agents use one key: refused
//! ```

use tilth_core::time::{Span, WallTime};

/// When a device and its stream were heard last is noted no more often.
pub(crate) const NOTED_EVERY: Span = Span::from_mins(1);

/// A stream that has been silent for 15 minutes is not alive, and when it was heard is known to the minute. An agent that has nothing to
/// say still says so every few minutes.
pub(crate) const ALIVE: Span = Span::from_mins(16);

/// How a stream stands among those of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not heard of before.
    New,
    /// The one that was heard last.
    Current,
    /// Another one took its place, and was last heard then.
    Older { current_heard: WallTime },
}

/// What a batch of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// Of the device's current stream, if only from now on.
    Current,
    /// A late packet. What it says of this moment is past.
    Late,
    /// Somebody else uses the same key.
    Refused,
}

/// What a batch is, by its stream and by whether it brings anything that the hub does not have.
pub(crate) fn judge(standing: Standing, brings_news: bool, now: WallTime) -> Batch {
    match standing {
        Standing::New | Standing::Current => Batch::Current,
        Standing::Older { .. } if !brings_news => Batch::Late,
        Standing::Older { current_heard } if now - current_heard > ALIVE => Batch::Current,
        Standing::Older { .. } => Batch::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_through_the_drawing() {
        let heard = WallTime(1_000_000);
        let older = Standing::Older { current_heard: heard };
        let (soon, late) = (WallTime(heard.0 + ALIVE.0), WallTime(heard.0 + ALIVE.0 + 1));
        for (standing, news, now, expected) in [
            (Standing::New, true, soon, Batch::Current),
            (Standing::New, false, soon, Batch::Current),
            (Standing::Current, true, soon, Batch::Current),
            (Standing::Current, false, late, Batch::Current),
            (older, false, soon, Batch::Late),
            (older, false, late, Batch::Late),
            (older, true, soon, Batch::Refused),
            (older, true, late, Batch::Current),
            // The hub's own clock was set back.
            (older, true, WallTime(0), Batch::Refused),
        ] {
            assert_eq!(judge(standing, news, now), expected, "{standing:?} {news} {now}");
        }
    }
}

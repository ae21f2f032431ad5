//! The demo's clock: as fast as the agent's, and from the same moment on.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, Error};

/// So many times faster than the machine's: four hours take forty seconds.
pub(crate) const FACTOR: u32 = 360;

/// Tells the agent's time, a moment's start of the process aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    began_at: SystemTime,
}

impl Clock {
    /// To be made when the agent is started.
    pub(crate) fn start() -> Clock {
        Clock { began: Instant::now(), began_at: SystemTime::now() }
    }

    /// Since the start.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed() * FACTOR
    }

    /// Time of day.
    pub(crate) fn wall(&self, at: Duration) -> Timestamp {
        Timestamp::try_from(self.began_at + at).unwrap_or_default()
    }

    pub(crate) fn wait_until(&self, at: Duration) {
        thread::sleep(at.saturating_sub(self.now()) / FACTOR);
    }
}

/// `14:05`, in UTC as the programs print it.
pub(crate) fn hour(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string()
}

/// A time in a program's JSON.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// The same, where it may be absent.
pub(crate) fn read_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

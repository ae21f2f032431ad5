//! The demo's clock: as fast as the agent's, from the same moment on, and at a place where it is evening.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::de::{Deserialize, Deserializer, Error};

/// Speed of the clock: an hour of the room takes 50 seconds.
pub(crate) const FACTOR: u32 = 72;

/// Hour of the day at which the night begins.
const EVENING: i64 = 20;

/// Places without summer time: the clock of each one is an hour ahead of the one before, from UTC on and around the world.
const PLACES: [&str; 24] = [
    "Africa/Accra",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Brisbane",
    "Pacific/Noumea",
    "Pacific/Tarawa",
    "Pacific/Pago_Pago",
    "Pacific/Honolulu",
    "Pacific/Gambier",
    "Pacific/Pitcairn",
    "America/Phoenix",
    "America/Costa_Rica",
    "America/Bogota",
    "America/Manaus",
    "America/Sao_Paulo",
    "America/Noronha",
    "Atlantic/Cape_Verde",
];

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
}

/// Place of the farm on Earth.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// IANA name of its time zone.
    pub(crate) zone: &'static str,
    clock: TimeZone,
}

impl Place {
    /// The place where an evening begins.
    pub(crate) fn of_evening(now: Timestamp) -> Place {
        let ahead = (EVENING - now.as_second().div_euclid(3600)).rem_euclid(24);
        let zone = PLACES[ahead as usize];
        Place { zone, clock: TimeZone::get(zone).unwrap_or(TimeZone::fixed(Offset::UTC)) }
    }

    /// City of the time zone.
    pub(crate) fn name(&self) -> String {
        self.zone.rsplit('/').next().unwrap_or_default().replace('_', " ")
    }

    /// `20:05`, on a clock at the place.
    pub(crate) fn hour(&self, at: Timestamp) -> String {
        at.to_zoned(self.clock.clone()).strftime("%H:%M").to_string()
    }
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

#[test]
fn at_each_hour_it_is_evening_somewhere() {
    for hour in 0..24 {
        let now = Timestamp::from_second(1_780_000_200 / 86_400 * 86_400 + hour * 3600 + 300).unwrap();
        let place = Place::of_evening(now);
        assert_eq!(place.hour(now), "20:05", "{}", place.zone);
    }
    assert_eq!(Place::of_evening(Timestamp::UNIX_EPOCH).name(), "Manaus");
}

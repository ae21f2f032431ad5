//! A simulated hydroponic room, pure: time goes in, what its sensors would say comes out.
//!
//! ```text
//! handle(at)          runs the room up to a time since its start, in fixed steps
//! doser(on)           the pump of the acid doser starts or stops
//! canister(full)      a person puts a full canister in its place, or it is empty
//! readings()          what the sensors say now
//! ```
//!
//! The same seed gives the same room, however often it is looked at: the steps are fixed, and all noise is drawn in them.

use std::time::Duration;

use crate::random::Random;

/// Length of a step.
const STEP: Duration = Duration::from_secs(10);

/// Rise of the pH by itself, an hour: roots take up nitrate and leave the water less acid. Faster than in most rooms, for a short night.
const PH_RISE: f64 = 1.8;

/// Fall of the pH while the doser gives acid, an hour.
const ACID: f64 = 13.0;

/// Fall of the EC, mS/cm an hour.
const EC_DRUNK: f64 = 0.04;

/// Air of the night, C and %, and the hours in which the room follows it.
const NIGHT: (f64, f64) = (17.0, 76.0);
const FOLLOWS: f64 = 3.0;

/// What the sensors say at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Readings {
    /// pH of the water.
    pub ph: f64,
    /// mS/cm.
    pub ec: f64,
    /// Temperature of the water, C.
    pub water: f64,
    /// Temperature of the air, C.
    pub air: f64,
    /// Humidity of the air, %.
    pub humidity: f64,
}

/// The room.
#[derive(Debug, Clone)]
pub struct Room {
    random: Random,
    /// Time since the start up to which the room has run.
    now: Duration,
    /// What is true, without noise.
    truth: Readings,
    /// What the sensors say of it.
    readings: Readings,
    is_dosing: bool,
    has_acid: bool,
}

impl Room {
    /// A room in the evening, in order: its pH will need acid within minutes.
    #[must_use]
    pub fn new(seed: u64) -> Room {
        let truth = Readings { ph: 6.13, ec: 1.86, water: 20.5, air: 23.5, humidity: 61.0 };
        Room {
            random: Random::new(seed),
            now: Duration::ZERO,
            truth,
            readings: truth,
            is_dosing: false,
            has_acid: true,
        }
    }

    /// Runs the room up to a time since its start. A time before that changes nothing.
    pub fn handle(&mut self, at: Duration) {
        while self.now + STEP <= at {
            self.now += STEP;
            self.step();
        }
    }

    /// The pump of the acid doser starts or stops.
    pub fn doser(&mut self, is_on: bool) {
        self.is_dosing = is_on;
    }

    /// The acid canister is full, or empty.
    pub fn canister(&mut self, is_full: bool) {
        self.has_acid = is_full;
    }

    /// What the sensors say.
    #[must_use]
    pub fn readings(&self) -> Readings {
        self.readings
    }

    fn step(&mut self) {
        let hours = STEP.as_secs_f64() / 3600.0;
        let truth = &mut self.truth;
        let acid = if self.is_dosing && self.has_acid { ACID } else { 0.0 };
        truth.ph = (truth.ph + (PH_RISE - acid) * hours).clamp(3.0, 9.0);
        truth.ec = (truth.ec - EC_DRUNK * hours).max(0.9);
        truth.air += (NIGHT.0 - truth.air) * hours / FOLLOWS;
        truth.humidity += (NIGHT.1 - truth.humidity) * hours / FOLLOWS;
        truth.water += (truth.air - 2.0 - truth.water) * hours / FOLLOWS;
        let mut noisy = |value: f64, most: f64| value + most * self.random.around_zero();
        self.readings = Readings {
            ph: noisy(truth.ph, 0.01),
            ec: noisy(truth.ec, 0.01),
            water: noisy(truth.water, 0.04),
            air: noisy(truth.air, 0.08),
            humidity: noisy(truth.humidity, 0.3),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    /// pH of the room at the end of so many minutes with the doser on or off.
    fn ph_after(room: &mut Room, from: u64, to: u64) -> f64 {
        room.handle(minutes(from));
        room.handle(minutes(to));
        room.readings().ph
    }

    #[test]
    fn a_seed_is_one_room_however_it_is_looked_at() {
        let (mut at_once, mut stepwise, mut other) = (Room::new(7), Room::new(7), Room::new(8));
        at_once.handle(minutes(60));
        at_once.handle(minutes(10));
        (0..=60).for_each(|minute| stepwise.handle(minutes(minute)));
        other.handle(minutes(60));
        assert_eq!(at_once.readings(), stepwise.readings());
        assert_ne!(at_once.readings(), other.readings());
    }

    #[test]
    fn acid_lowers_the_ph_and_an_empty_canister_lets_it_climb() {
        let mut room = Room::new(1);
        let before = ph_after(&mut room, 0, 3);
        room.doser(true);
        let dosed = ph_after(&mut room, 3, 5);
        assert!(before > 6.2 && dosed < 6.0, "{before} {dosed}");
        room.canister(false);
        let climbed = ph_after(&mut room, 5, 35);
        assert!((6.5..7.0).contains(&climbed), "{climbed}");
        room.canister(true);
        assert!(ph_after(&mut room, 35, 39) < climbed - 0.5);
    }

    #[test]
    fn values_stay_where_a_room_has_them_for_a_day() {
        let mut room = Room::new(1);
        for minute in 0..24 * 60 {
            room.handle(minutes(minute));
            let readings = room.readings();
            room.doser(readings.ph > 6.2);
            let Readings { ph, ec, water, air, humidity } = readings;
            assert!((5.8..6.4).contains(&ph) && (0.8..2.0).contains(&ec), "{minute}: {readings:?}");
            assert!((14.0..22.0).contains(&water) && (16.0..24.0).contains(&air), "{minute}: {readings:?}");
            assert!((60.0..77.0).contains(&humidity), "{minute}: {readings:?}");
        }
    }
}

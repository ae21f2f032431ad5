//! A simulated hydroponic room, pure: time goes in, what its sensors would say comes out.
//!
//! ```text
//! handle(at)          runs the room up to a time since its start, in fixed steps
//! poll()              what happened in it, each thing once
//! readings()          what the sensors say now
//! ```
//!
//! The same seed gives the same room, however often it is looked at: the steps are fixed, and all noise is drawn in them.
//! It lives in cycles of [`CYCLE`]: in each the humidity sensor sticks for a while, the acid runs out and is refilled by a
//! person, and the line of the air board falls silent for a while. Lamps, pump and dosing go on by their own rhythm.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::random::Random;

/// How far one step goes.
const STEP: Duration = Duration::from_secs(10);

/// After this long the troubles come again.
pub const CYCLE: Duration = minutes(360);

/// In each cycle: the humidity sensor says the same, whatever the air does.
pub const STICKS: Range<Duration> = minutes(15)..minutes(50);

/// In each cycle: no acid is left, so the pH drifts up.
pub const NO_ACID: Range<Duration> = minutes(60)..minutes(125);

/// In each cycle: nothing comes from the air board.
pub const SILENT: Range<Duration> = minutes(155)..minutes(185);

/// The lamps' own day, the room's start in it, and how long they take to come on or go off.
const DAY: Duration = minutes(24 * 60);
const STARTS_AT: Duration = minutes(14 * 60 + 15);
const LIGHT: Range<Duration> = minutes(0)..minutes(16 * 60);
const DUSK: Duration = minutes(30);

/// The pump runs for the first half of this.
const PUMP_ROUND: Duration = minutes(40);

/// The doser gives acid above this pH, and feed below this EC.
const ACID_ABOVE: f64 = 6.2;
const FEED_BELOW: f64 = 1.7;
/// A dose is not followed by another before it had time to mix.
const MIXING: Duration = minutes(10);

/// What moves by itself, an hour.
const PH_RISE: f64 = 1.1;
const EC_DRUNK_BY_DAY: f64 = 0.16;
const EC_DRUNK_AT_NIGHT: f64 = 0.04;
const LEVEL_DRUNK: f64 = 0.9;

/// What one dose does, once mixed.
const ACID_DOSE: f64 = 0.45;
const FEED_DOSE: f64 = 0.2;

/// What hangs in the pipes while the pump runs, in cm of the tank.
const IN_THE_PIPES: f64 = 2.4;
/// Water is let in below this, up to that.
const REFILL: Range<f64> = 24.0..30.0;

/// What the sensors say at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Readings {
    /// The board at the tank.
    pub tank: Tank,
    /// The board under the ceiling; nothing while its line is silent.
    pub air: Option<Air>,
}

/// What the board at the tank measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tank {
    /// pH.
    pub ph: f64,
    /// mS/cm.
    pub ec: f64,
    /// C.
    pub temperature: f64,
    /// cm.
    pub level: f64,
    /// L/min.
    pub flow: f64,
}

/// What the board under the ceiling measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Air {
    /// C.
    pub temperature: f64,
    /// %.
    pub humidity: f64,
    /// lux.
    pub light: f64,
}

/// What happens in the room, as somebody in it would see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// The lamps begin to come on.
    LampsOn,
    /// The lamps begin to go off.
    LampsOff,
    /// The circulation pump starts.
    PumpOn,
    /// The circulation pump stops.
    PumpOff,
    /// The doser gives acid.
    AcidDosed,
    /// The acid canister is empty.
    AcidEmpty,
    /// A person puts a full canister in its place.
    AcidRefilled,
    /// The doser gives feed.
    FeedDosed,
    /// Fresh water fills the tank.
    WaterIn,
    /// The humidity sensor sticks.
    Sticks,
    /// It moves again.
    MovesAgain,
    /// The air board falls silent.
    FallsSilent,
    /// It speaks again.
    SpeaksAgain,
}

/// The room.
#[derive(Debug, Clone)]
pub struct Room {
    random: Random,
    /// The time since the start up to which it has run.
    now: Duration,
    happened: VecDeque<Happening>,
    water: Water,
    air: Air,
    /// What the humidity sensor says while it sticks.
    stuck_at: Option<f64>,
    noise: Noise,
}

/// What is true of the water, without noise.
#[derive(Debug, Clone)]
struct Water {
    ph: f64,
    ec: f64,
    temperature: f64,
    /// The tank's content with nothing in the pipes, cm.
    level: f64,
    /// What is in the pipes, cm.
    in_pipes: f64,
    /// Doses that have not mixed yet.
    acid: f64,
    feed: f64,
    acid_at: Option<Duration>,
    feed_at: Option<Duration>,
    is_filling: bool,
}

/// What each sensor is off by in this step, each from -1 to 1.
#[derive(Debug, Clone, Default)]
struct Noise {
    ph: f64,
    ec: f64,
    water: f64,
    level: f64,
    flow: f64,
    temperature: f64,
    humidity: f64,
    light: f64,
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// A moment's share of a rate per hour.
fn hours(span: Duration) -> f64 {
    span.as_secs_f64() / 3600.0
}

fn within_cycle(at: Duration, span: &Range<Duration>) -> bool {
    span.contains(&remainder(at, CYCLE))
}

fn remainder(at: Duration, of: Duration) -> Duration {
    Duration::from_secs(at.as_secs() % of.as_secs())
}

/// How bright the lamps are, from 0 to 1.
fn brightness(at: Duration) -> f64 {
    let of_day = remainder(at + STARTS_AT, DAY);
    let after = |from: Duration| of_day.saturating_sub(from).as_secs_f64() / DUSK.as_secs_f64();
    after(LIGHT.start).min(1.0 - after(LIGHT.end)).clamp(0.0, 1.0)
}

fn pump_runs(at: Duration) -> bool {
    remainder(at, PUMP_ROUND) < PUMP_ROUND / 2
}

fn lamps_burn(at: Duration) -> bool {
    LIGHT.contains(&remainder(at + STARTS_AT, DAY))
}

impl Room {
    /// A room at its start: late in its day, fed and in order.
    #[must_use]
    pub fn new(seed: u64) -> Room {
        let water = Water {
            ph: 5.9,
            ec: 1.86,
            temperature: 20.5,
            level: 28.0,
            in_pipes: IN_THE_PIPES,
            acid: 0.0,
            feed: 0.0,
            acid_at: None,
            feed_at: None,
            is_filling: false,
        };
        let air = Air { temperature: 24.0, humidity: 62.0, light: 0.0 };
        let happened = VecDeque::new();
        Room {
            random: Random::new(seed),
            now: Duration::ZERO,
            happened,
            water,
            air,
            stuck_at: None,
            noise: Noise::default(),
        }
    }

    /// Runs the room up to a time since its start. One that is past changes nothing.
    pub fn handle(&mut self, at: Duration) {
        while self.now + STEP <= at {
            self.step();
        }
    }

    /// What happened and was not told yet.
    pub fn poll(&mut self) -> Option<Happening> {
        self.happened.pop_front()
    }

    /// What the sensors say, to as many digits as they have.
    #[must_use]
    pub fn readings(&self) -> Readings {
        let Room { water, noise, air, .. } = self;
        let flow = if pump_runs(self.now) { 4.2 + 0.15 * noise.flow } else { 0.0 };
        let tank = Tank {
            ph: rounded(water.ph + 0.01 * noise.ph, 2),
            ec: rounded(water.ec + 0.01 * noise.ec, 2),
            temperature: rounded(water.temperature + 0.04 * noise.water, 2),
            level: rounded(water.level - water.in_pipes + 0.15 * noise.level, 1),
            flow: rounded(flow, 2),
        };
        let humidity = self.stuck_at.unwrap_or_else(|| rounded(air.humidity + 0.3 * noise.humidity, 1));
        let air = Air {
            temperature: rounded(air.temperature + 0.08 * noise.temperature, 2),
            humidity,
            light: rounded(air.light * (1.0 + 0.01 * noise.light), 0),
        };
        Readings { tank, air: (!within_cycle(self.now, &SILENT)).then_some(air) }
    }

    fn step(&mut self) {
        let (before, now) = (self.now, self.now + STEP);
        self.now = now;
        let random = &mut self.random;
        self.noise = Noise {
            ph: random.around_zero(),
            ec: random.around_zero(),
            water: random.around_zero(),
            level: random.around_zero(),
            flow: random.around_zero(),
            temperature: random.around_zero(),
            humidity: random.around_zero(),
            light: random.around_zero(),
        };
        self.air_moves();
        self.water_moves();
        self.tell_changes(before, now);
        self.doser_acts();
        let sticks = within_cycle(now, &STICKS);
        if !sticks {
            self.stuck_at = None;
        } else if self.stuck_at.is_none() {
            self.stuck_at = Some(rounded(self.air.humidity + 0.3 * self.noise.humidity, 1));
        }
    }

    /// Lamps warm the air, and warm air is drier; both follow slowly.
    fn air_moves(&mut self) {
        let lamps = brightness(self.now);
        let follow = |value: f64, target: f64, hours_to: f64| value + (target - value) * hours(STEP) / hours_to;
        self.air.light = 21_500.0 * lamps;
        self.air.temperature = follow(self.air.temperature, 19.0 + 5.5 * lamps, 0.6);
        self.air.humidity = follow(self.air.humidity, 74.0 - 13.0 * lamps, 0.8);
        self.water.temperature = follow(self.water.temperature, self.air.temperature - 2.5, 6.0);
    }

    fn water_moves(&mut self) {
        let water = &mut self.water;
        let lamps = brightness(self.now);
        let mixed = STEP.as_secs_f64() / 180.0;
        let (acid, feed) = (water.acid * mixed, water.feed * mixed);
        water.acid -= acid;
        water.feed -= feed;
        water.ph += PH_RISE * hours(STEP) - acid;
        water.ec += feed - (EC_DRUNK_AT_NIGHT + (EC_DRUNK_BY_DAY - EC_DRUNK_AT_NIGHT) * lamps) * hours(STEP);
        water.level -= LEVEL_DRUNK * (0.2 + 0.8 * lamps) * hours(STEP);
        let target = if pump_runs(self.now) { IN_THE_PIPES } else { 0.0 };
        water.in_pipes += (target - water.in_pipes) * STEP.as_secs_f64() / 90.0;
        if water.is_filling {
            water.level += 0.4;
            water.is_filling = water.level < REFILL.end;
        } else if water.level < REFILL.start {
            water.is_filling = true;
            self.happened.push_back(Happening::WaterIn);
        }
    }

    fn doser_acts(&mut self) {
        let now = self.now;
        let is_mixed = |dosed: Option<Duration>| dosed.is_none_or(|dosed| now - dosed >= MIXING);
        let water = &mut self.water;
        if water.ph > ACID_ABOVE && is_mixed(water.acid_at) && !within_cycle(now, &NO_ACID) {
            (water.acid, water.acid_at) = (water.acid + ACID_DOSE, Some(now));
            self.happened.push_back(Happening::AcidDosed);
        }
        if water.ec < FEED_BELOW && is_mixed(water.feed_at) {
            (water.feed, water.feed_at) = (water.feed + FEED_DOSE, Some(now));
            self.happened.push_back(Happening::FeedDosed);
        }
    }

    fn tell_changes(&mut self, before: Duration, now: Duration) {
        use Happening::{
            AcidEmpty, AcidRefilled, FallsSilent, LampsOff, LampsOn, MovesAgain, PumpOff, PumpOn, SpeaksAgain, Sticks,
        };
        let of_cycle = |span: Range<Duration>| move |at| within_cycle(at, &span);
        let mut tell = |is: &dyn Fn(Duration) -> bool, begins, ends| match (is(before), is(now)) {
            (false, true) => self.happened.push_back(begins),
            (true, false) => self.happened.push_back(ends),
            _ => {}
        };
        tell(&lamps_burn, LampsOn, LampsOff);
        tell(&pump_runs, PumpOn, PumpOff);
        tell(&of_cycle(STICKS), Sticks, MovesAgain);
        tell(&of_cycle(NO_ACID), AcidEmpty, AcidRefilled);
        tell(&of_cycle(SILENT), FallsSilent, SpeaksAgain);
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each minute's readings of so many hours.
    fn lived(seed: u64, hours: u64) -> Vec<(Duration, Readings)> {
        let mut room = Room::new(seed);
        let look = |minute| {
            room.handle(minutes(minute));
            (minutes(minute), room.readings())
        };
        (1..=hours * 60).map(look).collect()
    }

    fn happenings(seed: u64, until: Duration) -> Vec<(Duration, Happening)> {
        let mut room = Room::new(seed);
        let mut all = Vec::new();
        for second in (0..=until.as_secs()).step_by(10) {
            room.handle(Duration::from_secs(second));
            while let Some(happening) = room.poll() {
                all.push((Duration::from_secs(second), happening));
            }
        }
        all
    }

    #[test]
    fn a_seed_is_one_room_however_it_is_looked_at() {
        let mut at_once = Room::new(7);
        at_once.handle(minutes(300));
        at_once.handle(minutes(10));
        assert_eq!(lived(7, 5).last().map(|last| last.1), Some(at_once.readings()));
        assert_ne!(lived(7, 5), lived(8, 5));
    }

    #[test]
    fn values_stay_where_a_room_has_them_for_a_week() {
        for (at, Readings { tank, air }) in lived(1, 7 * 24) {
            assert!((5.3..7.4).contains(&tank.ph), "{at:?} {tank:?}");
            assert!((1.5..2.2).contains(&tank.ec), "{at:?} {tank:?}");
            assert!((15.0..26.0).contains(&tank.temperature), "{at:?} {tank:?}");
            assert!((20.0..31.0).contains(&tank.level), "{at:?} {tank:?}");
            assert!(tank.flow == 0.0 || (4.0..4.4).contains(&tank.flow), "{at:?} {tank:?}");
            let Some(air) = air else { continue };
            assert!((18.0..26.0).contains(&air.temperature), "{at:?} {air:?}");
            assert!((55.0..78.0).contains(&air.humidity), "{at:?} {air:?}");
            assert!((0.0..22_000.0).contains(&air.light), "{at:?} {air:?}");
        }
    }

    #[test]
    fn lamps_burn_sixteen_hours_and_the_air_follows() {
        let day = lived(2, 24);
        let lit: Vec<Air> =
            day.iter().filter_map(|(_, readings)| readings.air).filter(|air| air.light > 100.0).collect();
        let dark: Vec<Air> =
            day.iter().filter_map(|(_, readings)| readings.air).filter(|air| air.light == 0.0).collect();
        assert!((15 * 60..17 * 60).contains(&(lit.len() + 30 * 3)), "{}", lit.len());
        assert!(dark.len() > 6 * 60, "{}", dark.len());
        let mean = |of: &[Air], what: fn(&Air) -> f64| of.iter().map(what).sum::<f64>() / of.len() as f64;
        assert!(mean(&lit, |air| air.temperature) > mean(&dark, |air| air.temperature) + 2.0);
        assert!(mean(&lit, |air| air.humidity) + 4.0 < mean(&dark, |air| air.humidity));
    }

    #[test]
    fn brightness_rises_and_falls_within_half_an_hour() {
        let at = |minute: u64| brightness(DAY - STARTS_AT + minutes(minute));
        assert_eq!(
            [at(0), at(15), at(30), at(500), at(960), at(975), at(990), at(1200)],
            [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
        );
    }

    #[test]
    fn without_acid_the_ph_passes_its_limit_and_comes_back() {
        for seed in 0..50 {
            let day = lived(seed, 3);
            let over: Vec<Duration> =
                day.iter().filter(|(_, readings)| readings.tank.ph > 6.5).map(|(at, _)| *at).collect();
            // Long enough for a hold of five minutes and a wait of ten, before the person comes.
            assert!(over[0] + minutes(25) < NO_ACID.end, "seed {seed}: {:?}", over[0]);
            assert!(over[0] > NO_ACID.start, "seed {seed}");
            assert!(day.last().unwrap().1.tank.ph < 6.3, "seed {seed}");
        }
    }

    #[test]
    fn the_humidity_sensor_sticks_and_the_air_board_falls_silent() {
        let day = lived(3, 6);
        let within = |span: &Range<Duration>| {
            let span = span.start + minutes(1)..span.end;
            day.iter().filter(move |(at, _)| span.contains(at)).map(|(_, readings)| readings.air).collect::<Vec<_>>()
        };
        let stuck: Vec<f64> = within(&STICKS).into_iter().flatten().map(|air| air.humidity).collect();
        assert!(stuck.len() >= 30 && stuck.iter().all(|value| *value == stuck[0]), "{stuck:?}");
        assert!(within(&SILENT).iter().all(Option::is_none));
        assert_eq!(day.iter().filter(|(_, readings)| readings.air.is_none()).count(), 30);
    }

    #[test]
    fn what_happens_is_told_once_and_in_order() {
        let told = happenings(4, CYCLE);
        let at = |what: Happening| told.iter().filter(|told| told.1 == what).map(|told| told.0).collect::<Vec<_>>();
        assert_eq!((at(Happening::Sticks), at(Happening::MovesAgain)), (vec![STICKS.start], vec![STICKS.end]));
        assert_eq!((at(Happening::AcidEmpty), at(Happening::AcidRefilled)), (vec![NO_ACID.start], vec![NO_ACID.end]));
        assert_eq!((at(Happening::FallsSilent), at(Happening::SpeaksAgain)), (vec![SILENT.start], vec![SILENT.end]));
        assert_eq!(at(Happening::LampsOff), [LIGHT.end - STARTS_AT]);
        assert_eq!(at(Happening::PumpOff).len(), 9);
        assert!(at(Happening::AcidDosed).iter().all(|at| !NO_ACID.contains(at)));
        assert!(at(Happening::AcidDosed).len() >= 4 && !at(Happening::FeedDosed).is_empty());
        assert!(told.is_sorted_by_key(|told| told.0));
    }
}

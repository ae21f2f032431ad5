//! No history of commands, restarts, reboots, kills, lost links, full disks and configurations passes a limit. The outputs are
//! relays on paper, which obey late or not at all, and are judged by when they were on in real time.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::actuator::{Actuator, Output};
use crate::engine::Start;
use crate::engine::clock::Clock;
use crate::id::Id;
use crate::interlock::tests::{actuators, doser, id, ph, pump};
use crate::interlock::{
    ActuatorInput, Actuators, Command, Effect, Interlock, Origin, Record, SWITCH_WITHIN, SwitchOrder, Wanted,
};
use crate::time::{Span, Stamp, Uptime, WallTime};

/// Unless the variable `TILTH_HISTORIES` says otherwise.
const HISTORIES: u32 = 10_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A thing that happens, by small numbers.
#[derive(Debug, Clone)]
enum Step {
    On {
        actuator: u8,
        secs: u8,
    },
    Off(u8),
    /// The disk takes bookings and records, or does not.
    Disk(bool),
    /// A record is kept, as with windows and alerts.
    Keep,
    /// The process dies between two effects, and starts again after so many seconds: in the same boot or in the next, with a
    /// trusted clock or without.
    Kill {
        after: u16,
        reboot: bool,
        trusted: bool,
    },
    /// The clock becomes trusted.
    Trust,
    Link(bool),
    Hold(bool),
    Fresh(bool),
    Plan(u8),
    /// How late outputs obey, in tenths of what they are allowed.
    Delay(u8),
    /// The process dies as soon as an effect of this kind is to be done.
    DieAt {
        booking: bool,
    },
    /// The disk takes until the next step to confirm a booking, or confirms at once.
    Slow(bool),
    /// The process dies and begins without its database, which is there once the disk works.
    LateDatabase {
        reboot: bool,
    },
    /// The process dies and the next one cannot read what was kept.
    Unreadable {
        reboot: bool,
    },
    /// A configuration lowers the limits, or raises them to what they were.
    Lower(bool),
    /// The clock is wrong by so many hours from here on, until it is trusted again or the boot ends.
    Jump(i8),
}

/// What a process finds at its start.
#[derive(Debug, Clone, Copy, PartialEq)]
enum StoredState {
    Readable,
    Unreadable,
    /// No database yet.
    Late,
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let wait = prop_oneof![9 => 0..15_000i64, 4 => 0..90_000i64, 1 => 0..HOUR, 1 => (0..40i64).prop_map(|part| part * HOUR / 20)];
    let what = prop_oneof![
        40 => (0..3u8, 1..4u8).prop_map(|(actuator, secs)| Step::On { actuator, secs }),
        2 => (0..3u8).prop_map(Step::Off),
        2 => prop_oneof![1 => Just(false), 3 => Just(true)].prop_map(Step::Disk),
        2 => Just(Step::Keep),
        2 => (0..5000u16, any::<bool>(), any::<bool>())
            .prop_map(|(after, reboot, trusted)| Step::Kill { after, reboot, trusted }),
        1 => Just(Step::Trust),
        1 => prop_oneof![1 => Just(false), 3 => Just(true)].prop_map(Step::Link),
        1 => prop_oneof![1 => Just(true), 3 => Just(false)].prop_map(Step::Hold),
        2 => prop_oneof![1 => Just(false), 3 => Just(true)].prop_map(Step::Fresh),
        2 => prop_oneof![Just(0u8), Just(1), Just(0), 2..4u8].prop_map(Step::Plan),
        1 => (0..10u8).prop_map(Step::Delay),
        2 => any::<bool>().prop_map(|booking| Step::DieAt { booking }),
        2 => any::<bool>().prop_map(Step::Slow),
        1 => any::<bool>().prop_map(|reboot| Step::LateDatabase { reboot }),
        1 => prop_oneof![4 => Just(Step::Disk(true)), 1 => any::<bool>().prop_map(|reboot| Step::Unreadable { reboot })],
        2 => any::<bool>().prop_map(Step::Lower),
        1 => (-30..30i8).prop_map(Step::Jump),
    ];
    (wait, what)
}

/// The totals of acid and base, and their longest time on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limits {
    max_on: i64,
    hour: i64,
    day: i64,
}

const LIMITS: Limits = Limits { max_on: 3000, hour: 10_000, day: 60_000 };
const LOWER: Limits = Limits { max_on: 2000, hour: 5000, day: 12_000 };

/// The same limits in every configuration; names, outputs and other actuators change.
fn farm(kind: u8) -> Actuators {
    let acid = Actuator { min_off: Span::from_secs(5), needs_fresh: [ph()].into(), ..doser() };
    let base = Actuator { excludes: [id("acid")].into(), min_off: Span::ZERO, ..doser() };
    let base = Actuator { id: id("base"), output: relay("relay-2"), ..base };
    let fan = Actuator { excludes: [id("base")].into(), ..pump("fan", "relay-3") };
    actuators(match kind {
        0 => vec![acid, base, fan],
        1 => vec![Actuator { id: id("acid-b"), ..acid }, Actuator { excludes: [id("acid-b")].into(), ..base }, fan],
        2 => vec![Actuator { enabled: false, ..acid }, base, Actuator { excludes: [].into(), ..fan }],
        _ => vec![fan],
    })
}

fn limited(farm: &Actuators, Limits { max_on, hour, day }: Limits) -> Actuators {
    let limited = |actuator: &Actuator| match actuator.has_total() {
        true => Actuator {
            max_on: Some(Span(max_on)),
            dose_per_hour: Some(Span(hour)),
            dose_per_day: Some(Span(day)),
            ..actuator.clone()
        },
        false => actuator.clone(),
    };
    actuators(farm.values().map(limited).collect())
}

fn relay(channel: &str) -> Output {
    Output::Board { bus: id("gateway"), channel: id(channel) }
}

/// A relay with a timer of its own.
#[derive(Debug, Default)]
struct Relay {
    /// On since then, and until its timer ends that.
    on: Option<(i64, i64)>,
    /// Limits under which it is on.
    limits: Option<Limits>,
    /// Orders under way: when they arrive.
    under_way: Vec<(i64, SwitchOrder, Limits)>,
    /// When it was on.
    was_on: Vec<(i64, i64)>,
    /// Limits under which it was switched on each time.
    was_limited: Vec<Limits>,
}

/// The farm: process, disk, outputs and real time.
struct World {
    interlock: Interlock,
    actuators: Actuators,
    /// What the disk holds: the record, the clock, and the uptime at which both were taken.
    disk: (Record, Clock, Uptime),
    disk_works: bool,
    /// The disk confirms bookings and keeps none.
    disk_lies: bool,
    is_slow: bool,
    /// The process runs without its database.
    is_late: bool,
    /// Bookings without an answer, and whether the disk has them.
    booking: Vec<(u64, bool)>,
    limits: Limits,
    /// What the clock is wrong by.
    error: i64,
    boot: u32,
    now: i64,
    booted_at: i64,
    /// The clock on the disk has believed a time of day.
    has_kept_time: bool,
    /// A time of day was believed, and the memory of it was not lost.
    has_believed: bool,
    /// The engine's. A machine without a battery begins each boot with any time of day, which is not trusted.
    clock: Clock,
    trusted: bool,
    link: bool,
    delay: i64,
    die_at: Option<bool>,
    commands: u32,
    relays: BTreeMap<Output, Relay>,
    killed: u32,
    kills_in_booking: u32,
}

impl World {
    fn new() -> World {
        let actuators = farm(0);
        let clock = Clock::new(Start { boot: 1, at: Uptime(0), wall: Some(WallTime(0)) });
        let mut world = World {
            interlock: Interlock::new(&actuators),
            actuators,
            disk: (Record::default(), clock.clone(), Uptime(0)),
            disk_works: true,
            disk_lies: false,
            is_slow: false,
            is_late: false,
            booking: Vec::new(),
            limits: LIMITS,
            error: 0,
            boot: 1,
            now: 0,
            booted_at: 0,
            has_kept_time: true,
            has_believed: true,
            clock,
            trusted: true,
            link: true,
            delay: 0,
            die_at: None,
            commands: 0,
            relays: BTreeMap::new(),
            killed: 0,
            kills_in_booking: 0,
        };
        world.interlock.resume(world.stamp());
        world.interlock.set_fresh(world.stamp(), &ph(), true);
        world.work();
        world
    }

    fn uptime(&self) -> Uptime {
        Uptime(self.now - self.booted_at)
    }

    fn stamp(&self) -> Stamp {
        self.clock.stamp(self.uptime())
    }

    fn step(&mut self, (wait, step): &(i64, Step)) {
        self.wait(*wait);
        let stamp = self.stamp();
        let booking = if self.is_late { Vec::new() } else { std::mem::take(&mut self.booking) };
        match step {
            Step::On { actuator, secs } => self.command(*actuator, Wanted::On(Some(Span::from_secs(i64::from(*secs))))),
            Step::Off(actuator) => self.command(*actuator, Wanted::Off),
            Step::Disk(works) => {
                self.disk_works = *works;
                if *works && self.is_late {
                    self.open_late();
                }
            }
            Step::Keep => self.keep(),
            Step::Kill { after, reboot, trusted } => {
                self.kill(i64::from(*after), *reboot, *trusted, StoredState::Readable);
            }
            Step::LateDatabase { reboot } => self.kill(3, *reboot, true, StoredState::Late),
            Step::Unreadable { reboot } => self.kill(3, *reboot, true, StoredState::Unreadable),
            Step::Slow(is_slow) => self.is_slow = *is_slow,
            Step::Lower(is_lower) => {
                self.limits = if *is_lower { LOWER } else { LIMITS };
                self.actuators = limited(&self.actuators, self.limits);
                self.interlock.set_actuators(stamp, &self.actuators);
            }
            Step::Jump(hours) => {
                self.error = i64::from(*hours) * HOUR;
                if self.trusted {
                    self.set_clock();
                }
            }
            Step::Trust => {
                self.error = 0;
                self.trust();
            }
            Step::Link(up) => self.set_link(*up),
            Step::Hold(true) => {
                self.input(ActuatorInput::Hold {
                    zone: id("tower-1"),
                    span: Some(Span::from_mins(5)),
                    by: "ann".to_owned(),
                });
            }
            Step::Hold(false) => self.input(ActuatorInput::EndHold { zone: id("tower-1"), by: "ann".to_owned() }),
            Step::Fresh(fresh) => self.interlock.set_fresh(stamp, &ph(), *fresh),
            Step::Plan(kind) => {
                self.actuators = limited(&farm(*kind), self.limits);
                self.interlock.set_actuators(stamp, &self.actuators);
            }
            Step::Delay(tenths) => self.delay = SWITCH_WITHIN.0 * i64::from(*tenths) / 10,
            Step::DieAt { booking } => self.die_at = Some(*booking),
        }
        self.work();
        booking.into_iter().for_each(|booking| self.answer_booking(booking));
    }

    fn answer_booking(&mut self, (order, is_kept): (u64, bool)) {
        if !is_kept {
            self.keep();
        }
        self.input(if self.disk_works { ActuatorInput::Booked(order) } else { ActuatorInput::NotBooked(order) });
    }

    fn command(&mut self, actuator: u8, wanted: Wanted) {
        self.commands += 1;
        let names: Vec<&Id> = self.actuators.keys().collect();
        let command = Command {
            id: id(&format!("c{}", self.commands)),
            actuator: names[usize::from(actuator) % names.len()].clone(),
            wanted,
            expires: self.stamp().uptime + Span::from_secs(5),
            by: Origin::Person("ann".to_owned()),
        };
        self.input(ActuatorInput::Command(command));
    }

    fn input(&mut self, input: ActuatorInput) {
        self.interlock.handle(self.stamp(), input);
        self.work();
    }

    /// Does what the interlock wants done, in its order.
    fn work(&mut self) {
        while let Some(effect) = self.interlock.poll() {
            let is_booking = matches!(effect, Effect::Book { .. });
            let is_on = matches!(&effect, Effect::Switch(switch) if switch.on);
            let dies = self.die_at.is_some_and(|booking| if booking { is_booking } else { is_on });
            if dies && !is_booking {
                self.die_at = None;
                return self.kill(3, false, false, StoredState::Readable);
            }
            match effect {
                Effect::Book { order, .. } => {
                    let works = self.disk_works;
                    if !self.disk_lies {
                        self.keep();
                    }
                    if dies {
                        self.die_at = None;
                        self.kills_in_booking += 1;
                        return self.kill(3, true, true, StoredState::Readable);
                    }
                    if self.is_slow || self.is_late {
                        self.booking.push((order, works && !self.is_late));
                        continue;
                    }
                    let answer = if works { ActuatorInput::Booked(order) } else { ActuatorInput::NotBooked(order) };
                    self.interlock.handle(self.stamp(), answer);
                }
                Effect::Switch(switch) if self.link => {
                    let relay = self.relays.entry(switch.output.clone()).or_default();
                    // No order overtakes another one.
                    let last = relay.under_way.last().map_or(0, |(at, ..)| *at);
                    relay.under_way.push((last.max(self.now + self.delay), switch, self.limits));
                }
                Effect::Switch(switch) => {
                    self.interlock.handle(self.stamp(), ActuatorInput::Lost(switch.order));
                }
                Effect::Report(_) | Effect::Hold(_) => {}
            }
        }
    }

    fn keep(&mut self) {
        if self.disk_works && !self.is_late {
            self.disk = (self.interlock.record(), self.clock.clone(), self.uptime());
            self.has_kept_time = self.has_believed;
        }
    }

    /// The process dies with what it had not kept, and another one begins.
    fn kill(&mut self, after: i64, reboot: bool, trusted: bool, found: StoredState) {
        self.killed += 1;
        while self.interlock.poll().is_some() {}
        self.booking.clear();
        self.pass(after * 1000);
        let (record, kept, at) = self.disk.clone();
        if reboot {
            self.booted_at = self.now;
            self.boot += 1;
            self.trusted = trusted;
            self.error = if after % 2 == 0 { 0 } else { self.error };
        }
        self.is_late = found == StoredState::Late;
        self.disk_works &= found != StoredState::Late;
        let boot = if self.is_late { 0 } else { self.boot };
        let record = if found == StoredState::Readable { record } else { Record::default() };
        self.interlock = Interlock::restore(&self.actuators, &record);
        self.has_believed = found == StoredState::Readable && self.has_kept_time;
        if found != StoredState::Readable {
            self.clock = Clock::new(Start { boot, at: self.uptime(), wall: None });
        } else if kept.boot() == boot {
            self.clock = kept;
        } else {
            self.restart(&kept, at, boot);
        }
        if self.trusted {
            self.trust();
        }
        self.interlock.resume(self.stamp());
        if found == StoredState::Unreadable {
            self.interlock.handle(self.stamp(), ActuatorInput::DosesUnknown);
            self.disk = (self.interlock.record(), self.clock.clone(), self.uptime());
            self.has_kept_time = self.has_believed;
        }
        if !self.link {
            self.interlock.set_bus(self.stamp(), &id("gateway"), false);
        }
        self.interlock.set_fresh(self.stamp(), &ph(), true);
        self.work();
    }

    /// As the engine does it: what was left of each wait goes on from here.
    fn restart(&mut self, kept: &Clock, at: Uptime, boot: u32) {
        let now = self.uptime();
        self.clock = kept.restart(at, Start { boot, at: now, wall: None });
        // A machine whose first time of day is too early cannot be told from one that was off for less, unless it is before the latest one.
        if !self.clock.is_behind(Some(self.now + self.error - now.0)) {
            self.error = 0;
        }
        self.interlock.shift(u32::MAX, now - at);
    }

    /// The database is there: the boot is counted, and what was dosed before is known.
    fn open_late(&mut self) {
        let (record, _, at) = self.disk.clone();
        self.clock.set_boot(self.boot);
        self.interlock.merge_earlier(self.stamp(), &record, self.uptime() - at);
        self.is_late = false;
        self.work();
        self.keep();
        std::mem::take(&mut self.booking).into_iter().for_each(|booking| self.answer_booking(booking));
    }

    /// The time of day is known, and with it how long the device was off.
    fn trust(&mut self) {
        self.trusted = true;
        self.set_clock();
    }

    fn set_clock(&mut self) {
        // Nothing says that a time of day was wrong from the first, nor that the first one of a boot is too late.
        let is_first = self.clock.wall(self.uptime()).is_none();
        if !std::mem::replace(&mut self.has_believed, true) || is_first && self.error > 0 {
            self.error = 0;
        }
        self.clock.set(self.uptime(), WallTime(self.now + self.error));
        if let Some((boot, by)) = self.clock.move_waits() {
            self.interlock.shift(boot, by);
        }
    }

    fn set_link(&mut self, up: bool) {
        self.link = up;
        if !up {
            // Orders under way are gone, and the board opens its relays.
            for relay in self.relays.values_mut() {
                relay.under_way.clear();
                relay.end(self.now);
            }
        }
        self.interlock.set_bus(self.stamp(), &id("gateway"), up);
    }

    /// Time goes on, and the interlock is there when it wanted to be.
    fn wait(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            let due = self.interlock.deadline().map_or(i64::MAX, |due| due.0 + self.booted_at);
            let arrives = self.relays.values().filter_map(Relay::next).min().unwrap_or(i64::MAX);
            let next = due.min(arrives).clamp(self.now, end);
            // What is due at this instant and was done moves on by itself.
            self.pass((next - self.now).max(i64::from(next == self.now)));
            self.interlock.handle(self.stamp(), ActuatorInput::Tick);
            self.work();
        }
    }

    /// Time goes on for the outputs, whose confirmations the engine reads.
    fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(next) = self.relays.values().filter_map(Relay::next).min().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            for relay in self.relays.values_mut() {
                for (order, on) in relay.obey(self.now) {
                    let stamp = self.clock.stamp(Uptime(self.now - self.booted_at));
                    self.interlock.handle(stamp, ActuatorInput::Switched { order, on, why: None });
                }
            }
        }
        self.now = end;
    }
}

impl Relay {
    /// When something happens to it by itself.
    fn next(&self) -> Option<i64> {
        let timer = self.on.map(|(_, until)| until);
        self.under_way.iter().map(|(at, ..)| *at).chain(timer).min()
    }

    /// Carries out what has arrived.
    fn obey(&mut self, now: i64) -> Vec<(u64, bool)> {
        if self.on.is_some_and(|(_, until)| until <= now) {
            self.end(now);
        }
        let (arrived, under_way) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, ..)| *at <= now);
        self.under_way = under_way;
        let arrived: Vec<(i64, SwitchOrder, Limits)> = arrived;
        let follow = |(_, switch, limits): (i64, SwitchOrder, Limits)| {
            self.end(now);
            if switch.on {
                self.limits = Some(limits);
                self.on = Some((now, now + switch.at_most.expect("no siren here").0));
            }
            (switch.order, switch.on)
        };
        arrived.into_iter().map(follow).collect()
    }

    fn end(&mut self, now: i64) {
        if let Some((from, until)) = self.on.take() {
            self.was_on.push((from, until.min(now)));
            self.was_limited.extend(self.limits);
        }
    }

    fn within(&self, begin: i64, period: i64) -> i64 {
        let part = |(from, until): &(i64, i64)| (until.min(&(begin + period)) - from.max(&begin)).max(0);
        self.was_on.iter().map(part).sum::<i64>()
    }

    /// The longest time on within a period.
    fn most_within(&self, period: i64) -> i64 {
        self.was_on.iter().map(|(from, _)| self.within(*from, period)).max().unwrap_or(0)
    }
}

fn overlap(one: &Relay, other: &Relay) -> bool {
    one.was_on.iter().any(|(from, until)| other.was_on.iter().any(|(start, end)| from < end && start < until))
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let none = Relay::default();
    let relay = |channel: &str| world.relays.get(&relay(channel)).unwrap_or(&none);
    for channel in ["relay-1", "relay-2"] {
        let (hour, day) = (relay(channel).most_within(HOUR), relay(channel).most_within(DAY));
        prop_assert!(hour <= 10_000, "{channel} was on for {hour} ms within an hour");
        prop_assert!(day <= 60_000, "{channel} was on for {day} ms within a day");
    }
    for channel in ["relay-1", "relay-2"] {
        // By the limits of its order, even if others hold by the time that it is carried out.
        for ((from, until), limits) in relay(channel).was_on.iter().zip(&relay(channel).was_limited) {
            let Limits { max_on, hour, day } = *limits;
            prop_assert!(until - from <= max_on, "{channel} was on from {from} to {until}, {limits:?}");
            let (in_hour, in_day) =
                (relay(channel).within(until - HOUR, HOUR), relay(channel).within(until - DAY, DAY));
            prop_assert!(in_hour <= hour, "{channel} was on for {in_hour} ms in the hour to {until}, {limits:?}");
            prop_assert!(in_day <= day, "{channel} was on for {in_day} ms in the day to {until}, {limits:?}");
        }
    }
    for (output, relay) in &world.relays {
        for (from, until) in &relay.was_on {
            prop_assert!(until - from <= 3000, "{output} was on from {from} to {until}");
        }
    }
    for pair in relay("relay-1").was_on.windows(2) {
        prop_assert!(pair[1].0 - pair[0].1 >= 5000, "relay-1 paused from {} to {}", pair[0].1, pair[1].0);
    }
    prop_assert!(!overlap(relay("relay-1"), relay("relay-2")), "acid and base were on together");
    Ok(())
}

fn live(world: &mut World, history: &[(i64, Step)]) {
    history.iter().for_each(|step| world.step(step));
    world.wait(60_000);
    world.relays.values_mut().for_each(|relay| relay.end(world.now));
}

/// So many histories, each of at most as many steps.
fn histories(cases: u32) -> (TestRunner, impl Strategy<Value = Vec<(i64, Step)>>) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    (TestRunner::new(config), proptest::collection::vec(step(), 1..160))
}

#[expect(clippy::disallowed_methods, reason = "the evidence of dosing asks for another number of histories")]
fn wanted() -> u32 {
    std::env::var("TILTH_HISTORIES").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(HISTORIES)
}

#[test]
#[expect(clippy::print_stdout, clippy::disallowed_macros, reason = "the evidence of dosing states what was exercised")]
fn no_history_passes_a_limit() {
    let (wanted, counts) = (wanted(), Cell::new([0u64; 4]));
    let (mut runner, history) = histories(wanted);
    let run = runner.run(&history, |history| {
        let mut world = World::new();
        live(&mut world, &history);
        let doses: usize = world.relays.values().map(|relay| relay.was_on.len()).sum();
        let [all_doses, near, kills, booking] = counts.get();
        let most = world.relays.get(&relay("relay-1")).map_or(0, |relay| relay.most_within(HOUR));
        counts.set([
            all_doses + doses as u64,
            near + u64::from(most >= 8000),
            kills + u64::from(world.killed),
            booking + u64::from(world.kills_in_booking),
        ]);
        check(&world)
    });
    if let Err(error) = run {
        panic!("{error}");
    }
    let [doses, near, kills, booking] = counts.get();
    println!(
        "{wanted} histories with {doses} doses, {near} near a limit, {kills} kills, {booking} of them in a booking"
    );
    let wanted = u64::from(wanted);
    let least = [5 * wanted, wanted / 100, wanted, wanted / 20];
    assert!(
        counts.get().iter().zip(&least).all(|(count, least)| count > least),
        "{:?}, expected {least:?}",
        counts.get()
    );
}

#[test]
fn a_disk_that_confirms_bookings_and_keeps_none_is_noticed() {
    let (mut runner, history) = histories(1000);
    let run = runner.run(&history, |history| {
        let mut world = World { disk_lies: true, ..World::new() };
        live(&mut world, &history);
        check(&world)
    });
    assert!(run.is_err(), "expected a limit to be passed");
}

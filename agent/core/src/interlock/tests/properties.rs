//! No history of commands, restarts, reboots, kills, lost links, full disks and configurations passes a limit. The outputs are
//! relays on paper, which obey late or not at all, and are judged by when they were on in real time.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Actuators, actuators, doser, id, ph, pump};
use crate::actuator::{Actuator, Output};
use crate::id::Id;
use crate::interlock::{Command, Effect, Input, Interlock, Origin, Record, SWITCH_WITHIN, Switch, Wanted};
use crate::time::{Span, Stamp, Uptime, WallTime};

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
    ];
    (wait, what)
}

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

fn relay(channel: &str) -> Output {
    Output::Board { bus: id("gateway"), channel: id(channel) }
}

/// A relay with a timer of its own.
#[derive(Debug, Default)]
struct Relay {
    /// On since then, and until its timer ends that.
    on: Option<(i64, i64)>,
    /// Orders under way: when they arrive.
    under_way: Vec<(i64, Switch)>,
    /// When it was on.
    was_on: Vec<(i64, i64)>,
}

/// The farm: process, disk, outputs and real time.
struct World {
    interlock: Interlock,
    actuators: Actuators,
    disk: Record,
    disk_works: bool,
    /// When the record on the disk was taken: boot, uptime, and wall time where it was trusted.
    kept_at: Stamp,
    now: i64,
    boot: u32,
    booted_at: i64,
    trusted: bool,
    /// The last trusted time before this boot that is not accounted for yet, and the uptime that was counted since.
    carried: Option<(u32, i64, i64)>,
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
        let mut world = World {
            interlock: Interlock::new(&actuators),
            actuators,
            disk: Record::default(),
            disk_works: true,
            kept_at: Stamp { boot: 1, uptime: Uptime(0), wall: None },
            now: 0,
            boot: 1,
            booted_at: 0,
            trusted: true,
            carried: None,
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

    fn stamp(&self) -> Stamp {
        let wall = self.trusted.then_some(WallTime(self.now));
        Stamp { boot: self.boot, uptime: Uptime(self.now - self.booted_at), wall }
    }

    fn step(&mut self, (wait, step): &(i64, Step)) {
        self.wait(*wait);
        let stamp = self.stamp();
        match step {
            Step::On { actuator, secs } => self.command(*actuator, Wanted::On(Some(Span::from_secs(i64::from(*secs))))),
            Step::Off(actuator) => self.command(*actuator, Wanted::Off),
            Step::Disk(works) => self.disk_works = *works,
            Step::Keep => self.keep(),
            Step::Kill { after, reboot, trusted } => self.kill(i64::from(*after), *reboot, *trusted),
            Step::Trust => self.trust(),
            Step::Link(up) => self.set_link(*up),
            Step::Hold(true) => {
                self.input(Input::Hold { zone: id("tower-1"), span: Some(Span::from_mins(5)), by: "ann".to_owned() });
            }
            Step::Hold(false) => self.input(Input::EndHold { zone: id("tower-1"), by: "ann".to_owned() }),
            Step::Fresh(fresh) => self.interlock.set_fresh(stamp, &ph(), *fresh),
            Step::Plan(kind) => {
                self.actuators = farm(*kind);
                self.interlock.set_actuators(stamp, &self.actuators);
            }
            Step::Delay(tenths) => self.delay = SWITCH_WITHIN.0 * i64::from(*tenths) / 10,
            Step::DieAt { booking } => self.die_at = Some(*booking),
        }
        self.work();
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
        self.input(Input::Command(command));
    }

    fn input(&mut self, input: Input) {
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
                return self.kill(3, false, false);
            }
            match effect {
                Effect::Book { order, .. } => {
                    let works = self.disk_works;
                    self.keep();
                    if dies {
                        self.die_at = None;
                        self.kills_in_booking += 1;
                        return self.kill(3, true, true);
                    }
                    let answer = if works { Input::Booked(order) } else { Input::NotBooked(order) };
                    self.interlock.handle(self.stamp(), answer);
                }
                Effect::Switch(switch) if self.link => {
                    let relay = self.relays.entry(switch.output.clone()).or_default();
                    // No order overtakes another one.
                    let last = relay.under_way.last().map_or(0, |(at, _)| *at);
                    relay.under_way.push((last.max(self.now + self.delay), switch));
                }
                Effect::Switch(switch) => {
                    self.interlock.handle(self.stamp(), Input::Lost(switch.order));
                }
                Effect::Report(_) | Effect::Hold(_) => {}
            }
        }
    }

    fn keep(&mut self) {
        if self.disk_works {
            self.disk = self.interlock.record();
            self.kept_at = self.stamp();
        }
    }

    /// The process dies with what it had not kept, and another one begins.
    fn kill(&mut self, after: i64, reboot: bool, trusted: bool) {
        self.killed += 1;
        while self.interlock.poll().is_some() {}
        let last = Stamp { wall: self.kept_at.wall, ..self.kept_at };
        self.pass(after * 1000);
        self.interlock = Interlock::restore(&self.actuators, &self.disk);
        if reboot {
            self.reboot(last, trusted);
        } else if last.boot != self.boot {
            // Nothing was kept in this boot yet: its start is what is known.
            self.carry(last);
            self.count_time_off();
        }
        self.interlock.resume(self.stamp());
        if !self.link {
            self.interlock.set_bus(self.stamp(), &id("gateway"), false);
        }
        self.interlock.set_fresh(self.stamp(), &ph(), true);
        self.work();
    }

    fn reboot(&mut self, last: Stamp, trusted: bool) {
        self.boot += 1;
        self.booted_at = self.now;
        self.trusted = trusted;
        self.carry(last);
        self.count_time_off();
    }

    /// As the engine does it: what was left of each wait goes on from here.
    fn carry(&mut self, last: Stamp) {
        self.interlock.shift(u32::MAX, self.stamp().uptime - last.uptime);
        self.carried = last.wall.map(|wall| (last.boot, wall.0, self.stamp().uptime.0));
    }

    fn count_time_off(&mut self) {
        if let (true, Some((boot, wall, from))) = (self.trusted, self.carried) {
            let off = (self.now - wall) - (self.stamp().uptime.0 - from);
            self.interlock.shift(boot, Span(-off.max(0)));
            self.carried = None;
        }
    }

    fn trust(&mut self) {
        self.trusted = true;
        self.count_time_off();
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
            self.interlock.handle(self.stamp(), Input::Tick);
            self.work();
        }
    }

    /// Time goes on for the outputs, which confirm to whoever listens.
    fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(next) = self.relays.values().filter_map(Relay::next).min().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            for relay in self.relays.values_mut() {
                for (order, on) in relay.obey(self.now) {
                    self.interlock.handle(
                        Stamp { uptime: Uptime(self.now - self.booted_at), boot: self.boot, wall: None },
                        Input::Switched { order, on },
                    );
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
        self.under_way.iter().map(|(at, _)| *at).chain(timer).min()
    }

    /// Carries out what has arrived.
    fn obey(&mut self, now: i64) -> Vec<(u64, bool)> {
        if self.on.is_some_and(|(_, until)| until <= now) {
            self.end(now);
        }
        let (arrived, under_way) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= now);
        self.under_way = under_way;
        let arrived: Vec<(i64, Switch)> = arrived;
        let follow = |(_, switch): (i64, Switch)| {
            self.end(now);
            if switch.on {
                self.on = Some((now, now + switch.at_most.expect("no siren here").0));
            }
            (switch.order, switch.on)
        };
        arrived.into_iter().map(follow).collect()
    }

    fn end(&mut self, now: i64) {
        if let Some((from, until)) = self.on.take() {
            self.was_on.push((from, until.min(now)));
        }
    }

    /// The longest time on within a period.
    fn most_within(&self, period: i64) -> i64 {
        let within = |begin: i64| {
            let part = |(from, until): &(i64, i64)| (until.min(&(begin + period)) - from.max(&begin)).max(0);
            self.was_on.iter().map(part).sum::<i64>()
        };
        self.was_on.iter().map(|(from, _)| within(*from)).max().unwrap_or(0)
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

#[test]
fn no_history_passes_a_limit() {
    let counts = Cell::new([0u64; 4]);
    let config = Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let history = proptest::collection::vec(step(), 1..160);
    let run = TestRunner::new(config).run(&history, |history| {
        let mut world = World::new();
        history.iter().for_each(|step| world.step(step));
        world.wait(60_000);
        world.relays.values_mut().for_each(|relay| relay.end(world.now));
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
    assert!(doses > 50_000 && near > 100 && kills > 10_000 && booking > 500, "{:?}", counts.get());
}

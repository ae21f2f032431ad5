//! What holds in every history. Each property runs 10,000 random ones, and counts that what it guards did happen in them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::bench::{WALL, above, day, differs, id, plan, rule, sensor};
use crate::alert::AlertId;
use crate::effect::{Effect, Transition};
use crate::engine::{AlertState, Engine, Input, Snapshot, Start};
use crate::id::SensorId;
use crate::plan::{Plan, Rule, Severity};
use crate::reading::{Quality, Raw, Reading, SensorIx};
use crate::rules::Condition;
use crate::sensor::Sensor;
use crate::site::Matcher;
use crate::time::{Span, Uptime, WallTime};
use crate::windows::{Grain, Row, Window};

const HISTORIES: u32 = 10_000;

/// A thing that happens, by small numbers that the engine's state turns into an input.
#[derive(Debug, Clone)]
enum Event {
    Read { sensor: u8, value: i8, quality: u8 },
    Late { sensor: u8, back: i64, value: i8 },
    Undated { sensor: u8, value: i8 },
    Tick,
    Acknowledge { alert: u8, mins: u8 },
    Silence { rule: Option<u8>, mins: u8 },
    EndSilence(u8),
    Bus(bool),
    Unmatched,
    Clock(i32),
    Replan(bool),
}

/// When, after the one before in milliseconds, and what.
type Step = (i64, Event);

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..3u8, -3..12i8, 0..12u8).prop_map(|(sensor, value, quality)| Event::Read { sensor, value, quality }),
        2 => (0..3u8, 1..2_000_000i64, -3..12i8).prop_map(|(sensor, back, value)| Event::Late { sensor, back, value }),
        2 => (0..3u8, -3..12i8).prop_map(|(sensor, value)| Event::Undated { sensor, value }),
        2 => Just(Event::Tick),
        3 => (0..4u8, 0..120u8).prop_map(|(alert, mins)| Event::Acknowledge { alert, mins }),
        1 => (proptest::option::of(0..8u8), 0..200u8).prop_map(|(rule, mins)| Event::Silence { rule, mins }),
        1 => (0..4u8).prop_map(Event::EndSilence),
        1 => any::<bool>().prop_map(Event::Bus),
        1 => Just(Event::Unmatched),
        1 => (-7_200_000..7_200_000i32).prop_map(Event::Clock),
        1 => any::<bool>().prop_map(Event::Replan),
    ]
}

/// Seconds to half a day between things, whole minutes often enough that deadlines and readings meet.
fn wait() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..5_000i64, 4 => (0..20i64).prop_map(|mins| mins * 60_000), 2 => 0..600_000i64, 1 => 0..40_000_000i64]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((wait(), event()), 1..60)
}

fn farm(changed: bool) -> Arc<Plan> {
    let bus = id(if changed { "other" } else { "gateway" });
    let bussed = Sensor { bus: Some(bus), max_rate: Some(4.0), ..sensor("z/a") };
    let moving =
        Sensor { stuck_for: Some(Span::from_mins(20)), stale_after: Some(Span::from_mins(30)), ..sensor("z/b") };
    let high = |of: &str| rule("high", of, Condition::Above { limit: 6.8, clear: 6.5 });
    let limit = if changed { 5.0 } else { 4.0 };
    let mut rules = vec![
        high("z/a"),
        Rule { hold: Span::from_mins(5), keep_firing_for: Span::from_mins(2), ..high("z/b") },
        Rule { cooldown: Span::from_mins(15), severity: Severity::Preventive, ..high("z/c") },
        Rule {
            during: Some(day()),
            hold: Span::from_mins(1),
            ..rule("day-low", "z/a", Condition::Below { limit, clear: 5.5 })
        },
        rule("silent", "z/a", Condition::MissingFor(Span::from_mins(10))),
        Rule { hold: Span::from_mins(3), ..rule("silent", "z/b", Condition::MissingFor(Span::from_mins(60))) },
        rule("rising", "z/c", Condition::RateAbove { limit: 1.0, clear: 0.5 }),
        rule("stuck", "z/c", Condition::StuckFor(Span::from_mins(15))),
        rule("fault", "z/b", Condition::Faulty),
        rule("apart", "z/a", differs(if changed { "z/b" } else { "z/c" }, 2.0)),
        Rule { hold: Span::from_mins(4), cooldown: Span::from_mins(30), ..rule("apart", "z/c", differs("z/b", 1.0)) },
    ];
    if changed {
        rules.push(rule("extra", "z/c", above(2.0)));
        rules.remove(0);
    }
    plan(vec![bussed, moving, sensor("z/c")], rules)
}

/// The same, where a sensor stands for the line, and rules that go are remembered.
fn farm_with_line(changed: bool) -> Arc<Plan> {
    let plan = farm(changed);
    let line = Sensor { state_of_bus: Some(id("gateway")), ..sensor("zz/line") };
    let on_line = |sensor: &Sensor| match sensor.id.as_str() {
        "z/a" => Sensor { heard_within: Some(Span::from_mins(8)), ..sensor.clone() },
        "z/b" => Sensor { heard_within: Some(Span::from_mins(40)), bus: Some(id("gateway")), ..sensor.clone() },
        _ => Sensor { bus: Some(id("gateway")), ..sensor.clone() },
    };
    let silence = rule("bus-silent", "zz/line", Condition::MissingFor(Span::from_mins(8)));
    let sensors = plan.sensors().iter().map(on_line).chain([line]).collect();
    let rules = plan.rules().cloned().chain([silence]).collect();
    Arc::new(Plan::new(sensors, rules).unwrap().remembering_removed(Span::from_mins(60)))
}

/// A run of a history: everything the engine said, and the state that inputs are made from.
struct Run {
    farm: fn(bool) -> Arc<Plan>,
    engine: Engine,
    effects: Vec<Effect>,
    now: i64,
    newest: [Option<i64>; 3],
}

impl Run {
    fn new() -> Run {
        Run::on(farm)
    }

    fn on(farm: fn(bool) -> Arc<Plan>) -> Run {
        let engine = Engine::new(farm(false), Start { boot: 1, at: Uptime(0), wall: Some(WALL) });
        Run { farm, engine, effects: Vec::new(), now: 0, newest: [None; 3] }
    }

    fn of(history: &[Step]) -> Run {
        let mut run = Run::new();
        history.iter().for_each(|step| run.step(step));
        run
    }

    fn step(&mut self, (wait, event): &Step) {
        self.now += wait;
        // What is due is done before people look at it, so that an input made from what they saw is the same in every run.
        self.handle(Input::Tick);
        if let Some(input) = self.input(event) {
            self.handle(input);
        }
    }

    fn handle(&mut self, input: Input) {
        self.engine.handle(Uptime(self.now), input);
        while let Some(effect) = self.engine.poll() {
            self.effects.push(effect);
        }
    }

    fn input(&mut self, event: &Event) -> Option<Input> {
        let raw = |sensor: u8, at, value: i8, quality| {
            let value = if value == 11 { f64::NAN } else { f64::from(value) * 0.9 };
            Raw { sensor: SensorIx(u32::from(sensor)), at: Uptime(at), value, quality }
        };
        Some(match event {
            Event::Read { sensor, value, quality } => {
                if *value != 11 {
                    self.newest[usize::from(*sensor)] = Some(self.now);
                }
                let quality = [Quality::Suspect, Quality::Calibrating, Quality::Fault, Quality::Simulated]
                    .get(usize::from(*quality))
                    .copied();
                Input::Reading(raw(*sensor, self.now, *value, quality.unwrap_or(Quality::Good)))
            }
            Event::Late { sensor, back, value } => {
                Input::Reading(raw(*sensor, self.newest[usize::from(*sensor)]? - back, *value, Quality::Good))
            }
            Event::Undated { sensor, value } => Input::Undated(raw(*sensor, self.now, *value, Quality::Good)),
            Event::Tick => Input::Tick,
            Event::Acknowledge { alert, mins } => Input::Acknowledge {
                alert: AlertId(self.fired().saturating_sub(u64::from(*alert))),
                span: Span::from_mins(i64::from(*mins)),
                by: "ann".to_owned(),
            },
            Event::Silence { rule, mins } => Input::Silence {
                of: Matcher {
                    sensor: rule.map(|rule| SensorId::new(["z/a", "z/b", "z/c"][usize::from(rule) % 3]).unwrap()),
                    ..Matcher::default()
                },
                span: Span::from_mins(i64::from(*mins)),
                by: "ann".to_owned(),
            },
            Event::EndSilence(back) => Input::EndSilence(u32::from(*back) + 1),
            Event::Unmatched => Input::Unmatched(id("gateway")),
            Event::Bus(up) => Input::Bus { bus: id("gateway"), up: *up },
            Event::Clock(off) => Input::Clock(WallTime(WALL.0 + self.now + i64::from(*off))),
            Event::Replan(changed) => Input::Plan((self.farm)(*changed)),
        })
    }

    fn fired(&self) -> u64 {
        let is_firing = |effect: &&Effect| matches!(effect, Effect::Alert(Transition::Firing, _));
        self.effects.iter().filter(is_firing).count() as u64
    }

    fn restore(&mut self) {
        let bytes = serde_json::to_vec(&self.engine.snapshot()).unwrap();
        let plan = Arc::clone(self.engine.plan());
        self.engine = Engine::restore(plan, &serde_json::from_slice(&bytes).unwrap()).unwrap();
    }
}

/// Runs a property over random histories; `guarded` counts how often there was something to guard.
fn check<S: Strategy>(strategy: S, property: impl Fn(S::Value, &Cell<u64>) -> Result<(), TestCaseError>) {
    check_times(HISTORIES, strategy, property);
}

fn check_times<S: Strategy>(
    times: u32,
    strategy: S,
    property: impl Fn(S::Value, &Cell<u64>) -> Result<(), TestCaseError>,
) {
    let guarded = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: times, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |value| property(value, &guarded));
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(guarded.get() >= u64::from(times) / 2, "only {} cases had anything to guard", guarded.get());
}

fn count(guarded: &Cell<u64>, more: usize) {
    guarded.set(guarded.get() + more as u64);
}

#[test]
fn an_acknowledged_alert_never_pages_before_its_expiry() {
    check(history(), |history, guarded| {
        let mut until: BTreeMap<AlertId, Uptime> = BTreeMap::new();
        for effect in &Run::of(&history).effects {
            match effect {
                Effect::Alert(Transition::Acknowledged { until: end, .. }, details) => {
                    until.insert(details.alert.unwrap(), end.uptime);
                    count(guarded, 1);
                }
                Effect::Page(page) => {
                    let early = until.get(&page.id.alert).is_some_and(|until| page.details.at.uptime < *until);
                    prop_assert!(!early, "page {} at {:?}", page.id, page.details.at);
                }
                _ => {}
            }
        }
        Ok(())
    });
}

#[test]
fn a_resolved_alert_never_pages_and_a_page_is_sent_once() {
    check(history(), |history, guarded| {
        let mut over = Vec::new();
        let mut pages = Vec::new();
        for effect in &Run::of(&history).effects {
            match effect {
                Effect::Alert(Transition::Resolved(_), details) => {
                    over.push(details.alert.unwrap());
                    count(guarded, 1);
                }
                Effect::Page(page) => {
                    prop_assert!(!over.contains(&page.id.alert), "page {} after it resolved", page.id);
                    prop_assert!(!pages.contains(&page.id), "page {} twice", page.id);
                    pages.push(page.id);
                }
                _ => {}
            }
        }
        Ok(())
    });
}

#[test]
fn snapshot_and_restore_at_random_points_changes_nothing() {
    let strategy = history().prop_flat_map(|history| {
        let restarts = proptest::collection::vec(any::<bool>(), history.len());
        (Just(history), restarts)
    });
    check(strategy, |(history, restarts), guarded| {
        let whole = Run::of(&history);
        let mut split = Run::new();
        for (step, restart) in history.iter().zip(&restarts) {
            split.step(step);
            if *restart {
                split.restore();
                count(guarded, 1);
            }
        }
        let differs = split.effects.iter().zip(&whole.effects).find(|(split, whole)| split != whole);
        prop_assert!(differs.is_none(), "{differs:?}");
        prop_assert_eq!(split.effects.len(), whole.effects.len());
        prop_assert_eq!(split.engine.snapshot(), whole.engine.snapshot());
        Ok(())
    });
}

/// Guards against: a snapshot that shares what the engine remembers, and changes with it.
#[test]
fn a_snapshot_stays_as_it_was_taken() {
    check_times(HISTORIES / 10, history(), |history, guarded| {
        let mut run = Run::on(farm_with_line);
        let taken: Vec<_> = history
            .iter()
            .map(|step| {
                run.step(step);
                let snapshot = run.engine.snapshot();
                let bytes = serde_json::to_vec(&snapshot).unwrap();
                (snapshot, bytes)
            })
            .collect();
        for (snapshot, bytes) in &taken {
            prop_assert_eq!(&serde_json::to_vec(snapshot).unwrap(), bytes);
            prop_assert_eq!(&serde_json::from_slice::<Snapshot>(bytes).unwrap(), snapshot);
        }
        count(guarded, taken.windows(2).filter(|pair| pair[0].1 != pair[1].1).count());
        Ok(())
    });
}

/// Guards against: a checkpoint put together of changes that is not the one that was taken.
#[test]
fn the_changes_between_snapshots_add_up_to_the_last_one() {
    let strategy = history().prop_flat_map(|history| {
        let taken = proptest::collection::vec(any::<bool>(), history.len());
        (Just(history), taken)
    });
    check_times(HISTORIES / 10, strategy, |(history, taken), guarded| {
        let mut run = Run::on(farm_with_line);
        let mut earlier = run.engine.snapshot();
        let mut kept = read_back(&earlier);
        for (step, is_taken) in history.iter().zip(taken) {
            run.step(step);
            if !is_taken {
                continue;
            }
            let later = run.engine.snapshot();
            match later.changes_since(&earlier) {
                Some(changes) => {
                    kept.apply(read_back(&changes));
                    count(guarded, 1);
                }
                None => kept = read_back(&later),
            }
            prop_assert_eq!(&kept, &later, "after {:?}", step);
            prop_assert_eq!(serde_json::to_vec(&kept).unwrap(), serde_json::to_vec(&later).unwrap());
            earlier = later;
        }
        Ok(())
    });
}

/// Bytes, and back.
fn read_back<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
}

/// Of a farm with a line: what is remembered of it and of rules that are gone is all in the snapshot, a late wake-up changes
/// nothing, and what is over pages again only once it has fired again.
#[test]
fn with_a_line_and_rules_that_come_back_the_same_holds() {
    check_times(HISTORIES / 10, history(), |history, guarded| {
        let (mut whole, mut split) = (Run::on(farm_with_line), Run::on(farm_with_line));
        for (at, step) in history.iter().enumerate() {
            whole.step(step);
            let then = split.now + step.0;
            while let Some(due) = split.engine.deadline().filter(|due| due.0 <= then) {
                split.now = due.0.max(split.now);
                split.handle(Input::Tick);
            }
            split.step(&(then - split.now, step.1.clone()));
            if at % 3 == 0 {
                split.restore();
            }
        }
        prop_assert_eq!(format!("{:?}", split.effects), format!("{:?}", whole.effects));
        prop_assert_eq!(split.engine.snapshot(), whole.engine.snapshot());
        let mut over = Vec::new();
        for effect in &whole.effects {
            match effect {
                Effect::Alert(Transition::Resolved(_), details) => over.push(details.alert),
                Effect::Alert(Transition::Firing | Transition::Acknowledged { .. }, details) => {
                    over.retain(|alert| *alert != details.alert);
                    count(guarded, 1);
                }
                Effect::Page(page) => {
                    prop_assert!(!over.contains(&Some(page.id.alert)), "{} after it resolved", page.id);
                }
                _ => {}
            }
        }
        Ok(())
    });
}

#[test]
fn late_readings_never_move_a_rule() {
    check(history(), |history, guarded| {
        let moved = |effects: Vec<Effect>| -> Vec<String> {
            let is_other = |effect: &Effect| !matches!(effect, Effect::Reading(_) | Effect::Window(_));
            effects.iter().filter(|effect| is_other(effect)).map(|effect| format!("{effect:?}")).collect()
        };
        let all = Run::of(&history).effects;
        count(guarded, all.iter().filter(|effect| matches!(effect, Effect::Reading(reading) if reading.late)).count());
        // A late value that is not a number is counted and nothing else.
        let all = moved(all).into_iter().filter(|said| !said.starts_with("NoValue")).collect::<Vec<_>>();
        let without = |(wait, event): &Step| match event {
            Event::Late { .. } => (*wait, Event::Tick),
            other => (*wait, other.clone()),
        };
        let timely: Vec<Step> = history.iter().map(without).collect();
        let timely = moved(Run::of(&timely).effects);
        prop_assert_eq!(all, timely.into_iter().filter(|said| !said.starts_with("NoValue")).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn coming_at_every_deadline_or_only_with_the_next_input_is_the_same() {
    check(history(), |history, guarded| {
        let mut punctual = Run::new();
        for step in &history {
            let then = punctual.now + step.0;
            while let Some(due) = punctual.engine.deadline().filter(|due| due.0 <= then) {
                punctual.now = due.0.max(punctual.now);
                punctual.handle(Input::Tick);
                count(guarded, 1);
            }
            punctual.step(&(then - punctual.now, step.1.clone()));
        }
        prop_assert_eq!(format!("{:?}", punctual.effects), format!("{:?}", Run::of(&history).effects));
        Ok(())
    });
}

/// The rows of a grain that truth has: every reading in its window.
fn truth(readings: &[Reading], grain: Grain) -> BTreeMap<(SensorIx, Uptime), Window> {
    let mut rows = BTreeMap::new();
    for reading in readings {
        let of = Window::of(reading.steps, reading.at, reading.quality);
        let start = grain.start(reading.at, WALL.0);
        rows.entry((reading.sensor, start)).and_modify(|row: &mut Window| *row = row.merge(of)).or_insert(of);
    }
    rows
}

#[test]
fn windows_merge_exactly_whatever_comes_late() {
    let readings = |(wait, event): Step| match event {
        Event::Read { .. } | Event::Late { .. } | Event::Undated { .. } => (wait, event),
        _ => (wait, Event::Tick),
    };
    let strategy = history().prop_map(move |history| history.into_iter().map(readings).collect::<Vec<_>>());
    check(strategy, |history, guarded| {
        let mut run = Run::of(&history);
        run.step(&(3_600_000, Event::Tick));
        let reading = |effect: &Effect| match effect {
            Effect::Reading(reading) => Some(*reading),
            _ => None,
        };
        let readings: Vec<Reading> = run.effects.iter().filter_map(reading).collect();
        let mut rows: BTreeMap<(Grain, SensorIx, Uptime), Row> = BTreeMap::new();
        for effect in &run.effects {
            if let Effect::Window(closed) = effect {
                let key = (closed.grain, closed.sensor, closed.start.uptime);
                let before = rows.get(&key).copied();
                prop_assert!(before.is_none() || closed.late, "{key:?} closed twice and not said to be late");
                rows.insert(key, Row::amend(before, closed.window));
                count(guarded, 1);
            }
        }
        for grain in [Grain::Minute, Grain::Quarter] {
            let of_grain = rows.iter().filter(|(key, _)| key.0 == grain);
            let got: BTreeMap<_, _> = of_grain.map(|(key, row)| ((key.1, key.2), row.window)).collect();
            prop_assert_eq!(got, truth(&readings, grain));
        }
        let mut merged: BTreeMap<(SensorIx, Uptime), Window> = BTreeMap::new();
        for ((sensor, start), minute) in truth(&readings, Grain::Minute) {
            let quarter = merged.entry((sensor, Grain::Quarter.start(start, WALL.0))).or_default();
            *quarter = quarter.merge(minute);
        }
        prop_assert_eq!(merged, truth(&readings, Grain::Quarter));
        Ok(())
    });
}

/// What happens over boots: a step of a history, or a reboot after so long, with the clock trusted then or later.
#[derive(Debug, Clone)]
enum BootStep {
    Step(Step),
    Reboot { off: i64, trusted: bool },
    Trust,
    RestoreWith(bool),
}

fn boot_steps() -> impl Strategy<Value = Vec<BootStep>> {
    let event = event().prop_map(|event| match event {
        // The clock is only ever told the truth here, so that what is early can be told.
        Event::Clock(_) => Event::Tick,
        other => other,
    });
    let step = prop_oneof![
        12 => (wait(), event).prop_map(BootStep::Step),
        1 => (0..20_000_000i64, any::<bool>()).prop_map(|(off, trusted)| BootStep::Reboot { off, trusted }),
        1 => Just(BootStep::Trust),
        1 => any::<bool>().prop_map(BootStep::RestoreWith),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A run over boots. `real` is the time that truly passed, and every effect is kept with it.
struct Life {
    run: Run,
    boot: u32,
    began: i64,
    seen: Vec<(i64, Effect)>,
}

impl Life {
    fn new() -> Life {
        Life { run: Run::new(), boot: 1, began: 0, seen: Vec::new() }
    }

    fn live(&mut self, step: &BootStep) {
        match step {
            BootStep::Step(step) => self.run.step(step),
            BootStep::Trust => {
                let wall = WallTime(WALL.0 + self.began + self.run.now);
                self.run.handle(Input::Clock(wall));
            }
            BootStep::RestoreWith(changed) => {
                self.run.engine = Engine::restore(farm(*changed), &self.run.engine.snapshot()).unwrap();
                self.run.handle(Input::Tick);
            }
            BootStep::Reboot { off, trusted } => {
                self.began += self.run.now + off;
                self.boot += 1;
                let wall = trusted.then_some(WallTime(WALL.0 + self.began));
                let start = Start { boot: self.boot, at: Uptime(0), wall };
                let plan = Arc::clone(self.run.engine.plan());
                self.run.engine = Engine::restart(plan, &self.run.engine.snapshot(), start).unwrap();
                (self.run.now, self.run.newest) = (0, [None; 3]);
                self.run.handle(Input::Tick);
            }
        }
        let began = self.began;
        self.seen.extend(self.run.effects[self.seen.len()..].iter().map(|effect| (began, effect.clone())));
    }
}

#[test]
fn over_boots_nothing_that_should_page_waits_for_ever() {
    check(boot_steps(), |steps, guarded| {
        let mut life = Life::new();
        for step in &steps {
            life.live(step);
            for alert in life.run.engine.alerts() {
                let suppressed = alert.inhibition.is_some() || alert.silenced_until.is_some();
                if alert.state == AlertState::Firing && !suppressed {
                    count(guarded, 1);
                    prop_assert!(alert.details.pages > 0, "{} fires and nobody was told", alert.details.key);
                    let of = life.run.engine.plan().rule_ix(&alert.details.key).unwrap();
                    let timer = life.run.engine.rule_states[of as usize].timer;
                    prop_assert!(timer.is_some(), "{} fires and nothing is waited for", alert.details.key);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn over_boots_an_acknowledgement_never_ends_early_and_what_resolved_never_pages() {
    check(boot_steps(), |steps, guarded| {
        let mut life = Life::new();
        steps.iter().for_each(|step| life.live(step));
        let mut until: BTreeMap<AlertId, i64> = BTreeMap::new();
        let mut over = Vec::new();
        for (began, effect) in &life.seen {
            match effect {
                Effect::Alert(Transition::Acknowledged { until: end, .. }, details) => {
                    until.insert(details.alert.unwrap(), began + end.uptime.0);
                    count(guarded, 1);
                }
                Effect::Alert(Transition::Resolved(_), details) => over.push(details.alert.unwrap()),
                Effect::Page(page) => {
                    let now = began + page.details.at.uptime.0;
                    let end = until.get(&page.id.alert).copied().unwrap_or(i64::MIN);
                    prop_assert!(now >= end, "page {} at {now}, acknowledged until {end}", page.id);
                    prop_assert!(!over.contains(&page.id.alert), "page {} after it resolved", page.id);
                }
                _ => {}
            }
        }
        Ok(())
    });
}

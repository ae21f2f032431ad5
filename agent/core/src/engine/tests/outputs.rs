//! Actuators in the engine: actions of alerts, sensors that actuators need, restarts.

use std::sync::Arc;

use super::bench::{Bench, WALL, above, at, day, id, rule, sensor};
use crate::actuator::{Actuator, Output};
use crate::effect::Effect;
use crate::engine::{Engine, Input, Start};
use crate::id::SensorId;
use crate::interlock::{self, ActuatorState, Command, Origin, Wanted};
use crate::plan::{Action, Plan, Rule};
use crate::sensor::Sensor;
use crate::time::{Span, Uptime, WallTime};

fn pump() -> Actuator {
    Actuator {
        id: id("acid"),
        zone: id("z"),
        output: Output::Board { bus: id("gateway"), channel: id("relay-1") },
        enabled: true,
        normally_energised: false,
        is_alarm: false,
        max_on: Some(Span::from_secs(3)),
        min_off: Span::ZERO,
        dose_per_hour: Some(Span::from_secs(5)),
        dose_per_day: None,
        excludes: [].into(),
        needs_fresh: [SensorId::new("z/ph").unwrap()].into(),
    }
}

fn acting(rule: Rule) -> Rule {
    let action = Action { actuator: id("acid"), wanted: Wanted::On(Some(Span::from_secs(2))) };
    Rule { actions: Arc::from([action]), ..rule }
}

fn farm(rule: Rule) -> Arc<Plan> {
    let ph = Sensor { stale_after: Some(Span::from_mins(5)), ..sensor("z/ph") };
    Arc::new(Plan::new(vec![ph], vec![rule]).unwrap().with_actuators(vec![pump()]).unwrap())
}

/// A bench on which every output has confirmed that it is off.
fn bench(plan: Arc<Plan>) -> Bench {
    let mut bench = Bench::new(plan);
    settle(&mut bench, 0.0);
    bench.said.clear();
    bench
}

fn settle(bench: &mut Bench, minutes: f64) {
    let order = |effect: &Effect| match effect {
        Effect::Output(interlock::Effect::Switch(switch)) => Some(switch.order),
        _ => None,
    };
    let order = bench.effects.iter().rev().find_map(order).unwrap();
    bench.handle(minutes, Input::Actuator(interlock::ActuatorInput::Switched { order, on: false, why: None }));
}

fn booked(bench: &mut Bench, minutes: f64) {
    let order = |effect: &Effect| match effect {
        Effect::Output(interlock::Effect::Book { order, .. }) => Some(*order),
        _ => None,
    };
    let order = bench.effects.iter().rev().find_map(order).unwrap();
    bench.handle(minutes, Input::Actuator(interlock::ActuatorInput::Booked(order)));
}

fn command(bench: &mut Bench, minutes: f64, name: &str) {
    let command = Command {
        id: id(name),
        actuator: id("acid"),
        wanted: Wanted::On(Some(Span::from_secs(2))),
        expires: at(minutes) + Span::from_secs(5),
        by: Origin::Person("ann".to_owned()),
    };
    bench.handle(minutes, Input::Actuator(interlock::ActuatorInput::Command(command)));
}

#[test]
fn an_alert_acts_once_when_it_fires() {
    let high = Rule { keep_firing_for: Span::ZERO, ..acting(rule("high", "z/ph", above(6.8))) };
    let mut bench = bench(farm(high));
    bench.ph(1.0, 7.0);
    bench.expect(&["1 firing high warning", "1 page 1-1 high fired to [warning]", "book acid 2s"]);
    booked(&mut bench, 1.0);
    bench.expect(&["switch acid on 2s", "acid on"]).ph(1.02, 7.1);
    bench.tick(2.0).expect(&["switch acid off", "acid off time-over"]);
}

#[test]
fn a_schedule_that_is_closed_acts_as_little_as_it_alerts() {
    let high = Rule { during: Some(day()), ..acting(rule("high", "z/ph", above(6.8))) };
    bench(farm(high)).ph(1.0, 7.0).expect(&[]);
}

#[test]
fn a_sensor_that_is_stale_or_at_fault_switches_off_what_needs_it() {
    let mut bench = bench(farm(rule("high", "z/ph", above(9.0))));
    command(&mut bench, 1.0, "before-any-value");
    bench.expect(&["acid refused not-fresh"]).ph(2.0, 6.0);
    command(&mut bench, 2.0, "fresh");
    booked(&mut bench, 2.0);
    bench.expect(&["book acid 2s", "switch acid on 2s", "acid on"]);
    bench.ph(2.0125, 99.0).expect(&["switch acid off", "acid off not-fresh", "2.0125 fault z/ph range"]);
    settle(&mut bench, 2.02);
    bench.ph(8.0, 6.0).said.clear();
    command(&mut bench, 14.0, "stale");
    bench.expect(&["13 fault z/ph stale", "acid refused not-fresh"]);
}

#[test]
fn a_restart_switches_off_first_and_counts_what_is_not_known() {
    let plan = farm(rule("high", "z/ph", above(9.0)));
    let mut bench = bench(Arc::clone(&plan));
    bench.ph(1.0, 6.0);
    command(&mut bench, 1.0, "one");
    let snapshot = serde_json::to_vec(&bench.engine.snapshot()).unwrap();
    let snapshot = serde_json::from_slice(&snapshot).unwrap();
    // In the same boot, a minute later.
    let mut engine = Engine::restore(Arc::clone(&plan), &snapshot).unwrap();
    assert!(engine.poll().is_none(), "nothing is switched before the engine goes on");
    engine.listen_again(at(2.0));
    let mut bench = Bench::of(engine);
    bench.expect(&["switch acid off", "acid off restarted"]);
    let view = bench.engine.actuators().next().unwrap();
    assert_eq!((view.hour, view.state), (Span::from_secs(2), ActuatorState::Stopping(Some(Uptime(152_000)))));
    settle(&mut bench, 2.0);
    command(&mut bench, 2.5, "no-value-since");
    bench.expect(&["acid refused not-fresh"]);
    // After a reboot that took two hours, by a clock that is trusted.
    let wall = Some(WallTime(WALL.0 + 2 * 3_600_000));
    let start = Start { boot: 2, at: Uptime(0), wall };
    let mut bench = Bench::of(Engine::restart(plan, &snapshot, start).unwrap());
    bench.expect(&["switch acid off", "acid off restarted"]);
    let hour = bench.engine.actuators().next().unwrap().hour;
    assert_eq!(hour, Span::from_secs(2), "a dose with an unknown end counts from now");
}

#[test]
fn a_dose_is_among_the_changes_since_an_earlier_snapshot() {
    let mut bench = bench(farm(rule("high", "z/ph", above(9.0))));
    bench.ph(1.0, 6.0);
    let mut kept = bench.engine.snapshot();
    command(&mut bench, 1.0, "one");
    let later = bench.engine.snapshot();
    assert_ne!(later.interlock(), kept.interlock());
    kept.apply(later.changes_since(&kept).unwrap());
    assert_eq!(kept, later);
}

#[test]
fn what_is_read_again_after_a_restart_acts_no_more() {
    let plan = farm(acting(rule("high", "z/ph", above(6.8))));
    let snapshot = bench(Arc::clone(&plan)).engine.snapshot();
    let mut bench = Bench::of(Engine::restore(plan, &snapshot).unwrap());
    bench.ph(1.0, 7.0).expect(&["1 firing high warning", "1 page 1-1 high fired to [warning]"]);
    bench.engine.listen_again(at(2.0));
    bench.tick(2.0).expect(&["switch acid off"]);
}

#[test]
fn a_new_configuration_keeps_what_is_on_and_what_was_dosed() {
    let mut bench = bench(farm(rule("high", "z/ph", above(9.0))));
    bench.ph(1.0, 6.0);
    command(&mut bench, 1.0, "one");
    booked(&mut bench, 1.0);
    bench.said.clear();
    bench.handle(1.01, Input::Plan(farm(rule("high", "z/ph", above(8.0))))).expect(&["planned"]);
    bench.tick(1.1).expect(&["switch acid off", "acid off time-over"]);
    let without = Arc::new(Plan::new(vec![sensor("z/ph")], vec![]).unwrap());
    bench.handle(2.0, Input::Plan(without)).handle(3.0, Input::Plan(farm(rule("high", "z/ph", above(8.0)))));
    assert_eq!(bench.engine.actuators().next().unwrap().hour, Span::from_secs(2));
}

#[test]
fn a_plan_names_actuators_and_outputs_once() {
    let with = |actuators| Plan::new(vec![sensor("z/ph")], vec![]).unwrap().with_actuators(actuators).map(drop);
    assert!(with(vec![pump()]).is_ok());
    let other = Actuator { id: id("base"), ..pump() };
    assert!(with(vec![pump(), other]).is_err(), "one output");
    assert!(with(vec![Actuator { excludes: [id("base")].into(), ..pump() }]).is_err(), "nothing to exclude");
    let needs_fresh = [SensorId::new("z/ec").unwrap()].into();
    assert!(with(vec![Actuator { needs_fresh, ..pump() }]).is_err(), "no such sensor");
    let high = acting(rule("high", "z/ph", above(6.8)));
    assert!(Plan::new(vec![sensor("z/ph")], vec![high]).unwrap().with_actuators(vec![]).is_err(), "nothing to act on");
}

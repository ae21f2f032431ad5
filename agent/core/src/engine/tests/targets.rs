//! Actuators that follow a sensor: a heater with a thermostat.

use std::sync::Arc;

use super::bench::{Bench, WALL, day, id, sensor};
use crate::actuator::{Actuator, Output};
use crate::effect::Effect;
use crate::engine::{Engine, Input, Start};
use crate::id::SensorId;
use crate::interlock;
use crate::plan::Plan;
use crate::schedule::Schedule;
use crate::sensor::Sensor;
use crate::target::{Limit, Target};
use crate::time::{Span, Uptime, WallTime};

const ON: [&str; 2] = ["switch heater on 30m", "heater on"];
const OFF: [&str; 2] = ["switch heater off", "heater off target"];

fn ph() -> SensorId {
    SensorId::new("z/ph").unwrap()
}

/// On below 6, off above 7, 30 minutes at most and then 2 minutes off.
fn target(during: Option<Arc<Schedule>>) -> Target {
    Target { actuator: id("heater"), sensor: ph(), on: Limit::Below(6.0), off: Limit::Above(7.0), during }
}

fn farm(targets: Vec<Target>) -> Arc<Plan> {
    let heater = Actuator {
        id: id("heater"),
        zone: id("z"),
        output: Output::Board { bus: id("gateway"), channel: id("relay-1") },
        enabled: true,
        normally_energised: false,
        is_alarm: false,
        max_on: Some(Span::from_mins(30)),
        min_off: Span::from_mins(2),
        dose_per_hour: None,
        dose_per_day: None,
        excludes: [].into(),
        needs_fresh: [ph()].into(),
    };
    let ph = Sensor { stale_after: Some(Span::from_mins(5)), ..sensor("z/ph") };
    let plan = Plan::new(vec![ph], vec![]).unwrap().with_actuators(vec![heater]).unwrap();
    Arc::new(plan.with_targets(targets).unwrap())
}

/// The output confirms that it is off.
fn settle(bench: &mut Bench, minutes: f64) {
    let order = |effect: &Effect| match effect {
        Effect::Output(interlock::Effect::Switch(switch)) => Some(switch.order),
        _ => None,
    };
    let order = bench.effects.iter().rev().find_map(order).unwrap();
    bench.handle(minutes, Input::Actuator(interlock::ActuatorInput::Switched { order, on: false, why: None }));
    bench.said.clear();
}

/// A bench on which the heater was off for long.
fn bench(targets: Vec<Target>) -> Bench {
    let mut bench = Bench::new(farm(targets));
    settle(&mut bench, 0.0);
    bench
}

#[test]
fn between_its_limits_it_stays_as_it_is_and_an_equal_value_passes_none() {
    let mut bench = bench(vec![target(None)]);
    bench.ph(3.0, 6.5).ph(3.5, 6.0).expect(&[]);
    bench.ph(4.0, 5.99).expect(&ON);
    bench.ph(5.0, 6.5).ph(6.0, 7.0).expect(&[]);
    bench.ph(7.0, 7.01).expect(&OFF);
    settle(&mut bench, 7.0);
    // The heater is wanted before its pause is over, and nothing is said of that.
    bench.ph(8.0, 5.0).ph(8.5, 6.5).expect(&[]);
    bench.ph(9.0, 6.5).expect(&ON);
}

#[test]
fn a_fan_has_its_limits_the_other_way_round() {
    let cools = Target { on: Limit::Above(7.0), off: Limit::Below(6.0), ..target(None) };
    let mut bench = bench(vec![cools]);
    bench.ph(3.0, 7.0).expect(&[]).ph(4.0, 7.01).expect(&ON).ph(5.0, 6.0).expect(&[]).ph(6.0, 5.99).expect(&OFF);
}

#[test]
fn the_interlock_ends_it_and_it_goes_on_after_the_pause() {
    let mut bench = bench(vec![target(None)]);
    bench.ph(3.0, 5.0).expect(&ON);
    for part in 1..10 {
        bench.ph(3.0 + 3.0 * f64::from(part), 5.0);
    }
    bench.tick(33.0).expect(&["switch heater off", "heater off time-over"]);
    settle(&mut bench, 33.0);
    bench.ph(34.0, 5.0).expect(&[]).ph(35.0, 5.0).expect(&ON);
}

#[test]
fn without_a_value_that_can_be_believed_it_is_off() {
    let mut bench = bench(vec![target(None)]);
    bench.ph(3.0, 5.0).expect(&ON);
    bench.ph(4.0, 99.0).expect(&["switch heater off", "heater off not-fresh", "4 fault z/ph range"]);
    settle(&mut bench, 4.0);
    bench.ph(10.0, 5.0).said.retain(|said| said.contains("heater"));
    bench.expect(&ON).tick(15.0).expect(&["switch heater off", "heater off not-fresh", "15 fault z/ph stale"]);
}

#[test]
fn outside_its_hours_it_is_off_and_follows_nothing() {
    let mut bench = bench(vec![target(Some(day()))]);
    let heater = |bench: &mut Bench| bench.said.retain(|said| said.contains("heater"));
    bench.ph(358.0, 5.0).expect(&[]);
    bench.tick(360.0);
    heater(&mut bench);
    bench.expect(&ON).ph(361.0, 8.0).expect(&OFF);
    settle(&mut bench, 361.0);
    bench.ph(1198.0, 5.0);
    heater(&mut bench);
    bench.expect(&ON).tick(1200.0);
    heater(&mut bench);
    bench.expect(&OFF);
    settle(&mut bench, 1200.0);
    bench.ph(1202.9, 5.0).expect(&[]);
}

#[test]
fn a_target_that_is_taken_away_switches_off_what_it_began() {
    let mut bench = bench(vec![target(None)]);
    bench.ph(3.0, 5.0).expect(&ON);
    bench.handle(4.0, Input::Plan(farm(vec![]))).expect(&["planned", OFF[0], OFF[1]]);
    settle(&mut bench, 4.0);
    bench.ph(7.0, 5.0).handle(8.0, Input::Plan(farm(vec![target(None)]))).expect(&["planned", ON[0], ON[1]]);
}

#[test]
fn what_it_wanted_is_known_after_a_restart() {
    let mut bench = bench(vec![target(None)]);
    bench.ph(3.0, 5.0).ph(4.0, 6.5);
    let snapshot = serde_json::to_vec(&bench.engine.snapshot()).unwrap();
    let start = Start { boot: 2, at: Uptime(0), wall: Some(WallTime(WALL.0 + 3_600_000)) };
    let engine = Engine::restart(farm(vec![target(None)]), &serde_json::from_slice(&snapshot).unwrap(), start);
    let mut bench = Bench::of(engine.unwrap());
    bench.expect(&["switch heater off", "heater off restarted"]);
    settle(&mut bench, 0.0);
    bench.ph(2.0, 6.5).expect(&ON);
}

#[test]
fn a_target_names_an_actuator_once_and_a_sensor_that_it_needs() {
    let plan = || Plan::clone(&farm(vec![]));
    assert!(plan().with_targets(vec![target(None), target(None)]).is_err());
    assert!(plan().with_targets(vec![Target { actuator: id("fan"), ..target(None) }]).is_err());
    let other = SensorId::new("z/ec").unwrap();
    assert!(plan().with_targets(vec![Target { sensor: other, ..target(None) }]).is_err());
}

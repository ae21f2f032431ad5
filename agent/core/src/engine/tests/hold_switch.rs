//! A switch on site that holds its zone: a contact that is closed while somebody's hands are in the tank.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bench::{Bench, WALL, at, id, sensor};
use crate::actuator::{Actuator, Output};
use crate::engine::{Engine, Input, Start};
use crate::id::SensorId;
use crate::interlock::{self, Command, HeldBy, Origin, Wanted};
use crate::plan::Plan;
use crate::quantity::Quantity;
use crate::reading::Quality;
use crate::sensor::Sensor;
use crate::time::{Span, Uptime, WallTime};
use crate::value::Resolution;

const OPEN: f64 = 1.0;
const CLOSED: f64 = 0.0;

/// A fan in zone z with a switch that holds it while closed; without the switch where `is_switch` is false.
fn farm(is_switch: bool) -> Arc<Plan> {
    let fan = Actuator {
        id: id("fan"),
        zone: id("z"),
        output: Output::Board { bus: id("gateway"), channel: id("relay-1") },
        enabled: true,
        normally_energised: false,
        is_alarm: false,
        max_on: Some(Span::from_mins(60)),
        min_off: Span::ZERO,
        dose_per_hour: None,
        dose_per_day: None,
        excludes: [].into(),
        needs_fresh: [].into(),
    };
    let hands = Sensor {
        quantity: Quantity::Contact,
        resolution: Resolution::new(1.0).unwrap(),
        range: Some((0.0, 1.0)),
        stale_after: Some(Span::from_mins(5)),
        ..sensor("z/hands")
    };
    let plan = Plan::new(vec![hands], vec![]).unwrap().with_actuators(vec![fan]).unwrap();
    let switches = BTreeMap::from([(switch(), false)]);
    Arc::new(plan.with_hold_switches(if is_switch { switches } else { BTreeMap::new() }).unwrap())
}

fn switch() -> SensorId {
    SensorId::new("z/hands").unwrap()
}

fn bench() -> Bench {
    let mut bench = Bench::new(farm(true));
    bench.said.clear();
    bench
}

fn command(bench: &mut Bench, minutes: f64) -> &mut Bench {
    let command = Command {
        id: id(&format!("at-{minutes}").replace('.', "-")),
        actuator: id("fan"),
        wanted: Wanted::On(None),
        expires: at(minutes) + Span::from_secs(5),
        by: Origin::Person("ann".to_owned()),
    };
    bench.handle(minutes, Input::Output(interlock::Input::Command(command)))
}

fn end_hold(bench: &mut Bench, minutes: f64) -> &mut Bench {
    bench.handle(minutes, Input::Output(interlock::Input::EndHold { zone: id("z"), by: "ann".to_owned() }))
}

/// Who holds the zone, as people read it.
fn held_by(bench: &Bench) -> Vec<String> {
    let of_zone: Vec<String> = bench.engine.holds().map(|hold| hold.by.to_string()).collect();
    let of_actuator: Vec<String> =
        bench.engine.actuators().flat_map(|view| view.held_by).map(|by| by.to_string()).collect();
    assert_eq!(of_zone, of_actuator);
    of_zone
}

#[test]
fn a_switch_stops_its_zone_at_once_and_locks_it_until_it_is_off() {
    let mut bench = bench();
    command(bench.read(1.0, "z/hands", OPEN), 2.0).expect(&["switch fan on 1h", "fan on"]);
    assert_eq!(held_by(&bench), Vec::<String>::new());
    bench.read(3.0, "z/hands", CLOSED).expect(&["switch fan off", "fan off hold", "z held"]);
    assert_eq!(held_by(&bench), ["switch z/hands"]);
    bench.read(4.0, "z/hands", CLOSED).expect(&[]);
    command(&mut bench, 5.0).expect(&["fan refused hold"]);
    bench.read(6.0, "z/hands", OPEN).expect(&["z released"]);
    command(&mut bench, 7.0).expect(&["switch fan on 1h", "fan on"]);
}

#[test]
fn a_person_does_not_end_the_hold_of_a_switch_nor_a_switch_that_of_a_person() {
    let mut bench = bench();
    let by = || "ann".to_owned();
    bench
        .read(1.0, "z/hands", CLOSED)
        .handle(2.0, Input::Output(interlock::Input::Hold { zone: id("z"), span: None, by: by() }));
    assert_eq!(held_by(&bench), ["ann", "switch z/hands"]);
    end_hold(&mut bench, 3.0).said.clear();
    assert_eq!(held_by(&bench), ["switch z/hands"]);
    end_hold(&mut bench, 4.0).expect(&[]);
    command(&mut bench, 5.0).expect(&["fan refused hold"]);
    bench
        .handle(6.0, Input::Output(interlock::Input::Hold { zone: id("z"), span: None, by: by() }))
        .read(7.0, "z/hands", OPEN);
    assert_eq!(held_by(&bench), ["ann"]);
}

/// What cannot be read may still be on: hands may still be in the tank.
#[test]
fn a_switch_that_fails_leaves_the_zone_as_it_was() {
    let mut bench = bench();
    bench.read(1.0, "z/hands", CLOSED).read_with(2.0, "z/hands", OPEN, Quality::Fault);
    assert_eq!(held_by(&bench), ["switch z/hands as it was last, for it cannot be read now"]);
    bench.read(3.0, "z/hands", CLOSED);
    assert_eq!(held_by(&bench), ["switch z/hands"]);
    bench.tick(9.0).said.clear();
    assert!(matches!(&bench.engine.holds().next().unwrap().by, HeldBy::Switch { is_known: false, .. }), "it is stale");
    command(&mut bench, 10.0).expect(&["fan refused hold"]);
    bench.read(11.0, "z/hands", OPEN).read(11.5, "z/hands", OPEN).read_with(12.0, "z/hands", CLOSED, Quality::Fault);
    assert_eq!(held_by(&bench), Vec::<String>::new(), "nor does a value that cannot be believed begin a hold");
}

#[test]
fn a_hold_by_a_switch_goes_on_over_a_restart_until_the_switch_is_read() {
    let mut bench = bench();
    bench.read(1.0, "z/hands", CLOSED);
    let snapshot = serde_json::to_vec(&bench.engine.snapshot()).unwrap();
    let start = Start { boot: 2, at: Uptime(0), wall: Some(WallTime(WALL.0 + 3_600_000)) };
    let restart = |plan| Bench::of(Engine::restart(plan, &serde_json::from_slice(&snapshot).unwrap(), start).unwrap());
    let mut bench = restart(farm(true));
    assert_eq!(held_by(&bench), ["switch z/hands as it was last, for it cannot be read now"]);
    bench.said.clear();
    command(&mut bench, 1.0).expect(&["fan refused hold"]);
    bench.read(2.0, "z/hands", OPEN).expect(&["z released"]);
    assert_eq!(
        held_by(&restart(farm(false))),
        Vec::<String>::new(),
        "a switch that is configured no longer holds nothing"
    );
}

#[test]
fn a_switch_that_the_configuration_takes_away_ends_its_hold() {
    let mut bench = bench();
    bench.read(1.0, "z/hands", CLOSED).said.clear();
    bench.handle(2.0, Input::Plan(farm(false))).said.retain(|said| said.starts_with("z "));
    bench.expect(&["z released"]);
    bench.handle(3.0, Input::Plan(farm(true))).said.retain(|said| said.starts_with("z "));
    bench.expect(&["z held"]);
}

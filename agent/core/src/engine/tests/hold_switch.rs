//! A switch on site that holds its zone: a contact that is closed while somebody's hands are in the tank.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bench::{Bench, WALL, at, id, sensor};
use crate::actuator::{Actuator, Output};
use crate::effect::Effect;
use crate::engine::{Engine, Input, Start};
use crate::id::SensorId;
use crate::interlock::{self, Command, HeldBy, LastRead, Origin, Wanted};
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
    farm_with_switch_in("z", is_switch)
}

/// The same with the switch in another zone, and the fan in z.
fn farm_with_switch_in(zone: &str, is_switch: bool) -> Arc<Plan> {
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
        zone: id(zone),
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

/// A farm whose switch was read and is off.
fn bench() -> Bench {
    let mut bench = Bench::new(farm(true));
    bench.read(0.0, "z/hands", OPEN).said.clear();
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
    bench.handle(minutes, Input::Actuator(interlock::ActuatorInput::Command(command)))
}

fn end_hold(bench: &mut Bench, minutes: f64) -> &mut Bench {
    bench.handle(minutes, Input::Actuator(interlock::ActuatorInput::EndHold { zone: id("z"), by: "ann".to_owned() }))
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
        .handle(2.0, Input::Actuator(interlock::ActuatorInput::Hold { zone: id("z"), span: None, by: by() }));
    assert_eq!(held_by(&bench), ["ann", "switch z/hands"]);
    end_hold(&mut bench, 3.0).said.clear();
    assert_eq!(held_by(&bench), ["switch z/hands"]);
    end_hold(&mut bench, 4.0).expect(&[]);
    command(&mut bench, 5.0).expect(&["fan refused hold"]);
    bench
        .handle(6.0, Input::Actuator(interlock::ActuatorInput::Hold { zone: id("z"), span: None, by: by() }))
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
    assert!(
        matches!(&bench.engine.holds().next().unwrap().by, HeldBy::Switch { read: LastRead::Before, .. }),
        "it is stale"
    );
    command(&mut bench, 10.0).expect(&["fan refused hold"]);
    bench.read(11.0, "z/hands", OPEN).read(11.5, "z/hands", OPEN).read_with(12.0, "z/hands", CLOSED, Quality::Fault);
    assert_eq!(held_by(&bench), Vec::<String>::new(), "nor does a value that cannot be believed begin a hold");
}

/// Guards against: a pump that starts on a person who turned the switch on and reaches into a tank, while the board of the switch is away
/// or the agent has just started.
#[test]
fn a_switch_holds_its_zone_until_it_is_believed_for_the_first_time() {
    const UNREAD: &str = "switch z/hands, which could not be read yet and may be on";
    let mut bench = Bench::new(farm(true));
    bench.said.clear();
    assert_eq!(held_by(&bench), [UNREAD]);
    command(&mut bench, 1.0).expect(&["fan refused hold"]);
    bench.read_with(2.0, "z/hands", OPEN, Quality::Fault).said.clear();
    assert_eq!(held_by(&bench), [UNREAD], "a value that cannot be believed does not end it");
    bench.read(3.0, "z/hands", OPEN).said.retain(|said| said.starts_with("z "));
    bench.expect(&[]);
    command(&mut bench, 4.0).expect(&["switch fan on 1h", "fan on"]);
    let snapshot = bench.engine.snapshot();
    let start = Start { boot: 2, at: Uptime(0), wall: None };
    let mut bench = Bench::of(Engine::restart(farm(true), &snapshot, start).unwrap());
    bench.said.clear();
    command(&mut bench, 1.0).expect(&["fan refused hold"]);
    assert_eq!(held_by(&bench), [UNREAD], "that it was off before the restart says nothing of now");
    bench.read(2.0, "z/hands", CLOSED).expect(&["switch fan off", "z held"]);
}

#[test]
fn a_switch_that_a_configuration_adds_stops_its_zone_until_it_is_read() {
    let configured = |is_read: bool| {
        let mut bench = Bench::new(farm(false));
        if is_read {
            bench.read(1.0, "z/hands", OPEN);
        }
        command(&mut bench, 2.0).said.clear();
        bench.handle(3.0, Input::Plan(farm(true))).said.retain(|said| said.contains("fan"));
        std::mem::take(&mut bench.said)
    };
    assert_eq!(configured(true), Vec::<String>::new(), "it is known to be off");
    assert_eq!(configured(false), ["switch fan off", "fan off hold"]);
}

#[test]
fn the_hold_of_a_switch_that_cannot_be_read_goes_with_it_into_another_zone() {
    let mut bench = bench();
    bench.read(1.0, "z/hands", CLOSED).read_with(2.0, "z/hands", OPEN, Quality::Fault);
    bench.handle(3.0, Input::Plan(farm_with_switch_in("y", true)));
    bench.said.retain(|said| said.starts_with("z ") || said.starts_with("y "));
    bench.expect(&["z held", "z released", "y held"]);
    let zones: Vec<String> = bench.engine.holds().map(|hold| hold.zone.to_string()).collect();
    assert_eq!(zones, ["y"]);
    bench.read(4.0, "z/hands", OPEN).said.retain(|said| said.starts_with("y "));
    bench.expect(&["y released"]);
}

#[test]
fn a_hold_that_ends_says_who_holds_the_zone_all_the_same() {
    let mut bench = bench();
    bench.read(1.0, "z/hands", CLOSED).handle(
        2.0,
        Input::Actuator(interlock::ActuatorInput::Hold { zone: id("z"), span: None, by: "ann".to_owned() }),
    );
    end_hold(&mut bench, 3.0);
    let still_held_by = |bench: &Bench| match bench.effects.last() {
        Some(Effect::Output(interlock::Effect::Hold(change))) if !change.began => change.still_held_by.clone(),
        other => panic!("expected the end of a hold, came {other:?}"),
    };
    let switch = HeldBy::Switch { sensor: switch(), read: LastRead::Now };
    assert_eq!(still_held_by(&bench), [switch]);
    bench.read(4.0, "z/hands", OPEN);
    bench.effects.retain(|effect| matches!(effect, Effect::Output(_)));
    assert_eq!(still_held_by(&bench), []);
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

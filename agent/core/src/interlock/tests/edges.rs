//! Every edge of the chart above `State`.

use super::{Bench, at, doser, id, pump, siren};
use crate::interlock::{ActuatorInput, ActuatorState, OutputReason, SWITCH_WITHIN};
use crate::time::Span;

fn state(bench: &Bench, secs: i64, name: &str) -> ActuatorState {
    let found = bench.interlock.actuators(at(secs).uptime).find(|view| view.actuator.id == id(name));
    found.unwrap().state
}

#[test]
fn off_to_booking_to_on_to_stopping_to_off() {
    let mut bench = Bench::new(vec![doser()]);
    bench.on(10, "acid", 2).expect(&["book acid 2s"]);
    assert_eq!(state(&bench, 10, "acid"), ActuatorState::Booking);
    bench.booked(11).expect(&["switch acid on 2s", "acid on"]);
    assert_eq!(state(&bench, 11, "acid"), ActuatorState::On(Some(at(13).uptime)));
    bench.confirmed(11, true).expect(&[]);
    bench.tick(13).expect(&["switch acid off", "acid off time-over"]);
    assert_eq!(state(&bench, 13, "acid"), ActuatorState::Stopping(Some(at(13).uptime + SWITCH_WITHIN)));
    bench.confirmed(14, false).expect(&[]);
    assert_eq!(state(&bench, 14, "acid"), ActuatorState::Off);
}

#[test]
fn off_to_on_without_a_total() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    bench.on(10, "fan", 3).expect(&["switch fan on 3s", "fan on"]);
    bench.off(11, "fan").expect(&["switch fan off", "fan off command"]);
}

#[test]
fn booking_to_off() {
    let mut bench = Bench::new(vec![doser()]);
    let order = |bench: &Bench| bench.last;
    bench.on(10, "acid", 2);
    let first = order(&bench);
    bench.handle(10, ActuatorInput::NotBooked(first)).expect(&["book acid 2s", "acid refused not-booked"]);
    bench.on(20, "acid", 2).off(21, "acid").expect(&["book acid 2s", "acid refused stopped"]);
    bench.on(30, "acid", 2).tick(35).expect(&["book acid 2s", "acid refused not-booked"]);
    // The store answers too late, and for what is no longer wanted.
    let last = order(&bench);
    bench.handle(36, ActuatorInput::Booked(first)).handle(36, ActuatorInput::Booked(last)).expect(&[]);
    bench.on(40, "acid", 2).hold(41, None).expect(&["book acid 2s", "acid refused stopped", "tower-1 held"]);
    assert_eq!(state(&bench, 41, "acid"), ActuatorState::Off);
}

#[test]
fn on_to_off_by_the_output_itself() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    bench.on(10, "fan", 3).confirmed(11, false).expect(&["switch fan on 3s", "fan on", "fan off output"]);
    assert_eq!(state(&bench, 11, "fan"), ActuatorState::Off);
}

#[test]
fn on_to_stopping_for_each_reason() {
    let needy = || crate::actuator::Actuator { needs_fresh: [super::ph()].into(), ..pump("fan", "relay-1") };
    let mut bench = Bench::new(vec![needy()]);
    let begin = ["switch fan on 3s", "fan on", "switch fan off"];
    let check = |bench: &mut Bench, reason: &str| {
        bench.expect(&[&begin[..], &[reason]].concat());
    };
    bench.fresh(0, true).on(10, "fan", 3).fresh(11, false);
    check(&mut bench, "fan off not-fresh");
    bench.fresh(20, true).on(20, "fan", 3).bus(21, false);
    check(&mut bench, "fan off bus-down");
    bench.bus(22, true).expect(&["switch fan off"]);
    bench.on(30, "fan", 3).hold(31, Some(4)).tick(35);
    bench.expect(&["switch fan on 3s", "fan on", "switch fan off", "fan off hold", "tower-1 held", "tower-1 released"]);
    bench.on(40, "fan", 3).plan(41, vec![]);
    check(&mut bench, "fan off removed");
    bench.confirmed(42, false).plan(42, vec![needy()]).on(60, "fan", 3);
    let order = bench.last;
    bench.handle(61, ActuatorInput::Lost(order));
    bench.expect(&["switch fan on 3s", "fan on", "fan lost", "switch fan off", "fan off lost"]);
}

#[test]
fn stopping_to_off_without_a_word_of_the_output() {
    let mut bench = Bench::new(vec![doser()]);
    bench.on(10, "acid", 2).booked(10).tick(12);
    bench.tick(41);
    assert_eq!(state(&bench, 41, "acid"), ActuatorState::Stopping(Some(at(12).uptime + SWITCH_WITHIN)));
    bench.tick(42);
    assert_eq!(state(&bench, 42, "acid"), ActuatorState::Off);
}

#[test]
fn stopping_to_on_only_without_total_and_pause() {
    let mut bench = Bench::new(vec![pump("fan", "relay-2"), doser()]);
    bench.on(10, "fan", 3).off(11, "fan").on(11, "fan", 1);
    bench.expect(&["switch fan on 3s", "fan on", "switch fan off", "fan off command", "switch fan on 1s", "fan on"]);
    bench.on(20, "acid", 2).booked(20).off(21, "acid").on(21, "acid", 1);
    let expected = ["book acid 2s", "switch acid on 2s", "acid on", "switch acid off", "acid off command"];
    bench.expect(&[&["switch fan off", "fan off time-over"], &expected[..], &["acid refused busy"]].concat());
}

#[test]
fn a_restart_begins_as_stopping() {
    let mut bench = Bench::new(vec![doser(), pump("fan", "relay-2"), siren()]);
    bench.on(10, "acid", 2).restart(20);
    bench.expect(&["book acid 2s", "switch acid off", "acid off restarted", "switch fan off", "switch siren off"]);
    assert_eq!(state(&bench, 20, "acid"), ActuatorState::Stopping(Some(at(22).uptime + SWITCH_WITHIN)));
    // One without a total may have been switched on since anything was kept.
    assert_eq!(state(&bench, 20, "fan"), ActuatorState::Stopping(Some(at(23).uptime + SWITCH_WITHIN)));
    // One without a longest time on stays so until its output confirms, and its pause begins then.
    assert_eq!(state(&bench, 20, "siren"), ActuatorState::Stopping(None));
    bench.confirmed(21, false);
    assert_eq!(state(&bench, 21, "siren"), ActuatorState::Off);
    let hour = bench.interlock.actuators(at(20).uptime).next().unwrap().hour;
    assert_eq!(hour, Span::from_secs(2), "a dose with an unknown outcome counts in full");
}

#[test]
fn outcomes_of_orders_that_were_replaced_do_nothing() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    bench.on(10, "fan", 3);
    let on = bench.last;
    bench.off(11, "fan").expect(&["switch fan on 3s", "fan on", "switch fan off", "fan off command"]);
    bench
        .handle(11, ActuatorInput::Switched { order: on, on: false, why: None })
        .handle(11, ActuatorInput::Lost(on))
        .expect(&[]);
    bench
        .handle(11, ActuatorInput::Switched { order: 9999, on: true, why: None })
        .handle(11, ActuatorInput::Booked(0))
        .expect(&[]);
    assert_eq!(state(&bench, 11, "fan"), ActuatorState::Stopping(Some(at(13).uptime + SWITCH_WITHIN)));
}

#[test]
fn what_an_output_ends_or_refuses_by_itself_is_told_with_its_reason() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    for (secs, why, said) in [
        (10, None, "fan off output"),
        (20, Some(OutputReason::MaxOn), "fan off output-max-on"),
        (30, Some(OutputReason::MinOff), "fan off output-min-off"),
        // The output's clock is a little faster than the agent's.
        (40, Some(OutputReason::Done), "fan off time-over"),
    ] {
        let order = bench.on(secs, "fan", 3).last;
        bench.handle(secs + 1, ActuatorInput::Switched { order, on: false, why });
        bench.expect(&["switch fan on 3s", "fan on", said]);
    }
}

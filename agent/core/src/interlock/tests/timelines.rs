//! What an actuator's limits mean, as timelines.

use super::{Bench, actuators, at, doser, id, ph, pump, siren};
use crate::actuator::{Actuator, Output};
use crate::interlock::{ActuatorInput, Command, Effect, Interlock, MAX_COMMANDS, Origin, OutputReason, Wanted};
use crate::time::{Span, Uptime};

/// Whether a dose is refused, and by which limit.
#[track_caller]
fn refused(bench: &mut Bench, secs: i64, span: i64, by: &str) {
    bench.said.clear();
    bench.on(secs, "acid", span).expect(&[&format!("acid refused {by}")]);
}

#[test]
fn an_hour_and_a_day_have_their_limits() {
    let mut bench = Bench::new(vec![Actuator { min_off: Span::ZERO, ..doser() }]);
    for dose in 0..3 {
        bench.dose(dose * 100, "acid", 3);
    }
    refused(&mut bench, 400, 2, "dose-per-hour");
    bench.on(400, "acid", 1).booked(400).confirmed(401, false);
    refused(&mut bench, 3599, 1, "dose-per-hour");
    // The first dose has left the hour; those of the same minute leave it together.
    bench.said.clear();
    bench.on(3640, "acid", 3).expect(&["book acid 3s"]).booked(3640).confirmed(3643, false);
    let mut bench = Bench::new(vec![Actuator { min_off: Span::ZERO, dose_per_hour: None, ..doser() }]);
    for dose in 0..20 {
        bench.dose(dose * 2000, "acid", 3);
    }
    refused(&mut bench, 80_000, 1, "dose-per-day");
    bench.said.clear();
    bench.on(86_500, "acid", 3).expect(&["book acid 3s"]);
}

#[test]
fn a_dose_must_be_short_and_follow_a_pause() {
    let mut bench = Bench::new(vec![doser()]);
    refused(&mut bench, 1, 4, "max-on");
    refused(&mut bench, 1, 0, "no-time");
    bench.dose(10, "acid", 3);
    refused(&mut bench, 612, 1, "min-off");
    bench.said.clear();
    bench.on(613, "acid", 1).expect(&["book acid 1s"]);
}

#[test]
fn repeated_commands_do_not_make_a_dose_longer() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    bench.on(10, "fan", 3).on(11, "fan", 3).tick(13);
    bench.expect(&["switch fan on 3s", "fan on", "fan refused on", "switch fan off", "fan off time-over"]);
    let command = Command {
        id: id("once"),
        actuator: id("fan"),
        wanted: Wanted::On(None),
        expires: Uptime(60_000),
        by: Origin::Person("ann".to_owned()),
    };
    bench.handle(30, ActuatorInput::Command(command.clone())).confirmed(31, false);
    bench.handle(32, ActuatorInput::Command(command.clone()));
    bench.expect(&["switch fan on 3s", "fan on", "fan off output", "fan refused repeated"]);
    bench.restart(40).handle(41, ActuatorInput::Command(command.clone()));
    bench.expect(&["switch fan off", "fan refused repeated"]);
    bench.handle(60, ActuatorInput::Command(command)).expect(&["fan refused expired"]);
}

#[test]
fn two_that_exclude_each_other_are_never_on_together() {
    let base = Actuator { excludes: [id("acid")].into(), ..pump("base", "relay-2") };
    let mut bench = Bench::new(vec![doser(), base.clone()]);
    // Also while the other is being booked, and until it is known to be off.
    bench.on(10, "acid", 2).on(10, "base", 2).booked(10).on(11, "base", 2).tick(12).on(12, "base", 2);
    let refused = "base refused excluded";
    let on = ["switch acid on 2s", "acid on", refused, "switch acid off", "acid off time-over", refused];
    bench.expect(&[&["book acid 2s", refused], &on[..]].concat());
    bench.confirmed(13, false).on(13, "base", 2).expect(&["switch base on 2s", "base on"]);
    bench.on(13, "acid", 2).expect(&["acid refused excluded"]);
    // A configuration that makes them exclude each other switches both off.
    let mut bench = Bench::new(vec![pump("acid", "relay-1"), pump("base", "relay-2")]);
    bench.on(10, "acid", 3).on(10, "base", 3).plan(11, vec![pump("acid", "relay-1"), base]);
    let begin = ["switch acid on 3s", "acid on", "switch base on 3s", "base on"];
    let end = ["switch acid off", "acid off excluded", "switch base off", "base off excluded"];
    bench.expect(&[begin, end].concat());
}

/// Guards against: acid under its old name, whose order to switch on is still under way, beside base.
#[test]
fn two_that_exclude_each_other_do_so_under_a_new_name_until_the_output_is_off() {
    let base = |excluded: &str| Actuator { excludes: [id(excluded)].into(), ..pump("base", "relay-2") };
    let mut bench = Bench::new(vec![pump("acid", "relay-1"), base("acid")]);
    bench.on(10, "acid", 1).said.clear();
    bench.plan(11, vec![pump("acid-b", "relay-1"), base("acid-b")]).expect(&["switch acid off", "acid off removed"]);
    bench.on(12, "base", 3).expect(&["base refused excluded"]);
    bench.confirmed(13, false).on(13, "base", 3).expect(&["switch base on 3s", "base on"]);
    bench.plan(14, vec![pump("acid-b", "relay-1"), base("acid-b")]).expect(&[]);
}

#[test]
fn a_needed_sensor_must_be_fresh_when_the_booking_is_kept_too() {
    let mut bench = Bench::new(vec![Actuator { needs_fresh: [ph()].into(), ..doser() }]);
    bench.on(10, "acid", 2).expect(&["acid refused not-fresh"]);
    bench.fresh(20, true).on(20, "acid", 2).fresh(21, false).booked(22);
    bench.expect(&["book acid 2s", "acid refused stopped"]);
}

#[test]
fn a_hold_stops_and_locks_a_zone_over_a_restart() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    bench.on(10, "fan", 3).hold(11, None).on(12, "fan", 1);
    bench.expect(&["switch fan on 3s", "fan on", "switch fan off", "fan off hold", "tower-1 held", "fan refused hold"]);
    bench.restart(100).on(200, "fan", 1).expect(&["switch fan off", "fan refused hold"]);
    bench.handle(300, ActuatorInput::EndHold { zone: id("tower-1"), by: "ann".to_owned() }).on(300, "fan", 1);
    bench.expect(&["tower-1 released", "switch fan on 1s", "fan on"]);
}

#[test]
fn doses_that_are_unknown_hold_what_has_a_total_for_a_day_or_until_somebody_looked() {
    let other = Actuator { zone: id("tower-2"), ..Actuator { id: id("base"), ..doser() } };
    let output = Output::Board { bus: id("gateway"), channel: id("relay-2") };
    let farm = || vec![doser(), Actuator { output: output.clone(), ..other.clone() }, pump("fan", "relay-3")];
    let mut bench = Bench::new(farm());
    bench.on(10, "acid", 2).booked(10).said.clear();
    bench.handle(11, ActuatorInput::DosesUnknown);
    bench.expect(&["switch acid off", "acid off doses-unknown", "tower-1 doses held", "tower-2 doses held"]);
    bench.confirmed(12, false).on(700, "acid", 2).on(700, "base", 2).on(700, "fan", 2);
    bench.expect(&["acid refused doses-unknown", "base refused doses-unknown", "switch fan on 2s", "fan on"]);
    bench.handle(701, ActuatorInput::ReleaseDoses { zone: id("tower-1"), by: "ann".to_owned() }).restart(710);
    bench.confirm_all_off(710);
    bench.said.clear();
    bench.on(1400, "acid", 2).on(1400, "base", 2).expect(&["book acid 2s", "base refused doses-unknown"]);
    bench.handle(1401, ActuatorInput::ReleaseDoses { zone: id("tower-1"), by: "ann".to_owned() }).expect(&[]);
    // A day after the last dose of before may have ended: 3 s long, and switched 30 s late.
    bench.tick(11 + 86_400 + 32).said.clear();
    bench.tick(11 + 86_400 + 33).expect(&["tower-2 doses released"]);
    bench.on(90_000, "base", 2).expect(&["book base 2s"]);
}

#[test]
fn a_hold_leaves_an_alarm_alone() {
    let mut bench = Bench::new(vec![Actuator { is_alarm: true, ..pump("horn", "relay-2") }, pump("fan", "relay-1")]);
    bench.on(10, "horn", 3).hold(11, None).expect(&["switch horn on 3s", "horn on", "switch fan off", "tower-1 held"]);
    bench.tick(13).confirmed(13, false).on(14, "horn", 3).on(14, "fan", 1);
    bench.expect(&["switch horn off", "horn off time-over", "switch horn on 3s", "horn on", "fan refused hold"]);
}

#[test]
fn another_name_or_output_forgets_no_dose() {
    let used_up = || {
        let mut bench = Bench::new(vec![Actuator { min_off: Span::ZERO, ..doser() }]);
        for dose in 0..3 {
            bench.dose(dose * 20, "acid", 3);
        }
        bench
    };
    let renamed = Actuator { id: id("doser"), min_off: Span::ZERO, ..doser() };
    let mut bench = used_up();
    bench.plan(100, vec![renamed]).said.clear();
    bench.on(101, "doser", 2).expect(&["doser refused dose-per-hour"]);
    let output = Output::Board { bus: id("gateway"), channel: id("relay-2") };
    let rewired = Actuator { output, min_off: Span::ZERO, ..doser() };
    let mut bench = used_up();
    bench.plan(100, vec![rewired]);
    refused(&mut bench, 101, 2, "dose-per-hour");
    // Taken away for a while.
    let mut bench = used_up();
    bench.plan(100, vec![]).plan(200, vec![Actuator { min_off: Span::ZERO, ..doser() }]);
    refused(&mut bench, 201, 2, "dose-per-hour");
}

#[test]
fn a_name_with_another_output_waits_until_the_old_output_is_off() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    bench.on(10, "fan", 3).plan(11, vec![pump("fan", "relay-2"), pump("vent", "relay-1")]);
    bench.on(11, "fan", 1).on(11, "vent", 1);
    let off = ["switch fan off", "fan off removed"];
    bench.expect(&[&["switch fan on 3s", "fan on"], &off[..], &["fan refused busy", "vent refused busy"]].concat());
    bench.confirmed(12, false).on(12, "fan", 1).on(12, "vent", 1);
    bench.expect(&["switch fan on 1s", "fan on", "switch vent on 1s", "vent on"]);
}

#[test]
fn time_off_counts_only_as_far_as_it_is_known() {
    let mut bench = Bench::new(vec![doser()]);
    bench.dose(10, "acid", 3);
    let record = bench.interlock.record();
    let reboot = |off: Option<i64>| {
        let mut interlock = Interlock::restore(&actuators(vec![doser()]), &record);
        // The engine does this: first what was left, then what is known to have passed.
        interlock.shift(u32::MAX, Span(-13_000));
        off.into_iter().for_each(|secs| interlock.shift(1, Span::from_secs(-secs)));
        interlock.resume(at(0));
        interlock.actuators(Uptime(0)).next().unwrap()
    };
    assert_eq!((reboot(None).hour, reboot(None).min_off_left), (Span::from_secs(3), Some(Span::from_mins(10))));
    assert_eq!((reboot(Some(600)).hour, reboot(Some(600)).min_off_left), (Span::from_secs(3), None));
    assert_eq!((reboot(Some(4000)).hour, reboot(Some(4000)).day), (Span::ZERO, Span::from_secs(3)));
}

#[test]
fn doses_that_are_known_only_later_count() {
    let mut bench = Bench::new(vec![doser()]);
    bench.dose(10, "acid", 3).on(700, "acid", 2);
    let record = bench.interlock.record();
    let mut late = Bench::new(vec![doser()]);
    late.interlock.merge_earlier(at(5), &record, Span(-700_000));
    let view = late.interlock.actuators(at(5).uptime).next().unwrap();
    assert_eq!(view.hour, Span::from_secs(5), "a dose, and one of which the outcome is not known");
}

/// Guards against: a dose of 3 s under limits that allow 2, since the disk wrote its booking when they were lowered.
#[test]
fn a_dose_that_is_being_booked_keeps_to_the_limits_that_were_lowered_meanwhile() {
    let lower = |max_on: i64, hour: i64| Actuator {
        max_on: Some(Span::from_secs(max_on)),
        dose_per_hour: Some(Span::from_secs(hour)),
        ..doser()
    };
    for (plan, refused) in [(lower(2, 10), "acid refused max-on"), (lower(3, 2), "acid refused dose-per-hour")] {
        let mut bench = Bench::new(vec![doser()]);
        bench.on(10, "acid", 3).plan(11, vec![plan]).booked(12).expect(&["book acid 3s", refused]);
    }
}

#[test]
fn a_dose_that_runs_ends_where_it_would_pass_a_total_that_was_lowered() {
    let lower = |hour| vec![Actuator { dose_per_hour: Some(Span::from_secs(hour)), ..doser() }];
    for (hour, end) in [(1, 11), (2, 12), (3, 13)] {
        let mut bench = Bench::new(vec![doser()]);
        bench.on(10, "acid", 3).booked(10).plan(11, lower(hour)).tick(end - 1);
        bench.expect(&[&["book acid 3s", "switch acid on 3s", "acid on"], &[][..]].concat());
        bench.tick(end).expect(&["switch acid off", "acid off time-over"]);
    }
}

/// Guards against: 3 s more where 9 of 10 s an hour are used, since the database came between the booking and its answer.
#[test]
fn a_dose_that_is_being_booked_counts_the_doses_that_are_known_only_now() {
    let doser = || vec![Actuator { min_off: Span::ZERO, ..doser() }];
    let mut bench = Bench::new(doser());
    bench.dose(0, "acid", 3).dose(20, "acid", 3).dose(40, "acid", 3);
    let mut late = Bench::new(doser());
    late.on(4, "acid", 3).interlock.merge_earlier(at(5), &bench.interlock.record(), Span(-60_000));
    late.booked(6).expect(&["book acid 3s", "acid refused dose-per-hour"]);
}

/// Guards against: base beside acid that a killed process left on, and the next acid without the pause.
#[test]
fn what_was_on_when_a_process_was_killed_is_waited_for_once_that_is_known() {
    let farm = || vec![doser(), Actuator { excludes: [id("acid")].into(), ..pump("base", "relay-2") }];
    let mut bench = Bench::new(farm());
    bench.on(10, "acid", 3).booked(10);
    let mut late = Bench::new(farm());
    late.on(4, "base", 3).said.clear();
    late.interlock.merge_earlier(at(5), &bench.interlock.record(), Span(-5_000));
    late.drain();
    late.expect(&["switch acid off", "switch base off", "base off excluded"]);
    late.confirmed(6, false).said.clear();
    late.on(6, "base", 2).expect(&["base refused excluded"]);
    for order in 0..=late.interlock.last_order {
        late.handle(7, ActuatorInput::Switched { order, on: false, why: None });
    }
    late.on(8, "acid", 2).on(8, "base", 2).expect(&["acid refused min-off", "switch base on 2s", "base on"]);
}

#[test]
fn a_pause_of_days_is_kept() {
    let acid = Actuator { min_off: Span::from_mins(3 * 24 * 60), ..doser() };
    let mut bench = Bench::new(vec![acid, pump("fan", "relay-2")]);
    bench.dose(10, "acid", 3);
    bench.on(200_000, "fan", 3).off(200_001, "fan").confirmed(200_002, false).said.clear();
    refused(&mut bench, 200_003, 1, "min-off");
    refused(&mut bench, 259_000, 1, "min-off");
    bench.on(259_300, "acid", 1).expect(&["book acid 1s"]);
}

/// Guards against: two events with each reading, for as long as a board has no such relay.
#[test]
fn a_target_whose_output_refuses_asks_less_and_less_often() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1")]);
    let read = |bench: &mut Bench, secs| {
        bench.interlock.target_wants(at(secs), &id("fan"), Some(true));
        bench.drain();
        !std::mem::take(&mut bench.said).is_empty()
    };
    let mut asked = Vec::new();
    for secs in (10..12_000).step_by(10) {
        if read(&mut bench, secs) {
            asked.push(secs - 10);
            let why = Some(OutputReason::NotPossible);
            bench.handle(secs, ActuatorInput::Switched { order: bench.last, on: false, why }).said.clear();
        }
    }
    assert_eq!(asked, [0, 60, 180, 420, 900, 1860, 3780, 7380, 10_980]);
    bench.bus(12_000, false).bus(12_000, true).said.clear();
    assert!(read(&mut bench, 12_000), "another board may be there");
    bench.confirmed(12_000, true).tick(12_003).confirmed(12_003, false).said.clear();
    assert!(read(&mut bench, 12_010), "it obeyed");
}

#[test]
fn a_siren_that_rests_energised_has_no_longest_time_and_outlives_a_lost_link() {
    let mut bench = Bench::new(vec![siren()]);
    bench.command(10, "siren", Wanted::On(None)).tick(100_000).expect(&["switch siren on", "siren on"]);
    bench.bus(100_001, false).bus(100_050, true).expect(&["switch siren on"]);
    bench.off(100_060, "siren").expect(&["switch siren off", "siren off command"]);
    bench.bus(100_070, false).command(100_071, "siren", Wanted::On(None)).expect(&["siren refused bus-down"]);
}

#[test]
fn a_new_configuration_energises_the_relay_of_a_siren_that_it_adds_or_rewires() {
    let orders = |bench: &mut Bench| {
        let mut orders = Vec::new();
        while let Some(effect) = bench.interlock.poll() {
            let Effect::Switch(switch) = effect else { continue };
            orders.push((switch.on, switch.normally_energised, switch.output.to_string()));
        }
        orders
    };
    let mut bench = Bench::new(vec![]);
    let plan = |bench: &mut Bench, siren: Actuator| bench.interlock.set_actuators(at(10), &actuators(vec![siren]));
    plan(&mut bench, siren());
    assert_eq!(orders(&mut bench), [(false, true, "board:gateway/relay-3".to_owned())], "added");
    plan(&mut bench, Actuator { normally_energised: false, max_on: Some(Span(1)), ..siren() });
    assert_eq!(orders(&mut bench), [(false, false, "board:gateway/relay-3".to_owned())], "no longer held");
    plan(&mut bench, siren());
    assert_eq!(orders(&mut bench), [(false, true, "board:gateway/relay-3".to_owned())]);
    plan(&mut bench, siren());
    assert_eq!(orders(&mut bench), [], "nothing changed");
    let output = Output::Board { bus: id("gateway"), channel: id("relay-4") };
    plan(&mut bench, Actuator { output, ..siren() });
    assert_eq!(orders(&mut bench), [(false, true, "board:gateway/relay-4".to_owned())]);
}

#[test]
fn a_pause_begins_anew_after_a_restart_also_without_a_longest_time_on() {
    let lamp = Actuator { max_on: None, min_off: Span::from_secs(60), ..pump("lamp", "relay-1") };
    let mut bench = Bench::new(vec![lamp]);
    bench.command(100, "lamp", Wanted::On(None)).said.clear();
    bench.restart(200).confirmed(201, false).command(202, "lamp", Wanted::On(None));
    bench.expect(&["switch lamp off", "lamp off restarted", "lamp refused min-off"]);
}

#[test]
fn a_storm_of_commands_keeps_no_siren_silent() {
    let horn = Actuator { is_alarm: true, ..pump("horn", "relay-2") };
    let mut bench = Bench::new(vec![horn, pump("fan", "relay-1")]);
    for _ in 0..MAX_COMMANDS {
        bench.on(10, "fan", 3).off(10, "fan").confirmed(10, false);
    }
    bench.said.clear();
    bench.on(10, "fan", 3).expect(&["fan refused too-many"]);
    let command = Command {
        id: id("siren"),
        actuator: id("horn"),
        wanted: Wanted::On(None),
        expires: at(15).uptime,
        by: Origin::Channel(id("siren")),
    };
    bench.handle(10, ActuatorInput::Command(command.clone())).expect(&["switch horn on 3s", "horn on"]);
    bench.tick(13).confirmed(13, false).said.clear();
    bench.handle(14, ActuatorInput::Command(command)).expect(&["switch horn on 3s", "horn on"]);
}

#[test]
fn a_lower_max_on_ends_what_is_on() {
    let mut bench = Bench::new(vec![Actuator { max_on: Some(Span::from_mins(10)), ..pump("fan", "relay-1") }]);
    bench.on(10, "fan", 600).plan(20, vec![pump("fan", "relay-1")]).tick(20);
    bench.expect(&["switch fan on 10m", "fan on", "switch fan off", "fan off time-over"]);
}

#[test]
fn commands_for_nothing_are_refused() {
    let disabled = Actuator { enabled: false, ..pump("fan", "relay-1") };
    let mut bench = Bench::new(vec![disabled]);
    bench.on(10, "fan", 1).on(10, "vent", 1).off(10, "vent");
    bench.expect(&["fan refused disabled", "vent refused no-such-actuator", "vent refused no-such-actuator"]);
}

#[test]
fn a_stop_of_the_agent_switches_off_all_but_what_rests_energised() {
    let mut bench = Bench::new(vec![pump("fan", "relay-1"), siren()]);
    bench.on(10, "fan", 3).command(10, "siren", Wanted::On(None)).handle(11, ActuatorInput::Stop);
    bench.expect(&["switch fan on 3s", "fan on", "switch siren on", "siren on", "switch fan off", "fan off stopped"]);
}

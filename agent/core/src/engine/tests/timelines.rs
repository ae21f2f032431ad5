//! Sensors over time: silence, faults, rates, late readings, windows.

use super::bench::{Bench, WALL, above, at, one_rule, plan, rule, sensor};
use crate::effect::Effect;
use crate::engine::{Engine, Input, Start};
use crate::plan::Rule;
use crate::quantity::Quantity;
use crate::reading::{Quality, Reading};
use crate::rules::Condition;
use crate::sensor::Sensor;
use crate::time::{Span, Uptime};
use crate::windows::{Grain, Row};

fn silent(mins: i64) -> Rule {
    rule("silent", "z/ph", Condition::MissingFor(Span::from_mins(mins)))
}

#[test]
fn missing_fires_once_at_last_sample_plus_its_span_and_resolves_at_the_next() {
    let mut bench = Bench::new(one_rule(silent(120)));
    bench.ph(0.0, 6.0).ph(60.0, 6.0).ph(61.0, 6.0).tick(180.9).expect(&[]).acknowledge_all_from(181.0);
    bench.tick(2999.0).expect(&[
        "181 firing silent warning",
        "181 page 1-1 silent fired to [warning]",
        "181 acknowledged silent by ann until 10181",
    ]);
    bench.ph(3000.0, 6.0).expect(&["3000 resolved silent"]).tick(3119.0).expect(&[]);
}

#[test]
fn a_sensor_that_never_speaks_is_missing_from_boot() {
    let mut bench = Bench::new(one_rule(silent(10)));
    bench.tick(11.0).expect(&["10 firing silent warning", "10 page 1-1 silent fired to [warning]"]);
    // A value that is not a number is no sample; one of bad quality is.
    bench.ph(12.0, f64::NAN).expect(&["missing z/ph"]);
    bench.read_with(13.0, "z/ph", 6.0, Quality::Fault).expect(&["13 fault z/ph reported", "13 resolved silent"]);
}

/// One stamp of 2165 in the middle of what a gateway held back: its reading is stamped with its arrival, and no other is late.
#[test]
fn readings_that_follow_one_without_a_time_of_its_own_are_not_late() {
    let late = |bench: &Bench| bench.readings().iter().map(|reading| reading.late).collect::<Vec<_>>();
    let mut bench = Bench::new(one_rule(rule("high", "z/ph", above(6.8))));
    bench.ph(1.0, 6.0).undated(5.0, 6.1).late(5.0, 2.0, 6.2).late(5.0, 1.5, 6.2).undated(5.0, 6.1).late(5.0, 3.0, 7.0);
    assert_eq!(late(&bench), [false, false, false, true, false, false]);
    bench.expect(&["5 firing high warning", "5 page 1-1 high fired to [warning]"]);

    let mut bench = Bench::new(one_rule(rule("high", "z/ph", above(6.8))));
    bench.undated(5.0, 6.1).late(5.0, -30.0, 6.2).late(5.0, 4.0, 7.0);
    assert_eq!(late(&bench), [false, false, false], "the first of all has no time");

    // Without a time of their own for long, readings are no interruption of what comes from before them.
    let mut bench = Bench::new(one_rule(rule("high", "z/ph", above(6.8))));
    bench.ph(1.0, 6.0).undated(5.0, 6.0).undated(16.0, 6.0).late(16.0, 5.9, 7.0).late(16.0, 6.0, 6.0);
    assert_eq!(late(&bench), [false, false, false, true, false]);
    bench.expect(&[]);

    // A restart in between forgets nothing of it.
    let mut bench = Bench::new(one_rule(rule("high", "z/ph", above(6.8))));
    bench.ph(1.0, 6.0).undated(5.0, 6.1);
    let kept = serde_json::to_vec(&bench.engine.snapshot()).unwrap();
    let plan = std::sync::Arc::clone(bench.engine.plan());
    let mut bench = Bench::of(Engine::restore(plan, &serde_json::from_slice(&kept).unwrap()).unwrap());
    bench.late(5.0, 2.0, 6.2);
    assert_eq!(late(&bench), [false]);
}

#[test]
fn staleness_is_a_fault_that_silences_rules_until_the_next_reading() {
    let slow = Sensor { stale_after: Some(Span::from_mins(3)), ..sensor("z/ph") };
    let held = Rule { hold: Span::from_mins(5), ..rule("high", "z/ph", above(6.8)) };
    let mut bench = Bench::new(plan(vec![slow], vec![held]));
    bench
        .tick(60.0)
        .expect(&[])
        .ph(61.0, 7.0)
        .ph(62.0, 7.0)
        .tick(90.0)
        .expect(&["61 pending high", "65 fault z/ph stale"]);
    bench.ph(91.0, 7.0).expect(&["91 recovered z/ph", "91 firing high warning", "91 page 1-1 high fired to [warning]"]);
}

#[test]
fn an_impossible_value_is_a_fault_of_the_sensor_and_not_of_the_crop() {
    let mut bench = Bench::new(plan(
        vec![sensor("z/ph")],
        vec![
            rule("high", "z/ph", above(6.8)),
            Rule { hold: Span::from_mins(1), ..rule("sensor-fault", "z/ph", Condition::Faulty) },
        ],
    ));
    bench.ph(0.0, 14.0).said.clear();
    bench.ph(1.0, 14.01).expect(&["1 fault z/ph range", "1 pending sensor-fault"]);
    bench
        .ph(1.5, -3.0)
        .tick(2.0)
        .expect(&["2 firing sensor-fault warning", "2 page 2-1 sensor-fault fired to [warning]"]);
    // Well again only after a minute without a fault, so that one that flickers is one fault.
    bench
        .ph(2.4, 6.0)
        .expect(&["2.4 resolved high"])
        .ph(2.5, 6.0)
        .expect(&["2.5 recovered z/ph", "2.5 resolved sensor-fault"]);
    bench.ph(3.0, f64::INFINITY).expect(&["3 fault z/ph range", "3 pending sensor-fault"]);
}

#[test]
fn an_input_that_fails_without_a_value_is_a_fault_and_no_silence() {
    let slow = Sensor { stale_after: Some(Span::from_mins(30)), ..sensor("z/ph") };
    let fault = Rule { hold: Span::from_mins(2), ..rule("sensor-fault", "z/ph", Condition::Faulty) };
    let mut bench = Bench::new(plan(vec![slow], vec![rule("high", "z/ph", above(6.8)), silent(10), fault]));
    let fail = |bench: &mut Bench, minute| {
        bench.read_with(minute, "z/ph", f64::NAN, Quality::Fault);
    };
    // From the first, without any value before.
    fail(&mut bench, 0.0);
    bench.expect(&["missing z/ph", "0 fault z/ph reported", "0 pending sensor-fault"]);
    for minute in 1..=11 {
        fail(&mut bench, f64::from(minute));
    }
    let said = bench.said.join("; ");
    assert!(said.contains("2 firing sensor-fault") && !said.contains("silent"), "{said}");
    bench.said.clear();
    bench.ph(12.0, 7.0).ph(13.0, 7.0).expect(&[
        "12 escalated sensor-fault critical",
        "12 page 1-2 sensor-fault escalated to [critical]",
        "12 recovered z/ph",
        "12 firing high warning",
        "12 page 2-1 high fired to [warning]",
        "12 resolved sensor-fault",
    ]);
    // A fault neither ends the alert of a value nor hides that there is one, and no late news moves anything.
    fail(&mut bench, 14.0);
    bench.expect(&["missing z/ph", "14 fault z/ph reported", "14 pending sensor-fault"]);
    bench.ph(15.0, 6.0).expect(&["15 recovered z/ph", "15 resolved high"]);
}

#[test]
fn a_direction_turns_over_north_without_a_leap() {
    let vane = |max_rate| Sensor {
        quantity: Quantity::WindDirection,
        range: Some((0.0, 360.0)),
        max_rate: Some(max_rate),
        ..sensor("z/ph")
    };
    let turning = rule("turning", "z/ph", Condition::RateAbove { limit: 15.0, clear: 10.0 });
    let mut bench = Bench::new(plan(vec![vane(30.0)], vec![turning]));
    bench.ph(0.0, 350.0).ph(1.0, 2.0).ph(2.0, 355.0).expect(&[]);
    assert_eq!(qualities(&bench), [Quality::Good; 3]);
    bench.ph(3.0, 15.0).expect(&["3 firing turning warning", "3 page 1-1 turning fired to [warning]"]);
    bench.ph(4.0, 60.0);
    assert_eq!(qualities(&bench)[4], Quality::Suspect);
}

fn qualities(bench: &Bench) -> Vec<Quality> {
    let quality = |effect: &Effect| match effect {
        Effect::Reading(reading) => Some(reading.quality),
        _ => None,
    };
    bench.effects.iter().filter_map(quality).collect()
}

#[test]
fn a_spike_is_one_suspect_reading_and_so_is_a_step() {
    let quick = Sensor { max_rate: Some(1.0), ..sensor("z/ph") };
    let mut bench = Bench::new(plan(vec![quick], vec![rule("high", "z/ph", above(6.8))]));
    bench.ph(0.0, 6.0).ph(1.0, 9.0).ph(2.0, 6.1).expect(&[]);
    bench.ph(3.0, 8.0).ph(4.0, 8.1).expect(&["4 firing high warning", "4 page 1-1 high fired to [warning]"]);
    use Quality::{Good, Suspect};
    assert_eq!(qualities(&bench), [Good, Suspect, Good, Suspect, Good]);
    // Seconds apart, the bound is still one a minute: noise is no rate.
    let quick = Sensor { max_rate: Some(1.0), ..sensor("z/ph") };
    let mut bench = Bench::new(plan(vec![quick], vec![]));
    bench.ph(0.0, 6.0).ph(0.01, 6.9).ph(0.02, 6.0).ph(0.03, 7.1);
    assert_eq!(qualities(&bench), [Good, Good, Good, Suspect]);
}

#[test]
fn an_unmoving_value_is_suspect_and_the_sensor_at_fault() {
    let moving = Sensor { stuck_for: Some(Span::from_mins(30)), ..sensor("z/ph") };
    let stuck = rule("stuck", "z/ph", Condition::StuckFor(Span::from_mins(20)));
    let mut bench = Bench::new(plan(vec![moving], vec![rule("high", "z/ph", above(6.8)), stuck]));
    for minute in 0..=40 {
        bench.ph(f64::from(minute), 6.0);
    }
    bench.acknowledge(40.0, 600).expect(&[
        "20 firing stuck warning",
        "20 page 1-1 stuck fired to [warning]",
        "30 escalated stuck critical",
        "30 page 1-2 stuck escalated to [critical]",
        "30 fault z/ph stuck",
        "40 acknowledged stuck by ann until 640",
    ]);
    bench.ph(41.0, 6.01).expect(&["41 recovered z/ph", "41 resolved stuck"]);
}

#[test]
fn rates_are_per_minute_over_at_least_a_minute() {
    let rising = rule("rising", "z/ph", Condition::RateAbove { limit: 0.5, clear: 0.2 });
    let falling = rule("falling", "z/ph", Condition::RateBelow { limit: -0.5, clear: -0.2 });
    let mut bench = Bench::new(plan(vec![sensor("z/ph")], vec![rising, falling]));
    // 0.6 in half a minute says nothing yet; over the whole minute it is 0.6.
    bench
        .ph(0.0, 6.0)
        .ph(0.5, 6.6)
        .expect(&[])
        .ph(1.0, 6.6)
        .expect(&["1 firing rising warning", "1 page 1-1 rising fired to [warning]"]);
    bench.ph(1.5, 6.9).ph(2.0, 6.9).expect(&[]).ph(2.5, 7.0).expect(&["2.5 resolved rising"]);
    bench.ph(3.5, 6.4).expect(&["3.5 firing falling warning", "3.5 page 2-1 falling fired to [warning]"]);
    let Effect::Page(page) = bench.effects.iter().rev().find(|effect| matches!(effect, Effect::Page(_))).unwrap()
    else {
        unreachable!("just found")
    };
    assert_eq!(page.details.message, "falling -0.6 -0.5");
}

#[test]
fn late_readings_move_nothing_but_their_window() {
    let mut bench = Bench::new(plan(vec![sensor("z/ph")], vec![rule("high", "z/ph", above(6.8)), silent(10)]));
    bench.ph(0.0, 6.0).ph(5.0, 6.0);
    bench.late(8.0, 4.0, 9.0).late(9.0, 4.5, 9.0).expect(&[]);
    bench.tick(15.0).expect(&["15 firing silent warning", "15 page 1-1 silent fired to [warning]"]);
    bench.late(16.0, 4.9, 9.0).expect(&[]);
    let late: Vec<Reading> = bench.readings().into_iter().filter(|reading| reading.late).collect();
    assert_eq!(late.iter().map(|reading| reading.at).collect::<Vec<_>>(), [at(4.0), at(4.5), at(4.9)]);
    // Equal stamps are not late: they keep their order of arrival.
    bench.ph(17.0, 6.0).ph(17.0, 7.0).said.drain(..1);
    bench.expect(&["17 firing high warning", "17 page 2-1 high fired to [warning]"]);
}

/// Grain, start in minutes, late, count, bad, sum, last.
type WindowFigures = (Grain, f64, bool, u32, u32, i64, i64);

fn windows(bench: &Bench) -> Vec<WindowFigures> {
    let seen = |effect: &Effect| match effect {
        Effect::Window(closed) => {
            let good = closed.window.good;
            let start = closed.start.uptime.0 as f64 / 60_000.0;
            let figures = good.map_or((0, 0, 0), |good| (good.count, good.sum, good.last.0));
            Some((closed.grain, start, closed.late, figures.0, closed.window.bad, figures.1, figures.2))
        }
        _ => None,
    };
    bench.effects.iter().filter_map(seen).collect()
}

#[test]
fn windows_close_at_their_end_and_none_exist_in_a_gap() {
    use Grain::{Minute, Quarter};
    let mut bench = Bench::new(plan(vec![sensor("z/ph")], vec![]));
    bench.ph(0.2, 6.0).ph(0.9, 6.1).read_with(0.95, "z/ph", 3.0, Quality::Suspect).tick(0.99);
    assert_eq!(windows(&bench), []);
    bench.ph(1.0, 6.2).tick(14.99);
    let minutes = [(Minute, 0.0, false, 2, 1, 1210, 610), (Minute, 1.0, false, 1, 0, 620, 620)];
    assert_eq!(windows(&bench), minutes);
    bench.ph(3000.0, 5.0).tick(3001.0);
    assert_eq!(windows(&bench)[2..], [(Quarter, 0.0, false, 3, 1, 1830, 620), (Minute, 3000.0, false, 1, 0, 500, 500)]);
}

#[test]
fn what_comes_late_closes_its_windows_again() {
    use Grain::{Minute, Quarter};
    let mut bench = Bench::new(plan(vec![sensor("z/ph")], vec![]));
    bench.ph(0.5, 6.0).ph(16.0, 6.0).effects.clear();
    bench.late(16.2, 0.7, 7.0).late(16.4, 0.2, 8.0).tick(17.0);
    let expected = [
        (Minute, 0.0, true, 2, 0, 1500, 700),
        (Minute, 16.0, false, 1, 0, 600, 600),
        (Quarter, 0.0, true, 2, 0, 1500, 700),
    ];
    assert_eq!(windows(&bench), expected);

    let part = |effect: &Effect| match effect {
        Effect::Window(closed) => closed.window,
        _ => unreachable!("only windows were left"),
    };
    let mut whole = Bench::new(plan(vec![sensor("z/ph")], vec![]));
    whole.ph(0.5, 6.0).tick(2.0);
    let first = whole.effects.iter().find(|effect| matches!(effect, Effect::Window(_))).map(part).unwrap();
    let late = bench.effects.iter().find(|effect| matches!(effect, Effect::Window(_))).map(part).unwrap();
    let row = Row::amend(Some(Row::amend(None, first)), late);
    let good = row.window.good.unwrap();
    assert_eq!((row.revision, good.count, good.sum, good.min.0, good.max.0, good.last.0), (1, 3, 2100, 600, 800, 700));
}

#[test]
fn windows_align_to_the_wall_where_it_is_known_and_else_keep_the_grid_of_the_boot() {
    let starts = |bench: &Bench| windows(bench).iter().map(|seen| seen.1).collect::<Vec<_>>();
    let start = Start { boot: 1, at: Uptime(0), wall: Some(crate::time::WallTime(WALL.0 + 15_000)) };
    let mut bench = Bench::of(Engine::new(plan(vec![sensor("z/ph")], vec![]), start));
    bench.ph(0.5, 6.0).ph(1.0, 6.0).tick(15.0);
    assert_eq!(starts(&bench), [-0.25, 0.75, -0.25]);

    let start = Start { boot: 1, at: Uptime(0), wall: None };
    let mut bench = Bench::of(Engine::new(plan(vec![sensor("z/ph")], vec![]), start));
    bench.ph(0.5, 6.0).handle(0.6, Input::Clock(crate::time::WallTime(WALL.0 + 15_000))).ph(1.0, 6.0).tick(15.0);
    assert_eq!(starts(&bench), [0.0, 1.0, 0.0]);
}

#[test]
fn calibrations_made_on_site_take_the_place_of_the_configured_one() {
    let mut bench = Bench::new(one_rule(rule("high", "z/ph", above(6.8))));
    let calibration = crate::calibrate::Calibration::linear(1.0, 1.0).unwrap();
    let of = crate::id::SensorId::new("z/ph").unwrap();
    bench.ph(0.0, 6.0).handle(1.0, Input::Calibrate { sensor: of.clone(), calibration: Some(calibration) });
    bench.ph(2.0, 6.0).expect(&["site", "2 firing high warning", "2 page 1-1 high fired to [warning]"]);
    bench
        .handle(3.0, Input::Calibrate { sensor: of, calibration: None })
        .ph(4.0, 6.0)
        .expect(&["site", "4 resolved high"]);
    assert_eq!(
        bench.readings().iter().map(|reading| (reading.steps.0, reading.raw)).collect::<Vec<_>>(),
        [(600, 6.0), (700, 6.0), (600, 6.0)]
    );
}

#[test]
fn a_sensor_that_is_measured_otherwise_begins_anew_with_its_windows_closed() {
    let mut bench = Bench::new(plan(vec![sensor("z/ph"), sensor("z/ec")], vec![]));
    bench.ph(0.1, 6.0).read(0.2, "z/ec", 1.0);
    let finer = Sensor { quantity: Quantity::Orp, ..sensor("z/ph") };
    bench.handle(0.3, Input::Plan(plan(vec![finer, sensor("z/ec")], vec![]))).ph(0.4, 9.0).tick(1.0);
    let counts: Vec<_> = windows(&bench).iter().map(|seen| (seen.0, seen.3, seen.5)).collect();
    let (minute, quarter) = (Grain::Minute, Grain::Quarter);
    assert_eq!(counts, [(minute, 1, 600), (quarter, 1, 600), (minute, 1, 100), (minute, 1, 900)]);
}

#[test]
fn people_who_ask_see_alerts_and_sensors_as_they_stand() {
    use crate::engine::AlertState;
    use crate::site::Matcher;
    let held = Rule { hold: Span::from_mins(5), ..rule("held", "z/ph", above(6.8)) };
    let slow = Sensor { stale_after: Some(Span::from_mins(30)), ..sensor("z/ph") };
    let mut bench = Bench::new(plan(vec![sensor("z/ec"), slow], vec![held, rule("high", "z/ph", above(6.8))]));
    assert_eq!(bench.engine.alerts().count(), 0);
    bench.ph(1.0, 7.0);
    let states = |bench: &Bench| bench.engine.alerts().map(|alert| alert.state).collect::<Vec<_>>();
    let stamp = |minute| crate::time::Stamp {
        boot: 1,
        uptime: at(minute),
        wall: Some(crate::time::WallTime(WALL.0 + at(minute).0)),
    };
    assert_eq!(states(&bench), [AlertState::Pending(Some(stamp(6.0))), AlertState::Firing]);
    bench.acknowledge(2.0, 10);
    assert_eq!(states(&bench)[1], AlertState::Acknowledged(stamp(12.0)));
    bench.handle(3.0, Input::Silence { of: Matcher::default(), span: Span::from_mins(5), by: "ann".to_owned() });
    assert!(bench.engine.alerts().all(|alert| alert.silenced_until.is_some() && alert.inhibition.is_none()));

    let seen: Vec<_> = bench.tick(40.0).engine.sensors().collect();
    assert_eq!((seen[0].newest, seen[0].quality, seen[0].silent_for), (None, None, Span::from_mins(40)));
    let (value, stamp) = seen[1].newest.unwrap();
    assert_eq!((value.to_string().as_str(), stamp.uptime), ("7.00", at(1.0)));
    assert_eq!(seen[1].quality, Some(Quality::Stale));
}

#[test]
fn a_flood_of_late_readings_waits_for_no_minute_to_end() {
    let mut bench = Bench::new(plan(vec![sensor("z/ph")], vec![]));
    bench.ph(10_000.0, 6.0);
    for minute in 0..200 {
        bench.late(10_000.1, f64::from(minute), 6.0);
    }
    assert!(windows(&bench).iter().filter(|seen| seen.0 == Grain::Minute && seen.2).count() >= 190);
    let counted: u32 =
        windows(bench.tick(10_001.0)).iter().filter(|seen| seen.0 == Grain::Minute).map(|seen| seen.3).sum();
    assert_eq!(counted, 201);
}

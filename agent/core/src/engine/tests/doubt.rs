//! Values that are not believed: why, in words, and when that is a fault of their sensor.

use super::bench::{Bench, plan, rule, sensor};
use crate::plan::Rule;
use crate::quantity::Quantity;
use crate::reading::{Quality, SensorIx};
use crate::rules::Condition;
use crate::sensor::Sensor;
use crate::time::Span;

fn soil() -> Bench {
    let soil = Sensor {
        quantity: Quantity::SoilMoisture,
        range: Some((0.0, 100.0)),
        max_rate: Some(5.0),
        stuck_for: Some(Span::from_mins(10)),
        ..sensor("bench/soil")
    };
    Bench::new(plan(vec![soil], Vec::new()))
}

#[test]
fn a_value_that_is_not_believed_says_why() {
    let mut bench = soil();
    let mut expect = |minute: f64, value: f64, why: Option<&str>| {
        bench.read(minute, "bench/soil", value);
        assert_eq!(bench.engine.doubt(SensorIx(0)).as_deref(), why, "{value} at minute {minute}");
    };
    expect(0.0, 41.0, None);
    expect(1.0, 412.0, Some("412.00 % is outside 0 to 100"));
    expect(1.5, 42.0, Some("a value of the last minute was outside 0 to 100"));
    expect(2.5, 42.5, None);
    expect(2.6, -127.0, Some("-127.00 % is outside 0 to 100"));
    expect(5.0, 43.0, None);
    expect(5.1, 60.0, Some("changed by more than 5 % in a minute"));
    expect(5.2, 60.0, None);
    expect(15.1, 60.0, Some("unchanged for 10 min"));
    expect(135.1, 60.0, Some("unchanged for 2 h 10 min"));
    expect(135.2, 61.0, None);
}

#[test]
fn an_input_that_failed_says_why_itself() {
    let mut bench = soil();
    assert_eq!(bench.engine.doubt(SensorIx(0)), None, "nothing came");
    bench.read(0.0, "bench/soil", 412.0).read_with(0.1, "bench/soil", f64::NAN, Quality::Fault);
    assert_eq!(bench.engine.doubt(SensorIx(0)), None);
}

/// `z/ph` with the rule `sensor-fault`, and a good reading at minute 0.
fn watched(ph: Sensor) -> Bench {
    let fault = Rule { hold: Span::from_mins(2), ..rule("sensor-fault", "z/ph", Condition::Faulty) };
    let mut bench = Bench::new(plan(vec![ph], vec![fault]));
    bench.ph(0.0, 6.0).expect(&[]);
    bench
}

fn overdue_after_3_min() -> Sensor {
    Sensor { stale_after: Some(Span::from_mins(3)), ..sensor("z/ph") }
}

fn suspect(bench: &mut Bench, minutes: impl IntoIterator<Item = f64>) -> &mut Bench {
    minutes.into_iter().fold(bench, |bench, minute| bench.read_with(minute, "z/ph", 6.0, Quality::Suspect))
}

/// Guards against: a pH that its input calls suspect for weeks, by which nothing is watched or dosed, and nobody is told.
#[test]
fn values_that_stay_suspect_are_a_fault_once_the_sensor_would_be_overdue() {
    let mut bench = watched(overdue_after_3_min());
    suspect(&mut bench, [1.0, 2.0, 3.0]).expect(&[]).restore();
    suspect(&mut bench, [4.0]).expect(&["4 fault z/ph suspect", "4 pending sensor-fault"]);
    suspect(&mut bench, [5.0, 6.0])
        .expect(&["6 firing sensor-fault warning", "6 page 1-1 sensor-fault fired to [warning]"]);
    // Well again only after a minute without one, so that a sensor that flickers is one fault.
    bench.ph(6.5, 6.0);
    suspect(&mut bench, [6.7]).ph(7.2, 6.0).expect(&[]);
    bench.ph(7.7, 6.0).expect(&["7.7 recovered z/ph", "7.7 resolved sensor-fault"]);
}

#[test]
fn suspect_values_with_others_between_them_are_no_fault() {
    let mut bench = watched(overdue_after_3_min());
    suspect(&mut bench, [1.0, 2.0, 3.0]).ph(3.5, 6.0).expect(&[]);
    suspect(&mut bench, [4.0, 5.0, 6.0]).read_with(6.5, "z/ph", 6.0, Quality::Calibrating).expect(&[]);
    suspect(&mut bench, [7.0, 8.0, 9.0]).expect(&[]);
    // Of those before a silence nobody knows whether they went on.
    suspect(&mut bench, [12.5, 13.5]).expect(&["12 fault z/ph stale", "12.5 recovered z/ph"]);
}

#[test]
fn suspect_values_are_a_fault_after_a_minute_at_least_and_after_15_where_no_interval_is_known() {
    let first_fault = |ph: Sensor| {
        let mut bench = watched(ph);
        suspect(&mut bench, (1..=120).map(|sixth| f64::from(sixth) / 6.0));
        bench.said.first().cloned().unwrap_or_default()
    };
    let minutes = |mins| Some(Span::from_mins(mins));
    let often = Sensor { stale_after: Some(Span::from_secs(30)), ..sensor("z/ph") };
    let on_a_bus = Sensor { heard_within: minutes(5), ..sensor("z/ph") };
    let both = Sensor { stale_after: minutes(7), ..on_a_bus.clone() };
    let found = [often, on_a_bus, both, sensor("z/ph")].map(first_fault);
    let begun = 1.0 / 6.0;
    for (found, after) in found.iter().zip([1.0, 5.0, 7.0, 15.0]) {
        let minute: f64 = found.split(' ').next().unwrap().parse().unwrap();
        assert!((minute - begun - after).abs() < 0.01 && found.ends_with("fault z/ph suspect"), "{after}: {found}");
    }
}

/// Guards against: a tank that heats up faster than its thermometer should, whose values no rule watches, and nobody is told.
#[test]
fn a_value_that_changes_faster_than_its_max_rate_for_minutes_is_a_fault_that_says_so() {
    let mut bench = watched(Sensor { max_rate: Some(0.5), ..overdue_after_3_min() });
    bench.ph(1.0, 7.0).ph(2.0, 8.0).ph(3.0, 9.0).expect(&[]);
    bench.ph(4.0, 10.0).expect(&["4 fault z/ph suspect", "4 pending sensor-fault"]);
    assert_eq!(bench.engine.doubt(SensorIx(0)).as_deref(), Some("changed by more than 0.5 in a minute"));
}

#[test]
fn a_suspect_value_is_no_sign_that_a_fault_is_over() {
    let mut bench = watched(overdue_after_3_min());
    bench.ph(1.0, 15.0).expect(&["1 fault z/ph range", "1 pending sensor-fault"]);
    suspect(&mut bench, [2.5])
        .ph(3.0, 6.0)
        .expect(&["3 firing sensor-fault warning", "3 page 1-1 sensor-fault fired to [warning]"]);
    bench.ph(3.5, 6.0).expect(&["3.5 recovered z/ph", "3.5 resolved sensor-fault"]);
}

//! Every condition against its facts, one row each.

use super::*;
use ConditionState::{Fine, Holds, Unknown};

const NOTHING: Facts =
    Facts { value: None, rate: None, unchanged: None, silent_for: Span::ZERO, heard: true, faulty: None };

fn input(ix: u32, quantity: Quantity, resolution: f64) -> SensorRef {
    SensorRef { sensor: SensorIx(ix), quantity, resolution: Resolution::new(resolution).unwrap() }
}

fn test(condition: &Condition) -> Test {
    Test::new(condition, input(0, Quantity::Ph, 0.01), |_| None).unwrap()
}

fn of_value(condition: &Condition, steps: i64, firing: bool) -> ConditionState {
    test(condition).condition_state(&Facts { value: Some(Steps(steps)), ..NOTHING }, |_| NOTHING, firing)
}

#[test]
fn values_are_compared_exactly_and_hysteresis_holds_on() {
    let above = Condition::Above { limit: 6.8, clear: 6.5 };
    let below = Condition::Below { limit: 5.5, clear: 5.8 };
    let outside = Condition::Outside { low: 5.5, high: 6.8, clear_low: 5.8, clear_high: 6.5 };
    let between = Condition::Between { above: 5.0, below: 10.0 };
    for (condition, steps, quiet, firing) in [
        (&above, 680, Fine, Holds),
        (&above, 681, Holds, Holds),
        (&above, 651, Fine, Holds),
        (&above, 650, Fine, Fine),
        (&below, 550, Fine, Holds),
        (&below, 549, Holds, Holds),
        (&below, 580, Fine, Fine),
        (&outside, 549, Holds, Holds),
        (&outside, 550, Fine, Holds),
        (&outside, 580, Fine, Fine),
        (&outside, 650, Fine, Fine),
        (&outside, 651, Fine, Holds),
        (&outside, 681, Holds, Holds),
        (&between, 500, Fine, Fine),
        (&between, 501, Holds, Holds),
        (&between, 999, Holds, Holds),
        (&between, 1000, Fine, Fine),
    ] {
        assert_eq!(of_value(condition, steps, false), quiet, "{condition:?} at {steps}");
        assert_eq!(of_value(condition, steps, true), firing, "{condition:?} at {steps}, firing");
    }
    assert_eq!(test(&above).condition_state(&NOTHING, |_| NOTHING, false), Unknown);
}

#[test]
fn limits_between_steps_are_still_limits() {
    let condition = Condition::Above { limit: 6.805, clear: 6.805 };
    assert_eq!((of_value(&condition, 680, false), of_value(&condition, 681, false)), (Fine, Holds));
    let condition = Condition::Below { limit: 6.805, clear: 6.805 };
    assert_eq!((of_value(&condition, 680, false), of_value(&condition, 681, false)), (Holds, Fine));
}

#[test]
fn the_other_facts_have_their_conditions() {
    // In hundredths over two minutes.
    let rate = |steps: Option<i64>| {
        let over = Span::from_mins(2);
        Facts { rate: steps.map(|steps| Rate { change: Steps(steps), over }), ..NOTHING }
    };
    let rising = test(&Condition::RateAbove { limit: 0.5, clear: 0.2 });
    let falling = test(&Condition::RateBelow { limit: -0.5, clear: -0.2 });
    let missing = test(&Condition::MissingFor(Span::from_mins(10)));
    let stuck = test(&Condition::StuckFor(Span::from_mins(10)));
    for (test, facts, firing, expected) in [
        (rising, rate(Some(100)), false, Fine),
        (rising, rate(Some(101)), false, Holds),
        (rising, rate(Some(60)), true, Holds),
        (rising, rate(None), true, Unknown),
        (falling, rate(Some(-101)), false, Holds),
        (falling, rate(Some(-40)), true, Fine),
        (missing, Facts { silent_for: Span::from_mins(9), ..NOTHING }, false, Fine),
        (missing, Facts { silent_for: Span::from_mins(10), ..NOTHING }, false, Holds),
        (missing, Facts { heard: false, ..NOTHING }, true, Unknown),
        (missing, Facts { heard: false, silent_for: Span::from_mins(10), ..NOTHING }, false, Holds),
        (stuck, Facts { unchanged: Some(Span::from_mins(10)), ..NOTHING }, false, Holds),
        (stuck, NOTHING, false, Unknown),
        (test(&Condition::Faulty), Facts { faulty: Some(true), ..NOTHING }, false, Holds),
    ] {
        assert_eq!(test.condition_state(&facts, |_| NOTHING, firing), expected, "{test:?} with {facts:?}");
    }
}

fn differs(limit: f64, clear: f64, scale: Scale) -> Condition {
    Condition::DiffersFrom { other: SensorId::new("z/b").unwrap(), limit, clear, scale }
}

#[test]
fn two_values_are_held_against_each_other_whatever_their_resolutions() {
    let unit = |limit, clear| differs(limit, clear, Scale::Unit);
    let percent = |limit, clear| differs(limit, clear, Scale::PercentOfOther);
    for (condition, own, other, quiet, firing) in [
        // Equal is no more, although in binary fractions 6.9 - 6.6 is 0.3000000000000007.
        (unit(0.3, 0.2), (690, 0.01), (660, 0.01), Fine, Holds),
        (unit(0.3, 0.2), (691, 0.01), (660, 0.01), Holds, Holds),
        (unit(0.3, 0.2), (660, 0.01), (691, 0.01), Holds, Holds),
        (unit(0.3, 0.2), (680, 0.01), (660, 0.01), Fine, Fine),
        (unit(0.3, 0.3), (690, 0.01), (66, 0.1), Fine, Fine),
        (unit(0.3, 0.3), (6_901, 0.001), (66, 0.1), Holds, Holds),
        (unit(0.001, 0.001), (1_000_000_001, 0.001), (1_000_000, 1.0), Fine, Fine),
        (unit(0.001, 0.001), (1_000_000_002, 0.001), (1_000_000, 1.0), Holds, Holds),
        // Of the other's value, whichever is larger.
        (percent(5.0, 5.0), (1_050, 0.1), (1_000, 0.1), Fine, Fine),
        (percent(5.0, 5.0), (1_051, 0.1), (1_000, 0.1), Holds, Holds),
        (percent(5.0, 5.0), (1_000, 0.1), (1_051, 0.1), Fine, Fine),
        (percent(5.0, 2.0), (1_021, 0.1), (1_000, 0.1), Fine, Holds),
        (percent(5.0, 5.0), (-1_051, 0.1), (-1_000, 0.1), Holds, Holds),
        // At 0 there is no percent of anything: equal is fine, and all else is more.
        (percent(5.0, 5.0), (0, 0.1), (0, 0.1), Fine, Fine),
        (percent(5.0, 5.0), (1, 0.1), (0, 0.1), Holds, Holds),
        (percent(0.1, 0.1), (Steps::MAX.0, 1.0), (-Steps::MAX.0, 1.0), Holds, Holds),
    ] {
        let (own_input, other_input) = (input(0, Quantity::Ph, own.1), input(1, Quantity::Ph, other.1));
        let test = Test::new(&condition, own_input, |_| Some(other_input)).unwrap();
        let facts = |ix| {
            let steps = if ix == SensorIx(0) { own.0 } else { other.0 };
            Facts { value: Some(Steps(steps)), ..NOTHING }
        };
        assert_eq!(
            test.condition_state(&facts(SensorIx(0)), facts, false),
            quiet,
            "{condition:?} of {own:?} and {other:?}"
        );
        assert_eq!(
            test.condition_state(&facts(SensorIx(0)), facts, true),
            firing,
            "{condition:?} of {own:?} and {other:?}, firing"
        );
        for unknown in [SensorIx(0), SensorIx(1)] {
            let facts = |ix| if ix == unknown { NOTHING } else { facts(ix) };
            assert_eq!(test.condition_state(&facts(SensorIx(0)), facts, false), Unknown, "without {unknown:?}");
        }
    }
}

#[test]
fn two_directions_differ_by_the_shorter_way_round() {
    let vane = |ix| input(ix, Quantity::WindDirection, 1.0);
    let test = Test::new(&differs(30.0, 30.0, Scale::Unit), vane(0), |_| Some(vane(1))).unwrap();
    for (own, other, expected) in [(350, 20, Fine), (20, 350, Fine), (350, 21, Holds), (0, 360, Fine), (90, 270, Holds)]
    {
        let facts = |ix| Facts { value: Some(Steps(if ix == SensorIx(0) { own } else { other })), ..NOTHING };
        assert_eq!(test.condition_state(&facts(SensorIx(0)), facts, false), expected, "{own} and {other}");
    }
}

#[test]
fn only_another_sensor_of_the_same_quantity_can_be_compared_with() {
    let own = input(0, Quantity::Ph, 0.01);
    let condition = differs(1.0, 1.0, Scale::Unit);
    assert!(Test::new(&condition, own, |_| None).is_none());
    assert!(Test::new(&condition, own, |_| Some(own)).is_none());
    assert!(Test::new(&condition, own, |_| Some(input(1, Quantity::Ec, 0.01))).is_none());
    assert!(Test::new(&condition, own, |_| Some(input(1, Quantity::Ph, 0.1))).is_some());
}

//! What is said of an alert that is over, for every kind of alert: never what was said while it fired.

use std::sync::Arc;

use super::bench::{Bench, above, day, one_rule, plan, rule, sensor};
use crate::effect::{Effect, Transition};
use crate::engine::Input;
use crate::message::Template;
use crate::plan::Rule;
use crate::quantity::Quantity;
use crate::rules::Condition;
use crate::sensor::Sensor;
use crate::time::Span;

/// What the newest alert said when it fired, and when it was over.
#[track_caller]
fn said(bench: &Bench) -> (String, String) {
    let message = |is_it: fn(&Transition) -> bool| {
        let of = |effect: &Effect| match effect {
            Effect::Alert(transition, details) if is_it(transition) => Some(details.message.clone()),
            _ => None,
        };
        bench.effects.iter().rev().find_map(of).expect("it was said")
    };
    (message(|said| *said == Transition::Firing), message(|said| matches!(said, Transition::Resolved(_))))
}

/// Readings as (minute, value), and how the alert is described once they have come.
#[track_caller]
fn check(of: Sensor, condition: Condition, readings: &[(f64, f64)], expected: &str) {
    let named = format!("{condition:?}");
    let mut bench = Bench::new(plan(vec![of], vec![rule("it", "z/ph", condition)]));
    for (minute, value) in readings {
        bench.ph(*minute, *value);
    }
    let (firing, over) = said(&bench);
    assert_eq!(over, expected, "{named}");
    assert_ne!(over, firing);
}

fn air() -> Sensor {
    Sensor { quantity: Quantity::Temperature, range: Some((-40.0, 80.0)), ..sensor("z/ph") }
}

#[test]
fn each_condition_has_its_words() {
    let high = Condition::Above { limit: 30.0, clear: 28.0 };
    let low = Condition::Below { limit: 10.0, clear: 12.0 };
    let outside = Condition::Outside { low: 10.0, high: 30.0, clear_low: 12.0, clear_high: 28.0 };
    let rising = Condition::RateAbove { limit: 2.0, clear: 2.0 };
    let falling = Condition::RateBelow { limit: -2.0, clear: -2.0 };
    check(air(), high, &[(0.0, 31.0), (5.0, 26.4)], "z/ph back to 26.40 C, limit 30 C");
    check(air(), low, &[(0.0, 8.0), (5.0, 12.5)], "z/ph back to 12.50 C, limit 10 C");
    check(air(), outside, &[(0.0, 31.0), (5.0, 26.4)], "z/ph back to 26.40 C, within 10 to 30 C");
    check(
        air(),
        Condition::Between { above: 5.0, below: 10.0 },
        &[(0.0, 7.0), (5.0, 11.0)],
        "z/ph at 11.00 C, no longer between 5 and 10 C",
    );
    check(
        air(),
        rising,
        &[(0.0, 10.0), (1.0, 15.0), (3.0, 15.0)],
        "z/ph now changes by 0 C per minute, limit 2 C per minute",
    );
    check(
        air(),
        falling,
        &[(0.0, 15.0), (1.0, 10.0), (3.0, 9.0)],
        "z/ph now changes by -0.5 C per minute, limit -2 C per minute",
    );
    check(sensor("z/ph"), above(6.8), &[(0.0, 7.0), (5.0, 6.4)], "z/ph back to 6.40, limit 6.8");
    let stuck = Condition::StuckFor(Span::from_mins(10));
    check(air(), stuck, &[(0.0, 7.0), (10.0, 7.0), (12.0, 7.1)], "z/ph changes again: 7.10 C");
    check(air(), Condition::Faulty, &[(0.0, 99.0), (5.0, 21.0)], "z/ph can be believed again: 21.00 C");
    let door = Sensor { quantity: Quantity::Contact, range: None, ..sensor("z/ph") };
    check(door, above(0.0), &[(0.0, 1.0), (5.0, 0.0)], "z/ph back to normal");
}

#[test]
fn a_silence_that_is_over_says_how_long_it_was() {
    let silent = Condition::MissingFor(Span::from_mins(15));
    check(air(), silent.clone(), &[(0.0, 20.0), (17.4, 20.0)], "z/ph reporting again after 17 min");
    // The alert went on for a while after the sensor did.
    let lasting = Rule { keep_firing_for: Span::from_mins(5), ..rule("it", "z/ph", silent) };
    let mut bench = Bench::new(one_rule(lasting));
    bench.ph(0.0, 7.0).ph(77.0, 7.0).ph(80.0, 7.0).tick(90.0);
    assert_eq!(said(&bench).1, "z/ph reporting again after 1 h 17 min");
}

#[test]
fn a_rule_that_is_gone_and_hours_that_are_over_are_no_good_news() {
    let mut bench = Bench::new(one_rule(rule("it", "z/ph", above(6.8))));
    bench.ph(0.0, 7.0).handle(1.0, Input::Plan(plan(vec![sensor("z/ph")], vec![])));
    assert_eq!(said(&bench).1, "z/ph no longer watched by it: removed from the configuration");

    let mut bench = Bench::new(one_rule(rule("it", "z/ph", above(6.8))));
    bench.ph(0.0, 7.0);
    let after = crate::engine::Engine::restore(plan(vec![], vec![]), &bench.engine.snapshot()).unwrap();
    let mut after = Bench::of(after);
    after.effects.splice(0..0, bench.effects.clone());
    assert_eq!(said(&after).1, "z/ph no longer watched by it: removed from the configuration");

    let mut bench = Bench::new(one_rule(Rule { during: Some(day()), ..rule("it", "z/ph", above(6.8)) }));
    bench.ph(400.0, 7.0).tick(1300.0);
    assert_eq!(said(&bench).1, "z/ph not watched by it for now: schedule day closed");
}

#[test]
fn a_rule_may_have_words_of_its_own() {
    let resolved = Some(Arc::new(Template::parse("{name} fine: {value}").unwrap()));
    let mut bench = Bench::new(one_rule(Rule { resolved, ..rule("it", "z/ph", above(6.8)) }));
    bench.ph(0.0, 7.0).ph(1.0, 6.5);
    assert_eq!(said(&bench).1, "ph fine: 6.50");
    bench.ph(2.0, 7.0).handle(3.0, Input::Plan(plan(vec![sensor("z/ph")], vec![])));
    assert_eq!(said(&bench).1, "z/ph no longer watched by it: removed from the configuration", "it is not fine");
}

//! Rules over several sensors: when they look, at what, and what they say.

use std::sync::Arc;

use proptest::prelude::*;

use super::bench::{Bench, WALL, at, differs, id, plan, rule, sensor};
use crate::effect::{Effect, Transition};
use crate::engine::{Engine, Inhibition, Input, Start};
use crate::id::SensorId;
use crate::message::Template;
use crate::plan::{Plan, PlanError, Rule};
use crate::quantity::Quantity;
use crate::reading::{Quality, Raw};
use crate::rules::{Condition, Scale};
use crate::sensor::Sensor;
use crate::time::{Span, Uptime};

/// Two probes, and a rule about them.
fn pair(apart: Rule) -> Arc<Plan> {
    plan(vec![sensor("z/a"), sensor("z/b")], vec![apart])
}

fn apart() -> Rule {
    rule("apart", "z/a", differs("z/b", 0.3))
}

#[test]
fn a_value_of_either_sensor_makes_the_rule_look() {
    let mut bench = Bench::new(pair(apart()));
    bench.read(1.0, "z/a", 6.0).read(2.0, "z/b", 6.2).tick(3.0).expect(&[]);
    bench.read(4.0, "z/b", 6.4).tick(5.0).expect(&["4 firing apart warning", "4 page 1-1 apart fired to [warning]"]);
    bench.read(6.0, "z/a", 6.1).tick(7.0).expect(&["6 resolved apart"]);
    bench.read(8.0, "z/a", 5.0).tick(9.0).expect(&["8 firing apart warning", "8 page 2-1 apart fired to [warning]"]);
    bench.read(10.0, "z/b", 5.1).tick(11.0).expect(&["10 resolved apart"]);
}

/// Both of a line or row: what one says beside the other's old value is nothing that ever was.
#[test]
fn values_of_one_instant_are_compared_together() {
    let held = Rule { hold: Span::from_mins(5), ..apart() };
    for first in ["z/a", "z/b"] {
        let second = if first == "z/a" { "z/b" } else { "z/a" };
        let mut bench = Bench::new(pair(apart()));
        for minute in 0..10 {
            let value = f64::from(minute);
            bench.read(value, first, value).read(value, second, value + 0.2);
        }
        bench.tick(10.0).expect(&[]);

        // The two stay apart while both move, such that the new value of either meets the old value of the other.
        let mut bench = Bench::new(pair(held.clone()));
        for minute in 0..6 {
            let value = f64::from(minute);
            let of = |sensor: &str| if sensor == "z/a" { value } else { value + 1.0 };
            bench.read(value, first, of(first)).read(value, second, of(second));
        }
        bench.expect(&["0 pending apart", "5 firing apart warning", "5 page 1-1 apart fired to [warning]"]);
    }
}

#[test]
fn the_last_instant_is_compared_when_time_goes_on_or_somebody_says_that_it_is_over() {
    let mut bench = Bench::new(pair(apart()));
    bench.read(1.0, "z/a", 6.0).read(1.0, "z/b", 7.0).expect(&[]);
    assert_eq!(bench.engine.deadline(), Some(Uptime(60_001)));
    let snapshot = bench.engine.snapshot();
    bench.engine.end_instant();
    bench.tick(1.0).expect(&["1 firing apart warning", "1 page 1-1 apart fired to [warning]"]);

    // A restart within the instant forgets nothing of it.
    let bytes = serde_json::to_vec(&snapshot).unwrap();
    let kept = serde_json::from_slice(&bytes).unwrap();
    let mut bench = Bench::of(Engine::restore(pair(apart()), &kept).unwrap());
    bench.expect(&[]).tick(2.0).expect(&["1 firing apart warning", "1 page 1-1 apart fired to [warning]"]);
}

#[test]
fn what_is_not_believed_of_either_neither_raises_nor_resolves() {
    for (known, doubted) in [("z/a", "z/b"), ("z/b", "z/a")] {
        let mut bench = Bench::new(pair(apart()));
        bench.read(1.0, known, 6.0).tick(2.0).expect(&[]);
        bench.read_with(3.0, doubted, 7.0, Quality::Suspect).tick(4.0).expect(&[]);
        bench.read(5.0, doubted, 7.0).tick(6.0).said.clear();
        assert_eq!(bench.engine.alerts().count(), 1, "{doubted} is believed");
        bench.read_with(7.0, doubted, 6.0, Quality::Calibrating).read_with(8.0, known, 7.0, Quality::Fault).tick(9.0);
        assert!(!bench.said.join("; ").contains("resolved"), "{:?}", bench.said);
        bench.read(10.0, known, 6.0).read(10.0, doubted, 6.0).tick(11.0);
        assert!(bench.said.join("; ").contains("10 resolved apart"), "{:?}", bench.said);
    }
}

#[test]
fn a_sensor_that_turned_stale_says_nothing_of_the_other() {
    let slow = Sensor { stale_after: Some(Span::from_mins(3)), ..sensor("z/b") };
    let mut bench = Bench::new(plan(vec![sensor("z/a"), slow], vec![apart()]));
    bench.read(0.0, "z/b", 6.0).read(0.0, "z/a", 6.0).read(4.0, "z/a", 9.0).tick(5.0).expect(&["3 fault z/b stale"]);
    bench.read(6.0, "z/b", 6.0).tick(7.0).expect(&[
        "6 recovered z/b",
        "6 firing apart warning",
        "6 page 1-1 apart fired to [warning]",
    ]);
}

#[test]
fn late_readings_of_either_move_nothing() {
    let mut bench = Bench::new(pair(apart()));
    bench.read(5.0, "z/a", 6.0).read(5.0, "z/b", 6.0);
    for name in ["z/a", "z/b"] {
        let sensor = bench.engine.plan().sensor_ix(name).unwrap();
        bench.handle(6.0, Input::Reading(Raw { sensor, at: at(4.0), value: 9.0, quality: Quality::Good }));
    }
    bench.tick(7.0).expect(&[]);
}

#[test]
fn an_alert_says_both_values_and_what_is_said_when_it_is_over() {
    let text = "{sensor} {value}, {other_sensor} {other}, limit {limit} {unit}";
    let messages = |scale: Scale, message: &str| {
        let condition = Condition::DiffersFrom { other: SensorId::new("z/b").unwrap(), limit: 4.0, clear: 4.0, scale };
        let warm = |name| Sensor { quantity: Quantity::Temperature, ..sensor(name) };
        let apart = Rule { message: Arc::new(Template::parse(message).unwrap()), ..rule("apart", "z/a", condition) };
        let mut bench = Bench::new(plan(vec![warm("z/a"), warm("z/b")], vec![apart]));
        bench.read(1.0, "z/a", 6.0).read(1.0, "z/b", 13.5).read(2.0, "z/a", 13.4).tick(3.0);
        let message = |effect: &Effect| match effect {
            Effect::Alert(_, details) => Some((details.message.clone(), details.limit.map(|limit| limit.to_string()))),
            _ => None,
        };
        bench.effects.iter().filter_map(message).collect::<Vec<_>>()
    };
    let said = |message: &str, limit: &str| (message.to_owned(), Some(limit.to_owned()));
    assert_eq!(
        messages(Scale::Unit, text),
        [
            said("z/a 6.00, z/b 13.50, limit 4 C", "4"),
            said("z/a 13.40 C agrees again with z/b 13.50 C, limit 4 C", "4")
        ]
    );
    assert_eq!(
        messages(Scale::PercentOfOther, "{value} and {other} by {limit}"),
        [said("6.00 and 13.50 by 4 %", "4 %"), said("z/a 13.40 C agrees again with z/b 13.50 C, limit 4 %", "4 %"),]
    );
}

#[test]
fn another_sensor_to_compare_with_restarts_the_hold_and_another_limit_does_not() {
    let farm = |other, limit| {
        let held = Rule { hold: Span::from_mins(10), ..rule("apart", "z/a", differs(other, limit)) };
        plan(vec![sensor("z/a"), sensor("z/b"), sensor("z/c")], vec![held])
    };
    let begin = || {
        let mut bench = Bench::new(farm("z/b", 0.3));
        bench.read(0.0, "z/a", 6.0).read(0.0, "z/b", 8.0).read(0.0, "z/c", 8.0).tick(1.0).said.clear();
        bench
    };
    begin().handle(5.0, Input::Plan(farm("z/b", 0.5))).tick(15.0).expect(&[
        "planned",
        "10 firing apart warning",
        "10 page 1-1 apart fired to [warning]",
    ]);
    begin().handle(5.0, Input::Plan(farm("z/c", 0.3))).tick(15.0).expect(&[
        "planned",
        "15 firing apart warning",
        "15 page 1-1 apart fired to [warning]",
    ]);
    // Without the other sensor there is no rule.
    let without = plan(vec![sensor("z/a")], vec![]);
    let mut bench = begin();
    bench.tick(11.0).said.clear();
    bench.handle(12.0, Input::Plan(without)).expect(&["12 resolved apart removed", "planned"]);
}

/// Guards against: a page about a difference whose other value is unknown because its bus is down.
#[test]
fn a_bus_that_is_down_holds_the_pages_of_rules_that_compare_with_its_sensors() {
    let on_bus = Sensor { bus: Some(id("gateway")), ..sensor("z/b") };
    let line = Sensor { state_of_bus: Some(id("gateway")), ..sensor("zz/line") };
    let mut bench = Bench::new(plan(vec![sensor("z/a"), on_bus, line], vec![apart()]));
    bench.read(0.0, "z/a", 6.0).read(0.0, "z/b", 8.0).tick(1.0).said.clear();
    bench.handle(2.0, Input::Bus { bus: id("gateway"), up: false }).tick(15.0).expect(&[]);
    assert_eq!(bench.engine.alerts().next().unwrap().inhibition, Some(Inhibition::Down));
    bench.handle(20.0, Input::Bus { bus: id("gateway"), up: true }).tick(20.5).expect(&[]);
    bench.read(20.6, "z/b", 8.0).tick(21.0).expect(&["20.6 page 1-2 apart bus-back to [warning]"]);
}

#[test]
fn a_plan_compares_a_sensor_with_another_one_of_its_quantity() {
    let ec = Sensor { quantity: Quantity::Ec, ..sensor("z/b") };
    for sensors in [vec![sensor("z/a")], vec![sensor("z/a"), ec]] {
        let made = Plan::new(sensors, vec![apart()]);
        assert_eq!(made, Err(PlanError::NotComparable(Box::new(apart().key))));
    }
    let itself = rule("apart", "z/a", differs("z/a", 0.3));
    assert!(Plan::new(vec![sensor("z/a")], vec![itself]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a rule that is looked at once an instant with what both said last; in whichever order they said it.
    #[test]
    fn alerts_follow_the_values_at_the_end_of_each_instant(
        instants in proptest::collection::vec((proptest::option::of(0..8u8), proptest::option::of(0..8u8), any::<bool>()), 1..40),
    ) {
        let mut engine = Engine::new(pair(apart()), Start { boot: 1, at: Uptime(0), wall: Some(WALL) });
        let (mut values, mut is_raised, mut expected, mut found) = ([None; 2], false, Vec::new(), Vec::new());
        let (a, b) = (engine.plan().sensor_ix("z/a").unwrap(), engine.plan().sensor_ix("z/b").unwrap());
        for (minute, (own, other, own_first)) in instants.iter().enumerate() {
            let now = at(minute as f64);
            let mut spoken = [(a, 0, own), (b, 1, other)];
            if !own_first {
                spoken.reverse();
            }
            for (sensor, place, value) in spoken {
                let Some(value) = value else { continue };
                values[place] = Some(*value);
                let raw = Raw { sensor, at: now, value: f64::from(*value) / 10.0, quality: Quality::Good };
                engine.handle(now, Input::Reading(raw));
            }
            if let [Some(own), Some(other)] = values && (own.abs_diff(other) > 3) != is_raised {
                is_raised = !is_raised;
                expected.push((now, is_raised));
            }
        }
        engine.end_instant();
        while let Some(effect) = engine.poll() {
            match effect {
                Effect::Alert(Transition::Firing, details) => found.push((details.at.uptime, true)),
                Effect::Alert(Transition::Resolved(_), details) => found.push((details.at.uptime, false)),
                _ => {}
            }
        }
        prop_assert_eq!(found, expected);
    }
}

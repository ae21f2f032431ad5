//! Rules that a configuration takes away and a later one has again: their alerts go on.

use std::sync::Arc;

use super::bench::{Bench, above, plan, policy, rule, sensor};
use crate::engine::{Engine, Input};
use crate::plan::{Plan, Policy, Rule, Severity};
use crate::time::Span;

const REMEMBERED: Span = Span::from_mins(60);

fn remembering(plan: Arc<Plan>) -> Arc<Plan> {
    Arc::new(Arc::unwrap_or_clone(plan).remembering_removed(REMEMBERED))
}

fn high(hold_mins: i64) -> Arc<Plan> {
    let rule = Rule { hold: Span::from_mins(hold_mins), ..rule("high", "z/ph", above(6.8)) };
    remembering(plan(vec![sensor("z/ph")], vec![rule]))
}

fn without_rule() -> Arc<Plan> {
    remembering(plan(vec![sensor("z/ph")], vec![]))
}

fn nothing() -> Arc<Plan> {
    remembering(plan(vec![], vec![]))
}

#[test]
fn an_acknowledged_alert_stays_so_and_pages_only_when_that_is_over() {
    let mut bench = Bench::new(high(0));
    bench.ph(0.0, 7.0).acknowledge(1.0, 30).said.clear();
    bench.handle(5.0, Input::Plan(without_rule())).expect(&["5 resolved high removed", "planned"]);
    bench.handle(6.0, Input::Plan(high(0))).expect(&["planned", "6 acknowledged high by ann until 31"]);
    assert_eq!(bench.engine.alerts().next().unwrap().details.alert, Some(crate::alert::AlertId(1)));
    bench.ph(10.0, 7.0).expect(&[]).tick(31.0).expect(&["31 page 1-2 high acknowledgement-expired to [warning]"]);
    bench.ph(32.0, 6.0).expect(&["32 resolved high"]);
}

#[test]
fn one_that_fired_fires_on_under_its_number_and_says_so() {
    let mut bench = Bench::new(high(0));
    bench.ph(0.0, 7.0).said.clear();
    bench.handle(5.0, Input::Plan(without_rule())).handle(64.0, Input::Plan(high(0)));
    bench.expect(&[
        "5 resolved high removed",
        "planned",
        "planned",
        "64 firing high warning",
        "64 page 1-2 high rule-back to [warning]",
    ]);
}

#[test]
fn one_that_would_be_over_by_now_is_over_and_one_that_was_gone_for_long_is_another() {
    let mut bench = Bench::new(high(0));
    bench.ph(0.0, 7.0).handle(5.0, Input::Plan(without_rule())).ph(6.0, 6.0).said.clear();
    bench.handle(7.0, Input::Plan(high(0))).expect(&["planned"]);
    bench.ph(8.0, 7.0).expect(&["8 firing high warning", "8 page 2-1 high fired to [warning]"]);
    bench.handle(9.0, Input::Plan(without_rule())).said.clear();
    bench.handle(69.0, Input::Plan(high(0))).expect(&[
        "planned",
        "69 firing high warning",
        "69 page 3-1 high fired to [warning]",
    ]);
}

#[test]
fn a_hold_goes_on() {
    let mut bench = Bench::new(high(10));
    bench.ph(0.0, 7.0).handle(5.0, Input::Plan(without_rule())).handle(6.0, Input::Plan(high(10))).said.clear();
    bench.tick(9.9).expect(&[]);
    bench.tick(10.0).expect(&["10 firing high warning", "10 page 1-1 high fired to [warning]"]);
}

/// The sensor of the rule was removed too, so nothing is known of its value until it speaks; and the program stopped in between.
#[test]
fn also_when_its_sensor_was_gone_and_over_a_stop_of_the_program() {
    let mut bench = Bench::new(high(0));
    bench.ph(0.0, 7.0).acknowledge(1.0, 600).said.clear();
    bench.handle(5.0, Input::Plan(nothing())).expect(&["5 resolved high removed", "planned"]);
    let mut bench = Bench::of(Engine::restore(nothing(), &bench.engine.snapshot()).unwrap());
    bench.tick(6.0).handle(7.0, Input::Plan(high(0))).expect(&["planned", "7 acknowledged high by ann until 601"]);
    bench.restore().ph(8.0, 7.0).expect(&[]).ph(9.0, 6.0).expect(&["9 resolved high"]);
    // The program stops with the rule, and starts without; and the other way round.
    let mut bench = Bench::new(high(0));
    bench.ph(0.0, 7.0).acknowledge(1.0, 600).said.clear();
    let mut bench = Bench::of(Engine::restore(nothing(), &bench.engine.snapshot()).unwrap());
    bench.expect(&["unwindowed 1 of z/ph", "1 resolved high removed"]);
    let mut bench = Bench::of(Engine::restore(high(0), &bench.engine.snapshot()).unwrap());
    bench.expect(&["1 acknowledged high by ann until 601"]);
}

/// A wait that a configuration makes shorter under an alert that fires; no wait is made longer by it.
#[test]
fn a_shorter_wait_counts_from_the_configuration_that_brings_it() {
    let waits = |mins: i64| {
        let mut policy: Policy = (*policy()).clone();
        policy.levels[Severity::Warning as usize].wait = Span::from_mins(mins);
        let rule = Rule { escalation: Arc::new(policy), ..rule("high", "z/ph", above(6.8)) };
        remembering(plan(vec![sensor("z/ph")], vec![rule]))
    };
    for (before, after, expected) in
        [(60, 2, "12 page 1-2"), (0, 2, "12 page 1-2"), (15, 60, "15 page 1-2"), (11, 5, "11 page 1-2")]
    {
        let mut bench = Bench::new(waits(before));
        bench.ph(0.0, 7.0).said.clear();
        bench.handle(10.0, Input::Plan(waits(after))).tick(18.0);
        let page = bench.said.iter().find(|said| said.contains(" page "));
        assert!(page.is_some_and(|page| page.starts_with(expected)), "{before} to {after}: {:?}", bench.said);
    }
    // What is acknowledged waits for its own end.
    let mut bench = Bench::new(waits(60));
    bench.ph(0.0, 7.0).acknowledge(1.0, 30).said.clear();
    bench.handle(10.0, Input::Plan(waits(2))).tick(30.0).expect(&["planned"]);
}

//! Every edge of the chart above `alert::Alert`, walked through the engine, and what is beside the states.

use std::sync::Arc;

use super::bench::{Bench, above, day, id, one_rule, plan, rule, sensor};
use crate::effect::Effect;
use crate::engine::Input;
use crate::plan::{Rule, Severity};
use crate::reading::Quality;
use crate::rules::Condition;
use crate::site::Matcher;
use crate::time::Span;

fn ph_high() -> Rule {
    rule("ph-high", "z/ph", Condition::Above { limit: 6.8, clear: 6.5 })
}

fn held(minutes: i64) -> Rule {
    Rule { hold: Span::from_mins(minutes), ..ph_high() }
}

#[test]
fn quiet_to_firing_where_there_is_nothing_to_wait_for() {
    Bench::new(one_rule(ph_high()))
        .ph(1.0, 6.8)
        .expect(&[])
        .ph(2.0, 6.81)
        .expect(&["2 firing ph-high warning", "2 page 1-1 ph-high fired to [warning]"]);
}

#[test]
fn a_condition_true_at_the_first_reading_counts_from_then() {
    Bench::new(one_rule(ph_high()))
        .ph(1.0, 7.0)
        .expect(&["1 firing ph-high warning", "1 page 1-1 ph-high fired to [warning]"]);
}

#[test]
fn quiet_to_pending_to_firing_at_the_end_of_the_hold() {
    let mut bench = Bench::new(one_rule(held(5)));
    bench.ph(1.0, 7.0).expect(&["1 pending ph-high"]).ph(3.0, 7.1).ph(4.0, 6.9).expect(&[]);
    // Woken late: it still fires at its own instant, and the wait until the next level runs from there.
    bench.tick(20.0).expect(&[
        "6 firing ph-high warning",
        "6 page 1-1 ph-high fired to [warning]",
        "16 escalated ph-high critical",
        "16 page 1-2 ph-high escalated to [critical]",
    ]);
}

#[test]
fn pending_to_quiet_when_fine_and_the_next_hold_is_whole() {
    let mut bench = Bench::new(one_rule(held(5)));
    bench.ph(1.0, 7.0).ph(5.0, 6.8).expect(&["1 pending ph-high"]).ph(5.5, 7.0).expect(&["5.5 pending ph-high"]);
    bench
        .tick(10.4)
        .expect(&[])
        .tick(10.5)
        .expect(&["10.5 firing ph-high warning", "10.5 page 1-1 ph-high fired to [warning]"]);
}

#[test]
fn a_hold_that_ends_at_the_instant_of_a_reading_ends_before_it() {
    Bench::new(one_rule(held(5))).ph(1.0, 7.0).ph(6.0, 6.0).expect(&[
        "1 pending ph-high",
        "6 firing ph-high warning",
        "6 page 1-1 ph-high fired to [warning]",
        "6 resolved ph-high",
    ]);
}

#[test]
fn firing_to_resolved_only_at_the_clearing_limit() {
    let mut bench = Bench::new(one_rule(ph_high()));
    bench.ph(1.0, 7.0).ph(2.0, 6.51).expect(&["1 firing ph-high warning", "1 page 1-1 ph-high fired to [warning]"]);
    bench.ph(3.0, 6.5).expect(&["3 resolved ph-high"]).tick(500.0).expect(&[]);
}

#[test]
fn keep_firing_for_outlasts_a_dip_and_then_resolves_at_its_end() {
    let mut bench = Bench::new(one_rule(Rule { keep_firing_for: Span::from_mins(3), ..ph_high() }));
    bench
        .ph(1.0, 7.0)
        .ph(2.0, 6.0)
        .ph(4.0, 7.0)
        .expect(&["1 firing ph-high warning", "1 page 1-1 ph-high fired to [warning]"]);
    bench.ph(5.0, 6.0).ph(6.0, 6.1).expect(&[]).tick(9.0).expect(&["8 resolved ph-high"]);
}

#[test]
fn escalation_climbs_by_its_waits_and_repeats_at_urgent() {
    let mut bench = Bench::new(one_rule(Rule { severity: Severity::Preventive, ..ph_high() }));
    bench.ph(0.0, 7.0).tick(61.0).expect(&[
        "0 firing ph-high preventive",
        "0 page 1-1 ph-high fired to [preventive]",
        "5 escalated ph-high warning",
        "5 page 1-2 ph-high escalated to [warning]",
        "15 escalated ph-high critical",
        "15 page 1-3 ph-high escalated to [critical]",
        "30 escalated ph-high urgent",
        "30 page 1-4 ph-high escalated to [urgent]",
        "45 page 1-5 ph-high repeated to [urgent]",
        "60 page 1-6 ph-high repeated to [urgent]",
    ]);
}

#[test]
fn a_level_without_a_wait_is_told_once_and_climbs_no_further() {
    let mut patient = (*super::bench::policy()).clone();
    patient.levels[Severity::Critical as usize].wait = Span::ZERO;
    let mut bench = Bench::new(one_rule(Rule { escalation: Arc::new(patient), ..ph_high() }));
    bench.ph(0.0, 7.0).tick(10_000.0).expect(&[
        "0 firing ph-high warning",
        "0 page 1-1 ph-high fired to [warning]",
        "10 escalated ph-high critical",
        "10 page 1-2 ph-high escalated to [critical]",
    ]);
}

#[test]
fn acknowledged_never_pages_and_expires_to_firing_at_its_severity() {
    let mut bench = Bench::new(one_rule(ph_high()));
    bench.ph(0.0, 7.0).tick(10.0).acknowledge(12.0, 60).expect(&[
        "0 firing ph-high warning",
        "0 page 1-1 ph-high fired to [warning]",
        "10 escalated ph-high critical",
        "10 page 1-2 ph-high escalated to [critical]",
        "12 acknowledged ph-high by ann until 72",
    ]);
    bench.tick(71.9).expect(&[]).tick(90.0).expect(&[
        "72 page 1-3 ph-high acknowledgement-expired to [critical]",
        "87 escalated ph-high urgent",
        "87 page 1-4 ph-high escalated to [urgent]",
    ]);
}

#[test]
fn an_acknowledgement_can_be_made_longer_and_ends_with_the_alert() {
    let mut bench = Bench::new(one_rule(ph_high()));
    bench.ph(0.0, 7.0).acknowledge(1.0, 10).acknowledge(5.0, 60).expect(&[
        "0 firing ph-high warning",
        "0 page 1-1 ph-high fired to [warning]",
        "1 acknowledged ph-high by ann until 11",
        "5 acknowledged ph-high by ann until 65",
    ]);
    bench.tick(30.0).ph(31.0, 6.0).expect(&["31 resolved ph-high"]).tick(500.0).expect(&[]);
    // An acknowledgement of what is over, and of what never was, does nothing.
    bench.acknowledge(501.0, 10).expect(&[]);
    bench
        .handle(502.0, Input::Acknowledge { alert: crate::alert::AlertId(99), span: Span::ZERO, by: String::new() })
        .expect(&[]);
}

#[test]
fn acknowledged_to_resolved_through_keep_firing_for() {
    let mut bench = Bench::new(one_rule(Rule { keep_firing_for: Span::from_mins(3), ..ph_high() }));
    bench.ph(0.0, 7.0).acknowledge(1.0, 60).ph(2.0, 6.0).ph(3.0, 7.0).ph(4.0, 6.0).said.clear();
    bench.tick(10.0).expect(&["7 resolved ph-high"]);
}

#[test]
fn cooldown_keeps_the_next_one_pending() {
    let mut bench = Bench::new(one_rule(Rule { cooldown: Span::from_mins(15), ..ph_high() }));
    bench.ph(0.0, 7.0).ph(2.0, 6.0).ph(3.0, 7.0).expect(&[
        "0 firing ph-high warning",
        "0 page 1-1 ph-high fired to [warning]",
        "2 resolved ph-high",
        "3 pending ph-high",
    ]);
    bench.tick(18.0).expect(&["17 firing ph-high warning", "17 page 2-1 ph-high fired to [warning]"]);
    // Fine before the cooldown is over: nobody is told.
    let mut bench = Bench::new(one_rule(Rule { cooldown: Span::from_mins(15), ..ph_high() }));
    bench.ph(0.0, 7.0).ph(2.0, 6.0).ph(3.0, 7.0).ph(4.0, 6.0).said.clear();
    bench.tick(60.0).expect(&[]);
}

#[test]
fn a_bad_value_neither_fires_nor_resolves() {
    let mut bench = Bench::new(one_rule(held(5)));
    bench.ph(0.0, 7.0).read_with(4.0, "z/ph", 7.0, Quality::Suspect).tick(10.0).expect(&["0 pending ph-high"]);
    // The hold is over; the next value that can be believed decides.
    bench
        .read_with(11.0, "z/ph", 7.0, Quality::Calibrating)
        .expect(&[])
        .ph(12.0, 6.9)
        .expect(&["12 firing ph-high warning", "12 page 1-1 ph-high fired to [warning]"]);
    bench.read_with(13.0, "z/ph", 6.0, Quality::Suspect).expect(&[]).ph(14.0, 6.0).expect(&["14 resolved ph-high"]);

    let mut bench = Bench::new(one_rule(held(5)));
    bench
        .ph(0.0, 7.0)
        .read_with(4.0, "z/ph", 7.0, Quality::Suspect)
        .tick(10.0)
        .ph(12.0, 6.0)
        .expect(&["0 pending ph-high"]);
}

#[test]
fn keep_firing_for_does_not_end_on_a_bad_value() {
    let mut bench = Bench::new(one_rule(Rule { keep_firing_for: Span::from_mins(3), ..ph_high() }));
    bench.ph(0.0, 7.0).ph(1.0, 6.0).read_with(2.0, "z/ph", 6.0, Quality::Suspect).tick(6.0).said.clear();
    bench.ph(7.0, 6.0).expect(&["7 resolved ph-high"]);
}

#[test]
fn a_schedule_that_closes_resolves_and_one_that_opens_begins_anew() {
    let rule = Rule { during: Some(day()), hold: Span::from_mins(5), ..ph_high() };
    let mut bench = Bench::new(one_rule(rule));
    // Uptime 0 is midnight: the rule sleeps until 06:00, minute 360.
    bench.ph(10.0, 7.0).ph(359.0, 7.0).expect(&[]).tick(366.0).expect(&[
        "360 day opens",
        "360 pending ph-high",
        "365 firing ph-high warning",
        "365 page 1-1 ph-high fired to [warning]",
    ]);
    bench.acknowledge(370.0, 5000).said.clear();
    bench.ph(1199.0, 7.0).tick(1201.0).expect(&["1200 day closes", "1200 resolved ph-high schedule-closed"]);
    // A hold that began by day does not end by night.
    let mut bench = Bench::new(one_rule(Rule { during: Some(day()), hold: Span::from_mins(5), ..ph_high() }));
    bench.ph(1197.0, 7.0).tick(1300.0).expect(&["360 day opens", "1197 pending ph-high", "1200 day closes"]);
}

#[test]
fn silenced_alerts_fire_but_page_when_the_silence_is_over() {
    let mut bench = Bench::new(one_rule(ph_high()));
    let of = Matcher { rule: Some(id("ph-high")), ..Matcher::default() };
    bench.handle(0.0, Input::Silence { of, span: Span::from_mins(60), by: "ann".to_owned() });
    bench.ph(1.0, 7.0).tick(59.0).expect(&["site", "1 firing ph-high warning"]);
    bench.tick(71.0).expect(&[
        "site",
        "60 page 1-1 ph-high fired to [warning]",
        "70 escalated ph-high critical",
        "70 page 1-2 ph-high escalated to [critical]",
    ]);
    // Silenced while it is firing: no level is climbed meanwhile, and ending it early pages at once.
    bench.handle(72.0, Input::Silence { of: Matcher::default(), span: Span::from_mins(600), by: "ann".to_owned() });
    bench
        .tick(200.0)
        .expect(&["site"])
        .handle(201.0, Input::EndSilence(2))
        .expect(&["site", "201 page 1-3 ph-high unmuted to [critical]"]);
    let other = Matcher { sensor: Some(crate::id::SensorId::new("z/ec").unwrap()), ..Matcher::default() };
    bench
        .handle(202.0, Input::Silence { of: other, span: Span::from_mins(600), by: "ann".to_owned() })
        .tick(217.0)
        .expect(&["site", "216 escalated ph-high urgent", "216 page 1-4 ph-high escalated to [urgent]"]);
}

#[test]
fn inhibited_alerts_page_when_their_bus_is_back() {
    let mut on_bus = sensor("z/ph");
    on_bus.bus = Some(id("gateway"));
    let mut bench = Bench::new(plan(vec![on_bus], vec![ph_high()]));
    bench.handle(0.0, Input::Bus { bus: id("gateway"), up: false }).ph(1.0, 7.0).tick(100.0);
    bench.expect(&["1 firing ph-high warning"]).handle(101.0, Input::Bus { bus: id("other"), up: true }).expect(&[]);
    bench
        .handle(102.0, Input::Bus { bus: id("gateway"), up: true })
        .expect(&["102 page 1-1 ph-high fired to [warning]"]);
    bench.handle(103.0, Input::Bus { bus: id("gateway"), up: false }).tick(150.0).expect(&[]);
    bench
        .handle(151.0, Input::Bus { bus: id("gateway"), up: true })
        .expect(&["151 page 1-2 ph-high bus-back to [warning]"]);
}

#[test]
fn a_removed_rule_resolves_and_a_changed_limit_keeps_its_acknowledgement() {
    let mut bench = Bench::new(one_rule(ph_high()));
    bench.ph(0.0, 7.0).acknowledge(1.0, 60).said.clear();
    let softer = Rule { condition: Condition::Above { limit: 6.9, clear: 6.6 }, ..ph_high() };
    bench.handle(2.0, Input::Plan(one_rule(softer))).expect(&["planned"]).tick(30.0).expect(&[]);
    bench
        .handle(31.0, Input::Plan(plan(vec![sensor("z/ph")], vec![])))
        .expect(&["31 resolved ph-high removed", "planned"]);
}

#[test]
fn a_changed_condition_restarts_only_the_hold() {
    let mut bench = Bench::new(one_rule(held(5)));
    bench.ph(0.0, 7.0).expect(&["0 pending ph-high"]);
    let between = Rule { condition: Condition::Between { above: 6.8, below: 8.0 }, ..held(5) };
    bench.handle(3.0, Input::Plan(one_rule(between))).expect(&["planned"]).tick(7.9).expect(&[]);
    bench.tick(8.0).expect(&["8 firing ph-high warning", "8 page 1-1 ph-high fired to [warning]"]);
    // Another limit keeps the hold; an equal plan is nothing at all.
    let mut bench = Bench::new(one_rule(held(5)));
    bench.ph(0.0, 7.0).handle(3.0, Input::Plan(one_rule(held(5)))).expect(&["0 pending ph-high"]);
    let softer = Rule { condition: Condition::Above { limit: 6.9, clear: 6.6 }, ..held(5) };
    bench.handle(4.0, Input::Plan(one_rule(softer))).tick(5.0).expect(&[
        "planned",
        "5 firing ph-high warning",
        "5 page 1-1 ph-high fired to [warning]",
    ]);
}

#[test]
fn a_new_limit_is_compared_with_the_newest_value_at_once() {
    let mut bench = Bench::new(one_rule(ph_high()));
    bench.ph(0.0, 6.7);
    let plan = one_rule(rule("ph-high", "z/ph", above(6.6)));
    bench.handle(1.0, Input::Plan(Arc::clone(&plan))).expect(&[
        "planned",
        "1 firing ph-high warning",
        "1 page 1-1 ph-high fired to [warning]",
    ]);
}

#[test]
fn a_pending_alert_whose_rule_is_removed_is_quiet() {
    let mut bench = Bench::new(one_rule(held(5)));
    bench.ph(0.0, 7.0).handle(1.0, Input::Plan(plan(vec![sensor("z/ph")], vec![]))).tick(60.0);
    bench.expect(&["0 pending ph-high", "planned"]);
    assert_eq!(bench.engine.alerts().count(), 0);
}

#[test]
fn a_page_names_the_value_that_was_compared() {
    let mut bench = Bench::new(one_rule(ph_high()));
    bench.ph(0.0, 7.5).ph(1.0, -3.0).tick(10.0);
    let message = |effect: &Effect| match effect {
        Effect::Page(page) => Some(page.details.message.clone()),
        _ => None,
    };
    assert_eq!(bench.effects.iter().filter_map(message).collect::<Vec<_>>(), ["ph-high 7.50 6.8", "ph-high 7.50 6.8"]);
}

#[test]
fn more_silences_than_there_may_be_are_refused() {
    let mut bench = Bench::new(one_rule(ph_high()));
    for _ in 0..=crate::site::MAX_SILENCES {
        bench.handle(0.0, Input::Silence { of: Matcher::default(), span: Span::from_mins(60), by: "ann".to_owned() });
    }
    assert_eq!(bench.said.last().unwrap(), "refused TooManySilences");
    assert_eq!(bench.engine.site().silences.len(), crate::site::MAX_SILENCES);
    let nowhere = crate::id::SensorId::new("z/none").unwrap();
    let calibration = Some(crate::calibrate::Calibration::Identity);
    bench.said.clear();
    bench.handle(1.0, Input::Calibrate { sensor: nowhere, calibration }).expect(&["refused NoSuchSensor"]);
}

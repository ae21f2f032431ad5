//! What a restart continues from.

use std::sync::Arc;

use super::bench::{Bench, WALL, above, at, day, one_rule, plan, rule, sensor};
use crate::effect::Effect;
use crate::engine::{Engine, Input, Snapshot, SnapshotError, Start};

use crate::plan::{Plan, Rule};
use crate::rules::Condition;
use crate::sensor::Sensor;
use crate::site::Matcher;
use crate::time::{Span, Uptime, WallTime};

fn held() -> Rule {
    Rule { hold: Span::from_mins(5), cooldown: Span::from_mins(15), ..rule("high", "z/ph", above(6.8)) }
}

fn wall(minutes: f64) -> Option<WallTime> {
    Some(WallTime(WALL.0 + at(minutes).0))
}

/// The bench after a reboot; the wall clock counts minutes since [`WALL`].
fn reboot(bench: &Bench, boot: u32, wall: Option<WallTime>) -> Bench {
    let plan = Arc::clone(bench.engine.plan());
    Bench::of(Engine::restart(plan, &bench.engine.snapshot(), Start { boot, at: Uptime(0), wall }).unwrap())
}

#[test]
fn a_restart_in_the_same_boot_goes_on_with_every_wait() {
    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0).restore().tick(4.9).restore().expect(&["0 pending high"]).tick(5.0).restore();
    bench
        .expect(&["5 firing high warning", "5 page 1-1 high fired to [warning]"])
        .acknowledge(6.0, 10)
        .restore()
        .said
        .clear();
    bench.tick(15.9).expect(&[]).restore().tick(16.0).restore();
    bench
        .expect(&["16 page 1-2 high acknowledgement-expired to [warning]"])
        .ph(17.0, 6.0)
        .restore()
        .ph(18.0, 7.0)
        .restore();
    bench
        .expect(&["17 resolved high", "18 pending high"])
        .ph(31.0, 7.0)
        .tick(32.0)
        .expect(&["32 firing high warning", "32 page 2-1 high fired to [warning]"]);
}

#[test]
fn time_off_counts_where_the_clock_was_trusted_before_and_is_now() {
    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0).tick(5.0).acknowledge(6.0, 60);
    // Off from minute 6 to minute 26: 40 minutes of the acknowledgement are left.
    let mut bench = reboot(&bench, 2, wall(26.0));
    bench.tick(39.9).expect(&[]).tick(40.0).expect(&["40 page 1-2 high acknowledgement-expired to [warning]"]);
}

#[test]
fn time_off_counts_as_zero_until_the_clock_is_trusted() {
    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0).tick(5.0).acknowledge(6.0, 60);
    let mut never = reboot(&bench, 2, None);
    never.tick(59.9).expect(&[]).tick(60.0).expect(&["60 page 1-2 high acknowledgement-expired to [warning]"]);
    let mut later = reboot(&bench, 2, None);
    later.tick(10.0).handle(10.0, Input::Clock(wall(36.0).unwrap()));
    later.tick(39.9).expect(&[]).tick(40.0).expect(&["40 page 1-2 high acknowledgement-expired to [warning]"]);
    // More time off than was left: it is due at once, and not before trust.
    let mut long = reboot(&bench, 2, None);
    long.tick(10.0).expect(&[]).handle(10.0, Input::Clock(wall(3000.0).unwrap())).tick(10.0);
    long.expect(&["10 page 1-2 high acknowledgement-expired to [warning]"]);
}

/// Guards against: totals of a day that were over after `date -s`, a power cut and the right time.
#[test]
fn a_clock_that_was_set_back_and_forth_adds_no_time_off() {
    let acknowledged = || {
        let mut bench = Bench::new(one_rule(held()));
        bench.ph(0.0, 7.0).tick(5.0).acknowledge(6.0, 60);
        bench
    };
    let mut set_back = acknowledged();
    set_back.handle(6.0, Input::Clock(wall(-1400.0).unwrap()));
    let mut right = reboot(&set_back, 2, wall(26.0));
    right.tick(59.9).expect(&[]).tick(60.0).expect(&["60 page 1-2 high acknowledgement-expired to [warning]"]);
    let mut right = reboot(&reboot(&acknowledged(), 2, wall(-1400.0)), 3, wall(26.0));
    right.tick(39.9).expect(&[]).tick(40.0).expect(&["40 page 1-2 high acknowledgement-expired to [warning]"]);
    // What was set in a boot whose clock was behind may be as new as the last minute.
    let mut behind = reboot(&set_back, 2, wall(-1300.0));
    behind.effects.clone_from(&set_back.effects);
    behind.acknowledge(1.0, 60).said.clear();
    let mut right = reboot(&behind, 3, wall(100.0));
    right.tick(59.9).expect(&[]).tick(60.0).expect(&["60 page 1-2 high acknowledgement-expired to [warning]"]);
}

#[test]
fn time_off_that_a_correction_of_the_clock_takes_back_does_not_count() {
    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0).tick(5.0).acknowledge(6.0, 60);
    // First 20 minutes too late, then right: off for 20 minutes.
    let mut bench = reboot(&bench, 2, wall(46.0));
    bench.handle(5.0, Input::Clock(wall(31.0).unwrap()));
    bench.tick(39.9).expect(&[]).tick(40.0).expect(&["40 page 1-2 high acknowledgement-expired to [warning]"]);
}

/// Guards against: a clock that said 2036 once, after which time off counts no more for ten years.
#[test]
fn a_time_of_day_that_was_wrong_for_long_is_given_up() {
    const WEEK: f64 = 7.0 * 24.0 * 60.0;
    let mut bench = Bench::new(one_rule(held()));
    bench.handle(0.0, Input::Clock(wall(1e6).unwrap())).handle(1.0, Input::Clock(wall(1.0).unwrap()));
    bench.ph(WEEK, 7.0).tick(WEEK + 5.0).acknowledge(WEEK + 6.0, 60);
    let mut bench = reboot(&bench, 2, wall(WEEK + 26.0));
    bench.tick(39.9).expect(&[]).tick(40.0).expect(&["40 page 1-2 high acknowledgement-expired to [warning]"]);
}

#[test]
fn waits_set_in_an_untrusted_boot_never_run_out_early() {
    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0).tick(5.0).expect(&[
        "0 pending high",
        "5 firing high warning",
        "5 page 1-1 high fired to [warning]",
    ]);
    // Boot 2 knows no time; the acknowledgement is made in it, after an unknown time off.
    let mut second = reboot(&bench, 2, None);
    second.effects.clone_from(&bench.effects);
    second.acknowledge(1.0, 60).said.clear();
    // Boot 3 does: the days before boot 2 are not taken from the acknowledgement.
    let mut third = reboot(&second, 3, wall(10_000.0));
    third.tick(59.9).expect(&[]).tick(60.0).expect(&["60 page 1-2 high acknowledgement-expired to [warning]"]);
}

#[test]
fn a_clock_that_went_back_takes_nothing_away() {
    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0).tick(5.0).acknowledge(6.0, 60);
    let mut bench = reboot(&bench, 2, wall(-3000.0));
    bench.tick(59.9).expect(&[]).tick(60.0).expect(&["60 page 1-2 high acknowledgement-expired to [warning]"]);
}

#[test]
fn silences_cooldowns_and_holds_survive_a_reboot() {
    let mut bench = Bench::new(one_rule(held()));
    bench.handle(0.0, Input::Silence { of: Matcher::default(), span: Span::from_mins(60), by: "ann".to_owned() });
    bench.ph(1.0, 7.0);
    // Off from minute 1 to 3: two of the hold's minutes have passed. The value is unknown until the sensor speaks.
    let mut bench = reboot(&bench, 2, wall(3.0));
    bench
        .tick(4.0)
        .expect(&[])
        .ph(5.0, 7.0)
        .expect(&["5 firing high warning"])
        .ph(6.0, 6.0)
        .expect(&["6 resolved high"]);
    let mut bench = reboot(&bench, 3, wall(10.0));
    // Minute 9 was minute 6 of boot 2; of the cooldown's 15 minutes one was spent off.
    bench
        .ph(1.0, 7.0)
        .expect(&["1 pending high"])
        .tick(13.9)
        .expect(&[])
        .tick(14.0)
        .expect(&["14 firing high warning"]);
    bench.tick(51.0).expect(&["site", "50 page 2-1 high fired to [warning]"]);
}

#[test]
fn silence_of_sensors_is_counted_anew_after_a_reboot() {
    let mut bench = Bench::new(one_rule(rule("silent", "z/ph", Condition::MissingFor(Span::from_mins(10)))));
    bench.ph(1.0, 7.0);
    let mut bench = reboot(&bench, 2, wall(3000.0));
    bench
        .tick(9.9)
        .expect(&[])
        .tick(10.0)
        .expect(&["10 firing silent warning", "10 page 1-1 silent fired to [warning]"]);
}

#[test]
fn windows_left_open_by_a_boot_are_closed_under_it() {
    let mut bench = Bench::new(plan(vec![sensor("z/ph")], vec![]));
    bench.ph(0.1, 6.0);
    let after = reboot(&bench, 2, wall(3000.0));
    let start = |effect: &Effect| match effect {
        Effect::Window(closed) => Some((closed.start.boot, closed.start.uptime)),
        _ => None,
    };
    let starts: Vec<_> = after.effects.iter().filter_map(start).collect();
    assert_eq!(starts, [(1, Uptime(0)), (1, Uptime(0))]);
}

#[test]
fn an_untrusted_clock_uses_the_schedules_fallback_and_says_so() {
    let rule = Rule { during: Some(day()), ..rule("high", "z/ph", above(6.8)) };
    let plan: Arc<Plan> = one_rule(rule);
    let mut bench = Bench::of(Engine::new(plan, Start { boot: 1, at: Uptime(0), wall: None }));
    bench.ph(0.0, 7.0).expect(&["0 firing high warning", "0 page 1-1 high fired to [warning]"]);
    // Trusted: it is 03:00, and the rule sleeps.
    bench.handle(1.0, Input::Clock(wall(180.0).unwrap())).expect(&["1 day closes", "1 resolved high schedule-closed"]);
    bench.tick(182.0).expect(&["181 day opens", "181 firing high warning", "181 page 2-1 high fired to [warning]"]);
    // The clock is corrected to the evening.
    bench
        .handle(183.0, Input::Clock(wall(1300.0).unwrap()))
        .expect(&["183 day closes", "183 resolved high schedule-closed"]);
    let closed = reboot(&bench, 2, None);
    assert!(closed.said.is_empty(), "a boot begins with the fallback");
}

#[test]
fn a_raised_alert_whose_rule_went_while_the_device_was_off_is_removed() {
    let mut bench = Bench::new(one_rule(rule("high", "z/ph", above(6.8))));
    bench.ph(0.0, 7.0);
    let mut after = Bench::of(Engine::restore(plan(vec![sensor("z/ph")], vec![]), &bench.engine.snapshot()).unwrap());
    after.expect(&["0 resolved high removed"]);
}

#[test]
fn a_snapshot_of_another_format_is_refused() {
    let mut json = serde_json::to_value(Bench::new(one_rule(held())).engine.snapshot()).unwrap();
    json["format"] = 7.into();
    let snapshot: Snapshot = serde_json::from_value(json).unwrap();
    assert_eq!(Engine::restore(one_rule(held()), &snapshot).err(), Some(SnapshotError::Format(7)));
}

fn on_bus(bus: &str) -> Arc<Plan> {
    let bussed = Sensor { bus: Some(super::bench::id(bus)), ..sensor("z/ph") };
    plan(vec![bussed], vec![rule("high", "z/ph", above(6.8))])
}

#[test]
fn an_alert_that_was_inhibited_pages_after_a_reboot() {
    let mut bench = Bench::new(on_bus("gateway"));
    bench.handle(1.0, Input::Bus { bus: super::bench::id("gateway"), up: false }).ph(2.0, 7.0);
    bench.expect(&["2 firing high warning"]);
    // After a boot the buses report again whether they are down.
    let mut after = reboot(&bench, 2, wall(3.0));
    after.expect(&["0 page 1-1 high fired to [warning]"]);
}

#[test]
fn an_alert_that_was_inhibited_pages_when_its_sensor_moves_to_another_bus() {
    let mut bench = Bench::new(on_bus("gateway"));
    bench.handle(1.0, Input::Bus { bus: super::bench::id("gateway"), up: false }).ph(2.0, 7.0);
    bench.handle(3.0, Input::Plan(on_bus("other"))).expect(&[
        "2 firing high warning",
        "planned",
        "3 page 1-1 high fired to [warning]",
    ]);
}

#[test]
fn an_alert_resolves_when_the_device_comes_back_outside_its_schedule() {
    let by_day = Rule { during: Some(day()), ..rule("high", "z/ph", above(6.8)) };
    let mut bench = Bench::new(one_rule(by_day));
    bench.ph(1190.0, 7.0).said.clear();
    let mut after = reboot(&bench, 2, wall(1320.0));
    after.expect(&["0 resolved high schedule-closed"]).ph(1.0, 7.0).tick(100.0).expect(&[]);
}

#[test]
fn each_wait_knows_the_boot_it_was_decided_in() {
    let lasting = Rule { keep_firing_for: Span::from_mins(30), ..rule("high", "z/ph", above(6.8)) };
    let mut bench = Bench::new(one_rule(lasting));
    bench.ph(0.0, 7.0).ph(1.0, 6.0);
    // Boot 2 knows no time. What is decided in it is not shortened by the time off before it, once that is known.
    let mut second = reboot(&bench, 2, None);
    second.effects.clone_from(&bench.effects);
    second.acknowledge(1.0, 60).handle(2.0, Input::Clock(wall(5000.0).unwrap())).said.clear();
    // The end of boot 1's keep_firing_for is long past; the acknowledgement of boot 2 stands. With no reading the condition
    // cannot be told, so the alert stays until there is one.
    second.tick(59.0).expect(&[]).ph(60.0, 6.0).expect(&["60 resolved high"]);

    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0);
    let mut second = reboot(&bench, 2, None);
    let longer = Rule { hold: Span::from_mins(60), ..held() };
    second.handle(2.0, Input::Plan(one_rule(longer))).handle(3.0, Input::Clock(wall(5000.0).unwrap())).said.clear();
    second
        .ph(4.0, 7.0)
        .tick(61.9)
        .expect(&[])
        .tick(62.0)
        .expect(&["62 firing high warning", "62 page 1-1 high fired to [warning]"]);
}

#[test]
fn a_plan_that_changed_while_the_program_was_off_is_compared_at_once() {
    let silent = |mins| one_rule(rule("silent", "z/ph", Condition::MissingFor(Span::from_mins(mins))));
    let mut bench = Bench::new(silent(120));
    bench.ph(0.0, 7.0).tick(60.0);
    let mut after = Bench::of(Engine::restore(silent(15), &bench.engine.snapshot()).unwrap());
    after.expect(&["60 firing silent warning", "60 page 1-1 silent fired to [warning]"]);

    let mut bench = Bench::new(one_rule(rule("high", "z/ph", above(6.8))));
    bench.ph(0.0, 6.7);
    let lower = one_rule(rule("high", "z/ph", above(6.5)));
    let mut after = Bench::of(Engine::restore(lower, &bench.engine.snapshot()).unwrap());
    after.expect(&["0 firing high warning", "0 page 1-1 high fired to [warning]"]);
    let without = Bench::of(Engine::restore(plan(vec![], vec![]), &bench.engine.snapshot()).unwrap());
    assert!(matches!(without.effects[..], [Effect::Unwindowed(_, 1)]), "{:?}", without.effects);
}

/// The program was stopped for twenty minutes in the same boot.
#[test]
fn time_in_which_nobody_listened_is_no_silence() {
    let slow = Sensor { stale_after: Some(Span::from_mins(15)), ..sensor("z/ph") };
    let watched = plan(vec![slow], vec![rule("silent", "z/ph", Condition::MissingFor(Span::from_mins(10)))]);
    let stopped = |bench: &Bench, at_minute: f64| {
        let mut after = Bench::of(Engine::restore(Arc::clone(&watched), &bench.engine.snapshot()).unwrap());
        after.engine.listen_again(at(at_minute));
        after
    };
    let mut bench = Bench::new(Arc::clone(&watched));
    bench.ph(0.0, 7.0).tick(4.0).expect(&[]);
    stopped(&bench, 24.0).ph(24.5, 7.0).tick(30.0).expect(&[]);
    let mut after = stopped(&bench, 24.0);
    after.tick(29.9).expect(&[]);
    after.tick(30.0).expect(&["30 firing silent warning", "30 page 1-1 silent fired to [warning]"]);
    after.said.clear();
    let mut after = stopped(&after, 38.0);
    after.tick(38.5).expect(&["35 fault z/ph stale"]).ph(39.0, 7.0);
    after.expect(&["39 recovered z/ph", "39 resolved silent"]);
}

/// A hold ended while the program was stopped, in the same boot: what was read before says nothing of now.
#[test]
fn after_a_stop_no_value_is_compared_before_the_next_reading() {
    let mut bench = Bench::new(one_rule(held()));
    bench.ph(0.0, 7.0).expect(&["0 pending high"]).said.clear();
    let kept = bench.engine.snapshot();
    let stopped = || {
        let mut after = Bench::of(Engine::restore(one_rule(held()), &kept).unwrap());
        after.engine.listen_again(at(20.0));
        after
    };
    stopped().tick(21.0).expect(&[]).ph(22.0, 6.0).expect(&[]).tick(60.0).expect(&[]);
    let mut after = stopped();
    after.tick(21.0).restore().ph(22.0, 7.0);
    after.expect(&["22 firing high warning", "22 page 1-1 high fired to [warning]"]);
    let mut at_once = Bench::of(Engine::restore(one_rule(held()), &kept).unwrap());
    at_once.engine.listen_again(at(0.0));
    at_once.tick(5.0).expect(&["5 firing high warning", "5 page 1-1 high fired to [warning]"]);
}

#[test]
fn a_shorter_cooldown_ends_one_that_runs_sooner() {
    let with = |cooldown: i64| one_rule(Rule { cooldown: Span::from_mins(cooldown), ..held() });
    let cooling = || {
        let mut bench = Bench::new(with(15));
        bench.ph(0.0, 7.0).tick(5.0).ph(10.0, 6.0).ph(12.0, 7.0).said.clear();
        bench
    };
    let fires = |at: i64| [format!("{at} firing high warning"), format!("{at} page 2-1 high fired to [warning]")];
    for (minute, cooldown, expected) in [(13.0, 15, 25), (13.0, 60, 25), (13.0, 8, 21), (13.0, 0, 17), (20.0, 0, 20)] {
        let mut bench = cooling();
        bench.handle(minute, Input::Plan(with(cooldown))).tick(40.0);
        bench.said.retain(|said| said != "planned");
        assert_eq!(bench.said[..2], fires(expected), "{cooldown} minutes from {minute} on");
    }
}

/// An alert that began before the device knew the time of day.
#[test]
fn what_began_in_this_boot_is_told_in_the_time_of_day_once_that_is_known() {
    let mut bench = Bench::of(Engine::new(one_rule(held()), Start { boot: 1, at: at(0.0), wall: None }));
    bench.ph(1.0, 7.0).handle(3.0, Input::Clock(wall(3.0).unwrap())).tick(6.0);
    let since = |effect: &Effect| match effect {
        Effect::Page(page) => page.details.since.wall,
        _ => None,
    };
    assert_eq!(bench.effects.iter().find_map(since), wall(1.0));
}

#[test]
fn a_silent_sensor_is_not_heard_again_by_a_reboot() {
    let mut bench = Bench::new(one_rule(rule("silent", "z/ph", Condition::MissingFor(Span::from_mins(10)))));
    bench.ph(0.0, 7.0).acknowledge_all_from(10.0).said.clear();
    let mut after = reboot(&bench, 2, wall(11.0));
    after.tick(30.0).expect(&[]).ph(31.0, 7.0).expect(&["31 resolved silent"]);
}

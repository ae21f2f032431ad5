//! Buses that fall silent or go down: one cause pages once, and once they are back, what is still wrong pages.

use std::sync::Arc;

use super::bench::{Bench, WALL, above, at, id, plan, policy, rule, sensor};
use crate::effect::{Effect, Transition};
use crate::engine::{Engine, Input, Start};
use crate::plan::{Plan, Policy, Rule, Severity};
use crate::quantity::Quantity;
use crate::reading::{Quality, Raw, SensorIx};
use crate::rules::Condition;
use crate::sensor::Sensor;
use crate::time::{Span, Uptime, WallTime};

/// Each level is told once: what is counted here are causes.
fn once() -> Arc<Policy> {
    let mut once = (*policy()).clone();
    once.levels.iter_mut().for_each(|level| level.wait = Span::ZERO);
    Arc::new(once)
}

fn missing(name: &str, of: &str, secs: i64) -> Rule {
    Rule { escalation: once(), ..rule(name, of, Condition::MissingFor(Span::from_secs(secs))) }
}

/// Two sensors on one line, each missing after so many seconds; the line is silent after a minute.
fn farm(missing_after: i64) -> Arc<Plan> {
    let on_line = |name| Sensor { bus: Some(id("gateway")), ..sensor(name) };
    let line =
        Sensor { state_of_bus: Some(id("gateway")), quantity: Quantity::Contact, range: None, ..sensor("bus/gateway") };
    let down = Condition::Below { limit: 1.0, clear: 1.0 };
    let rules = vec![
        missing("silent", "z/a", missing_after),
        missing("silent", "z/b", missing_after),
        Rule { escalation: once(), ..rule("high", "z/a", above(6.8)) },
        missing("bus-silent", "bus/gateway", 60),
        Rule { hold: Span::from_mins(1), escalation: once(), ..rule("bus-down", "bus/gateway", down) },
    ];
    plan(vec![line, on_line("z/a"), on_line("z/b")], rules)
}

fn bench() -> Bench {
    Bench::new(farm(900))
}

impl Bench {
    /// Each page so far, as `MINUTE RULE`.
    fn paged(&self) -> Vec<String> {
        let pages = self.said.iter().filter(|said| said.contains(" page "));
        pages
            .map(|said| said.split(' ').collect::<Vec<_>>())
            .map(|words| format!("{} {}", words[0], words[3]))
            .collect()
    }

    /// As the agent tells of it: the line, and the sensor that it is.
    fn port(&mut self, minute: f64, up: bool) -> &mut Bench {
        self.handle(minute, Input::Bus { bus: id("gateway"), up });
        self.read(minute, "bus/gateway", if up { 1.0 } else { 0.0 })
    }

    fn both(&mut self, minute: f64) -> &mut Bench {
        self.read(minute, "z/a", 6.0).read(minute, "z/b", 6.0)
    }
}

#[test]
fn a_board_that_goes_quiet_pages_once_for_all_its_sensors() {
    let mut bench = bench();
    bench.both(0.0).tick(120.0);
    assert_eq!(bench.paged(), ["1 bus-silent"]);
    assert_eq!(bench.engine.alerts().filter(|alert| alert.inhibition.is_some()).count(), 2);
    bench.both(121.0).tick(121.5);
    assert_eq!(bench.paged(), ["1 bus-silent"]);
    assert_eq!(bench.engine.alerts().count(), 0);
}

#[test]
fn what_is_still_wrong_when_the_line_is_back_is_paged() {
    let mut bench = bench();
    bench.both(0.0).tick(30.0);
    // One of the two does not come back with it.
    for half_minute in 62..120 {
        bench.read(f64::from(half_minute) / 2.0, "z/a", 6.0);
    }
    assert_eq!(bench.paged(), ["1 bus-silent", "32 silent"], "it had a minute to speak");

    let mut bench = self::bench();
    bench.both(0.0).tick(30.0).read(31.0, "z/a", 7.0);
    assert_eq!(
        bench.paged(),
        ["1 bus-silent", "31 high"],
        "what is wrong with a sensor that speaks is no matter of the bus"
    );
}

#[test]
fn an_alert_that_would_have_paged_meanwhile_pages_when_its_sensor_is_heard_and_still_wrong() {
    let mut waits = (*policy()).clone();
    waits.levels[Severity::Warning as usize].wait = Span::from_mins(10);
    let plan = farm(900);
    let sensors = plan.sensors().to_vec();
    let rules = plan.rules().cloned().map(|rule| match rule.key.rule.as_str() {
        "high" => Rule { escalation: Arc::new(waits.clone()), ..rule },
        _ => rule,
    });
    let plan = super::bench::plan(sensors, rules.collect());
    for (value, expected) in [(7.0, &["0 high", "1 bus-silent", "31 high"][..]), (6.0, &["0 high", "1 bus-silent"])] {
        let mut bench = Bench::new(Arc::clone(&plan));
        bench.read(0.0, "z/a", 7.0).read(0.0, "z/b", 6.0).tick(30.0);
        bench.read(31.0, "z/b", 6.0).read(31.0, "z/a", value).tick(31.5);
        assert_eq!(bench.paged(), expected, "back at {value}");
    }
}

#[test]
fn one_board_of_several_on_a_line_is_its_sensors_matter() {
    let mut bench = bench();
    bench.both(0.0);
    for half_minute in 1..80 {
        bench.read(f64::from(half_minute) / 2.0, "z/a", 6.0);
    }
    assert_eq!(bench.paged(), ["15 silent"]);
}

#[test]
fn a_line_that_carries_no_value_is_not_silent() {
    let mut bench = bench();
    for half_minute in 0..80 {
        bench.read(f64::from(half_minute) / 2.0, "z/a", f64::NAN);
    }
    assert_eq!(bench.paged(), ["15 silent", "15 silent"], "the sensors are, each for itself");
}

/// A rule that would fire before it is known that the whole line is silent.
#[test]
fn the_silence_of_a_sensor_waits_until_it_is_known_whether_its_line_is_silent() {
    for missing_after in [15, 59, 60, 61] {
        let mut bench = Bench::new(farm(missing_after));
        bench.read(0.0, "z/a", 6.0).read(0.05, "z/b", 6.0).tick(120.0);
        assert_eq!(bench.paged(), ["1.05 bus-silent"], "{missing_after} s");
    }
    let mut bench = Bench::new(farm(30));
    bench.both(0.0);
    for second in 1..120 {
        bench.read(f64::from(second) / 60.0, "z/b", 6.0);
    }
    assert_eq!(bench.paged(), ["0.5 silent"], "its line speaks");
    // The line speaks again before the bus is silent: its other sensor has still had its time.
    let mut bench = Bench::new(farm(30));
    bench.both(0.0).tick(0.9).read(0.9, "z/b", 6.0);
    for second in 60..200 {
        bench.read(f64::from(second) / 60.0, "z/b", 6.0);
    }
    assert_eq!(bench.paged(), ["1.9 silent"]);
}

#[test]
fn a_kicked_plug_pages_once() {
    let mut bench = bench();
    bench.port(0.0, true).both(0.1).port(0.5, false).tick(60.0);
    assert_eq!(bench.paged(), ["1.5 bus-down"]);
    bench.port(60.0, true).tick(60.4).both(60.5).tick(100.0).both(60.6);
    assert_eq!(bench.paged()[..1], ["1.5 bus-down"]);
    let mut bench = self::bench();
    bench.port(0.0, true).both(0.1).port(0.5, false).port(60.0, true);
    for half_minute in 121..300 {
        bench.both(f64::from(half_minute) / 2.0);
    }
    assert_eq!(bench.paged(), ["1.5 bus-down"]);
    assert_eq!(bench.engine.alerts().count(), 0);
}

#[test]
fn a_port_that_is_open_again_and_carries_nothing_is_silent() {
    let mut bench = bench();
    bench.port(0.0, true).both(0.1).port(0.5, false).port(30.0, true).tick(90.0);
    assert_eq!(bench.paged(), ["1.5 bus-down", "31 bus-silent"]);
}

#[test]
fn a_port_that_flaps_and_carries_nothing_is_silent_once() {
    let mut bench = bench();
    bench.port(0.0, true).both(0.1);
    for round in 0..200 {
        let minute = 0.5 + f64::from(round) * 0.4;
        bench.port(minute, false).port(minute + 0.2, true);
    }
    assert_eq!(bench.paged().len(), 1, "{:?}", bench.paged());
    assert!(bench.paged()[0].ends_with(" bus-silent"), "{:?}", bench.paged());
}

#[test]
fn a_sensor_that_is_dead_on_a_port_that_flaps_is_told_of() {
    let mut bench = bench();
    bench.port(0.0, true).both(0.1);
    for round in 0..100 {
        let minute = 0.5 + f64::from(round) * 0.4;
        bench.port(minute, false).port(minute + 0.2, true).read(minute + 0.3, "z/a", 6.0);
    }
    assert_eq!(bench.paged().len(), 1, "{:?}", bench.paged());
    assert!(bench.paged()[0].ends_with(" silent"), "{:?}", bench.paged());
}

#[test]
fn a_silence_that_is_told_already_is_not_told_again_when_the_port_goes_and_comes() {
    let mut bench = bench();
    bench.port(0.0, true).both(0.1).tick(5.0).port(5.0, false).tick(9.0).port(10.0, true).tick(40.0);
    assert_eq!(bench.paged(), ["1.1 bus-silent", "6 bus-down"]);
    bench.both(41.0).tick(41.5);
    assert_eq!((bench.paged().len(), bench.engine.alerts().count()), (2, 0));
}

#[test]
fn a_start_while_a_line_is_silent_tells_nobody_again() {
    let mut bench = bench();
    bench.both(0.0).tick(20.0);
    let start = Start { boot: 2, at: Uptime(0), wall: Some(WallTime(WALL.0 + 1_500_000)) };
    let after = Engine::restart(farm(900), &bench.engine.snapshot(), start).unwrap();
    let mut after = Bench::of(after);
    after.tick(30.0);
    assert_eq!(after.paged(), Vec::<String>::new());
    after.both(31.0).tick(31.5);
    assert_eq!((after.paged(), after.engine.alerts().count()), (Vec::new(), 0));

    // Silent from boot on.
    let mut bench = self::bench();
    bench.tick(30.0);
    assert_eq!(bench.paged(), ["1 bus-silent"]);
}

#[test]
fn a_stop_of_the_program_is_no_silence_of_a_line() {
    let mut bench = bench();
    bench.both(0.0).tick(0.5);
    let mut after = Bench::of(Engine::restore(farm(900), &bench.engine.snapshot()).unwrap());
    after.engine.listen_again(super::bench::at(30.0));
    after.tick(30.4);
    assert_eq!(after.paged(), Vec::<String>::new());
    after.tick(60.0);
    assert_eq!(after.paged(), ["30.5 bus-silent"]);
}

#[test]
fn what_an_older_version_kept_knows_nothing_of_lines_and_goes_on() {
    let mut bench = bench();
    bench.both(0.0).tick(0.5);
    let mut kept = serde_json::to_value(bench.engine.snapshot()).unwrap();
    assert!(kept.as_object_mut().unwrap().remove("buses").is_some());
    let mut after = Bench::of(Engine::restore(farm(900), &serde_json::from_value(kept).unwrap()).unwrap());
    after.tick(60.0);
    assert_eq!(after.paged(), ["1.5 bus-silent"]);
}

/// Two nodes behind one gateway: `z/a` each 30 s, `z/b` each 10 minutes.
fn nodes(b_within: Option<Span>) -> Arc<Plan> {
    let plan = farm(900);
    let sensors = plan.sensors().iter().cloned().map(|sensor| {
        let heard_within = match sensor.id.as_str() {
            "z/a" => Some(Span::from_mins(1)),
            "z/b" => b_within,
            _ => None,
        };
        Sensor { heard_within, ..sensor }
    });
    super::bench::plan(sensors.collect(), plan.rules().cloned().collect())
}

impl Bench {
    /// `z/a` speaks each 30 s and `z/b` each 10 minutes, in these minutes.
    fn both_nodes(&mut self, minutes: std::ops::Range<i32>) -> &mut Bench {
        for tick in minutes.start * 2..minutes.end * 2 {
            self.read(f64::from(tick) / 2.0, "z/a", 6.0);
            if tick % 20 == 0 {
                self.read(f64::from(tick) / 2.0, "z/b", 6.0);
            }
        }
        self
    }

    /// `z/b` alone.
    fn slow_node(&mut self, minutes: std::ops::Range<i32>) -> &mut Bench {
        for minute in minutes.step_by(10) {
            self.read(f64::from(minute), "z/b", 6.0);
        }
        self
    }
}

/// Guards against: "bus silent" each 20 minutes, for ever, and not a word of the node that is dead.
#[test]
fn one_dead_node_beside_slower_ones_is_its_own_matter_once_they_were_heard() {
    for b_within in [Some(Span::from_mins(15)), None] {
        let mut bench = Bench::new(nodes(b_within));
        bench.both_nodes(0..10).slow_node(10..240);
        assert_eq!(bench.paged(), ["11 bus-silent", "24.5 silent"], "{b_within:?}");
        let open: Vec<_> =
            bench.engine.alerts().map(|alert| (alert.details.key.to_string(), alert.inhibition)).collect();
        assert_eq!(open, [("z silent z/a".to_owned(), None)]);
    }
}

#[test]
fn a_line_whose_dead_node_is_known_is_silent_when_the_others_are() {
    let mut bench = Bench::new(nodes(Some(Span::from_mins(15))));
    bench.both_nodes(0..10).slow_node(10..60).tick(100.0);
    assert_eq!(bench.paged()[2..], ["65 bus-silent".to_owned()]);
    bench.slow_node(120..150);
    let over = |effect: &Effect| match effect {
        Effect::Alert(Transition::Resolved(_), details) => Some(details.message.clone()),
        _ => None,
    };
    let over: Vec<String> = bench.effects.iter().filter_map(over).collect();
    assert_eq!(over[1], "bus/gateway reporting again after 1 h 10 min");
    // The dead one is back, and counts again; all are quiet then.
    bench.both_nodes(150..160).tick(180.0);
    assert_eq!(bench.paged()[3..], ["160.5 bus-silent".to_owned()]);
    bench.both_nodes(180..200).tick(200.0);
    assert_eq!(bench.engine.alerts().count(), 0);
}

#[test]
fn what_is_known_of_a_dead_node_outlives_a_restart_and_a_reboot() {
    let farm = || nodes(Some(Span::from_mins(15)));
    let mut bench = Bench::new(farm());
    bench.both_nodes(0..10).slow_node(10..60);
    let kept = bench.engine.snapshot();
    let mut after = Bench::of(Engine::restore(farm(), &kept).unwrap());
    after.slow_node(60..120);
    assert_eq!(after.paged(), Vec::<String>::new());
    let start = Start { boot: 2, at: Uptime(0), wall: Some(WallTime(WALL.0 + 3_600_000)) };
    let mut after = Bench::of(Engine::restart(farm(), &kept, start).unwrap());
    after.slow_node(5..65);
    assert_eq!(after.paged(), Vec::<String>::new());
    // Both die with the reboot.
    let mut after = Bench::of(Engine::restart(farm(), &kept, start).unwrap());
    after.tick(60.0);
    assert_eq!(after.paged(), ["15 bus-silent"]);
}

#[test]
fn what_comes_late_is_no_silence_of_its_line() {
    let mut bench = bench();
    bench.both(0.0);
    for half_minute in 1..80 {
        let now = f64::from(half_minute) / 2.0;
        let raw = Raw { sensor: SensorIx(1), at: at(-20.0), value: 6.0, quality: Quality::Good };
        bench.handle(now, Input::Reading(raw));
    }
    assert_eq!(bench.paged(), ["15 silent", "15 silent"], "the sensors are, and their line speaks");
}

/// Guards against: "has the board power?" while it prints a line a second.
#[test]
fn lines_without_a_value_are_said_to_come() {
    let messages = |bench: &Bench| -> Vec<String> {
        bench.engine.alerts().filter(|alert| alert.inhibition.is_none()).map(|alert| alert.details.message).collect()
    };
    let mut bench = bench();
    bench.both(0.0);
    for second in 1..3000 {
        bench.handle(f64::from(second) / 60.0, Input::Unmatched(id("gateway")));
    }
    assert_eq!(bench.paged(), ["1 bus-silent"], "one cause");
    assert_eq!(messages(&bench), ["bus gateway: lines come, and none has a value for a sensor"]);
    let kept = serde_json::to_value(bench.engine.snapshot()).unwrap();
    assert!(kept.to_string().contains("\"line_at\":"), "the key of earlier versions in a checkpoint: {kept}");
    bench.tick(60.0);
    assert_eq!(messages(&bench), ["bus-silent 1 h 1 min"], "then they end, too");
    bench.both(61.0).tick(61.1);
    assert_eq!(bench.engine.alerts().count(), 0);
    // Lines that a board prints at its start say nothing of an hour later.
    bench.handle(61.2, Input::Unmatched(id("gateway"))).tick(90.0);
    assert_eq!(messages(&bench), ["bus-silent 29 min 1 min"]);
}

#[test]
fn a_silence_whose_port_is_closed_then_is_said_in_the_past() {
    let mut bench = bench();
    bench.port(0.0, true).both(0.1).tick(5.0).port(5.0, false).tick(9.0);
    let open: Vec<String> = bench.engine.alerts().map(|alert| alert.details.message).collect();
    assert_eq!(open[1], "bus gateway was silent before it went down");
    bench.port(10.0, true).tick(20.0);
    let open: Vec<String> = bench.engine.alerts().map(|alert| alert.details.message).collect();
    assert_eq!(open[0], "bus-silent 10 min 1 min");
}

/// Guards against: "silent for 0 ms" of what was silent for hours.
#[test]
fn a_silence_from_before_a_restart_keeps_its_length() {
    let messages = |bench: &Bench| -> Vec<String> {
        let fired = bench.engine.alerts().filter(|alert| alert.details.alert.is_some());
        fired.map(|alert| alert.details.message).collect()
    };
    let mut bench = bench();
    bench.both(0.0).tick(30.0);
    let kept = bench.engine.snapshot();
    let after = |wall: Option<WallTime>| {
        Bench::of(Engine::restart(farm(900), &kept, Start { boot: 2, at: Uptime(0), wall }).unwrap())
    };
    let later = Some(WallTime(WALL.0 + 40 * 60_000));
    for (up, of_bus) in [(true, "bus-silent 40 min 1 min"), (false, "bus gateway was silent before it went down")] {
        let mut after = after(later);
        after.port(0.0, up).tick(0.2);
        assert_eq!(messages(&after), [of_bus, "silent 40 min 15 min", "silent 40 min 15 min"]);
    }
    let mut went_on = after(later);
    went_on.port(0.0, true).tick(2.0);
    assert_eq!(messages(&went_on)[0], "bus-silent 42 min 1 min");
    // Without a clock: as long as its rule waited.
    let mut unset = after(None);
    unset.port(0.0, false).tick(0.2);
    assert_eq!(
        messages(&unset),
        ["bus gateway was silent before it went down", "silent 15 min 15 min", "silent 15 min 15 min"]
    );
    // What speaks again is not said to be silent.
    let mut back = after(later);
    back.port(0.0, true).both(0.1);
    assert_eq!(messages(&back), Vec::<String>::new());
}

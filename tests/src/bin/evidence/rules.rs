//! What a reading costs with many rules, and what a rule takes of memory.

use std::fs;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tilth_core::calibrate::Calibration;
use tilth_core::engine::{Engine, Input};
use tilth_core::id::{Id, SensorId};
use tilth_core::message::Template;
use tilth_core::plan::{AlertKey, Level, Plan, Policy, Rule, Severity};
use tilth_core::quantity::Quantity;
use tilth_core::reading::{Quality, Raw, SensorIx};
use tilth_core::rules::Condition;
use tilth_core::sensor::Sensor;
use tilth_core::time::{Span, Uptime};
use tilth_core::value::Resolution;
use tilth_tests::engine::booted;
use tilth_tests::random::Random;

use crate::{Length, Outcome, outcome};

const SENSORS: u32 = 1000;

/// What a rule may take, in bytes.
const GOAL_BYTES: f64 = 2048.0;

/// How much more a reading may cost when rules are added that are not its own: what a shared cache and a noisy machine do.
const GOAL_GROWTH: f64 = 1.5;

/// 2026-06-01T00:00:00Z.
const START_MS: i64 = 1_780_272_000_000;

/// Sensors that are read while rules are added to all others.
const READ: u32 = 100;

/// Calls of this part of the program: it measures memory in a process of its own.
pub(crate) const MEMORY: &str = "rules-memory";

pub(crate) fn measure(length: Length) -> Outcome {
    let minutes = match length {
        Length::Full => 300,
        Length::Short => 50,
    };
    let plans = [0, 10, 1000, 10_000].map(|rules| plan(SENSORS, rules, SENSORS));
    let [nothing, ten, thousand, many] = nanoseconds(&plans, SENSORS, minutes);
    println!("no rules: {nothing:.0} ns a reading");
    println!("10, 1,000 and 10,000 rules over {SENSORS} sensors: {ten:.0}, {thousand:.0} and {many:.0} ns a reading");
    let own = (many - nothing) / f64::from(10_000 / SENSORS);
    println!("one of its own rules: {own:.1} ns a reading");

    let [few, crowded] = nanoseconds(&[crowd(10), crowd(10_000)], READ, minutes);
    let growth = crowded / few;
    println!(
        "with 10 own rules: {few:.0} ns beside 10 others, {crowded:.0} ns beside 10,000; {growth:.2} times as much"
    );

    let bytes = ["quiet", "firing"].map(bytes_of_a_rule);
    println!("a rule takes {:.0} bytes while quiet, {:.0} while its alert fires", bytes[0], bytes[1]);
    let (least, most) = (bytes[0].min(bytes[1]), bytes[0].max(bytes[1]));

    let mut short = Vec::new();
    if most > length.at_most(GOAL_BYTES) || least <= 0.0 {
        short.push(format!("{least:.0} to {most:.0} bytes a rule are not within {GOAL_BYTES:.0}"));
    }
    if growth > length.at_most(GOAL_GROWTH) {
        short.push(format!("a reading costs {growth:.2} times as much with rules that are not its own"));
    }
    let measured = minutes * 60 * (plans.len() as u32 * SENSORS + 2 * READ);
    let figures = format!(
        "{ten:.0}, {thousand:.0} and {many:.0} ns a reading with 10, 1,000 and 10,000 rules, {own:.1} ns an own rule, {growth:.2} \
         times beside 10,000 others (at most {GOAL_GROWTH}), {least:.0} to {most:.0} bytes a rule (at most {GOAL_BYTES:.0}), \
         {measured} readings",
    );
    outcome(figures, &short)
}

/// What a reading takes, for each plan, when the first sensors are read every second: in the best of so many minutes, since other work of
/// the machine is not the engine's. The plans take turns, so that a busy time falls on all of them.
fn nanoseconds<const PLANS: usize>(plans: &[Arc<Plan>; PLANS], sensors: u32, minutes: u32) -> [f64; PLANS] {
    let mut random = Random::new(11);
    // Values that no rule minds, so that what is measured is the watching.
    let values: [f64; 4096] = std::array::from_fn(|_| 6.0 + 0.2 * random.around_zero());
    let mut engines = plans.each_ref().map(|plan| booted(plan, START_MS));
    let mut least = [f64::INFINITY; PLANS];
    for minute in 0..minutes {
        for (engine, least) in engines.iter_mut().zip(&mut least) {
            let start = Instant::now();
            for second in 60 * minute..60 * (minute + 1) {
                for sensor in 0..sensors {
                    read(engine, second.into(), sensor, values[(7 * sensor + second) as usize % values.len()]);
                }
            }
            *least = least.min(start.elapsed().as_nanos() as f64 / f64::from(60 * sensors));
        }
    }
    least
}

fn read(engine: &mut Engine, second: i64, sensor: u32, value: f64) {
    let at = Uptime(second * 1000);
    engine.handle(at, Input::Reading(Raw { sensor: SensorIx(sensor), at, value, quality: Quality::Good }));
    while let Some(effect) = engine.poll() {
        black_box(effect);
    }
}

/// So many sensors, and rules spread over the first of them.
fn plan(sensors: u32, rules: u32, over: u32) -> Arc<Plan> {
    let rules = (0..rules).map(|number| rule(number, number % over, KINDS));
    plan_of(sensors, rules.collect())
}

/// The first sensors with ten rules each, and so many on all others, which are not read.
fn crowd(others: u32) -> Arc<Plan> {
    let own = (0..10 * READ).map(|number| rule(number, number % READ, SPEAKING_KINDS));
    let others = (0..others).map(|number| rule(10 * READ + number, READ + number % (SENSORS - READ), SPEAKING_KINDS));
    plan_of(SENSORS, own.chain(others).collect())
}

fn plan_of(sensors: u32, rules: Vec<Rule>) -> Arc<Plan> {
    Arc::new(Plan::new((0..sensors).map(sensor).collect(), rules).expect("every name is there once"))
}

/// Sensor of a number, which is its place in the plan.
fn sensor_id(number: u32) -> SensorId {
    SensorId::new(&format!("zone-{:03}/ph-{:03}", number / 20, number % 20)).expect("it is an id")
}

fn sensor(number: u32) -> Sensor {
    let id = sensor_id(number);
    Sensor {
        zone: id.zone(),
        id,
        quantity: Quantity::Ph,
        resolution: Resolution::new(0.01).expect("it is a resolution"),
        calibration: Calibration::Identity,
        range: Some((0.0, 14.0)),
        max_rate: Some(2.0),
        stuck_for: None,
        stale_after: None,
        bus: None,
        heard_within: None,
        state_of_bus: None,
    }
}

/// Kinds of rules; the last watches silence.
const KINDS: u32 = 10;
const SPEAKING_KINDS: u32 = KINDS - 1;

fn condition(kind: u32) -> Condition {
    match kind {
        0 => Condition::Above { limit: 7.0, clear: 6.8 },
        1 => Condition::Above { limit: 7.5, clear: 7.2 },
        2 => Condition::Above { limit: 8.0, clear: 7.5 },
        3 => Condition::Below { limit: 5.5, clear: 5.7 },
        4 => Condition::Below { limit: 5.0, clear: 5.2 },
        5 => Condition::Outside { low: 5.0, high: 7.0, clear_low: 5.2, clear_high: 6.8 },
        6 => Condition::Between { above: 7.0, below: 8.0 },
        7 => Condition::RateAbove { limit: 1.0, clear: 0.5 },
        8 => Condition::StuckFor(Span::from_mins(60)),
        _ => Condition::MissingFor(Span::from_mins(15)),
    }
}

fn policy() -> Arc<Policy> {
    let level = |_| Level { wait: Span::from_mins(10), channels: vec![Id::new("log").expect("it is an id")] };
    Arc::new(Policy { id: Id::new("default").expect("it is an id"), levels: std::array::from_fn(level) })
}

/// A rule that shares nothing but its policy: each has its own names and texts, as if each stood alone in a document.
fn rule(number: u32, sensor: u32, kinds: u32) -> Rule {
    static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(policy);
    let sensor_id = sensor_id(sensor);
    Rule {
        key: AlertKey {
            zone: sensor_id.zone(),
            rule: Id::new(&format!("rule-{number}")).expect("it is an id"),
            sensor: sensor_id,
        },
        condition: condition(number / 7 % kinds),
        hold: Span::from_mins(10),
        keep_firing_for: Span::ZERO,
        cooldown: Span::from_mins(15),
        severity: Severity::Warning,
        escalation: Arc::clone(&POLICY),
        during: None,
        message: Arc::new(Template::parse("pH {value} in {zone}, limit {limit}").expect("it is a template")),
        resolved: None,
        advice: Some("Check the acid doser and the probe's last calibration.".into()),
        actions: [].into(),
    }
}

/// What each rule beyond the first thousand adds to the memory of a process, shared history apart.
fn bytes_of_a_rule(state: &str) -> f64 {
    let kb = |rules: u32| {
        let this = std::env::current_exe().expect("a process knows its program");
        let part = Command::new(this).args(["--part", MEMORY, &rules.to_string(), state]).output();
        let said = String::from_utf8(part.expect("this program can be run").stdout).expect("it says text");
        said.trim().parse::<f64>().unwrap_or_else(|_| panic!("no number but {said:?}"))
    };
    (kb(10_000) - kb(1000)) * 1024.0 / 9000.0
}

/// The part of [`bytes_of_a_rule`] that runs in a process of its own: prints the KB that it holds with so many rules.
pub(crate) fn memory_part(rules: &str, state: &str) -> ExitCode {
    let Ok(rules) = rules.parse() else { return ExitCode::from(2) };
    let plan = plan(SENSORS, rules, SENSORS);
    let mut engine = booted(&plan, START_MS);
    // A value outside 5 to 7 makes one rule or another fire once the hold is over.
    let far = if state == "firing" { 3.0 } else { 0.0 };
    for second in (0..40).map(|step| step * 60) {
        for sensor in 0..SENSORS {
            let sign = if second < 1200 { 1.0 } else { -1.0 };
            read(&mut engine, second, sensor, 6.0 + sign * far);
        }
    }
    println!("{}", resident_kb());
    drop(black_box(engine));
    ExitCode::SUCCESS
}

fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("the kernel counts it")
}

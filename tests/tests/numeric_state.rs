//! Home Assistant's numeric state trigger: above, below and between, as its own tests have them.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write;
use std::fs;

use serde::Deserialize;
use serde_json::{Map, Value};
use tilth_tests::agent::{Farm, NEW_YEAR_MS};

/// One row of the file.
#[derive(Debug, Deserialize)]
struct Case {
    /// The keys of a rule, as they stand.
    rule: Map<String, Value>,
    /// What the sensor says before anything changes.
    initial: Option<Value>,
    states: Vec<Value>,
    fires: usize,
}

/// What is not the rule's: values are judged by nothing, and an alert may fire again at once.
const FARM: &str = r#"
[sensors."case/state"]
quantity = "count"
resolution = 0.001
range = [-1e6, 1e6]
max_rate = 1e6

[rules.case]
sensor = "case/state"
"#;

#[test]
fn each_case_fires_as_often_as_it_should() {
    let Some(file) = tilth_tests::data("rules/numeric_state.json", "numeric_state", 8) else { return };
    let cases: Vec<Case> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(cases.len() >= 8, "{} cases", cases.len());
    for case in &cases {
        check(case);
    }
}

/// Readings come a second apart, the initial one first: a condition that it meets counts as met from then, so that an alert
/// it raises is the one that the first update fires there.
#[track_caller]
fn check(case: &Case) {
    let mut farm = FARM.to_owned();
    if !case.rule.contains_key("cooldown") {
        farm.push_str("cooldown = \"0s\"\n");
    }
    for (key, value) in &case.rule {
        // Numbers, texts and lists are written alike in JSON and TOML.
        writeln!(farm, "{key} = {value}").unwrap();
    }
    let mut recording = "time,sensor,value\n".to_owned();
    let times = (0..).map(|second: i64| NEW_YEAR_MS + second * 1000);
    for (at, state) in times.zip(case.initial.iter().chain(&case.states)) {
        // A state that is no number, such as "unavailable", is a missing value.
        let number = state.as_f64().or_else(|| state.as_str()?.parse().ok());
        let state = number.map(|number| number.to_string()).unwrap_or_default();
        writeln!(recording, "{at},case/state,{state}").unwrap();
    }
    let transitions = Farm::new("numeric-state", &farm).transitions(&recording);
    let fired = transitions.iter().filter(|transition| transition.is("case", "firing")).count();
    assert_eq!(fired, case.fires, "{case:?}\n{transitions:#?}");
}

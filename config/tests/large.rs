//! Large configurations: their limits, and that their cost grows no faster than they do.

use std::fmt::Write as _;
use std::time::Instant;

use tilth_config::{Document, Layer, Level, Loaded, Purpose, base, load_documents};

fn farm(sensors: usize, rules: usize, selector: impl Fn(usize) -> String) -> Loaded {
    let mut text = "agent.timezone = 'UTC'\n".to_owned();
    for ix in 0..sensors {
        writeln!(text, "[sensors.'zone-{}/ph-{ix}']\nquantity = 'ph'\ninput = 'line:gateway/f{ix}'\n", ix % 100)
            .expect("a String takes all");
    }
    for ix in 0..rules {
        writeln!(text, "[rules.rule-{ix}]\nsensor = '{}'\nabove = 6.8\nclear = 6.5\nfor = '5m'\n", selector(ix))
            .expect("a String takes all");
    }
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/large.toml", &text));
    load_documents(documents, Purpose::Replay)
}

fn one_each(ix: usize) -> String {
    format!("zone-{}/ph-{ix}", ix % 100)
}

#[test]
fn ten_thousand_sensors_and_rules_are_bound_in_reasonable_time() {
    let start = Instant::now();
    let loaded = farm(10_000, 10_000, one_each);
    println!("10,000 sensors and 10,000 rules: {:?}", start.elapsed());
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    // Each sensor has its own rule, two for pH, one for silence and one for faults.
    assert_eq!(loaded.plan.unwrap().rules().len(), 50_000);
    // Not a measurement: a cost that grew with the square would be minutes here.
    assert!(start.elapsed().as_secs() < 60);
    let loaded = farm(10_000, 10_000, |ix| format!("*/ph-{ix}"));
    assert_eq!(loaded.plan.unwrap().rules().len(), 50_000);
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn wrong_names_are_all_found_and_a_thousand_are_shown() {
    let loaded = farm(2000, 2000, |ix| format!("zone-{}/hp-{ix}", ix % 100));
    assert!(loaded.plan.is_none());
    assert_eq!(loaded.diagnostics.len(), 1001);
    let last = loaded.diagnostics.last().unwrap().to_string();
    assert_eq!(last, "config.d/large.toml: error: 1000 more problems are not shown");
}

#[test]
fn a_thousand_warnings_are_no_error_and_hide_no_error() {
    let dead = |ix: usize| format!("nowhere-{ix}/*");
    let loaded = farm(1, 1001, dead);
    let last = loaded.diagnostics.last().unwrap().to_string();
    assert_eq!(last, "config.d/large.toml: warning: 1 more problem is not shown");
    assert!(loaded.plan.is_some() && !loaded.has_errors(), "{last}");
    assert_eq!(loaded.diagnostics.len(), 1001);

    // Rules are checked by name, so the wrong one is found after a thousand others.
    let loaded = farm(1, 1003, |ix| if ix == 999 { "zone-0/hp-0".to_owned() } else { dead(ix) });
    assert!(loaded.plan.is_none() && loaded.has_errors());
    let errors: Vec<String> =
        loaded.diagnostics.iter().filter(|found| found.level == Level::Error).map(ToString::to_string).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("there is no sensor \"zone-0/hp-0\""), "{errors:?}");
    let last = loaded.diagnostics.last().unwrap().to_string();
    assert_eq!(last, "config.d/large.toml: warning: 3 more problems are not shown");
}

#[test]
fn a_large_broken_file_says_its_first_error() {
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/large.toml", &"=\n".repeat(1 << 20)));
    let loaded = load_documents(documents, Purpose::Replay);
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "config.d/large.toml:1:1: error: not TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"
        ]
    );
}

#[test]
fn more_zones_are_refused() {
    let zones: String = (0..1001).map(|zone| format!("[zones.z{zone}.agent]\ntimezone = 'UTC'\n")).collect();
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/large.toml", &zones));
    let loaded = load_documents(documents, Purpose::Replay);
    let refused =
        "config.d/large.toml:1999:8: error: zones.z999: more than 1000 zones; expected a device to serve fewer";
    assert!(loaded.diagnostics.iter().any(|found| found.to_string() == refused), "{:?}", loaded.diagnostics.first());
}

#[test]
fn more_sensors_or_bound_rules_are_refused() {
    let loaded = farm(10_001, 0, one_each);
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].ends_with("more than 10000 sensors; expected a device to serve fewer"), "{said:?}");

    let loaded = farm(5000, 20, |_| "*/*".to_owned());
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].ends_with("more than 100000 rules once each is bound to its sensors"), "{said:?}");
}

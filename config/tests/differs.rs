//! `differs_from`: who is compared with whom.

use tilth_config::{Document, Inventory, Layer, Loaded, Purpose, base, explain, load_documents};
use tilth_core::rules::{Condition, Scale};

/// Three towers: two have a second probe for pH and one of these for EC too; a probe in the lab is for all.
const FARM: &str = "
[sensors.'tower-1/ph']
quantity = 'ph'
[sensors.'tower-1/ph-b']
quantity = 'ph'
[sensors.'tower-1/ec']
quantity = 'ec'
[sensors.'tower-1/ec-b']
quantity = 'ec'
[sensors.'tower-2/ph']
quantity = 'ph'
[sensors.'rack/ph-b']
quantity = 'ph'
zone = 'tower-2'
[sensors.'tower-3/ph']
quantity = 'ph'
[sensors.'lab/ph']
quantity = 'ph'
";

fn load(rules: &str) -> Loaded {
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &format!("{FARM}{rules}")));
    load_documents(documents, Purpose::Replay)
}

fn said(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(ToString::to_string).collect()
}

/// The pairs that are compared, as `zone sensor other`.
fn compared(loaded: &Loaded) -> Vec<String> {
    let plan = loaded.plan.as_ref().unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let pairs = plan.rules().filter_map(|rule| match &rule.condition {
        Condition::DiffersFrom { other, .. } => Some(format!("{} {} {other}", rule.key.zone, rule.key.sensor)),
        _ => None,
    });
    pairs.collect()
}

#[track_caller]
fn check(rule: &str, expected: &[&str], warned: &[&str]) {
    let loaded = load(&format!("[rules.apart]\nby = 0.3\n{rule}"));
    assert_eq!(compared(&loaded), expected, "{rule}");
    assert_eq!(said(&loaded), warned, "{rule}");
}

#[test]
fn a_sensor_is_compared_with_the_one_that_is_named() {
    check("sensor = 'tower-1/ph'\ndiffers_from = 'tower-1/ph-b'", &["tower-1 tower-1/ph tower-1/ph-b"], &[]);
    check("sensor = 'tower-1/ph'\ndiffers_from = 'lab/ph'", &["tower-1 tower-1/ph lab/ph"], &[]);
    // The one that all are compared with is among those that the glob fits, and is left out.
    let all = ["tower-1 tower-1/ph lab/ph", "tower-2 tower-2/ph lab/ph", "tower-3 tower-3/ph lab/ph"];
    check("sensor = '*/ph'\ndiffers_from = 'lab/ph'", &all, &[]);
}

#[test]
fn a_glob_finds_the_other_in_the_zone_of_the_sensor() {
    let warned = "config.d/farm.toml:22:16: warning: rules.apart.differs_from: lab/ph is not compared: no enabled sensor of zone \
                  lab fits */ph-b, and 1 sensor more; expected such a sensor, or a sensor = \"..\" that leaves lab/ph out";
    let pairs = ["tower-1 tower-1/ph tower-1/ph-b", "tower-2 tower-2/ph rack/ph-b"];
    check("sensor = '*/ph'\ndiffers_from = '*/ph-b'", &pairs, &[warned]);
    // The other way round, only where there are two.
    let turned = ["tower-1 tower-1/ph-b tower-1/ph", "tower-2 rack/ph-b tower-2/ph"];
    check("sensor = '*/ph-b'\ndiffers_from = '*/ph'", &turned, &[]);
    // Of any quantity, and not with itself.
    let both = ["tower-1 tower-1/ec tower-1/ec-b", "tower-1 tower-1/ph tower-1/ph-b"];
    check("sensor = 'tower-1/*'\ndiffers_from = '*/*-b'", &both, &[]);
    check("quantity = 'ec'\ndiffers_from = '*/ec-b'", &["tower-1 tower-1/ec tower-1/ec-b"], &[]);
    // A half without a star says which zone.
    let lab = ["tower-1 tower-1/ph lab/ph", "tower-1 tower-1/ph-b lab/ph"];
    check("sensor = 'tower-1/*'\nquantity = 'ph'\ndiffers_from = 'lab/*'", &lab, &[]);
}

#[test]
fn a_rule_of_a_zone_compares_within_it_or_with_what_it_names() {
    let own = "[zones.tower-2.rules.apart]\nby = 0.3\nsensor = '*/ph'\n";
    let loaded = load(&format!("{own}differs_from = '*/ph-b'"));
    assert_eq!((compared(&loaded), said(&loaded)), (vec!["tower-2 tower-2/ph rack/ph-b".to_owned()], vec![]));
    let loaded = load(&format!("{own}differs_from = 'lab/ph'"));
    assert_eq!((compared(&loaded), said(&loaded)), (vec!["tower-2 tower-2/ph lab/ph".to_owned()], vec![]));
    // One zone that watches others compares each sensor within its own.
    let loaded = load(&format!("{own}across = true\ndiffers_from = '*/ph-b'"));
    assert_eq!(compared(&loaded), ["tower-2 tower-1/ph tower-1/ph-b", "tower-2 tower-2/ph rack/ph-b"]);
}

#[test]
fn the_limit_is_in_the_unit_or_in_percent_and_so_is_where_it_clears() {
    for (limit, expected) in [
        ("by = 0.3", (0.3, 0.3, Scale::Unit)),
        ("by = 0.3\nclear = 0.2", (0.3, 0.2, Scale::Unit)),
        ("by_percent = 5", (5.0, 5.0, Scale::PercentOfOther)),
        ("by_percent = 5\nclear = 0", (5.0, 0.0, Scale::PercentOfOther)),
    ] {
        let text = format!("[rules.apart]\nsensor = 'tower-1/ph'\ndiffers_from = 'tower-1/ph-b'\n{limit}");
        let plan = load(&text).plan.unwrap();
        let found = plan.rules().find_map(|rule| match rule.condition {
            Condition::DiffersFrom { limit, clear, scale, .. } => Some((limit, clear, scale)),
            _ => None,
        });
        assert_eq!(found, Some(expected), "{limit}");
    }
}

/// A sensor that goes takes the rule over it along, and both are named.
#[test]
fn what_is_gone_and_what_holds_is_said_of_it_as_of_any_rule() {
    let rule = "[rules.apart]\nsensor = '*/ec'\ndiffers_from = '*/ec-b'\nby = 0.3\n";
    let input = |text: &str| text.replace("quantity", "input = 'host:load'\nquantity");
    let loaded = |more: &str| {
        let mut documents = base();
        let text = format!("{}{more}", input(FARM));
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &text));
        load_documents(documents, Purpose::Replay)
    };
    let (before, after) = (loaded(rule), loaded(&format!("{rule}[sensors.'tower-1/ec-b']\nenabled = false\n")));
    assert!(after.plan.is_none(), "a table twice is no TOML");
    let off = loaded(&format!("{rule}[zones.tower-1.sensors.'tower-1/ec-b']\nenabled = false\n"));
    let gone = Inventory::of(&off).change_from(Some(&Inventory::of(&before))).removed().to_string();
    assert_eq!(gone, "sensor tower-1/ec-b, rule apart");

    let explained = explain(&before, "rules.apart").unwrap();
    let value =
        |key: &str| explained.iter().find(|one| one.path == format!("rules.apart.{key}")).unwrap().value.clone();
    assert_eq!(value("differs_from").unwrap(), "*/ec-b");
    let usual = "{sensor} {value} {unit} differs from {other_sensor} {other} {unit}, limit {limit}";
    assert_eq!(value("message").unwrap(), usual);
}

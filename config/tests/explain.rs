//! `explain` names the document that each value comes from.

use tilth_config::{
    Document, Layer, LayerValue, Loaded, Origin, Purpose, SourceKey, Text, ZoneValue, base, explain, load_documents,
    top_paths,
};

fn loaded() -> Loaded {
    let mut documents = base();
    documents.layers.push(Document {
        file: "acme".to_owned(),
        layer: Some(Layer::Client),
        version: Some(7),
        text: Text::Json(serde_json::json!({"rules": {"ph-high": {"above": 6.9, "advice": null}}})),
    });
    let farm = "\
[sensors.'tower-1/ph']
quantity = 'ph'
interval = '15s'

[sensors.'tower-2/ph']
quantity = 'ph'
zone = 'annex'

[rules.ph-high]
above = 6.8
clear = 6.5

[zones.annex.rules.ph-high]
above = 6.6

[zones.annex.sensors.'tower-2/ph']
range = [3, 10]
";
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", farm));
    load_documents(documents, Purpose::Replay)
}

/// One line for each value: path, value, origin; below it what had been said.
fn explained(path: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for explained in explain(&loaded(), path).expect("a known path") {
        let value = explained.value.map_or("deleted".to_owned(), |value| value.to_string());
        let origin = match explained.origin {
            Origin::BuiltIn => "built in".to_owned(),
            Origin::Document(key) => place(&key),
            Origin::Inherited(key) => format!("{} by {}", key.at, place(&key)),
        };
        lines.push(format!("{} = {value} ({origin})", explained.path));
        for LayerValue { value, key } in explained.overridden {
            let value = value.map_or("deleted".to_owned(), |value| value.to_string());
            lines.push(format!("  {value} {} ({})", key.at, place(&key)));
        }
        for ZoneValue { zone, set: LayerValue { value, key } } in explained.zones {
            let value = value.map_or("deleted".to_owned(), |value| value.to_string());
            lines.push(format!("  in {zone} {value} {} ({})", key.at, place(&key)));
        }
    }
    lines
}

fn place(key: &SourceKey) -> String {
    let version = key.version.map_or(String::new(), |version| format!(" version {version}"));
    // Lines of the shipped files change with every word in them.
    let position = key.position.as_ref().filter(|_| key.layer != Layer::Base);
    let line = position.map_or(String::new(), |position| format!(":{}", position.line));
    format!("{}{version}, {}{line}", key.layer, key.file)
}

#[test]
fn a_value_names_its_document_and_those_below() {
    assert_eq!(
        explained("rules.ph-high.above"),
        [
            "rules.ph-high.above = 6.8 (config.d, config.d/farm.toml:10)",
            "  6.9 rules.ph-high.above (client version 7, acme)",
            "  7.0 rules.ph-high.above (base, base/rules.toml)",
            "  in annex 6.6 zones.annex.rules.ph-high.above (config.d, config.d/farm.toml:14)",
        ]
    );
    assert_eq!(
        explained("zones.annex.rules.ph-high.above"),
        [
            "zones.annex.rules.ph-high.above = 6.6 (config.d, config.d/farm.toml:14)",
            "  6.8 rules.ph-high.above (config.d, config.d/farm.toml:10)",
            "  6.9 rules.ph-high.above (client version 7, acme)",
            "  7.0 rules.ph-high.above (base, base/rules.toml)",
        ]
    );
    assert_eq!(
        explained("zones.tower-1.rules.ph-high.clear"),
        [
            "zones.tower-1.rules.ph-high.clear = 6.5 (config.d, config.d/farm.toml:11)",
            "  6.8 rules.ph-high.clear (base, base/rules.toml)",
        ]
    );
}

#[test]
fn what_nobody_says_is_said_too() {
    assert_eq!(explained("rules.ph-high.cooldown"), ["rules.ph-high.cooldown = \"15m\" (built in)"]);
    let advice = explained("rules.ph-high.advice");
    assert_eq!(advice[0], "rules.ph-high.advice = deleted (client version 7, acme)");
    assert!(advice[1].starts_with("  \"Check that the acid doser runs"), "{advice:?}");
    let sensor = explained("sensors.\"tower-1/ph\"");
    assert_eq!(
        sensor,
        [
            "sensors.\"tower-1/ph\".enabled = true (built in)",
            "sensors.\"tower-1/ph\".interval = \"15s\" (config.d, config.d/farm.toml:3)",
            "sensors.\"tower-1/ph\".max_rate = 2 (agent.quantities.ph.max_rate by base, base/quantities.toml)",
            "sensors.\"tower-1/ph\".quantity = \"ph\" (config.d, config.d/farm.toml:2)",
            "sensors.\"tower-1/ph\".range = [0,14] (agent.quantities.ph.range by base, base/quantities.toml)",
            "sensors.\"tower-1/ph\".resolution = 0.01 (agent.quantities.ph.resolution by base, base/quantities.toml)",
            "sensors.\"tower-1/ph\".stale_after = \"45s\" (built in)",
        ]
    );
    assert_eq!(
        explained("sensors.tower-2/ph.range"),
        ["sensors.\"tower-2/ph\".range = [3,10] (config.d, config.d/farm.toml:17)"],
        "the zone's own word"
    );
}

#[test]
fn a_whole_namespace_or_zone_can_be_asked_for() {
    assert!(explained("rules").len() > 13 * 8);
    assert!(explained("agent.quantities").len() > 30 * 3 - 1);
    let annex = explained("zones.annex");
    assert!(annex.contains(&"zones.annex.rules.ph-low.below = 5.0 (base, base/rules.toml)".to_owned()), "{annex:?}");
}

#[test]
fn under_a_zone_there_is_what_concerns_it() {
    let annex = explained("zones.annex");
    let leaves: Vec<&str> = annex.iter().filter(|line| !line.starts_with(' ')).map(String::as_str).collect();
    // The farm's own words first.
    assert_eq!(leaves[0], "zones.annex.rules.ph-high.above = 6.6 (config.d, config.d/farm.toml:14)");
    let shipped = leaves.iter().position(|leaf| leaf.starts_with("zones.annex.agent.")).unwrap();
    let sensor = leaves.iter().rposition(|leaf| leaf.starts_with("zones.annex.sensors.")).unwrap();
    assert!(sensor < shipped, "{leaves:?}");
    assert!(!leaves[shipped..].iter().any(|leaf| leaf.contains("(config.d, ")), "{leaves:?}");
    assert!(!leaves.iter().any(|leaf| leaf.starts_with("zones.annex.agent.quantities")), "{leaves:?}");
    assert!(explained("zones.annex.agent.quantities").len() > 30 * 3 - 1, "asked for by name");

    let sensors = |zone: &str| explained(&format!("zones.{zone}.sensors"));
    assert!(sensors("annex").iter().all(|line| line.starts_with("zones.annex.sensors.\"tower-2/ph\"")));
    assert!(sensors("tower-1").iter().all(|line| line.starts_with("zones.tower-1.sensors.\"tower-1/ph\"")));
    assert!(explain(&loaded(), "zones.annex.sensors.'tower-1/ph'").is_err());
}

#[test]
fn what_only_zones_say_is_found_from_the_device() {
    let mut documents = base();
    let farm = "sensors.'a/ph'.quantity = 'ph'\nzones.a.rules.own = { quantity = 'ph', above = 7 }\n\
                zones.a.rules.ph-high.cooldown = '1h'";
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", farm));
    let loaded = load_documents(documents, Purpose::Replay);
    let error = explain(&loaded, "rules.own.above").unwrap_err().to_string();
    assert_eq!(error, "there is no rules.own.above; did you mean zones.a.rules.own.above?");
    let built_in = explain(&loaded, "rules.ph-high.cooldown").unwrap();
    assert_eq!((&built_in[0].origin, built_in[0].zones[0].zone.as_str()), (&Origin::BuiltIn, "a"));
}

#[test]
fn the_paths_to_begin_with_are_what_says_anything_and_the_zones() {
    assert_eq!(
        top_paths(&loaded()),
        ["sensors", "rules", "escalation", "notifications", "schedules", "agent", "zones.annex", "zones.tower-1"]
    );
}

#[test]
fn a_path_to_nothing_names_near_ones() {
    for (path, expected) in [
        ("tower-1/ph", "there is no tower-1/ph; did you mean sensors.\"tower-1/ph\"?"),
        ("rules.ph-hihg", "there is no rules.ph-hihg; did you mean rules.ph-high?"),
        ("rules.ph-high.abvoe", "there is no rules.ph-high.abvoe; did you mean rules.ph-high.above?"),
        ("rules.ph-high.above.x", "there is no rules.ph-high.above.x"),
        ("agnet", "there is no agnet; did you mean agent?"),
        ("zones.annxe.rules", "there is no zones.annxe.rules; did you mean zones.annex?"),
        ("zones.annex.rules.x", "there is no zones.annex.rules.x; there are zones.annex.rules.co2-high, "),
        ("sensors.'tower-1/hp'", "there is no sensors.'tower-1/hp'; did you mean sensors.\"tower-1/ph\"?"),
        ("", "there is no empty path; there are sensors, rules, "),
    ] {
        let error = explain(&loaded(), path).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{path}: {error}");
    }
}

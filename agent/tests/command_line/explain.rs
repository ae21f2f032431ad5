//! `explain`.

use serde_json::json;

use crate::farm::Farm;

fn farm(name: &str) -> Farm {
    Farm::empty(name)
        .with(
            "config.d/10-tower.toml",
            "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\nrange = [1, 13]\n\n[rules.ph-high]\nabove = 6.6\nclear = 6.4\n",
        )
        .with("config.d/20-crop.toml", "[rules.ph-high]\nabove = 6.7\n[zones.tower-1.rules.ph-high]\nabove = 6.5\n")
}

#[test]
fn a_value_says_who_set_it_over_whom() {
    let farm = farm("explain-value");
    let ran = farm.run(&["explain", "--config", ".", "rules.ph-high.above"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "rules.ph-high.above = 6.7  config.d/20-crop.toml:2 (config.d)");
    assert_eq!(lines[1], "    over 6.6  config.d/10-tower.toml:7 (config.d)");
    assert!(lines[2].starts_with("    over 7.0  base/rules.toml:") && lines[2].ends_with(" (base)"), "{}", lines[2]);
    assert_eq!(lines[3..], ["    in zones.tower-1: 6.5  config.d/20-crop.toml:4 (config.d)"]);

    let ran = farm.run(&["explain", "--config", ".", "zones.tower-1.rules.ph-high.above"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.out.starts_with("zones.tower-1.rules.ph-high.above = 6.5  config.d/20-crop.toml:4 (config.d)\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("\n    over 6.7  config.d/20-crop.toml:2 (config.d, rules.ph-high.above)\n"),
        "{}",
        ran.out
    );
}

#[test]
fn a_value_as_json() {
    let ran = farm("explain-json").run(&["explain", "--config", ".", "--json", "rules.ph-high.above"]);
    assert_eq!(ran.code, Some(0));
    let objects = ran.objects();
    assert_eq!(objects.len(), 1);
    let value = &objects[0];
    assert_eq!((&value["path"], &value["value"]), (&json!("rules.ph-high.above"), &json!(6.7)));
    assert_eq!(
        (&value["layer"], &value["file"], &value["line"]),
        (&json!("config.d"), &json!("config.d/20-crop.toml"), &json!(2))
    );
    let overridden = value["overridden"].as_array().expect("a list");
    assert_eq!(overridden.iter().map(|said| &said["layer"]).collect::<Vec<_>>(), ["config.d", "base"]);
}

#[test]
fn everything_under_a_path_is_explained() {
    let ran = farm("explain-under").run(&["explain", "--config", ".", "sensors.\"tower-1/ph\""]);
    assert_eq!(ran.code, Some(0));
    for start in [
        "sensors.\"tower-1/ph\".quantity = \"ph\"  config.d/10-tower.toml:2 (config.d)",
        "sensors.\"tower-1/ph\".range = [1,13]  config.d/10-tower.toml:4 (config.d)",
        "sensors.\"tower-1/ph\".resolution = 0.01  base/quantities.toml:",
        "sensors.\"tower-1/ph\".enabled = true  built in",
    ] {
        assert!(ran.out.lines().any(|line| line.starts_with(start)), "no {start:?} in\n{}", ran.out);
    }
}

#[test]
fn an_unknown_path_is_answered_with_near_ones() {
    let farm = farm("explain-unknown");
    for (path, says) in [
        ("rules.ph-hgh", "tilth-agent: there is no rules.ph-hgh; did you mean rules.ph-high?"),
        ("rulez", "tilth-agent: there is no rulez; did you mean rules?"),
        ("zones.tower-2", "tilth-agent: there is no zones.tower-2; did you mean zones.tower-1?"),
    ] {
        let ran = farm.run(&["explain", "--config", ".", path]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{path}");
        ran.tells(says);
    }
}

#[test]
fn without_a_path_there_is_a_list() {
    let farm = farm("explain-list");
    let ran = farm.run(&["explain", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let first_words: Vec<&str> = ran.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for path in ["sensors", "rules", "escalation", "zones.tower-1"] {
        assert!(first_words.contains(&path), "no {path} in\n{}", ran.out);
    }
    let objects = farm.run(&["explain", "--config", ".", "--json"]).objects();
    let sensors = objects.iter().find(|object| object["path"] == "sensors").expect("sensors");
    assert_eq!(sensors["entries"], 1);
    assert!(sensors["values"].as_u64().is_some_and(|values| values >= 4));
}

#[test]
fn a_broken_configuration_is_explained_as_far_as_it_goes() {
    let farm = farm("explain-broken").with("config.d/30-broken.toml", "[rules.ph-high]\nabove = \"seven\"\n");
    let ran = farm.run(&["explain", "--config", ".", "rules.ph-high.above"]);
    assert_eq!(ran.code, Some(2));
    ran.tells("config.d/30-broken.toml:2:9: error: rules.ph-high.above: ");
    assert!(
        ran.out.starts_with("rules.ph-high.above = \"seven\"  config.d/30-broken.toml:2 (config.d)\n"),
        "{}",
        ran.out
    );
}

use tilth_config::{Document, Documents, Layer, Purpose};

use super::*;

fn loaded(text: &str) -> Loaded {
    let layers = vec![Document::toml(Layer::ConfigD, "config.d/a.toml", text)];
    tilth_config::load_documents(Documents { layers, agent_toml: None }, Purpose::Replay)
}

#[test]
fn a_terminal_sees_the_offending_line() {
    let loaded = loaded("[rules.a]\nsensor = \"*/*\"\n\tabov = 1\nbelow = 2\nmessage = \"\"\n");
    let abov = loaded.diagnostics.iter().find(|diagnostic| diagnostic.path == "rules.a.abov").expect("it is unknown");
    let framed = framed(abov, &loaded.sources, &Renderer::plain());
    let expected = "error: rules.a.abov: unknown key
 --> config.d/a.toml:3:2
  |
2 | sensor = \"*/*\"
3 |     abov = 1
  |     ^^^^
4 | below = 2
  |
  = help: did you mean \"above\"? expected one of sensor, ";
    assert!(framed.starts_with(expected) && framed.ends_with('\n'), "{framed}");
}

/// A finding may be about the first line or the last, about nothing, and about a table of many lines.
#[test]
fn a_finding_at_the_edge_of_a_file_is_shown() {
    for (text, path, shown) in [
        ("x = 1", "x", "1 | x = 1\n  | ^"),
        ("# ü\n\n[rules.a]\nabov = [\n1,\n2]", "rules.a.abov", "4 | abov = [\n  | ^^^^\n5 | 1,"),
    ] {
        let loaded = loaded(text);
        let found = loaded.diagnostics.iter().find(|diagnostic| diagnostic.path == path).expect(path);
        let framed = framed(found, &loaded.sources, &Renderer::plain());
        assert!(framed.contains(shown), "{framed}");
    }
}

#[test]
fn a_finding_without_a_place_names_its_file() {
    let layers = vec![Document {
        file: "config.d/a.toml".to_owned(),
        layer: Some(Layer::ConfigD),
        version: None,
        text: tilth_config::Text::Unreadable("cannot be read".to_owned()),
    }];
    let loaded = tilth_config::load_documents(Documents { layers, agent_toml: None }, Purpose::Replay);
    assert_eq!(
        framed(&loaded.diagnostics[0], &loaded.sources, &Renderer::plain()).trim_end(),
        "error: config.d/a.toml: cannot be read"
    );
    assert_eq!(Counts::of(&loaded).to_string(), "1 error, 0 warnings");
}

use miette::{GraphicalReportHandler, GraphicalTheme};
use tilth_config::{Document, Documents, Layer, Purpose};

use super::*;

fn loaded(text: &str) -> Loaded {
    let layers = vec![Document::toml(Layer::ConfigD, "config.d/a.toml", text)];
    tilth_config::load_documents(Documents { layers, agent_toml: None }, Purpose::Replay)
}

#[test]
fn a_terminal_sees_the_offending_line() {
    let loaded = loaded("[rules.a]\nsensor = \"*/*\"\n\tabov = 1\nbelow = 2\nmessage = \"\"\n");
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_context_lines(1);
    let abov = loaded.diagnostics.iter().find(|diagnostic| diagnostic.path == "rules.a.abov").expect("it is unknown");
    let framed = framed(abov, &loaded.sources, &handler);
    let lines: Vec<&str> = framed.lines().collect();
    assert_eq!(lines[0], "  × rules.a.abov: unknown key");
    assert_eq!(lines[1], "   ╭─[config.d/a.toml:3:2]");
    assert_eq!(lines[3], " 3 │     abov = 1");
    assert_eq!(lines[4], "   ·     ────");
    assert!(framed.contains("  help: did you mean \"above\"?") && framed.ends_with("\n"), "{framed}");
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
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    assert_eq!(
        framed(&loaded.diagnostics[0], &loaded.sources, &handler).trim_end(),
        "  × config.d/a.toml: cannot be read"
    );
    assert_eq!(Counts::of(&loaded).to_string(), "1 error, 0 warnings");
}

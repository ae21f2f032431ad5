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
        ("x = 1\r\n[rules.a]\r\n", "x", "1 | x = 1\n  | ^\n2 | [rules.a]\n"),
    ] {
        let loaded = loaded(text);
        let found = loaded.diagnostics.iter().find(|diagnostic| diagnostic.path == path).expect(path);
        let framed = framed(found, &loaded.sources, &Renderer::plain());
        assert!(framed.contains(shown), "{framed}");
    }
}

/// What a terminal obeys and does not show is in no finding, whether TOML allows it or not.
#[test]
fn control_characters_of_a_file_do_not_reach_a_terminal() {
    let allowed = "# \u{9b}31m\u{202e}\n'\u{9b}\u{202e}' = '\u{9b}\u{202e}'\n\"\\u001b[31m\" = 1\n";
    let forbidden = "x = '\u{1b}]0;x\u{7}\u{9b}\u{7f}\u{202e}\r'\n";
    for text in [allowed, forbidden] {
        let loaded = loaded(text);
        for diagnostic in &loaded.diagnostics {
            let framed = framed(diagnostic, &loaded.sources, &Renderer::plain());
            let is_obeyed = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
            assert!(!framed.contains(is_obeyed), "{framed:?}");
        }
    }
}

/// Of two files with one name the finding of the longer has no place in the shorter.
#[test]
fn a_place_that_a_text_lacks_is_no_excerpt() {
    let named = |text: &str| Document::toml(Layer::ConfigD, "config.d/\u{fffd}.toml", text);
    let layers = ["# ü\n", "\n\n\n\n\n\nx = 1\n", "\n\n\ny = 1"].map(named).into();
    let loaded = tilth_config::load_documents(Documents { layers, agent_toml: None }, Purpose::Replay);
    for key in ["x", "y"] {
        let found = loaded.diagnostics.iter().find(|diagnostic| diagnostic.path == key).expect(key);
        let framed = framed(found, &loaded.sources, &Renderer::plain());
        assert!(framed.starts_with(&format!("error: config.d/\u{fffd}.toml: {key}: unknown key\n")), "{framed}");
    }
}

#[test]
fn an_excerpt_of_a_long_line_fits_a_terminal() {
    let loaded = loaded(&format!("x = \"{0}\" # {0}\n", "a".repeat(1 << 20)));
    let unknown = loaded.diagnostics.iter().find(|diagnostic| diagnostic.path == "x").expect("an unknown key");
    let framed = framed(unknown, &loaded.sources, &Renderer::plain().term_width(COLUMNS));
    assert!(framed.lines().skip(1).take(3).all(|line| line.len() <= COLUMNS), "{framed}");
}

#[test]
fn colours_are_for_terminals_that_show_them() {
    for (no_color, term, expected) in [
        (None, Some("xterm"), true),
        (Some(""), Some("xterm"), true),
        (Some("0"), Some("xterm"), false),
        (None, Some("dumb"), false),
        (None, None, false),
    ] {
        assert_eq!(has_colours(no_color.map(OsStr::new), term.map(OsStr::new)), expected, "{no_color:?} {term:?}");
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

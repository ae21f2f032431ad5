use super::*;
use crate::{Purpose, load_documents};

const SENSOR: &str = "[sensors.'a/ph']\nquantity = 'ph'\ninput = 'line:gateway/ph'\n";
const RULE: &str = "[rules.ph-high]\nabove = 6.6\nclear = 6.5\n";

#[test]
fn a_file_that_is_not_written_to_its_end_is_known_by_what_it_was() {
    let files = |text: &str| Files {
        agent_toml: None,
        merged: Some(vec![File { file: "a.toml".to_owned(), layer: Layer::ConfigD, text: text.to_owned() }]),
    };
    for (before, now, expected) in [
        (RULE, RULE, false),
        (RULE, "", true),
        (RULE, "  \n", true),
        ("# nothing yet\n", "", true),
        ("", RULE, false),
        (RULE, "[rules.ph-high]\nabove = 6.6\n", true),
        (RULE, "[rules.ph-high]\nabove = 6.9\nclear = 6.5\n", false),
        (RULE, "[rules.ph-high]\nabove = 6.9\nclear = 6", true),
        ("above = 6.6", "above = 6.7", false),
        ("above = 16.6\nclear = 16", "# edited\nabove = 1", true),
        ("", "above = 2", true),
        (RULE, "[rules.ph-low]\nbelow = 5\n", false),
    ] {
        let expected: &[&str] = if expected { &["a.toml"] } else { &[] };
        assert_eq!(files(now).unfinished(&files(before)), expected, "{before:?} to {now:?}");
    }
    assert_eq!(files("").unfinished(&Files::default()), [""; 0], "a new one");
}

#[test]
fn kept_files_are_the_documents_that_they_were_read_from() {
    let agent_toml =
        Document::agent_toml("[device]\nid = 'pi-1'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n");
    let mut documents = Documents { agent_toml: Some(agent_toml), ..crate::base() };
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/a.toml", SENSOR));
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/b.toml", RULE));
    let loaded = load_documents(documents.clone(), Purpose::Run);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let kept = serde_json::to_string(&Files::of(&loaded)).unwrap();
    let files: Files = serde_json::from_str(&kept).unwrap();
    assert_eq!(files.documents(), documents);

    let alone = Files::of_agent_toml(&loaded);
    assert_eq!(alone.documents().layers.len(), crate::base().layers.len());
    assert_eq!(alone.over(files).documents(), documents);
}

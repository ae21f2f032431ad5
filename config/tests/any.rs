//! For any text in the files: no panic, a plan exactly when nothing is wrong, and every place in its text.

use proptest::prelude::*;
use serde_json::Value as Json;
use tilth_config::{Document, Layer, Purpose, Text, base, explain, load_documents, schema};

const FARM: &str = include_str!("broken/zones/config.d/tower.toml");
const AGENT_TOML: &str = include_str!("broken/lines/agent.toml");

fn check(config: Text, agent_toml: Option<Vec<u8>>, purpose: Purpose) {
    let mut documents = base();
    let document = |layer, text| Document { file: "x.toml".to_owned(), layer, version: None, text };
    documents.layers.push(document(Some(Layer::ConfigD), config));
    documents.agent_toml =
        agent_toml.map(|bytes| Document { file: "agent.toml".into(), ..document(None, Text::Toml(bytes)) });
    let loaded = load_documents(documents, purpose);
    assert_eq!(loaded.plan.is_some(), !loaded.has_errors(), "{:?}", loaded.diagnostics);
    for diagnostic in &loaded.diagnostics {
        assert!(!diagnostic.message.contains('\n'), "{diagnostic}");
        if let Some(position) = &diagnostic.position {
            let text = loaded.sources.text(&diagnostic.file).expect("a place is in a text");
            assert!(text.get(position.span.clone()).is_some(), "{diagnostic}");
        }
    }
    for path in ["rules", "sensors", "zones.tower-1", "agent", "schedules.day", "nothing"] {
        // Either answer is fine; it has to come.
        let _ = explain(&loaded, path);
    }
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop::sample::select(vec![Purpose::Run, Purpose::Check, Purpose::Replay])
}

/// A good text with some of its bytes replaced, cut out or put in.
fn spoiled(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "",
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        "\n",
        "\r\n",
        "#",
        "0",
        "-1",
        "1e999",
        "nan",
        "\u{feff}",
        "\0",
        "é",
        "[[",
        "\"\"\"",
        ", ",
        "true",
        "[zones.a.rules.ph-high]",
        "null",
        "5m",
        "*/*",
    ]);
    let edit = (0..text.len(), 0..12_usize, pieces, any::<Option<u8>>());
    prop::collection::vec(edit, 0..6).prop_map(|edits| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, cut, piece, byte) in edits {
            let at = at.min(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, piece.bytes().chain(byte));
        }
        bytes
    })
}

/// Trees of the words that mean something, in places where they may not.
fn words() -> impl Strategy<Value = Json> {
    let mut keys = schema::namespaces();
    keys.extend([
        "a",
        "a/ph",
        "b/ec",
        "default",
        "day",
        "log",
        "quantity",
        "sensor",
        "above",
        "below",
        "outside",
        "clear",
        "for",
        "range",
        "resolution",
        "calibration",
        "points",
        "gain",
        "during",
        "channels",
        "warning",
        "wait",
        "kind",
        "from",
        "to",
        "timezone",
        "days",
        "quantities",
        "ph",
        "sensor_fault",
        "enabled",
        "zone",
        "pair",
        "input",
        "actions",
        "missing_for",
        "across",
        "x",
    ]);
    let keys = prop::sample::select(keys);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-20..20_i64).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        prop::sample::select(vec![
            "ph",
            "ec",
            "a/ph",
            "*/ph",
            "*/*",
            "5m",
            "0s",
            "default",
            "day",
            "log",
            "06:00",
            "mon",
            "a",
            "b",
            "warning",
            "line:g/ph",
            "",
            "{value}",
            "{",
            "Europe/Amsterdam",
            "optimal",
        ])
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(7, 80, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            6 => prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    // More with PROPTEST_CASES.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(config in prop::collection::vec(any::<u8>(), 0..300), agent_toml in prop::collection::vec(any::<u8>(), 0..100)) {
        check(Text::Toml(config), Some(agent_toml), Purpose::Run);
    }

    #[test]
    fn any_letters(config in "[a-z\\[\\]\\.=\"'{}0-9 ,#\n-]{0,200}", purpose in purpose()) {
        check(Text::Toml(config.into_bytes()), None, purpose);
    }

    #[test]
    fn spoiled_files(config in spoiled(FARM), agent_toml in spoiled(AGENT_TOML), purpose in purpose()) {
        check(Text::Toml(config), Some(agent_toml), purpose);
    }

    #[test]
    fn words_in_any_order(config in words(), purpose in purpose()) {
        check(Text::Json(config), None, purpose);
    }
}

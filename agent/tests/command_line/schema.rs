//! `schema`.

use serde_json::Value;

use crate::farm::Farm;

#[test]
fn a_schema_is_printed_of_each_file_and_of_a_namespace() {
    let farm = Farm::empty("schema");
    for (arguments, has, has_not) in [
        (&["schema"][..], "sensors.-ZONE-NAME-", "device"),
        (&["schema", "config.d"], "rules.NAME", "device"),
        (&["schema", "agent.toml"], "device", "rules.NAME"),
        (&["schema", "--namespace", "rules"], "rules.NAME", "schedules.NAME"),
    ] {
        let ran = farm.run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
        let schema: Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let definitions = schema["$defs"].as_object().expect("definitions");
        assert!(definitions.contains_key(has) && !definitions.contains_key(has_not), "{arguments:?}: {definitions:?}");
    }
}

#[test]
fn what_has_no_schema_is_refused_with_what_has_one() {
    let farm = Farm::empty("schema-unknown");
    for (arguments, expected) in
        [(&["schema", "tower.toml"][..], "config.d, agent.toml"), (&["schema", "--namespace", "rule"], "rules")]
    {
        let ran = farm.run(arguments);
        assert!(ran.code == Some(2) && ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
}

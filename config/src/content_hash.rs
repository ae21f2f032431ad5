//! Names a configuration by the bytes of what it says: all layers merged, and the part of `agent.toml` that a running agent takes up.
//!
//! The name is the same for the same content, whichever files or bundle it is from and whichever version of this program reads it.

use serde_json::{Map, Value as Json, json};

use crate::bundle::ContentHash;
use crate::document::Effective;
use crate::tree::Table;

/// Tables of `agent.toml` that a running agent takes up. The device's name and the hub's address are read at the start only.
const TAKEN_UP: [&str; 2] = ["bus", "secrets"];

/// The part of `agent.toml` that counts. That there is a hub counts: alerts about it are watched.
pub(crate) fn of_agent_toml(table: &Table) -> Json {
    let mut agent_toml: Map<String, Json> = table
        .iter()
        .filter(|(key, _)| TAKEN_UP.contains(&key.as_str()))
        .map(|(key, entry)| (key.clone(), entry.node.to_json()))
        .collect();
    agent_toml.insert("has_hub".to_owned(), Json::Bool(table.contains_key("hub")));
    Json::Object(agent_toml)
}

/// Names a configuration of these layers, with what [`of_agent_toml`] gives.
pub(crate) fn of(effective: &Effective, agent_toml: &Json) -> ContentHash {
    let documents: Map<String, Json> =
        effective.merged.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect();
    ContentHash::of(&json!({ "documents": documents, "site": agent_toml }))
}

#[cfg(test)]
mod tests {
    use crate::{Document, Documents, Layer, Purpose, load_documents};

    const SENSORS: &str = "[sensors.'a/ph']\nquantity = 'ph'\ninput = 'line:gateway/ph'\n";
    const AGENT_TOML: &str = "[device]\nid = 'pi-1'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n\
        [hub]\nurl = 'https://hub.example'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'\n";

    fn hash(texts: &[&str], agent_toml: &str) -> String {
        let layer = |text: &&str| Document::toml(Layer::ConfigD, "config.d/a.toml", text);
        let layers = texts.iter().map(layer).collect();
        load_documents(Documents { layers, agent_toml: Some(Document::agent_toml(agent_toml)) }, Purpose::Run)
            .hash
            .to_string()
    }

    /// Guards against: an upgrade at which every farm seems to have another configuration.
    #[test]
    fn a_configuration_keeps_its_name_over_versions() {
        let name = "35fb95f4ae9bf6ee96cc6da7a831c10a73108f2386c95a55d386805ba183dda1";
        assert_eq!(hash(&[SENSORS], AGENT_TOML), name);
    }

    #[test]
    fn what_is_said_counts_and_not_how() {
        let rule = "[rules.own]\nsensor = 'a/ph'\nabove = 7\n";
        let both = hash(&[&format!("{SENSORS}{rule}")], AGENT_TOML);
        assert_eq!(hash(&[rule, SENSORS], AGENT_TOML), both, "another order, in two files");
        assert_eq!(hash(&[&format!("# note\n{SENSORS}\n{rule}")], &format!("# note\n{AGENT_TOML}")), both, "comments");
        let renamed = AGENT_TOML.replace("pi-1", "pi-2").replace("hub.example", "other.example");
        assert_eq!(hash(&[SENSORS, rule], &renamed), both, "read at the start only");
        for (texts, agent_toml) in [
            ([SENSORS, &rule.replace('7', "8")], AGENT_TOML.to_owned()),
            ([SENSORS, ""], AGENT_TOML.to_owned()),
            ([SENSORS, rule], AGENT_TOML.replace("USB0", "USB1")),
            ([SENSORS, rule], AGENT_TOML.split_once("[hub]").unwrap().0.to_owned()),
            ([SENSORS, rule], format!("{AGENT_TOML}[secrets.phone]\nhosts = ['ntfy.example']\n")),
        ] {
            assert_ne!(hash(&texts, &agent_toml), both, "{texts:?} {agent_toml}");
        }
    }
}

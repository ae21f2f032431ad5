//! A configuration as it can be kept beside what happened under it: what its layers came to, and `agent.toml`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::agent_toml::Purpose;
use crate::document::{Document, Documents, Text};
use crate::namespaces::{CHANNEL, Privacy};
use crate::redact;
use crate::source::Layer;
use crate::{Loaded, load_documents};

/// All layers merged into one document, with the text of `agent.toml`. Loading it gives the plan that it was made of, also with another
/// base. Secrets are named in it and not held; addresses of channels are left out, and so are comments, for it may be given to others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Merged {
    /// Every namespace, and the patches of the zones.
    documents: Json,
    /// `agent.toml`, where there is one.
    #[serde(rename = "site")]
    agent_toml: Option<String>,
}

impl Merged {
    /// Merges the documents of a configuration.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Merged {
        let entries = loaded.effective.merged.iter();
        let mut documents = Json::Object(entries.map(|(key, entry)| (key.clone(), entry.node.to_json())).collect());
        documents.get_mut("notifications").into_iter().for_each(cut_channels);
        let zones = documents.get_mut("zones").and_then(Json::as_object_mut);
        for zone in zones.into_iter().flat_map(Map::values_mut) {
            zone.get_mut("notifications").into_iter().for_each(cut_channels);
        }
        Merged { documents, agent_toml: loaded.sources.text("agent.toml").map(redact::without_comments) }
    }

    /// Checks and compiles it again, for the same purpose. `file` is what its mistakes are said to be in.
    #[must_use]
    pub fn load(self, file: &str, purpose: Purpose) -> Loaded {
        let Merged { documents, agent_toml } = self;
        let document =
            Document { file: file.to_owned(), layer: Some(Layer::ConfigD), version: None, text: Text::Json(documents) };
        load_documents(
            Documents { layers: vec![document], agent_toml: agent_toml.as_deref().map(Document::agent_toml) },
            purpose,
        )
    }
}

/// Leaves of each channel what others may see by the table of its keys: anyone who knows its address or topic may write there, or read, and
/// phone numbers are personal.
fn cut_channels(channels: &mut Json) {
    channels.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Json::as_object_mut).for_each(cut_keys);
}

fn cut_keys(table: &mut Map<String, Json>) {
    for (name, value) in table {
        let keys: Vec<_> = CHANNEL.all().into_iter().filter_map(|table| table.get(name)).collect();
        // Texts without a form are words and times.
        let privacy = keys.iter().filter_map(|key| Some(key.value.form()?.privacy)).max();
        match (value, privacy) {
            (Json::Object(inner), _) => cut_keys(inner),
            (value, Some(privacy)) => cut(value, privacy),
            (value, None) if keys.is_empty() => *value = Json::Null,
            _ => {}
        }
    }
}

fn cut(value: &mut Json, privacy: Privacy) {
    match (value, privacy) {
        (Json::Null, _) | (_, Privacy::Public) => {}
        (Json::Array(items), _) => {
            items.iter_mut().for_each(|item| cut(item, privacy));
            items.dedup();
        }
        (Json::String(text), Privacy::Server) => *text = redact::server(text),
        (value, Privacy::Private(stand_in)) => *value = stand_in.into(),
        (value, Privacy::Server | Privacy::Unstated) => *value = Json::Null,
    }
}

#[cfg(test)]
mod tests;

//! The files of a configuration as they were read, to be kept and loaded again.

use serde::{Deserialize, Serialize};

use crate::document::{Document, Documents, Text};
use crate::source::Layer;
use crate::{Loaded, base};

/// Files that people wrote on site. Loading them gives the same configuration, over the base that this program ships.
/// Secrets are named in it and not held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Files {
    /// The text of `agent.toml`, where there is one.
    #[serde(rename = "site")]
    agent_toml: Option<String>,
    /// Files that are merged, in their order; none where a bundle is in force in their place.
    merged: Option<Vec<File>>,
}

/// One file that is merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    file: String,
    layer: Layer,
    text: String,
}

impl Files {
    /// The files of a configuration.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Files {
        let merged = loaded.sources.iter().filter_map(|source| {
            let layer = source.layer.filter(|layer| *layer != Layer::Base)?;
            Some(File { file: source.file.clone(), layer, text: source.text.clone()? })
        });
        Files { merged: Some(merged.collect()), ..Files::of_agent_toml(loaded) }
    }

    /// `agent.toml` alone, for a configuration whose other part is a bundle.
    #[must_use]
    pub fn of_agent_toml(loaded: &Loaded) -> Files {
        Files { agent_toml: loaded.sources.text("agent.toml").map(str::to_owned), merged: None }
    }

    /// Takes these files; if none of them are merged, the merged files of `before`.
    #[must_use]
    pub fn over(self, before: Files) -> Files {
        Files { merged: self.merged.or(before.merged), ..self }
    }

    /// The files that may not be written to their end, beside what they were: one that is empty now, that stops where the one
    /// before went on, or whose last line has no end, unless it had none before and the file did not get shorter.
    #[must_use]
    pub fn unfinished(&self, before: &Files) -> Vec<&str> {
        let was = |now: &File| before.merged.iter().flatten().find(|file| file.file == now.file);
        let text_of = |file: &File| file.text.clone();
        let is_merged = before.merged.is_some();
        let of_merged = self
            .merged
            .iter()
            .flatten()
            .filter(|now| is_merged && is_unfinished(&was(now).map(text_of).unwrap_or_default(), &now.text));
        let agent_toml =
            self.agent_toml.as_deref().zip(before.agent_toml.as_deref()).filter(|(now, was)| is_unfinished(was, now));
        agent_toml.iter().map(|_| "agent.toml").chain(of_merged.map(|file| file.file.as_str())).collect()
    }

    /// Whether those that are merged are in force.
    pub(crate) fn is_merged(&self) -> bool {
        self.merged.is_some()
    }

    /// `agent.toml`.
    #[must_use]
    pub fn agent_toml(&self) -> Option<Document> {
        self.agent_toml.as_deref().map(Document::agent_toml)
    }

    /// Text of `agent.toml`.
    #[must_use]
    pub fn agent_toml_text(self) -> Option<String> {
        self.agent_toml
    }

    /// All of them, over the shipped base.
    #[must_use]
    pub fn documents(&self) -> Documents {
        let document = |file: &File| Document {
            file: file.file.clone(),
            layer: Some(file.layer),
            version: None,
            text: Text::Toml(file.text.clone().into_bytes()),
        };
        let layers = base::documents().chain(self.merged.iter().flatten().map(document)).collect();
        Documents { layers, agent_toml: self.agent_toml() }
    }
}

fn is_unfinished(before: &str, now: &str) -> bool {
    let is_emptied = now.trim().is_empty() && !before.trim().is_empty();
    let is_cut = now.len() < before.len() && before.starts_with(now);
    let has_end = |text: &str| text.is_empty() || text.ends_with('\n');
    is_emptied || is_cut || !has_end(now) && (has_end(before) || now.len() < before.len())
}

#[cfg(test)]
mod tests;

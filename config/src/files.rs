//! The files of a configuration as they were read, to be kept and loaded again.

use serde::{Deserialize, Serialize};

use crate::document::{Document, Documents, Text};
use crate::source::Layer;
use crate::{Loaded, base};

/// What people wrote on site, by file. Loading it gives what it was read from, over the base that this program ships.
/// Secrets are named in it and not held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Files {
    /// The text of `agent.toml`, where there is one.
    site: Option<String>,
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
    /// Of a configuration that was loaded from files.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Files {
        let merged = loaded.sources.iter().filter_map(|source| {
            let layer = source.layer.filter(|layer| *layer != Layer::Base)?;
            Some(File { file: source.file.clone(), layer, text: source.text.clone()? })
        });
        Files { merged: Some(merged.collect()), ..Files::site_of(loaded) }
    }

    /// Of a configuration that has nothing but `agent.toml` from files.
    #[must_use]
    pub fn site_of(loaded: &Loaded) -> Files {
        Files { site: loaded.sources.text("agent.toml").map(str::to_owned), merged: None }
    }

    /// These files; where they have none that are merged, those of before.
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
        let site = self.site.as_deref().zip(before.site.as_deref()).filter(|(now, was)| is_unfinished(was, now));
        site.iter().map(|_| "agent.toml").chain(of_merged.map(|file| file.file.as_str())).collect()
    }

    /// Whether those that are merged are in force.
    pub(crate) fn is_merged(&self) -> bool {
        self.merged.is_some()
    }

    /// `agent.toml`.
    #[must_use]
    pub fn site(&self) -> Option<Document> {
        self.site.as_deref().map(Document::site)
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
        Documents { layers, site: self.site() }
    }
}

fn is_unfinished(before: &str, now: &str) -> bool {
    let is_emptied = now.trim().is_empty() && !before.trim().is_empty();
    let is_cut = now.len() < before.len() && before.starts_with(now);
    let has_end = |text: &str| text.is_empty() || text.ends_with('\n');
    is_emptied || is_cut || !has_end(now) && (has_end(before) || now.len() < before.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, load_documents};

    const SENSOR: &str = "[sensors.'a/ph']\nquantity = 'ph'\ninput = 'line:gateway/ph'\n";
    const RULE: &str = "[rules.ph-high]\nabove = 6.6\nclear = 6.5\n";

    #[test]
    fn a_file_that_is_not_written_to_its_end_is_known_by_what_it_was() {
        let files = |text: &str| Files {
            site: None,
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
        let site = Document::site("[device]\nid = 'pi-1'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n");
        let mut documents = Documents { site: Some(site), ..crate::base() };
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/a.toml", SENSOR));
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/b.toml", RULE));
        let loaded = load_documents(documents.clone(), Purpose::Run);
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let kept = serde_json::to_string(&Files::of(&loaded)).unwrap();
        let files: Files = serde_json::from_str(&kept).unwrap();
        assert_eq!(files.documents(), documents);

        let alone = Files::site_of(&loaded);
        assert_eq!(alone.documents().layers.len(), crate::base().layers.len());
        assert_eq!(alone.over(files).documents(), documents);
    }
}

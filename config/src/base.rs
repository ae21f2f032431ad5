//! The configuration that is shipped with the program: what holds on a farm that says nothing else.

use crate::document::Document;
use crate::source::Layer;

const FILES: [(&str, &str); 5] = [
    ("base/escalation.toml", include_str!("../base/escalation.toml")),
    ("base/faults.toml", include_str!("../base/faults.toml")),
    ("base/quantities.toml", include_str!("../base/quantities.toml")),
    ("base/rules.toml", include_str!("../base/rules.toml")),
    ("base/schedules.toml", include_str!("../base/schedules.toml")),
];

/// The shipped documents, in the order in which they are merged.
pub(crate) fn documents() -> impl Iterator<Item = Document> {
    FILES.into_iter().map(|(file, text)| Document::toml(Layer::Base, file, text))
}

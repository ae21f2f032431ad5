//! What lines hold before any sensor is configured: the labels with values, and as which quantities each can be read. Pure.
//!
//! The survey asks the decoder that reads the bus later, once for each quantity. So a name that is found here is one that the agent reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tilth_config::LineName;
use tilth_core::id::SensorId;
use tilth_core::label::Label;
use tilth_core::quantity::Quantity;

use super::missing::LineCounts;
use super::names::LineInput;
use super::parse::Decoder;
use super::{attributes, number, pairs, reasons, table};
use crate::sense::bus::health::MessageStats;

/// Upper limit of values of one bus that are found.
const MAX_VALUES: usize = 64;

/// Bytes that came from a bus at once, and when since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) at: Duration,
    pub(crate) bytes: Vec<u8>,
}

/// A value that lines carry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundValue {
    pub(crate) name: LineName,
    /// The quantities that it can be of, in the order of [`Quantity::ALL`], each with its newest value.
    pub(crate) readable: Vec<(Quantity, f64)>,
    /// Whether the lines say its unit, so that it cannot be of every quantity.
    pub(crate) has_unit: bool,
    /// How often it came, and the time from the first to the last.
    pub(crate) count: u32,
    pub(crate) span: Duration,
}

/// What lines hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Survey {
    pub(crate) values: Vec<FoundValue>,
    /// What became of the lines, where sensors read the values above.
    pub(crate) messages: MessageStats,
    /// Lines that were text from their beginning to their end.
    pub(crate) whole: u64,
}

impl Survey {
    /// Whether lines came, the first perhaps half of one, and nothing that is no text.
    pub(crate) fn is_text(&self) -> bool {
        let count = |reason| self.messages.count(reason);
        self.messages.received > 0 && count(reasons::NOT_TEXT) + count(reasons::TOO_LONG) == 0
    }

    /// Reads what came, first to last. `columns` are the names of the columns of lines without a header.
    pub(crate) fn of(chunks: &[Chunk], columns: Option<&[String]>) -> Survey {
        let (mut names, node) = labels(chunks, columns);
        let nodes = SurveyPass::run(Quantity::Count, &names, columns, chunks).nodes;
        if let Some(node) = node {
            names = names.into_iter().zip(nodes).flat_map(|(name, nodes)| of_nodes(name, &node, &nodes)).collect();
        }
        let passes: Vec<(Quantity, SurveyPass)> = Quantity::ALL
            .into_iter()
            .map(|quantity| (quantity, SurveyPass::run(quantity, &names, columns, chunks)))
            .collect();
        let values = names.iter().enumerate().filter_map(|(ix, name)| found(ix, name, &passes)).collect();
        let messages =
            passes.into_iter().find(|(quantity, _)| *quantity == Quantity::Count).map(|(_, pass)| pass.messages);
        let messages = messages.unwrap_or_default();
        Survey { values, whole: LineCounts::of(&messages).whole, messages }
    }
}

/// Names for the columns of a line of bare numbers, for a person to replace.
pub(crate) fn columns(line: &str) -> Vec<String> {
    (1..=table::width(line)).map(|number| format!("column {number}")).collect()
}

/// The labels of the lines that may be over values, and the one that says which node a line is of.
fn labels(chunks: &[Chunk], columns: Option<&[String]>) -> (Vec<LineName>, Option<String>) {
    let plain = |label: String| LineName { label, selectors: Vec::new() };
    let first = columns.unwrap_or_default().iter().cloned().chain(contacts(chunks));
    let (mut names, mut node): (Vec<LineName>, Option<String>) = (first.map(plain).collect(), None);
    loop {
        // The decoder keeps some labels that no input reads; those that become inputs make room for others.
        let unmatched_labels = SurveyPass::run(Quantity::Count, &names, columns, chunks).messages.unmatched_labels;
        let before = names.len();
        for text in unmatched_labels {
            match Label::of(&text) {
                Some(label) if attributes::is_node(&label) => node = node.or(Some(text)),
                _ if names.len() < MAX_VALUES && names.iter().all(|name| name.label != text) => {
                    names.push(plain(text));
                }
                _ => {}
            }
        }
        if names.len() == before {
            return (names, node);
        }
    }
}

/// What may be labels of contacts, which say a word such as `open`: a word under a label that no input reads is no value for the decoder.
fn contacts(chunks: &[Chunk]) -> BTreeSet<String> {
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect();
    let text = String::from_utf8_lossy(&bytes);
    let label = |part: &str| {
        let (label, word) = part.rsplit_once([':', '='])?;
        let (label, word) = (label.rsplit([':', '=']).next()?.trim_matches(is_frame), word.trim_matches(is_frame));
        (number::contact(word).is_some() && pairs::is_name(label)).then(|| label.to_owned())
    };
    text.split(['\n', '\r', ',', ';', '|']).filter_map(label).take(MAX_VALUES).collect()
}

/// Whether a character stands around labels and words of JSON and other lines.
fn is_frame(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | '"' | '<' | '>')
}

/// A name for each node that has a value, where several do.
fn of_nodes(name: LineName, node: &str, nodes: &[String]) -> Vec<LineName> {
    if nodes.len() < 2 {
        return vec![name];
    }
    let of = |text: &String| LineName { label: name.label.clone(), selectors: vec![(node.to_owned(), text.clone())] };
    let mut names: Vec<LineName> = nodes.iter().map(of).collect();
    names.sort();
    names
}

fn found(ix: usize, name: &LineName, passes: &[(Quantity, SurveyPass)]) -> Option<FoundValue> {
    let is_read = |tally: &Tally| tally.count > 0 && tally.count >= 4 * tally.unusable;
    let readable =
        || passes.iter().map(|(quantity, pass)| (*quantity, &pass.tallies[ix])).filter(|(_, tally)| is_read(tally));
    let (_, first) = readable().next()?;
    // A contact takes few numbers whether they have a unit or not.
    let of_unit = passes.iter().filter(|(quantity, _)| !matches!(quantity, Quantity::Contact | Quantity::Count));
    let has_unit = of_unit.clone().any(|(_, pass)| !is_read(&pass.tallies[ix]))
        && of_unit.clone().any(|(_, pass)| is_read(&pass.tallies[ix]));
    Some(FoundValue {
        name: name.clone(),
        readable: readable().map(|(quantity, tally)| (quantity, tally.last)).collect(),
        has_unit,
        count: first.count,
        span: first.to.saturating_sub(first.from),
    })
}

/// What the decoder found under one name.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: u32,
    /// Times that something stood there that is no value of the quantity.
    unusable: u32,
    last: f64,
    from: Duration,
    to: Duration,
}

/// One pass over the lines, with every name read as one quantity.
struct SurveyPass {
    tallies: Vec<Tally>,
    /// The nodes that each value came from.
    nodes: Vec<Vec<String>>,
    messages: MessageStats,
}

impl SurveyPass {
    fn run(quantity: Quantity, names: &[LineName], columns: Option<&[String]>, chunks: &[Chunk]) -> SurveyPass {
        let sensor = |ix: usize| SensorId::new(&format!("listen/{ix}")).ok();
        let input = |(ix, name): (usize, &LineName)| {
            Some(LineInput { name: name.clone(), sensor: sensor(ix)?, quantity, unit: None })
        };
        let mut decoder = Decoder::default();
        decoder.set_inputs(names.iter().enumerate().filter_map(input).collect(), columns.map(<[String]>::to_vec));
        decoder.reopen();
        let mut tallies = vec![Tally::default(); names.len()];
        for Chunk { at, bytes } in chunks {
            decoder.push(bytes, |decoded| {
                for (ix, value) in decoded.values {
                    let tally = &mut tallies[*ix];
                    if value.is_nan() {
                        continue;
                    }
                    if tally.count == 0 {
                        tally.from = *at;
                    }
                    *tally = Tally { count: tally.count + 1, last: *value, to: *at, ..*tally };
                }
                let faults = decoded.faults.iter().map(|(ix, _): &(usize, Arc<str>)| ix);
                let unusable = faults.chain(decoded.not_numbers.iter().map(|(ix, _)| ix));
                unusable.for_each(|ix| tallies[*ix].unusable += 1);
            });
        }
        SurveyPass {
            tallies,
            nodes: decoder.assigner.nodes().map(<[String]>::to_vec).collect(),
            messages: decoder.messages().clone(),
        }
    }
}

#[cfg(test)]
mod tests;

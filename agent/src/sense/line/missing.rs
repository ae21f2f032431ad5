//! Explains in words which inputs the lines of a bus lack, and why: a misspelt name is no broken cable. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use tilth_config::{LineName, nearest};
use tilth_core::id::Id;

use super::names::{LabelMatcher, NamedInput};
use super::reasons;
use crate::sense::bus::MissingValues;
use crate::sense::bus::health::{Ignored, MessageStats};

/// Upper limit of names in a message.
const NAMED: usize = 5;

/// Lines without its value after which an input counts as missing, plus two for each input, because nodes on one bus take turns.
const LINES_WITHOUT: u64 = 10;

pub(super) fn missing(names: &LabelMatcher, messages: &MessageStats, bus: &Id) -> MissingValues {
    if messages.received <= messages.count(reasons::PARTIAL) {
        return MissingValues::new();
    }
    let limit = LINES_WITHOUT + 2 * names.inputs.len() as u64;
    let is_missing = |last_line: u64| last_line == 0 || messages.received - last_line > limit;
    let missing = names.inputs.iter().enumerate().filter(|(_, input)| is_missing(input.last_line));
    missing
        .map(|(ix, NamedInput { input, last_line, .. })| {
            let why = why(&input.name, names.has_label(ix), *last_line > 0, messages, bus);
            (input.sensor.clone(), Arc::from(why))
        })
        .collect()
}

fn why(name: &LineName, has_label: bool, was_seen: bool, messages: &MessageStats, bus: &Id) -> String {
    let more = if was_seen { " any more" } else { "" };
    let LineName { label, selectors } = name;
    let beside: Vec<String> = selectors.iter().map(|(name, text)| format!("{name}={text}")).collect();
    let with = if selectors.is_empty() { String::new() } else { format!(" with {}", beside.join(" and ")) };
    let lack = format!("no line of {bus} has \"{label}\"{with}{more}");
    if has_label && !selectors.is_empty() {
        return format!("{lack} beside it; others have it");
    }
    match &messages.last_ignored {
        _ if !messages.unmatched_labels.is_empty() => {
            format!("{lack}; it has {}", likely(label, &messages.unmatched_labels))
        }
        _ if messages.matched > 0 => format!("{lack}; all names that it has are read by other sensors"),
        Some(Ignored { reason, excerpt, .. }) => format!("{lack}; the last was not used ({}): {excerpt}", reason.text),
        None => lack,
    }
}

/// Some of the labels that no sensor reads, the one that was probably meant first.
fn likely(label: &str, unmatched_labels: &BTreeSet<String>) -> String {
    let lower: Vec<String> = unmatched_labels.iter().map(|name| name.to_lowercase()).collect();
    let near = nearest(&label.to_lowercase(), lower.iter().map(String::as_str));
    let near = near.and_then(|near| unmatched_labels.iter().find(|name| name.to_lowercase() == near));
    let others = unmatched_labels.iter().filter(|name| Some(*name) != near);
    let named: Vec<&str> = near.into_iter().chain(others).take(NAMED).map(String::as_str).collect();
    let more = unmatched_labels.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Counts of lines that were text from their beginning to their end.
pub(super) struct LineCounts {
    pub(super) whole: u64,
    /// Whole lines that were ignored, or had a fault.
    pub(super) ignored: u64,
}

impl LineCounts {
    pub(super) fn of(messages: &MessageStats) -> LineCounts {
        let broken = [reasons::PARTIAL, reasons::TOO_LONG, reasons::NOT_TEXT].map(|reason| messages.count(reason));
        let (broken, ignored) = (broken.iter().sum(), messages.ignored.values().sum::<u64>());
        LineCounts { whole: messages.received.saturating_sub(broken), ignored: ignored.saturating_sub(broken) }
    }
}

/// Why lines have no value for a sensor: what was wrong with the last, or else which names they have.
pub(super) fn why_unmatched(messages: &MessageStats, bus: &Id, is_ignored: bool) -> String {
    let MessageStats { last_ignored, unmatched_labels, missing_names, .. } = messages;
    if let Some(Ignored { reason, excerpt, .. }) = last_ignored.as_ref().filter(|_| is_ignored) {
        let help = match *reason {
            reasons::NO_HEADER => format!("; set columns = [..] in [bus.{bus}], or reset the board"),
            _ => String::new(),
        };
        return format!("{} {}, the last: {excerpt}{help}", messages.count(*reason), reason.text);
    }
    let listed = |names: &BTreeSet<String>| names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match (unmatched_labels.is_empty(), missing_names.is_empty()) {
        (false, false) => {
            format!("they have {}; wanted and not seen: {}", listed(unmatched_labels), listed(missing_names))
        }
        (false, true) => format!("they have {}", listed(unmatched_labels)),
        (true, false) => format!("no line has a name that a sensor wants; wanted: {}", listed(missing_names)),
        (true, true) => "no line has a field that a sensor wants".to_owned(),
    }
}

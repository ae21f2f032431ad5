//! Which wanted values the lines of a bus do not have, in words: a misspelt name is no broken cable. Pure.

use std::sync::Arc;

use tilth_config::{LineName, nearest};
use tilth_core::id::Id;

use super::names::Names;
use super::tally::{Last, Reason, Tally};
use crate::sense::bus::Absent;

/// Upper limit of names in a message.
const NAMED: usize = 5;

/// A value that was read before is missing after this many lines without it, and twice the number of wanted values: nodes that share a
/// line take turns.
const LINES_WITHOUT: u64 = 10;

/// The sensors of a bus whose values no line has. `heard` is for each want the number of the line that had it last, 0 for none.
pub(super) fn absent(names: &Names, heard: &[u64], tally: &Tally, bus: &Id) -> Absent {
    if tally.lines <= tally.count(Reason::Partial) {
        return Absent::new();
    }
    let patience = LINES_WITHOUT + 2 * heard.len() as u64;
    let is_absent = |(_, line): &(usize, &u64)| **line == 0 || tally.lines - **line > patience;
    let rows = heard.iter().enumerate().filter(is_absent).map(|(want, line)| {
        let wanted = names.want(want);
        let why = why(&wanted.name, names.has_label(want), *line > 0, tally, bus);
        (wanted.sensor.clone(), Arc::from(why))
    });
    rows.collect()
}

fn why(name: &LineName, has_label: bool, was_heard: bool, tally: &Tally, bus: &Id) -> String {
    let more = if was_heard { " any more" } else { "" };
    let LineName { label, selectors } = name;
    let lack = if selectors.is_empty() {
        format!("no line of {bus} has \"{label}\"{more}")
    } else {
        let beside: Vec<String> = selectors.iter().map(|(name, text)| format!("{name}={text}")).collect();
        format!("no line of {bus} has \"{label}\" with {}{more}", beside.join(" and "))
    };
    if has_label && !selectors.is_empty() {
        return format!("{lack} beside it; others have it");
    }
    if !tally.unused.is_empty() {
        return format!("{lack}; it has {}", likely(label, tally));
    }
    match &tally.last {
        _ if tally.used > 0 => format!("{lack}; all names that it has are read by other sensors"),
        Some(Last { reason, line, .. }) => {
            format!("{lack}; the last was not used ({}): {line}", reason.name())
        }
        None => lack,
    }
}

/// Names of the lines that no sensor wants, the one that was probably meant first.
fn likely(label: &str, tally: &Tally) -> String {
    let label = label.to_lowercase();
    let lower: Vec<String> = tally.unused.iter().map(|name| name.to_lowercase()).collect();
    let near = nearest(&label, lower.iter().map(String::as_str));
    let near = near.and_then(|near| lower.iter().position(|name| name == near));
    let near = near.and_then(|place| tally.unused.iter().nth(place));
    let others = tally.unused.iter().filter(|name| Some(*name) != near);
    let named: Vec<&str> = near.into_iter().chain(others).take(NAMED).map(String::as_str).collect();
    let more = tally.unused.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

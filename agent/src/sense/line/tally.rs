//! What became of the lines of a bus, and what is wrong with the sensors on it, for `status`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tilth_core::id::{Id, SensorId};

use crate::sense::bus::health::{self, About, Ignored, Messages};

/// Characters of a line or label that are kept to be shown.
const MAX_EXCERPT: usize = 80;

/// Upper limit of names kept that lines carry and no sensor wants: enough to find a slip of the keyboard.
const MAX_UNUSED: usize = 16;

/// Upper limit of names in a message.
const NAMED: usize = 5;

/// Why a line, or a field of one, was not used; [`Reason::TABLE`] has the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Partial,
    TooLong,
    NotText,
    NotJson,
    Checksum,
    Header,
    NoHeader,
    Width,
    Unknown,
    NotANumber,
    NotAState,
    WrongUnit,
    Twice,
    Ambiguous,
    NodeUnclear,
    BadTime,
}

/// The last line that was not used as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) reason: Reason,
    /// The beginning of the line.
    pub(crate) line: String,
    /// Which field of it, where it is about one.
    pub(crate) about: Option<About>,
}

/// What became of the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Lines that came, empty ones apart.
    pub(crate) lines: u64,
    /// Lines that gave at least one value to a sensor.
    pub(crate) used: u64,
    ignored: [u64; Reason::ALL.len()],
    /// The last line that was not used as it should, and why.
    pub(crate) last: Option<Last>,
    /// Names that lines carry and no sensor wants.
    pub(crate) unused: BTreeSet<String>,
    /// Names that sensors want and no line has carried so far.
    pub(crate) unseen: BTreeSet<String>,
    /// Why sensors read a fault, until they read a value.
    pub(crate) faults: BTreeMap<SensorId, Arc<str>>,
    /// Which nodes feed a sensor that is read from more than one, unasked.
    pub(crate) mixed: BTreeMap<SensorId, String>,
}

impl Reason {
    /// Each reason with its key in `status` and words for people, in the order of the reasons.
    const TABLE: [(Reason, &'static str, &'static str); 16] = [
        (Reason::Partial, "partial", "half a line after opening"),
        (Reason::TooLong, "too_long", "too long"),
        (Reason::NotText, "not_text", "not text"),
        (Reason::NotJson, "not_json", "broken JSON"),
        (Reason::Checksum, "checksum", "wrong checksum"),
        (Reason::Header, "header", "a header refused: no sensor wants anything of it, and of the one before they do"),
        (Reason::NoHeader, "no_header", "columns without a header"),
        (Reason::Width, "width", "more or fewer columns than the header"),
        (Reason::Unknown, "unknown", "not understood"),
        (Reason::NotANumber, "not_a_number", "a wanted field is no number"),
        (Reason::NotAState, "not_a_state", "a wanted contact is neither 0 nor 1"),
        (Reason::WrongUnit, "wrong_unit", "a wanted field has the wrong unit"),
        (Reason::Twice, "twice", "a wanted field comes twice"),
        (Reason::Ambiguous, "ambiguous", "a wanted name fits two labels"),
        (Reason::NodeUnclear, "node_unclear", "a wanted field could be of two nodes"),
        (Reason::BadTime, "bad_time", "its time cannot be read"),
    ];

    /// Every reason.
    pub(crate) const ALL: [Reason; Reason::TABLE.len()] = {
        let mut all = [Reason::Partial; Reason::TABLE.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = Reason::TABLE[at].0;
            at += 1;
        }
        all
    };

    /// Words for people.
    pub(crate) const fn name(self) -> &'static str {
        self.described().words
    }

    /// The reason as `status` has it.
    pub(crate) const fn described(self) -> health::Reason {
        let (_, key, words) = Reason::TABLE[self as usize];
        health::Reason { key, words }
    }
}

impl Tally {
    /// Lines that were text from their beginning to their end, and how many of them were not used as they should.
    pub(crate) fn texts(&self) -> (u64, u64) {
        let broken: u64 =
            [Reason::Partial, Reason::TooLong, Reason::NotText].map(|reason| self.count(reason)).iter().sum();
        (self.lines.saturating_sub(broken), self.ignored.iter().sum::<u64>().saturating_sub(broken))
    }

    /// Why lines have no value for a sensor: what was wrong with the last, or else which names they have.
    pub(crate) fn why_unread(&self, bus: &Id, is_ignored: bool) -> String {
        if let Some(Last { reason, line, .. }) = self.last.as_ref().filter(|_| is_ignored) {
            let help = match reason {
                Reason::NoHeader => format!("; set columns = [..] in [bus.{bus}], or reset the board"),
                _ => String::new(),
            };
            return format!("{} {}, the last: {line}{help}", self.count(*reason), reason.name());
        }
        let listed = |names: &BTreeSet<String>| names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        match (self.unused.is_empty(), self.unseen.is_empty()) {
            (false, false) => {
                format!("they have {}; wanted and not seen: {}", listed(&self.unused), listed(&self.unseen))
            }
            (false, true) => format!("they have {}", listed(&self.unused)),
            (true, false) => format!("no line has a name that a sensor wants; wanted: {}", listed(&self.unseen)),
            (true, true) => "no line has a field that a sensor wants".to_owned(),
        }
    }

    /// The same as `status` has it.
    pub(super) fn messages(&self) -> Messages {
        let count = |reason: Reason| Some((reason.described(), self.count(reason))).filter(|(_, count)| *count > 0);
        let last = self.last.clone().map(|Last { reason, line, about }| Ignored {
            reason: reason.described(),
            excerpt: line,
            about,
        });
        let has_texts = self.texts().0 > 0;
        Messages {
            came: self.lines,
            used: self.used,
            ignored: Reason::ALL.into_iter().filter_map(count).collect(),
            last_ignored: last,
            unused: self.unused.clone(),
            unseen: if has_texts { self.unseen.clone() } else { BTreeSet::new() },
            faults: self.faults.clone(),
            mixed: self.mixed.clone(),
        }
    }

    /// How often a reason came up.
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.ignored[reason as usize]
    }

    pub(super) fn add(&mut self, reason: Reason, line: &str) {
        self.ignored[reason as usize] += 1;
        self.last = Some(Last { reason, line: excerpt(line), about: None });
    }

    pub(super) fn add_field(&mut self, reason: Reason, line: &str, about: About) {
        self.add(reason, line);
        if let Some(last) = &mut self.last {
            last.about = Some(about);
        }
    }

    pub(super) fn note_unused(&mut self, name: &str) {
        if self.unused.len() < MAX_UNUSED && !self.unused.contains(name) {
            self.unused.insert(excerpt(name));
        }
    }
}

/// The beginning of a text, with only what can be printed.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

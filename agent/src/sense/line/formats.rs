//! Finds the fields of a line by trying the formats in order: JSON, NMEA, columns, label and value in turn, pairs, a lone number.

mod paired;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use tilth_core::label::MatchKind;

use super::blocks::{self, Blocks, LineRole};
use super::fields::{FieldValue, Fields};
use super::json::{embedded, json};
use super::names::{LabelIx, LabelMatcher};
use super::number::{self, Parsed};
use super::pairs::{self, Gap, Pair, Preceding};
use super::sentence::{self, Checksums, SentenceField};
use super::table::{self, Header, Separator};
use super::{alternating, reasons};
use crate::sense::bus::health::{MessageStats, Reason};

/// Finds the fields of lines; remembers the header, headings, and what gaps between values mean.
#[derive(Debug, Default)]
pub(super) struct Formats {
    /// The columns that the configuration names.
    columns: Option<Header>,
    /// Word before the rows of the configured columns; empty: none; `None`: no row seen yet.
    tag: Option<String>,
    header: Option<Header>,
    /// The last line of words, which may be a header with blanks between its names.
    header_words: String,
    /// What gaps mean, by what comes before them and whether they are the last of their line.
    gaps: HashMap<(Preceding, bool, String), Gap>,
    /// Words with which labels at the beginning of lines begin, and which are spelled as units: `in temp`.
    first_words: BTreeSet<String>,
    checksums: Checksums,
    blocks: Blocks,
    /// The bus has headings over blocks of lines.
    has_headings: bool,
    pairs: Vec<Pair>,
    cells: Vec<Range<usize>>,
}

impl Formats {
    /// The configuration changed.
    pub(super) fn set_columns(&mut self, columns: Option<Vec<String>>, names: &LabelMatcher) {
        self.columns = columns.map(Header::configured);
        self.tag = None;
        self.gaps.clear();
        self.first_words.clear();
        self.checksums = Checksums::default();
        self.blocks = Blocks::default();
        if let Some(header) = &mut self.header {
            header.revision = None;
            header.best_match = best_match(header, names);
        }
    }

    /// The port was opened: headings from before do not apply to the lines that come.
    pub(super) fn reopen(&mut self) {
        self.blocks = Blocks::default();
        self.has_headings = false;
    }

    /// Finds the fields of a line. The first after opening may be half of one: only JSON and a header are read then, for a board
    /// that starts when its port is opened sends its header first.
    pub(super) fn fields(&mut self, context: &mut LineContext<'_>, is_first: bool) -> Result<(), Reason> {
        let text = context.text;
        if text.starts_with(['{', '[']) && json(text, context) {
            return Ok(());
        }
        if text.starts_with('{') || self.blocks.goes_on(text) {
            return match self.blocks.json(text) {
                Ok(Some(whole)) if json(&whole, context) => Ok(()),
                Ok(None) if !is_first || text == "{" => Ok(()),
                _ if is_first => Err(reasons::PARTIAL),
                _ => Err(reasons::NOT_JSON),
            };
        }
        if is_first {
            let is_header = !text.contains('=') && self.take_header(text, context).is_some_and(|taken| taken.is_ok());
            return if is_header { Ok(()) } else { Err(reasons::PARTIAL) };
        }
        context.heading = Arc::clone(&self.blocks.heading);
        if self.take_heading_line(text, context) {
            return Ok(());
        }
        context.heading = Arc::clone(&self.blocks.heading);
        match text.strip_prefix(['$', '!']) {
            Some(sentence) => self.sentence(sentence, context),
            None => self.plain(unframed(text), context),
        }
    }

    /// Reads a row with tabs at its ends; false where a line is none.
    ///
    /// # Errors
    /// The row has another number of columns, and is no number alone.
    pub(super) fn row_with_edge_tabs(&mut self, context: &mut LineContext<'_>) -> Result<bool, Reason> {
        let text = context.text;
        let has_tabs = |header: &Header| header.separators.contains(&Separator::Delimiter('\t'));
        let columns = self.columns.as_ref().or(self.header.as_ref());
        if !columns.is_some_and(has_tabs) || !table::is_row(text) {
            return Ok(false);
        }
        let is_used = self.columns.is_some() || self.header.as_ref().is_some_and(|header| header.best_match.is_some());
        context.heading = Arc::clone(&self.blocks.heading);
        match self.row(text, None, context) {
            false if is_used && !self.is_lone_column(text) && alternating::is_number(text) => Err(reasons::WIDTH),
            is_read => Ok(is_read),
        }
    }

    /// `$PH,6.85,EC,1.80*30`: the exclusive or of the bytes between is the hexadecimal after the star.
    fn sentence(&mut self, sentence: &str, context: &mut LineContext<'_>) -> Result<(), Reason> {
        let body = match sentence::with_sum(sentence) {
            Some((body, stated)) if !self.checksums.check(body, stated) => return Err(reasons::CHECKSUM),
            Some((body, _)) => body,
            None => sentence,
        };
        let Some(parts) = sentence::fields(body) else { return self.plain(body, context) };
        for SentenceField { label, value, unit } in parts {
            context.push(&label, context.with_unit(value, unit));
        }
        Ok(())
    }

    /// Takes a line that only says something of those below it: a heading, a label. False where it has a value of its own.
    fn take_heading_line(&mut self, text: &str, context: &mut LineContext<'_>) -> bool {
        let role = blocks::role(text);
        let label = std::mem::take(&mut self.blocks.label);
        if !label.is_empty() && !matches!(role, LineRole::Heading(_) | LineRole::Label(_)) {
            if self.is_value_of(&label, text, context.names) {
                return context.push(&label, context.value_of(text));
            }
            match context.is_input_name(&label) {
                // The name of an input without a value.
                true => _ = context.push(&label, FieldValue::Empty),
                false => self.begin_block(&label, context.names),
            }
        }
        if let Some(heading) = blocks::numbered(text) {
            self.begin_block(&heading, context.names);
            return false;
        }
        if matches!(role, LineRole::Heading(_)) {
            self.note_heading(context.names);
        }
        if role == LineRole::None && context.names.is_input_name(text) {
            text.clone_into(&mut self.blocks.label);
            return true;
        }
        self.blocks.apply(role)
    }

    fn begin_block(&mut self, heading: &str, names: &mut LabelMatcher) {
        self.note_heading(names);
        self.blocks.begin(heading);
    }

    /// The first heading of a bus: what came before it may have been the rest of a block.
    fn note_heading(&mut self, names: &mut LabelMatcher) {
        if !std::mem::replace(&mut self.has_headings, true) {
            names.reset_for_heading();
        }
    }

    /// Whether a line is the value of the label in the line before.
    fn is_value_of(&self, label: &str, text: &str, names: &LabelMatcher) -> bool {
        let is_word = || {
            names.is_input_name(label)
                && !text.contains(|c| pairs::is_assignment(c) || matches!(c, ',' | ';' | '|' | '\t'))
                && !text.contains(' ')
        };
        alternating::is_number(text) || number::is_empty_value(text) || is_word()
    }

    fn plain(&mut self, text: &str, context: &mut LineContext<'_>) -> Result<(), Reason> {
        if text.contains("{\"") && embedded(text, context) {
            return Ok(());
        }
        if text.contains('=') {
            return if self.pairs(text, context) { Ok(()) } else { Err(reasons::UNKNOWN) };
        }
        if text.contains(':') && self.begins_as_before(text, context.names) && self.pairs(text, context) {
            return Ok(());
        }
        if self.header.as_mut().is_some_and(|header| header.take_units(text, &mut self.cells)) {
            return Ok(());
        }
        let is_row = table::is_row(text)
            || self.is_lone_column(text)
            || self.columns.is_some() && (table::is_spread(text) || table::is_tagged(text));
        let numbers = table::numbers(text);
        if is_row || numbers.is_some() {
            if self.row(text, numbers, context) || alternating::in_turn(text, &mut self.cells, context) {
                return Ok(());
            }
        } else if alternating::by_words(text, context) {
            return Ok(());
        } else if let Some(taken) = self.take_header(text, context) {
            return taken;
        }
        if text.contains(':') && self.pairs(text, context) || alternating::lone(text, context) {
            return Ok(());
        }
        if !is_row && numbers.is_none() {
            text.clone_into(&mut self.header_words);
            return Err(reasons::UNKNOWN);
        }
        match (&self.header, &self.columns) {
            (None, None) => Err(reasons::NO_HEADER),
            _ => Err(reasons::WIDTH),
        }
    }

    /// Whether a line begins with a label and an assignment as one of pairs did before: then it need not be looked at as columns first.
    fn begins_as_before(&mut self, text: &str, names: &LabelMatcher) -> bool {
        let Some(assignment) = text.find(pairs::is_assignment) else { return false };
        let gap = self.gaps.get(&(Preceding::Start, false, text[..assignment].to_owned()));
        gap.is_some_and(|gap| !gap.label.is_empty() && names.find(&gap.label).is_some())
    }

    /// Whether a line is the value of the one column that the configuration names.
    fn is_lone_column(&self, text: &str) -> bool {
        self.columns.as_ref().is_some_and(|columns| columns.names.len() == 1) && number::parsed(text) != Parsed::Text
    }

    /// Reads a row; false where it does not fit the columns, or none are named.
    fn row(&mut self, text: &str, numbers: Option<usize>, context: &mut LineContext<'_>) -> bool {
        if let Some(columns) = &mut self.columns {
            // A row that is short by one would be read one column further.
            let begins = self.tag.as_deref().is_some_and(|tag| !tag.is_empty() && text.starts_with(tag));
            let tag = match !begins && !table::is_tagged(text) && columns.cells(text, &mut self.cells) {
                true => Some(""),
                false => columns.cells_after_tag(text, &mut self.cells),
            };
            // A row with another word is one of something else.
            let tag = tag.filter(|tag| tag.is_empty() || self.tag.as_deref().is_none_or(|before| before == *tag));
            return tag.is_some_and(|tag| {
                self.tag.get_or_insert_with(|| tag.to_owned());
                assign_cells(columns, text, &self.cells, context)
            });
        }
        if let Some(header) = &mut self.header
            && header.cells(text, &mut self.cells)
        {
            if header.revision.is_none() && header.best_match.is_none() {
                header.named().for_each(|name| context.messages.note_unmatched(name));
            }
            // No sensor reads its columns: perhaps the line says by itself what it holds.
            return (header.best_match.is_none() && alternating::in_turn(text, &mut self.cells, context))
                || assign_cells(header, text, &self.cells, context);
        }
        let Some(mut header) = numbers.and_then(|count| Header::of_words(&self.header_words, count)) else {
            return false;
        };
        let fits = header.cells(text, &mut self.cells) && assign_cells(&mut header, text, &self.cells, context);
        if fits {
            self.keep_header(header, context);
        }
        fits
    }

    /// Takes a line as a header, if it is one. A header whose columns sensors read is replaced only by one with the exact name of an input.
    fn take_header(&mut self, text: &str, context: &mut LineContext<'_>) -> Option<Result<(), Reason>> {
        let header = Header::parse(text)?;
        if self.columns.is_some() {
            return Some(Ok(()));
        }
        if let Some(before) = self.header.as_ref().filter(|before| before.best_match.is_some())
            && best_match(&header, context.names) != Some(MatchKind::Exact)
        {
            return Some(if before.is_same(&header) { Ok(()) } else { Err(reasons::HEADER) });
        }
        self.keep_header(header, context);
        Some(Ok(()))
    }

    fn keep_header(&mut self, mut header: Header, context: &mut LineContext<'_>) {
        header.best_match = best_match(&header, context.names);
        if header.best_match.is_none() {
            header.named().for_each(|name| context.messages.note_unmatched(name));
        }
        self.header = Some(header);
    }
}

/// A line without the characters that only frame it: `<temp:21.5>`, `@temp=21.5#`.
fn unframed(text: &str) -> &str {
    const FRAMES: [(char, char); 6] = [('<', '>'), ('[', ']'), ('{', '}'), ('(', ')'), ('@', '#'), ('*', '#')];
    let is_frame = |(open, close): &(char, char)| {
        text.len() > 2
            && text.starts_with(*open)
            && text.ends_with(*close)
            && !text[1..text.len() - 1].contains([*open, *close])
            && text.contains(|c| pairs::is_assignment(c) || c == ',')
    };
    if FRAMES.iter().any(is_frame) { &text[1..text.len() - 1] } else { text }
}

/// A line that is read, and where its fields go.
pub(super) struct LineContext<'c> {
    pub(super) text: &'c str,
    pub(super) names: &'c mut LabelMatcher,
    pub(super) fields: &'c mut Fields,
    pub(super) messages: &'c mut MessageStats,
    /// The heading over the line; empty where there is none.
    pub(super) heading: Arc<str>,
}

impl LineContext<'_> {
    /// A part of the line as a value: a number with perhaps a unit, or a word.
    pub(super) fn value_of(&self, part: &str) -> FieldValue {
        FieldValue::Raw(self.range(part))
    }

    /// A part of the line as a number, whose unit stands elsewhere.
    pub(super) fn with_unit(&self, part: &str, unit: impl Into<Arc<str>>) -> FieldValue {
        FieldValue::NumberWithUnit(self.range(part), unit.into())
    }

    /// Range of a part of the line in it.
    pub(super) fn range(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + part.len()
    }

    /// Adds a field without an assignment, under the heading over the line. False where its label is none.
    pub(super) fn push(&mut self, label: &str, value: FieldValue) -> bool {
        let under = format!("{} {label}", self.heading);
        let (text, matched_form) = if self.heading.is_empty() { (label, None) } else { (under.as_str(), Some(label)) };
        let Some(label) = self.names.intern(text, matched_form, false) else { return false };
        self.note_unmatched(label);
        self.fields.push(label, value);
        true
    }

    /// Whether a label is the name of an input.
    pub(super) fn is_input_name(&self, label: &str) -> bool {
        self.names.is_input_name(label)
            || !self.heading.is_empty() && self.names.is_input_name(&format!("{} {label}", self.heading))
    }

    /// Keeps a label that no sensor reads, to be shown in `status`.
    pub(super) fn note_unmatched(&mut self, label: LabelIx) {
        let label = &self.names.labels[label];
        if label.consumers.is_empty() && label.is_value() {
            self.messages.note_unmatched(&label.text);
        }
    }
}

fn best_match(header: &Header, names: &LabelMatcher) -> Option<MatchKind> {
    header.named().filter_map(|name| names.best_match(name)).max()
}

fn assign_cells(header: &mut Header, text: &str, cells: &[Range<usize>], context: &mut LineContext<'_>) -> bool {
    if header.revision != Some(context.names.revision) {
        let labels: Vec<Option<LabelIx>> =
            header.names.iter().map(|name| context.names.intern(name, None, false)).collect();
        // The owner of a unit depends on what else there is.
        let has_units = labels.iter().flatten().any(|label| context.names.labels[*label].unit_of().is_some());
        let is_used = |label: &LabelIx| {
            let label = &context.names.labels[*label];
            !(label.consumers.is_empty() && label.selects.is_empty()) || label.is_time || label.is_node || has_units
        };
        header.columns = labels.iter().map(|label| label.filter(is_used)).collect();
        header.revision = Some(context.names.revision);
    }
    for (column, cell) in header.columns.iter().zip(cells) {
        if let Some(label) = *column {
            context.fields.push(label, context.value_of(&text[cell.clone()]));
        }
    }
    true
}

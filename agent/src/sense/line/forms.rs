//! The forms of a line, tried one after the other: JSON, NMEA, columns, label and value in turn, pairs, a lone number. Each gives the
//! line's fields.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use tilth_core::label::{Fit, Label};
use tilth_core::unit::Unit;

use super::blocks::{self, Blocks, Over};
use super::json::{embedded, json};
use super::names::{LabelIx, Names};
use super::number::{self, Cell};
use super::pairs::{self, After, Gap, Holds, Kind, Pair};
use super::parse::{Field, Fields, Raw};
use super::sentence::{self, Part, Sums};
use super::table::{self, Column, Header, Separator};
use super::tally::Reason;
use super::turns;

/// Gaps between values that are remembered; a bus with more prints something new in each line.
const MAX_GAPS: usize = 1024;

/// Finds the fields of lines. What is remembered is the header, and what gaps between values mean.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// The columns that the configuration names.
    columns: Option<Header>,
    header: Option<(Header, Option<Fit>)>,
    /// The last line of words, which may be a header with blanks between its names.
    words: String,
    /// What gaps mean, by what comes before and behind them.
    gaps: HashMap<String, Gap>,
    /// Words with which labels at the beginning of lines begin, and which are spelled as units: `in temp`.
    first_words: BTreeSet<String>,
    sums: Sums,
    blocks: Blocks,
    /// The bus has headings over blocks of lines.
    has_headings: bool,
    pairs: Vec<Pair>,
    cells: Vec<Range<usize>>,
    composed: String,
}

impl Forms {
    /// The configuration changed.
    pub(super) fn set_columns(&mut self, columns: Option<Vec<String>>, names: &Names) {
        self.columns = columns.map(Header::configured);
        self.gaps.clear();
        self.first_words.clear();
        self.sums = Sums::default();
        self.blocks = Blocks::default();
        if let Some((header, fit)) = &mut self.header {
            header.revision = None;
            *fit = best_fit(header, names);
        }
    }

    /// The port was opened: what was over the lines before is not over those that come.
    pub(super) fn reopen(&mut self) {
        self.blocks = Blocks::default();
        self.has_headings = false;
    }

    /// The fields of a line. Half a line can be told from a whole one only where it is JSON, or where a header's loss would cost
    /// every row: a board that starts when its port is opened sends its header first.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn fields(
        &mut self,
        text: &str,
        is_first: bool,
        names: &mut Names,
        fields: &mut Fields,
        mut unused: impl FnMut(&str),
    ) -> Result<(), Reason> {
        fields.is_json = false;
        if text.starts_with(['{', '[']) && json(text, names, fields, &mut unused) {
            return Ok(());
        }
        if text.starts_with('{') || self.blocks.goes_on(text) {
            return match self.blocks.json(text) {
                Ok(Some(whole)) if json(&whole, names, fields, &mut unused) => Ok(()),
                Ok(None) if !is_first || text == "{" => Ok(()),
                _ if is_first => Err(Reason::Partial),
                _ => Err(Reason::NotJson),
            };
        }
        if is_first {
            let is_header =
                !text.contains('=') && self.take_header(text, names, &mut unused).is_some_and(|taken| taken.is_ok());
            return if is_header { Ok(()) } else { Err(Reason::Partial) };
        }
        let mut call = Call { text, names, fields, unused: &mut unused, heading: Arc::clone(&self.blocks.heading) };
        if self.is_above(text, &mut call) {
            return Ok(());
        }
        call.heading = Arc::clone(&self.blocks.heading);
        match text.strip_prefix(['$', '!']) {
            Some(sentence) => self.sentence(sentence, &mut call),
            None => self.plain(framed(text), &mut call),
        }
    }

    /// Reads a row with tabs at its ends; false where a line is none.
    ///
    /// # Errors
    /// It has another number of columns, and is no number alone.
    pub(super) fn row_with_ends(
        &mut self,
        text: &str,
        names: &mut Names,
        fields: &mut Fields,
        unused: &mut dyn FnMut(&str),
    ) -> Result<bool, Reason> {
        fields.is_json = false;
        let has_tabs = |header: &Header| header.separators.contains(&Separator::Sign('\t'));
        let columns = self.columns.as_ref().or(self.header.as_ref().map(|(header, _)| header));
        if !columns.is_some_and(has_tabs) || !table::is_row(text) {
            return Ok(false);
        }
        let is_wanted = self.columns.is_some() || self.header.as_ref().is_some_and(|(_, fit)| fit.is_some());
        let mut call = Call { text, names, fields, unused, heading: Arc::clone(&self.blocks.heading) };
        match self.row(text, 0, None, &mut call) {
            false if is_wanted && !self.is_lone_column(text) && turns::is_number(text) => Err(Reason::Width),
            is_read => Ok(is_read),
        }
    }

    /// `$PH,6.85,EC,1.80*30`: the exclusive or of the bytes between is the hexadecimal behind the star.
    fn sentence(&mut self, sentence: &str, call: &mut Call<'_>) -> Result<(), Reason> {
        let body = match sentence::with_sum(sentence) {
            Some((body, stated)) if !self.sums.take(body, stated) => return Err(Reason::Checksum),
            Some((body, _)) => body,
            None => sentence,
        };
        let Some(parts) = sentence::fields(body) else { return self.plain(1..1 + body.len(), call) };
        for Part { label, value, unit } in parts {
            call.push(&label, Raw::Pair(1 + value.start..1 + value.end, Arc::from(unit)));
        }
        Ok(())
    }

    /// What a line is for those below it; false where it has something of its own.
    fn is_above(&mut self, text: &str, call: &mut Call<'_>) -> bool {
        let over = blocks::over(text);
        let label = std::mem::take(&mut self.blocks.label);
        if !label.is_empty() && !matches!(over, Over::Heading(_) | Over::Label(_)) {
            if self.is_value_of(&label, text, call.names) {
                return call.push(&label, Raw::Cell(0..text.len()));
            }
            match call.is_whole(&label) {
                // A wanted name without a value.
                true => _ = call.push(&label, Raw::Missing),
                false => self.begin_block(&label, call.names),
            }
        }
        if let Some(heading) = blocks::numbered(text) {
            self.begin_block(&heading, call.names);
            return false;
        }
        if matches!(over, Over::Heading(_)) {
            self.note_heading(call.names);
        }
        if over == Over::None && call.names.is_whole(text) {
            text.clone_into(&mut self.blocks.label);
            return true;
        }
        self.blocks.take(over)
    }

    fn begin_block(&mut self, heading: &str, names: &mut Names) {
        self.note_heading(names);
        self.blocks.begin(heading);
    }

    /// The first heading of a bus: what came before it may have been the rest of a block.
    fn note_heading(&mut self, names: &mut Names) {
        if !std::mem::replace(&mut self.has_headings, true) {
            names.begin_anew();
        }
    }

    /// Whether a line is the value of the label in the line before.
    fn is_value_of(&self, label: &str, text: &str, names: &Names) -> bool {
        let is_word = || {
            names.is_whole(label)
                && !text.contains(|c| pairs::is_sign(c) || matches!(c, ',' | ';' | '|' | '\t'))
                && !text.contains(' ')
        };
        turns::is_number(text) || number::is_missing(text) || is_word()
    }

    fn plain(&mut self, part: Range<usize>, call: &mut Call<'_>) -> Result<(), Reason> {
        let text = &call.text[part.clone()];
        let shift = part.start;
        if text.contains("{\"") && embedded(text, call) {
            return Ok(());
        }
        if text.contains('=') {
            return if self.pairs(text, shift, call) { Ok(()) } else { Err(Reason::Unknown) };
        }
        if text.contains(':') && self.begins_as_before(text, call.names) && self.pairs(text, shift, call) {
            return Ok(());
        }
        let is_row =
            table::is_row(text) || self.is_lone_column(text) || self.columns.is_some() && table::is_spread(text);
        let numbers = table::numbers(text);
        if is_row || numbers.is_some() {
            if self.row(text, shift, numbers, call) || turns::in_turn(text, shift, &mut self.cells, call) {
                return Ok(());
            }
        } else if turns::by_words(text, shift, call) {
            return Ok(());
        } else if let Some(taken) = self.take_header(text, call.names, call.unused) {
            return taken;
        }
        let has_pairs = text.contains(':') && self.pairs(text, shift, call);
        if has_pairs || turns::lone(text, shift, call) {
            return Ok(());
        }
        if !is_row && numbers.is_none() {
            text.clone_into(&mut self.words);
            return Err(Reason::Unknown);
        }
        match (&self.header, &self.columns) {
            (None, None) => Err(Reason::NoHeader),
            _ => Err(Reason::Width),
        }
    }

    /// Whether a line begins with a label and a sign as one of pairs did before: then it need not be looked at as columns first.
    fn begins_as_before(&mut self, text: &str, names: &Names) -> bool {
        let Some(sign) = text.find(pairs::is_sign) else { return false };
        self.composed.clear();
        self.composed.push('s');
        self.composed.push_str(&text[..sign]);
        let gap = self.gaps.get(&self.composed);
        gap.is_some_and(|gap| !gap.label.is_empty() && names.find(&gap.label).is_some())
    }

    /// Whether a line is the value of the one column that the configuration names.
    fn is_lone_column(&self, text: &str) -> bool {
        self.columns.as_ref().is_some_and(|columns| columns.names.len() == 1) && number::cell(text) != Cell::Text
    }

    /// Reads a row; false where it does not fit the columns, or none are named.
    fn row(&mut self, text: &str, shift: usize, numbers: Option<usize>, call: &mut Call<'_>) -> bool {
        if let Some(columns) = &mut self.columns {
            return columns.cells(text, &mut self.cells) && bound(columns, &self.cells, shift, call);
        }
        if let Some((header, fit)) = &mut self.header {
            let is_noted = fit.is_none();
            if header.cells(text, &mut self.cells) {
                if header.revision.is_none() && is_noted {
                    header.names.iter().filter(|name| !name.is_empty()).for_each(|name| (call.unused)(name));
                }
                // Nobody wants its columns: perhaps the line says by itself what it holds.
                return (fit.is_none() && turns::in_turn(text, shift, &mut self.cells, call))
                    || bound(header, &self.cells, shift, call);
            }
        }
        let Some(mut header) = numbers.and_then(|count| Header::of_words(&self.words, count)) else { return false };
        let fits = header.cells(text, &mut self.cells) && bound(&mut header, &self.cells, shift, call);
        if fits {
            let fit = best_fit(&header, call.names);
            if fit.is_none() {
                header.names.iter().for_each(|name| (call.unused)(name));
            }
            self.header = Some((header, fit));
        }
        fits
    }

    /// Takes a line as a header, if it is one. One of which sensors want no whole name does not take the place of one that they
    /// want.
    fn take_header(&mut self, text: &str, names: &Names, unused: &mut dyn FnMut(&str)) -> Option<Result<(), Reason>> {
        let header = Header::parse(text)?;
        if self.columns.is_some() {
            return Some(Ok(()));
        }
        let fit = best_fit(&header, names);
        if let Some((before, Some(_))) = &self.header
            && fit != Some(Fit::Whole)
        {
            return Some(if before.names == header.names { Ok(()) } else { Err(Reason::Header) });
        }
        if fit.is_none() {
            header.names.iter().filter(|name| !name.is_empty()).for_each(|name| unused(name));
        }
        self.header = Some((header, fit));
        Some(Ok(()))
    }

    /// Reads pairs; false where there is none with a number or a wanted label.
    fn pairs(&mut self, text: &str, shift: usize, call: &mut Call<'_>) -> bool {
        let mut cut = std::mem::take(&mut self.pairs);
        let names = &call.names;
        let holds = |label: &str, kind: Kind| match kind {
            _ if names.is_selector(label) => Holds::Id,
            Kind::Heading if names.is_whole(label) || names.is_unit_field(label) => Holds::Word,
            _ => Holds::Any,
        };
        pairs::cut(text, &mut cut, holds);
        let mut any = false;
        let block = Arc::clone(&self.blocks.heading);
        if !block.is_empty() {
            self.selecting(&block, call);
        }
        let below = |heading: &str| -> Arc<str> { format!("{block} {heading}").trim().into() };
        let mut heading: Option<Arc<str>> = Some(below("")).filter(|block| !block.is_empty());
        let mut before: Option<(LabelIx, &Pair)> = None;
        for (ix, pair) in cut.iter().enumerate() {
            let is_last = ix + 1 == cut.len();
            let after = ix.checked_sub(1).map_or(After::Start, |before| after(text, &cut[before]));
            let Gap { unit, is_broken, label, heading: begins } =
                self.gap(&text[pair.gap.clone()], after, is_last, call.names);
            if let Some((place, value)) = before.take() {
                let value = pair_value(text, shift, value, (unit, is_broken), pair.gap.start);
                call.fields.all.push(Field { label: place, value, object: 0 });
            }
            if !begins.is_empty() {
                self.selecting(&begins, call);
                heading = Some(below(&begins));
            }
            if label.is_empty() {
                continue;
            }
            if pair.kind == Kind::Heading {
                self.selecting(&label, call);
                heading = Some(label).filter(|label| !is_level(label)).map(|label| below(&label));
                continue;
            }
            let is_value = pair.kind == Kind::Number || number::cell(&text[pair.value.clone()]) != Cell::Text;
            let place = place_of(&label, heading.as_deref(), is_value, call);
            any |= is_value || place.is_some();
            before = place.map(|place| (place, pair));
        }
        self.pairs = cut;
        any
    }

    /// A heading of words and a number is a field, by which values may be selected: `Node 7`.
    fn selecting(&mut self, heading: &str, call: &mut Call<'_>) {
        let heading = heading.trim_matches(['[', ']', '(', ')', '<', '>', '{', '}', ' ']);
        let digits = heading.len() - heading.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (name, number) = heading.split_at(heading.len() - digits);
        let name = name.trim_end_matches(['#', ' ', '\t', '_', '-', '[', '(', '<']);
        if call.names.is_selector(name)
            && let (Some(label), Ok(number)) = (call.names.learn(name, None, true), number.parse())
        {
            call.fields.all.push(Field { label, value: Raw::Number(number), object: 0 });
        }
    }

    /// What a gap means: looked at once, for a board prints the same gaps in each line.
    fn gap(&mut self, text: &str, after: After, is_last: bool, names: &Names) -> Gap {
        self.composed.clear();
        self.composed.push(match (after, is_last) {
            (After::Start, _) => 's',
            (After::Number, false) => 'n',
            (After::Number, true) => 'N',
            (After::Other, false) => 'o',
            (After::Other, true) => 'O',
        });
        self.composed.push_str(text);
        if let Some(gap) = self.gaps.get(&self.composed) {
            return gap.clone();
        }
        let is_label = |label: &str| {
            let first = label.split_whitespace().next().unwrap_or_default();
            self.first_words.contains(first) || names.is_whole(label)
        };
        let gap = pairs::gap(text, after, is_last, is_label);
        if self.gaps.len() >= MAX_GAPS {
            self.gaps.clear();
        }
        if after == After::Start {
            self.note_first_word(&gap.label);
        }
        self.gaps.insert(self.composed.clone(), gap.clone());
        gap
    }

    fn note_first_word(&mut self, label: &str) {
        let Some((first, _)) = label.split_once(' ') else { return };
        if Unit::of_exactly(first).is_some() && self.first_words.insert(first.to_owned()) {
            self.gaps.clear();
        }
    }
}

/// The part of a line between signs that only mark its beginning and its end: `<temp:21.5>`, `@temp=21.5#`.
fn framed(text: &str) -> Range<usize> {
    const FRAMES: [(char, char); 6] = [('<', '>'), ('[', ']'), ('{', '}'), ('(', ')'), ('@', '#'), ('*', '#')];
    let is_frame = |(open, close): &(char, char)| {
        text.len() > 2
            && text.starts_with(*open)
            && text.ends_with(*close)
            && !text[1..text.len() - 1].contains([*open, *close])
            && text.contains(|c| pairs::is_sign(c) || c == ',')
    };
    if FRAMES.iter().any(is_frame) { 1..text.len() - 1 } else { 0..text.len() }
}

/// A line that is read, and where its fields go.
pub(super) struct Call<'c> {
    text: &'c str,
    pub(super) names: &'c mut Names,
    pub(super) fields: &'c mut Fields,
    pub(super) unused: &'c mut dyn FnMut(&str),
    /// The heading over the line; empty where there is none.
    heading: Arc<str>,
}

impl Call<'_> {
    /// A field of a line without signs, under the heading over it.
    pub(super) fn push(&mut self, label: &str, value: Raw) -> bool {
        let under = format!("{} {label}", self.heading);
        let (text, plain) = if self.heading.is_empty() { (label, None) } else { (under.as_str(), Some(label)) };
        let Some(label) = self.names.learn(text, plain, false) else { return false };
        self.note_unused(label);
        self.fields.all.push(Field { label, value, object: 0 });
        true
    }

    /// Whether a label is a wanted name.
    pub(super) fn is_whole(&self, label: &str) -> bool {
        self.names.is_whole(label)
            || !self.heading.is_empty() && self.names.is_whole(&format!("{} {label}", self.heading))
    }

    fn note_unused(&mut self, label: LabelIx) {
        let known = self.names.known(label);
        if known.takes.is_empty() && known.is_value() {
            (self.unused)(&known.text);
        }
    }
}

/// What stands before the gap behind a pair.
fn after(text: &str, pair: &Pair) -> After {
    let value = &text[pair.value.clone()];
    match pair.kind {
        Kind::Number => After::Number,
        _ if !value.is_empty() && number::is_missing(value) => After::Number,
        _ => After::Other,
    }
}

/// The value of a pair, with what the gap behind it says.
fn pair_value(text: &str, shift: usize, pair: &Pair, (unit, is_broken): (Arc<str>, bool), gap: usize) -> Raw {
    let (start, end) = (shift + pair.value.start, shift + pair.value.end);
    match pair.kind {
        Kind::Number if is_broken => Raw::Text(start..shift + gap + token_end(&text[gap..])),
        Kind::Number => Raw::Pair(start..end, unit),
        _ => Raw::Cell(start..end),
    }
}

/// The place of a pair's label. A label whose value is no number is not learnt, unless it is a wanted name: `Temp failed: timeout`.
fn place_of(label: &str, heading: Option<&str>, is_value: bool, call: &mut Call<'_>) -> Option<LabelIx> {
    if heading.is_none()
        && let Some(place) = call.names.find(label)
    {
        return Some(place);
    }
    let is_time = is_time(label);
    let under = heading.filter(|_| !is_time).map(|heading| format!("{heading} {label}"));
    let plain = under.is_some().then_some(label);
    let label = under.as_deref().unwrap_or(label);
    if let Some(place) = call.names.find(label) {
        return Some(place);
    }
    let is_learnt = is_value || is_time || call.names.is_whole(label) || call.names.is_selector(label);
    if !is_learnt && !call.names.is_unit_field(label) {
        return None;
    }
    let place = call.names.learn(label, plain, is_value)?;
    call.note_unused(place);
    Some(place)
}

/// Whether a label names a line's own time.
pub(super) fn is_time(label: &str) -> bool {
    Label::of(label).is_some_and(|label| number::is_time_name(label.key()))
}

fn best_fit(header: &Header, names: &Names) -> Option<Fit> {
    header.names.iter().filter_map(|name| names.best_fit(name)).max()
}

/// Gives a row's cells to their columns.
fn bound(header: &mut Header, cells: &[Range<usize>], shift: usize, call: &mut Call<'_>) -> bool {
    if header.revision != Some(call.names.revision) {
        let labels: Vec<Option<LabelIx>> =
            header.names.iter().map(|name| call.names.learn(name, None, false)).collect();
        // Whose unit it is, is told by what else there is.
        let has_units = labels.iter().flatten().any(|label| call.names.known(*label).unit_of().is_some());
        let column = |label: &Option<LabelIx>| {
            let Some(label) = *label else { return Column::Unused };
            let known = call.names.known(label);
            match (known.takes.is_empty() && known.selects.is_empty(), known.is_time) {
                (false, _) => Column::Label(label),
                (true, true) => Column::Time(label),
                (true, false) if has_units => Column::Label(label),
                (true, false) => Column::Unused,
            }
        };
        header.columns = labels.iter().map(column).collect();
        header.revision = Some(call.names.revision);
    }
    for (column, cell) in header.columns.iter().zip(cells) {
        if let Column::Label(label) | Column::Time(label) = *column {
            let value = Raw::Cell(shift + cell.start..shift + cell.end);
            call.fields.all.push(Field { label, value, object: 0 });
        }
    }
    true
}

fn is_level(heading: &str) -> bool {
    // `I (1234) tag` of ESP-IDF: the letter and the time say nothing of the value.
    let first = heading.split([' ', '(', '[', ']']).find(|word| !word.is_empty()).unwrap_or_default();
    pairs::without_count(heading).is_empty()
        || pairs::is_level(heading.trim_matches(['[', ']', ' ']))
        || (["I", "W", "E", "D", "V"].contains(&first) && heading.contains('('))
}

/// The length of what belongs to a broken number: up to a blank and the digits behind it.
fn token_end(rest: &str) -> usize {
    let begin = rest.len() - rest.trim_start().len();
    rest[begin..]
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|'))
        .map_or(rest.len(), |end| begin + end)
}

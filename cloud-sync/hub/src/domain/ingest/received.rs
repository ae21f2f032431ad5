//! Parses a batch row by row: unknown keys and kinds of gaps are counted, and a row that cannot be read is rejected alone. Pure.
//!
//! So an older hub stores all rows of a newer agent that it can read.

use serde::de::{DeserializeOwned, IntoDeserializer, value};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tilth_protocol::{Batch, Extent, Gap, GapKind, Lane, Lanes, Sequenced};

use crate::parse_error;

/// A batch whose rows are not parsed yet.
#[derive(Debug)]
pub(crate) struct RawBatch {
    pub(crate) batch: Batch<RawRow, RawRow, Box<RawValue>, String>,
    /// Number of unknown keys beside the rows.
    unknown_keys: u64,
}

/// A row as it came.
#[derive(Debug)]
pub(crate) struct RawRow {
    /// Sequence that the row states, or that [`number`] derives where it cannot be read.
    seq: Option<u64>,
    text: Box<RawValue>,
}

/// A batch without its unreadable rows; its ranges still include their sequences.
#[derive(Debug, Clone)]
pub(crate) struct ParsedBatch {
    pub(crate) batch: Batch,
    pub(crate) unreadable: Vec<UnreadableRow>,
    /// Number of unknown keys, gaps of an unknown kind and unreadable live values.
    pub(crate) unknown_keys: u64,
}

/// A row that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreadableRow {
    pub(crate) lane: Lane,
    pub(crate) seq: u64,
    /// What is wrong, and what was expected.
    pub(crate) reason: String,
    /// The row as it came.
    pub(crate) text: String,
}

impl<'de> Deserialize<'de> for RawBatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawBatch, D::Error> {
        let mut unknown_keys = 0;
        let mut batch: Batch<RawRow, RawRow, Box<RawValue>, String> =
            serde_ignored::deserialize(deserializer, |_| unknown_keys += 1)?;
        let Lanes { events, windows, diagnostics } = &mut batch.lanes;
        [events, windows, diagnostics].into_iter().flatten().for_each(number);
        Ok(RawBatch { batch, unknown_keys })
    }
}

/// Derives the sequence of each row whose own cannot be read: the n-th row of a range has the n-th sequence that is in no gap.
/// `check_ranges` rejects a batch whose range, gaps and rows do not fit.
fn number(extent: &mut Extent<RawRow, String>) {
    let mut next = extent.first;
    let mut gaps = extent.gaps.iter().peekable();
    for row in &mut extent.rows {
        while let Some(gap) = gaps.next_if(|gap| gap.first == next) {
            next = gap.last.saturating_add(1);
        }
        next = row.seq.get_or_insert(next).saturating_add(1);
    }
}

impl<'de> Deserialize<'de> for RawRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawRow, D::Error> {
        #[derive(Deserialize)]
        struct Stated {
            seq: u64,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let stated = serde_json::from_str::<Stated>(text.get()).ok();
        Ok(RawRow { seq: stated.map(|Stated { seq }| seq), text })
    }
}

impl Sequenced for RawRow {
    fn seq(&self) -> u64 {
        self.seq.unwrap_or_default()
    }
}

impl RawBatch {
    /// Parses the rows.
    pub(crate) fn parse(self) -> ParsedBatch {
        let Batch { version, client, device, stream, epoch, lanes, live } = self.batch;
        let mut parser = Parser { unreadable: Vec::new(), unknown_keys: self.unknown_keys };
        let lanes = Lanes {
            events: lanes.events.map(|extent| parser.extent(Lane::Events, extent)),
            windows: lanes.windows.map(|extent| parser.extent(Lane::Windows, extent)),
            diagnostics: lanes.diagnostics.map(|extent| parser.extent(Lane::Diagnostics, extent)),
        };
        let live = live.iter().filter_map(|value| {
            let read = parser.value(value);
            parser.unknown_keys += u64::from(read.is_err());
            read.ok()
        });
        let live = live.collect();
        let batch = Batch { version, client, device, stream, epoch, lanes, live };
        ParsedBatch { batch, unreadable: parser.unreadable, unknown_keys: parser.unknown_keys }
    }
}

/// Findings while a batch is parsed.
struct Parser {
    unreadable: Vec<UnreadableRow>,
    unknown_keys: u64,
}

impl Parser {
    fn extent<R: DeserializeOwned + Sequenced>(&mut self, lane: Lane, extent: Extent<RawRow, String>) -> Extent<R> {
        let Extent { first, last, rows, gaps } = extent;
        let rows = rows.into_iter().filter_map(|row| {
            let seq = row.seq();
            let read = self.value(&row.text).and_then(|read: R| match read.seq() {
                found if found == seq => Ok(read),
                found => Err(format!("seq: found {found}, expected {seq}")),
            });
            let unreadable = |reason| UnreadableRow { lane, seq, reason, text: row.text.get().to_owned() };
            read.map_err(|reason| self.unreadable.push(unreadable(reason))).ok()
        });
        let rows = rows.collect();
        Extent { first, last, rows, gaps: gaps.into_iter().map(|gap| self.gap(gap)).collect() }
    }

    /// A gap. One of an unknown kind counts as lost: all that is certain is that its rows do not come.
    fn gap(&mut self, Gap { first, last, kind, reason }: Gap<String>) -> Gap {
        let known = GapKind::deserialize(IntoDeserializer::<value::Error>::into_deserializer(kind.as_str()));
        let (kind, reason) = known.map(|kind| (kind, reason.clone())).unwrap_or_else(|_| {
            self.unknown_keys += 1;
            (GapKind::Lost, format!("{kind}: {reason}"))
        });
        Gap { first, last, kind, reason }
    }

    /// Parses a row or live value. The error begins with the key.
    fn value<T: DeserializeOwned>(&mut self, text: &RawValue) -> Result<T, String> {
        let mut unknown_keys = 0;
        let mut json = serde_json::Deserializer::from_str(text.get());
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        let read = serde_ignored::deserialize(tracked, |_| unknown_keys += 1);
        let value = read.map_err(|error| match track.path().to_string().as_str() {
            "." => parse_error::in_row(&error),
            key => format!("{key}: {}", parse_error::in_row(&error)),
        })?;
        self.unknown_keys += unknown_keys;
        Ok(value)
    }
}

#[cfg(test)]
mod tests;

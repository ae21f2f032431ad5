//! A batch as it came, read row by row: what this version does not know is counted, and a row that it cannot read is named. Pure.
//!
//! So a newer agent loses no row that an older hub understands, and is told of the others.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tilth_protocol::{Batch, Extent, Lane, Lanes, Sequenced};

use crate::parse_error;

/// A batch whose rows are not read yet, and how many keys beside them are not known.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) batch: Batch<RawRow, RawRow, Box<RawValue>>,
    unknown_keys: u64,
}

/// A row as it came.
#[derive(Debug)]
pub(crate) struct RawRow {
    /// Stated sequence; where the row states none that can be read, the one that [`number`] gives it.
    seq: Option<u64>,
    text: Box<RawValue>,
}

/// A batch, as far as this version can read it. Its ranges account for the rows that were not read, too.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) batch: Batch,
    pub(crate) unread: Vec<UnreadRow>,
    /// Keys, and live values, that this version does not know.
    pub(crate) unknown_keys: u64,
}

/// A row that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreadRow {
    pub(crate) lane: Lane,
    pub(crate) seq: u64,
    /// What is wrong, and what was expected.
    pub(crate) reason: String,
    /// The row as it came.
    pub(crate) text: String,
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Envelope, D::Error> {
        let mut unknown_keys = 0;
        let mut batch: Batch<RawRow, RawRow, Box<RawValue>> =
            serde_ignored::deserialize(deserializer, |_| unknown_keys += 1)?;
        let Lanes { events, windows, diagnostics } = &mut batch.lanes;
        [events, windows, diagnostics].into_iter().flatten().for_each(number);
        Ok(Envelope { batch, unknown_keys })
    }
}

/// Gives a sequence to each row that states none which can be read: the n-th row of a range has the n-th sequence that is in no gap.
/// Where range, gaps and number of rows do not fit, `check_ranges` refuses the batch.
fn number(extent: &mut Extent<RawRow>) {
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
        struct Place {
            seq: u64,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let stated = serde_json::from_str::<Place>(text.get()).ok();
        Ok(RawRow { seq: stated.map(|Place { seq }| seq), text })
    }
}

impl Sequenced for RawRow {
    fn seq(&self) -> u64 {
        self.seq.unwrap_or_default()
    }
}

impl Envelope {
    /// Reads the rows.
    pub(crate) fn read(self) -> Received {
        let Batch { version, client, device, stream, epoch, lanes, live } = self.batch;
        let mut reader = Reader { unread: Vec::new(), unknown_keys: self.unknown_keys };
        let lanes = Lanes {
            events: lanes.events.map(|extent| reader.extent(Lane::Events, extent)),
            windows: lanes.windows.map(|extent| reader.extent(Lane::Windows, extent)),
            diagnostics: lanes.diagnostics.map(|extent| reader.extent(Lane::Diagnostics, extent)),
        };
        let live = live.iter().filter_map(|value| {
            let read = reader.value(value);
            reader.unknown_keys += u64::from(read.is_err());
            read.ok()
        });
        let live = live.collect();
        let batch = Batch { version, client, device, stream, epoch, lanes, live };
        Received { batch, unread: reader.unread, unknown_keys: reader.unknown_keys }
    }
}

/// What was found on the way through a batch.
struct Reader {
    unread: Vec<UnreadRow>,
    unknown_keys: u64,
}

impl Reader {
    fn extent<R: DeserializeOwned + Sequenced>(&mut self, lane: Lane, extent: Extent<RawRow>) -> Extent<R> {
        let Extent { first, last, rows, gaps } = extent;
        let rows = rows.into_iter().filter_map(|row| {
            let seq = row.seq();
            let read = self.value(&row.text).and_then(|read: R| match read.seq() {
                found if found == seq => Ok(read),
                found => Err(format!("seq: found {found}, expected {seq}")),
            });
            let unread = |reason| UnreadRow { lane, seq, reason, text: row.text.get().to_owned() };
            read.map_err(|reason| self.unread.push(unread(reason))).ok()
        });
        Extent { first, last, rows: rows.collect(), gaps }
    }

    /// A row or value; else what is wrong with it, beginning with the key.
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

//! A batch of a device: for each lane a range of sequences, each a row or part of a gap.

use std::fmt;

use serde::{Deserialize, Serialize};
use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::reading::Quality;
use tilth_core::time::{Stamp, Uptime};
use tilth_core::windows::Grain;

use crate::VERSION;
use crate::random_id::{Epoch, Stream};

/// Body of `POST /api/v1/sync/batch`. Unknown keys are ignored. The types of rows and of the kind of a gap are parameters, so that the hub
/// can parse row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>, W: Deserialize<'de>, L: Deserialize<'de>, K: Deserialize<'de>"))]
pub struct Batch<E = Event, W = WindowRow, L = Live, K = GapKind> {
    /// [`VERSION`].
    pub version: u32,
    /// Name of the tenant.
    pub client: Id,
    /// Name of the device.
    pub device: Id,
    /// Database that the sequences belong to.
    pub stream: Stream,
    /// The epoch of the hub's last answer.
    pub epoch: Option<Epoch>,
    /// Rows and gaps by lane.
    pub lanes: Lanes<E, W, K>,
    /// The newest value of each sensor; not confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<L>,
}

/// A lane: rows of one kind, with a sequence of their own from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Transitions of alerts, acknowledgements, clock anchors, site state, notes.
    Events,
    /// Closed windows.
    Windows,
    /// Events about the device itself.
    Diagnostics,
}

/// The lanes of a batch; an empty one may be absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>, W: Deserialize<'de>, K: Deserialize<'de>"))]
pub struct Lanes<E = Event, W = WindowRow, K = GapKind> {
    /// Rows of [`Lane::Events`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Extent<E, K>>,
    /// Rows of [`Lane::Windows`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Extent<W, K>>,
    /// Rows of [`Lane::Diagnostics`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Extent<E, K>>,
}

impl<E, W, K> Default for Lanes<E, W, K> {
    fn default() -> Lanes<E, W, K> {
        Lanes { events: None, windows: None, diagnostics: None }
    }
}

/// A range of sequences, both ends included, each accounted for by a row or a gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>, K: Deserialize<'de>"))]
pub struct Extent<R, K = GapKind> {
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
    /// Rows in rising order of sequence.
    pub rows: Vec<R>,
    /// Sequences without a row, in rising order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap<K>>,
}

/// Consecutive sequences without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap<K = GapKind> {
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
    /// Kind of the gap.
    pub kind: K,
    /// Reason, for people.
    pub reason: String,
}

/// Why rows are not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The rows are gone.
    Lost,
    /// Coarser rows took their place.
    Replaced,
    /// The hub rejected the rows, and the device quarantined them.
    Quarantined,
}

/// An event; its kind says which keys the body has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Sequence in the lane, from 1.
    pub seq: u64,
    /// When it happened.
    pub at: Stamp,
    /// Such as `alert`, `sensor`, `clock`, `site`, `note` or `bundle`.
    pub kind: String,
    /// JSON object.
    pub body: serde_json::Map<String, serde_json::Value>,
}

/// A window of one sensor, in whole steps of `resolution`. Mean and spread follow from the sums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRow {
    /// Sequence in the lane, from 1.
    pub seq: u64,
    /// Sensor, as `zone/name`.
    pub sensor: SensorId,
    /// What the sensor measures.
    pub quantity: Quantity,
    /// Size of a step, in the quantity's unit.
    pub resolution: f64,
    /// A minute or a quarter of an hour.
    pub grain: Grain,
    /// Beginning of the window.
    pub start: Stamp,
    /// Number of times that a late reading changed the window; the highest revision counts.
    pub revision: u32,
    /// Number of readings of bad quality; in no other figure.
    pub bad: u32,
    /// Number of good readings.
    pub count: u32,
    /// Figures of the good readings; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Figures>,
}

/// Figures of the good readings of a window, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Sum.
    pub sum: i64,
    /// Sum of squares, as text: larger than the numbers of some JSON parsers.
    #[serde(with = "as_text")]
    pub sum_sq: u128,
    /// Lowest value.
    pub min: i64,
    /// Highest value.
    pub max: i64,
    /// Last value.
    pub last: i64,
    /// Time of the last value, since the same boot.
    pub last_at: Uptime,
}

/// The newest value of one sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Sensor, as `zone/name`.
    pub sensor: SensorId,
    /// What the sensor measures.
    pub quantity: Quantity,
    /// Time of the reading.
    pub at: Stamp,
    /// Value in the quantity's unit.
    pub value: f64,
    /// Quality of the reading.
    pub quality: Quality,
}

mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A row with a sequence.
pub trait Sequenced {
    /// Sequence of the row in its lane.
    fn seq(&self) -> u64;
}

impl Sequenced for Event {
    fn seq(&self) -> u64 {
        self.seq
    }
}

impl Sequenced for WindowRow {
    fn seq(&self) -> u64 {
        self.seq
    }
}

/// A batch that is not as this protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Another version of the protocol.
    #[error("version {0}; expected {VERSION}")]
    Version(u32),
    /// An empty or reversed range, or one that begins at 0.
    #[error("{lane}: the range {first} to {last} is empty; expected sequences from 1, the first at or before the last")]
    Range {
        /// Lane.
        lane: Lane,
        /// First sequence.
        first: u64,
        /// Last sequence.
        last: u64,
    },
    /// A sequence without row and gap, with both, out of order, or outside the range.
    #[error("{lane}: sequence {seq} was expected next; each must be one row or in one gap, in rising order")]
    NotAccounted {
        /// Lane.
        lane: Lane,
        /// Sequence.
        seq: u64,
    },
    /// A window with good readings and no figures, or the other way round.
    #[error("windows: sequence {seq} counts {count} readings; expected figures if and only if there are any")]
    Figures {
        /// Sequence.
        seq: u64,
        /// Stated number of good readings.
        count: u32,
    },
}

impl Lane {
    /// All lanes, in the order of a batch.
    pub const ALL: [Lane; 3] = [Lane::Events, Lane::Windows, Lane::Diagnostics];

    /// Name in batches and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Events => "events",
            Lane::Windows => "windows",
            Lane::Diagnostics => "diagnostics",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<E: Sequenced, W: Sequenced, L, K> Batch<E, W, L, K> {
    /// Checks the version, and that every sequence of every range is accounted for exactly once.
    ///
    /// # Errors
    /// [`BatchError`] names the lane and the sequence.
    pub fn check_ranges(&self) -> Result<(), BatchError> {
        if self.version != VERSION {
            return Err(BatchError::Version(self.version));
        }
        let Lanes { events, windows, diagnostics } = &self.lanes;
        events.as_ref().map_or(Ok(()), |events| events.check(Lane::Events))?;
        diagnostics.as_ref().map_or(Ok(()), |diagnostics| diagnostics.check(Lane::Diagnostics))?;
        windows.as_ref().map_or(Ok(()), |windows| windows.check(Lane::Windows))
    }
}

impl Batch {
    /// Checks the ranges and each window.
    ///
    /// # Errors
    /// [`BatchError`] names the lane and the sequence.
    pub fn check(&self) -> Result<(), BatchError> {
        self.check_ranges()?;
        self.lanes.windows.iter().flat_map(|extent| &extent.rows).try_for_each(WindowRow::check)
    }

    /// Stamps of all rows and live values.
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let lanes = &self.lanes;
        let events = lanes.events.iter().chain(&lanes.diagnostics).flat_map(|extent| &extent.rows);
        let windows = lanes.windows.iter().flat_map(|extent| &extent.rows);
        events.map(|event| &event.at).chain(windows.map(|row| &row.start)).chain(self.live.iter().map(|live| &live.at))
    }
}

impl WindowRow {
    /// Checks that there are figures if and only if there are good readings.
    ///
    /// # Errors
    /// [`BatchError::Figures`] otherwise.
    pub fn check(&self) -> Result<(), BatchError> {
        match (self.count > 0) == self.sums.is_some() {
            true => Ok(()),
            false => Err(BatchError::Figures { seq: self.seq, count: self.count }),
        }
    }
}

impl<R: Sequenced, K> Extent<R, K> {
    fn check(&self, lane: Lane) -> Result<(), BatchError> {
        if self.first == 0 || self.last < self.first || self.last == u64::MAX {
            return Err(BatchError::Range { lane, first: self.first, last: self.last });
        }
        let mut next = self.first;
        let mut gaps = self.gaps.iter().peekable();
        let mut rows = self.rows.iter().peekable();
        while next <= self.last {
            if rows.next_if(|row| row.seq() == next).is_some() {
                next += 1;
            } else if let Some(gap) = gaps.next_if(|gap| gap.first == next && gap.last >= next && gap.last <= self.last)
            {
                next = gap.last + 1;
            } else {
                return Err(BatchError::NotAccounted { lane, seq: next });
            }
        }
        match (rows.next().map(Sequenced::seq), gaps.next().map(|gap| gap.first)) {
            (None, None) => Ok(()),
            (row, gap) => Err(BatchError::NotAccounted { lane, seq: row.or(gap).unwrap_or(next) }),
        }
    }
}

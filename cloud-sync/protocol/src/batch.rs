//! What a device sends: for each lane a range of sequences, each of them a row or accounted for by a gap.

use std::fmt;

use serde::{Deserialize, Serialize};
use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::reading::Quality;
use tilth_core::time::{Stamp, Uptime};
use tilth_core::windows::Grain;

use crate::VERSION;
use crate::name::{Epoch, Stream};

/// One `POST /api/v1/sync/batch`. A reader ignores keys that it does not know; one that reads row by row puts rows of another form in
/// place of those of this version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>, W: Deserialize<'de>, L: Deserialize<'de>"))]
pub struct Batch<E = Event, W = WindowRow, L = Live> {
    /// [`VERSION`].
    pub version: u32,
    /// The tenant.
    pub client: Id,
    /// The device.
    pub device: Id,
    /// The database that the sequences belong to.
    pub stream: Stream,
    /// The hub's epoch that the device knows, if it knows one.
    pub epoch: Option<Epoch>,
    /// What each lane brings.
    pub lanes: Lanes<E, W>,
    /// The newest value per sensor; not confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<L>,
}

/// A lane has its own sequence, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// What happened: transitions of alerts, acknowledgements, clock anchors, site state, notes.
    Events,
    /// Closed windows.
    Windows,
    /// What the device says of itself.
    Diagnostics,
}

/// The lanes of a batch; one that brings nothing is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>, W: Deserialize<'de>"))]
pub struct Lanes<E = Event, W = WindowRow> {
    /// Rows of [`Lane::Events`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Extent<E>>,
    /// Rows of [`Lane::Windows`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Extent<W>>,
    /// Rows of [`Lane::Diagnostics`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Extent<E>>,
}

impl<E, W> Default for Lanes<E, W> {
    fn default() -> Lanes<E, W> {
        Lanes { events: None, windows: None, diagnostics: None }
    }
}

/// A range of sequences, both ends in it, with everything in it accounted for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extent<R> {
    /// The first sequence.
    pub first: u64,
    /// The last sequence.
    pub last: u64,
    /// Rows, by sequence.
    pub rows: Vec<R>,
    /// What has no row, by sequence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// Sequences without a row, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first sequence.
    pub first: u64,
    /// The last sequence.
    pub last: u64,
    /// What became of the rows.
    pub kind: GapKind,
    /// Why, in words.
    pub reason: String,
}

/// What became of rows that are not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// They are gone.
    Lost,
    /// Coarser rows say the same.
    Replaced,
    /// They are set aside at the device: the hub could not store them.
    Quarantined,
}

/// Something that happened, as a JSON object whose shape its kind tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Sequence in the lane, from 1.
    pub seq: u64,
    /// When.
    pub at: Stamp,
    /// What kind: `alert`, `sensor`, `clock`, `site`, `note`, `bundle` ...
    pub kind: String,
    /// What.
    pub body: serde_json::Map<String, serde_json::Value>,
}

/// One window of one sensor. Values are whole steps of `resolution`; mean and spread follow from the sums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRow {
    /// Sequence in the lane, from 1.
    pub seq: u64,
    /// Sensor, as `zone/name`.
    pub sensor: SensorId,
    /// What the sensor measures.
    pub quantity: Quantity,
    /// The size of a step in the quantity's unit.
    pub resolution: f64,
    /// A minute or a quarter of an hour.
    pub grain: Grain,
    /// When it began.
    pub start: Stamp,
    /// How often it was closed again; the highest counts.
    pub revision: u32,
    /// Readings that are not believed; they are in nothing else.
    pub bad: u32,
    /// Believed readings.
    pub count: u32,
    /// Figures of the believed ones; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Figures>,
}

/// Sums over the believed readings of a window, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Their sum.
    pub sum: i64,
    /// The sum of their squares, as text: it does not fit the numbers of every JSON reader.
    #[serde(with = "as_text")]
    pub sum_sq: u128,
    /// The lowest.
    pub min: i64,
    /// The highest.
    pub max: i64,
    /// The last.
    pub last: i64,
    /// When the last was, since the same boot.
    pub last_at: Uptime,
}

/// The newest value of a sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Sensor, as `zone/name`.
    pub sensor: SensorId,
    /// What the sensor measures.
    pub quantity: Quantity,
    /// When it was read.
    pub at: Stamp,
    /// In the quantity's unit.
    pub value: f64,
    /// How far it can be believed.
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

/// A row that knows its place in its lane.
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

/// Why a batch cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Another version of the protocol.
    #[error("version {0}; expected {VERSION}")]
    Version(u32),
    /// An empty or reversed range, or one from 0.
    #[error("{lane}: the range {first} to {last} is empty; expected sequences from 1, the first at or before the last")]
    Range {
        /// The lane.
        lane: Lane,
        /// First sequence of the range.
        first: u64,
        /// Last sequence of the range.
        last: u64,
    },
    /// A sequence in the range that nothing accounts for, or two things do, or that is out of order or range.
    #[error("{lane}: sequence {seq} was expected next; each must be one row or in one gap, in rising order")]
    NotAccounted {
        /// The lane.
        lane: Lane,
        /// The sequence.
        seq: u64,
    },
    /// A window that says it holds believed readings and has no figures, or the other way round.
    #[error("windows: sequence {seq} counts {count} readings; expected figures if and only if there are any")]
    Figures {
        /// The sequence.
        seq: u64,
        /// Believed readings, as the row says.
        count: u32,
    },
}

impl Lane {
    /// Every lane, in the order in which a batch brings them.
    pub const ALL: [Lane; 3] = [Lane::Events, Lane::Windows, Lane::Diagnostics];

    /// The word in batches and answers.
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

impl<E: Sequenced, W: Sequenced, L> Batch<E, W, L> {
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
    /// Checks what the types cannot: the ranges, and each window.
    ///
    /// # Errors
    /// [`BatchError`] names the lane and the sequence.
    pub fn check(&self) -> Result<(), BatchError> {
        self.check_ranges()?;
        self.lanes.windows.iter().flat_map(|extent| &extent.rows).try_for_each(WindowRow::check)
    }

    /// When each row and live value was, lane by lane.
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let lanes = &self.lanes;
        let events = lanes.events.iter().chain(&lanes.diagnostics).flat_map(|extent| &extent.rows);
        let windows = lanes.windows.iter().flat_map(|extent| &extent.rows);
        events.map(|event| &event.at).chain(windows.map(|row| &row.start)).chain(self.live.iter().map(|live| &live.at))
    }
}

impl WindowRow {
    /// Checks that figures are there if and only if readings were believed.
    ///
    /// # Errors
    /// [`BatchError::Figures`] where they are not.
    pub fn check(&self) -> Result<(), BatchError> {
        match (self.count > 0) == self.sums.is_some() {
            true => Ok(()),
            false => Err(BatchError::Figures { seq: self.seq, count: self.count }),
        }
    }
}

impl<R: Sequenced> Extent<R> {
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

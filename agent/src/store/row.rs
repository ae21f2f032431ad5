//! The one translation between rows and the types of core and protocol.

use rusqlite::{Connection, Params, Row};
use serde::{Deserialize, Serialize};
use tilth_core::id::SensorId;
use tilth_core::quantity::Quantity;
use tilth_core::time::{Stamp, Uptime, WallTime};
use tilth_core::value::Resolution;
use tilth_core::windows::Grain;
use tilth_protocol::{Event, Figures, Gap, GapKind, Lane, WindowRow};

use super::error::StoreError;
use super::window_block::Entry;

/// A sequence or a number of ours, as SQLite holds it.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Back again; what was never written reads as 0.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// All rows of a query, each as `read` has it.
pub(super) fn all<T, All: FromIterator<T>>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row) -> rusqlite::Result<T>,
) -> Result<All, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_map(params, read)?.collect::<Result<_, _>>()?)
}

pub(super) const fn lane_id(lane: Lane) -> i64 {
    match lane {
        Lane::Events => 1,
        Lane::Windows => 2,
        Lane::Diagnostics => 3,
    }
}

pub(super) const fn lane_index(lane: Lane) -> usize {
    lane_id(lane) as usize - 1
}

/// The table of a grain's blocks.
pub(super) const fn table(grain: Grain) -> &'static str {
    match grain {
        Grain::Minute => "minute",
        Grain::Quarter => "quarter",
    }
}

pub(super) const fn gap_kind_id(kind: GapKind) -> i64 {
    match kind {
        GapKind::Lost => 1,
        GapKind::Replaced => 2,
        GapKind::Quarantined => 3,
    }
}

fn gap_kind(id: i64) -> GapKind {
    match id {
        2 => GapKind::Replaced,
        3 => GapKind::Quarantined,
        _ => GapKind::Lost,
    }
}

/// `first, last, kind, reason`
pub(super) fn gap(row: &Row) -> rusqlite::Result<Gap> {
    let kind = gap_kind(row.get("kind")?);
    Ok(Gap { first: uint(row.get("first")?), last: uint(row.get("last")?), kind, reason: row.get("reason")? })
}

/// `seq, boot, uptime, wall, kind, body`. A body that is no object reads as an empty one.
pub(super) fn event(row: &Row) -> rusqlite::Result<Event> {
    let at = Stamp {
        boot: row.get("boot")?,
        uptime: Uptime(row.get("uptime")?),
        wall: row.get::<_, Option<i64>>("wall")?.map(WallTime),
    };
    let body = row.get_ref("body")?.as_str()?;
    let body = serde_json::from_slice(body.as_bytes()).unwrap_or_default();
    Ok(Event { seq: uint(row.get("seq")?), at, kind: row.get("kind")?, body })
}

/// What a series is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) sensor: SensorId,
    pub(crate) quantity: Quantity,
    pub(crate) resolution: Resolution,
}

/// `sensor, quantity, resolution`
pub(super) fn series(row: &Row) -> Result<Series, StoreError> {
    let [sensor, quantity, resolution]: [String; 3] =
        [row.get("sensor")?, row.get("quantity")?, row.get("resolution")?];
    let number = resolution.parse().ok().and_then(|number| Resolution::new(number).ok());
    match (SensorId::new(&sensor), Quantity::from_name(&quantity), number) {
        (Ok(sensor), Some(quantity), Some(resolution)) => Ok(Series { sensor, quantity, resolution }),
        _ => Err(StoreError::Damaged(format!("a series is {sensor:?}, {quantity:?}, {resolution:?}"))),
    }
}

/// Which window a block is of, with the time of day as it was known then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowStart {
    pub(super) grain: Grain,
    pub(super) boot: u32,
    pub(super) start: Uptime,
    pub(super) wall_at_zero: Option<i64>,
}

impl WindowStart {
    pub(super) fn of(grain: Grain, start: Stamp) -> WindowStart {
        let wall_at_zero = start.wall.map(|wall| wall.0.saturating_sub(start.uptime.0));
        WindowStart { grain, boot: start.boot, start: start.uptime, wall_at_zero }
    }

    pub(super) fn start(&self) -> Stamp {
        let wall = self.wall_at_zero.map(|zero| WallTime(zero.saturating_add(self.start.0)));
        Stamp { boot: self.boot, uptime: self.start, wall }
    }
}

pub(super) fn window(seq: u64, series: &Series, at: &WindowStart, entry: &Entry) -> WindowRow {
    let good = entry.row.window.good;
    WindowRow {
        seq,
        sensor: series.sensor.clone(),
        quantity: series.quantity,
        // A resolution prints as the decimal it was made from.
        resolution: series.resolution.to_string().parse().unwrap_or(1.0),
        grain: at.grain,
        start: at.start(),
        revision: entry.row.revision,
        bad: entry.row.window.bad,
        count: good.map_or(0, |sums| sums.count),
        sums: good.map(|sums| Figures {
            sum: sums.sum,
            sum_sq: sums.sum_sq,
            min: sums.min.0,
            max: sums.max.0,
            last: sums.last.0,
            last_at: sums.last_at,
        }),
    }
}

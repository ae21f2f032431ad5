//! Conversion between messages, rows and records.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};
use tilth_core::id::Id;
use tilth_core::quantity::Quantity;
use tilth_core::time::{Uptime, WallTime};
use tilth_core::value::{Resolution, Steps};
use tilth_core::windows::{Sums, Window};
use tilth_protocol::{GapKind, WindowRow};

pub(super) use crate::db::records::{BootId, DeviceId, SensorRow, StoredWindow, StreamId, TenantId};
use crate::domain::ingest::fingerprints::{Fingerprints, Version};
use crate::domain::ingest::ranges::Content;

macro_rules! row_ids {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$name> {
                i64::column_result(value).map($name)
            }
        }

        impl From<$name> for rusqlite::types::Value {
            fn from(id: $name) -> rusqlite::types::Value {
                id.0.into()
            }
        }

        impl $name {
            /// The row that was just inserted.
            pub(super) fn last(connection: &Connection) -> $name {
                $name(connection.last_insert_rowid())
            }
        }
    )*};
}

row_ids!(TenantId, DeviceId, StreamId, BootId, SensorRow);

/// A column parsed into a type.
pub(super) struct Parsed<T>(pub(super) T);

impl FromSql for Parsed<Id> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Parsed<Id>> {
        Id::new(value.as_str()?).map(Parsed).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl FromSql for Parsed<Quantity> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Parsed<Quantity>> {
        Quantity::from_name(value.as_str()?).map(Parsed).ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for Parsed<Resolution> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Parsed<Resolution>> {
        Resolution::new(value.as_f64()?).map(Parsed).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl FromSql for Parsed<u128> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Parsed<u128>> {
        value.as_str()?.parse().map(Parsed).map_err(|error: std::num::ParseIntError| FromSqlError::Other(error.into()))
    }
}

/// Columns with the figures of a window.
pub(super) const FIGURES: &str = "revision, quantity, resolution, bad, count, sum, sum_sq, min, max, last, last_at";

/// Values of [`FIGURES`].
pub(super) fn figures(row: &WindowRow) -> [rusqlite::types::Value; 11] {
    let sums = row.sums.as_ref();
    let integer = |of: fn(&tilth_protocol::Figures) -> i64| sums.map(of).into();
    [
        row.revision.into(),
        row.quantity.name().to_owned().into(),
        row.resolution.into(),
        row.bad.into(),
        row.count.into(),
        integer(|sums| sums.sum),
        sums.map(|sums| sums.sum_sq.to_string()).into(),
        integer(|sums| sums.min),
        integer(|sums| sums.max),
        integer(|sums| sums.last),
        integer(|sums| sums.last_at.0),
    ]
}

/// Reads a row of `start`, [`FIGURES`].
pub(super) fn window(row: &Row<'_>, boot: u32, offset: i64) -> rusqlite::Result<StoredWindow> {
    let count: u32 = row.get("count")?;
    let sums = |row: &Row<'_>| {
        Ok::<Sums, rusqlite::Error>(Sums {
            count,
            sum: row.get("sum")?,
            sum_sq: row.get::<_, Parsed<u128>>("sum_sq")?.0,
            min: Steps(row.get("min")?),
            max: Steps(row.get("max")?),
            last: Steps(row.get("last")?),
            last_at: Uptime(row.get("last_at")?),
        })
    };
    let start = Uptime(row.get("start")?);
    Ok(StoredWindow {
        boot,
        start,
        wall: WallTime(start.0.saturating_add(offset)),
        revision: row.get("revision")?,
        quantity: row.get::<_, Parsed<Quantity>>("quantity")?.0,
        resolution: row.get::<_, Parsed<Resolution>>("resolution")?.0,
        window: Window { bad: row.get("bad")?, good: (count > 0).then(|| sums(row)).transpose()? },
    })
}

/// Content of a range as the columns kind, reason, marks and mark_version.
pub(super) fn content_columns(content: &Content) -> (&'static str, Option<&str>, Option<Vec<u8>>, i64) {
    let newest = Version::NEWEST.number();
    match content {
        Content::Rows(Fingerprints { version, fingerprints }) => {
            (ROWS, None, Some(fingerprints.concat()), version.number())
        }
        Content::Unreadable => (UNREAD, None, None, newest),
        Content::Gap(kind, reason) => (gap_name(*kind), Some(reason), None, newest),
    }
}

/// Reads the columns of [`content_columns`].
pub(super) fn content(row: &Row<'_>) -> rusqlite::Result<Content> {
    let kind: String = row.get("kind")?;
    Ok(match (kind.as_str(), gap_kind(&kind)) {
        (_, Some(kind)) => Content::Gap(kind, row.get("reason")?),
        (UNREAD, None) => Content::Unreadable,
        (_, None) => {
            let fingerprints = row.get_ref("marks")?.as_blob()?.as_chunks().0.to_vec();
            Content::Rows(Fingerprints { version: row.get::<_, Parsed<Version>>("mark_version")?.0, fingerprints })
        }
    })
}

impl FromSql for Parsed<Version> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Parsed<Version>> {
        Version::of_number(value.as_i64()?).map(Parsed).ok_or(FromSqlError::InvalidType)
    }
}

/// Kind of a range of rows that could be read.
const ROWS: &str = "rows";

/// Kind of a range of one unreadable row.
const UNREAD: &str = "unread";

const fn gap_name(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Lost => "lost",
        GapKind::Replaced => "replaced",
        GapKind::Quarantined => "quarantined",
    }
}

fn gap_kind(name: &str) -> Option<GapKind> {
    [GapKind::Lost, GapKind::Replaced, GapKind::Quarantined].into_iter().find(|kind| gap_name(*kind) == name)
}

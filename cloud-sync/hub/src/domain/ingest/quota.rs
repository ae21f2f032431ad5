//! Quotas of a device: sensors, rows, and streams per day. Rows over a quota are rejected one by one; the others are stored.

use tilth_core::time::Span;

/// Maximum number of sensors and rows of a device; options of `tilth-hub serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) sensors: u64,
    /// Stored windows and events.
    pub(crate) rows: u64,
}

impl Quota {
    /// Twice the sensors of the largest farm that is planned for; rows for 100 sensors over 9 years, some 60 GB.
    pub(crate) const USUAL: Quota = Quota { sensors: 2_000, rows: 500_000_000 };

    /// Maximum number of windows: the last hundredth of the rows is reserved for events.
    pub(crate) const fn rows_of_windows(self) -> u64 {
        self.rows - self.rows / 100
    }

    /// Reason to reject a window.
    pub(crate) fn too_many_sensors(self) -> String {
        format!("quota: this hub keeps at most {} sensors of a device", self.sensors)
    }

    /// Reason to reject a row.
    pub(crate) fn too_many_rows(self) -> String {
        format!("quota: this hub keeps at most {} rows of a device", self.rows)
    }
}

/// Maximum number of streams that a device may begin within [`STREAMS_WITHIN`]. A device begins one with a new database; two agents
/// with one key begin some 200 a day.
pub(crate) const MAX_STREAMS: u64 = 1_000;

/// Time over which streams are counted.
pub(crate) const STREAMS_WITHIN: Span = Span::from_mins(24 * 60);

/// Maximum number of gaps, boots and unreadable rows of a device, plus one for each ten rows that were rejected otherwise; some
/// 300 MB. A restart adds at most four.
pub(crate) const MAX_OTHERS: u64 = 1_000_000;

/// Maximum number of known ranges that a batch may overlap.
pub(crate) const MAX_TOUCHED: usize = 20_000;

//! What one device may have at the hub: sensors, rows, and streams in a day. What is beyond is refused with the limit's name,
//! row by row, so that the rest of the device's data goes on.

use tilth_core::time::Span;

/// The most sensors and rows of a device; `tilth-hub serve` may be told others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// The most sensors.
    pub(crate) sensors: u64,
    /// The most windows and events, ever.
    pub(crate) rows: u64,
}

impl Quota {
    /// Twice the sensors of the largest farm that is planned for; rows for 100 sensors over 9 years, some 60 GB.
    pub(crate) const USUAL: Quota = Quota { sensors: 2_000, rows: 500_000_000 };

    /// The last hundredth of the rows is for events: what happens on a full device's farm is still told.
    pub(crate) const fn rows_of_windows(self) -> u64 {
        self.rows - self.rows / 100
    }

    /// Why a window is not kept.
    pub(crate) fn too_many_sensors(self) -> String {
        format!("quota: this hub keeps at most {} sensors of a device", self.sensors)
    }

    /// Why a row is not kept.
    pub(crate) fn too_many_rows(self) -> String {
        format!("quota: this hub keeps at most {} rows of a device", self.rows)
    }
}

/// The most streams that a device may begin within [`STREAMS_WITHIN`]. A device begins one when its database is made anew;
/// two agents that use one key begin some 200 a day.
pub(crate) const MAX_STREAMS: u64 = 1_000;

/// See [`MAX_STREAMS`].
pub(crate) const STREAMS_WITHIN: Span = Span::from_mins(24 * 60);

/// The most that a device may have beside its rows: gaps, boots, and one for each ten rows that were refused; some 300 MB. A restart
/// leaves at most four.
pub(crate) const MAX_OTHERS: u64 = 1_000_000;

/// The most known runs of sequences that a batch may touch: a gap over thousands of them is stated in parts.
pub(crate) const MAX_TOUCHED: usize = 20_000;

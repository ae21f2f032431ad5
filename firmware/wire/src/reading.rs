//! Readings: one value of one channel, or why there is none.

/// A value, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub enum Sample {
    /// The value, in the channel's unit.
    Value(i32),
    /// No value.
    Fault(Fault),
}

numbered! {
    /// Why a channel has no value.
    Fault {
        /// No answer: not connected, or no power.
        Absent,
        /// The checksum of the answer is wrong.
        Checksum,
        /// The sensor answers with its value after power-on, which is no measurement.
        PowerOn,
        /// The value is outside the sensor's measuring range.
        Range,
        /// The measurement did not end in time.
        Timeout,
        /// The bus is held down and does not recover.
        Bus,
    }
}

/// One value of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct Reading {
    /// Sequence number over all channels, from 0 at the board's start, without gaps; wraps.
    pub seq: u32,
    /// Board time at which the measurement began, in milliseconds.
    pub at: u32,
    /// Number of the channel.
    pub channel: u8,
    /// The value.
    pub sample: Sample,
}

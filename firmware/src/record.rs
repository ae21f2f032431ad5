//! Records: settings as a board keeps them over power loss, one in each slot of its EEPROM or flash.
//!
//! A record is a zero and the frame of the message that makes the setting: `SetId` in slot 0, `SetChannel` of each channel in the next
//! slots, `SetRelay` of each relay in the last ones. Zeros fill its slot. So what is kept is read like bytes of the line: what is damaged
//! ends at the zero of the next record, and what is whole is checked against the wiring.

use tilth_wire::MAX_FRAME_TO_BOARD;

/// Length of a record, in bytes.
pub const RECORD_LEN: usize = 1 + MAX_FRAME_TO_BOARD;

/// A setting to keep over power loss. An empty slot, or one whose bytes are damaged, is as good as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Place of the record: a number below 1 + channels + relays.
    pub slot: u8,
    /// What to keep.
    pub bytes: [u8; RECORD_LEN],
}

impl Record {
    /// No setting, which is as good as none.
    pub const EMPTY: Self = Self { slot: 0, bytes: [0; RECORD_LEN] };
}

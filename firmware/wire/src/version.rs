//! Versions of the protocol, and how each side finds out which one the other speaks.
//!
//! A version is frozen: its messages keep their fields and order for good (`tests/v1.rs` holds their bytes). A new message, field or
//! value of an enumeration is a new version.

/// Oldest version of a board that the agent understands.
pub const MIN: u8 = 1;

/// Version that this build speaks.
pub const CURRENT: u8 = 1;

/// Protocol version that the body of a Hello states, at the same place in every version; `None` for another message.
pub fn of_hello(body: &[u8]) -> Option<u8> {
    match body {
        [0, version, ..] => Some(*version),
        _ => None,
    }
}

//! Enrolment: a device gets its key for a one-time code that a person types.
//!
//! The device draws its key itself and shows the hub the key's id and hash alone, so the key is never sent before its first use, and an
//! exchange whose answer was lost can be repeated.

mod code;

use std::fmt;

pub use code::{CodeError, CodeId, CodeSecret, EnrolmentCode};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tilth_core::id::Id;

/// Bytes, written as hex digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HexBytes<const N: usize>(pub [u8; N]);

/// Request of a device for its enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRequest {
    /// Public id of the code.
    pub code: CodeId,
    /// Secret of the code.
    pub secret: CodeSecret,
    /// Public id of the key that the device drew.
    pub key_id: HexBytes<6>,
    /// SHA-256 of the text of that key.
    pub key_hash: HexBytes<32>,
}

/// The answer to a device that is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentAnswer {
    /// Tenant of the device.
    pub client_id: Id,
    /// Name of the device.
    pub device_id: Id,
    /// Public key that verifies what the hub signs, as in `hub.pub`.
    pub signing_key: String,
}

/// The CA certificate of the hub. It comes over a connection that is not verified yet: only the hash in the code tells whether it is the
/// hub's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentCa {
    /// One certificate, in PEM.
    pub ca: String,
}

impl<const N: usize> Serialize for HexBytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<const N: usize> fmt::Display for HexBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexBytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HexBytes<N>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        // In one spelling only, as in a key.
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) if hex::encode(bytes) == text => Ok(HexBytes(bytes)),
            _ => Err(serde::de::Error::custom(format_args!("expected {} hex digits in lower case", 2 * N))),
        }
    }
}

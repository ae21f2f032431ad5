//! The hub's signed time, for a device whose clock is not set.
//!
//! The answer may come over a connection whose certificate dates were not checked. It is therefore signed, together with a number
//! that the device drew for this one question: an old answer does not fit.

use serde::{Deserialize, Serialize};
use tilth_core::id::Id;
use tilth_core::time::WallTime;

use super::key::{KeyId, SigningKey, TrustedKey};

/// 2025 to 2200, milliseconds since 1970: this program is not older, and no certificate or date that it writes is good for longer.
const POSSIBLE: std::ops::Range<i64> = 1_735_689_600_000..7_258_118_400_000;

/// A time of day, signed for one device and one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTime {
    /// Random text that the device sent.
    pub nonce: String,
    /// The tenant.
    #[serde(rename = "client_id")]
    pub client: Id,
    /// The device.
    #[serde(rename = "device_id")]
    pub device: Id,
    /// The time of day.
    pub now: WallTime,
    /// Name of the signing key.
    pub key: String,
    /// Over `tilth-time 1`, the nonce, `client/device` and the milliseconds, each followed by a line end; hex.
    pub signature: String,
}

/// Why a time is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The time answers another question or device.
    #[error("the time is signed for another question")]
    OtherQuestion,
    /// Another key than the one trusted.
    #[error("the time is signed by the key {found}; this device trusts {trusted}")]
    OtherKey {
        /// Key that signed, as the text says.
        found: String,
        /// Key that should have signed.
        trusted: KeyId,
    },
    /// A time at which this program cannot be running.
    #[error("the time {0} cannot be: expected one from 2025 to 2200")]
    Impossible(WallTime),
    /// Not the trusted key's signature.
    #[error("the signature of the time is wrong")]
    Signature,
}

/// Whether a text will do as a nonce: 16 to 64 letters, digits, `-` and `_`.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    (16..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

impl SignedTime {
    /// Signs the time for one question.
    #[must_use]
    pub fn sign(nonce: &str, client: &Id, device: &Id, now: WallTime, key: &SigningKey) -> SignedTime {
        let signature = key.sign(&statement(nonce, client, device, now)).to_string();
        let key = key.trusted().id().to_string();
        SignedTime { nonce: nonce.to_owned(), client: client.clone(), device: device.clone(), now, key, signature }
    }

    /// The time, where the trusted key signed it for this question.
    ///
    /// # Errors
    /// [`TimeError`] says what is wrong with it.
    pub fn verify(&self, nonce: &str, client: &Id, device: &Id, key: &TrustedKey) -> Result<WallTime, TimeError> {
        if self.nonce != nonce || self.client != *client || self.device != *device {
            return Err(TimeError::OtherQuestion);
        }
        if self.key != key.id().to_string() {
            return Err(TimeError::OtherKey { found: self.key.chars().take(16).collect(), trusted: key.id() });
        }
        let signature = self.signature.parse().map_err(|_| TimeError::Signature)?;
        let fits = key.verify(&statement(nonce, client, device, self.now), &signature);
        if !fits {
            return Err(TimeError::Signature);
        }
        if POSSIBLE.contains(&self.now.0) { Ok(self.now) } else { Err(TimeError::Impossible(self.now)) }
    }
}

fn statement(nonce: &str, client: &Id, device: &Id, now: WallTime) -> Vec<u8> {
    format!("tilth-time 1\n{nonce}\n{client}/{device}\n{}\n", now.0).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_for_one_question_of_one_device() {
        let (acme, pi, other) = (Id::new("acme").unwrap(), Id::new("pi-7").unwrap(), Id::new("pi-8").unwrap());
        let key = SigningKey::from_seed(&[1; 32]);
        let stranger = SigningKey::from_seed(&[2; 32]);
        let nonce = "0123456789abcdef";
        let signed = SignedTime::sign(nonce, &acme, &pi, WallTime(1_763_683_200_000), &key);
        let check = |signed: &SignedTime, nonce: &str, device| signed.verify(nonce, &acme, device, key.trusted());
        assert_eq!(check(&signed, nonce, &pi), Ok(signed.now));
        assert_eq!(check(&signed, "0123456789abcdeF", &pi), Err(TimeError::OtherQuestion));
        assert_eq!(check(&signed, nonce, &other), Err(TimeError::OtherQuestion));
        let later = SignedTime { now: WallTime(signed.now.0 + 1), ..signed.clone() };
        assert_eq!(check(&later, nonce, &pi), Err(TimeError::Signature));
        let forged = SignedTime::sign(nonce, &acme, &pi, signed.now, &stranger);
        assert!(matches!(check(&forged, nonce, &pi), Err(TimeError::OtherKey { .. })));
        let forged = SignedTime { key: signed.key.clone(), ..forged };
        assert_eq!(check(&forged, nonce, &pi), Err(TimeError::Signature));
        for now in [i64::MIN, -1, 0, 1_735_689_599_999, 7_258_118_400_000, i64::MAX] {
            let signed = SignedTime::sign(nonce, &acme, &pi, WallTime(now), &key);
            assert_eq!(check(&signed, nonce, &pi), Err(TimeError::Impossible(WallTime(now))));
        }
        assert!(is_nonce(nonce) && !is_nonce("short") && !is_nonce("0123456789abcde\n") && !is_nonce(&"a".repeat(65)));
    }
}

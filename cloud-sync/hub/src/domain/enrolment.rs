//! Enrolment codes: what the exchange of one comes to. Pure.
//!
//! ```text
//!            exchanged                       the same key again, before the expiry
//!  open ------------------> used by a key  ------------------------------------> answered again
//!   |  `--- time ---> expired     `--- another key ---> refused
//!   `--- `device revoke`, a newer code, a restore ---> revoked
//! ```

use tilth_core::time::{Span, WallTime};
use tilth_protocol::ErrorCode;

/// Shortest and longest life of a code: time to walk to the device, and a week for a device that is sent away.
pub(crate) const LIFE: (Span, Span) = (Span::from_mins(1), Span::from_mins(7 * 24 * 60));

/// A code that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCode {
    pub(crate) created: WallTime,
    pub(crate) expires: WallTime,
    pub(crate) revoked: Option<WallTime>,
    pub(crate) used: Option<UsedBy>,
}

/// The key that a code was exchanged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsedBy {
    pub(crate) at: WallTime,
    /// Public id of the key.
    pub(crate) key: String,
    pub(crate) hash: Vec<u8>,
    pub(crate) key_is_revoked: bool,
}

/// What is to be done for a device that showed the right secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// Store the key and note the use, in one transaction.
    New,
    /// Answer once more: the first answer was lost.
    Again,
}

/// Why a code is not exchanged, although the secret is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodeRejection {
    #[error("this enrolment code expired at {0}")]
    Expired(WallTime),
    #[error("this enrolment code, or the key that it was exchanged for, is revoked")]
    Revoked,
    #[error("another agent used this enrolment code at {0}")]
    Used(WallTime),
    /// By chance never.
    #[error("key_id: there is such a key already; draw another")]
    KeyTaken,
}

impl CodeRejection {
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            CodeRejection::Expired(_) => ErrorCode::ExpiredCode,
            CodeRejection::Revoked => ErrorCode::RevokedCode,
            CodeRejection::Used(_) => ErrorCode::UsedCode,
            CodeRejection::KeyTaken => ErrorCode::BadRequest,
        }
    }
}

impl StoredCode {
    /// Exchanges the code for a key. A revoked key outlives no repetition; a use is told before the expiry.
    ///
    /// # Errors
    /// [`CodeRejection`] says why not.
    pub(crate) fn exchange(&self, (key, hash): (&str, &[u8]), now: WallTime) -> Result<Exchange, CodeRejection> {
        match &self.used {
            Some(used) if used.key != key || used.hash != hash => Err(CodeRejection::Used(used.at)),
            Some(used) if used.key_is_revoked => Err(CodeRejection::Revoked),
            _ if self.revoked.is_some() => Err(CodeRejection::Revoked),
            _ if now >= self.expires => Err(CodeRejection::Expired(self.expires)),
            Some(_) => Ok(Exchange::Again),
            None => Ok(Exchange::New),
        }
    }

    /// State of the code, as people read it.
    pub(crate) fn in_words(&self, now: WallTime) -> String {
        match self {
            StoredCode { used: Some(used), .. } => format!("used at {} for key {}", used.at, used.key),
            StoredCode { revoked: Some(at), .. } => format!("revoked at {at}"),
            StoredCode { expires, .. } if now >= *expires => format!("expired at {expires}"),
            StoredCode { expires, .. } => format!("open until {expires}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: (&str, &[u8]) = ("a", &[1]);
    const B: (&str, &[u8]) = ("b", &[2]);

    fn code(revoked: Option<i64>, used: Option<(&str, u8, bool)>) -> StoredCode {
        let used = used.map(|(key, hash, key_is_revoked)| UsedBy {
            at: WallTime(20),
            key: key.into(),
            hash: vec![hash],
            key_is_revoked,
        });
        StoredCode { created: WallTime(0), expires: WallTime(100), revoked: revoked.map(WallTime), used }
    }

    #[test]
    fn a_code_is_exchanged_once_and_answered_again_to_the_same_key() {
        use CodeRejection::{Expired, Revoked, Used};
        let (open, used) = (code(None, None), code(None, Some(("a", 1, false))));
        for (code, key, now, expected) in [
            (&open, A, 99, Ok(Exchange::New)),
            (&open, A, 100, Err(Expired(WallTime(100)))),
            (&code(Some(50), None), A, 60, Err(Revoked)),
            (&used, A, 99, Ok(Exchange::Again)),
            (&used, A, 100, Err(Expired(WallTime(100)))),
            (&used, B, 99, Err(Used(WallTime(20)))),
            (&used, B, 100, Err(Used(WallTime(20)))),
            (&used, ("a", B.1), 99, Err(Used(WallTime(20)))),
            (&code(None, Some(("a", 1, true))), A, 99, Err(Revoked)),
            (&code(Some(50), Some(("a", 1, false))), A, 99, Err(Revoked)),
        ] {
            assert_eq!(code.exchange(key, WallTime(now)), expected, "{code:?} {key:?} at {now}");
        }
    }
}

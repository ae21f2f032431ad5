//! The list of sums of a release: the SHA-256 of each of its files as `sha256sum` prints it, sealed like a [bundle](crate::bundle).
//!
//! ```text
//! tilth-sums 1
//! key 5b1c1f0a9d3e7788
//! signature 00aa.. (128 hex digits)
//! length 382
//!
//! 9f86d081884c7d65..  tilth-agent_0.1.0-1_arm64.deb
//! ```
//!
//! For whoever has no program of ours yet, a signature of the bare list lies beside it, which openssl checks.

use crate::bundle::sealed::Form;
use crate::bundle::{SealError, SigningKey, TrustedKey};

/// Largest list with its head, in bytes.
pub const MAX_SUMS: u64 = 1 << 20;

const FORM: Form = Form { word: "tilth-sums", format: 1, called: "list of sums", max_bytes: MAX_SUMS as usize };

/// Seals a list. Same list and key, same bytes.
#[must_use]
pub fn seal_sums(sums: &[u8], key: &SigningKey) -> Vec<u8> {
    FORM.seal(sums, key)
}

/// The signature of a list as it is, so that it can be checked without a program of ours. A list begins with a sum, which no sealed text does: this
/// signature is none of another kind of text.
#[must_use]
pub fn sign_sums(sums: &[u8], key: &SigningKey) -> [u8; 64] {
    key.sign(sums).0
}

/// The list that the trusted key sealed.
///
/// # Errors
/// [`SealError`] says what the bytes are instead.
pub fn open_sums<'a>(sealed: &'a [u8], key: &TrustedKey) -> Result<&'a [u8], SealError> {
    FORM.open(sealed, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_opens_by_its_key_alone_and_unchanged() {
        let key = SigningKey::from_seed(&[1; 32]);
        let sums = b"9f86d081  tilth-agent_0.1.0-1_arm64.deb\n";
        let sealed = seal_sums(sums, &key);
        assert_eq!(open_sums(&sealed, key.trusted()), Ok(&sums[..]));
        let other = SigningKey::from_seed(&[2; 32]);
        assert!(matches!(open_sums(&sealed, other.trusted()), Err(SealError::OtherKey { .. })));
        let changed = String::from_utf8(sealed).unwrap().replace("9f86", "0000");
        assert_eq!(open_sums(changed.as_bytes(), key.trusted()), Err(SealError::Signature("list of sums")));
    }
}

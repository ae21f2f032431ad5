//! Manifest of a firmware image: the board that the image is for, its versions and its hash, sealed like a [bundle](crate::bundle).
//!
//! The manifest lies beside the image, `uno.manifest` beside `uno.hex`:
//!
//! ```text
//! tilth-firmware 1
//! key 5b1c1f0a9d3e7788
//! signature 00aa.. (128 hex digits)
//! length 182
//!
//! {"format":1,"board":"uno","chip":"atmega328p","firmware":"0.1.0","protocol":1,"length":68303,"sha256":".."}
//! ```

use serde::{Deserialize, Serialize};

use crate::bundle::sealed::Form;
use crate::bundle::{SealError, SigningKey, TrustedKey};
use crate::sha256;

/// Largest image, in bytes: the hex file of a full ATmega2560 has 0.7 MB.
pub const MAX_IMAGE: u64 = 4 << 20;

/// Largest manifest, in bytes.
pub const MAX_MANIFEST: u64 = 4096;

const FORMAT: u32 = 1;
const FORM: Form =
    Form { word: "tilth-firmware", format: FORMAT, called: "manifest", max_bytes: MAX_MANIFEST as usize };

/// What an image is, as its maker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Kind of the board, such as `uno`.
    pub board: String,
    /// Chip of the board, such as `atmega328p`.
    pub chip: String,
    /// Version of the firmware, such as `0.1.0`; the board states it in its Hello.
    pub firmware: String,
    /// Version of the protocol that the firmware speaks.
    pub protocol: u8,
}

/// Why an image is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No manifest that the trusted key signed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Signed, and not understood.
    #[error("the manifest's payload is not understood: {0}")]
    Payload(String),
    /// The manifest is of another file, or the file was changed.
    #[error("the image is not the one that was signed: {found}, expected {stated}")]
    OtherImage {
        /// Length and hash that the manifest states.
        stated: String,
        /// Length and hash of the image.
        found: String,
    },
}

/// The payload; keys that a later version adds are ignored.
#[derive(Serialize, Deserialize)]
struct Payload {
    format: u32,
    board: String,
    chip: String,
    firmware: String,
    protocol: u8,
    length: usize,
    sha256: String,
}

impl Manifest {
    /// Seals the manifest of an image. Same image and key, same bytes.
    #[must_use]
    pub fn seal(&self, image: &[u8], key: &SigningKey) -> Vec<u8> {
        let Manifest { board, chip, firmware, protocol } = self.clone();
        let (length, sha256) = (image.len(), hex::encode(sha256(image)));
        let payload = Payload { format: FORMAT, board, chip, firmware, protocol, length, sha256 };
        FORM.seal(&serde_json::to_vec(&payload).expect("texts and numbers are JSON"), key)
    }

    /// Reads the manifest of an image, where the trusted key signed it for these bytes.
    ///
    /// # Errors
    /// [`ManifestError`] says what is wrong with manifest or image.
    pub fn verify(sealed: &[u8], image: &[u8], key: &TrustedKey) -> Result<Manifest, ManifestError> {
        let payload: Payload = serde_json::from_slice(FORM.open(sealed, key)?)
            .map_err(|error| ManifestError::Payload(error.to_string()))?;
        let Payload { format, board, chip, firmware, protocol, length, sha256: hash } = payload;
        if format != FORMAT {
            return Err(ManifestError::Payload(format!("format {format}; this program reads format {FORMAT}")));
        }
        let found = hex::encode(sha256(image));
        if (image.len(), &found) != (length, &hash) {
            let shown = |length: usize, hash: &str| format!("{length} bytes with SHA-256 {hash}");
            let (stated, found) = (shown(length, &hash), shown(image.len(), &found));
            return Err(ManifestError::OtherImage { stated, found });
        }
        Ok(Manifest { board, chip, firmware, protocol })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &[u8] = b":00000001FF\n";

    fn key() -> SigningKey {
        SigningKey::from_seed(&std::array::from_fn(|at| at as u8))
    }

    fn manifest() -> Manifest {
        let (board, chip, firmware) = ("uno".to_owned(), "atmega328p".to_owned(), "0.1.0".to_owned());
        Manifest { board, chip, firmware, protocol: 1 }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_sealed() {
        let sealed = manifest().seal(IMAGE, &key());
        let text = String::from_utf8(sealed.clone()).unwrap();
        assert!(text.starts_with("tilth-firmware 1\nkey 56475aa75463474c\nsignature "), "{text}");
        assert!(
            text.contains(r#""board":"uno","chip":"atmega328p","firmware":"0.1.0","protocol":1,"length":12,"#),
            "{text}"
        );
        assert_eq!(Manifest::verify(&sealed, IMAGE, key().trusted()), Ok(manifest()));
    }

    #[test]
    fn an_image_that_was_not_signed_is_refused() {
        let sealed = manifest().seal(IMAGE, &key());
        let text = String::from_utf8(sealed.clone()).unwrap();
        let unsigned = text.replace(text.lines().nth(2).unwrap(), "signature none");
        let other_board = text.replace("uno", "due");
        let stranger = SigningKey::from_seed(&[9; 32]);
        for (sealed, image, key, expected) in [
            (text.as_bytes(), &b":00000001FE\n"[..], key(), "the image is not the one that was signed"),
            (text.as_bytes(), b"", key(), "the image is not the one that was signed: 0 bytes"),
            (unsigned.as_bytes(), IMAGE, key(), "the manifest is not signed"),
            (other_board.as_bytes(), IMAGE, key(), "the manifest's signature is wrong"),
            (
                text.as_bytes(),
                IMAGE,
                stranger,
                "the manifest is signed by the key 56475aa75463474c; this device trusts",
            ),
            (b"", IMAGE, key(), "not a manifest; expected it to begin with \"tilth-firmware 1\""),
        ] {
            let error = Manifest::verify(sealed, image, key.trusted()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}; expected {expected}");
        }
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let sealed = manifest().seal(IMAGE, &key());
        for at in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(Manifest::verify(&changed, IMAGE, key().trusted()).is_err(), "bit {at}");
        }
    }

    #[test]
    fn a_bundle_is_no_manifest() {
        let text = String::from_utf8(manifest().seal(IMAGE, &key())).unwrap().replace("tilth-firmware", "tilth-bundle");
        assert!(Manifest::verify(text.as_bytes(), IMAGE, key().trusted()).is_err());
    }
}

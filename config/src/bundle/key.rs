//! The hub's signing key and its public half, and how both are written in files.

use std::fmt;
use std::str::FromStr;

use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::sha256;

/// The word before a public key, as in `hub.pub`.
const PUBLIC: &str = "ed25519";

/// The word before a secret key, so that the two files are not confused.
const SECRET: &str = "ed25519-secret";

/// What stands before the 32 bytes of an Ed25519 key in DER.
const SPKI_OF_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that signs. Its debug form shows the public half alone.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    derivation: hmac::Key,
    trusted: TrustedKey,
}

/// The public half of a key whose signatures are believed. Written as `ed25519` and 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedKey([u8; 32]);

/// The name of a key: the first bytes of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 8]);

/// An Ed25519 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub(crate) [u8; 64]);

/// Why a text is no key. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another form.
    #[error("expected one line: {word} and 64 hex digits")]
    Form {
        /// The word at its beginning.
        word: &'static str,
    },
    /// Not hexadecimal, or of another length.
    #[error("expected {digits} hex digits in lower case")]
    Hex {
        /// How many.
        digits: usize,
    },
}

impl SigningKey {
    /// The key of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed has 32 bytes and any will do");
        let public = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        SigningKey { pair, derivation: hmac::Key::new(hmac::HMAC_SHA256, seed), trusted: TrustedKey(public) }
    }

    /// A secret for another purpose, which says nothing of this key: HMAC-SHA256 of the purpose under the seed.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        hmac::sign(&self.derivation, purpose.as_bytes()).as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    /// Text of the file with the secret.
    #[must_use]
    pub fn text_of_seed(seed: &[u8; 32]) -> String {
        format!("{SECRET} {}\n", hex::encode(seed))
    }

    /// Reads the file with the secret.
    ///
    /// # Errors
    /// [`KeyError`] when it is something else.
    pub fn parse(text: &str) -> Result<SigningKey, KeyError> {
        line(text, SECRET).map(|seed| SigningKey::from_seed(&seed))
    }

    /// The half that may be told.
    #[must_use]
    pub fn trusted(&self) -> &TrustedKey {
        &self.trusted
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.pair.sign(message).as_ref().try_into().expect("a signature has 64 bytes"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.trusted.id())
    }
}

impl TrustedKey {
    /// Reads `hub.pub`.
    ///
    /// # Errors
    /// [`KeyError`] when it is something else.
    pub fn parse(text: &str) -> Result<TrustedKey, KeyError> {
        line(text, PUBLIC).map(TrustedKey)
    }

    /// Name of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let [a, b, c, d, e, f, g, h, ..] = sha256(&self.0);
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// The key as programs other than ours read it: a `SubjectPublicKeyInfo` in PEM (RFC 8410).
    #[must_use]
    pub fn to_pem(&self) -> String {
        let text = base64(&[&SPKI_OF_ED25519[..], &self.0].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    pub(super) fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, &signature.0).is_ok()
    }
}

/// The line of `hub.pub`, without its end.
impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC} {}", hex::encode(self.0))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for KeyId {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<KeyId, KeyError> {
        from_hex(text).map(KeyId).ok_or(KeyError::Hex { digits: 16 })
    }
}

impl FromStr for Signature {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Signature, KeyError> {
        from_hex(text).map(Signature).ok_or(KeyError::Hex { digits: 128 })
    }
}

fn line(text: &str, word: &'static str) -> Result<[u8; 32], KeyError> {
    let digits = text.trim_end().strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
    digits.and_then(from_hex).ok_or(KeyError::Form { word })
}

/// Bytes in the alphabet of RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of_three = |three: &[u8]| -> String {
        let bits = (0..3).fold(0, |bits, at| (bits << 8) | usize::from(three.get(at).copied().unwrap_or(0)));
        let digit = |at: usize| if at > three.len() { '=' } else { char::from(ALPHABET[(bits >> (18 - 6 * at)) & 63]) };
        (0..4).map(digit).collect()
    };
    bytes.chunks(3).map(of_three).collect()
}

/// Bytes written as hexadecimal digits in lower case. Upper case is refused, so that equal bytes are equal texts.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let seed = [7; 32];
        let key = SigningKey::parse(&SigningKey::text_of_seed(&seed)).unwrap();
        let public = key.trusted().to_string();
        assert_eq!(TrustedKey::parse(&format!("{public}\n")), Ok(*key.trusted()));
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.trusted().id()));
        for text in ["", "ed25519", "ed25519 00", &public.to_uppercase(), &SigningKey::text_of_seed(&seed)] {
            assert_eq!(TrustedKey::parse(text), Err(KeyError::Form { word: PUBLIC }), "{text}");
        }
        assert_eq!(SigningKey::parse(&public).map(drop), Err(KeyError::Form { word: SECRET }));
    }

    /// RFC 8410, section 10.1, and RFC 4648, section 10.
    #[test]
    fn a_key_in_pem_is_that_of_the_standard() {
        let key = "ed25519 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(TrustedKey::parse(key).unwrap().to_pem(), pem);
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let seed = from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let key = SigningKey::from_seed(&seed);
        let public = "ed25519 3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.trusted().to_string(), public);
        let signature = key.sign(&[0x72]);
        assert!(signature.to_string().starts_with("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"));
        assert!(key.trusted().verify(&[0x72], &signature));
        assert!(!key.trusted().verify(&[0x73], &signature));
    }
}

//! Sealed text: a payload under a head with the signature of a key. Bundles and the manifests of firmware images are kept so.

use super::key::{KeyId, Signature, SigningKey, TrustedKey};

/// A kind of sealed text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// First word of the text.
    pub(crate) word: &'static str,
    /// Version of the form, behind the word.
    pub(crate) format: u32,
    /// Name for people.
    pub(crate) called: &'static str,
    /// A longer text is rejected.
    pub(crate) max_bytes: usize,
}

/// Why bytes are no text of a form, sealed by the trusted key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Something else.
    #[error("not a {called}; expected it to begin with \"{begin}\"")]
    Other {
        /// Name of what was expected.
        called: &'static str,
        /// How it begins.
        begin: String,
    },
    /// Another format.
    #[error("a {called} of format {found}; this program reads format {read}")]
    Format {
        /// Name of the text.
        called: &'static str,
        /// Format of the text.
        found: String,
        /// Format that is understood.
        read: u32,
    },
    /// No signature.
    #[error("the {0} is not signed")]
    Unsigned(&'static str),
    /// A head in another form.
    #[error("the {called}'s head is damaged: expected {expected}")]
    Head {
        /// Name of the text.
        called: &'static str,
        /// The line that was expected.
        expected: &'static str,
    },
    /// Some of it did not arrive.
    #[error("the {called} is truncated: {found} of {stated} bytes of its payload")]
    Truncated {
        /// Name of the text.
        called: &'static str,
        /// Length in the head, in bytes.
        stated: usize,
        /// Bytes present.
        found: usize,
    },
    /// More bytes than its head states.
    #[error("the {called} has {bytes} bytes after its end")]
    Excess {
        /// Name of the text.
        called: &'static str,
        /// How many.
        bytes: usize,
    },
    /// Longer than texts of its form.
    #[error("the {called} has {bytes} bytes; expected at most {most}")]
    TooLarge {
        /// Name of the text.
        called: &'static str,
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        most: usize,
    },
    /// Another key than the one trusted.
    #[error("the {called} is signed by the key {found}; this device trusts {trusted}")]
    OtherKey {
        /// Name of the text.
        called: &'static str,
        /// Key that signed, as the text says.
        found: KeyId,
        /// Key that should have signed.
        trusted: KeyId,
    },
    /// The trusted key's name with a signature that is not its.
    #[error("the {0}'s signature is wrong")]
    Signature(&'static str),
}

impl SealError {
    /// Whether bytes that were good once are so no more; else they are whole, and for another program or key.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        !matches!(self, SealError::Format { .. } | SealError::OtherKey { .. })
    }
}

/// Head and payload of a sealed text.
struct Parts<'a> {
    key: KeyId,
    signature: Signature,
    payload: &'a [u8],
}

impl Form {
    /// Seals a payload. Same payload and key, same bytes.
    pub(crate) fn seal(&self, payload: &[u8], key: &SigningKey) -> Vec<u8> {
        let signature = key.sign(&self.signed_part(payload));
        let (begin, key, length) = (self.begin(), key.trusted().id(), payload.len());
        let head = format!("{begin}\nkey {key}\nsignature {signature}\nlength {length}\n\n");
        [head.as_bytes(), payload].concat()
    }

    /// The payload of a text that the trusted key sealed.
    ///
    /// # Errors
    /// [`SealError`] says what the bytes are instead.
    pub(crate) fn open<'a>(&self, bytes: &'a [u8], key: &TrustedKey) -> Result<&'a [u8], SealError> {
        let called = self.called;
        let parts = self.split(bytes)?;
        if parts.key != key.id() {
            return Err(SealError::OtherKey { called, found: parts.key, trusted: key.id() });
        }
        let fits = key.verify(&self.signed_part(parts.payload), &parts.signature);
        if fits { Ok(parts.payload) } else { Err(SealError::Signature(called)) }
    }

    fn begin(&self) -> String {
        format!("{} {}", self.word, self.format)
    }

    fn signed_part(&self, payload: &[u8]) -> Vec<u8> {
        [self.begin().as_bytes(), b"\n", payload].concat()
    }

    fn split<'a>(&self, bytes: &'a [u8]) -> Result<Parts<'a>, SealError> {
        let called = self.called;
        if bytes.len() > self.max_bytes {
            return Err(SealError::TooLarge { called, bytes: bytes.len(), most: self.max_bytes });
        }
        let other = || SealError::Other { called, begin: self.begin() };
        let (first, rest) = line(bytes).ok_or_else(other)?;
        let format = first.strip_prefix(self.word).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(other)?;
        if format != self.format.to_string() {
            let found = format.chars().take(20).collect();
            return Err(SealError::Format { called, found, read: self.format });
        }
        let head = |expected| SealError::Head { called, expected };
        let expected = "a line key and 16 hex digits";
        let (key, rest) = field(rest, "key ").ok_or_else(|| head(expected))?;
        let key = key.parse().map_err(|_| head(expected))?;
        let expected = "a line signature and 128 hex digits";
        let (signature, rest) = match field(rest, "signature ") {
            Some((signature, rest)) if signature != "none" => (signature, rest),
            None if !rest.starts_with(b"length ") => return Err(head(expected)),
            _ => return Err(SealError::Unsigned(called)),
        };
        let signature = signature.parse().map_err(|_| head(expected))?;
        let expected = "a line length and a number, and an empty line";
        let (length, rest) = field(rest, "length ").ok_or_else(|| head(expected))?;
        let stated: usize = length.parse().map_err(|_| head(expected))?;
        let payload = rest.strip_prefix(b"\n").ok_or_else(|| head(expected))?;
        match payload.len().cmp(&stated) {
            std::cmp::Ordering::Less => Err(SealError::Truncated { called, stated, found: payload.len() }),
            std::cmp::Ordering::Equal => Ok(Parts { key, signature, payload }),
            std::cmp::Ordering::Greater => Err(SealError::Excess { called, bytes: payload.len() - stated }),
        }
    }
}

/// The first line without its end, where it is text, and what follows it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// The rest of a first line that begins with a name, and what follows the line.
fn field<'a>(bytes: &'a [u8], name: &str) -> Option<(&'a str, &'a [u8])> {
    let (line, rest) = line(bytes)?;
    Some((line.strip_prefix(name)?, rest))
}

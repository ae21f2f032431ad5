//! API keys: a prefix for the kind, a public id, and 256 random bits.
//!
//! `dev_ak_` is a device's key (sync, bundle and commands of that device), `dev_rk_` a tenant's read key (GET of that tenant).
//! The hub keeps the SHA-256 of the whole text, never the text.

use std::fmt;

/// Kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Sync, bundle and commands of one device.
    Device,
    /// Read access to the data of one tenant.
    Read,
}

/// A key with its secret. The debug form hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    kind: KeyKind,
    text: String,
}

/// The text is not a key. The message never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected dev_ak_ or dev_rk_, 12 hex digits, _ and 64 hex digits")]
pub struct KeyError;

const ID_DIGITS: usize = 12;
const SECRET_DIGITS: usize = 64;

impl KeyKind {
    /// Prefix of the keys of this kind.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            KeyKind::Device => "dev_ak_",
            KeyKind::Read => "dev_rk_",
        }
    }
}

impl Key {
    /// A key from random bytes.
    #[must_use]
    pub fn from_random(kind: KeyKind, id: [u8; ID_DIGITS / 2], secret: [u8; SECRET_DIGITS / 2]) -> Key {
        Key { kind, text: format!("{}{}_{}", kind.prefix(), hex::encode(id), hex::encode(secret)) }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`KeyError`] when the text has another form.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        let kinds = [KeyKind::Device, KeyKind::Read];
        let found = kinds.into_iter().find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)));
        let (kind, rest) = found.ok_or(KeyError)?;
        let (id, secret) = rest.split_once('_').ok_or(KeyError)?;
        let is_hex =
            |digits: &str, len| digits.len() == len && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex(id, ID_DIGITS) || !is_hex(secret, SECRET_DIGITS) {
            return Err(KeyError);
        }
        Ok(Key { kind, text: text.to_owned() })
    }

    /// Kind of the key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Public id, by which the hub finds the key and logs may name it: 12 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        let begin = self.kind.prefix().len();
        &self.text[begin..begin + ID_DIGITS]
    }

    /// The whole text, secret included: for the header of a request and for showing it once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}_...", self.kind.prefix(), self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_never_shown_by_accident() {
        let key = Key::from_random(KeyKind::Device, [0xab; 6], [0x01; 32]);
        assert_eq!(Key::parse(key.reveal()), Ok(key.clone()));
        assert_eq!(key.id(), "abababababab");
        assert_eq!(format!("{key:?}"), "dev_ak_abababababab_...");
        for text in ["", "dev_ak_", "dev_xx_abababababab_01", &key.reveal()[..80], &key.reveal().to_uppercase()] {
            assert_eq!(Key::parse(text), Err(KeyError), "{text}");
        }
    }
}

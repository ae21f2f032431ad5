//! Which keys name a secret, and where in a configuration a key is one: the names of sensors, zones and rules are people's own,
//! and a rule `token-lost` hides nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::namespaces::{AGENT_TOML, CHANNEL, CONFIG, Key, Privacy, Value};
use crate::suggest;

/// A key with this in it, with or without other characters between its letters, names a secret.
const PARTS: [&str; 17] = [
    "token",
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "apikey",
    "credential",
    "authoriz",
    "authoris",
    "bearer",
    "privatekey",
    "accesskey",
    "devicekey",
    "cookie",
    "kennwort",
    "wachtwoord",
    "contrase",
];

/// A key with one of these words names a secret.
const WORDS: [&str; 13] =
    ["pass", "pwd", "pw", "pin", "auth", "psk", "key", "jwt", "otp", "hmac", "sas", "senha", "creds"];

/// Words that are often mistyped, with how many letters may be wrong.
const MISTYPED: [(&str, usize); 9] = [
    ("token", 1),
    ("secret", 1),
    ("password", 2),
    ("passwd", 1),
    ("passphrase", 2),
    ("apikey", 1),
    ("credentials", 2),
    ("authorization", 2),
    ("bearer", 1),
];

/// Our own keys that sound like secrets and name files.
const FILES: [&str; 2] = ["signing_key", "key_file"];

/// Keys whose value is an address, which may be written without its scheme.
const ADDRESSES: [&str; 9] = ["url", "uri", "urls", "server", "host", "broker", "address", "endpoint", "hub"];

/// Keys of private texts of channels, such as the topic of ntfy.
static PRIVATE: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let is_private = |key: &&Key| key.value.form().is_some_and(|form| matches!(form.privacy, Privacy::Private(_)));
    CHANNEL.all().into_iter().flat_map(|table| table.keys().filter(is_private)).map(|key| key.name).collect()
});

/// Words that are no names of channels or rules: a table under one of them lacks the name before it.
const NO_NAMES: [&str; 7] = ["token", "secret", "password", "passwd", "auth", "authorization", "credentials"];

/// Which keys of `[secrets.NAME]` hold no secret.
const OF_A_SECRET: [&str; 1] = ["hosts"];

/// Kind of a table by its place in a configuration: what a key in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyContext {
    /// The top of a document, or of a zone.
    Top,
    /// Under `zones`.
    Zones,
    /// A table whose keys are names of people's own.
    Names,
    /// A table whose keys are words of ours.
    Words,
    /// `secrets`, and a table in it.
    Secrets,
    /// One secret's table.
    OneSecret,
    /// Everything in here is a secret.
    Secret,
    /// No configuration: nothing in here is one.
    Anything,
}

impl KeyContext {
    /// Context of the value of a key; `is_table` where the value is one.
    pub(crate) fn step(self, key: &str, is_table: bool) -> KeyContext {
        let by_name =
            || if PRIVATE.contains(&key) || names_secret(key) { KeyContext::Secret } else { KeyContext::Words };
        match self {
            KeyContext::Secret | KeyContext::Anything => self,
            KeyContext::Zones => KeyContext::Top,
            KeyContext::Names if is_table && !NO_NAMES.contains(&key) => KeyContext::Words,
            KeyContext::Names | KeyContext::Words => by_name(),
            KeyContext::Secrets if is_table => KeyContext::OneSecret,
            KeyContext::OneSecret if OF_A_SECRET.contains(&key) => KeyContext::Words,
            KeyContext::Secrets | KeyContext::OneSecret => KeyContext::Secret,
            KeyContext::Top if !is_table => by_name(),
            KeyContext::Top => match key {
                "zones" => KeyContext::Zones,
                "secrets" => KeyContext::Secrets,
                _ if has_names(key) => KeyContext::Names,
                _ => by_name(),
            },
        }
    }
}

/// Whether the keys under a table at the top are names that people give.
fn has_names(key: &str) -> bool {
    let table = CONFIG.get(key).or_else(|| AGENT_TOML.get(key));
    table.is_some_and(|table| matches!(table.value, Value::Named(..) | Value::Unused))
}

/// Whether the value of such a key is an address.
pub(crate) fn names_address(key: &str) -> bool {
    ADDRESSES.contains(&key.to_ascii_lowercase().as_str())
}

thread_local! {
    /// A configuration has many keys and few different ones.
    static KNOWN: RefCell<BTreeMap<String, bool>> = const { RefCell::new(BTreeMap::new()) };
}

/// Upper limit of remembered keys; a text with more is no configuration.
const MAX_KNOWN: usize = 500;

/// Whether a key names a secret, as far as can be told from how it is written.
pub(super) fn names_secret(key: &str) -> bool {
    KNOWN.with_borrow_mut(|known| {
        if let Some(known) = known.get(key) {
            return *known;
        }
        let answer = sounds_secret(key);
        if known.len() < MAX_KNOWN {
            known.insert(key.to_owned(), answer);
        }
        answer
    })
}

fn sounds_secret(key: &str) -> bool {
    if FILES.contains(&key) {
        return false;
    }
    let words = words(key);
    let joined = words.concat();
    let is_mistyped =
        |word: &String| MISTYPED.iter().any(|(meant, wrong)| suggest::distance(word, meant, *wrong).is_some());
    PARTS.iter().any(|part| joined.contains(part))
        || words.iter().any(|word| WORDS.contains(&word.as_str()))
        || words.iter().any(is_mistyped)
        || is_mistyped(&joined)
}

/// The words of a key in small letters: `X-Api-Key`, `apiKey` and `api_key` have the same.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in key.chars() {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && was_small);
        if begins {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests;

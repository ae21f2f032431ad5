//! A bundle: the configuration of one device at one version, as the exact bytes that the hub signed.
//!
//! ```text
//! tilth-bundle 1
//! key 5b1c1f0a9d3e7788
//! signature 00aa.. (128 hex digits)
//! length 412
//!
//! {"format":1,"version":7,"client":"acme","device":"pi-7","issued":1763683200000,"content_hash":"..","content":{..}}
//! ```
//!
//! The signature is over the first line and the payload, so both ends keep and send the bytes as they are and neither writes JSON a second
//! time. `content` holds the namespaces; they go over the shipped base as one layer.

mod key;
pub(crate) mod sealed;
mod time;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use tilth_core::id::Id;
use tilth_core::time::WallTime;

use crate::document::{Document, Documents, Effective, Text};
use crate::sha256;
use crate::source::Layer;
use crate::{Loaded, base};

use sealed::Form;

pub use key::{KeyError, KeyId, Signature, SigningKey, TrustedKey};
pub use sealed::SealError;
pub use time::{SignedTime, TimeError, is_nonce};

/// The version of this form.
pub const FORMAT: u32 = 1;

/// A larger bundle is none: ten thousand sensors or rules with all their keys are 3 MiB.
pub const MAX_BYTES: usize = 4 << 20;

/// The highest version of a bundle, at the hub and at devices. No hub counts so far, and a device that took a higher one from a thief of
/// the hub's key could never be given another.
pub const MAX_VERSION: u64 = 1 << 48;

const FORM: Form = Form { word: "tilth-bundle", format: FORMAT, called: "bundle", max_bytes: MAX_BYTES };

/// A bundle whose signature was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Counts the device's bundles; never goes down.
    pub version: u64,
    /// The tenant.
    pub client: Id,
    /// The device.
    pub device: Id,
    /// When the hub signed it.
    pub issued: WallTime,
    /// Hash of the content alone: equal for two versions with the same content.
    pub hash: ContentHash,
    /// The namespaces.
    pub content: Json,
}

/// Content to sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft<'a> {
    /// Higher than any that the device has shown.
    pub version: u64,
    /// The tenant.
    pub client: &'a Id,
    /// The device.
    pub device: &'a Id,
    /// Now.
    pub issued: WallTime,
    /// The namespaces.
    pub content: &'a Json,
}

/// SHA-256 of a content's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

/// How a bundle stands to the active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleOrder {
    /// A higher version with other content: to be applied.
    Newer,
    /// A higher version with the content of the active one: only its number is new.
    SameContent,
    /// The active one itself.
    Active,
    /// A version that is past, or the same one with other content: refused.
    Older,
}

/// Why bytes are no bundle for this device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// No bundle that the trusted key signed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Signed, of another format.
    #[error("a bundle of format {0}; this program reads format {FORMAT}")]
    Format(u32),
    /// Signed, and not understood.
    #[error("the bundle's payload is not understood: {0}")]
    Payload(String),
    /// A version that no hub issues.
    #[error("the bundle has version {0}; expected 1 to {MAX_VERSION}")]
    Version(u64),
    /// Signed, for somebody else.
    #[error("the bundle is for {client}/{device}")]
    OtherDevice {
        /// Tenant of the bundle.
        client: Id,
        /// Device of the bundle.
        device: Id,
    },
}

impl BundleError {
    /// Whether bytes that were a good bundle once are so no more; else they are whole, and not for this program, key or device.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, BundleError::Seal(error) if error.is_damage())
    }
}

/// The payload; keys that a later hub adds are ignored.
#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    format: u32,
    version: u64,
    client: Id,
    device: Id,
    issued: WallTime,
    content_hash: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Signs a configuration. Same draft and key, same bytes.
#[must_use]
pub fn seal(draft: &Draft<'_>, key: &SigningKey) -> Vec<u8> {
    let content = raw(draft.content);
    let payload = Payload {
        format: FORMAT,
        version: draft.version,
        client: draft.client.clone(),
        device: draft.device.clone(),
        issued: draft.issued,
        content_hash: ContentHash::of_text(content.get()).to_string(),
        content: &content,
    };
    let payload = serde_json::to_vec(&payload).expect("its maps are keyed by text");
    FORM.seal(&payload, key)
}

/// Reads a bundle that a trusted key signed for this device.
///
/// # Errors
/// [`BundleError`] says what it is instead.
pub fn verify(bytes: &[u8], key: &TrustedKey, client: &Id, device: &Id) -> Result<Bundle, BundleError> {
    let not_understood = |error: serde_json::Error| BundleError::Payload(error.to_string());
    let payload: Payload<'_> = serde_json::from_slice(FORM.open(bytes, key)?).map_err(not_understood)?;
    if payload.format != FORMAT {
        return Err(BundleError::Format(payload.format));
    }
    if payload.client != *client || payload.device != *device {
        return Err(BundleError::OtherDevice { client: payload.client, device: payload.device });
    }
    if !(1..=MAX_VERSION).contains(&payload.version) {
        return Err(BundleError::Version(payload.version));
    }
    let hash = ContentHash::of_text(payload.content.get());
    if hash.to_string() != payload.content_hash {
        return Err(BundleError::Payload(format!("content_hash is not {hash}")));
    }
    let content = serde_json::from_slice(payload.content.get().as_bytes()).map_err(not_understood)?;
    let Payload { version, issued, .. } = payload;
    Ok(Bundle { version, client: client.clone(), device: device.clone(), issued, hash, content })
}

/// The content of a bundle: all documents above the shipped base, merged into one.
#[must_use]
pub fn content(loaded: &Loaded) -> Json {
    let layers = loaded.effective.layers.iter().zip(loaded.sources.iter());
    let above = layers.filter(|(_, source)| source.layer != Some(Layer::Base)).map(|(table, _)| table.clone());
    let merged = Effective::merge(above.collect()).merged;
    Json::Object(merged.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect())
}

/// The documents of a device that has this content, shipped base included; [`crate::load_documents`] compiles them.
#[must_use]
pub fn documents(version: Option<u64>, content: Json) -> Documents {
    let file = version.map_or("bundle".to_owned(), |version| format!("bundle {version}"));
    let document = Document { file, layer: Some(Layer::Client), version, text: Text::Json(content) };
    let Documents { mut layers, agent_toml } = base();
    layers.push(document);
    Documents { layers, agent_toml }
}

fn raw(content: &Json) -> Box<RawValue> {
    let text = serde_json::to_string(content).expect("a JSON value is JSON");
    RawValue::from_string(text).expect("a JSON value is JSON")
}

impl Bundle {
    /// The documents of a device that has this bundle, shipped base included.
    #[must_use]
    pub fn documents(&self) -> Documents {
        documents(Some(self.version), self.content.clone())
    }

    /// How it stands to the active bundle, if there is one.
    #[must_use]
    pub fn against(&self, active: Option<(u64, ContentHash)>) -> BundleOrder {
        match active {
            None => BundleOrder::Newer,
            Some((version, hash)) if self.version > version && self.hash == hash => BundleOrder::SameContent,
            Some((version, _)) if self.version > version => BundleOrder::Newer,
            Some((version, hash)) if self.version == version && self.hash == hash => BundleOrder::Active,
            Some(_) => BundleOrder::Older,
        }
    }
}

impl ContentHash {
    /// Hash of a content as [`seal`] writes it.
    #[must_use]
    pub fn of(content: &Json) -> ContentHash {
        ContentHash::of_text(raw(content).get())
    }

    fn of_text(text: &str) -> ContentHash {
        ContentHash(sha256(text.as_bytes()))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::str::FromStr for ContentHash {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<ContentHash, KeyError> {
        key::from_hex(text).map(ContentHash).ok_or(KeyError::Hex { digits: 64 })
    }
}

#[cfg(test)]
mod tests;

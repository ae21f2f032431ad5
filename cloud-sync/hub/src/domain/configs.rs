//! Chooses the configuration of a device. Its version never goes down, even after the hub lost data. Pure.

pub(crate) mod status;

use serde_json::Value as Json;
use tilth_config::bundle::{self, BundleError, ContentHash, Draft, MAX_BYTES, MAX_VERSION, SigningKey};
use tilth_core::id::Id;
use tilth_core::time::WallTime;

/// A stated version may be this far above the newest that this hub issued, as after the restore of an older backup. A device's key alone
/// cannot use up its versions.
pub(crate) const MOST_AHEAD: u64 = 1 << 20;

/// Configuration that a device states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldConfig {
    /// 0 for none.
    pub(crate) version: u64,
    /// Hash of its content, if stated.
    pub(crate) hash: Option<String>,
}

/// A signed configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedBundle {
    pub(crate) version: u64,
    pub(crate) issued: WallTime,
    /// Hash of the content, in hex.
    pub(crate) hash: String,
    pub(crate) bytes: Vec<u8>,
}

/// Answer to a device that asks for its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The device has what the hub has.
    Unchanged,
    /// The newest bundle.
    Send,
    /// The newest content under a version above any that the device stated.
    Renew,
}

/// Error of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the stored bundle: {0}")]
    Stored(#[from] BundleError),
    #[error("the signed configuration has {0} bytes; expected at most {MAX_BYTES}")]
    TooLarge(usize),
    #[error("the device states the highest possible version, {MAX_VERSION}, which no hub issues")]
    NoVersion,
    #[error(
        "since_version {shown}: the newest version of this hub for the device is {issued}; expected at most {} above it",
        MOST_AHEAD
    )]
    Ahead { shown: u64, issued: u64 },
}

/// The answer, by the newest version of the hub and the highest that the device ever stated.
pub(crate) fn reply(newest: (u64, &str), highest_shown: u64, shown: &HeldConfig) -> Reply {
    let (version, hash) = newest;
    let shown_hash = shown.hash.as_deref();
    if highest_shown > version || (shown.version == version && shown_hash.is_some_and(|shown| shown != hash)) {
        Reply::Renew
    } else if shown.version == version && shown_hash == Some(hash) {
        Reply::Unchanged
    } else {
        Reply::Send
    }
}

/// Checks a stated version against the highest before and the newest that was issued.
pub(crate) fn check_shown(shown: u64, highest_shown: u64, issued: u64) -> Result<(), ConfigError> {
    if shown > highest_shown && shown > issued.saturating_add(MOST_AHEAD) {
        return Err(ConfigError::Ahead { shown, issued });
    }
    Ok(())
}

/// The next version after the newest of the hub and the highest that the device stated; 0 for none.
pub(crate) fn next_version(newest: u64, highest_shown: u64) -> Result<u64, ConfigError> {
    let version = newest.max(highest_shown) + 1;
    if version > MAX_VERSION { Err(ConfigError::NoVersion) } else { Ok(version) }
}

/// True if a content needs no new version: the newest has it, and the device stated no higher one.
pub(crate) fn is_in_place(newest: &SignedBundle, highest_shown: u64, content: &Json) -> bool {
    newest.hash == ContentHash::of(content).to_string() && newest.version >= highest_shown
}

/// Signs a content for a device.
pub(crate) fn sign(
    key: &SigningKey,
    (client, device): (&Id, &Id),
    version: u64,
    content: &Json,
    now: WallTime,
) -> Result<SignedBundle, ConfigError> {
    let bytes = bundle::seal(&Draft { version, client, device, issued: now, content }, key);
    if bytes.len() > MAX_BYTES {
        return Err(ConfigError::TooLarge(bytes.len()));
    }
    Ok(SignedBundle { version, issued: now, hash: ContentHash::of(content).to_string(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_asking() {
        for (newest, highest, (version, hash), expected) in [
            (3, 0, (0, None), Reply::Send),
            (3, 2, (2, Some("ours")), Reply::Send),
            (3, 3, (3, Some("ours")), Reply::Unchanged),
            // Without the hash it is not known what the device has.
            (3, 3, (3, None), Reply::Send),
            (3, 3, (3, Some("other")), Reply::Renew),
            // The hub was restored from a time before.
            (3, 5, (5, Some("ours")), Reply::Renew),
            (3, 5, (5, None), Reply::Renew),
            // The device went back to its last good one, and knows of a later one all the same.
            (3, 5, (2, Some("ours")), Reply::Renew),
            (3, 3, (2, Some("old")), Reply::Send),
        ] {
            let found = reply((newest, "ours"), highest, &HeldConfig { version, hash: hash.map(str::to_owned) });
            assert_eq!(found, expected, "{newest} {highest} {version} {hash:?}");
        }
    }
}

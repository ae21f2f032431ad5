//! Which bundle a device gets: the version never goes down, whatever the hub has forgotten and the device remembers.

pub(crate) mod standing;

use rusqlite::Connection;
use serde_json::Value as Json;
use tilth_config::bundle::{self, BundleError, ContentHash, Draft, MAX_BYTES, MAX_VERSION, SigningKey};
use tilth_core::id::Id;
use tilth_core::time::WallTime;

use crate::db::sqlite::bundles::{self, StoredBundle};
use crate::db::sqlite::devices::{self, Device};
use crate::db::sqlite::{StoreError, rows::DeviceId};

/// A device is believed to run a version so far above the newest that this hub issued to it, as after an older backup was restored.
/// Whoever has only its key must not bring it to the highest version, above which no hub could configure it.
const MOST_AHEAD: u64 = 1 << 20;

/// What a device says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    pub(crate) version: u64,
    /// The hash of its content, where the device tells it.
    pub(crate) hash: Option<&'a str>,
}

/// What to answer to a device that asks for its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It has what the hub has.
    Unchanged,
    /// The newest bundle.
    Send,
    /// The newest content under a version above any that the device has shown.
    Renew,
}

/// Why there is no bundle to send.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored bundle: {0}")]
    Stored(#[from] BundleError),
    #[error("the configuration has {0} bytes once it is signed; expected at most {MAX_BYTES}")]
    TooLarge(usize),
    #[error("the device has shown the highest version that there is, {MAX_VERSION}, which no hub issues")]
    NoVersion,
    #[error(
        "configuration {shown} was shown, and the newest that this hub issued to the device is {issued}: expected at most {} above it",
        MOST_AHEAD
    )]
    Ahead { shown: u64, issued: u64 },
    #[error("the device or tenant has a name that is none: {0}")]
    Name(String),
}

/// What to answer, by the newest version that the hub has and the highest that the device has ever shown.
pub(crate) fn reply(newest: (u64, &str), highest_shown: u64, shown: Shown<'_>) -> Reply {
    let (version, hash) = newest;
    if highest_shown > version || (shown.version == version && shown.hash.is_some_and(|shown| shown != hash)) {
        Reply::Renew
    } else if shown.version == version && shown.hash == Some(hash) {
        Reply::Unchanged
    } else {
        Reply::Send
    }
}

/// What a device gets, where there is anything.
pub(crate) type Found = Option<(Reply, StoredBundle)>;

/// The answer to a device that asks, where nothing is to be written for it: most of the time.
pub(crate) fn look(connection: &Connection, id: DeviceId, shown: Shown<'_>) -> Result<Option<Found>, StoreError> {
    let device = devices::get(connection, id)?;
    if shown.version > device.shown_version {
        return Ok(None);
    }
    let Some(newest) = bundles::newest(connection, id)? else { return Ok(Some(None)) };
    Ok(match reply((newest.version, &newest.hash), device.shown_version, shown) {
        Reply::Renew => None,
        reply => Some(Some((reply, newest))),
    })
}

/// The answer to a device that asks, after noting what it has shown. None where nobody has configured it.
pub(crate) fn answer(
    connection: &Connection,
    key: &SigningKey,
    id: DeviceId,
    shown: Shown<'_>,
    now: WallTime,
) -> Result<Found, IssueError> {
    note(connection, id, shown.version)?;
    if let Some(found) = look(connection, id, shown)? {
        return Ok(found);
    }
    let device = devices::get(connection, id)?;
    let Some(newest) = bundles::newest(connection, id)? else { return Ok(None) };
    let (client, name) = names(&device)?;
    let content = bundle::verify(&newest.bytes, key.trusted(), &client, &name)?.content;
    Ok(Some((Reply::Renew, issue(connection, key, &device, &content, now)?)))
}

/// Notes the version that a device says it has, where that can be.
fn note(connection: &Connection, id: DeviceId, shown: u64) -> Result<(), IssueError> {
    let issued = bundles::version(connection, id)?.unwrap_or(0);
    if shown > devices::get(connection, id)?.shown_version && shown > issued.saturating_add(MOST_AHEAD) {
        return Err(IssueError::Ahead { shown, issued });
    }
    Ok(devices::shown(connection, id, shown)?)
}

/// Signs and keeps a new version, unless the newest has the same content and no device has seen a higher one.
pub(crate) fn put(
    connection: &Connection,
    key: &SigningKey,
    device: &Device,
    content: &Json,
    now: WallTime,
) -> Result<(StoredBundle, bool), IssueError> {
    match bundles::newest(connection, device.id)? {
        Some(newest)
            if newest.hash == ContentHash::of(content).to_string() && newest.version >= device.shown_version =>
        {
            Ok((newest, false))
        }
        _ => Ok((issue(connection, key, device, content, now)?, true)),
    }
}

fn issue(
    connection: &Connection,
    key: &SigningKey,
    device: &Device,
    content: &Json,
    now: WallTime,
) -> Result<StoredBundle, IssueError> {
    let (client, name) = names(device)?;
    let newest = bundles::version(connection, device.id)?.unwrap_or(0);
    let version = newest.max(device.shown_version) + 1;
    if version > MAX_VERSION {
        return Err(IssueError::NoVersion);
    }
    let bytes = bundle::seal(&Draft { version, client: &client, device: &name, issued: now, content }, key);
    if bytes.len() > MAX_BYTES {
        return Err(IssueError::TooLarge(bytes.len()));
    }
    let bundle = StoredBundle { version, issued: now, hash: ContentHash::of(content).to_string(), bytes };
    bundles::add(connection, device.id, &bundle)?;
    Ok(bundle)
}

fn names(device: &Device) -> Result<(Id, Id), IssueError> {
    let id = |text: &str| Id::new(text).map_err(|_| IssueError::Name(text.to_owned()));
    Ok((id(&device.client)?, id(&device.name)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::sqlite::tests::in_memory;

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
            let found = reply((newest, "ours"), highest, Shown { version, hash });
            assert_eq!(found, expected, "{newest} {highest} {version} {hash:?}");
        }
    }

    #[test]
    fn versions_rise_whatever_is_shown() {
        let connection = in_memory();
        let key = SigningKey::from_seed(&[1; 32]);
        let now = WallTime(1_000);
        let tenant = devices::add_tenant(&connection, &Id::new("acme").unwrap(), now).unwrap().unwrap();
        let id = devices::add(&connection, tenant, &Id::new("pi-7").unwrap(), now).unwrap().unwrap();
        let device = || devices::get(&connection, id).unwrap();
        let put = |content: Json| {
            let (bundle, is_new) = put(&connection, &key, &device(), &content, now).unwrap();
            (bundle.version, is_new)
        };
        let ask = |version, hash| {
            let found = answer(&connection, &key, id, Shown { version, hash }, now).unwrap();
            found.map(|(reply, bundle)| (reply, bundle.version, bundle.hash))
        };
        let (one, two) = (json!({"rules": {}}), json!({"rules": {"a": {}}}));
        let hash = ContentHash::of(&two).to_string();
        assert_eq!(ask(0, None), None);
        assert_eq!(
            (put(one.clone()), put(one), put(two.clone()), put(two.clone())),
            ((1, true), (1, false), (2, true), (2, false))
        );
        assert_eq!(ask(0, None), Some((Reply::Send, 2, hash.clone())));
        assert_eq!(ask(9, Some(&hash)), Some((Reply::Renew, 10, hash.clone())));
        assert_eq!(ask(10, Some(&hash)), Some((Reply::Unchanged, 10, hash.clone())));
        assert_eq!(ask(20, None).map(|found| found.1), Some(21));
        assert_eq!(put(two), (21, false));

        // Not so far that no version would be left.
        let far = |version| answer(&connection, &key, id, Shown { version, hash: None }, now).map(|_| ());
        assert!(matches!(far(21 + MOST_AHEAD + 1), Err(IssueError::Ahead { issued: 21, .. })));
        assert!(matches!(far(MAX_VERSION), Err(IssueError::Ahead { issued: 21, .. })));
        assert_eq!((device().shown_version, put(json!({"rules": {"b": {}}}))), (20, (22, true)));
        far(22 + MOST_AHEAD).unwrap();
    }
}

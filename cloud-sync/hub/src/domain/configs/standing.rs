//! What became of a device's configurations: which one runs, which one it refused and why, and which one waits for it.

use rusqlite::Connection;
use serde::Deserialize;
use tilth_core::time::WallTime;

use crate::db::sqlite::devices::Device;
use crate::db::sqlite::{StoreError, bundles, events};

/// Where a device and its configurations stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// The newest that the hub has.
    pub(crate) newest: Option<u64>,
    /// The one that is in force on the device; none while it runs by its own files.
    pub(crate) running: Option<u64>,
    /// The last that it refused, where it has taken none since.
    pub(crate) refused: Option<Refused>,
}

/// A configuration that a device did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Where it could read one.
    pub(crate) version: Option<u64>,
    pub(crate) at: Option<WallTime>,
    pub(crate) reason: String,
}

/// What a device says that it did with a bundle.
#[derive(Debug, Deserialize)]
struct Said {
    version: Option<u64>,
    outcome: String,
    reason: Option<String>,
}

impl Standing {
    pub(crate) fn of(connection: &Connection, device: &Device) -> Result<Standing, StoreError> {
        let said = |event: &events::StoredEvent| serde_json::from_str::<Said>(&event.body).ok();
        let taken = events::newest_taken(connection, device.id)?.as_ref().and_then(said);
        let last = events::newest_of_bundle(connection, device.id)?;
        let refused = last.as_ref().and_then(|event| {
            let said = said(event).filter(|said| said.outcome == "refused")?;
            Some(Refused { version: said.version, at: event.at(), reason: said.reason.unwrap_or_default() })
        });
        // It shows the highest that it ever ran by, and what it says of that may still be on its way.
        let running = taken.and_then(|taken| taken.version).unwrap_or(0).max(device.shown_version);
        Ok(Standing {
            newest: bundles::version(connection, device.id)?,
            running: Some(running).filter(|running| *running > 0),
            refused,
        })
    }

    /// The newest, where the device has neither taken nor refused it.
    pub(crate) fn waiting(&self) -> Option<u64> {
        let refused = self.refused.as_ref().and_then(|refused| refused.version);
        self.newest.filter(|newest| self.running.is_none_or(|running| running < *newest) && refused != Some(*newest))
    }
}

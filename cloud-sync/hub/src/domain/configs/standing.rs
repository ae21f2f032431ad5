//! What became of a device's configurations: which one runs, which one it refused and why, and which one waits for it.

use serde::Deserialize;
use tilth_core::time::WallTime;

/// Configurations of a device: the newest, the one that runs, and the one that was refused.
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
    /// Version of the configuration, where the device could read one.
    pub(crate) version: Option<u64>,
    pub(crate) at: Option<WallTime>,
    pub(crate) reason: String,
}

/// What a device says that it did with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Report {
    version: Option<u64>,
    outcome: String,
    reason: Option<String>,
    /// When it did so, where its clock is known.
    #[serde(skip)]
    at: Option<WallTime>,
}

impl Report {
    /// Reads the body of an event; none where it says something else.
    pub(crate) fn read(body: &str, at: Option<WallTime>) -> Option<Report> {
        Some(Report { at, ..serde_json::from_str(body).ok()? })
    }
}

impl Standing {
    /// By the newest version that the hub has, the highest that the device has shown, its last report of a bundle that it took,
    /// and its last report of any.
    pub(crate) fn of(newest: Option<u64>, shown: u64, taken: Option<Report>, last: Option<Report>) -> Standing {
        let refused = last.filter(|report| report.outcome == "refused");
        let refused = refused.map(|Report { version, reason, at, .. }| Refused {
            version,
            at,
            reason: reason.unwrap_or_default(),
        });
        // A device shows the highest that it ever ran by, and its report of that may still be on its way.
        let running = taken.and_then(|taken| taken.version).unwrap_or(0).max(shown);
        Standing { newest, running: Some(running).filter(|running| *running > 0), refused }
    }

    /// The newest, where the device has neither taken nor refused it.
    pub(crate) fn waiting(&self) -> Option<u64> {
        let refused = self.refused.as_ref().and_then(|refused| refused.version);
        self.newest.filter(|newest| self.running.is_none_or(|running| running < *newest) && refused != Some(*newest))
    }
}

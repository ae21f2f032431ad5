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
    /// The version in force after it refused one, 0 for the files on site. Agents that never return from a bundle do not say.
    running: Option<u64>,
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
        // A device that returned from a configuration has shown a higher version than the one that runs.
        let stated = refused.as_ref().and_then(|report| report.running);
        let refused = refused.map(|Report { version, reason, at, .. }| Refused {
            version,
            at,
            reason: reason.unwrap_or_default(),
        });
        // A device shows the highest that it ever ran by, and its report of that may still be on its way.
        let running = stated.unwrap_or_else(|| taken.and_then(|taken| taken.version).unwrap_or(0).max(shown));
        Standing { newest, running: Some(running).filter(|running| *running > 0), refused }
    }

    /// The newest, where the device has neither taken nor refused it.
    pub(crate) fn waiting(&self) -> Option<u64> {
        let refused = self.refused.as_ref().and_then(|refused| refused.version);
        self.newest.filter(|newest| self.running.is_none_or(|running| running < *newest) && refused != Some(*newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(body: &str) -> Option<Report> {
        Report::read(body, None)
    }

    #[test]
    fn the_configuration_that_runs_is_the_last_that_was_taken_unless_the_device_returned_from_it() {
        let taken = || report(r#"{"version":2,"hash":"a","outcome":"applied","reason":null}"#);
        let reverted = r#"{"version":2,"hash":"a","outcome":"refused","reason":"reverted: room/temp ..","running":1}"#;
        let to_files = reverted.replace("\"running\":1", "\"running\":0");
        let older = reverted.replace(",\"running\":1", "");
        for (newest, last, running, waiting) in [
            (2, taken(), Some(2), None),
            (3, taken(), Some(2), Some(3)),
            (2, report(reverted), Some(1), None),
            (3, report(reverted), Some(1), Some(3)),
            (2, report(&to_files), None, None),
            // An agent of before has no such word.
            (2, report(&older), Some(2), None),
        ] {
            let standing = Standing::of(Some(newest), 2, taken(), last.clone());
            assert_eq!((standing.running, standing.waiting()), (running, waiting), "{newest} {last:?}");
        }
        let standing = Standing::of(Some(2), 2, taken(), report(reverted));
        assert!(standing.refused.is_some_and(|refused| refused.reason.starts_with("reverted: ")));
    }
}

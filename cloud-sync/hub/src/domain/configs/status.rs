//! Status of a device's configurations: which one runs, was rejected, or is pending. Pure.

use serde::Deserialize;
use tilth_core::time::WallTime;

/// Status of a device's configurations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ConfigStatus {
    /// Newest version of the hub.
    pub(crate) newest: Option<u64>,
    /// Version in force by the device's last report; none while it runs by its own files, or has not reported.
    pub(crate) running: Option<u64>,
    /// Version that the device states to have, but has not reported yet: it runs or was rejected.
    pub(crate) unreported: Option<u64>,
    /// The last rejected one, until another is applied.
    pub(crate) rejected: Option<RejectedConfig>,
}

/// A configuration that a device rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectedConfig {
    /// Version of the configuration, where the device could read one.
    pub(crate) version: Option<u64>,
    pub(crate) at: Option<WallTime>,
    pub(crate) reason: String,
}

/// A device's report about a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ConfigReport {
    version: Option<u64>,
    outcome: String,
    reason: Option<String>,
    /// Version in force after a rejection, 0 for the files on site. Agents without probation do not state it.
    running: Option<u64>,
    /// Time of the report; none while the clock is unknown.
    #[serde(skip)]
    at: Option<WallTime>,
}

impl ConfigReport {
    /// Reads the body of an event; none if it has another form.
    pub(crate) fn read(body: &str, at: Option<WallTime>) -> Option<ConfigReport> {
        Some(ConfigReport { at, ..serde_json::from_str(body).ok()? })
    }
}

impl ConfigStatus {
    /// Status by the newest version of the hub, the highest that the device stated, its last report of an applied bundle and its last
    /// report of any.
    pub(crate) fn of(
        newest: Option<u64>,
        shown: u64,
        taken: Option<ConfigReport>,
        last: Option<ConfigReport>,
    ) -> ConfigStatus {
        let applied = taken.and_then(|taken| taken.version).unwrap_or(0);
        let reported = last.as_ref().and_then(|last| last.version).unwrap_or(0).max(applied);
        let rejected = last.filter(|report| report.outcome == "refused");
        // After a revert the last that was applied runs no longer.
        let running = rejected.as_ref().and_then(|report| report.running).unwrap_or(applied);
        let rejected = rejected.map(|ConfigReport { version, reason, at, .. }| RejectedConfig {
            version,
            at,
            reason: reason.unwrap_or_default(),
        });
        ConfigStatus {
            newest,
            running: Some(running).filter(|running| *running > 0),
            unreported: Some(shown).filter(|shown| *shown > reported),
            rejected,
        }
    }

    /// The newest version, if the device does not have it yet: it neither states it nor has applied or rejected it.
    pub(crate) fn pending(&self) -> Option<u64> {
        let rejected = self.rejected.as_ref().and_then(|rejected| rejected.version);
        let had = self.running.max(self.unreported);
        self.newest.filter(|newest| had.is_none_or(|had| had < *newest) && rejected != Some(*newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(body: &str) -> Option<ConfigReport> {
        ConfigReport::read(body, None)
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
            let config_status = ConfigStatus::of(Some(newest), 2, taken(), last.clone());
            assert_eq!((config_status.running, config_status.pending()), (running, waiting), "{newest} {last:?}");
        }
        let config_status = ConfigStatus::of(Some(2), 2, taken(), report(reverted));
        assert_eq!(config_status.unreported, None);
        assert!(config_status.rejected.is_some_and(|rejected| rejected.reason.starts_with("reverted: ")));
    }

    #[test]
    fn a_version_that_is_stated_and_not_reported_is_not_said_to_run() {
        let applied = || report(r#"{"version":2,"hash":"a","outcome":"applied","reason":null}"#);
        let rejected = || report(r#"{"version":3,"hash":"b","outcome":"refused","reason":"no bus","running":2}"#);
        for (shown, taken, last, running, unreported) in [
            (3, None, None, None, Some(3)),
            (3, applied(), applied(), Some(2), Some(3)),
            (3, applied(), rejected(), Some(2), None),
            (2, applied(), applied(), Some(2), None),
            (0, None, None, None, None),
        ] {
            let config_status = ConfigStatus::of(Some(3), shown, taken, last.clone());
            assert_eq!((config_status.running, config_status.unreported), (running, unreported), "{shown} {last:?}");
            let is_pending = shown < 3;
            assert_eq!(config_status.pending(), is_pending.then_some(3), "{shown} {last:?}");
        }
    }
}

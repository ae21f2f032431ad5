//! Time of day: the only place that asks the system.

use std::time::SystemTime;

use tilth_core::time::WallTime;

/// The current time.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

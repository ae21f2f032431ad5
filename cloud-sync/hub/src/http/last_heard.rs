//! When devices were last heard by this process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tilth_core::time::WallTime;

use crate::db::DeviceId;

/// When each device was last heard by this process: any request with its key. The database learns less of it, and later.
#[derive(Debug, Default)]
pub(crate) struct LastHeard(Mutex<HashMap<DeviceId, WallTime>>);

impl LastHeard {
    /// Notes that a device was heard.
    pub(crate) fn note(&self, device: DeviceId, now: WallTime) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(device, now);
    }

    /// When a device was last heard; none where that was before this process.
    pub(crate) fn of(&self, device: DeviceId) -> Option<WallTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&device).copied()
    }
}

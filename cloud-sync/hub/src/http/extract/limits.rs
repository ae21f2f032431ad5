//! Rate limits of callers, and the limit of concurrent requests per key.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tilth_protocol::{CodeId, KeyKind};

use super::bucket::{Buckets, Rate};
use crate::db::DeviceId;
use crate::http::error::ApiError;
use crate::http::server::address::Network;

/// Requests of a device's key. A device that catches up sends one batch after another; one that waits asks once a minute.
const DEVICE: Rate = Rate { per_second: 20, burst: 100 };

/// Requests of a read key. A page with some charts asks for each of them.
const READER: Rate = Rate { per_second: 50, burst: 200 };

/// Rows, gaps and live values of a device: five times what an agent sends while it catches up.
const ROWS: Rate = Rate { per_second: 5_000, burst: 100_000 };

/// Requests of an address without a known key: a device asks for the time once after a start; and, counted apart, few wrong keys
/// are typed.
const WITHOUT_KEY: Rate = Rate { per_second: 2, burst: 60 };

/// Health checks of an address: load balancers ask once a second or less often, some of them from one address.
const HEALTH_CHECK: Rate = Rate { per_second: 20, burst: 100 };

/// Attempts to exchange an enrolment code, over all addresses: a person tries it once or twice.
const CODE: Rate = Rate { per_second: 1, burst: 5 };

/// Maximum number of concurrent requests per key. An agent has one, or two after a timeout; a web page has six.
const fn max_in_flight(kind: KeyKind) -> usize {
    match kind {
        KeyKind::Device => 8,
        KeyKind::Read => 64,
    }
}

/// Wait that is stated to a key with too many requests in flight.
const NEXT_REQUEST: Duration = Duration::from_secs(1);

/// Known keys that are remembered. With more, all are forgotten, and the next request of each counts as one without a known key.
pub(crate) const MAX_KNOWN: usize = 10_000;

/// The limits of all callers.
#[derive(Debug)]
pub(in crate::http) struct Limits {
    devices: Limit<String>,
    readers: Limit<String>,
    /// Requests with a key that is not known.
    pub(super) unknown_keys: Limit<Network>,
    /// Requests without a key.
    pub(super) without_key: Limit<Network>,
    pub(super) health_checks: Limit<Network>,
    codes: Limit<CodeId>,
    rows: Limit<DeviceId>,
    /// Hashes of keys that were valid when they were last looked up.
    known: Mutex<HashSet<Vec<u8>>>,
    /// Number of requests that are worked on, by id of the key.
    in_flight: Mutex<HashMap<String, usize>>,
}

/// One limit: a bucket for each caller, and the message beyond it.
#[derive(Debug)]
pub(super) struct Limit<K> {
    buckets: Mutex<Buckets<K>>,
    started: Instant,
    exceeded: &'static str,
}

impl<K: Hash + Eq> Limit<K> {
    fn new(rate: Rate, exceeded: &'static str) -> Limit<K> {
        Limit { buckets: Mutex::new(Buckets::new(rate)), started: Instant::now(), exceeded }
    }

    fn take(&self, caller: K, count: u32) -> Result<(), ApiError> {
        let taken = locked(&self.buckets).take(caller, count, self.started.elapsed());
        taken.map_err(|wait| ApiError::too_many(wait, self.exceeded))
    }
}

impl Limit<Network> {
    /// Counts a request of an address. Beyond the limit the connection is closed.
    pub(super) fn take_from(&self, peer: IpAddr) -> Result<(), ApiError> {
        self.take(Network::of(peer), 1).map_err(ApiError::and_close)
    }

    /// Undoes [`Limit::take_from`].
    pub(super) fn give_back(&self, peer: IpAddr) {
        locked(&self.buckets).give_back(&Network::of(peer));
    }
}

/// Permission to work on one request of a key, until it is dropped.
#[derive(Debug)]
pub(in crate::http) struct Permit {
    limits: Arc<Limits>,
    key: String,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut in_flight = locked(&self.limits.in_flight);
        if let Some(count) = in_flight.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.key);
            }
        }
    }
}

impl Limits {
    /// `known` are the hashes of valid keys.
    pub(in crate::http) fn new(known: HashSet<Vec<u8>>) -> Limits {
        Limits {
            devices: Limit::new(DEVICE, "too many requests with this key"),
            readers: Limit::new(READER, "too many requests with this key"),
            unknown_keys: Limit::new(WITHOUT_KEY, "too many requests with unknown keys"),
            without_key: Limit::new(WITHOUT_KEY, "too many requests without a key"),
            health_checks: Limit::new(HEALTH_CHECK, "too many requests without a key"),
            codes: Limit::new(CODE, "too many attempts with this enrolment code"),
            rows: Limit::new(ROWS, "too many rows per second"),
            known: Mutex::new(known),
            in_flight: Mutex::default(),
        }
    }

    /// Counts a request of a known key, and one that is worked on.
    pub(super) fn take_request(self: &Arc<Limits>, kind: KeyKind, key: &str) -> Result<Permit, ApiError> {
        let limit = match kind {
            KeyKind::Device => &self.devices,
            KeyKind::Read => &self.readers,
        };
        limit.take(key.to_owned(), 1)?;
        let max = max_in_flight(kind);
        let mut in_flight = locked(&self.in_flight);
        let count = in_flight.entry(key.to_owned()).or_default();
        if *count >= max {
            let message = format!("{max} requests with this key are in work");
            return Err(ApiError::too_many(NEXT_REQUEST, message));
        }
        *count += 1;
        Ok(Permit { limits: Arc::clone(self), key: key.to_owned() })
    }

    /// Counts an attempt to exchange a code.
    pub(in crate::http) fn take_attempt(&self, code: &CodeId) -> Result<(), ApiError> {
        self.codes.take(code.clone(), 1)
    }

    /// Counts the rows, gaps and live values of a device's batch.
    pub(in crate::http) fn take_rows(&self, device: DeviceId, rows: usize) -> Result<(), ApiError> {
        self.rows.take(device, u32::try_from(rows).unwrap_or(u32::MAX))
    }

    pub(super) fn is_known(&self, hash: &[u8]) -> bool {
        locked(&self.known).contains(hash)
    }

    pub(super) fn remember(&self, hash: Vec<u8>) {
        let mut known = locked(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash);
    }

    pub(super) fn forget(&self, hash: &[u8]) {
        locked(&self.known).remove(hash);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

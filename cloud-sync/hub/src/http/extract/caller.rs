//! Who calls: a key is found by its public id, compared by its hash, and opens one device or one tenant.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use tilth_core::time::Span;
use tilth_protocol::{ErrorCode, KEY_HEADER, Key, KeyKind};

use super::bucket::{Buckets, Rate};
use crate::clock;
use crate::db::{Authenticated, Caller, DbError, DeviceContext, DeviceId, TenantContext};
use crate::domain::access as secrets;
use crate::http::error::ApiError;
use crate::http::server::address::Network;
use crate::http::{ApiState, Peer};

/// A device that catches up sends one batch after another; one that waits asks once a minute.
const DEVICE: Rate = Rate { per_second: 20, burst: 100 };

/// A page with some charts asks for each of them.
const READER: Rate = Rate { per_second: 50, burst: 200 };

/// Rows, gaps and live values of a device: five times what an agent sends while it catches up.
const ROWS: Rate = Rate { per_second: 5_000, burst: 100_000 };

/// For an address: a device asks for the time once after it started; and, counted apart, few wrong keys are typed.
const STRANGER: Rate = Rate { per_second: 2, burst: 60 };

/// For an address: load balancers ask once a second or less often, some of them from one address.
const PROBE: Rate = Rate { per_second: 20, burst: 100 };

/// Requests of one key that are worked on at once. An agent has one, or two when it has given the first up; the pages of some
/// people who share a read key have six each.
const fn at_once(kind: KeyKind) -> usize {
    match kind {
        KeyKind::Device => 8,
        KeyKind::Read => 64,
    }
}

/// After a key's places were taken.
const SOON: Duration = Duration::from_secs(1);

/// Keys that are remembered as known. With more, all are forgotten, and each counts as a stranger's once.
pub(crate) const MOST_KNOWN: usize = 10_000;

/// The last use of a key is noted no more often.
const NOTED_EVERY: Span = Span::from_mins(1);

/// How often each caller may call.
#[derive(Debug)]
pub(in crate::http) struct Limits {
    started: Instant,
    devices: Mutex<Buckets<String>>,
    readers: Mutex<Buckets<String>>,
    /// Who shows no key that is known.
    strangers: Mutex<Buckets<Network>>,
    /// Who asks what needs no key.
    askers: Mutex<Buckets<Network>>,
    /// Who asks only whether the hub serves.
    probes: Mutex<Buckets<Network>>,
    rows: Mutex<Buckets<DeviceId>>,
    /// Hashes of keys that were known when they were last looked up: whoever shows one is no stranger.
    known: Mutex<HashSet<Vec<u8>>>,
    /// By key, requests that are worked on.
    at_once: Mutex<HashMap<String, usize>>,
}

/// A request that is worked on, until it is dropped.
#[derive(Debug)]
pub(in crate::http) struct Turn<'a> {
    limits: &'a Limits,
    key: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut at_once = self.limits.at_once.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = at_once.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                at_once.remove(&self.key);
            }
        }
    }
}

impl Limits {
    /// `known` are the hashes of keys that open something.
    pub(in crate::http) fn new(known: HashSet<Vec<u8>>) -> Limits {
        Limits {
            started: Instant::now(),
            devices: Mutex::new(Buckets::new(DEVICE)),
            readers: Mutex::new(Buckets::new(READER)),
            strangers: Mutex::new(Buckets::new(STRANGER)),
            askers: Mutex::new(Buckets::new(STRANGER)),
            probes: Mutex::new(Buckets::new(PROBE)),
            rows: Mutex::new(Buckets::new(ROWS)),
            known: Mutex::new(known),
            at_once: Mutex::default(),
        }
    }

    /// Takes a request of a key that is known, and a place among those that are worked on.
    fn key(&self, kind: KeyKind, id: &str) -> Result<Turn<'_>, ApiError> {
        let buckets = match kind {
            KeyKind::Device => &self.devices,
            KeyKind::Read => &self.readers,
        };
        let taken = buckets.lock().unwrap_or_else(PoisonError::into_inner).take(id.to_owned(), self.started.elapsed());
        taken.map_err(|wait| ApiError::too_many(wait, "too many requests with this key"))?;
        self.turn(kind, id)
    }

    /// Takes the rows of a batch of a device.
    pub(in crate::http) fn rows(&self, device: DeviceId, rows: usize) -> Result<(), ApiError> {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let mut buckets = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.take_many(device, rows, self.started.elapsed());
        taken.map_err(|wait| ApiError::too_many(wait, "more rows a second than a device may send"))
    }

    /// Takes a place among the requests of a key.
    fn turn(&self, kind: KeyKind, key: &str) -> Result<Turn<'_>, ApiError> {
        let most = at_once(kind);
        let mut at_once = self.at_once.lock().unwrap_or_else(PoisonError::into_inner);
        let count = at_once.entry(key.to_owned()).or_default();
        if *count >= most {
            let message = format!("{most} requests with this key are worked on already");
            return Err(ApiError::too_many(SOON, message));
        }
        *count += 1;
        Ok(Turn { limits: self, key: key.to_owned() })
    }

    fn stranger(&self, peer: IpAddr) -> Result<(), ApiError> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = strangers.take(Network::of(peer), self.started.elapsed());
        taken.map_err(|wait| ApiError::too_many(wait, "too many requests without a key that is known").and_close())
    }

    /// Gives back what a caller took who turned out to be no stranger.
    fn no_stranger(&self, peer: IpAddr) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        strangers.give_back(&Network::of(peer));
    }

    fn is_known(&self, hash: &[u8]) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    fn remember(&self, hash: Vec<u8>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(hash);
    }

    fn forget(&self, hash: &[u8]) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }
}

/// A caller without a key.
pub(in crate::http) fn anyone(state: &ApiState, peer: IpAddr) -> Result<(), ApiError> {
    let mut askers = state.limits.askers.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = askers.take(Network::of(peer), state.limits.started.elapsed());
    taken.map_err(|wait| ApiError::too_many(wait, "too many requests without a key").and_close())
}

/// A load balancer.
pub(in crate::http) fn probe(state: &ApiState, peer: IpAddr) -> Result<(), ApiError> {
    let mut probes = state.limits.probes.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = probes.take(Network::of(peer), state.limits.started.elapsed());
    taken.map_err(|wait| ApiError::too_many(wait, "too many requests without a key").and_close())
}

/// The device whose key was shown.
pub(in crate::http) async fn device<'a>(
    state: &'a ApiState,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<(DeviceContext, Turn<'a>), ApiError> {
    match admit(state, peer, headers, KeyKind::Device).await? {
        (Caller::Device(device), turn) => {
            state.last_heard.note(device.id(), clock::now());
            Ok((device, turn))
        }
        (Caller::Reader(_), _) => Err(unknown()),
    }
}

/// The tenant whose read key was shown.
pub(in crate::http) async fn reader<'a>(
    state: &'a ApiState,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<(TenantContext, Turn<'a>), ApiError> {
    match admit(state, peer, headers, KeyKind::Read).await? {
        (Caller::Reader(tenant), turn) => Ok((tenant, turn)),
        (Caller::Device(_), _) => Err(unknown()),
    }
}

async fn admit<'a>(
    state: &'a ApiState,
    peer: &Peer,
    headers: &HeaderMap,
    kind: KeyKind,
) -> Result<(Caller, Turn<'a>), ApiError> {
    let shown = headers.get(KEY_HEADER).and_then(|text| text.to_str().ok()).and_then(|text| Key::parse(text).ok());
    let Some(shown) = shown else {
        state.limits.stranger(peer.address)?;
        return Err(ApiError::new(ErrorCode::UnknownKey, "expected a key in the header X-Device-Key"));
    };
    let (id, shown_kind, hash) = (shown.id().to_owned(), shown.kind(), secrets::hash(&shown));
    // Before anything is looked up: neither a guess nor a known key that is used too often costs the database anything. A key counts as
    // known by its secret, so that whoever knows only its public id takes nothing from its limit.
    let turn = if state.limits.is_known(&hash) {
        Some(state.limits.key(shown_kind, &id)?)
    } else {
        state.limits.stranger(peer.address)?;
        None
    };
    let Some(found) = state.db.authenticate(shown, peer.address).await? else {
        state.limits.forget(&hash);
        return Err(unknown());
    };
    peer.watch.know();
    let turn = match turn {
        Some(turn) => turn,
        None => {
            state.limits.no_stranger(peer.address);
            state.limits.remember(hash);
            state.limits.key(shown_kind, &id)?
        }
    };
    if shown_kind != kind {
        return Err(ApiError::new(ErrorCode::Forbidden, other_kind(shown_kind)));
    }
    note_use(state, &found).await?;
    Ok((found.caller, turn))
}

/// A key that was revoked, one that never was and one with another secret are all the same to whoever shows it.
fn unknown() -> ApiError {
    ApiError::new(ErrorCode::UnknownKey, "this key is not known, or it was revoked")
}

const fn other_kind(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Device => "this key opens sync and configuration of its device, and nothing else",
        KeyKind::Read => "this key reads the data of its tenant, and nothing else",
    }
}

/// Notes the use of a key. The first use of a device's key ends those that it had before.
async fn note_use(state: &ApiState, Authenticated { caller, last_used }: &Authenticated) -> Result<(), ApiError> {
    let now = clock::now();
    let is_first = match last_used {
        Some(last) if now - *last < NOTED_EVERY => return Ok(()),
        last => last.is_none(),
    };
    match state.db.note_key_use(caller.tenant(), is_first, now).await {
        // When it was used is no reason to refuse, but that the old key still opens is.
        Err(DbError::Busy) if !is_first => Ok(()),
        // Whoever wants to see what is wrong can read on a disk that takes nothing.
        Err(error) if matches!(caller, Caller::Reader(_)) && error.is_of_the_disk() => Ok(()),
        noted => Ok(noted?),
    }
}

//! Who calls: a key is found by its public id, compared by its hash, and opens one device or one tenant.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::HeaderMap;
use tilth_core::time::Span;
use tilth_protocol::{ErrorCode, KEY_HEADER, Key, KeyKind};

use super::Hub;
use super::bucket::{Buckets, Rate};
use super::refusal::Refusal;
use crate::store::keys::{self, StoredKey};
use crate::store::rows::{DeviceId, TenantId};
use crate::store::{Owner, StoreError, audit};
use crate::{clock, keys as secrets};

/// A device that catches up sends one batch after another; one that waits asks once a minute.
const DEVICE: Rate = Rate { per_second: 20, burst: 100 };

/// A page with some charts asks for each of them.
const READER: Rate = Rate { per_second: 50, burst: 200 };

/// Rows, gaps and live values of a device: five times what an agent sends while it catches up.
const ROWS: Rate = Rate { per_second: 5_000, burst: 100_000 };

/// For an address: a device asks for the time once after it started, and few wrong keys are typed.
const STRANGER: Rate = Rate { per_second: 2, burst: 60 };

/// The last use of a key is noted no more often.
const NOTED_EVERY: Span = Span::from_mins(1);

/// How often each caller may call.
#[derive(Debug)]
pub(super) struct Limits {
    started: Instant,
    devices: Mutex<Buckets<String>>,
    readers: Mutex<Buckets<String>>,
    strangers: Mutex<Buckets<IpAddr>>,
    rows: Mutex<Buckets<DeviceId>>,
}

/// A device that showed its key.
#[derive(Debug, Clone)]
pub(super) struct DeviceCaller {
    pub(super) tenant: TenantId,
    pub(super) client: String,
    pub(super) id: DeviceId,
    pub(super) name: String,
    pub(super) key_id: String,
    pub(super) peer: IpAddr,
}

/// A reader that showed its key.
#[derive(Debug, Clone)]
pub(super) struct ReaderCaller {
    pub(super) tenant: TenantId,
    pub(super) client: String,
}

impl Limits {
    pub(super) fn new() -> Limits {
        Limits {
            started: Instant::now(),
            devices: Mutex::new(Buckets::new(DEVICE)),
            readers: Mutex::new(Buckets::new(READER)),
            strangers: Mutex::new(Buckets::new(STRANGER)),
            rows: Mutex::new(Buckets::new(ROWS)),
        }
    }

    fn key(&self, kind: KeyKind, id: &str) -> Result<(), Refusal> {
        let buckets = match kind {
            KeyKind::Device => &self.devices,
            KeyKind::Read => &self.readers,
        };
        let taken = buckets.lock().unwrap_or_else(PoisonError::into_inner).take(id.to_owned(), self.started.elapsed());
        taken.map_err(|wait| Refusal::too_many(wait, "too many requests with this key"))
    }

    /// Takes the rows of a batch of a device.
    pub(super) fn rows(&self, device: DeviceId, rows: usize) -> Result<(), Refusal> {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let mut buckets = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.take_many(device, rows, self.started.elapsed());
        taken.map_err(|wait| Refusal::too_many(wait, "more rows a second than a device may send"))
    }

    fn stranger(&self, peer: IpAddr) -> Result<(), Refusal> {
        let taken = self.strangers.lock().unwrap_or_else(PoisonError::into_inner).take(peer, self.started.elapsed());
        taken.map_err(|wait| Refusal::too_many(wait, "too many requests without a key that is known"))
    }
}

/// A caller without a key.
pub(super) fn anyone(hub: &Hub, peer: IpAddr) -> Result<(), Refusal> {
    hub.limits.stranger(peer)
}

/// The device whose key was shown.
pub(super) async fn device(hub: &Hub, peer: IpAddr, headers: &HeaderMap) -> Result<DeviceCaller, Refusal> {
    let (key_id, key) = admit(hub, peer, headers, KeyKind::Device).await?;
    let StoredKey { tenant, client, device, .. } = key;
    let (id, name) = device.ok_or_else(|| unknown(hub, peer))?;
    Ok(DeviceCaller { tenant, client, id, name, key_id, peer })
}

/// The reader whose key was shown.
pub(super) async fn reader(hub: &Hub, peer: IpAddr, headers: &HeaderMap) -> Result<ReaderCaller, Refusal> {
    let (_, key) = admit(hub, peer, headers, KeyKind::Read).await?;
    Ok(ReaderCaller { tenant: key.tenant, client: key.client })
}

async fn admit(hub: &Hub, peer: IpAddr, headers: &HeaderMap, kind: KeyKind) -> Result<(String, StoredKey), Refusal> {
    let shown = headers.get(KEY_HEADER).and_then(|text| text.to_str().ok()).and_then(|text| Key::parse(text).ok());
    let Some(shown) = shown else {
        hub.limits.stranger(peer)?;
        return Err(Refusal::new(ErrorCode::UnknownKey, "expected a key in the header X-Device-Key"));
    };
    let id = shown.id().to_owned();
    let found = hub
        .store
        .read(Owner::Hub, move |connection| keys::find(connection, shown.id()).map(|key| (shown, key)))
        .await?;
    let (shown, Some(key)) = found else { return Err(unknown(hub, peer)) };
    if !secrets::fits(&shown, &key.hash) || key.is_revoked {
        return Err(unknown(hub, peer));
    }
    hub.limits.key(shown.kind(), &id)?;
    if shown.kind() != kind {
        return Err(Refusal::new(ErrorCode::Forbidden, other_kind(shown.kind())));
    }
    note_use(hub, peer, &id, &key).await?;
    Ok((id, key))
}

/// A key that was revoked, one that never was and one with another secret are all the same to whoever shows it.
fn unknown(hub: &Hub, peer: IpAddr) -> Refusal {
    let refusal = Refusal::new(ErrorCode::UnknownKey, "this key is not known, or it was revoked");
    hub.limits.stranger(peer).err().unwrap_or(refusal)
}

const fn other_kind(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Device => "this key opens sync and configuration of its device, and nothing else",
        KeyKind::Read => "this key reads the data of its tenant, and nothing else",
    }
}

/// Notes the use of a key. The first use of a device's key ends those that it had before.
async fn note_use(hub: &Hub, peer: IpAddr, id: &str, key: &StoredKey) -> Result<(), Refusal> {
    let now = clock::now();
    let is_first = match key.last_used {
        Some(last) if now - last < NOTED_EVERY => return Ok(()),
        last => last.is_none(),
    };
    let (id, tenant) = (id.to_owned(), key.tenant);
    let noted = hub.store.write(Owner::Tenant(key.tenant), move |connection| {
        keys::used(connection, &id, now)?;
        if is_first {
            let ended = keys::end_older(connection, &id, now)?;
            let what = format!("first use of the key, {ended} older ones revoked");
            let entry =
                audit::Entry { at: now, who: &id, origin: &peer.to_string(), tenant: Some(tenant), what: &what };
            audit::record(connection, &entry)?;
        }
        Ok::<_, StoreError>(())
    });
    match noted.await {
        // When it was used is no reason to refuse, but that the old key still opens is.
        Err(StoreError::Busy) if !is_first => Ok(()),
        noted => Ok(noted?),
    }
}

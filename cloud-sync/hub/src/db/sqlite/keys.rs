//! Keys by their public id, with the hash of their secret.

use std::collections::HashSet;
use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension};
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_protocol::Key;

use super::rows::{DeviceId, Parsed, TenantId};
use super::workers::Owner;
use super::{Database, DbError, audit};
use crate::db::context::{Actor, Authenticated, Caller, DeviceContext, TenantContext};
use crate::db::records::ListedKey;
use crate::domain::access;

impl Database {
    /// The owner of a key; none if it is unknown, revoked, or has another secret.
    pub(crate) async fn authenticate(&self, shown: Key, origin: IpAddr) -> Result<Option<Authenticated>, DbError> {
        self.read(Owner::Hub, move |connection| find(connection, &shown, &origin.to_string())).await
    }

    /// Notes a use of the caller's key. The first use of a device's key revokes its older keys.
    pub(crate) async fn note_key_use(
        &self,
        tenant: &TenantContext,
        is_first: bool,
        now: WallTime,
    ) -> Result<(), DbError> {
        let context = tenant.clone();
        let job = move |connection: &Connection| {
            let id = &context.actor().who;
            used(connection, id, now)?;
            if is_first {
                let ended = end_older(connection, id, now)?;
                let what = format!("first use of the key, {ended} older ones revoked");
                audit::record(connection, &context, &what, now)?;
            }
            Ok(())
        };
        self.write(tenant, job).await
    }
}

/// Adds the hash of a key.
pub(super) fn add(
    connection: &Connection,
    id: &str,
    hash: &[u8],
    (tenant, device): (TenantId, Option<DeviceId>),
    now: WallTime,
) -> Result<(), DbError> {
    connection.execute(
        "INSERT INTO keys (id, hash, tenant, device, created) VALUES (?1, ?2, ?3, ?4, ?5)",
        (id, hash, tenant, device, now.0),
    )?;
    Ok(())
}

/// The owner of a key; none if it is unknown, revoked, or has another secret.
pub(super) fn find(connection: &Connection, shown: &Key, origin: &str) -> Result<Option<Authenticated>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT hash, keys.tenant, tenants.name AS client, device, devices.name AS device_name, last_used
         FROM keys JOIN tenants ON tenants.id = keys.tenant LEFT JOIN devices ON devices.id = keys.device
         WHERE keys.id = ?1 AND revoked IS NULL",
    )?;
    let found = select.query_row([shown.id()], |row| {
        let hash: Vec<u8> = row.get("hash")?;
        if !access::fits(shown, &hash) {
            return Ok(None);
        }
        let actor = Actor { who: shown.id().to_owned(), origin: origin.to_owned() };
        let tenant = TenantContext::open(row.get("tenant")?, row.get::<_, Parsed<Id>>("client")?.0, actor);
        let caller = match row.get::<_, Option<DeviceId>>("device")? {
            Some(id) => Caller::Device(DeviceContext::of(tenant, id, row.get::<_, Parsed<Id>>("device_name")?.0)),
            None => Caller::Reader(tenant),
        };
        let last_used = row.get::<_, Option<i64>>("last_used")?.map(WallTime);
        Ok(Some(Authenticated { caller, last_used }))
    });
    Ok(found.optional()?.flatten())
}

/// Hashes of valid keys, at most `limit`.
pub(super) fn known(connection: &Connection, limit: usize) -> Result<HashSet<Vec<u8>>, DbError> {
    let mut select = connection.prepare("SELECT hash FROM keys WHERE revoked IS NULL LIMIT ?1")?;
    let hashes = select.query_map([limit], |row| row.get(0))?;
    Ok(hashes.collect::<Result<_, _>>()?)
}

/// Notes a use of a key.
pub(super) fn used(connection: &Connection, id: &str, now: WallTime) -> Result<(), DbError> {
    connection.execute("UPDATE keys SET last_used = ?2 WHERE id = ?1", (id, now.0))?;
    Ok(())
}

/// Revokes the older keys of the key's device. Returns how many.
pub(super) fn end_older(connection: &Connection, id: &str, now: WallTime) -> Result<usize, DbError> {
    Ok(connection.execute(
        "UPDATE keys SET revoked = ?2 WHERE revoked IS NULL AND id <> ?1
         AND device = (SELECT device FROM keys WHERE id = ?1)
         AND created < (SELECT created FROM keys WHERE id = ?1)",
        (id, now.0),
    )?)
}

/// Revokes all keys of a device. Returns how many.
pub(super) fn revoke(connection: &Connection, device: DeviceId, now: WallTime) -> Result<usize, DbError> {
    Ok(connection.execute("UPDATE keys SET revoked = ?2 WHERE device = ?1 AND revoked IS NULL", (device, now.0))?)
}

/// The keys of a device, oldest first.
pub(super) fn of_device(connection: &Connection, device: DeviceId) -> Result<Vec<ListedKey>, DbError> {
    let mut select = connection
        .prepare_cached("SELECT id, created, last_used, revoked FROM keys WHERE device = ?1 ORDER BY created, id")?;
    let keys = select.query_map([device], |row| {
        Ok(ListedKey {
            id: row.get(0)?,
            created: WallTime(row.get(1)?),
            last_used: row.get::<_, Option<i64>>(2)?.map(WallTime),
            revoked: row.get::<_, Option<i64>>(3)?.map(WallTime),
        })
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}

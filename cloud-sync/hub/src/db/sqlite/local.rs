//! The database of this machine's own hub, for commands: each operation is one transaction, and recorded with who asked for it.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use tilth_core::id::Id;
use tilth_core::time::{Span, WallTime};
use tilth_protocol::{Epoch, Key};

use super::merge::Whose;
use super::rows::{DeviceId, TenantId};
use super::{DbError, alerts, audit, backup, bundles, devices, events, keys, paging, quarantine};
use crate::db::context::{Actor, DeviceContext, TenantContext};
use crate::db::records::{Device, DeviceReport, ListedTenant, Paging};
use crate::domain::access;
use crate::domain::configs::status::{Report, Standing};
use crate::domain::configs::{self, SignedBundle};
use crate::domain::retention::Retention;

/// The hub's own alerts about a device that are listed with it.
const MAX_ALERTS: usize = 10;

/// A database that a command opened, beside a hub that may be serving it.
#[derive(Debug)]
pub(crate) struct LocalDatabase {
    connection: Connection,
    actor: Actor,
}

impl LocalDatabase {
    /// Makes the database of a new hub in an empty file.
    pub(crate) fn create(path: &Path, epoch: Epoch, user: &str, now: WallTime) -> Result<LocalDatabase, DbError> {
        super::create(path, epoch, now)?;
        let mut made = LocalDatabase::open(path, user)?;
        made.record("the hub was made", now)?;
        Ok(made)
    }

    /// Opens a database for a user of this machine.
    pub(crate) fn open(path: &Path, user: &str) -> Result<LocalDatabase, DbError> {
        let actor = Actor { who: user.to_owned(), origin: "local".to_owned() };
        Ok(LocalDatabase { connection: super::open(path)?, actor })
    }

    fn change<T>(&mut self, job: impl FnOnce(&Connection) -> Result<T, DbError>) -> Result<T, DbError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = job(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn record(&mut self, what: &str, now: WallTime) -> Result<(), DbError> {
        let actor = self.actor.clone();
        self.change(|connection| audit::record_hub(connection, &actor, what, now))
    }

    /// Begins another epoch, after a copy of the database was put back by hand.
    pub(crate) fn begin_epoch(&mut self, epoch: Epoch, now: WallTime) -> Result<(), DbError> {
        let actor = self.actor.clone();
        self.change(|connection| {
            super::set_epoch(connection, epoch)?;
            audit::record_hub(connection, &actor, "a backup was put back: new epoch", now)
        })
    }

    /// Writes the database as it is at this moment, and the signing key, into a file that is there and empty.
    pub(crate) fn back_up(&self, file: &Path, made: &backup::Made) -> Result<(), DbError> {
        backup::write(&self.connection, file, made)
    }

    /// Records that a backup is in its place.
    pub(crate) fn record_backup(&mut self, now: WallTime) -> Result<(), DbError> {
        self.record("a backup was made", now)
    }

    /// SHA-256 of keys that open something, at most `limit`.
    pub(crate) fn known_keys(&self, limit: usize) -> Result<HashSet<Vec<u8>>, DbError> {
        keys::known(&self.connection, limit)
    }

    /// Adds a tenant with a read key.
    pub(crate) fn add_tenant(&mut self, client: &Id, key: &Key, now: WallTime) -> Result<(), DbError> {
        let actor = self.actor.clone();
        self.change(|connection| {
            let added = devices::add_tenant(connection, client, now)?;
            let id = added
                .ok_or_else(|| DbError::Unusable(format!("there is a tenant {client} already; nothing was changed")))?;
            add_key(connection, key, (id, None), now)?;
            let tenant = TenantContext::open(id, client.clone(), actor);
            audit::record(connection, &tenant, &format!("tenant {client} added with read key {}", key.id()), now)
        })
    }

    /// The tenant of a name.
    pub(crate) fn tenant(&self, client: &Id) -> Result<TenantContext, DbError> {
        let id = devices::tenant(&self.connection, client.as_str())?;
        let unknown = || format!("there is no tenant {client}; `tilth-hub tenant add {client}` adds it");
        let id = id.ok_or_else(|| DbError::Unusable(unknown()))?;
        Ok(TenantContext::open(id, client.clone(), self.actor.clone()))
    }

    /// All tenants, by name.
    pub(crate) fn tenants(&self) -> Result<Vec<ListedTenant>, DbError> {
        let tenants = devices::tenants(&self.connection)?.into_iter();
        let listed = tenants.map(|(id, name)| self.listed(TenantContext::open(id, name, self.actor.clone())));
        listed.collect()
    }

    /// A tenant with its settings.
    pub(crate) fn listed(&self, tenant: TenantContext) -> Result<ListedTenant, DbError> {
        let (created, devices) = devices::of_list(&self.connection, tenant.id())?;
        let retention = devices::retention(&self.connection, tenant.id())?;
        let paging = paging::of_tenant(&self.connection, tenant.id())?;
        Ok(ListedTenant { tenant, created, devices, retention, paging })
    }

    /// Changes how long a tenant's data is kept.
    pub(crate) fn set_retention(
        &mut self,
        tenant: &TenantContext,
        change: impl FnOnce(Retention) -> Retention,
        now: WallTime,
    ) -> Result<(), DbError> {
        self.change(|connection| {
            let retention = change(devices::retention(connection, tenant.id())?);
            devices::set_retention(connection, tenant.id(), &retention)?;
            audit::record(connection, tenant, &retention.to_string(), now)
        })
    }

    /// Adds a read key of a tenant.
    pub(crate) fn add_read_key(&mut self, tenant: &TenantContext, key: &Key, now: WallTime) -> Result<(), DbError> {
        self.change(|connection| {
            add_key(connection, key, (tenant.id(), None), now)?;
            audit::record(connection, tenant, &format!("read key {} made", key.id()), now)
        })
    }

    /// Adds a device with its key.
    pub(crate) fn add_device(
        &mut self,
        tenant: &TenantContext,
        name: &Id,
        key: &Key,
        now: WallTime,
    ) -> Result<(), DbError> {
        self.change(|connection| {
            let added = devices::add(connection, tenant.id(), name, now)?;
            let exists = || format!("{} has a device {name} already; nothing was changed", tenant.client());
            let id = added.ok_or_else(|| DbError::Unusable(exists()))?;
            add_key(connection, key, (tenant.id(), Some(id)), now)?;
            audit::record(connection, tenant, &format!("device {name} added with key {}", key.id()), now)
        })
    }

    /// The device of a name.
    pub(crate) fn device(&self, tenant: &TenantContext, name: &Id) -> Result<DeviceContext, DbError> {
        let found = devices::find(&self.connection, tenant, name.as_str())?;
        Ok(DeviceContext::of(tenant.clone(), found.id, name.clone()))
    }

    /// Adds a key of a device; its first use revokes the older ones.
    pub(crate) fn add_device_key(&mut self, device: &DeviceContext, key: &Key, now: WallTime) -> Result<(), DbError> {
        let tenant = device.tenant();
        self.change(|connection| {
            add_key(connection, key, (tenant.id(), Some(device.id())), now)?;
            audit::record(connection, tenant, &format!("key {} made for device {}", key.id(), device.name()), now)
        })
    }

    /// Revokes all keys of a device. Returns how many.
    pub(crate) fn revoke_keys(&mut self, device: &DeviceContext, now: WallTime) -> Result<u64, DbError> {
        self.change(|connection| {
            let revoked = keys::revoke(connection, device.id(), now)? as u64;
            let keys = if revoked == 1 { "key" } else { "keys" };
            let what = format!("{revoked} {keys} of device {} revoked", device.name());
            audit::record(connection, device.tenant(), &what, now)?;
            Ok(revoked)
        })
    }

    /// The devices of a tenant by name, each with its keys, its configurations and the hub's own alerts about it.
    pub(crate) fn devices(&self, tenant: &TenantContext, now: WallTime) -> Result<Vec<DeviceReport>, DbError> {
        let connection = &self.connection;
        let report = |device: Device| {
            let whose = Whose { tenant: tenant.id(), device: Some(device.id) };
            Ok(DeviceReport {
                context: DeviceContext::of(tenant.clone(), device.id, device.name.clone()),
                keys: keys::of_device(connection, device.id)?,
                standing: standing(connection, &device)?,
                alerts: alerts::said(connection, whose, true, MAX_ALERTS, now)?,
                quarantine: quarantine::newest(connection, device.id)?,
                device,
            })
        };
        devices::of_tenant(connection, tenant.id())?.into_iter().map(report).collect()
    }

    /// The newest configuration of a device, where it has one, and the highest version that the device has shown.
    pub(crate) fn configuration(&self, device: &DeviceContext) -> Result<(Option<SignedBundle>, u64), DbError> {
        let shown = devices::get(&self.connection, device.id())?.shown_version;
        Ok((bundles::newest(&self.connection, device.id())?, shown))
    }

    /// Keeps a signed configuration as a device's newest. Refuses one whose version is not the next.
    pub(crate) fn put_configuration(
        &mut self,
        device: &DeviceContext,
        bundle: &SignedBundle,
        what: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        self.change(|connection| {
            let newest = bundles::version(connection, device.id())?.unwrap_or(0);
            let shown = devices::get(connection, device.id())?.shown_version;
            if configs::next_version(newest, shown)? != bundle.version {
                let message = "another configuration of this device was put meanwhile; nothing was changed";
                return Err(DbError::Unusable(message.to_owned()));
            }
            bundles::add(connection, device.id(), bundle)?;
            audit::record(connection, device.tenant(), what, now)
        })
    }

    /// Channel and limits by which a tenant is paged about its devices.
    pub(crate) fn paging(&self, tenant: &TenantContext) -> Result<Paging, DbError> {
        paging::of_tenant(&self.connection, tenant.id())
    }

    /// Replaces where a tenant is paged. `what` is what the audit trail says of it.
    pub(crate) fn set_paging(
        &mut self,
        tenant: &TenantContext,
        to: &Paging,
        what: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        self.change(|connection| {
            paging::set(connection, tenant.id(), to)?;
            audit::record(connection, tenant, what, now)
        })
    }

    /// Sets after which silence people are told of one device.
    pub(crate) fn set_silence_limit(
        &mut self,
        device: &DeviceContext,
        limit: Span,
        now: WallTime,
    ) -> Result<(), DbError> {
        self.change(|connection| {
            paging::set_limit(connection, device.id(), limit)?;
            let what = format!("device {} is silent after {limit}", device.name());
            audit::record(connection, device.tenant(), &what, now)
        })
    }
}

/// Keeps the hash of a key.
fn add_key(
    connection: &Connection,
    key: &Key,
    whose: (TenantId, Option<DeviceId>),
    now: WallTime,
) -> Result<(), DbError> {
    keys::add(connection, key.id(), &access::hash(key), whose, now)
}

/// Configurations of a device: the newest, the one that runs, and the one that was refused.
fn standing(connection: &Connection, device: &Device) -> Result<Standing, DbError> {
    let report = |event: Option<crate::db::StoredEvent>| event.and_then(|event| Report::read(&event.body, event.at()));
    let taken = report(events::newest_taken(connection, device.id)?);
    let last = report(events::newest_of_bundle(connection, device.id)?);
    Ok(Standing::of(bundles::version(connection, device.id)?, device.shown_version, taken, last))
}

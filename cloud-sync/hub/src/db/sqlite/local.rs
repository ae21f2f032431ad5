//! The database for commands on the hub's own machine: each operation is one transaction, with an entry in the audit trail.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use tilth_core::id::Id;
use tilth_core::time::{Span, WallTime};
use tilth_protocol::{Epoch, Key};

use super::merge::Scope;
use super::rows::{DeviceId, TenantId};
use super::{
    DbError, alerts, audit, backup, bundles, devices, enrolment_codes, events, keys, lanes, paging, quarantine,
};
use crate::db::context::{Actor, DeviceContext, TenantContext};
use crate::db::records::{Device, DeviceReport, ListedTenant, NewCode, Paging};
use crate::domain::access;
use crate::domain::configs::status::{ConfigReport, ConfigStatus};
use crate::domain::configs::{self, SignedBundle};
use crate::domain::retention::Retention;

/// Maximum number of the hub's alerts that are listed with a device.
const MAX_ALERTS: usize = 10;

/// A database opened by a command; a hub may serve it meanwhile.
#[derive(Debug)]
pub(crate) struct LocalDatabase {
    connection: Connection,
    actor: Actor,
}

impl LocalDatabase {
    /// Creates the database of a new hub in an empty file.
    pub(crate) fn create(path: &Path, epoch: Epoch, user: &str, now: WallTime) -> Result<LocalDatabase, DbError> {
        super::create(path, epoch, now)?;
        let mut made = LocalDatabase::open(path, user)?;
        made.record("hub created", now)?;
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

    /// Runs a change for a tenant, and records it in the audit trail.
    fn audited(
        &mut self,
        tenant: &TenantContext,
        what: &str,
        now: WallTime,
        job: impl FnOnce(&Connection) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        self.change(|connection| {
            job(connection)?;
            audit::record(connection, tenant, what, now)
        })
    }

    fn record(&mut self, what: &str, now: WallTime) -> Result<(), DbError> {
        let actor = self.actor.clone();
        self.change(|connection| audit::insert(connection, &actor, None, what, now))
    }

    /// Begins a new epoch, after a copy of the database was put back by hand.
    pub(crate) fn begin_epoch(&mut self, epoch: Epoch, now: WallTime) -> Result<(), DbError> {
        let actor = self.actor.clone();
        self.change(|connection| {
            super::set_epoch(connection, epoch)?;
            enrolment_codes::revoke_all(connection, now)?;
            audit::insert(connection, &actor, None, "database restored: new epoch", now)
        })
    }

    /// Writes the database and the signing key to an empty file.
    pub(crate) fn back_up(&self, file: &Path, made: &backup::BackupInfo) -> Result<(), DbError> {
        backup::write(&self.connection, file, made)
    }

    /// Records a backup.
    pub(crate) fn record_backup(&mut self, now: WallTime) -> Result<(), DbError> {
        self.record("backup written", now)
    }

    /// Hashes of valid keys, at most `limit`.
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
        let (created, devices) = devices::summary(&self.connection, tenant.id())?;
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

    /// Adds a one-time code, and its device if that is new; without a name a free one is taken. Returns the name, and whether the device
    /// is new.
    pub(crate) fn add_code(
        &mut self,
        tenant: &TenantContext,
        name: Option<&Id>,
        code: &NewCode,
        now: WallTime,
    ) -> Result<(Id, bool), DbError> {
        self.change(|connection| {
            let name = match name {
                Some(name) => name.clone(),
                None => devices::free_name(connection, tenant.id())?,
            };
            let added = devices::add(connection, tenant.id(), &name, now)?;
            let device = match added {
                Some(device) => device,
                None => devices::find(connection, tenant, name.as_str())?.id,
            };
            enrolment_codes::add(connection, device, code, now)?;
            let what = format!("enrolment code {} for device {name} until {}", code.id, code.expires);
            audit::record(connection, tenant, &what, now)?;
            Ok((name, added.is_some()))
        })
    }

    /// Revokes the open codes of a device. Returns how many.
    pub(crate) fn revoke_codes(&mut self, device: &DeviceContext, now: WallTime) -> Result<u64, DbError> {
        self.change(|connection| revoke_codes(connection, device, now))
    }

    /// The device of a name.
    pub(crate) fn device(&self, tenant: &TenantContext, name: &Id) -> Result<DeviceContext, DbError> {
        let found = devices::find(&self.connection, tenant, name.as_str())?;
        Ok(DeviceContext::of(tenant.clone(), found.id, name.clone()))
    }

    /// Adds a read key of a tenant.
    pub(crate) fn add_read_key(&mut self, tenant: &TenantContext, key: &Key, now: WallTime) -> Result<(), DbError> {
        self.audited(tenant, &format!("read key {} added", key.id()), now, |connection| {
            add_key(connection, key, (tenant.id(), None), now)
        })
    }

    /// Adds a key of a device; its first use revokes the older ones.
    pub(crate) fn add_device_key(&mut self, device: &DeviceContext, key: &Key, now: WallTime) -> Result<(), DbError> {
        let (tenant, what) = (device.tenant(), format!("key {} added to device {}", key.id(), device.name()));
        self.audited(tenant, &what, now, |connection| add_key(connection, key, (tenant.id(), Some(device.id())), now))
    }

    /// Revokes all keys and open codes of a device. Returns how many of each.
    pub(crate) fn revoke_keys(&mut self, device: &DeviceContext, now: WallTime) -> Result<(u64, u64), DbError> {
        self.change(|connection| {
            let revoked = keys::revoke(connection, device.id(), now)? as u64;
            let keys = if revoked == 1 { "key" } else { "keys" };
            let what = format!("{revoked} {keys} of device {} revoked", device.name());
            audit::record(connection, device.tenant(), &what, now)?;
            Ok((revoked, revoke_codes(connection, device, now)?))
        })
    }

    /// The devices of a tenant, by name.
    pub(crate) fn devices(&self, tenant: &TenantContext, now: WallTime) -> Result<Vec<DeviceReport>, DbError> {
        let connection = &self.connection;
        let report = |device: Device| {
            let scope = Scope { tenant: tenant.id(), device: Some(device.id) };
            Ok(DeviceReport {
                context: DeviceContext::of(tenant.clone(), device.id, device.name.clone()),
                keys: keys::of_device(connection, device.id)?,
                codes: enrolment_codes::of_device(connection, device.id)?,
                config_status: config_status(connection, &device)?,
                alerts: alerts::of_hub(connection, scope, true, MAX_ALERTS, now)?,
                quarantine: quarantine::newest(connection, device.id)?,
                withheld: device.stream.map_or(Ok(0), |stream| lanes::withheld(connection, stream))?,
                device,
            })
        };
        devices::of_tenant(connection, tenant.id())?.into_iter().map(report).collect()
    }

    /// The newest configuration of a device, and the highest version that the device stated.
    pub(crate) fn configuration(&self, device: &DeviceContext) -> Result<(Option<SignedBundle>, u64), DbError> {
        let shown = devices::get(&self.connection, device.id())?.shown_version;
        Ok((bundles::newest(&self.connection, device.id())?, shown))
    }

    /// Stores a signed configuration. Fails if its version is not the next.
    pub(crate) fn put_configuration(
        &mut self,
        device: &DeviceContext,
        bundle: &SignedBundle,
        what: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        self.audited(device.tenant(), what, now, |connection| {
            let newest = bundles::version(connection, device.id())?.unwrap_or(0);
            let shown = devices::get(connection, device.id())?.shown_version;
            if configs::next_version(newest, shown)? != bundle.version {
                let message = "another configuration of this device was put meanwhile; nothing was changed";
                return Err(DbError::Unusable(message.to_owned()));
            }
            bundles::add(connection, device.id(), bundle)
        })
    }

    /// Sets the paging settings of a tenant. `what` is the text for the audit trail.
    pub(crate) fn set_paging(
        &mut self,
        tenant: &TenantContext,
        to: &Paging,
        what: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        self.audited(tenant, what, now, |connection| paging::set(connection, tenant.id(), to))
    }

    /// Sets the silence limit of one device.
    pub(crate) fn set_silence_limit(
        &mut self,
        device: &DeviceContext,
        limit: Span,
        now: WallTime,
    ) -> Result<(), DbError> {
        let what = format!("device {} is silent after {limit}", device.name());
        self.audited(device.tenant(), &what, now, |connection| paging::set_limit(connection, device.id(), limit))
    }
}

/// Adds the hash of a key.
fn add_key(
    connection: &Connection,
    key: &Key,
    scope: (TenantId, Option<DeviceId>),
    now: WallTime,
) -> Result<(), DbError> {
    keys::add(connection, key.id(), &access::hash(key), scope, now)
}

fn revoke_codes(connection: &Connection, device: &DeviceContext, now: WallTime) -> Result<u64, DbError> {
    let revoked = enrolment_codes::revoke(connection, device.id(), now)?;
    if revoked > 0 {
        let what = format!("enrolment code of device {} revoked", device.name());
        audit::record(connection, device.tenant(), &what, now)?;
    }
    Ok(revoked)
}

/// Status of a device's configurations.
fn config_status(connection: &Connection, device: &Device) -> Result<ConfigStatus, DbError> {
    let report =
        |event: Option<crate::db::StoredEvent>| event.and_then(|event| ConfigReport::read(&event.body, event.at()));
    let taken = report(events::newest_taken(connection, device.id)?);
    let last = report(events::newest_of_bundle(connection, device.id)?);
    Ok(ConfigStatus::of(bundles::version(connection, device.id)?, device.shown_version, taken, last))
}

//! What each command does, beside serving.

pub(crate) mod backup;
pub(crate) mod config;
mod content;
pub(crate) mod device;
pub(crate) mod init;
pub(crate) mod serve;
pub(crate) mod tenant;

use anyhow::{Context, bail};
use rusqlite::{Connection, TransactionBehavior};
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_protocol::{Key, KeyKind};

use crate::clock;
use crate::data_dir::DataDir;
use crate::db::sqlite::rows::{DeviceId, TenantId};
use crate::db::sqlite::{self as store, audit, devices};
use crate::domain::access as keys;

/// One change of the store by somebody at the machine: all of it or nothing.
struct Change<'a> {
    connection: &'a Connection,
    now: WallTime,
}

/// Does something in one transaction.
fn change<T>(data: &DataDir, what: impl FnOnce(&Change<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut connection = store::open(&data.database())?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = what(&Change { connection: &transaction, now: clock::now() })?;
    transaction.commit().context("the database")?;
    Ok(done)
}

/// Who is at the machine, as far as it says so.
fn user() -> String {
    std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".to_owned())
}

impl Change<'_> {
    fn audit(&self, tenant: Option<TenantId>, what: &str) -> anyhow::Result<()> {
        let user = user();
        let entry = audit::Entry { at: self.now, who: &user, origin: "local", tenant, what };
        Ok(audit::record(self.connection, &entry)?)
    }

    fn tenant(&self, client: &Id) -> anyhow::Result<TenantId> {
        tenant_of(self.connection, client)
    }

    fn device(&self, client: &Id, device: &Id) -> anyhow::Result<devices::Device> {
        device_of(self.connection, client, device)
    }

    /// Draws a key and keeps its hash.
    fn key(&self, tenant: TenantId, device: Option<DeviceId>) -> anyhow::Result<Key> {
        let key = keys::draw(if device.is_some() { KeyKind::Device } else { KeyKind::Read })?;
        store::keys::add(self.connection, key.id(), &keys::hash(&key), (tenant, device), self.now)?;
        Ok(key)
    }
}

fn tenant_of(connection: &Connection, client: &Id) -> anyhow::Result<TenantId> {
    match devices::tenant(connection, client.as_str())? {
        Some(tenant) => Ok(tenant),
        None => bail!("there is no tenant {client}; `tilth-hub tenant add {client}` makes it"),
    }
}

fn device_of(connection: &Connection, client: &Id, device: &Id) -> anyhow::Result<devices::Device> {
    let tenant = tenant_of(connection, client)?;
    match devices::find(connection, tenant, device.as_str())? {
        Some(found) => Ok(found),
        None => bail!("{client} has no device {device}; `tilth-hub device add {device} --client {client}` makes it"),
    }
}

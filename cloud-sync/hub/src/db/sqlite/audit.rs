//! Who did what, when and from where.

use rusqlite::Connection;
use tilth_core::time::WallTime;

use super::StoreError;
use super::rows::TenantId;

/// One thing that was done.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) at: WallTime,
    /// A key by its public id, or a user of the machine.
    pub(crate) who: &'a str,
    /// An address, or `local`.
    pub(crate) origin: &'a str,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) what: &'a str,
}

pub(crate) fn record(connection: &Connection, entry: &Entry<'_>) -> Result<(), StoreError> {
    let Entry { at, who, origin, tenant, what } = entry;
    let mut insert =
        connection.prepare_cached("INSERT INTO audit (at, who, origin, tenant, what) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute((at.0, who, origin, tenant, what))?;
    Ok(())
}

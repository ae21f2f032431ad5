//! Audit trail: who did what, when and from where.

use rusqlite::Connection;
use tilth_core::time::WallTime;

use super::DbError;
use super::rows::TenantId;
use crate::db::context::{Actor, TenantContext};

/// Records an action for a tenant, by the actor of its context.
pub(super) fn record(
    connection: &Connection,
    tenant: &TenantContext,
    what: &str,
    now: WallTime,
) -> Result<(), DbError> {
    insert(connection, tenant.actor(), Some(tenant.id()), what, now)
}

/// Records an action of an actor, for a tenant or for the hub itself.
pub(super) fn insert(
    connection: &Connection,
    Actor { who, origin }: &Actor,
    tenant: Option<TenantId>,
    what: &str,
    now: WallTime,
) -> Result<(), DbError> {
    let mut insert =
        connection.prepare_cached("INSERT INTO audit (at, who, origin, tenant, what) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute((now.0, who, origin, tenant, what))?;
    Ok(())
}

//! Pages over rows of several devices or streams in the order of id: each is searched by its index, and only as many rows are read as
//! the page has.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, Row, Rows, ToSql};

use super::rows::{DeviceId, TenantId};
use super::{DbError, devices};
use crate::db::context::TenantContext;

/// Owner of the rows: one device, or all devices of a tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) tenant: TenantId,
    pub(super) device: Option<DeviceId>,
}

impl Scope {
    /// The tenant's device of that name, or all its devices. A device of another tenant is not found.
    pub(super) fn named(
        connection: &Connection,
        tenant: &TenantContext,
        device: Option<&str>,
    ) -> Result<Scope, DbError> {
        let device = device.map(|name| devices::find(connection, tenant, name)).transpose()?;
        Ok(Scope { tenant: tenant.id(), device: device.map(|device| device.id) })
    }

    /// Ids of the devices.
    pub(super) fn devices(self, connection: &Connection) -> Result<Vec<DeviceId>, DbError> {
        if let Some(device) = self.device {
            return Ok(vec![device]);
        }
        let mut select = connection.prepare_cached("SELECT id FROM devices WHERE tenant = ?1")?;
        let devices = select.query_map([self.tenant], |row| row.get(0))?;
        Ok(devices.collect::<Result<_, _>>()?)
    }
}

/// Statements of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    /// Selects the ids of a source (?1) above another (?2), rising.
    pub(super) ids: &'a str,
    /// The parameter ?3 of `ids`, where it has one.
    pub(super) kind: Option<&'a str>,
    /// Selects the row of an id (?1).
    pub(super) row: &'a str,
}

/// A page of up to `limit` rows of some sources above an id. Rows for which `read` returns none are skipped.
pub(super) fn rows<T>(
    connection: &Connection,
    sources: &[impl ToSql],
    Search { ids, kind, row }: Search<'_>,
    (after, limit): (i64, usize),
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> Result<Vec<T>, DbError> {
    let statements = sources.iter().map(|_| connection.prepare_cached(ids));
    let mut statements = statements.collect::<Result<Vec<_>, _>>()?;
    let mut found_by_source: Vec<Rows<'_>> = Vec::new();
    for (statement, source) in statements.iter_mut().zip(sources) {
        found_by_source.push(match kind {
            Some(kind) => statement.query((source, after, kind))?,
            None => statement.query((source, after))?,
        });
    }
    let mut next = BinaryHeap::new();
    for source in 0..found_by_source.len() {
        next.extend(id_of(&mut found_by_source, source)?);
    }
    let mut select = connection.prepare_cached(row)?;
    let mut found = Vec::new();
    while let Some(Reverse((id, source))) = next.pop()
        && found.len() < limit
    {
        found.extend(select.query_row([id], &read)?);
        next.extend(id_of(&mut found_by_source, source)?);
    }
    Ok(found)
}

fn id_of(sources: &mut [Rows<'_>], source: usize) -> Result<Option<Reverse<(i64, usize)>>, DbError> {
    let row = sources[source].next()?;
    Ok(row.map(|row| row.get(0)).transpose()?.map(|id| Reverse((id, source))))
}

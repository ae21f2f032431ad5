//! Rows of several devices in the order of their ids: each device's are found by its index, and no more than are wanted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, Row, Rows};

use super::StoreError;
use super::rows::{DeviceId, TenantId};

/// Whose rows are wanted: of one device, or of all of a tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose {
    pub(crate) tenant: TenantId,
    pub(crate) device: Option<DeviceId>,
}

impl Whose {
    fn devices(self, connection: &Connection) -> Result<Vec<DeviceId>, StoreError> {
        if let Some(device) = self.device {
            return Ok(vec![device]);
        }
        let mut select = connection.prepare_cached("SELECT id FROM devices WHERE tenant = ?1")?;
        let devices = select.query_map([self.tenant], |row| row.get(0))?;
        Ok(devices.collect::<Result<_, _>>()?)
    }
}

/// How rows are found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    /// Selects the ids of a device (?1) above another (?2), rising.
    pub(super) ids: &'a str,
    /// The parameter ?3 of `ids`, where it has one.
    pub(super) kind: Option<&'a str>,
    /// Selects the row of an id (?1).
    pub(super) row: &'a str,
}

/// Up to `limit` of what `read` makes of rows, by id; it may make nothing of some.
pub(super) fn rows<T>(
    connection: &Connection,
    whose: Whose,
    Search { ids, kind, row }: Search<'_>,
    (after, limit): (i64, usize),
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> Result<Vec<T>, StoreError> {
    let devices = whose.devices(connection)?;
    let statements = devices.iter().map(|_| connection.prepare_cached(ids));
    let mut statements = statements.collect::<Result<Vec<_>, _>>()?;
    let mut sources: Vec<Rows<'_>> = Vec::new();
    for (statement, device) in statements.iter_mut().zip(&devices) {
        sources.push(match kind {
            Some(kind) => statement.query((device, after, kind))?,
            None => statement.query((device, after))?,
        });
    }
    let mut next = BinaryHeap::new();
    for source in 0..sources.len() {
        next.extend(id_of(&mut sources, source)?);
    }
    let mut select = connection.prepare_cached(row)?;
    let mut found = Vec::new();
    while let Some(Reverse((id, source))) = next.pop()
        && found.len() < limit
    {
        found.extend(select.query_row([id], &read)?);
        next.extend(id_of(&mut sources, source)?);
    }
    Ok(found)
}

fn id_of(sources: &mut [Rows<'_>], source: usize) -> Result<Option<Reverse<(i64, usize)>>, StoreError> {
    let row = sources[source].next()?;
    Ok(row.map(|row| row.get(0)).transpose()?.map(|id| Reverse((id, source))))
}

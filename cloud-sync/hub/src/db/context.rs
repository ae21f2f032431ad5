//! The caller of an operation: device, tenant or person. A context is created where a key or an enrolment code is authenticated, where a
//! command opens the database, and for the devices that the hub itself pages about; nowhere else.

use tilth_core::id::Id;
use tilth_core::time::WallTime;

use super::records::{DeviceId, TenantId};

/// The acting party, as the audit trail names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Actor {
    /// Public id of a key, or a user of the machine.
    pub(super) who: String,
    /// Address of the caller, or `local`.
    pub(super) origin: String,
}

/// One tenant, whose data the holder may read and change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantContext {
    id: TenantId,
    client: Id,
    actor: Actor,
}

/// One device of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceContext {
    tenant: TenantContext,
    id: DeviceId,
    name: Id,
}

/// The owner of the key in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    Device(DeviceContext),
    /// Holder of a tenant's read key.
    Reader(TenantContext),
}

/// A caller with a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    /// Last use of the key before, to the minute.
    pub(crate) last_used: Option<WallTime>,
}

impl TenantContext {
    /// For `sqlite/keys.rs`, `sqlite/enrolment_codes.rs`, `sqlite/local.rs` and `sqlite/paging.rs` alone; the architecture test holds it.
    pub(super) fn open(id: TenantId, client: Id, actor: Actor) -> TenantContext {
        TenantContext { id, client, actor }
    }

    pub(super) fn id(&self) -> TenantId {
        self.id
    }

    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Name of the tenant.
    pub(crate) fn client(&self) -> &Id {
        &self.client
    }
}

impl DeviceContext {
    /// The device must be the tenant's.
    pub(super) fn of(tenant: TenantContext, id: DeviceId, name: Id) -> DeviceContext {
        DeviceContext { tenant, id, name }
    }

    pub(crate) fn tenant(&self) -> &TenantContext {
        &self.tenant
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.id
    }

    /// Name of the device, unique within its tenant.
    pub(crate) fn name(&self) -> &Id {
        &self.name
    }
}

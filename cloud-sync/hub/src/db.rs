//! Storage as whole operations, each for the tenant of its context.
//!
//! [`Database`] serves many callers at once, [`LocalDatabase`] the commands on the hub's machine. Only files in `db/sqlite/` name SQLite.

mod context;
mod records;
mod sqlite;

pub(crate) use context::{Authenticated, Caller, DeviceContext, TenantContext};
pub(crate) use records::{
    DeviceHealth, DeviceId, DeviceReport, HubAlert, ListedCode, ListedKey, ListedTenant, MonitoredDevice,
    MonitoredTenant, NewCode, Paging, QuarantinedRow, StoredAlert, StoredEvent, StoredWindow, WindowPosition,
};
pub(crate) use sqlite::alerts::AlertQuery;
pub(crate) use sqlite::backup;
pub(crate) use sqlite::events::EventQuery;
pub(crate) use sqlite::latest::LatestQuery;
pub(crate) use sqlite::local::LocalDatabase;
pub(crate) use sqlite::windows::WindowQuery;
pub(crate) use sqlite::{Database, DbError};

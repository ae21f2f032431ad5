//! Results of the storage's operations: plain data, independent of the database.

use std::collections::BTreeMap;

use tilth_core::id::Id;
use tilth_core::quantity::Quantity;
use tilth_core::time::{Span, Uptime, WallTime};
use tilth_core::value::{Resolution, Steps, Value};
use tilth_core::windows::Window;
use tilth_protocol::{CodeId, Lane};

use super::context::{DeviceContext, TenantContext};
use crate::domain::configs::status::ConfigStatus;
use crate::domain::cursor::Cursors;
use crate::domain::enrolment::StoredCode;
use crate::domain::retention::Retention;
use crate::domain::silence::Contact;

macro_rules! row_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(super) i64);
    )*};
}

row_ids! {
    /// A tenant's row.
    TenantId;
    /// A device's row.
    DeviceId;
    /// A stream's row.
    StreamId;
    /// The row of one boot of a device.
    BootId;
    /// A sensor's row.
    SensorRow;
}

impl TenantId {
    /// Below the id of every tenant.
    pub(super) const BEFORE_ALL: TenantId = TenantId(0);
}

/// A device and its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) tenant: TenantId,
    pub(crate) name: Id,
    pub(crate) created: WallTime,
    /// Last request, to the minute.
    pub(crate) last_heard: Option<WallTime>,
    /// Current stream.
    pub(crate) stream: Option<StreamId>,
    /// Highest version of a configuration that was in force on the device, as it states.
    pub(crate) shown_version: u64,
    /// Number of stored windows and events.
    pub(crate) rows: u64,
    /// Number of gaps, boots and unreadable rows, plus one for each ten rows that were rejected otherwise.
    pub(crate) others: u64,
    /// Number of rejected rows.
    pub(crate) quarantined: u64,
    /// Number of unknown keys and unreadable live values: the agent is newer.
    pub(crate) unknown_keys: u64,
}

/// A row that the hub rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuarantinedRow {
    pub(crate) lane: String,
    /// Sequence in the lane of the device's stream.
    pub(crate) seq: u64,
    /// What is wrong, and what was expected.
    pub(crate) reason: String,
    /// JSON of the row, cut where it is long.
    pub(crate) text: String,
    pub(crate) received: WallTime,
}

/// A tenant with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedTenant {
    pub(crate) tenant: TenantContext,
    pub(crate) created: WallTime,
    /// Number of devices.
    pub(crate) devices: u64,
    pub(crate) retention: Retention,
    pub(crate) paging: Paging,
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedKey {
    pub(crate) id: String,
    pub(crate) created: WallTime,
    pub(crate) last_used: Option<WallTime>,
    pub(crate) revoked: Option<WallTime>,
}

/// A one-time code to be stored, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewCode {
    pub(crate) id: CodeId,
    /// Hash of the secret.
    pub(crate) hash: Vec<u8>,
    pub(crate) expires: WallTime,
    /// CA certificate of the hub in PEM, where the code names one.
    pub(crate) ca: Option<String>,
}

/// A one-time code of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedCode {
    pub(crate) id: String,
    pub(crate) code: StoredCode,
}

/// A device in the list of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceReport {
    pub(crate) context: DeviceContext,
    pub(crate) device: Device,
    pub(crate) keys: Vec<ListedKey>,
    pub(crate) codes: Vec<ListedCode>,
    pub(crate) config_status: ConfigStatus,
    /// Open alerts of the hub about the device, newest first.
    pub(crate) alerts: Vec<HubAlert>,
    /// Newest first.
    pub(crate) quarantine: Vec<QuarantinedRow>,
    /// Number of rows that the device keeps to itself, since it recorded them before it was enrolled here.
    pub(crate) withheld: u64,
}

/// Health of one device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeviceHealth {
    pub(crate) device: Device,
    /// Name of the current stream.
    pub(crate) stream: Option<String>,
    /// Streams before the current one, newest first.
    pub(crate) earlier: Vec<EarlierStream>,
    /// Lanes of the current stream that have rows.
    pub(crate) lanes: BTreeMap<Lane, LaneState>,
    /// Version of the newest bundle.
    pub(crate) bundle: Option<u64>,
    /// Newest event of the device about a bundle.
    pub(crate) report: Option<StoredEvent>,
    /// Newest rejected rows, newest first.
    pub(crate) quarantine: Vec<QuarantinedRow>,
}

/// A stream that was replaced by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EarlierStream {
    pub(crate) name: String,
    pub(crate) began: WallTime,
    pub(crate) last_heard: WallTime,
}

/// How far a lane of a stream is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LaneState {
    /// Highest sequence up to which all are accounted for.
    pub(crate) confirmed: u64,
    /// Number of sequences that the device stated as lost.
    pub(crate) lost: u64,
    /// Highest sequence whose fingerprint was deleted.
    pub(crate) forgotten: u64,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEvent {
    /// Id, rising in the order of storing.
    pub(crate) id: i64,
    pub(crate) device: String,
    pub(crate) lane: String,
    /// Sequence in the lane of the device's stream.
    pub(crate) seq: i64,
    pub(crate) kind: String,
    /// Number of the boot.
    pub(crate) boot: u32,
    /// Time of day at uptime 0 of the boot, in ms; none while its clock is unknown.
    pub(crate) offset: Option<i64>,
    pub(crate) uptime: i64,
    /// JSON object.
    pub(crate) body: String,
    pub(crate) received: WallTime,
}

impl StoredEvent {
    /// Time of the event.
    pub(crate) fn at(&self) -> Option<WallTime> {
        wall(self.offset, self.uptime)
    }
}

/// An alert of a device, by its newest transition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredAlert {
    pub(crate) id: i64,
    pub(crate) device: String,
    pub(crate) number: u64,
    pub(crate) state: String,
    pub(crate) is_open: bool,
    /// Number of the boot.
    pub(crate) boot: u32,
    /// As in [`StoredEvent`].
    pub(crate) offset: Option<i64>,
    pub(crate) uptime: i64,
    /// JSON object.
    pub(crate) body: String,
}

impl StoredAlert {
    /// Time of the newest transition.
    pub(crate) fn at(&self) -> Option<WallTime> {
        wall(self.offset, self.uptime)
    }
}

/// An alert of the hub about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubAlert {
    pub(crate) device: String,
    pub(crate) rule: String,
    pub(crate) since: WallTime,
    pub(crate) last: WallTime,
    /// Number of times that it was raised.
    pub(crate) times: u64,
    pub(crate) message: String,
    pub(crate) is_open: bool,
}

/// The newest value of a sensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredValue {
    pub(crate) device: String,
    pub(crate) sensor: String,
    pub(crate) quantity: Quantity,
    pub(crate) value: f64,
    pub(crate) quality: String,
    /// Time of the reading; none while the device's clock is unknown.
    pub(crate) at: Option<WallTime>,
    pub(crate) received: WallTime,
}

/// A stored window, dated by its boot's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StoredWindow {
    /// Number of the boot.
    pub(crate) boot: u32,
    pub(crate) start: Uptime,
    pub(crate) wall: WallTime,
    pub(crate) revision: u32,
    pub(crate) quantity: Quantity,
    pub(crate) resolution: Resolution,
    pub(crate) window: Window,
}

impl StoredWindow {
    /// Converts steps into the sensor's unit.
    pub(crate) fn value(&self, steps: Steps) -> f64 {
        Value { steps, resolution: self.resolution }.to_f64()
    }
}

/// A page of windows of one sensor, in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowPage {
    /// Name of the sensor's device.
    pub(crate) device: String,
    pub(crate) windows: Vec<StoredWindow>,
    /// Beginning of the next page.
    pub(crate) next: Option<WindowPosition>,
}

/// Beginning of a page of windows: a boot, and an uptime in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowPosition {
    pub(super) boot: BootId,
    pub(super) start: i64,
}

impl WindowPosition {
    /// Text for a reader: the boot as a cursor, and the uptime.
    pub(crate) fn write(self, cursors: &Cursors) -> String {
        format!("{}.{}", cursors.after(self.boot.0), self.start)
    }

    /// Reads what [`WindowPosition::write`] wrote with the same cursors.
    pub(crate) fn read(text: &str, cursors: &Cursors) -> Option<WindowPosition> {
        let (boot, start) = text.split_once('.')?;
        Some(WindowPosition { boot: BootId(cursors.id(boot.parse().ok()?)?), start: start.parse().ok()? })
    }
}

/// Time of day at an uptime of a boot; none while its clock is unknown.
pub(super) fn wall(offset: Option<i64>, uptime: i64) -> Option<WallTime> {
    offset.map(|offset| WallTime(offset.saturating_add(uptime)))
}

/// Channel and limit by which the hub pages about a tenant's devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Paging {
    /// Channel in the form of `notifications`, as JSON; none: no pages.
    pub(crate) channel: Option<String>,
    /// Silence after which people are paged; none for the default.
    pub(crate) silent_after: Option<Span>,
}

/// A tenant that is paged, with its devices that sent a request once and have a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MonitoredTenant {
    pub(crate) client: Id,
    /// Channel, as JSON.
    pub(crate) channel: String,
    pub(crate) devices: Vec<MonitoredDevice>,
}

/// A device whose silence is paged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MonitoredDevice {
    pub(crate) context: DeviceContext,
    pub(crate) contact: Contact,
}

//! What operations answer: plain data, the same whatever database keeps it.

use std::collections::BTreeMap;

use tilth_core::id::Id;
use tilth_core::quantity::Quantity;
use tilth_core::time::{Span, Uptime, WallTime};
use tilth_core::value::{Resolution, Steps, Value};
use tilth_core::windows::{Grain, Window};
use tilth_protocol::{Epoch, Lane};

use super::context::{DeviceContext, TenantContext};
use crate::domain::configs::status::Standing;
use crate::domain::cursor::Cursors;
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

/// A device and what was last heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) tenant: TenantId,
    pub(crate) name: Id,
    pub(crate) created: WallTime,
    /// To the minute.
    pub(crate) last_heard: Option<WallTime>,
    /// The stream that speaks for the device now.
    pub(crate) stream: Option<StreamId>,
    /// Highest version of a configuration that the device said it has.
    pub(crate) shown_version: u64,
    /// Windows and events that the hub keeps of the device.
    pub(crate) rows: u64,
    /// Gaps, boots, rows that could not be read, and one for each ten that were refused for another reason.
    pub(crate) others: u64,
    /// Rows that were refused so far.
    pub(crate) quarantined: u64,
    /// Keys, and live values, of batches that this hub does not know: the agent is newer.
    pub(crate) unknown_keys: u64,
}

/// A row that the hub refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuarantinedRow {
    pub(crate) lane: String,
    /// Sequence in the lane of the device's stream.
    pub(crate) seq: u64,
    /// What is wrong with it, and what was expected.
    pub(crate) reason: String,
    /// The row as it came, or as it was read; its beginning where it is long.
    pub(crate) text: String,
    pub(crate) received: WallTime,
}

/// A tenant in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedTenant {
    pub(crate) tenant: TenantContext,
    pub(crate) created: WallTime,
    /// Number of devices.
    pub(crate) devices: u64,
    pub(crate) retention: Retention,
    pub(crate) paging: Paging,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedKey {
    pub(crate) id: String,
    pub(crate) created: WallTime,
    pub(crate) last_used: Option<WallTime>,
    pub(crate) revoked: Option<WallTime>,
}

/// A device as the command line lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceReport {
    pub(crate) context: DeviceContext,
    pub(crate) device: Device,
    pub(crate) keys: Vec<ListedKey>,
    pub(crate) standing: Standing,
    /// Open alerts of the hub's own about the device, newest first.
    pub(crate) alerts: Vec<HubAlert>,
    /// Newest first.
    pub(crate) quarantine: Vec<QuarantinedRow>,
}

/// The devices of a tenant as a reader sees them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TenantHealth {
    pub(crate) epoch: Epoch,
    pub(crate) devices: Vec<DeviceHealth>,
}

/// One device of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeviceHealth {
    pub(crate) device: Device,
    /// Name of the current stream.
    pub(crate) stream: Option<String>,
    /// Streams before the current one, newest first.
    pub(crate) earlier: Vec<EarlierStream>,
    /// Lanes of the current stream that brought anything.
    pub(crate) lanes: BTreeMap<Lane, Tally>,
    /// Version of the newest bundle.
    pub(crate) bundle: Option<u64>,
    /// Newest event by which the device said what it did with a bundle.
    pub(crate) said: Option<StoredEvent>,
    /// The newest rows that were refused, newest first.
    pub(crate) quarantine: Vec<QuarantinedRow>,
}

/// A stream that another one of the same device took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EarlierStream {
    pub(crate) name: String,
    pub(crate) began: WallTime,
    pub(crate) last_heard: WallTime,
}

/// How far a lane of a stream is accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Highest sequence at and below which everything is accounted for.
    pub(crate) confirmed: u64,
    /// Number of sequences that the device says it lost.
    pub(crate) lost: u64,
    /// Highest sequence at and below which it is no longer known what was brought.
    pub(crate) forgotten: u64,
}

/// An event as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEvent {
    /// Place among all events that the hub has.
    pub(crate) id: i64,
    pub(crate) device: String,
    pub(crate) lane: String,
    /// Sequence in the lane of the device's stream.
    pub(crate) seq: i64,
    pub(crate) kind: String,
    /// Number of the boot.
    pub(crate) boot: u32,
    /// Time of day at uptime zero of the boot, in ms, where its clock is known.
    pub(crate) offset: Option<i64>,
    pub(crate) uptime: i64,
    /// JSON object.
    pub(crate) body: String,
    pub(crate) received: WallTime,
}

impl StoredEvent {
    /// When the event happened.
    pub(crate) fn at(&self) -> Option<WallTime> {
        wall(self.offset, self.uptime)
    }
}

/// An alert that a device numbered, as its newest transition left it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredAlert {
    pub(crate) id: i64,
    pub(crate) device: String,
    pub(crate) number: u64,
    pub(crate) state: String,
    pub(crate) is_open: bool,
    /// Number of the boot.
    pub(crate) boot: u32,
    /// As of [`StoredEvent`].
    pub(crate) offset: Option<i64>,
    pub(crate) uptime: i64,
    /// JSON object.
    pub(crate) body: String,
}

impl StoredAlert {
    /// When the newest transition was.
    pub(crate) fn at(&self) -> Option<WallTime> {
        wall(self.offset, self.uptime)
    }
}

/// An alert of the hub's own about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubAlert {
    pub(crate) device: String,
    pub(crate) rule: String,
    pub(crate) since: WallTime,
    pub(crate) last: WallTime,
    /// How often it happened.
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
    /// When it was read; none where the device's clock is not known.
    pub(crate) at: Option<WallTime>,
    pub(crate) received: WallTime,
}

/// A window, stamped by what is known of its boot's clock.
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
    /// A number of steps in the sensor's unit.
    pub(crate) fn value(&self, steps: Steps) -> f64 {
        Value { steps, resolution: self.resolution }.to_f64()
    }
}

/// Windows of one sensor in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowPage {
    /// Name of the device that has the sensor.
    pub(crate) device: String,
    pub(crate) grain: Grain,
    pub(crate) windows: Vec<StoredWindow>,
    /// Beginning of the next page, if there is one.
    pub(crate) next: Option<Place>,
}

/// Beginning of a page of windows: a boot, and an uptime in it in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) boot: BootId,
    pub(super) start: i64,
}

impl Place {
    /// Text of the place for a reader: the boot as a cursor, and the uptime.
    pub(crate) fn write(self, cursors: &Cursors) -> String {
        format!("{}.{}", cursors.after(self.boot.0), self.start)
    }

    /// Reads what [`Place::write`] wrote with the same cursors.
    pub(crate) fn read(text: &str, cursors: &Cursors) -> Option<Place> {
        let (boot, start) = text.split_once('.')?;
        Some(Place { boot: BootId(cursors.id(boot.parse().ok()?)?), start: start.parse().ok()? })
    }
}

/// The time of day at an uptime of a boot, where its clock is known.
pub(super) fn wall(offset: Option<i64>, uptime: i64) -> Option<WallTime> {
    offset.map(|offset| WallTime(offset.saturating_add(uptime)))
}

/// Channel and limit by which the hub pages about a tenant's devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Paging {
    /// A channel as a document of `notifications` holds one, in JSON; none pages nobody.
    pub(crate) channel: Option<String>,
    /// Silence after which people are told; none for the default.
    pub(crate) silent_after: Option<Span>,
}

/// A tenant that is paged, and its devices that were heard once and may still speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchedTenant {
    pub(crate) client: Id,
    /// The channel, in JSON.
    pub(crate) channel: String,
    pub(crate) devices: Vec<WatchedDevice>,
}

/// A device that people are told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchedDevice {
    pub(crate) id: DeviceId,
    pub(crate) name: Id,
    pub(crate) contact: Contact,
}

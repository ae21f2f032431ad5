//! Requests of other tasks to decide, and what queries of the engine are given.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tilth_config::{Channel, Merged};
use tilth_core::engine::{Engine, Input, SilenceView};
use tilth_core::id::{Id, SensorId};
use tilth_core::interlock;
use tilth_core::plan::Plan;
use tilth_core::site::Matcher;
use tilth_core::time::Span;
use tokio::sync::oneshot;

use super::ActuateAnswer;
use crate::checkpoint::AcknowledgedBy;
use crate::sense::bus::MissingValues;
use crate::store::LostHistory;

pub(crate) enum DecideRequest {
    Plan(Box<DecideConfig>),
    /// Give the engine what a person does: an acknowledgement, a hold. Answered with the engine as it is then.
    Input(Input, EngineQuery),
    /// Silence alerts; answered with the silence, or `None` where no more fit.
    Silence {
        of: Matcher,
        span: Span,
        by: String,
        answer: oneshot::Sender<Option<SilenceView>>,
    },
    /// End a silence early; answered with the silence as it was, or `None` where the number does not exist.
    EndSilence {
        silence: u32,
        answer: oneshot::Sender<Option<SilenceView>>,
    },
    /// Switch an actuator; answered when it was, or with why not.
    Actuate {
        command: Box<interlock::Command>,
        answer: oneshot::Sender<ActuateAnswer>,
    },
    /// Switch every output off, before a stop; answered when the orders are on their way.
    SwitchOff(oneshot::Sender<()>),
    Note {
        text: String,
        by: String,
        answer: oneshot::Sender<()>,
    },
    /// Store a row of this kind in the lane of diagnostics; its body is an object.
    StoreDiagnostic(&'static str, Value),
    /// Store a row of this kind in the lane of events; its body is an object.
    StoreEvent(&'static str, Value),
    /// Whether the hub accepts this device.
    Hub {
        accepts: bool,
    },
    /// Answered when every request before it has taken effect.
    Barrier(oneshot::Sender<()>),
    /// Answered at once; systemd's watchdog follows these.
    Ping(oneshot::Sender<()>),
    Query(EngineQuery),
    /// A new stream begins: store open alerts, clock anchor, site state and checkpoint again.
    NewStream,
    LostHistory(Box<LostHistory>),
    /// Stop; answered when everything was handed to the store.
    Stop(oneshot::Sender<()>),
}

impl DecideRequest {
    /// Whether the request needs the engine, which does not exist before the clock has a time.
    pub(crate) fn asks_engine(&self) -> bool {
        use DecideRequest::{Actuate, EndSilence, Input, Note, Query, Silence, SwitchOff};
        matches!(self, Input(..) | Silence { .. } | EndSilence { .. } | Note { .. } | Query(_))
            || matches!(self, Actuate { .. } | SwitchOff(_))
    }
}

/// The part of a compiled configuration that decide works by.
#[derive(Debug)]
pub(crate) struct DecideConfig {
    pub(crate) plan: Arc<Plan>,
    /// Content hash of the configuration.
    pub(crate) hash: String,
    pub(crate) channels: BTreeMap<Id, Channel>,
    /// Documents that it was made of, for a recording.
    pub(crate) merged: Merged,
}

/// Runs on the engine between two inputs. As the answer of a request it runs right after the request took effect.
pub(crate) type EngineQuery = Box<dyn FnOnce(&Engine, &DecideState) + Send>;

/// State of decide beside the engine.
#[derive(Debug, Default)]
pub(crate) struct DecideState {
    pub(crate) readings: ReadingCounts,
    /// Notifications given up since the start because too many waited.
    pub(crate) lost_notifications: u64,
    /// Name of the person who acknowledged each open alert; part of the checkpoint.
    pub(crate) acknowledged_by: Arc<AcknowledgedBy>,
    /// Reason of each sensor whose input fails.
    pub(crate) faults: BTreeMap<SensorId, Arc<str>>,
    /// Why the last message of a bus matched no sensor.
    pub(crate) unmatched: BTreeMap<Id, String>,
    /// Why each bus is down; `None` for a bus that is up.
    pub(crate) buses: BTreeMap<Id, Option<String>>,
    /// Sensors of each bus whose values its messages lack.
    pub(crate) missing: BTreeMap<Id, Arc<MissingValues>>,
}

/// Readings and values since the start, as `status` shows them.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReadingCounts {
    /// Readings that the engine took.
    pub(crate) decided: u64,
    /// Values that are no number, such as `nan` or an empty field.
    pub(crate) missing: u64,
    /// Readings older than the newest of their sensor.
    pub(crate) late: u64,
    /// Readings stamped in the future; stamped with their arrival instead.
    pub(crate) future_stamps: u64,
    /// Readings stamped too far in the past without a backlog; stamped with their arrival instead.
    pub(crate) past_stamps: u64,
    /// Readings whose stamp could not be placed while the clock was not trusted.
    pub(crate) unplaced_stamps: u64,
    /// Values that the queue from the buses dropped.
    pub(crate) dropped: u64,
}

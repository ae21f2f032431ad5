//! What the engine wants done. The engine decides; its caller carries the effects out, in the order given.

use std::sync::Arc;

use crate::alert::AlertId;
use crate::escalate::{Cause, PageId};
use crate::id::{Id, SensorId};
use crate::interlock;
use crate::judge::Fault;
use crate::plan::{AlertKey, Plan, Severity};
use crate::reading::{Reading, SensorIx};
use crate::rules::DisplayValue;
use crate::time::Stamp;
use crate::value::Value;
use crate::windows::Closed;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An alert changed its state: keep and show it.
    Alert(Transition, Box<AlertDetails>),
    /// Tell people.
    Page(Box<Page>),
    /// A sensor stopped or started being believed.
    Sensor(SensorEvent),
    /// Keep and show a judged reading.
    Reading(Reading),
    /// The input answered without a value: count it.
    NoValue(SensorIx),
    /// Keep a closed window.
    Window(Closed),
    /// A schedule opened or closed.
    Schedule(ScheduleEvent),
    /// The site's own state changed: keep it ([`crate::engine::Engine::site`]).
    Site,
    /// What a person asked for was not done.
    Rejected(RejectReason),
    /// The plan no longer has a sensor, or measures it otherwise, and so many of its readings were in windows that had not
    /// closed: they are in none. Only when the plan changed while the engine was off.
    Unwindowed(SensorId, u64),
    /// Something to do with an actuator.
    Output(interlock::Effect),
    /// From here on, sensors are counted as in this plan.
    PlanChanged(Arc<Plan>),
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// There are as many silences as there may be ([`crate::site::MAX_SILENCES`]).
    TooManySilences,
    /// There is no such sensor to calibrate.
    NoSuchSensor,
}

impl RejectReason {
    /// In rows and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RejectReason::TooManySilences => "too-many-silences",
            RejectReason::NoSuchSensor => "no-such-sensor",
        }
    }
}

/// How an alert changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The condition holds; it must go on holding before the alert fires.
    Pending,
    /// Firing.
    Firing,
    /// Not acknowledged in time: one severity worse.
    Escalated,
    /// Somebody takes it on.
    Acknowledged {
        /// Until when the alert pages nobody.
        until: Stamp,
        /// Name of the person.
        by: String,
    },
    /// Over.
    Resolved(Reason),
}

/// Why an alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The condition no longer holds.
    Cleared,
    /// The rule's schedule closed.
    ScheduleClosed,
    /// The configuration no longer has the rule.
    Removed,
}

/// What an alert is, wherever it is shown or sent.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertDetails {
    /// When this was said.
    pub at: Stamp,
    /// The alert's number, once it has fired.
    pub alert: Option<AlertId>,
    /// Zone, rule and sensor.
    pub key: AlertKey,
    /// How bad it is now.
    pub severity: Severity,
    /// What was compared.
    pub value: Option<DisplayValue>,
    /// The limit that the value was compared with.
    pub limit: Option<DisplayValue>,
    /// Since when the condition has held.
    pub since: Stamp,
    /// The time of the reading that was compared.
    pub reading_at: Option<Stamp>,
    /// How often people have been told.
    pub pages: u32,
    /// What to say.
    pub message: String,
    /// What to do about it.
    pub advice: Option<Arc<str>>,
}

/// Something to tell people.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Which page of which alert.
    pub id: PageId,
    /// Why now.
    pub cause: Cause,
    /// Channels that are told.
    pub channels: Vec<Id>,
    /// Alert that the page is about.
    pub details: AlertDetails,
}

/// A sensor stopped or started being believed.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorEvent {
    /// When it was noticed.
    pub at: Stamp,
    /// Which sensor.
    pub sensor: SensorIx,
    /// What is wrong; nothing any more where there is none.
    pub fault: Option<Fault>,
    /// Newest value.
    pub value: Option<Value>,
    /// When that was read.
    pub reading_at: Option<Stamp>,
}

/// A schedule opened or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleEvent {
    /// When.
    pub at: Stamp,
    /// Name of the schedule.
    pub schedule: Id,
    /// Whether it is open now.
    pub open: bool,
    /// Whether the clock is trusted; else this is the schedule's fallback.
    pub trusted: bool,
}

impl Reason {
    /// The word in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Cleared => "cleared",
            Reason::ScheduleClosed => "schedule-closed",
            Reason::Removed => "removed",
        }
    }
}

//! One pure state machine for the live farm, for replay and for simulation.
//!
//! ```text
//! handle(now, input)      what happened, time included
//! poll() -> Effect        what to do, until there is nothing
//! deadline() -> Uptime    when to come again
//! ```
//!
//! `handle` first runs every deadline up to `now`, each at its own instant, ordered by (instant, kind, index in the plan),
//! then the input: coming late changes nothing, and a hold that ends at the instant of a reading ends before it. Rules over several
//! sensors are compared when the instant is over.

mod bus;
pub(crate) mod clock;
mod hours;
mod instant;
mod numbers;
mod outputs;
mod people;
mod raise;
mod read;
mod removed;
mod snapshot;
mod targets;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertId};
use crate::calibrate::Calibration;
use crate::effect::Effect;
use crate::escalate::Escalation;
use crate::id::{Id, SensorId};
use crate::interlock::{self, Interlock};
use crate::judge::Judge;
use crate::plan::{AlertKey, Plan};
use crate::quantity::Quantity;
use crate::reading::{Raw, SensorIx};
use crate::sensor::Sensor;
use crate::site::{Matcher, SiteState};
use crate::time::{Span, Uptime, WallTime};
use crate::value::Resolution;
use crate::windows::OpenWindows;
pub use bus::Inhibition;
use bus::{Bus, UnheardTimes};
use clock::Clock;
use numbers::Numbers;
pub use numbers::Reserve;
use removed::Removed;
pub use snapshot::{Changes, Snapshot, SnapshotError};
pub use view::{AlertState, AlertView, ScheduleView, SensorView, SilenceView};

/// A boot, as the engine begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Counts the device's boots; 0 while the number of this one is unknown ([`Engine::number_boot`]).
    pub boot: u32,
    /// Time since that boot.
    pub at: Uptime,
    /// The time of day at `at`, if the clock is trusted.
    pub wall: Option<WallTime>,
}

/// Something that happened. Its JSON form is that of recordings, which keep readings by the id of their sensor, and a plan as the
/// documents that it was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Time went on.
    Tick,
    /// A value came in.
    #[serde(skip)]
    Reading(Raw),
    /// A value came in whose own time is not known: it is stamped with its arrival. Readings that were measured before that and
    /// come after it are not late.
    #[serde(skip)]
    Undated(Raw),
    /// The clock is trusted now, or was corrected: the time of day at this instant.
    Clock(WallTime),
    /// The configuration changed. An equal plan changes nothing.
    #[serde(skip)]
    Plan(Arc<Plan>),
    /// A person takes an alert on; it pages nobody for that long. An alert that is not raised stays as it is.
    Acknowledge {
        /// The alert's number.
        alert: AlertId,
        /// For how long.
        span: Span,
        /// Name of the person.
        by: String,
    },
    /// A person silences alerts for that long.
    Silence {
        /// Which alerts.
        of: Matcher,
        /// For how long.
        span: Span,
        /// Name of the person.
        by: String,
    },
    /// A person ends a silence early.
    EndSilence(u32),
    /// A sensor was calibrated on site, or its site calibration was taken back.
    Calibrate {
        /// Which sensor.
        sensor: SensorId,
        /// How its raw numbers become measurements; the configured way where there is none.
        calibration: Option<Calibration>,
    },
    /// A bus or board went down, or its port is open again.
    Bus {
        /// Which.
        bus: Id,
        /// Back again.
        up: bool,
    },
    /// A message came from a bus and matched no sensor.
    #[serde(rename = "line")]
    Unmatched(Id),
    /// Something happened to actuators: a command, an outcome, a hold.
    #[serde(rename = "output")]
    Actuator(interlock::ActuatorInput),
    /// Numbers of alerts above `after` and through `through` are reserved on the disk ([`Reserve`]).
    Reserved {
        /// Numbers up to this one may be in use.
        after: AlertId,
        /// The highest reserved number.
        #[serde(rename = "until")]
        through: AlertId,
    },
}

/// The engine: a plan, what is remembered, and what is to be done.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    clock: Clock,
    now: Uptime,
    sensors: Vec<SensorState>,
    rule_states: Vec<RuleState>,
    /// For each of the plan's schedules.
    schedules: Vec<ScheduleState>,
    site: SiteState,
    buses_down: BTreeSet<Id>,
    numbers: Numbers,
    /// For each of the plan's buses.
    buses: Vec<Bus>,
    /// For each of the plan's buses, as it follows from its sensors.
    unheard_times: Vec<UnheardTimes>,
    /// Alerts whose rule is gone, for as long as they are remembered.
    removed: BTreeMap<AlertKey, Removed>,
    interlock: Interlock,
    interlock_due: Option<Uptime>,
    /// Rules that were gone and are there again; said once everything else is in its place.
    returned: Vec<u32>,
    timers: Timers,
    /// Rules over several sensors of which one was heard at this instant.
    waiting: BTreeSet<u32>,
    /// Sensors with windows that are not closed, in any order.
    with_open_windows: Vec<u32>,
    windows_due: Option<Uptime>,
    effects: VecDeque<Effect>,
}

/// One sensor: what is remembered of it, and what follows from that and the plan.
#[derive(Debug)]
struct SensorState {
    /// Shared with snapshots; copied before it changes while one of them is kept.
    memory: Arc<SensorMemory>,
    has_open_windows: bool,
    stale_timer: bool,
    wants_rate: bool,
}

/// What is remembered of one sensor, and what it measures.
#[derive(Debug, Clone, PartialEq)]
struct SensorMemory {
    id: SensorId,
    quantity: Quantity,
    resolution: Resolution,
    judge: Judge,
    open: OpenWindows,
    /// Time of arrival of the newest reading; boot, before the first.
    read_at: Uptime,
    /// The newest reading is from before a stop of the agent: what is the case now is not known before the next.
    old: bool,
    /// When anything came from it last, late or not; boot, before that.
    heard_at: Uptime,
    /// Overdue: others on its bus were heard when this sensor should have been long ago. Cleared when it is heard.
    overdue: bool,
    /// When its bus came back, until a reading comes.
    back_at: Option<Uptime>,
}

/// What is remembered of one rule.
#[derive(Debug, Clone, Default, PartialEq)]
struct RuleState {
    alert: Alert,
    escalation: Option<Escalation>,
    /// Name of the person who acknowledged the alert last.
    acknowledged_by: Option<String>,
    timer: Option<Uptime>,
    missing_timer: bool,
}

#[derive(Debug)]
struct ScheduleState {
    open: bool,
    rules: Vec<u32>,
}

/// Kinds of deadlines, in the order in which those of one instant run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    SilenceEnds,
    Schedule,
    Windows,
    Stale,
    Missing,
    BusBack,
    Alert,
    Interlock,
}

/// Deadlines by (instant, kind, subject): the index of a sensor, rule or schedule, or the number of a silence.
#[derive(Debug, Default)]
struct Timers(BTreeSet<(Uptime, Kind, u32)>);

impl Timers {
    fn add(&mut self, due: Uptime, kind: Kind, subject: u32) {
        self.0.insert((due, kind, subject));
    }

    fn take_due(&mut self, now: Uptime) -> Option<(Uptime, Kind, u32)> {
        if self.0.first().is_none_or(|first| first.0 > now) {
            return None;
        }
        self.0.pop_first()
    }
}

impl SensorState {
    /// A sensor without a reading yet, at this instant.
    fn new(sensor: &Sensor, at: Uptime) -> SensorState {
        let memory = SensorMemory {
            id: sensor.id.clone(),
            quantity: sensor.quantity,
            resolution: sensor.resolution,
            judge: Judge::default(),
            open: OpenWindows::default(),
            read_at: at,
            old: false,
            heard_at: at,
            overdue: false,
            back_at: None,
        };
        SensorState { memory: Arc::new(memory), has_open_windows: false, stale_timer: false, wants_rate: false }
    }
}

impl Deref for SensorState {
    type Target = SensorMemory;

    fn deref(&self) -> &SensorMemory {
        &self.memory
    }
}

impl DerefMut for SensorState {
    fn deref_mut(&mut self) -> &mut SensorMemory {
        Arc::make_mut(&mut self.memory)
    }
}

impl Engine {
    /// A device that knows nothing yet.
    #[must_use]
    pub fn new(plan: Arc<Plan>, start: Start) -> Engine {
        let mut engine = Engine::blank(plan, start);
        engine.arm();
        engine.resume_outputs(start.at);
        engine
    }

    /// An engine without memory and timers.
    fn blank(plan: Arc<Plan>, start: Start) -> Engine {
        let sensors = plan.sensors.iter().map(|sensor| SensorState::new(sensor, start.at)).collect();
        let rule_states = plan.rules.iter().map(|_| RuleState::default()).collect();
        Engine {
            clock: Clock::new(start),
            now: start.at,
            sensors,
            rule_states,
            schedules: Vec::new(),
            site: SiteState::default(),
            buses_down: BTreeSet::new(),
            numbers: Numbers::default(),
            buses: vec![Bus::new(start.at); plan.buses.len()],
            unheard_times: plan.buses.iter().map(UnheardTimes::new).collect(),
            removed: BTreeMap::new(),
            interlock: Interlock::new(&plan.actuators),
            interlock_due: None,
            returned: Vec::new(),
            timers: Timers::default(),
            waiting: BTreeSet::new(),
            with_open_windows: Vec::new(),
            windows_due: None,
            effects: VecDeque::new(),
            plan,
        }
    }

    /// Runs every deadline up to `now`, then the input. A `now` before the last one counts as the last one.
    ///
    /// # Panics
    /// When a reading names a sensor that the plan does not have.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        if now > self.now {
            self.end_instant();
        }
        self.advance(now);
        match input {
            Input::Tick => {}
            Input::Reading(raw) => self.read(raw, true),
            Input::Undated(raw) => self.read(raw, false),
            Input::Clock(wall) => self.set_clock(wall),
            Input::Plan(plan) => self.replan(plan),
            Input::Acknowledge { alert, span, by } => self.acknowledge(alert, span, by),
            Input::Silence { of, span, by } => self.silence(of, span, by),
            Input::EndSilence(number) => self.end_silence(number),
            Input::Calibrate { sensor, calibration } => self.calibrate(sensor, calibration),
            Input::Bus { bus, up } => self.set_bus(bus, up),
            Input::Actuator(input) => self.set_output(input),
            Input::Unmatched(bus) => self.note_unmatched(&bus),
            Input::Reserved { after, through } => self.numbers.reserved(after, through),
        }
    }

    /// The next thing to do; call until there is none after each [`Engine::handle`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Engine::handle`] with [`Input::Tick`] if nothing else happens; earlier is harmless.
    #[must_use]
    pub fn deadline(&self) -> Option<Uptime> {
        self.timers.0.first().map(|first| first.0).into_iter().chain(self.instant_ends()).min()
    }

    /// What the engine watches.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What people did on site.
    #[must_use]
    pub fn site(&self) -> &SiteState {
        &self.site
    }

    /// The boot that runs has its number now: what is stamped from here on carries it.
    pub fn number_boot(&mut self, boot: u32) {
        self.clock.set_boot(boot);
    }

    /// Numbers alerts from above this one, and as they are reserved. A number must not mean another alert, not even where
    /// those that were raised before cannot be known.
    pub fn number_alerts(&mut self, after: AlertId, reserve: Option<Reserve>) {
        self.numbers.begin(after, reserve);
    }

    /// The last number of the reserved range that was given.
    #[must_use]
    pub fn last_number(&self) -> AlertId {
        self.numbers.last
    }

    /// The highest number that should be reserved on the disk by now.
    #[must_use]
    pub fn wanted_reserve(&self) -> AlertId {
        self.numbers.wanted(self.plan.rules().len())
    }

    /// What people did on site before is known again. What they did meanwhile stays; silences of before are over.
    pub fn restore_site(&mut self, before: &SiteState) {
        self.site.merge_earlier(before);
        self.effects.push_back(Effect::Site);
    }

    fn advance(&mut self, now: Uptime) {
        while let Some((due, kind, subject)) = self.timers.take_due(now) {
            self.now = self.now.max(due);
            match kind {
                Kind::SilenceEnds => self.silence_ended(subject),
                Kind::Schedule => self.schedule_due(subject),
                Kind::Windows => self.close_windows(),
                Kind::Stale => self.stale_due(SensorIx(subject)),
                Kind::Missing => self.missing_due(subject),
                Kind::BusBack => self.bus_back_due(SensorIx(subject)),
                Kind::Alert => self.alert_due(subject),
                Kind::Interlock => self.run_interlock(),
            }
        }
        self.now = self.now.max(now);
    }
}

#[cfg(test)]
mod tests;

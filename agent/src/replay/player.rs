//! Rows played into the engine, on the recording's own clock.

use std::num::NonZeroU64;
use std::sync::Arc;

use tilth_core::effect::Effect;
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::interlock;
use tilth_core::plan::Plan;
use tilth_core::reading::{Raw, SensorIx};
use tilth_core::time::{Span, Uptime, WallTime};

use super::Printer;
use super::readings::Row;

/// An engine whose time is the greatest timestamp it was shown.
pub(crate) struct Player {
    engine: Engine,
    /// The first timestamp: the instant of boot, in milliseconds since 1970.
    origin_ms: i64,
    now: Uptime,
    /// Rows between two restarts with an engine made from bytes.
    restart_every: Option<NonZeroU64>,
    rows: u64,
}

impl Player {
    /// A device that boots with a trusted clock at the first timestamp.
    pub(crate) fn new(plan: &Arc<Plan>, first_ms: i64, restart_every: Option<NonZeroU64>) -> Player {
        let start = Start { boot: 1, at: Uptime(0), wall: Some(WallTime(first_ms)) };
        Player {
            engine: Engine::new(Arc::clone(plan), start),
            origin_ms: first_ms,
            now: start.at,
            restart_every,
            rows: 0,
        }
    }

    pub(crate) fn ahead(&self, at_ms: i64) -> Span {
        Uptime(at_ms - self.origin_ms) - self.now
    }

    /// Goes on to the time of a row, unless that has passed, and tells every effect of time alone. It runs the deadlines
    /// instant by instant: the engine would do so by itself, but after a gap of years with what they bring all at once in
    /// memory.
    pub(crate) fn wait_until(&mut self, at_ms: i64, printer: &mut Printer) -> anyhow::Result<()> {
        let at = Uptime(at_ms - self.origin_ms);
        if at <= self.now {
            return Ok(());
        }
        self.now = at;
        while let Some(due) = self.engine.deadline().filter(|due| *due <= at) {
            self.engine.handle(due, Input::Tick);
            self.print_effects(printer)?;
        }
        Ok(())
    }

    /// Reads the value of a row whose time has come.
    pub(crate) fn read(&mut self, row: &Row, sensor: SensorIx, printer: &mut Printer) -> anyhow::Result<()> {
        let at = Uptime(row.at_ms - self.origin_ms);
        let raw = Raw { sensor, at, value: row.value.unwrap_or(f64::NAN), quality: row.quality };
        self.engine.handle(self.now, Input::Reading(raw));
        self.print_effects(printer)
    }

    /// The recording is over, and so is its last instant.
    pub(crate) fn end(&mut self, printer: &mut Printer) -> anyhow::Result<()> {
        self.engine.end_instant();
        self.print_effects(printer)
    }

    fn print_effects(&mut self, printer: &mut Printer) -> anyhow::Result<()> {
        while let Some(effect) = self.engine.poll() {
            printer.print(&effect)?;
            if let Effect::Output(effect) = &effect
                && let Some(outcome) = outcome(effect)
            {
                self.engine.handle(self.engine.now().uptime, Input::Actuator(outcome));
            }
        }
        Ok(())
    }

    /// After each row. Every effect has been told by now, so the snapshot is all there is.
    pub(crate) fn restart_if_due(&mut self) {
        self.rows += 1;
        if self.restart_every.is_some_and(|every| self.rows.is_multiple_of(every.get())) {
            let kept = serde_json::to_vec(&self.engine.snapshot()).expect("a snapshot is plain data");
            let snapshot = serde_json::from_slice(&kept).expect("a snapshot reads what it wrote");
            let plan = Arc::clone(self.engine.plan());
            self.engine = Engine::restore(plan, &snapshot).expect("the format is this version's own");
            self.engine.listen_again(self.engine.now().uptime);
        }
    }
}

/// A replay's disk takes every booking, and its outputs obey at once.
fn outcome(effect: &interlock::Effect) -> Option<interlock::ActuatorInput> {
    match effect {
        interlock::Effect::Book { order, .. } => Some(interlock::ActuatorInput::Booked(*order)),
        interlock::Effect::Switch(switch) => {
            Some(interlock::ActuatorInput::Switched { order: switch.order, on: switch.on, why: None })
        }
        interlock::Effect::Report(_) | interlock::Effect::Hold(_) => None,
    }
}

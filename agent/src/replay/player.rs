//! Rows played into the engine, on the recording's own clock.

use std::num::NonZeroU64;
use std::sync::Arc;

use tilth_core::effect::Effect;
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::plan::Plan;
use tilth_core::reading::{Quality, Raw, SensorIx};
use tilth_core::time::{Uptime, WallTime};

/// An engine whose time is the greatest stamp it was shown.
pub(crate) struct Player {
    engine: Engine,
    /// The first stamp: the instant of boot, in milliseconds since 1970.
    origin_ms: i64,
    now: Uptime,
    restarts: Option<Restarts>,
}

/// When to go on with an engine made from bytes.
struct Restarts {
    every: NonZeroU64,
    rows: u64,
}

impl Player {
    /// A device that boots with a trusted clock at the first stamp.
    pub(crate) fn new(plan: &Arc<Plan>, first_ms: i64, restart_every: Option<NonZeroU64>) -> Player {
        let start = Start { boot: 1, at: Uptime(0), wall: Some(WallTime(first_ms)) };
        Player {
            engine: Engine::new(Arc::clone(plan), start),
            origin_ms: first_ms,
            now: start.at,
            restarts: restart_every.map(|every| Restarts { every, rows: 0 }),
        }
    }

    /// Plays one row; `told` hears every effect of it. A sensor that nobody watches still moves the clock.
    pub(crate) fn play(
        &mut self,
        at_ms: i64,
        sensor: Option<SensorIx>,
        value: Option<f64>,
        told: &mut impl FnMut(&Effect) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let at = Uptime(at_ms - self.origin_ms);
        if at > self.now {
            self.wait_until(at, told)?;
        }
        if let Some(sensor) = sensor {
            let raw = Raw { sensor, at, value: value.unwrap_or(f64::NAN), quality: Quality::Good };
            self.engine.handle(self.now, Input::Reading(raw));
            self.tell(told)?;
        }
        self.restart_if_due();
        Ok(())
    }

    /// Runs the deadlines before `at` instant by instant. The engine would do so by itself, but after a gap of years with
    /// what they bring all at once in memory.
    fn wait_until(&mut self, at: Uptime, told: &mut impl FnMut(&Effect) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.now = at;
        while let Some(due) = self.engine.deadline().filter(|due| *due <= at) {
            self.engine.handle(due, Input::Tick);
            self.tell(told)?;
        }
        Ok(())
    }

    fn tell(&mut self, told: &mut impl FnMut(&Effect) -> anyhow::Result<()>) -> anyhow::Result<()> {
        while let Some(effect) = self.engine.poll() {
            told(&effect)?;
        }
        Ok(())
    }

    /// Every effect has been told by now, so the snapshot is all there is.
    fn restart_if_due(&mut self) {
        let Some(restarts) = &mut self.restarts else { return };
        restarts.rows += 1;
        if restarts.rows.is_multiple_of(restarts.every.get()) {
            let kept = serde_json::to_vec(&self.engine.snapshot()).expect("a snapshot is plain data");
            let snapshot = serde_json::from_slice(&kept).expect("a snapshot reads what it wrote");
            let plan = Arc::clone(self.engine.plan());
            self.engine = Engine::restore(plan, &snapshot).expect("the format is this version's own");
        }
    }
}

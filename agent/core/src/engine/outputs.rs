//! Actuators in the engine: actions of alerts that fire, sensors that actuators need, and the interlock between them and the
//! outputs.

use super::{Engine, Kind};
use crate::effect::Effect;
use crate::id::Id;
use crate::interlock::{self, ActuatorInput, ActuatorView, Command, HoldView, Origin};
use crate::reading::SensorIx;
use crate::time::{Span, Uptime};
use crate::value::Value;

/// An action of a rule switches nothing on later than this: what was wrong then need not be wrong now.
const ACTION_EXPIRES: Span = Span::from_secs(30);

impl Engine {
    /// Every actuator of the plan, by name.
    pub fn actuators(&self) -> impl Iterator<Item = ActuatorView> + '_ {
        self.interlock.actuators(self.now)
    }

    /// Every zone on hold, by name.
    pub fn holds(&self) -> impl Iterator<Item = HoldView> + '_ {
        self.interlock.holds()
    }

    /// What was remembered of outputs before is known only now; `by` leads from the clock of then to the present one.
    pub fn restore_outputs(&mut self, before: &interlock::Record, by: Span) {
        self.interlock.merge_earlier(self.clock.stamp(self.now), before, by);
        self.follow_interlock();
    }

    pub(super) fn set_output(&mut self, input: ActuatorInput) {
        self.interlock.handle(self.clock.stamp(self.now), input);
        self.follow_interlock();
    }

    pub(super) fn run_interlock(&mut self) {
        self.interlock_due = None;
        self.set_output(ActuatorInput::Tick);
    }

    /// The process goes on at this instant; what outputs did until then is not known.
    pub(super) fn resume_outputs(&mut self, at: Uptime) {
        self.set_hold_switches();
        self.interlock.resume(self.clock.stamp(at));
        self.follow_interlock();
    }

    /// A bus went down, or is back.
    pub(super) fn follow_bus(&mut self, bus: &Id, up: bool) {
        self.interlock.set_bus(self.clock.stamp(self.now), bus, up);
        self.follow_interlock();
    }

    /// A sensor that actuators need may no longer be fresh, or be so again.
    pub(super) fn follow_freshness(&mut self, ix: SensorIx) {
        if !self.plan.needed[ix.0 as usize] {
            return;
        }
        let state = &self.sensors[ix.0 as usize];
        let fresh = !state.old && state.judge.usable().is_some();
        if self.interlock.is_fresh(&state.id) != fresh {
            self.interlock.set_fresh(self.clock.stamp(self.now), &self.plan.sensors[ix.0 as usize].id, fresh);
            self.follow_interlock();
        }
        self.follow_hold_switch(ix);
        self.follow_targets_of(ix);
    }

    /// A switch on site holds its zone, or not. One that cannot be believed changes nothing.
    fn follow_hold_switch(&mut self, ix: SensorIx) {
        let sensor = &self.plan.sensors[ix.0 as usize];
        let Some(while_open) = self.plan.hold_switches.get(&sensor.id) else { return };
        let Some(steps) = self.facts(ix).value else { return };
        let is_open = Value { steps, resolution: sensor.resolution }.to_f64() >= 0.5;
        self.interlock.set_hold_switch(self.clock.stamp(self.now), &sensor.id, is_open == *while_open);
        self.follow_interlock();
    }

    fn set_hold_switches(&mut self) {
        let switches = self.plan.sensors.iter().filter(|sensor| self.plan.hold_switches.contains_key(&sensor.id));
        let switches = switches.map(|sensor| (sensor.id.clone(), sensor.zone.clone())).collect();
        self.interlock.set_hold_switches(self.clock.stamp(self.now), switches);
    }

    /// The plan changed under running actuators.
    pub(super) fn follow_plan(&mut self) {
        let now = self.clock.stamp(self.now);
        self.set_hold_switches();
        (0..self.sensors.len() as u32).for_each(|ix| self.follow_freshness(SensorIx(ix)));
        self.interlock.set_actuators(now, &self.plan.actuators);
        self.follow_all_targets();
    }

    /// An alert fires: what its rule does about it, once for each alert.
    pub(super) fn act(&mut self, rule_ix: u32) {
        let plan = std::sync::Arc::clone(&self.plan);
        let rule = &plan.rules[rule_ix as usize].rule;
        let Some(raised) = self.rule_states[rule_ix as usize].alert.raised() else { return };
        let number = raised.id.0;
        for (index, action) in rule.actions.iter().enumerate() {
            let id = Id::new(&format!("alert-{number}-{index}")).expect("short, of letters, digits and hyphens");
            self.set_output(ActuatorInput::Command(Command {
                id,
                actuator: action.actuator.clone(),
                wanted: action.wanted,
                expires: self.now + ACTION_EXPIRES,
                by: Origin::Rule(rule.key.clone()),
            }));
        }
    }

    /// Takes over what the interlock wants done, and comes again when it wants to.
    pub(super) fn follow_interlock(&mut self) {
        while let Some(effect) = self.interlock.poll() {
            self.effects.push_back(Effect::Output(effect));
        }
        let due = self.interlock.deadline();
        if due == self.interlock_due {
            return;
        }
        if let Some(old) = self.interlock_due {
            self.timers.0.remove(&(old, Kind::Interlock, 0));
        }
        if let Some(due) = due {
            self.timers.add(due, Kind::Interlock, 0);
        }
        self.interlock_due = due;
    }
}

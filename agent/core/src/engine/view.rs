//! What the engine knows, for people who ask. Reading changes nothing.

use super::Engine;
use crate::alert::State;
use crate::effect::Report;
use crate::reading::{Quality, SensorIx};
use crate::site::Matcher;
use crate::time::{Span, Stamp};
use crate::value::Value;

/// An alert that is not quiet.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertView {
    /// Where it stands.
    pub standing: Standing,
    /// A person silenced it until then; nobody is paged.
    pub silenced_until: Option<Stamp>,
    /// Its bus is down; nobody is paged.
    pub inhibited: bool,
    /// What it is now.
    pub report: Report,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The condition holds, and must go on holding until then; nothing where the next good value decides.
    Pending(Option<Stamp>),
    /// It fires.
    Firing,
    /// Somebody takes it on, until then.
    Acknowledged(Stamp),
}

/// A sensor at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorView {
    /// Which.
    pub sensor: SensorIx,
    /// Its newest value and its time; none before the first reading of this boot.
    pub newest: Option<(Value, Stamp)>,
    /// How far it can be believed now; none before anything came in this boot.
    pub quality: Option<Quality>,
    /// How long no reading has come.
    pub silent: Span,
}

/// A silence that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceView {
    /// Its number, by which it is ended early.
    pub number: u32,
    /// Which alerts.
    pub of: Matcher,
    /// Who set it.
    pub by: String,
    /// When it ends.
    pub until: Stamp,
}

impl Engine {
    /// Every silence that has not ended, by number.
    pub fn silences(&self) -> impl Iterator<Item = SilenceView> + '_ {
        self.site.silences.iter().map(|(number, silence)| SilenceView {
            number: *number,
            of: silence.of.clone(),
            by: silence.by.clone(),
            until: self.clock.stamp(silence.until.at),
        })
    }

    /// Every alert that is not quiet, by zone, rule and sensor.
    pub fn alerts(&self) -> impl Iterator<Item = AlertView> + '_ {
        (0..self.plan.rules.len() as u32).filter_map(|of| {
            let standing = match self.watches[of as usize].alert.state {
                State::Quiet => return None,
                State::Pending { hold, .. } => Standing::Pending(hold.due().map(|due| self.clock.stamp(due))),
                State::Firing(_) => Standing::Firing,
                State::Acknowledged { until, .. } => Standing::Acknowledged(self.clock.stamp(until.at)),
            };
            let silenced_until = self.silenced_until(of).map(|until| self.clock.stamp(until));
            let inhibited = self.is_inhibited(of);
            Some(AlertView { standing, silenced_until, inhibited, report: self.report(of, None) })
        })
    }

    /// Every sensor of the plan, by id.
    pub fn sensors(&self) -> impl Iterator<Item = SensorView> + '_ {
        self.sensors.iter().enumerate().map(|(ix, sense)| {
            let sensor = SensorIx(ix as u32);
            let newest = sense.judge.newest();
            let newest = newest.map(|past| (self.plan.value(sensor, past.steps), self.clock.stamp(past.at)));
            SensorView { sensor, newest, quality: sense.judge.quality(), silent: self.now - sense.seen }
        })
    }

    /// The engine's present instant, with the time of day where the clock is trusted.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.clock.stamp(self.now)
    }
}

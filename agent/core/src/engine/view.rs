//! What the engine knows, for people who ask. Reading changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Engine, Inhibition};
use crate::alert::State;
use crate::effect::AlertDetails;
use crate::id::Id;
use crate::judge::Doubt;
use crate::reading::{Quality, SensorIx};
use crate::rules::DisplayValue;
use crate::schedule::Schedule;
use crate::site::Matcher;
use crate::time::{Span, Stamp, WallTime};
use crate::value::Value;

/// An alert that is not quiet.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertView {
    /// State of the alert.
    pub state: AlertState,
    /// End of the silence that a person set; until then the alert pages nobody.
    pub silenced_until: Option<Stamp>,
    /// Why the bus of its sensor keeps the alert from paging.
    pub inhibition: Option<Inhibition>,
    /// Severity, value, limit and times at this moment.
    pub details: AlertDetails,
}

/// State of an alert, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// The condition holds, and must go on holding until then; nothing where the next good value decides.
    Pending(Option<Stamp>),
    /// Firing.
    Firing,
    /// Somebody takes it on, until then.
    Acknowledged(Stamp),
}

/// A sensor at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorView {
    /// Which.
    pub sensor: SensorIx,
    /// Newest value and its time; none before the first reading of this boot.
    pub newest: Option<(Value, Stamp)>,
    /// How far it can be believed now; none before anything came in this boot.
    pub quality: Option<Quality>,
    /// How long no reading has come.
    pub silent_for: Span,
    /// Mean time between the readings of the last quarter of an hour, as far as its windows are open.
    pub spacing: Option<Span>,
}

/// A schedule that rules watch by.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleView {
    /// Hours of the schedule.
    pub schedule: Arc<Schedule>,
    /// The zones whose rules it is for.
    pub zones: BTreeSet<Id>,
    /// Whether it is open, or counts as open.
    pub open: bool,
    /// Whether the clock tells so; else the schedule's own word for a clock that is not trusted.
    pub is_trusted: bool,
    /// When that changes next; nothing where it does not within a week, or is not known.
    pub until: Option<WallTime>,
}

/// A silence that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceView {
    /// Number of the silence, by which it is ended early.
    pub number: u32,
    /// Which alerts.
    pub of: Matcher,
    /// Name of the person who set it.
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
        (0..self.plan.rules.len() as u32).filter_map(|rule_ix| {
            let state = match self.rule_states[rule_ix as usize].alert.state {
                State::Quiet => return None,
                State::Pending { hold, .. } => AlertState::Pending(hold.due().map(|due| self.clock.stamp(due))),
                State::Firing(_) => AlertState::Firing,
                State::Acknowledged { until, .. } => AlertState::Acknowledged(self.clock.stamp(until.at)),
            };
            let silenced_until = self.silenced_until(rule_ix).map(|until| self.clock.stamp(until));
            let inhibition = self.inhibition(rule_ix);
            Some(AlertView { state, silenced_until, inhibition, details: self.details(rule_ix, None) })
        })
    }

    /// Every sensor of the plan, by id.
    pub fn sensors(&self) -> impl Iterator<Item = SensorView> + '_ {
        self.sensors.iter().enumerate().map(|(ix, state)| {
            let sensor = SensorIx(ix as u32);
            let newest = state.judge.newest();
            let newest = newest.map(|past| (self.plan.value(sensor, past.steps), self.clock.stamp(past.at)));
            SensorView {
                sensor,
                newest,
                quality: state.judge.quality(),
                silent_for: self.now - state.read_at,
                spacing: state.open.spacing(self.now),
            }
        })
    }

    /// Why a sensor's newest value is not believed, in words: `412.0 % is outside 0 to 100`. Nothing where it is believed, and where
    /// its input failed, which says why itself.
    #[must_use]
    pub fn doubt(&self, ix: SensorIx) -> Option<String> {
        let sensor = self.plan.sensor(ix);
        let doubt = self.sensors[ix.0 as usize].judge.doubt(&self.plan.bounds[ix.0 as usize])?;
        let with_unit = |figure: DisplayValue| match sensor.quantity.unit() {
            "" => figure.to_string(),
            unit => format!("{figure} {unit}"),
        };
        let range = || match sensor.range {
            Some((low, high)) => format!("outside {} to {}", DisplayValue::Number(low), DisplayValue::Number(high)),
            None => "beyond any measurement".to_owned(),
        };
        Some(match doubt {
            Doubt::Outside(steps) => {
                format!("{} is {}", with_unit(DisplayValue::Value(self.plan.value(ix, steps))), range())
            }
            Doubt::WasOutside => format!("a value of the last minute was {}", range()),
            Doubt::Unchanged(span) => format!("unchanged for {}", span.in_words()),
            Doubt::Jumped => match sensor.max_rate {
                Some(rate) => format!("changed by more than {} in a minute", with_unit(DisplayValue::Number(rate))),
                None => return None,
            },
        })
    }

    /// Since when no sensor of a bus was heard though its port is open, where that is longer than they may take.
    #[must_use]
    pub fn bus_silent_since(&self, bus: &Id) -> Option<Stamp> {
        let bus_ix = self.plan.buses.iter().position(|planned| planned.id == *bus)?;
        self.silent_since(bus_ix).map(|since| self.clock.stamp(since))
    }

    /// Every schedule that a rule uses, in the order of their names.
    #[must_use]
    pub fn schedules(&self) -> Vec<ScheduleView> {
        let wall = self.clock.wall(self.now);
        let view = |(ix, schedule): (usize, &Arc<Schedule>)| {
            let rules = self.plan.rules.iter().filter(|compiled| compiled.schedule == Some(ix as u32));
            let opening = wall.map(|wall| schedule.at(wall));
            let changes = |until: &WallTime| opening.is_some_and(|now| schedule.at(*until).open != now.open);
            ScheduleView {
                schedule: Arc::clone(schedule),
                zones: rules.map(|compiled| compiled.rule.key.zone.clone()).collect(),
                open: self.schedules[ix].open,
                is_trusted: wall.is_some(),
                until: opening.map(|opening| opening.until).filter(changes),
            }
        };
        let mut views: Vec<ScheduleView> = self.plan.schedules.iter().enumerate().map(view).collect();
        views.sort_by(|one, other| (&one.schedule.id, &one.zones).cmp(&(&other.schedule.id, &other.zones)));
        views
    }

    /// The engine's present instant, with the time of day where the clock is trusted.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.clock.stamp(self.now)
    }
}

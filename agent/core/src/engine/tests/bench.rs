//! A farm on paper: a plan in a few words, an engine, and what it said so far.

use std::sync::Arc;

use crate::calibrate::Calibration;
use crate::effect::{Effect, Reason, Transition};
use crate::engine::{Engine, Input, Start};
use crate::id::{Id, SensorId};
use crate::message::Template;
use crate::plan::{AlertKey, Level, Plan, Policy, Rule, Severity};
use crate::quantity::Quantity;
use crate::reading::{Quality, Raw, Reading};
use crate::rules::{Condition, Scale};
use crate::schedule::Schedule;
use crate::sensor::Sensor;
use crate::time::{Span, Uptime, WallTime};
use crate::value::Resolution;

/// 2026-06-01T00:00:00Z, the wall time at uptime zero.
pub(super) const WALL: WallTime = WallTime(1_780_272_000_000);

pub(super) fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

pub(super) fn sensor(name: &str) -> Sensor {
    let id = SensorId::new(name).unwrap();
    Sensor {
        zone: id.zone(),
        id,
        quantity: Quantity::Ph,
        resolution: Resolution::new(0.01).unwrap(),
        calibration: Calibration::Identity,
        range: Some((0.0, 14.0)),
        max_rate: None,
        stuck_for: None,
        stale_after: None,
        bus: None,
        heard_within: None,
        state_of_bus: None,
    }
}

/// Waits of 5, 10, 15 and 15 minutes; each level tells the channel of its name.
pub(super) fn policy() -> Arc<Policy> {
    let level =
        |(severity, mins): (Severity, i64)| Level { wait: Span::from_mins(mins), channels: vec![id(severity.name())] };
    let waits = [5, 10, 15, 15];
    let levels = std::array::from_fn(|ix| level((Severity::ALL[ix], waits[ix])));
    Arc::new(Policy { id: id("default"), levels })
}

/// No hold, no cooldown, a warning.
pub(super) fn rule(name: &str, of: &str, condition: Condition) -> Rule {
    let sensor = SensorId::new(of).unwrap();
    Rule {
        key: AlertKey { zone: sensor.zone(), rule: id(name), sensor },
        condition,
        hold: Span::ZERO,
        keep_firing_for: Span::ZERO,
        cooldown: Span::ZERO,
        severity: Severity::Warning,
        escalation: policy(),
        during: None,
        message: Arc::new(Template::parse("{rule} {value} {limit}").unwrap()),
        resolved: None,
        advice: None,
        actions: Arc::from([]),
    }
}

pub(super) fn above(limit: f64) -> Condition {
    Condition::Above { limit, clear: limit }
}

/// By more than `limit` from the value of another sensor.
pub(super) fn differs(other: &str, limit: f64) -> Condition {
    Condition::DiffersFrom { other: SensorId::new(other).unwrap(), limit, clear: limit, scale: Scale::Unit }
}

/// Open from 06:00 to 20:00 UTC.
pub(super) fn day() -> Arc<Schedule> {
    Arc::new(Schedule {
        id: id("day"),
        days: [true; 7],
        from: jiff::civil::time(6, 0, 0, 0),
        to: jiff::civil::time(20, 0, 0, 0),
        zone: jiff::tz::TimeZone::UTC,
        open_when_untrusted: true,
    })
}

pub(super) fn plan(sensors: Vec<Sensor>, rules: Vec<Rule>) -> Arc<Plan> {
    Arc::new(Plan::new(sensors, rules).unwrap())
}

/// One sensor `z/ph` with one rule.
pub(super) fn one_rule(rule: Rule) -> Arc<Plan> {
    plan(vec![sensor("z/ph")], vec![rule])
}

/// An engine, driven by a timeline. Times are in minutes and may be fractions.
pub(super) struct Bench {
    pub(super) engine: Engine,
    /// Every effect so far but readings, in short words, with its minute.
    pub(super) said: Vec<String>,
    pub(super) effects: Vec<Effect>,
}

pub(super) fn at(minutes: f64) -> Uptime {
    Uptime((minutes * 60_000.0) as i64)
}

impl Bench {
    pub(super) fn new(plan: Arc<Plan>) -> Bench {
        Bench::of(Engine::new(plan, Start { boot: 1, at: Uptime(0), wall: Some(WALL) }))
    }

    pub(super) fn of(engine: Engine) -> Bench {
        let mut bench = Bench { engine, said: Vec::new(), effects: Vec::new() };
        bench.drain();
        bench
    }

    pub(super) fn handle(&mut self, minutes: f64, input: Input) -> &mut Bench {
        self.engine.handle(at(minutes), input);
        self.drain();
        self
    }

    pub(super) fn read(&mut self, minutes: f64, sensor: &str, value: f64) -> &mut Bench {
        self.read_with(minutes, sensor, value, Quality::Good)
    }

    pub(super) fn read_with(&mut self, minutes: f64, sensor: &str, value: f64, quality: Quality) -> &mut Bench {
        let sensor = self.engine.plan().sensor_ix(sensor).unwrap();
        self.handle(minutes, Input::Reading(Raw { sensor, at: at(minutes), value, quality }))
    }

    pub(super) fn ph(&mut self, minutes: f64, value: f64) -> &mut Bench {
        self.read(minutes, "z/ph", value)
    }

    pub(super) fn tick(&mut self, minutes: f64) -> &mut Bench {
        self.handle(minutes, Input::Tick)
    }

    /// The number of the alert that fired last.
    pub(super) fn last_alert(&self) -> crate::alert::AlertId {
        let number = |effect: &Effect| match effect {
            Effect::Alert(Transition::Firing, details) => details.alert,
            _ => None,
        };
        self.effects.iter().rev().find_map(number).unwrap()
    }

    pub(super) fn acknowledge(&mut self, minutes: f64, span_minutes: i64) -> &mut Bench {
        let (alert, span) = (self.last_alert(), Span::from_mins(span_minutes));
        self.handle(minutes, Input::Acknowledge { alert, span, by: "ann".to_owned() })
    }

    /// A tick, and an acknowledgement of what fired with it for a week.
    pub(super) fn acknowledge_all_from(&mut self, minutes: f64) -> &mut Bench {
        self.tick(minutes).acknowledge(minutes, 10_000)
    }

    /// A reading of `z/ph` that comes now with an older stamp.
    pub(super) fn late(&mut self, minutes: f64, stamp: f64, value: f64) -> &mut Bench {
        let sensor = self.engine.plan().sensor_ix("z/ph").unwrap();
        self.handle(minutes, Input::Reading(Raw { sensor, at: at(stamp), value, quality: Quality::Good }))
    }

    /// A reading of `z/ph` that has no time of its own.
    pub(super) fn undated(&mut self, minutes: f64, value: f64) -> &mut Bench {
        let sensor = self.engine.plan().sensor_ix("z/ph").unwrap();
        self.handle(minutes, Input::Undated(Raw { sensor, at: at(minutes), value, quality: Quality::Good }))
    }

    pub(super) fn readings(&self) -> Vec<Reading> {
        let reading = |effect: &Effect| match effect {
            Effect::Reading(reading) => Some(*reading),
            _ => None,
        };
        self.effects.iter().filter_map(reading).collect()
    }

    /// What was said since the last call, windows and readings left out.
    #[track_caller]
    pub(super) fn expect(&mut self, expected: &[&str]) -> &mut Bench {
        let said = std::mem::take(&mut self.said);
        assert_eq!(said, expected);
        self
    }

    /// Snapshot, bytes, and back.
    pub(super) fn restore(&mut self) -> &mut Bench {
        let bytes = serde_json::to_vec(&self.engine.snapshot()).unwrap();
        let plan = Arc::clone(self.engine.plan());
        self.engine = Engine::restore(plan, &serde_json::from_slice(&bytes).unwrap()).unwrap();
        self.drain();
        self
    }

    fn drain(&mut self) {
        while let Some(effect) = self.engine.poll() {
            self.said.extend(in_words(&effect, self.engine.plan()));
            self.effects.push(effect);
        }
    }
}

fn in_words(effect: &Effect, plan: &Plan) -> Option<String> {
    let minutes = |at: crate::time::Stamp| at.uptime.0 as f64 / 60_000.0;
    Some(match effect {
        Effect::Alert(transition, details) => {
            let (at, rule) = (minutes(details.at), &details.key.rule);
            match transition {
                Transition::Pending => format!("{at} pending {rule}"),
                Transition::Firing => format!("{at} firing {rule} {}", details.severity),
                Transition::Escalated => format!("{at} escalated {rule} {}", details.severity),
                Transition::Acknowledged { until, by } => {
                    format!("{at} acknowledged {rule} by {by} until {}", minutes(*until))
                }
                Transition::Resolved(Reason::Cleared) => format!("{at} resolved {rule}"),
                Transition::Resolved(reason) => format!("{at} resolved {rule} {}", reason.name()),
            }
        }
        Effect::Page(page) => {
            let (at, rule) = (minutes(page.details.at), &page.details.key.rule);
            format!("{at} page {} {rule} {} to {:?}", page.id, page.cause.name(), page.channels)
        }
        Effect::Sensor(event) => {
            let (at, sensor) = (minutes(event.at), &plan.sensor(event.sensor).id);
            match event.fault {
                Some(fault) => format!("{at} fault {sensor} {fault}"),
                None => format!("{at} recovered {sensor}"),
            }
        }
        Effect::Schedule(event) => {
            let trusted = if event.trusted { "" } else { " by fallback" };
            format!("{} {} {}{trusted}", minutes(event.at), event.schedule, if event.open { "opens" } else { "closes" })
        }
        Effect::Site => "site".to_owned(),
        Effect::Output(effect) => crate::interlock::tests::in_words(effect),
        Effect::PlanChanged(_) => "planned".to_owned(),
        Effect::NoValue(sensor) => format!("missing {}", plan.sensor(*sensor).id),
        Effect::Rejected(refusal) => format!("refused {refusal:?}"),
        Effect::Unwindowed(sensor, readings) => format!("unwindowed {readings} of {sensor}"),
        Effect::Reading(_) | Effect::Window(_) => return None,
    })
}

//! Timelines, and every edge of an actuator's chart. What holds in every history is tested with the engine's clock, in `engine/tests/doses.rs`.

mod edges;
mod timelines;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{ActuatorInput, Actuators, Command, Effect, Event, Interlock, Origin, Record, Wanted};
use crate::actuator::{Actuator, Output};
use crate::id::{Id, SensorId};
use crate::time::{Span, Stamp, Uptime};

pub(crate) fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

pub(crate) fn ph() -> SensorId {
    SensorId::new("tower-1/ph").unwrap()
}

fn at(secs: i64) -> Stamp {
    Stamp { boot: 1, uptime: Uptime(secs * 1000), wall: None }
}

/// On for at most 3 s, without any other limit.
pub(crate) fn pump(name: &str, relay: &str) -> Actuator {
    Actuator {
        id: id(name),
        zone: id("tower-1"),
        output: Output::Board { bus: id("gateway"), channel: id(relay) },
        enabled: true,
        normally_energised: false,
        is_alarm: false,
        max_on: Some(Span::from_secs(3)),
        min_off: Span::ZERO,
        dose_per_hour: None,
        dose_per_day: None,
        excludes: BTreeSet::new(),
        needs_fresh: BTreeSet::new(),
    }
}

/// The acid pump of the documents: 10 s an hour, 60 s a day, a pause of 10 minutes.
pub(crate) fn doser() -> Actuator {
    Actuator {
        min_off: Span::from_mins(10),
        dose_per_hour: Some(Span::from_secs(10)),
        dose_per_day: Some(Span::from_secs(60)),
        ..pump("acid", "relay-1")
    }
}

fn siren() -> Actuator {
    Actuator { normally_energised: true, max_on: None, ..pump("siren", "relay-3") }
}

pub(crate) fn actuators(all: Vec<Actuator>) -> Actuators {
    Arc::new(all.into_iter().map(|actuator| (actuator.id.clone(), actuator)).collect::<BTreeMap<_, _>>())
}

/// An effect in short words.
pub(crate) fn in_words(effect: &Effect) -> String {
    match effect {
        Effect::Book { actuator, span, .. } => format!("book {actuator} {span}"),
        Effect::Switch(switch) => match (switch.on, switch.at_most) {
            (true, Some(span)) => format!("switch {} on {span}", switch.actuator),
            (true, None) => format!("switch {} on", switch.actuator),
            (false, _) => format!("switch {} off", switch.actuator),
        },
        Effect::Report(actuation) => {
            let name = &actuation.actuator;
            match &actuation.event {
                Event::On { .. } => format!("{name} on"),
                Event::Off(reason) => format!("{name} off {}", reason.name()),
                Event::Lost => format!("{name} lost"),
                Event::Refused(refusal) => format!("{name} refused {}", refusal.name()),
            }
        }
        Effect::Hold(change) => {
            let what = if change.only_doses { " doses" } else { "" };
            format!("{}{what} {}", change.zone, if change.began { "held" } else { "released" })
        }
    }
}

/// An interlock, driven by a timeline in seconds.
struct Bench {
    interlock: Interlock,
    said: Vec<String>,
    /// The last order that was given, for outcomes.
    last: u64,
    commands: u32,
}

impl Bench {
    /// Begins at 0 s with every output confirmed to be off.
    fn new(all: Vec<Actuator>) -> Bench {
        Bench::of(Interlock::new(&actuators(all)))
    }

    fn of(interlock: Interlock) -> Bench {
        let mut bench = Bench { interlock, said: Vec::new(), last: 0, commands: 0 };
        bench.resume(0);
        bench.confirm_all_off(0);
        bench.said.clear();
        bench
    }

    fn resume(&mut self, secs: i64) -> &mut Bench {
        self.interlock.resume(at(secs));
        self.drain();
        self
    }

    fn confirm_all_off(&mut self, secs: i64) {
        for order in 0..=self.interlock.last_order {
            self.handle(secs, ActuatorInput::Switched { order, on: false, why: None });
        }
    }

    fn handle(&mut self, secs: i64, input: ActuatorInput) -> &mut Bench {
        self.interlock.handle(at(secs), input);
        self.drain();
        self
    }

    fn command(&mut self, secs: i64, name: &str, wanted: Wanted) -> &mut Bench {
        self.commands += 1;
        let command = Command {
            id: id(&format!("c{}", self.commands)),
            actuator: id(name),
            wanted,
            expires: at(secs + 5).uptime,
            by: Origin::Person("ann".to_owned()),
        };
        self.handle(secs, ActuatorInput::Command(command))
    }

    fn on(&mut self, secs: i64, name: &str, span: i64) -> &mut Bench {
        self.command(secs, name, Wanted::On(Some(Span::from_secs(span))))
    }

    fn off(&mut self, secs: i64, name: &str) -> &mut Bench {
        self.command(secs, name, Wanted::Off)
    }

    fn booked(&mut self, secs: i64) -> &mut Bench {
        self.handle(secs, ActuatorInput::Booked(self.last))
    }

    /// The output confirms the last order.
    fn confirmed(&mut self, secs: i64, on: bool) -> &mut Bench {
        self.handle(secs, ActuatorInput::Switched { order: self.last, on, why: None })
    }

    fn tick(&mut self, secs: i64) -> &mut Bench {
        self.handle(secs, ActuatorInput::Tick)
    }

    /// A dose from the command to the confirmed end.
    fn dose(&mut self, secs: i64, name: &str, span: i64) -> &mut Bench {
        self.on(secs, name, span).booked(secs).confirmed(secs, true).tick(secs + span).confirmed(secs + span, false)
    }

    fn fresh(&mut self, secs: i64, fresh: bool) -> &mut Bench {
        self.interlock.set_fresh(at(secs), &ph(), fresh);
        self.drain();
        self
    }

    fn bus(&mut self, secs: i64, up: bool) -> &mut Bench {
        self.interlock.set_bus(at(secs), &id("gateway"), up);
        self.drain();
        self
    }

    fn plan(&mut self, secs: i64, all: Vec<Actuator>) -> &mut Bench {
        self.interlock.set_actuators(at(secs), &actuators(all));
        self.drain();
        self
    }

    fn hold(&mut self, secs: i64, span: Option<i64>) -> &mut Bench {
        self.handle(
            secs,
            ActuatorInput::Hold { zone: id("tower-1"), span: span.map(Span::from_secs), by: "ann".to_owned() },
        )
    }

    /// The process is killed and starts again with what was kept.
    fn restart(&mut self, secs: i64) -> &mut Bench {
        let bytes = serde_json::to_vec(&self.interlock.record()).unwrap();
        let record: Record = serde_json::from_slice(&bytes).unwrap();
        let actuators = Arc::clone(&self.interlock.actuators);
        self.interlock = Interlock::restore(&actuators, &record);
        self.resume(secs)
    }

    fn drain(&mut self) {
        while let Some(effect) = self.interlock.poll() {
            match &effect {
                Effect::Book { order, .. } => self.last = *order,
                Effect::Switch(switch) => self.last = switch.order,
                Effect::Report(_) | Effect::Hold(_) => {}
            }
            self.said.push(in_words(&effect));
        }
    }

    /// What was said since the last call.
    #[track_caller]
    fn expect(&mut self, expected: &[&str]) -> &mut Bench {
        assert_eq!(std::mem::take(&mut self.said), expected);
        self
    }
}

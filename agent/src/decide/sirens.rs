//! Sirens: the alerts that each sounds for, and what goes between its state machine (`tilth_notify::kinds::siren`), actuator and pages.
//!
//! A siren sounds for every alert that fires, was paged, and is neither acknowledged nor silenced. That is derived from the
//! engine and not from pages, so an acknowledgement, its expiry, a silence and a restart change what is audible alike. Its orders go
//! through the interlock at once: no queue and no other task is between an alert and its siren.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use tilth_config::{Channel, Patterns, Target};
use tilth_core::effect::Effect;
use tilth_core::engine::{AlertState, AlertView, Input};
use tilth_core::id::Id;
use tilth_core::interlock::{self, Command, Event, Origin, Wanted};
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};
use tilth_notify::kinds::siren::{self, Siren, Status};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::Decide;
use crate::notify::dispatch::Request;
use crate::notify::to_decide::SirenResult;

/// An order switches nothing on later than this.
const EXPIRES: Span = Span::from_secs(30);

/// The sirens of the configuration, by channel.
#[derive(Default)]
pub(super) struct Sirens {
    sirens: BTreeMap<Id, SirenEntry>,
    /// Something happened that may change what is audible.
    may_have_changed: bool,
    /// Inputs about actuators that wait for their sirens.
    inputs: VecDeque<(Id, siren::Input)>,
    /// Last status reported to notify.
    reported: BTreeMap<Id, Status>,
    orders: u64,
}

/// A siren and its actuator.
struct SirenEntry {
    actuator: Id,
    state_machine: Siren,
    /// The last order that switched the actuator on.
    order: u64,
    /// Pages that wait for their answer.
    pages: Vec<oneshot::Sender<SirenResult>>,
}

/// Channels of kind `siren`: actuator and patterns of each.
type SirenConfigs = BTreeMap<Id, (Id, Patterns)>;

/// The sirens among channels.
pub(super) fn configured(channels: &BTreeMap<Id, Channel>) -> SirenConfigs {
    let siren = |(id, channel): (&Id, &Channel)| match &channel.target {
        Target::Siren { actuator, patterns } => Some((id.clone(), (actuator.clone(), *patterns))),
        _ => None,
    };
    channels.iter().filter_map(siren).collect()
}

impl Sirens {
    /// When [`Decide::run_sirens`] has something to do.
    pub(super) fn deadline(&self) -> Option<Uptime> {
        self.sirens.values().filter_map(|siren| siren.state_machine.deadline()).min()
    }

    /// The channels of some sirens.
    fn channels(&self, is_meant: impl Fn(&Id, &SirenEntry) -> bool) -> Vec<Id> {
        self.sirens.iter().filter(|(id, siren)| is_meant(id, siren)).map(|(id, _)| id.clone()).collect()
    }

    /// Notes an effect of the engine that sirens follow.
    pub(super) fn note(&mut self, effect: &Effect) {
        self.may_have_changed |=
            matches!(effect, Effect::Alert(..) | Effect::Page(_) | Effect::Site | Effect::PlanChanged(_));
        match effect {
            Effect::Output(interlock::Effect::Switch(switch)) if switch.on => {
                let of = self.sirens.values_mut().filter(|siren| siren.actuator == switch.actuator);
                of.for_each(|siren| siren.order = switch.order);
            }
            Effect::Output(interlock::Effect::Report(actuation)) => {
                let by = actuation.command.as_ref().map(|(_, by)| by);
                let is_about = |channel: &Id, siren: &SirenEntry| {
                    let is_own = matches!(by, Some(Origin::Channel(by)) if by == channel);
                    let is_of_an_order = matches!(actuation.event, Event::On { .. } | Event::Refused(_));
                    siren.actuator == actuation.actuator && (is_own || !is_of_an_order)
                };
                let of = self.channels(is_about).into_iter();
                self.inputs.extend(of.map(|channel| (channel, siren::Input::Actuator(actuation.event.clone()))));
            }
            _ => {}
        }
    }

    /// Notes that an output confirms an order.
    pub(super) fn confirm(&mut self, order: u64) {
        let of = self.channels(|_, siren| siren.order == order).into_iter();
        self.inputs.extend(of.map(|channel| (channel, siren::Input::Audible)));
    }
}

impl Decide {
    /// Silences and removes the sirens that a new configuration has no more, or on another actuator; before it applies.
    pub(super) fn remove_sirens(&mut self, configs: &SirenConfigs) {
        let stays = |id: &Id, siren: &SirenEntry| configs.get(id).is_some_and(|(of, _)| *of == siren.actuator);
        for id in self.sirens.channels(|id, siren| !stays(id, siren)) {
            self.siren(&id, siren::Input::Sound(None));
            self.sirens.sirens.remove(&id);
        }
    }

    /// Takes over the sirens of the configuration that now applies.
    pub(super) fn set_sirens(&mut self, configs: SirenConfigs) {
        for (id, (actuator, patterns)) in configs {
            let planned = self.engine.plan().actuators().get(&actuator);
            let (max_on, bus) = (planned.and_then(|of| of.max_on), planned.map(|of| of.output.bus().clone()));
            let siren = Siren::new(patterns, max_on);
            let new = || SirenEntry { actuator, state_machine: siren, order: 0, pages: Vec::new() };
            self.sirens.sirens.entry(id.clone()).or_insert_with(new).state_machine.configure(patterns, max_on);
            if let Some(down) = bus.and_then(|bus| self.context.buses.get(&bus)) {
                let state = down.clone().map_or(Ok(()), Err);
                self.siren(&id, siren::Input::Bus(state));
            }
        }
        self.sirens.may_have_changed = true;
        self.follow_sirens();
    }

    /// Tells the sirens on a bus that it is up, or down and why.
    pub(super) fn update_sirens_on(&mut self, bus: &Id, state: &Result<(), String>) {
        let actuators = self.engine.plan().actuators();
        let is_on = |siren: &SirenEntry| actuators.get(&siren.actuator).is_some_and(|of| of.output.bus() == bus);
        for id in self.sirens.channels(|_, siren| is_on(siren)) {
            self.siren(&id, siren::Input::Bus(state.clone()));
        }
    }

    /// Answers a page, or makes a short sound that tests the siren.
    pub(super) fn page_siren(&mut self, channel: &Id, is_test: bool, answer: oneshot::Sender<SirenResult>) {
        if let Some(siren) = self.sirens.sirens.get_mut(channel) {
            siren.pages.push(answer);
            self.siren(channel, if is_test { siren::Input::Chirp } else { siren::Input::Page });
        }
    }

    /// Runs the sirens whose time has come.
    pub(super) fn run_sirens(&mut self) {
        let now = self.now();
        let is_due = |siren: &SirenEntry| siren.state_machine.deadline().is_some_and(|due| due <= now);
        for id in self.sirens.channels(|_, siren| is_due(siren)) {
            self.siren(&id, siren::Input::Tick);
        }
    }

    /// Gives the sirens what became of their actuators, and the worst alert that they sound for where that may have changed.
    pub(super) fn follow_sirens(&mut self) {
        while let Some((channel, input)) = self.sirens.inputs.pop_front() {
            self.siren(&channel, input);
        }
        if self.sirens.sirens.is_empty() || !mem::take(&mut self.sirens.may_have_changed) {
            return;
        }
        let audible: Vec<_> = self.engine.alerts().filter_map(|view| self.audible(&view)).collect();
        for channel in self.sirens.channels(|_, _| true) {
            let of_siren = audible.iter().filter(|(_, sirens)| sirens.contains(&channel));
            let worst = of_siren.map(|(severity, _)| *severity).max();
            self.siren(&channel, siren::Input::Sound(worst));
        }
    }

    /// Severity of an alert that is to be audible, and the sirens that sound for it.
    fn audible(&self, view: &AlertView) -> Option<(Severity, BTreeSet<Id>)> {
        let details = &view.details;
        let is_told = view.state == AlertState::Firing && view.silenced_until.is_none() && details.pages > 0;
        let rule = self.plan.rule(&details.key).filter(|_| is_told)?;
        // An alert that was audible at its first level stays audible at a level that names no siren.
        let levels = Severity::ALL.into_iter().filter(|level| (rule.severity..=details.severity).contains(level));
        let named = levels.flat_map(|level| &rule.escalation.level(level).channels);
        let is_siren = |channel: &&Id| self.sirens.sirens.contains_key(*channel);
        Some((details.severity, named.filter(is_siren).cloned().collect()))
    }

    /// Gives a siren an input and does what it wants done.
    fn siren(&mut self, channel: &Id, input: siren::Input) {
        let now = self.now();
        let Some(siren) = self.sirens.sirens.get_mut(channel) else { return };
        siren.state_machine.handle(now, input);
        while let Some(siren) = self.sirens.sirens.get_mut(channel)
            && let Some(effect) = siren.state_machine.poll()
        {
            match effect {
                siren::Effect::On(span) => self.switch_siren(channel, Wanted::On(span)),
                siren::Effect::Off => self.switch_siren(channel, Wanted::Off),
                siren::Effect::Answer(result) => {
                    siren.pages.drain(..).for_each(|page| drop(page.send(result.clone())));
                }
            }
        }
        self.report_sirens();
    }

    fn switch_siren(&mut self, channel: &Id, wanted: Wanted) {
        let Some(siren) = self.sirens.sirens.get(channel) else { return };
        self.sirens.orders += 1;
        let id = format!("siren-{}-{}", self.run, self.sirens.orders);
        let now = self.now();
        let command = Command {
            id: Id::new(&id).expect("letters, digits and hyphens, shorter than 40"),
            actuator: siren.actuator.clone(),
            wanted,
            expires: now + EXPIRES,
            by: Origin::Channel(channel.clone()),
        };
        self.decide(now, Input::Actuator(interlock::ActuatorInput::Command(command)));
    }

    /// Reports the status of the sirens, where that changed, to notify and to the log.
    fn report_sirens(&mut self) {
        let now: BTreeMap<Id, Status> =
            self.sirens.sirens.iter().map(|(id, siren)| (id.clone(), siren.state_machine.status())).collect();
        if now == self.sirens.reported {
            return;
        }
        for (channel, Status { problem, .. }) in &now {
            let before = self.sirens.reported.get(channel).and_then(|before| before.problem.as_ref());
            match problem {
                Some(why) if before != Some(why) => {
                    warn!("channel {channel} unavailable: {why}; alerts go to the other channels");
                }
                None if before.is_some() => info!("channel {channel} is available again"),
                _ => {}
            }
        }
        self.sirens.reported = now.clone();
        // The newest alone counts: what waits for room in the queue of notify gives way.
        self.unsent.retain(|request| !matches!(request, Request::Sirens(_)));
        self.send_to_channels(Request::Sirens(now));
    }
}

//! Applies configurations, from files or from a bundle: only here does one become active, that of the start ([`Applier::begin`]), a
//! changed one ([`Applier::activate`]) or another version of the same content ([`Applier::take_version`]). Observes the sensors under
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use tilth_config::bundle::Bundle;
use tilth_core::engine::Engine;
use tilth_core::id::SensorId;
use tilth_core::reading::Quality;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::active::ActiveConfig;
use super::compiled::Compiled;
use super::probation::{self, Blame, BusActivity, Expected, Observation, Observed, Probation, ProbationResult};
use super::reporter::{ConfigReporter, ConfigSummary};
use crate::clock::{self, ClockMode};
use crate::console::{counted, tell};
use crate::decide::{DecideRequest, DecideState};
use crate::findings::Problems;
use crate::health::TaskHealth;
use crate::sense::SensorInputs;
use crate::sense::bus::HealthHandle;
use crate::sense::bus::health::State;

#[derive(Debug)]
pub(crate) struct Applier {
    active: ActiveConfig,
    pub(super) reporter: ConfigReporter,
    pub(super) to_decide: mpsc::Sender<DecideRequest>,
    pub(super) inputs: mpsc::Sender<SensorInputs>,
    pub(super) health: TaskHealth,
    /// The active configuration, as long as it is on probation.
    pub(super) probation: Option<Probation>,
}

impl Applier {
    /// The agent starts with this configuration, of this bundle if it is of one; decide and sense begin with it.
    pub(super) fn begin(
        compiled: &Compiled,
        bundle: Option<Arc<Bundle>>,
        reporter: ConfigReporter,
        (to_decide, inputs): (mpsc::Sender<DecideRequest>, mpsc::Sender<SensorInputs>),
        health: TaskHealth,
    ) -> Applier {
        let (hash, files) = (compiled.configured.hash.clone(), compiled.summary.files.clone());
        let active = ActiveConfig { bundle, hash, sensors: compiled.sensors(), files };
        Applier { active, reporter, to_decide, inputs, health, probation: None }
    }

    pub(super) fn active(&self) -> &ActiveConfig {
        &self.active
    }

    /// Reports what became active; `is_changed` where it is the first, or not the one before.
    pub(super) fn report(&mut self, summary: ConfigSummary, is_changed: bool) {
        self.reporter.set_active(summary, is_changed, &self.active);
    }

    /// The active bundle has another version with the same content: nothing else changes.
    pub(super) fn take_version(&mut self, bundle: Arc<Bundle>) {
        self.active.bundle = Some(bundle);
    }

    /// Sensors that must be good again under a configuration of this origin, by what is observed before it becomes active.
    pub(super) async fn expected_sensors(&self, compiled: &Compiled, origin: Blame) -> BTreeMap<SensorId, Expected> {
        let seen = self.observe().await.unwrap_or_default();
        let mut expected = probation::expected(&self.active.sensors, &compiled.sensors(), &seen);
        expected.values_mut().for_each(|expected| expected.origin = origin);
        for (id, origin) in self.probation.iter().flat_map(Probation::pending_origins) {
            expected.entry(id).and_modify(|expected| expected.origin = origin);
        }
        // A sensor that the active configuration has silenced must still be good again.
        let before = self.probation.iter().flat_map(|probation| &probation.expected);
        let is_there = |id: &SensorId| compiled.input_settings.contains_key(id);
        let still = before.filter(|(id, _)| is_there(id) && !expected.contains_key(*id));
        let still: Vec<_> = still.map(|(id, before)| (id.clone(), before.clone())).collect();
        expected.extend(still);
        expected
    }

    /// Makes a configuration the active one and hands it to decide and sense; `bundle` is the one that it is of, if any. Returns what people
    /// are told of it, and whether it differs from the one before: the same content changes nothing.
    pub(super) async fn activate(
        &mut self,
        compiled: Compiled,
        bundle: Option<Arc<Bundle>>,
        probation: Option<Probation>,
    ) -> (ConfigSummary, bool) {
        let sensors = compiled.sensors();
        let Compiled { configured, inputs, summary, .. } = compiled;
        let is_changed = self.active.hash != configured.hash;
        self.active = ActiveConfig { bundle, hash: configured.hash.clone(), sensors, files: summary.files.clone() };
        if is_changed {
            let _ = self.to_decide.send(DecideRequest::Plan(Box::new(configured))).await;
            let _ = self.inputs.send(inputs).await;
            self.probation = probation;
            self.judge().await;
        }
        (summary, is_changed)
    }

    /// Waits until decide works by the active configuration; `None` where the process ends instead.
    pub(super) async fn wait_until_active(&self) -> Option<()> {
        let (done, taken) = oneshot::channel();
        let _ = self.to_decide.send(DecideRequest::Barrier(done)).await;
        taken.await.ok()
    }

    /// Judges the active configuration, if it is on probation.
    pub(super) async fn judge(&mut self) -> ProbationResult {
        let Some(seen) = self.observe().await else { return ProbationResult::Wait };
        self.probation.as_mut().map_or(ProbationResult::Wait, |probation| probation.judge(&seen))
    }

    /// The active configuration is not on probation any more.
    pub(super) fn end_probation(&mut self) {
        self.probation = None;
        self.reporter.status.update_bundle(|status| status.probation = None);
    }

    /// Warns about files that do not work: files on site are not reverted.
    pub(super) async fn warn_about_files(&self, reason: &str) {
        let said = format!("since the configuration changed, {reason}");
        warn!("{said}; the changed files keep running");
        self.store_diagnostic(json!({ "state": "warning", "reason": reason })).await;
        self.reporter.status.set_warning(said);
    }

    /// Observes sensors, buses and memory; `None` while decide does not run.
    async fn observe(&self) -> Option<Observation> {
        let (answer, answered) = oneshot::channel();
        let look = move |engine: &Engine, context: &DecideState| {
            let _ = answer.send(sensors(engine, context));
        };
        let _ = self.to_decide.send(DecideRequest::Query(Box::new(look))).await;
        let sensors = answered.await.ok()?;
        // The event-time clock stops where readings stop, so silence is measured by the clock of the machine.
        let clock = self.reporter.status.clock();
        let is_event_time = clock.mode() == ClockMode::EventTime;
        let at = if is_event_time { clock::machine_uptime() } else { clock.uptime() };
        let activity = |health: &HealthHandle| {
            let health = health.lock();
            BusActivity {
                is_up: health.state == State::Up,
                traffic: health.bytes + health.messages.received,
                failures: health.failures,
                failed: health.failed.clone(),
            }
        };
        let buses = self.health.posted().buses.iter().map(|bus| (bus.id.clone(), activity(&bus.health))).collect();
        Some(Observation { at, sensors, buses, memory: anonymous_memory() })
    }

    /// Rejects the configuration in the folder; the active one stays.
    pub(super) async fn reject(&self, problems: Problems) {
        let (errors, active) = (counted(problems.errors, "error"), self.active.name());
        error!("configuration rejected ({errors}); still running configuration {active}:");
        problems.lines.iter().for_each(tell);
        self.store_diagnostic(rejection(&problems)).await;
        self.reporter.status.set_rejected(problems);
    }

    /// Reports changed files to the hub.
    pub(super) async fn store_diagnostic(&self, body: Value) {
        let _ = self.to_decide.send(DecideRequest::StoreDiagnostic("configuration", body)).await;
    }

    /// Reports a bundle to the hub.
    pub(super) async fn store_bundle_event(&self, body: Value) {
        let _ = self.to_decide.send(DecideRequest::StoreEvent("bundle", body)).await;
    }
}

/// Body of the report that files are rejected.
pub(super) fn rejection(problems: &Problems) -> Value {
    json!({ "state": "refused", "problems": problems.lines })
}

fn sensors(engine: &Engine, context: &DecideState) -> BTreeMap<SensorId, Observed> {
    let views = engine.sensors().filter(|view| engine.plan().sensor(view.sensor).state_of_bus.is_none());
    let observed = views.map(|view| {
        let id = engine.plan().sensor(view.sensor).id.clone();
        let is_good = view.quality.is_some_and(|quality| quality.is_usable() || quality == Quality::Calibrating);
        let fault = || context.faults.get(&id).map(ToString::to_string);
        let quality = || view.quality.map(|quality| format!("its quality is {quality}"));
        let problem = if is_good { None } else { fault().or_else(|| engine.doubt(view.sensor)).or_else(quality) };
        let newest = view.newest.map(|(_, at)| at);
        (id, Observed { newest, is_good, silent_for: view.silent_for, spacing: view.spacing, problem })
    });
    observed.collect()
}

/// Anonymous memory of this process in bytes.
pub(super) fn anonymous_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use tilth_config::{Document, Documents, Layer, Purpose, base, load_documents};
    use tilth_core::engine::{Input, Start};
    use tilth_core::reading::Raw;
    use tilth_core::time::Uptime;

    use super::*;

    /// Guards against: a bundle that is reverted, as people are told, for values that jumped, while the input said what was wrong.
    #[test]
    fn what_the_input_says_of_a_suspect_value_comes_before_what_the_engine_takes_it_for() {
        let Documents { mut layers, .. } = base();
        let tank = "[sensors.'tank/ph']\nquantity = 'ph'\ninput = 'line:gateway/ph'\nmax_rate = 1\n";
        layers.push(Document::toml(Layer::ConfigD, "config.d/tank.toml", tank));
        let agent_toml = Document::agent_toml("[device]\nid = 'pi'\n[bus.gateway]\nkind = 'line'\nport = 'p'\n");
        let loaded = load_documents(Documents { layers, agent_toml: Some(agent_toml) }, Purpose::Run);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let at = Uptime(1000);
        let mut engine = Engine::new(Arc::new(plan), Start { boot: 1, at, wall: None });
        let (id, sensor) = (SensorId::new("tank/ph").unwrap(), engine.plan().sensor_ix("tank/ph").unwrap());
        engine.handle(at, Input::Reading(Raw { sensor, at, value: 6.5, quality: Quality::Suspect }));
        let mut context = DecideState::default();
        let problem = |context: &DecideState| sensors(&engine, context)[&id].problem.clone();
        assert_eq!(problem(&context), engine.doubt(sensor));
        context.faults.insert(id.clone(), "it is not compensated".into());
        assert_eq!(problem(&context).as_deref(), Some("it is not compensated"));
    }
}

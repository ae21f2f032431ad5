//! Reads raw values: a task for each bus, one for the machine itself, and the queue to the decide task, which owns the engine.
//!
//! | word | means here |
//! | --- | --- |
//! | bus | what several sensors share: a serial port with text lines, a board, the I2C pins |
//! | input | where the value of a sensor comes from: `input` of its configuration |
//! | value | what came for one sensor, with its quality as far as the bus can tell ([`sensor_value::SensorValue`]); in the core it is a `Raw`, and once the engine has judged it a `Reading` |
//! | reading of a board | one channel at one time, with a sequence number that the board gave it |
//! | missing | a sensor whose value no message of its bus carries |
//! | stored | a commit has the value on the disk; only then is a board told to forget it ([`store_ack`]) |

pub(crate) mod board;
pub(crate) mod bus;
pub(crate) mod endpoint;
pub(crate) mod host;
pub(crate) mod i2c;
pub(crate) mod line;
pub(crate) mod port;
pub(crate) mod queue;
pub(crate) mod released;
pub(crate) mod sensor_value;
pub(crate) mod stamp;
pub(crate) mod store_ack;
pub(crate) mod supervise;

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_config::{AgentToml, BusAddress, BusKind, Input, InputSettings};
use tilth_core::actuator::Actuator;
use tilth_core::id::{Id, SensorId};
use tilth_wire::BoardId;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tracing::error;

use crate::act::Outputs;
use crate::clock::Clock;
use board::BoardRegistry;
use bus::{BusConfig, BusContext, HealthHandle};
use endpoint::Endpoint;
use host::Machine;
use i2c::{CalibrationRequest, EzoStates};
use line::{LabelMatches, SharedLabelMatches};
use queue::Queue;
use released::Ports;
use store_ack::BoardPosition;

/// Inputs of all sensors of a configuration: the buses, and the machine itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SensorInputs {
    buses: BTreeMap<Id, ConfiguredBus>,
    host: BusConfig,
}

/// How a bus is reached, and what is on it.
#[derive(Debug, Clone, PartialEq)]
struct ConfiguredBus {
    kind: BusKind,
    address: BusAddress,
    /// The board that belongs to the bus, where it is configured.
    board: Option<BoardId>,
    config: BusConfig,
}

/// State of buses that a restart keeps.
#[derive(Debug, Default)]
pub(crate) struct RestoredBuses {
    /// The labels that names of sensors matched, for each bus of text lines.
    pub(crate) label_matches: BTreeMap<Id, LabelMatches>,
    /// Id of the board that each bus had last.
    pub(crate) board_of_bus: BTreeMap<Id, [u8; 8]>,
    /// How far the readings of each board are stored.
    pub(crate) positions: Vec<BoardPosition>,
}

/// The tasks that read. Dropping it stops them.
pub(crate) struct BusTasks {
    clock: Clock,
    queue: Queue,
    outputs: Outputs,
    ports: Ports,
    machine: Arc<Machine>,
    buses: BTreeMap<Id, BusTask>,
    /// Inputs on the machine, and the task that reads them once it runs.
    host: watch::Sender<BusConfig>,
    host_task: JoinSet<()>,
    /// Which boards belong to which bus.
    registry: BoardRegistry,
    /// The labels that the names of sensors have matched, for each bus of text lines.
    labels: BTreeMap<Id, SharedLabelMatches>,
    /// State of the circuits of each bus of kind I2C, and the sender of requests to them. Outlives the bus: a probe stays in its solution when
    /// the port is changed, or the bus taken out and put back.
    circuits: BTreeMap<Id, (CalibrationSender, Arc<Mutex<EzoStates>>)>,
}

/// Sends calibration requests to the circuits of a bus of kind I2C. One request waits, while another is handled.
pub(crate) type CalibrationSender = mpsc::Sender<CalibrationRequest>;

/// A bus that is read, as others see it.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    pub(crate) id: Id,
    pub(crate) kind: BusKind,
    /// Port or address.
    pub(crate) port: String,
    pub(crate) health: HealthHandle,
    /// Queue of its circuits.
    pub(crate) calibrations: Option<CalibrationSender>,
}

/// A bus that is read. Dropping it stops its task.
struct BusTask {
    /// The bus is opened again where its kind, address or board changes.
    kind: BusKind,
    address: BusAddress,
    board: Option<BoardId>,
    config: watch::Sender<BusConfig>,
    health: HealthHandle,
    calibrations: Option<CalibrationSender>,
    _task: JoinSet<()>,
}

impl SensorInputs {
    /// Inputs of a configuration. A bus without a sensor is opened as well, for `status` to show what it carries.
    pub(crate) fn of(
        agent_toml: Option<&AgentToml>,
        input_settings: &BTreeMap<SensorId, InputSettings>,
        actuators: &BTreeMap<Id, Actuator>,
    ) -> SensorInputs {
        let mut inputs = SensorInputs::default();
        for (id, bus) in agent_toml.into_iter().flat_map(|agent_toml| &agent_toml.buses) {
            let on_bus = actuators.values().filter(|actuator| actuator.output.bus() == id).cloned();
            let (columns, channels) = (bus.columns.clone(), bus.channels.clone());
            let config = BusConfig { sensors: Vec::new(), actuators: on_bus.collect(), columns, channels };
            let (kind, address, board) = (bus.kind, bus.address.clone(), bus.board.map(BoardId));
            inputs.buses.insert(id.clone(), ConfiguredBus { kind, address, board, config });
        }
        for (sensor, settings) in input_settings {
            let config = match (&settings.input, &settings.bus) {
                (Some(Input::Host(_)), _) => Some(&mut inputs.host),
                (_, Some(bus)) => inputs.buses.get_mut(bus).map(|source| &mut source.config),
                _ => None,
            };
            config.into_iter().for_each(|config| config.sensors.push((sensor.clone(), settings.clone())));
        }
        inputs
    }
}

impl BusTasks {
    /// No bus is read yet.
    pub(crate) fn new(
        clock: Clock,
        queue: Queue,
        outputs: Outputs,
        ports: Ports,
        machine: Machine,
        before: RestoredBuses,
    ) -> BusTasks {
        let RestoredBuses { label_matches, board_of_bus, positions } = before;
        let labels =
            label_matches.into_iter().map(|(id, matches)| (id, SharedLabelMatches::new(Arc::new(matches)))).collect();
        let (buses, circuits) = (BTreeMap::new(), BTreeMap::new());
        let (host, host_task) = (watch::Sender::default(), JoinSet::new());
        let registry =
            BoardRegistry::new(board_of_bus.into_iter().map(|(bus, board)| (bus, BoardId(board))).collect(), positions);
        let machine = Arc::new(machine);
        BusTasks { clock, queue, outputs, ports, machine, buses, host, host_task, registry, labels, circuits }
    }

    /// Reads these from now on, within a runtime. A bus that is reached as before stays open.
    pub(crate) fn read(&mut self, inputs: SensorInputs) {
        let SensorInputs { mut buses, host } = inputs;
        self.labels.retain(|id, _| buses.contains_key(id));
        self.registry.retain(|id| buses.contains_key(id));
        // A bus that is reached in another way keeps its health: the engine may have been told that it is down.
        let healths: BTreeMap<Id, HealthHandle> =
            self.buses.iter().map(|(id, task)| (id.clone(), task.health.clone())).collect();
        let is_same = |task: &BusTask, source: &ConfiguredBus| {
            (task.kind, &task.address, task.board) == (source.kind, &source.address, source.board)
        };
        self.buses.retain(|id, task| buses.get(id).is_some_and(|source| is_same(task, source)));
        for (id, task) in &self.buses {
            buses.remove(id).into_iter().for_each(|source| set(&task.config, source.config));
        }
        for (id, source) in buses {
            let health = healths.get(&id).cloned().unwrap_or_default();
            if let Some(task) = self.start(&id, source, health) {
                self.buses.insert(id, task);
            }
        }
        set(&self.host, host);
        if self.host_task.is_empty() {
            self.start_host();
        }
    }

    pub(crate) fn buses(&self) -> impl Iterator<Item = Bus> {
        self.buses.iter().map(|(id, task)| Bus {
            id: id.clone(),
            kind: task.kind,
            port: name_of(&task.address).to_owned(),
            health: task.health.clone(),
            calibrations: task.calibrations.clone(),
        })
    }

    /// Begins to read a bus; none of a kind that this version does not read.
    fn start(&mut self, id: &Id, source: ConfiguredBus, health: HealthHandle) -> Option<BusTask> {
        let ConfiguredBus { kind, address, board, config } = source;
        let (sender, config) = watch::channel(config);
        let context = self.context(id.clone(), config, health.clone());
        let (mut task, mut calibrations) = (JoinSet::new(), None);
        match kind {
            BusKind::Line => {
                let (endpoint, labels) = (Endpoint::of(&address)?, self.labels.entry(id.clone()).or_default().clone());
                task.spawn(context.keep_running(move |context| line::run(endpoint.clone(), labels.clone(), context)));
            }
            BusKind::Board => {
                let (endpoint, registry) = (Endpoint::of(&address)?, self.registry.clone());
                let run = move |context| board::run(endpoint.clone(), board, registry.clone(), context);
                task.spawn(context.keep_running(run));
            }
            BusKind::I2c => {
                let port = name_of(&address).to_owned();
                let new = || {
                    let (sender, circuits) = EzoStates::new();
                    (sender, Arc::new(Mutex::new(circuits)))
                };
                let (sender, circuits) = self.circuits.entry(id.clone()).or_insert_with(new).clone();
                let run = move |context| i2c::run(port.clone(), Arc::clone(&circuits), context);
                task.spawn(context.keep_running(run));
                calibrations = Some(sender);
            }
            // Known, and not read by this version: `BusKind::is_read`.
            BusKind::Modbus | BusKind::Mqtt | BusKind::W1 | BusKind::Gpio | BusKind::Sdi12 => return None,
        }
        Some(BusTask { kind, address, board, config: sender, health, calibrations, _task: task })
    }

    /// Begins to read the machine, which is no bus of the configuration and never down.
    fn start_host(&mut self) {
        let Ok(id) = Id::new("host") else { return };
        let context = self.context(id, self.host.subscribe(), HealthHandle::default());
        let machine = Arc::clone(&self.machine);
        self.host_task.spawn(async move {
            let ended = |why: &str| error!("the task that reads the machine {why}");
            supervise::keep_running(|| host::run(Arc::clone(&machine), context.clone()), ended).await;
        });
    }

    fn context(&self, id: Id, config: watch::Receiver<BusConfig>, health: HealthHandle) -> BusContext {
        let (clock, queue) = (self.clock.clone(), self.queue.clone());
        let (outputs, ports) = (self.outputs.clone(), self.ports.clone());
        BusContext { id, config, health, clock, queue, outputs, ports }
    }
}

/// Gives a task another configuration, if it changes.
fn set(sender: &watch::Sender<BusConfig>, config: BusConfig) {
    if *sender.borrow() != config {
        sender.send_replace(config);
    }
}

/// Port or address of a bus.
fn name_of(address: &BusAddress) -> &str {
    match address {
        BusAddress::Serial(serial) => &serial.port,
        BusAddress::Tcp { address } => address,
        BusAddress::Port(port) => port,
        BusAddress::Broker { url } => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockMode;
    use tilth_config::{Document, Layer, Purpose, base, load_documents};
    use tilth_core::time::Span;

    #[test]
    fn a_configuration_says_what_is_read() {
        let mut documents = base();
        let farm = "
            [sensors.'room/temp']
            quantity = 'temperature'
            input = 'line:gateway/temp'
            stamp = 'source'
            [sensors.'room/humidity']
            quantity = 'humidity'
            input = 'line:gateway/hum'
            [sensors.'pi/load']
            quantity = 'count'
            resolution = 0.01
            input = 'host:load'
            interval = '1m'
            [sensors.'pi/off']
            quantity = 'temperature'
            input = 'host:cpu_temp'
            enabled = false
        ";
        let agent_toml = "
            [device]
            id = 'pi'
            [bus.gateway]
            kind = 'line'
            port = 'port-a'
            baud = 9600
            [bus.spare]
            kind = 'line'
            port = 'port-b'
        ";
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", farm));
        documents.agent_toml = Some(Document::agent_toml(agent_toml));
        let loaded = load_documents(documents, Purpose::Check);
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let SensorInputs { buses, host } =
            SensorInputs::of(loaded.agent_toml.as_ref(), &loaded.input_settings, &BTreeMap::new());
        let said: Vec<String> = buses
            .iter()
            .map(|(id, ConfiguredBus { address, config, .. })| {
                let sensors: Vec<&str> = config.sensors.iter().map(|(sensor, _)| sensor.as_str()).collect();
                format!("{id} {} {}", name_of(address), sensors.join(" "))
            })
            .collect();
        assert_eq!(said, ["gateway port-a room/humidity room/temp", "spare port-b "]);
        let host: Vec<(&str, Option<Span>)> =
            host.sensors.iter().map(|(sensor, settings)| (sensor.as_str(), settings.interval)).collect();
        assert_eq!(host, [("pi/load", Some(Span::from_mins(1)))]);
    }

    fn inputs(buses: &str) -> SensorInputs {
        let mut documents = base();
        documents.agent_toml = Some(Document::agent_toml(&format!("device = {{ id = 'pi' }}\n{buses}")));
        let loaded = load_documents(documents, Purpose::Replay);
        SensorInputs::of(loaded.agent_toml.as_ref(), &BTreeMap::new(), &BTreeMap::new())
    }

    fn tasks() -> BusTasks {
        let (clock, outputs) = (Clock::new(ClockMode::Scaled(1)), Outputs::new().0);
        let machine = Machine { root: "/".into(), disk: "/".into() };
        BusTasks::new(clock, Queue::new(1), outputs, Ports::default(), machine, RestoredBuses::default())
    }

    /// Guards against: a pump that doses by a probe in a buffer, because somebody changed the port of its bus meanwhile.
    #[test]
    fn what_is_known_of_circuits_outlives_a_change_of_port_or_kind_and_the_bus_itself() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let mut tasks = tasks();
        let mut circuits = |buses: &str| {
            tasks.read(inputs(buses));
            tasks.buses().find_map(|bus| bus.calibrations)
        };
        let first = circuits("[bus.main]\nkind = 'i2c'\nport = '/nowhere/1'\n").unwrap();
        assert!(circuits("[bus.main]\nkind = 'line'\nport = '/nowhere/tty'\n").is_none());
        assert!(circuits("").is_none());
        for (bus, is_same) in [("main", true), ("other", false)] {
            let way = circuits(&format!("[bus.{bus}]\nkind = 'i2c'\nport = '/nowhere/2'\n")).unwrap();
            assert_eq!(way.same_channel(&first), is_same, "{bus}");
        }
    }

    #[test]
    fn each_kind_of_bus_that_this_version_reads_has_its_task() {
        let buses = BusKind::ALL.map(|kind| match kind {
            BusKind::Mqtt => format!("[bus.{kind}]\nkind = '{kind}'\nurl = 'mqtt://localhost'\n"),
            kind => format!("[bus.{kind}]\nkind = '{kind}'\nport = '/nowhere/{kind}'\n"),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let mut tasks = tasks();
        tasks.read(inputs(&buses.concat()));
        let started: Vec<BusKind> = tasks.buses().map(|bus| bus.kind).collect();
        for kind in BusKind::ALL {
            assert_eq!(started.contains(&kind), kind.is_read(), "{kind}: {started:?}");
        }
    }
}

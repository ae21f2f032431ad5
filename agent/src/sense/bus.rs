//! Context of every kind of bus: what the configuration has on it, where its values go, its health and the clock.
//!
//! A kind is a file or folder beside this one with `run(endpoint, context)`, which reads for ever:
//!
//! - It reads what [`BusContext::config`] says, now and after each change. What is polled is due at [`next_due`].
//! - It says [`BusContext::up`] and [`BusContext::down`], gives each [`BusContext::value`], says which values no message carries
//!   ([`BusContext::missing`]), and pushes [`SenseMessage::Unmatched`] for what came and could not be used.
//! - It counts messages and bytes in [`BusContext::health`]: probation judges sensors only while the bytes of their bus rise. Why it
//!   ignores a message is a constant of its own (`Reason`).
//! - A lost connection is opened again after [`retries`], which start over once it was up. A serial port or TCP connection is opened
//!   by `Endpoint` (`endpoint.rs`).
//! - It runs on the runtime; what may block goes through [`blocking`], on a thread.

pub(crate) mod health;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tilth_config::{BoardChannel, InputSettings};
use tilth_core::actuator::Actuator;
use tilth_core::id::{Id, SensorId};
use tilth_core::time::{Span, Uptime};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use super::queue::{Queue, SenseMessage};
use super::released::Ports;
use super::sensor_value::SensorValue;
use super::supervise;
use crate::act::Outputs;
use crate::clock::{Clock, ClockMode};
pub(crate) use health::HealthHandle;

/// First and longest wait before a bus that was lost or not found is opened again.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Sensors whose values no message of their bus carries, and why in words.
pub(crate) type MissingValues = BTreeMap<SensorId, Arc<str>>;

/// What the configuration has on one bus.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BusConfig {
    /// The sensors on the bus, and how each is read.
    pub(crate) sensors: Vec<(SensorId, InputSettings)>,
    /// Actuators on the outputs of the bus.
    pub(crate) actuators: Vec<Actuator>,
    /// Names of the columns of text lines that have no header; of a bus of lines alone.
    pub(crate) columns: Option<Vec<String>>,
    /// What is wired to channels of the board; of a bus of kind board alone.
    pub(crate) channels: BTreeMap<u8, BoardChannel>,
}

/// Context of the task of a bus. Clones are of the same bus.
#[derive(Debug, Clone)]
pub(crate) struct BusContext {
    /// Name of the bus in `agent.toml`.
    pub(crate) id: Id,
    /// Changes while the bus stays open: opening a port again would reset many a board.
    pub(crate) config: watch::Receiver<BusConfig>,
    pub(crate) health: HealthHandle,
    pub(crate) clock: Clock,
    /// Queue of values to decide.
    pub(crate) queue: Queue,
    /// Source of orders for the outputs of the bus.
    pub(crate) outputs: Outputs,
    /// Which serial ports are open, and which are left to another program.
    pub(crate) ports: Ports,
}

impl BusContext {
    /// The bus was opened. Decide is told each time, for the engine may remember from before a restart that it was down.
    pub(crate) fn up(&self) {
        debug!(bus = %self.id, "up");
        self.health.lock().up(self.clock.uptime());
        self.queue.push(SenseMessage::Bus { bus: self.id.clone(), down: None });
    }

    /// The bus cannot be read. Decide is told of each new reason.
    pub(crate) fn down(&self, why: &str) {
        if self.health.lock().down(why, self.clock.uptime()) {
            debug!(bus = %self.id, "down: {why}");
            self.queue.push(SenseMessage::Bus { bus: self.id.clone(), down: Some(why.to_owned()) });
        }
    }

    /// The task of the bus ended; the bus is down until the next one has opened it.
    fn failed(&self, why: &str) {
        let why = format!("its task {why}");
        {
            let mut health = self.health.lock();
            health.failures += 1;
            health.failed = Some(why.clone());
        }
        self.down(&why);
    }

    /// A value of one sensor, or the fault of its input.
    pub(crate) fn value(&self, value: SensorValue) {
        self.queue.push(SenseMessage::Value(value));
    }

    /// The sensors whose values no message carries, in place of those told before.
    pub(crate) fn missing(&self, sensors: Arc<MissingValues>) {
        self.queue.push(SenseMessage::Missing { bus: self.id.clone(), sensors });
    }

    /// On the event-time clock, waits until the queue has room: a recording played through a port loses no row. In real time no bus waits.
    pub(crate) async fn ready(&self) {
        if self.clock.mode() == ClockMode::EventTime {
            self.queue.ready().await;
        }
    }

    /// Runs a bus for ever: a task that ends or panics is begun again.
    pub(super) async fn keep_running<F>(self, run: impl Fn(BusContext) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        supervise::keep_running(|| run(self.clone()), |why| self.failed(why)).await;
    }
}

/// The first time of an interval that is still to come. Readings that were missed are not made up for.
pub(crate) fn next_due(due: Uptime, interval: Span, now: Uptime) -> Uptime {
    let interval = interval.0.max(1);
    due + Span(interval * ((now - due).0.max(0) / interval + 1))
}

/// Waits between tries to open a bus, longer each time; a try costs one call.
pub(crate) fn retries() -> impl Iterator<Item = Duration> {
    let waits = ExponentialBuilder::new().with_min_delay(RETRY_FIRST).with_max_delay(RETRY_LONGEST);
    waits.without_max_times().build()
}

/// Runs a call that may never return on a thread; calls `hangs` each time another `wait` has passed.
pub(crate) async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
    wait: Duration,
    hangs: impl Fn(),
) -> io::Result<T> {
    let mut done = tokio::task::spawn_blocking(what);
    loop {
        match timeout(wait, &mut done).await {
            Ok(done) => return done.map_err(io::Error::other)?,
            Err(_) => hangs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_holds_up_nobody_and_is_said_meanwhile() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (let_go, held) = std::sync::mpsc::channel();
            let said = std::cell::Cell::new(0);
            let hangs = || {
                said.set(said.get() + 1);
                if said.get() == 3 {
                    let_go.send(()).unwrap();
                }
            };
            let what = move || held.recv().map(|()| "open").map_err(io::Error::other);
            assert_eq!(blocking(what, Duration::from_millis(20), hangs).await.unwrap(), "open");
            assert!(said.get() >= 3);
        });
    }

    #[test]
    fn a_bus_is_down_since_its_first_reason_and_says_each_new_one() {
        let queue = Queue::new(1);
        let (_sender, config) = watch::channel(BusConfig::default());
        let (clock, health) = (Clock::new(ClockMode::Scaled(1)), HealthHandle::default());
        let context = BusContext {
            id: Id::new("gateway").unwrap(),
            config,
            health,
            clock,
            queue: queue.clone(),
            outputs: Outputs::new().0,
            ports: Ports::default(),
        };
        let told = || match queue.try_next() {
            Some(SenseMessage::Bus { down, .. }) => Some(down.unwrap_or_else(|| "up".to_owned())),
            other => other.map(|other| panic!("{other:?}")),
        };
        assert_eq!(context.health.get().state.name(), "opening");
        context.down("unplugged");
        let since = context.health.get().since;
        context.down("unplugged");
        context.failed("ended");
        assert_eq!([told(), told(), told()], [Some("unplugged".to_owned()), Some("its task ended".to_owned()), None]);
        let health = context.health.get();
        assert_eq!((health.since, health.failures, health.state.reason()), (since, 1, Some("its task ended")));
        context.up();
        context.up();
        assert_eq!([told(), told(), told()], [Some("up".to_owned()), Some("up".to_owned()), None]);
        assert_eq!((context.health.get().state.name(), context.health.get().opened), ("up", 2));
    }
}

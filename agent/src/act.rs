//! Outputs of actuators: orders go from decide to the task of the bus that an output is on, and outcomes come back.
//!
//! ```text
//! decide -- SwitchOrder --> Outputs --(a queue each bus)--> task of the bus -- the board
//! decide <-- outcomes: Switched, Lost ----------------------'
//! ```
//!
//! Decide never waits: an order for a bus that takes none, or whose queue is full, is lost, which the interlock counts as
//! switched on for its whole time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_core::id::Id;
use tilth_core::interlock::{ActuatorInput, SwitchOrder};
use tokio::sync::mpsc;

/// Outcomes that wait for decide.
const OUTCOMES: usize = 256;

/// Orders of one bus that wait for its task: more than all relays of its boards.
const ORDERS: usize = 256;

/// Sends orders to the outputs; clones share one state.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    buses: Arc<Mutex<BTreeMap<Id, mpsc::Sender<SwitchOrder>>>>,
    outcomes: mpsc::Sender<ActuatorInput>,
}

impl Outputs {
    /// With the outcomes, for decide.
    pub(crate) fn new() -> (Outputs, mpsc::Receiver<ActuatorInput>) {
        let (outcomes, reported) = mpsc::channel(OUTCOMES);
        (Outputs { buses: Arc::default(), outcomes }, reported)
    }

    /// Orders for the outputs of a bus, in their order; from now on those before it get none.
    pub(crate) fn of_bus(&self, bus: &Id) -> mpsc::Receiver<SwitchOrder> {
        let (orders, taken) = mpsc::channel(ORDERS);
        self.lock().insert(bus.clone(), orders);
        taken
    }

    /// Hands an order over. One that cannot be is reported as lost.
    pub(crate) fn send(&self, switch: SwitchOrder) {
        let order = switch.order;
        let sent = self.lock().get(switch.output.bus()).is_some_and(|orders| orders.try_send(switch).is_ok());
        if !sent {
            self.report(ActuatorInput::Lost(order));
        }
    }

    /// What became of an order. Where decide has no room for it, the interlock waits for the longest time that it may take.
    pub(crate) fn report(&self, outcome: ActuatorInput) {
        let _ = self.outcomes.try_send(outcome);
    }

    /// Waits until every task has taken its orders, or has ended.
    pub(crate) async fn taken(&self) {
        let buses: Vec<mpsc::Sender<SwitchOrder>> = self.lock().values().cloned().collect();
        for orders in buses {
            // Room for all of them is there once none waits.
            let _ = orders.reserve_many(ORDERS).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, mpsc::Sender<SwitchOrder>>> {
        self.buses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The queue from the buses to decide: bounded, and when it is full the newest value of each input wins.

use std::collections::{HashSet, VecDeque};
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_core::id::Id;
use tokio::sync::Notify;

use super::bus::MissingValues;
use super::line::LabelMatches;
use super::sensor_value::SensorValue;
use super::store_ack::AckRequest;

/// Ten seconds of a hundred values a second: longer than decide is ever away.
const CAPACITY: usize = 1024;

/// A message from a bus to decide.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SenseMessage {
    /// A value of a sensor, or the fault of its input.
    Value(SensorValue),
    /// A bus went down, and why; none where it is up.
    Bus { bus: Id, down: Option<String> },
    /// A message came from a bus and matched no sensor, and why.
    Unmatched { bus: Id, why: String },
    /// Sensors for which the messages of a bus have no values, and why; replaces what was said before.
    Missing { bus: Id, sensors: Arc<MissingValues> },
    /// The labels of a bus that the names of sensors have matched so far.
    Labels { bus: Id, matches: Arc<LabelMatches> },
    /// The board of a bus said who it is.
    Board { bus: Id, board: [u8; 8] },
    /// Values of a board, which keeps its readings until the store has acknowledged them; never dropped here.
    BoardValues { values: Vec<SensorValue>, ack: AckRequest },
}

/// The queue; clones are the same one. Many buses push, decide alone takes.
#[derive(Debug, Clone)]
pub(crate) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    came: Notify,
    taken: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<SenseMessage>,
    dropped: u64,
}

impl Queue {
    /// For so many inputs. One value of each always fits.
    pub(crate) fn new(inputs: usize) -> Queue {
        Queue::with_capacity(CAPACITY.max(inputs * 2))
    }

    fn with_capacity(capacity: usize) -> Queue {
        let (came, taken) = (Notify::new(), Notify::new());
        Queue(Arc::new(Shared { waiting: Mutex::default(), came, taken, capacity }))
    }

    /// Never waits. A full queue first forgets all but the newest value of each input, and counts what it forgot. What boards hold
    /// stays: their buses push it only while the queue is [`ready`](Queue::ready).
    pub(crate) fn push(&self, message: SenseMessage) {
        let mut waiting = self.waiting();
        if waiting.items.len() >= self.0.capacity {
            waiting.keep_newest();
        }
        let oldest = waiting.items.iter().position(|message| message.key().is_some());
        // More inputs than it was made for: the oldest goes.
        if let Some(oldest) = oldest.filter(|_| waiting.items.len() >= self.0.capacity) {
            waiting.items.remove(oldest);
            waiting.dropped += 1;
        }
        waiting.items.push_back(message);
        drop(waiting);
        self.0.came.notify_one();
    }

    /// Waits until the queue is less than half full. In real time only a bus of kind board waits: its board keeps what is not read.
    pub(crate) async fn ready(&self) {
        while self.waiting().items.len() > self.0.capacity / 2 {
            self.0.taken.notified().await;
        }
    }

    /// The oldest, as soon as there is one. Cancelling is safe.
    pub(crate) async fn next(&self) -> SenseMessage {
        loop {
            if let Some(message) = self.try_next() {
                return message;
            }
            self.0.came.notified().await;
        }
    }

    /// The oldest, if there is one.
    pub(crate) fn try_next(&self) -> Option<SenseMessage> {
        let mut waiting = self.waiting();
        let message = waiting.items.pop_front();
        if waiting.items.len() <= self.0.capacity / 2 {
            self.0.taken.notify_waiters();
            self.0.taken.notify_one();
        }
        message
    }

    /// How many values were forgotten because decide did not keep up.
    pub(crate) fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn keep_newest(&mut self) {
        let before = self.items.len();
        let mut seen = HashSet::new();
        let mut keep: Vec<bool> =
            self.items.iter().rev().map(|message| message.key().is_none_or(|key| seen.insert(key))).collect();
        self.items.retain(|_| keep.pop().unwrap_or(true));
        self.dropped += (before - self.items.len()) as u64;
    }
}

impl SenseMessage {
    /// Messages with the same key replace each other in a full queue: their kind, and their sensor or bus. What boards hold has none.
    fn key(&self) -> Option<(Discriminant<SenseMessage>, &str)> {
        let of = match self {
            SenseMessage::BoardValues { .. } => return None,
            SenseMessage::Value(value) => value.sensor.as_str(),
            SenseMessage::Bus { bus, .. }
            | SenseMessage::Unmatched { bus, .. }
            | SenseMessage::Missing { bus, .. }
            | SenseMessage::Labels { bus, .. }
            | SenseMessage::Board { bus, .. } => bus.as_str(),
        };
        Some((discriminant(self), of))
    }
}

#[cfg(test)]
mod tests {
    use super::super::store_ack::BoardPosition;
    use super::*;
    use tilth_core::id::SensorId;
    use tilth_core::reading::Quality;
    use tilth_core::time::Uptime;

    fn sensor_value(sensor: &str, number: f64) -> SensorValue {
        let sensor = SensorId::new(sensor).unwrap();
        SensorValue {
            sensor,
            number,
            quality: Quality::Good,
            fault: None,
            arrived: Uptime(0),
            measured_at: None,
            stamp: None,
            rejected: None,
        }
    }

    fn value(sensor: &str, value: f64) -> SenseMessage {
        SenseMessage::Value(sensor_value(sensor, value))
    }

    fn bus(down: bool) -> SenseMessage {
        SenseMessage::Bus { bus: Id::new("b").unwrap(), down: down.then(|| "gone".to_owned()) }
    }

    fn drain(queue: &Queue) -> Vec<SenseMessage> {
        std::iter::from_fn(|| queue.try_next()).collect()
    }

    #[test]
    fn when_full_the_newest_of_each_input_stays_in_order() {
        let queue = Queue::with_capacity(6);
        queue.push(bus(true));
        for n in 0..3 {
            queue.push(value("z/a", f64::from(n)));
        }
        queue.push(value("z/b", 7.0));
        queue.push(bus(false));
        assert_eq!(queue.dropped(), 0);
        queue.push(value("z/a", 3.0));
        assert_eq!(queue.dropped(), 3, "two of z/a and one of the bus");
        assert_eq!(drain(&queue), [value("z/a", 2.0), value("z/b", 7.0), bus(false), value("z/a", 3.0)]);
    }

    /// Guards against: readings that a board is told to forget, though a full queue dropped them.
    #[test]
    fn what_a_board_holds_is_never_dropped_for_what_other_buses_bring() {
        let (queue, told) = (Queue::with_capacity(6), tokio::sync::watch::Sender::default());
        let held = |n: u32| SenseMessage::BoardValues {
            values: vec![sensor_value("z/board", f64::from(n))],
            ack: AckRequest::new(u64::from(n), BoardPosition::made(n), &told),
        };
        (1..=3).for_each(|n| queue.push(held(n)));
        (0..100).for_each(|n| queue.push(value(&format!("z/s{}", n % 17), f64::from(n))));
        let left = drain(&queue);
        assert_eq!(left[..3], [held(1), held(2), held(3)]);
        assert_eq!((queue.dropped() + left.len() as u64, left.len() <= 6), (103, true));
    }

    #[test]
    fn it_never_grows_beyond_its_capacity_and_forgets_nothing_unsaid() {
        let queue = Queue::with_capacity(10);
        for n in 0..10_000_u32 {
            queue.push(value(&format!("z/s{}", n % 17), f64::from(n)));
        }
        let left = drain(&queue);
        assert!(left.len() <= 10);
        assert_eq!(queue.dropped() + left.len() as u64, 10_000);
        assert_eq!(left.last(), Some(&value(&format!("z/s{}", 9999 % 17), 9999.0)));
    }

    #[test]
    fn a_waiting_reader_and_a_waiting_writer_are_woken() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let queue = Queue::with_capacity(4);
            let writer = async {
                for n in 0..100 {
                    queue.ready().await;
                    queue.push(value("z/a", f64::from(n)));
                }
            };
            let reader = async {
                for n in 0..100 {
                    assert_eq!(queue.next().await, value("z/a", f64::from(n)));
                }
            };
            tokio::join!(writer, reader);
            assert_eq!(queue.dropped(), 0);
        });
    }
}

//! Chips with their faults, and a whole bus.

mod chips;

use std::future::Future;

use tilth_config::{BusKind, I2cChip, Stamping};
use tilth_core::id::Id;
use tilth_core::quantity::Quantity;
use tokio::sync::watch;

use super::fake::{Commands, FakeBus, words};
use super::*;
use crate::clock::{Clock, ClockMode};
use crate::sense::bus::{BusInputs, HealthHandle};
use crate::sense::queue::{Queue, SenseMessage};

fn input(sensor: &str, chip: I2cChip, address: u8, field: &str, quantity: Quantity) -> (SensorId, InputSettings) {
    let bus = Id::new("main").unwrap();
    let field = chip.field(field).unwrap();
    let input = Input::I2c { bus: bus.clone(), chip, address, field, rtd: None };
    assert_eq!(input.bus_kind(), Some(BusKind::I2c));
    let interval = Some(Span(20));
    let settings =
        InputSettings { input: Some(input), bus: Some(bus), interval, stamp: Stamping::Arrival, quantity, unit: None };
    (SensorId::new(sensor).unwrap(), settings)
}

/// Runs a bus until the test is over.
fn with_bus<F: Future<Output = ()>>(
    bus: FakeBus,
    sensors: Vec<(SensorId, InputSettings)>,
    test: impl FnOnce(Queue, HealthHandle, watch::Sender<BusInputs>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let queue = Queue::new(64);
        let (sender, wanted) = watch::channel(BusInputs { sensors, ..BusInputs::default() });
        let (id, health) = (Id::new("main").unwrap(), HealthHandle::default());
        let clock = Clock::new(ClockMode::System);
        let context = BusContext {
            id,
            inputs: wanted,
            health: health.clone(),
            clock,
            queue: queue.clone(),
            outputs: crate::act::Outputs::new().0,
            ports: crate::sense::released::Ports::default(),
        };
        tokio::select! {
            () = serve(move || Ok(bus.clone()), "/dev/i2c-1", context) => panic!("ended"),
            () = test(queue, health, sender) => {}
        }
    });
}

/// The next thing that the bus says, in words.
async fn told(queue: &Queue) -> String {
    match queue.next().await {
        SenseMessage::Value(sample) => match sample.fault {
            Some(why) => format!("{}: {why}", sample.sensor),
            None => format!("{} {:.2}", sample.sensor, sample.value),
        },
        SenseMessage::Bus { down, .. } => down.map_or_else(|| "up".to_owned(), |why| format!("down: {why}")),
        other => panic!("{other:?}"),
    }
}

/// What the bus says next that is not what it said before.
async fn told_after(queue: &Queue, before: &str) -> String {
    loop {
        let next = told(queue).await;
        if next != before {
            return next;
        }
    }
}

fn sht31() -> Commands {
    Commands::new([(&[0x24, 0x00], words([0x6666, 0x8000]))])
}

#[test]
fn a_chip_that_is_pulled_out_is_a_fault_and_comes_back() {
    let bus = FakeBus::with(0x44, sht31());
    let inputs = vec![input("room/temp", I2cChip::Sht3x, 0x44, "temperature", Quantity::Temperature)];
    with_bus(bus.clone(), inputs, async move |queue, health, _| {
        assert_eq!(told(&queue).await, "up");
        assert_eq!(told(&queue).await, "room/temp 25.00");
        bus.lock().chips.clear();
        let absent = "room/temp: sht3x at 0x44: no chip answers at 0x44; is it wired and powered?";
        assert_eq!(told_after(&queue, "room/temp 25.00").await, absent);
        assert_eq!(health.get().messages.faults.len(), 1);
        bus.add(0x44, sht31());
        assert_eq!(told_after(&queue, absent).await, "room/temp 25.00");
        let health = health.get();
        assert!(health.messages.faults.is_empty() && health.bytes >= 12 && health.state.name() == "up");
    });
}

#[test]
fn a_bus_that_is_held_is_down_and_opened_again() {
    let bus = FakeBus::with(0x44, sht31());
    let inputs = vec![input("room/temp", I2cChip::Sht3x, 0x44, "temperature", Quantity::Temperature)];
    with_bus(bus.clone(), inputs, async move |queue, health, _| {
        assert_eq!(told(&queue).await, "up");
        bus.lock().is_held = true;
        let held = format!("room/temp: sht3x at 0x44: {}", Fault::Bus);
        assert_eq!(told_after(&queue, "room/temp 25.00").await, held);
        assert_eq!(told_after(&queue, &held).await, format!("down: /dev/i2c-1: {}", Fault::Bus));
        bus.lock().is_held = false;
        assert_eq!(told_after(&queue, &held).await, "up");
        assert_eq!(told(&queue).await, "room/temp 25.00");
        assert_eq!(health.get().opened, 2);
    });
}

#[test]
fn one_chip_feeds_several_sensors_in_their_own_units() {
    let bus = FakeBus::with(0x44, sht31());
    let inputs = vec![input("room/temp", I2cChip::Sht3x, 0x44, "temperature", Quantity::Temperature)];
    with_bus(bus, inputs.clone(), async move |queue, _, sender| {
        assert_eq!([told(&queue).await, told(&queue).await], ["up", "room/temp 25.00"]);
        let humidity = input("room/rh", I2cChip::Sht3x, 0x44, "humidity", Quantity::Humidity);
        sender.send_replace(BusInputs { sensors: [inputs, vec![humidity]].concat(), ..BusInputs::default() });
        assert_eq!(told_after(&queue, "room/temp 25.00").await, "room/rh 50.00");
    });
}

#[test]
fn a_bus_without_sensors_is_up_and_a_missing_one_says_what_to_do() {
    with_bus(FakeBus::default(), Vec::new(), async |queue, _, _| assert_eq!(told(&queue).await, "up"));
    let missing = reason(&io::Error::from(io::ErrorKind::NotFound));
    assert!(missing.contains("raspi-config"), "{missing}");
}

#[test]
fn what_was_missed_is_not_made_up_for() {
    let due = |due, interval, now| next_due(Uptime(due), Span(interval), Uptime(now)).0;
    assert_eq!([due(0, 10, 0), due(0, 10, 9), due(0, 10, 10), due(0, 10, 47)], [10, 10, 20, 50]);
}

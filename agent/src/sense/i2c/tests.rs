//! Chips with their faults, and a whole bus.

mod chips;

use std::future::Future;

use tilth_config::{BusKind, I2cChip, Stamping};
use tilth_core::id::Id;
use tilth_core::quantity::Quantity;
use tokio::sync::{oneshot, watch};

use super::fake::{Commands, FakeBus, FakeChip, words};
use super::*;
use crate::clock::{Clock, ClockMode};
use crate::sense::bus::health::MessageStats;
use crate::sense::bus::{BusConfig, HealthHandle};
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

fn context(sensors: Vec<(SensorId, InputSettings)>) -> (BusContext, watch::Sender<BusConfig>) {
    let (sender, config) = watch::channel(BusConfig { sensors, ..BusConfig::default() });
    let context = BusContext {
        id: Id::new("main").unwrap(),
        config,
        health: HealthHandle::default(),
        clock: Clock::new(ClockMode::System),
        queue: Queue::new(64),
        outputs: crate::act::Outputs::new().0,
        ports: crate::sense::released::Ports::default(),
    };
    (context, sender)
}

/// Runs a bus until the test is over.
fn with_bus<F: Future<Output = ()>>(
    bus: FakeBus,
    sensors: Vec<(SensorId, InputSettings)>,
    test: impl FnOnce(Queue, HealthHandle, watch::Sender<BusConfig>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (context, sender) = context(sensors);
        let (queue, health) = (context.queue.clone(), context.health.clone());
        let (_requests, mut circuits) = EzoStates::new();
        tokio::select! {
            () = serve(move || Ok(bus.clone()), "/dev/i2c-1", &mut circuits, context) => panic!("ended"),
            () = test(queue, health, sender) => {}
        }
    });
}

/// What a person is told who asks for these steps, one after the other, and the values of the first sensor after them.
fn calibrated(
    bus: FakeBus,
    sensors: Vec<(SensorId, InputSettings)>,
    steps: &[(&str, CalibrationStep, Option<f64>)],
) -> (Vec<String>, Quality) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let ((context, _sender), (requests, mut circuits)) = (context(sensors), EzoStates::new());
        let queue = context.queue.clone();
        let ask = async {
            let mut said = Vec::new();
            for step in steps {
                said.push(ask(&requests, step).await);
            }
            while queue.try_next().is_some() {}
            match queue.next().await {
                SenseMessage::Value(value) => (said, value.quality),
                other => panic!("{other:?}"),
            }
        };
        tokio::select! {
            () = serve(move || Ok(bus.clone()), "/dev/i2c-1", &mut circuits, context) => panic!("ended"),
            answer = ask => answer,
        }
    })
}

/// A request of a person who waits as long as the first receiver is there.
fn request(
    (sensor, step, value): &(&str, CalibrationStep, Option<f64>),
) -> (CalibrationRequest, oneshot::Receiver<()>, oneshot::Receiver<Result<CalibrationStatus, String>>) {
    let ((begun, waits), (answer, answered)) = (oneshot::channel(), oneshot::channel());
    let sensor = SensorId::new(sensor).unwrap();
    (CalibrationRequest { sensor, step: *step, value: *value, begun, answer }, waits, answered)
}

/// What a person is told who asks for a step.
async fn ask(requests: &mpsc::Sender<CalibrationRequest>, step: &(&str, CalibrationStep, Option<f64>)) -> String {
    let (request, _waits, answered) = request(step);
    requests.send(request).await.unwrap();
    match answered.await.unwrap() {
        Ok(kept) => format!("{} points", kept.points.unwrap()),
        Err(why) => why,
    }
}

/// Quality of the next value of a sensor that is no fault.
async fn quality_of(queue: &Queue, wanted: &str) -> Quality {
    loop {
        match queue.next().await {
            SenseMessage::Value(value) if value.sensor.as_str() == wanted && value.number.is_finite() => {
                return value.quality;
            }
            _ => {}
        }
    }
}

/// The next thing that the bus says, in words.
async fn told(queue: &Queue) -> String {
    match queue.next().await {
        SenseMessage::Value(value) => match value.fault {
            Some(why) if value.number.is_finite() => format!("{} {:.2}: {why}", value.sensor, value.number),
            Some(why) => format!("{}: {why}", value.sensor),
            None => format!("{} {:.2}", value.sensor, value.number),
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
        let MessageStats { received, matched, .. } = health.get().messages;
        assert!(received > matched, "probation of a configuration sees that the chip was asked");
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
        sender.send_replace(BusConfig { sensors: [inputs, vec![humidity]].concat(), ..BusConfig::default() });
        assert_eq!(told_after(&queue, "room/temp 25.00").await, "room/rh 50.00");
    });
}

/// A chip that holds the clock for 60 ms in each transfer, and what it would say without.
struct Slow(Commands);

impl FakeChip for Slow {
    fn write(&mut self, bytes: &[u8]) -> bool {
        std::thread::sleep(Duration::from_millis(60));
        self.0.write(bytes)
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        std::thread::sleep(Duration::from_millis(60));
        self.0.read(bytes)
    }
}

/// Guards against: nine chips whose values come late because the tenth is broken.
#[test]
fn a_slow_chip_has_a_tenth_of_the_bus_and_leaves_the_rest_to_the_others() {
    let bus = FakeBus::with(0x44, sht31());
    bus.add(0x45, Slow(sht31()));
    let inputs = [("room/temp", 0x44), ("slow/temp", 0x45)]
        .map(|(sensor, address)| input(sensor, I2cChip::Sht3x, address, "temperature", Quantity::Temperature));
    with_bus(bus, inputs.to_vec(), async move |queue, _, _| {
        assert_eq!(told(&queue).await, "up");
        let (mut fast, mut slow) = (0, 0);
        while slow < 3 {
            match told(&queue).await.as_str() {
                "room/temp 25.00" => fast += 1,
                "slow/temp 25.00" => slow += 1,
                other => panic!("{other}"),
            }
        }
        assert!(fast > 12, "expected far more than the slow chip's 3 values, got {fast}");
    });
}

/// An EZO circuit that answers each command at once, and what it was asked.
fn ezo(kind: &str, value: &'static str) -> Ezo {
    Ezo { kind: format!("?i,{kind},2.0"), value, asked: String::new(), commands: Arc::default() }
}

struct Ezo {
    kind: String,
    value: &'static str,
    asked: String,
    commands: Arc<std::sync::Mutex<Vec<String>>>,
}

impl FakeChip for Ezo {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.asked = String::from_utf8_lossy(bytes).into_owned();
        self.commands.lock().unwrap().push(self.asked.clone());
        true
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        let answer = match self.asked.as_str() {
            "i" => &self.kind,
            "Status" => "?Status,P,5.0",
            "S,?" => "?S,c",
            "Cal,?" => "?Cal,3",
            "Slope,?" => "?Slope,99.7,100.3,-0.89",
            step if step.starts_with("Cal,") => "",
            _ => self.value,
        };
        bytes.fill(0);
        bytes[0] = 1;
        bytes[1..=answer.len()].copy_from_slice(answer.as_bytes());
        true
    }
}

/// Guards against: a probe in a buffer that alerts, or doses, as if the tank had become it.
#[test]
fn a_step_is_taken_between_two_readings_which_are_then_of_a_sensor_in_calibration() {
    let circuit = ezo("pH", "7.02");
    let commands = Arc::clone(&circuit.commands);
    let bus = FakeBus::with(0x63, circuit);
    // Read once an hour: the step does not wait for that.
    let (sensor, mut settings) = input("tank/ph", I2cChip::EzoPh, 0x63, "ph", Quantity::Ph);
    settings.interval = Some(Span::from_mins(60));
    let temp = input("room/temp", I2cChip::Sht3x, 0x44, "temperature", Quantity::Temperature);
    bus.add(0x44, sht31());
    let sensors = vec![(sensor, settings), temp];
    let (said, quality) =
        calibrated(bus.clone(), sensors[..1].to_vec(), &[("tank/ph", CalibrationStep::Mid, Some(7.0))]);
    assert_eq!((said, quality), (vec!["3 points".to_owned()], Quality::Calibrating));
    let commands = std::mem::take(&mut *commands.lock().unwrap());
    let step = commands.iter().position(|command| command == "Cal,mid,7.00").unwrap();
    assert_eq!(commands[step + 1..], ["Cal,?", "Slope,?", "R"], "after {commands:?}");
    let steps = [
        ("tank/ph", CalibrationStep::Query, None),
        ("tank/ph", CalibrationStep::Low, Some(7.0)),
        ("room/temp", CalibrationStep::Query, None),
        ("room/rh", CalibrationStep::Query, None),
    ];
    let (said, quality) = calibrated(bus, sensors, &steps);
    let no_circuit = "it is read from sht3x at 0x44, which is no EZO circuit";
    let expected =
        ["3 points", "low of an ezo_ph takes a value from 1 to 6 pH", no_circuit, "nothing is read for room/rh"];
    assert_eq!((said.as_slice(), quality), (expected.map(str::to_owned).as_slice(), Quality::Good));
}

/// Guards against: a tank that gets acid because somebody moved a cable while its probe stood in a buffer.
#[test]
fn a_circuit_stays_in_calibration_when_the_bus_is_opened_again_the_configuration_changes_or_its_task_restarts() {
    let bus = FakeBus::with(0x63, ezo("pH", "4.00"));
    let ph = input("tank/ph", I2cChip::EzoPh, 0x63, "ph", Quantity::Ph);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let ((context, sender), (requests, mut circuits)) = (context(vec![ph.clone()]), EzoStates::new());
        let queue = context.queue.clone();
        let same = bus.clone();
        let open = move || Ok(bus.clone());
        let calibrate = async {
            assert_eq!(ask(&requests, &("tank/ph", CalibrationStep::Low, Some(4.0))).await, "3 points");
            same.lock().is_held = true;
            while !told(&queue).await.starts_with("down") {}
            same.lock().is_held = false;
            assert_eq!(quality_of(&queue, "tank/ph").await, Quality::Calibrating, "the bus was opened again");
            let second = input("tank/ph-2", I2cChip::EzoPh, 0x63, "ph", Quantity::Ph);
            sender.send_replace(BusConfig { sensors: vec![ph, second], ..BusConfig::default() });
            assert_eq!(quality_of(&queue, "tank/ph-2").await, Quality::Calibrating, "the configuration changed");
        };
        tokio::select! {
            () = serve(open.clone(), "/dev/i2c-1", &mut circuits, context.clone()) => panic!("ended"),
            () = calibrate => {}
        }
        while queue.try_next().is_some() {}
        tokio::select! {
            () = serve(open, "/dev/i2c-1", &mut circuits, context) => panic!("ended"),
            quality = quality_of(&queue, "tank/ph") => assert_eq!(quality, Quality::Calibrating, "another task"),
        }
    });
}

/// Guards against: a step that is taken minutes after the person was told that there is no answer, with the probe in the tank; and ten
/// minutes without rules for a step that was never taken.
#[test]
fn a_step_whose_asker_has_given_up_is_not_begun() {
    let circuit = ezo("pH", "7.02");
    let commands = Arc::clone(&circuit.commands);
    let bus = FakeBus::with(0x63, circuit);
    let inputs = vec![input("tank/ph", I2cChip::EzoPh, 0x63, "ph", Quantity::Ph)];
    let step = ("tank/ph", CalibrationStep::Mid, Some(7.0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let ((context, _sender), (requests, mut circuits)) = (context(inputs), EzoStates::new());
        let queue = context.queue.clone();
        let (request, waits, answered) = request(&step);
        drop(waits);
        requests.send(request).await.unwrap();
        let read = async {
            assert_eq!(answered.await.unwrap(), Err(NOT_BEGUN.to_owned()));
            assert_eq!(quality_of(&queue, "tank/ph").await, Quality::Good);
        };
        tokio::select! {
            () = serve(move || Ok(bus.clone()), "/dev/i2c-1", &mut circuits, context) => panic!("ended"),
            () = read => {}
        }
    });
    assert!(!commands.lock().unwrap().iter().any(|command| command.starts_with("Cal,mid")));
}

/// Guards against: as before, by a person who gives up while the reading before is under way.
#[test]
fn a_step_is_begun_only_as_long_as_somebody_waits_for_it() {
    let (_requests, mut circuits) = EzoStates::new();
    let context = context(Vec::new()).0;
    let mut poller = ChipPoller { chips: Vec::new(), held: 0, is_up: false, circuits: &mut circuits, context };
    let (sensor, settings) = input("tank/ph", I2cChip::EzoPh, 0x63, "ph", Quantity::Ph);
    poller.add(&sensor, &settings, Uptime(0));
    let mut ask = |gives_up: bool| {
        let (request, mut waits, mut answered) = request(&("tank/ph", CalibrationStep::Mid, Some(7.0)));
        poller.calibrate(request);
        if gives_up {
            waits.close();
        }
        poller.begin_calibration(0, Uptime(1_000));
        (waits.try_recv().is_ok(), answered.try_recv().ok(), poller.circuits.of(&poller.chips[0]).calibrating)
    };
    assert_eq!(ask(true), (false, Some(Err(NOT_BEGUN.to_owned())), None));
    assert_eq!(ask(false), (true, None, Some(Uptime(601_000))));
}

/// Guards against: a pH that is compensated with the 25 C of the circuit's start, because the thermometer died and nothing says so.
#[test]
fn a_value_without_the_temperature_that_compensates_it_is_suspect_and_says_why() {
    let bus = FakeBus::with(0x63, ezo("pH", "6.50"));
    let (sensor, mut settings) = input("tank/ph", I2cChip::EzoPh, 0x63, "ph", Quantity::Ph);
    let Some(Input::I2c { rtd, .. }) = &mut settings.input else { unreachable!() };
    *rtd = Some(0x66);
    let water = input("tank/water", I2cChip::EzoRtd, 0x66, "temperature", Quantity::WaterTemperature);
    with_bus(bus.clone(), vec![water, (sensor.clone(), settings)], async move |queue, health, _| {
        let absent = "tank/water: ezo_rtd at 0x66: no chip answers at 0x66; is it wired and powered?";
        let why = "ezo_ph at 0x63 is not compensated: the ezo_rtd at 0x66 gives no temperature";
        let suspect = format!("tank/ph 6.50: {why}");
        assert_eq!([told(&queue).await, told(&queue).await], ["up", absent]);
        assert_eq!(told_after(&queue, absent).await, suspect);
        assert_eq!(health.get().messages.faults[&sensor].as_ref(), why);
        bus.add(0x66, ezo("RTD", "19.88"));
        loop {
            let next = told(&queue).await;
            if next == "tank/ph 6.50" {
                break;
            }
            assert!([absent, &suspect, "tank/water 19.88"].contains(&next.as_str()), "{next}");
        }
        assert!(!health.get().messages.faults.contains_key(&sensor));
    });
}

/// A pH circuit, chip 1, and the RTD circuit that compensates it, which said 19.5 C at the begin.
fn water_and_ph(circuits: &mut EzoStates) -> ChipPoller<'_> {
    let context = context(Vec::new()).0;
    let mut poller = ChipPoller { chips: Vec::new(), held: 0, is_up: false, circuits, context };
    for (sensor, chip, address) in [("tank/water", I2cChip::EzoRtd, 0x66), ("tank/ph", I2cChip::EzoPh, 0x63)] {
        let field = if chip == I2cChip::EzoRtd { "temperature" } else { "ph" };
        let quantity = if chip == I2cChip::EzoRtd { Quantity::WaterTemperature } else { Quantity::Ph };
        let (sensor, settings) = input(sensor, chip, address, field, quantity);
        poller.add(&sensor, &settings, Uptime(0));
    }
    poller.chips[1].rtd = Some(0x66);
    poller.circuits.of(&poller.chips[0]).temperature = Some((Uptime(0), 19.5));
    poller
}

/// Guards against: a pH that is suspect half of the time, because its thermometer is read every ten minutes.
#[test]
fn a_thermometer_that_is_read_seldom_compensates_for_two_of_its_intervals() {
    let (_requests, mut circuits) = EzoStates::new();
    let mut poller = water_and_ph(&mut circuits);
    let mut compensates = |interval: Span, mins: i64| {
        poller.chips[0].interval = interval;
        poller.temperature_for(1, Uptime(mins * 60_000)).is_some()
    };
    assert_eq!([4, 6].map(|mins| compensates(Span::from_secs(10), mins)), [true, false]);
    assert_eq!([6, 20, 21].map(|mins| compensates(Span::from_mins(10), mins)), [true, true, false]);
}

/// Guards against: a page that a probe is at fault while it, or its thermometer, is being calibrated.
#[test]
fn a_calibration_makes_no_value_suspect() {
    let read =
        |field, value| StepOutcome { done: Ok(Step::Done(vec![(field, value)])), bytes: 0, rest: Duration::ZERO };
    let at = |mins: i64| Uptime(mins * 60_000);
    let (_requests, mut circuits) = EzoStates::new();
    let mut poller = water_and_ph(&mut circuits);
    poller.chips[0].interval = Span::from_secs(10);
    poller.circuits.of(&poller.chips[0]).calibrating = Some(at(21));
    for mins in 1..=20 {
        poller.take(0, read("temperature", 0.0), at(mins));
        assert_eq!(poller.temperature_for(1, at(mins)), Some(19.5), "after {mins} min");
    }
    assert_eq!(poller.temperature_for(1, at(26)), None, "it answers no more");
    poller.take(0, read("temperature", 19.0), at(27));
    assert_eq!(poller.temperature_for(1, at(27)), Some(19.0));
    poller.circuits.of(&poller.chips[0]).calibrating = Some(at(60));
    poller.take(0, read("temperature", 0.0), at(33));
    assert_eq!(poller.temperature_for(1, at(33)), None, "too old when it began");

    poller.circuits.of(&poller.chips[1]).calibrating = Some(at(40));
    let queue = poller.context.queue.clone();
    let mut quality = |mins| {
        while queue.try_next().is_some() {}
        poller.take(1, read("ph", 4.0), at(mins));
        match queue.try_next() {
            Some(SenseMessage::Value(value)) => value.quality,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([quality(39), quality(40)], [Quality::Calibrating, Quality::Suspect]);
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

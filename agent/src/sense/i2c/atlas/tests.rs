//! Circuits that answer as the datasheets say, and otherwise.

use std::collections::VecDeque;

use tilth_config::I2cChip;

use super::calibration::CalibrationStep;
use super::*;
use crate::sense::i2c::chip::Driver;
use crate::sense::i2c::fake::{FakeBus, FakeChip, reading, step};

const PH: u8 = 0x63;

/// A circuit with its answers, in their order; each command gets the next.
struct CircuitKind {
    answers: VecDeque<Vec<u8>>,
    asked: bool,
    commands: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl FakeChip for CircuitKind {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.asked = true;
        self.commands.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
        true
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        bytes.fill(0);
        let answer = if self.asked { self.answers.pop_front().unwrap_or_default() } else { vec![255] };
        self.asked = answer.first() == Some(&254);
        bytes[..answer.len()].copy_from_slice(&answer);
        true
    }
}

fn text(text: &str) -> Vec<u8> {
    [&[1], text.as_bytes()].concat()
}

/// The circuit with these answers after the given ones of its start, its driver, and the commands that it got.
fn circuit(
    chip: I2cChip,
    start: &[&str],
    then: &[&[u8]],
) -> (FakeBus, Driver, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let commands = std::sync::Arc::default();
    let answers = start.iter().map(|line| text(line)).chain(then.iter().map(|bytes| bytes.to_vec())).collect();
    let bus = FakeBus::with(PH, CircuitKind { answers, asked: false, commands: std::sync::Arc::clone(&commands) });
    (bus, Driver::new(chip, &[]), commands)
}

const START: [&str; 4] = ["?i,pH,1.98", "?Status,P,5.038", "?Cal,2", "?Slope,99.7,100.3,-0.89"];

#[test]
fn a_circuit_is_asked_what_it_is_and_then_read() {
    let (mut bus, mut driver, commands) = circuit(I2cChip::EzoPh, &START, &[b"\x017.125\0", b"\x017.130\0"]);
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 7.125)]));
    driver.ezo().unwrap().temperature = Some(21.26);
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 7.13)]));
    assert_eq!(*commands.lock().unwrap(), ["i", "Status", "Cal,?", "Slope,?", "R", "RT,21.3"]);
}

#[test]
fn every_edge_of_the_chart_is_walked() {
    let then: [&[u8]; 3] = [b"\xfe", b"\xfe", b"\x016.5\0"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoPh, &START, &then);
    for _ in 0..4 {
        assert_eq!(step(&mut driver, &mut bus, PH), Ok(Step::Again(Duration::from_millis(300))));
        assert_eq!(step(&mut driver, &mut bus, PH), Ok(Step::Again(Duration::ZERO)));
    }
    assert_eq!(step(&mut driver, &mut bus, PH), Ok(Step::Again(Duration::from_millis(900))));
    assert_eq!(step(&mut driver, &mut bus, PH), Ok(Step::Again(PROCESSING_AGAIN)));
    assert_eq!(step(&mut driver, &mut bus, PH), Ok(Step::Again(PROCESSING_AGAIN)));
    assert_eq!(step(&mut driver, &mut bus, PH), Ok(Step::Done(vec![("ph", 6.5)])));
}

#[test]
fn a_circuit_that_processes_for_ever_is_given_up_and_read_again() {
    let then: Vec<&[u8]> = std::iter::repeat_n(b"\xfe".as_slice(), 10).chain([b"\x016.5\0".as_slice()]).collect();
    let (mut bus, mut driver, commands) = circuit(I2cChip::EzoPh, &START, &then);
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::NotReady));
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 6.5)]));
    assert_eq!(commands.lock().unwrap().iter().filter(|command| *command == "i").count(), 1);
}

#[test]
fn a_circuit_that_lost_its_power_is_asked_again_what_it_is() {
    let then: Vec<Vec<u8>> =
        std::iter::once(vec![255]).chain(START.iter().map(|line| text(line))).chain([b"\x016.5".to_vec()]).collect();
    let then: Vec<&[u8]> = then.iter().map(Vec::as_slice).collect();
    let (mut bus, mut driver, commands) = circuit(I2cChip::EzoPh, &START, &then);
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::PowerLost));
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 6.5)]));
    assert_eq!(commands.lock().unwrap().iter().filter(|command| *command == "i").count(), 2);
}

/// Guards against: a supply that is too weak for the pump beside it, and a report of it that is lost.
#[test]
fn a_circuit_that_started_for_a_reason_keeps_it_for_the_log_until_another_start() {
    let again = ["?i,pH,1.98", "?Status,P,5.038", "?Cal,2", "?Slope,99.7,100.3,-0.89"].map(text);
    let then: Vec<Vec<u8>> = std::iter::once(vec![255]).chain(again).chain([b"\x016.5".to_vec()]).collect();
    let then: Vec<&[u8]> = then.iter().map(Vec::as_slice).collect();
    let start = ["?i,pH,1.98", "?Status,B,3.021", "?Cal,2", "?Slope,99.7,100.3,-0.89"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoPh, &start, &then);
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::PowerLost));
    assert_eq!(driver.ezo().unwrap().logged_restart, Some("its voltage was too low"));
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 6.5)]));
    assert_eq!(driver.ezo().unwrap().logged_restart, None, "power that was switched on is no news");
    let codes = ["P", "S", "B", "W", "U"].map(|code| reply::restart(code).is_some());
    assert_eq!(codes, [false, false, true, true, false]);
}

#[test]
fn another_circuit_at_the_address_is_named() {
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoPh, &["?i,EC,2.10"], &[]);
    let other = Fault::OtherChip { expected: "pH", found: "EC".to_owned() };
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(other));
}

#[test]
fn old_firmware_that_does_not_know_a_question_is_read_all_the_same() {
    let then: [&[u8]; 4] = [b"\x01?STATUS,P,3.3", b"\x01?CAL,0", b"\x02", b"\x017.0"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoPh, &["?I,pH,1.0"], &then);
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 7.0)]));
}

#[test]
fn a_command_that_is_not_understood_and_a_value_that_is_cut_off_are_faults() {
    let then: [&[u8]; 4] = [b"\x02\0", b"\x01\0", b"\x017.\xff", b"\x037.1"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoPh, &START, &then);
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::NotUnderstood("R".to_owned())));
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoPh, &START, &then[1..]);
    for expected in ["", "7.\u{fffd}", "status 3"] {
        assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::Answer(expected.to_owned())));
    }
}

#[test]
fn a_conductivity_circuit_says_which_values_it_puts_out() {
    let start = ["?i,EC,2.10", "?Status,P,5.0", "?O,EC,TDS,S,SG", "?Cal,1"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoEc, &start, &[b"\x011413,706,0.71,1.000", b"\x011413,706"]);
    let values = vec![("ec", 1413.0), ("tds", 706.0), ("salinity", 0.71), ("gravity", 1.0)];
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(values));
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::Answer("1413,706".to_owned())), "two of four");
    let start = ["?i,EC,2.10", "?Status,P,5.0", "?,O,SG,EC", "?Cal,1"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoEc, &start, &[b"\x011413,1.000"]);
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ec", 1413.0), ("gravity", 1.0)]));
}

/// The answer to `O,?` has another order than a reading, and the datasheet's form of it a comma more than circuits say.
#[test]
fn oxygen_is_in_mg_per_litre_and_then_in_percent_whatever_the_circuit_says_of_it() {
    let both = [("oxygen", 8.71), ("saturation", 98.2)];
    let (oxygen, saturation) = (&both[..1], &both[1..]);
    for (said, reading_is, expected) in [
        ("?,O,%,mg", "8.71,98.2", &both[..]),
        ("?O,%,mg", "8.71,98.2", &both),
        ("?O,mg,%", "8.71,98.2", &both),
        ("?O,MG", "8.71", oxygen),
        ("?,O,%", "98.2", saturation),
        ("?O,MG,1,%,0", "8.71", oxygen),
        ("?O,MG,0,%,1", "98.2", saturation),
    ] {
        let start = ["?i,D.O.,1.98", "?Status,P,5.0", said, "?Cal,1"];
        let (mut bus, mut driver, _) = circuit(I2cChip::EzoDo, &start, &[&text(reading_is)]);
        assert_eq!(reading(&mut driver, &mut bus, PH), Ok(expected.to_vec()), "{said}");
    }
    let start = ["?i,D.O.,1.98", "?Status,P,5.0", "?O,mmHg", "?Cal,1"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoDo, &start, &[]);
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::Answer("?O,mmHg".to_owned())));
}

#[test]
fn temperature_is_read_as_it_is_put_out() {
    let start = ["?i,RTD,2.01", "?Status,P,5.0", "?S,c", "?Cal,0"];
    let (mut bus, mut driver, commands) = circuit(I2cChip::EzoRtd, &start, &[b"\x0121.26", b"\x01-1023.000"]);
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("temperature", 21.26)]));
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::NoProbe));
    assert_eq!(commands.lock().unwrap()[..5], ["i", "Status", "S,?", "Cal,?", "R"]);
}

/// Guards against: 70 F that are stored as 70 C. The circuit keeps its scale without power (EZO-RTD datasheet, "Temperature scale").
#[test]
fn a_thermometer_in_another_scale_is_set_to_celsius_before_it_is_read() {
    for scale in ["?S,f", "?S,K"] {
        let start = ["?i,RTD,2.01", "?Status,P,5.0", scale, "", "?Cal,0"];
        let (mut bus, mut driver, commands) = circuit(I2cChip::EzoRtd, &start, &[b"\x0121.26"]);
        assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("temperature", 21.26)]));
        assert_eq!(commands.lock().unwrap()[2..], ["S,?", "S,c", "Cal,?", "R"]);
    }
    let refuses: [&[u8]; 1] = [b"\x02"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoRtd, &["?i,RTD,2.01", "?Status,P,5.0", "?S,f"], &refuses);
    assert_eq!(reading(&mut driver, &mut bus, PH), Err(Fault::NotUnderstood("S,c".to_owned())));
    let without: [&[u8]; 3] = [b"\x02", b"\x01?Cal,0", b"\x0121.26"];
    let (mut bus, mut driver, _) = circuit(I2cChip::EzoRtd, &["?i,RTD,1.0", "?Status,P,5.0"], &without);
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("temperature", 21.26)]), "old firmware");
}

/// The circuit, which is calibrated before its first reading.
fn calibrated(
    chip: I2cChip,
    command: Option<CalibrationCommand>,
    start: &[&str],
    then: &[&[u8]],
) -> (FakeBus, Driver, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let (bus, mut driver, commands) = circuit(chip, start, then);
    let Driver::Ezo(ezo) = &mut driver else { panic!("{driver:?}") };
    ezo.calibrate(command);
    (bus, driver, commands)
}

#[test]
fn a_step_of_a_calibration_comes_before_the_reading_and_is_looked_at_afterwards() {
    let then: [&[u8]; 5] = [b"\xfe", b"\x01", b"\x01?Cal,1", b"\x01?Slope,99.7,100.3", b"\x017.01"];
    let (mut bus, mut driver, commands) =
        calibrated(I2cChip::EzoPh, command(I2cChip::EzoPh, CalibrationStep::Mid, 7.0), &START, &then);
    let kept = CalibrationStatus { points: Some(1), slope: Some([99.7, 100.3]) };
    assert_eq!(told(&mut driver, &mut bus), Ok(kept));
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 7.01)]));
    assert_eq!(*commands.lock().unwrap(), ["i", "Status", "Cal,?", "Slope,?", "Cal,mid,7.00", "Cal,?", "Slope,?", "R"]);
}

/// What the person is told: the answer to the calibration, without waiting for the reading after it.
fn told(driver: &mut Driver, bus: &mut FakeBus) -> Result<CalibrationStatus, String> {
    for _ in 0..200 {
        let done = step(driver, bus, PH);
        if let Some(said) = driver.ezo().and_then(|ezo| ezo.calibrated(&done)) {
            return said;
        }
    }
    panic!("no answer in 200 steps: {driver:?}");
}

#[test]
fn a_query_asks_again_what_is_kept_and_changes_nothing() {
    let then: [&[u8]; 4] = [b"\x017.01", b"\x01?Cal,3", b"\x01?Slope,98.0,99.0", b"\xff"];
    let (mut bus, mut driver, commands) = circuit(I2cChip::EzoPh, &START, &then);
    assert_eq!(reading(&mut driver, &mut bus, PH), Ok(vec![("ph", 7.01)]));
    driver.ezo().unwrap().calibrate(None);
    assert_eq!(told(&mut driver, &mut bus), Ok(CalibrationStatus { points: Some(3), slope: Some([98.0, 99.0]) }));
    assert_eq!(commands.lock().unwrap()[4..], ["R", "Cal,?", "Slope,?", "R"]);
    let start = ["?I,pH,1.0", "?STATUS,P,3.3"];
    let (mut bus, mut driver, _) = calibrated(I2cChip::EzoPh, None, &start, &[b"\x02", b"\x02", b"\x017.0"]);
    assert_eq!(
        told(&mut driver, &mut bus),
        Ok(CalibrationStatus::default()),
        "old firmware does not know the question"
    );
}

/// Guards against: a technician who rinses the probe and goes on, while the circuit has not taken the point.
#[test]
fn a_step_that_fails_says_whether_the_points_are_those_of_before() {
    let processing = [b"\xfe".as_slice(); 10];
    let confirmed = [b"\x01".as_slice(), b"\xff"];
    for (start, then, expected) in [
        (&START[..], &[b"\x02".as_slice()][..], "the circuit rejects \"Cal,low,4.00\"; its points are those of before"),
        (&START, &processing, "the circuit still works on \"Cal,low,4.00\"; in a minute the step query"),
        (
            &START,
            &[b"\xff"],
            "the circuit did not confirm \"Cal,low,4.00\" (the chip lost its power since it was asked)",
        ),
        (&START, &confirmed, "the circuit took \"Cal,low,4.00\", and failed after it: the chip lost its power"),
        (&["?i,EC,2.10"], &[], "nothing was changed: another chip answers: expected pH, got EC"),
    ] {
        let (mut bus, mut driver, _) =
            calibrated(I2cChip::EzoPh, command(I2cChip::EzoPh, CalibrationStep::Low, 4.0), start, then);
        let said = told(&mut driver, &mut bus).unwrap_err();
        assert!(said.starts_with(expected), "expected {expected}, got {said}");
    }
    let (_, mut driver, _) =
        calibrated(I2cChip::EzoPh, command(I2cChip::EzoPh, CalibrationStep::Low, 4.0), &START, &[]);
    let said = told(&mut driver, &mut FakeBus::default()).unwrap_err();
    assert_eq!(said, "nothing was changed: no chip answers at 0x63; is it wired and powered?");
}

/// A bad solution is rejected. It is unknown whether a circuit took what was cut off; twice the same point may be worse than none.
#[test]
fn a_step_that_failed_is_not_repeated() {
    for (answer, fault) in [
        (b"\x02".as_slice(), Fault::NotUnderstood("Cal,low,4.00".to_owned())),
        (b"\x01what", Fault::Answer("what".to_owned())),
        (b"\xff", Fault::PowerLost),
    ] {
        let (mut bus, mut driver, commands) =
            calibrated(I2cChip::EzoPh, command(I2cChip::EzoPh, CalibrationStep::Low, 4.0), &START, &[answer]);
        assert_eq!(reading(&mut driver, &mut bus, PH), Err(fault));
        for _ in 0..40 {
            let _ = step(&mut driver, &mut bus, PH);
        }
        assert_eq!(commands.lock().unwrap().iter().filter(|command| *command == "Cal,low,4.00").count(), 1);
    }
}

/// A step of a circuit that it has.
fn command(chip: I2cChip, step: CalibrationStep, value: impl Into<Option<f64>>) -> Option<CalibrationCommand> {
    CalibrationCommand::of(chip, step, value.into()).unwrap()
}

#[test]
fn each_circuit_has_steps_of_its_own() {
    use CalibrationStep::{Air, Clear, Dry, High, Low, Mid, Single, Zero};
    use I2cChip::{EzoDo, EzoEc, EzoPh, EzoRtd};
    for (chip, step, value, expected) in [
        (EzoPh, High, Some(10.0), Some(("Cal,high,10.00", 900))),
        (EzoPh, Clear, None, Some(("Cal,clear", 300))),
        (EzoPh, Dry, None, None),
        (EzoEc, Dry, None, Some(("Cal,dry", 600))),
        (EzoEc, Single, Some(1413.0), Some(("Cal,1413", 600))),
        (EzoEc, Low, Some(12880.0), Some(("Cal,low,12880", 600))),
        (EzoEc, High, Some(80000.0), Some(("Cal,high,80000", 600))),
        (EzoEc, Mid, Some(7.0), None),
        (EzoRtd, Single, Some(21.5), Some(("Cal,21.5", 600))),
        (EzoDo, Air, None, Some(("Cal", 1300))),
        (EzoDo, Zero, None, Some(("Cal,0", 1300))),
        (EzoDo, Single, Some(8.0), None),
    ] {
        let command = CalibrationCommand::of(chip, step, value).ok().flatten();
        let found = command.map(|command| (command.text(), command.delay()));
        let expected = expected.map(|(text, ms)| (text.to_owned(), Duration::from_millis(ms)));
        assert_eq!(found, expected, "{chip} {step}");
    }
}

#[test]
fn a_step_has_a_value_that_its_circuit_takes() {
    use CalibrationStep::{Air, Clear, High, Low, Mid, Query, Single};
    use I2cChip::{EzoDo, EzoEc, EzoPh, EzoRtd};
    for (chip, step, value, expected) in [
        (EzoPh, Mid, Some(6.86), Ok(Some("Cal,mid,6.86"))),
        (EzoPh, Query, None, Ok(None)),
        (EzoRtd, Single, Some(-10.0), Ok(Some("Cal,-10"))),
        (EzoDo, Clear, None, Ok(Some("Cal,clear"))),
        (EzoPh, Low, Some(7.0), Err("low of an ezo_ph takes a value from 1 to 6 pH")),
        (EzoPh, High, Some(f64::NAN), Err("high of an ezo_ph takes a value from 8 to 14 pH")),
        (EzoEc, Single, None, Err("single of an ezo_ec takes a value from 0.07 to 500000 uS/cm")),
        (EzoDo, Air, Some(8.0), Err("air of an ezo_do takes no value")),
        (
            EzoEc,
            Mid,
            Some(7.0),
            Err("an ezo_ec has no step mid; its steps are dry, single, low, high, clear and query"),
        ),
    ] {
        let found = CalibrationCommand::of(chip, step, value).map(|command| command.map(CalibrationCommand::text));
        assert_eq!(found, expected.map(|command| command.map(str::to_owned)).map_err(str::to_owned));
    }
}

//! EZO circuits of Atlas Scientific: pH, conductivity, RTD and dissolved oxygen.
//!
//! A circuit takes a command as text, works on it, and answers when it is asked later. At the start, and after it lost its power, the
//! driver asks what it is, why it started, what it puts out and how it is calibrated. Source: the I2C part of the datasheets.

pub(super) mod calibration;
mod reply;

use std::time::Duration;

use embedded_hal::i2c::I2c;
use tilth_config::I2cChip;
use tracing::warn;

use super::chip::{Step, Values};
use super::chip_io::{ChipIo, Fault};
use calibration::{CalibrationCommand, CalibrationStatus};
use reply::Reply;

/// The longest answer is that to `O,?` of the EC circuit; the buffer of the circuit has 40 bytes.
const ANSWER: usize = 40;

/// Between two reads of an answer that is not ready.
const PROCESSING_AGAIN: Duration = Duration::from_millis(100);

/// Reads of an answer before it is given up: with the first delay, two seconds for the slowest command.
const MAX_READS: u8 = 10;

/// A command to a circuit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum EzoCommand {
    /// `i`: what the circuit is.
    Info,
    /// `Status`: why it started, and its voltage.
    Status,
    /// `O,?`: which values a reading has.
    Outputs,
    /// `S,?`: the scale of an RTD circuit, which it keeps without power.
    Scale,
    /// `S,c`: Celsius, where it had another scale.
    Celsius,
    /// `Cal,?`: how many points it is calibrated at.
    Calibration,
    /// `Slope,?`: how the pH probe compares with an ideal one.
    Slope,
    /// A step of a calibration, such as `Cal,mid,7.00`.
    Calibrate(CalibrationCommand),
    /// `R`: one reading.
    Read,
    /// `RT,n`: one reading at this water temperature in C, which the circuit keeps until it loses power.
    ReadAt(f64),
}

/// What is known of a kind of circuit.
struct CircuitKind {
    /// Word of the circuit for itself.
    word: &'static str,
    /// Value of a reading until it says which it puts out.
    output: &'static str,
    /// What it is asked at the start.
    questions: &'static [EzoCommand],
    /// Steps of a calibration that it has besides those of all.
    steps: &'static str,
}

/// A circuit, and which question or command to it is under way.
///
/// ```text
///              written                 text, questions left
///   Idle -------------------> Asked -------------------------> Idle, next question
///    ^                        |  ^ |
///    |  reading, or any fault |  | | processing
///    +------------------------+  +-+ (at most MAX_READS)
/// ```
///
/// No data means that the circuit lost its power, so that all questions are asked again.
#[derive(Debug)]
pub(super) struct Ezo {
    chip: I2cChip,
    /// How many questions of the start are answered.
    answered: usize,
    /// The command that was written, and how often its answer was read; none while nothing is asked.
    asked: Option<(EzoCommand, u8)>,
    /// Names of the values of a reading, in their order.
    outputs: Vec<&'static str>,
    /// Temperature of the water that compensates the next readings, C.
    pub(super) temperature: Option<f64>,
    /// Whether the newest reading was taken at such a temperature.
    pub(super) is_compensated: bool,
    /// Calibration that comes before the next reading, and how far it is; no command where it only asks.
    calibration: Option<(Option<CalibrationCommand>, Progress)>,
    /// What the circuit says of its calibration.
    status: CalibrationStatus,
    /// Why it started last, as the log has it.
    logged_restart: Option<&'static str>,
}

/// How far a calibration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The circuit was not told yet.
    Waiting,
    /// The circuit was told, and has not confirmed.
    Sent,
    /// The circuit has the point, and is asked what it keeps.
    Taken,
    Done,
}

impl EzoCommand {
    fn text(self) -> String {
        match self {
            EzoCommand::Info => "i".to_owned(),
            EzoCommand::Status => "Status".to_owned(),
            EzoCommand::Outputs => "O,?".to_owned(),
            EzoCommand::Scale => "S,?".to_owned(),
            EzoCommand::Celsius => "S,c".to_owned(),
            EzoCommand::Calibration => "Cal,?".to_owned(),
            EzoCommand::Slope => "Slope,?".to_owned(),
            EzoCommand::Calibrate(calibration) => calibration.text(),
            EzoCommand::Read => "R".to_owned(),
            EzoCommand::ReadAt(temperature) => format!("RT,{temperature:.1}"),
        }
    }

    /// Whether circuits of older firmware do not know it, which is no reason not to read them.
    fn may_be_unknown(self) -> bool {
        use EzoCommand::{Calibration, Outputs, Scale, Slope, Status};
        matches!(self, Status | Outputs | Scale | Calibration | Slope)
    }

    /// Processing delay of the datasheet.
    fn delay(self, chip: I2cChip) -> Duration {
        if let EzoCommand::Calibrate(calibration) = self {
            return calibration.delay();
        }
        Duration::from_millis(match (self, chip) {
            (EzoCommand::ReadAt(_), _) | (EzoCommand::Read, I2cChip::EzoPh) => 900,
            (EzoCommand::Read, _) => 600,
            _ => 300,
        })
    }
}

impl Ezo {
    pub(super) fn new(chip: I2cChip) -> Ezo {
        Ezo {
            chip,
            answered: 0,
            asked: None,
            outputs: vec![CircuitKind::of(chip).output],
            temperature: None,
            is_compensated: false,
            calibration: None,
            status: CalibrationStatus::default(),
            logged_restart: None,
        }
    }

    /// Takes a step of a calibration before the next reading, and asks the circuit afterwards how it is calibrated; without a command it
    /// only asks. After a fault nothing is repeated: the circuit may have taken it.
    pub(super) fn calibrate(&mut self, command: Option<CalibrationCommand>) {
        self.calibration = Some((command, Progress::Waiting));
        if command.is_none() {
            self.ask_calibration();
        }
    }

    /// What became of the calibration, once after the step that it is over with.
    ///
    /// # Errors
    /// Why it failed, and what that means for the points of the circuit.
    pub(super) fn calibrated(&mut self, done: &Result<Step, Fault>) -> Option<Result<CalibrationStatus, String>> {
        let over = |(_, progress): &mut (_, Progress)| done.is_err() || *progress == Progress::Done;
        let (command, progress) = self.calibration.take_if(over)?;
        let command = command.map(CalibrationCommand::text).unwrap_or_default();
        Some(match (progress, done) {
            (Progress::Done, _) | (_, Ok(_)) => Ok(self.status),
            (Progress::Waiting, Err(fault)) => Err(format!("nothing was changed: {fault}")),
            (Progress::Sent, Err(Fault::NotUnderstood(_))) => {
                Err(format!("the circuit rejects {command:?}; its points are those of before"))
            }
            (Progress::Sent, Err(Fault::NotReady)) => {
                Err(format!("the circuit still works on {command:?}; in a minute the step query says what it keeps"))
            }
            (Progress::Sent, Err(fault)) => {
                Err(format!("the circuit did not confirm {command:?} ({fault}); the step query says what it keeps"))
            }
            (Progress::Taken, Err(fault)) => Err(format!("the circuit took {command:?}, and failed after it: {fault}")),
        })
    }

    /// Writes the next command, or reads its answer.
    pub(super) fn step<B: I2c>(&mut self, io: &mut ChipIo<'_, B>) -> Result<Step, Fault> {
        let Some((command, reads)) = self.asked else {
            let command = self.next_command();
            match (&mut self.calibration, command) {
                (Some((_, progress)), EzoCommand::Calibrate(_)) => *progress = Progress::Sent,
                (Some((_, progress)), EzoCommand::Read | EzoCommand::ReadAt(_)) => *progress = Progress::Done,
                _ => {}
            }
            io.write(command.text().as_bytes())?;
            self.asked = Some((command, 0));
            return Ok(Step::Again(command.delay(self.chip)));
        };
        let text = match Reply::parse(&io.read::<ANSWER>()?)? {
            Reply::Processing if reads + 1 < MAX_READS => {
                self.asked = Some((command, reads + 1));
                return Ok(Step::Again(PROCESSING_AGAIN));
            }
            Reply::Processing => return Err(Fault::NotReady),
            Reply::NoData => return Err(Fault::PowerLost),
            Reply::SyntaxError if command.may_be_unknown() => String::new(),
            Reply::SyntaxError => return Err(Fault::NotUnderstood(command.text())),
            Reply::Text(text) => text,
        };
        self.asked = None;
        if text.is_empty() && command.may_be_unknown() {
            // A circuit that knows no scale cannot be set to one.
            self.answered += if command == EzoCommand::Scale { 2 } else { 1 };
            return Ok(Step::Again(Duration::ZERO));
        }
        self.answer(command, &text)
    }

    /// A fault ends what was asked. Where the circuit may have lost its power or be another, it is asked again what it is.
    pub(super) fn failed(&mut self, fault: &Fault) {
        if !matches!(fault, Fault::NoProbe | Fault::NotReady | Fault::Answer(_)) {
            self.answered = 0;
        }
        self.asked = None;
    }

    /// Asks next how the circuit is calibrated, unless other questions come first.
    fn ask_calibration(&mut self) {
        let before =
            CircuitKind::of(self.chip).questions.iter().position(|question| *question == EzoCommand::Calibration);
        (self.answered, self.status) = (self.answered.min(before.unwrap_or(0)), CalibrationStatus::default());
    }

    fn answer(&mut self, command: EzoCommand, text: &str) -> Result<Step, Fault> {
        match command {
            EzoCommand::Info => self.check_kind(text)?,
            EzoCommand::Status => self.look_at_restart(text)?,
            EzoCommand::Outputs => self.outputs = outputs(self.chip, text)?,
            EzoCommand::Scale if reply::answer_to("S", text)?[0].eq_ignore_ascii_case("c") => self.answered += 1,
            EzoCommand::Scale => {
                warn!("{}: the circuit measured in another scale ({text}); it is set to Celsius", self.chip);
            }
            EzoCommand::Celsius if text.is_empty() => {}
            EzoCommand::Celsius => return Err(Fault::Answer(text.to_owned())),
            EzoCommand::Calibration => self.look_at_calibration(text)?,
            EzoCommand::Slope => {
                let slope = reply::slope(&reply::answer_to("SLOPE", text)?)?;
                self.status.slope = Some(slope);
                if reply::is_slope_bad(slope) {
                    warn!(
                        "{}: the slope of the pH probe is bad ({text}): clean the probe, calibrate it again or replace it",
                        self.chip
                    );
                }
            }
            EzoCommand::Calibrate(_) => {
                self.ask_calibration();
                if !text.is_empty() {
                    return Err(Fault::Answer(text.to_owned()));
                }
                self.calibration.iter_mut().for_each(|(_, progress)| *progress = Progress::Taken);
                return Ok(Step::Again(Duration::ZERO));
            }
            EzoCommand::Read | EzoCommand::ReadAt(_) => {
                self.is_compensated = matches!(command, EzoCommand::ReadAt(_));
                let numbers = reply::numbers(text, self.outputs.len())?;
                return Ok(Step::Done(self.outputs.iter().copied().zip(numbers).collect::<Values>()));
            }
        }
        self.answered += 1;
        Ok(Step::Again(Duration::ZERO))
    }

    fn next_command(&self) -> EzoCommand {
        let read = self.temperature.map_or(EzoCommand::Read, EzoCommand::ReadAt);
        let next = match self.calibration {
            Some((Some(calibration), Progress::Waiting)) => EzoCommand::Calibrate(calibration),
            _ => read,
        };
        CircuitKind::of(self.chip).questions.get(self.answered).copied().unwrap_or(next)
    }

    /// `?i,pH,1.98`: type and version of the firmware.
    fn check_kind(&self, text: &str) -> Result<(), Fault> {
        let found = reply::answer_to("i", text)?[0];
        let expected = CircuitKind::of(self.chip).word;
        let is_same = found.eq_ignore_ascii_case(expected) || (expected == "DO" && found.eq_ignore_ascii_case("D.O."));
        if is_same { Ok(()) } else { Err(Fault::OtherChip { expected, found: found.to_owned() }) }
    }

    /// `?Status,B,3.021`: why the circuit started last, and its voltage. Power that was switched on is ordinary; a reason that lasts is
    /// logged once.
    fn look_at_restart(&mut self, text: &str) -> Result<(), Fault> {
        let fields = reply::answer_to("STATUS", text)?;
        let why = reply::restart(fields[0]);
        if let Some(why) = why.filter(|_| self.logged_restart != why) {
            let volts = fields.get(1).unwrap_or(&"?");
            warn!("{}: the circuit started last because {why}; it has {volts} V now: check its supply", self.chip);
        }
        self.logged_restart = why;
        Ok(())
    }

    fn look_at_calibration(&mut self, text: &str) -> Result<(), Fault> {
        self.status.points = reply::answer_to("CAL", text)?[0].parse().ok();
        if self.status.points == Some(0) {
            warn!("{}: the circuit is not calibrated; its values are those of an ideal probe", self.chip);
        }
        Ok(())
    }
}

impl CircuitKind {
    fn of(chip: I2cChip) -> CircuitKind {
        use EzoCommand::{Calibration, Celsius, Info, Outputs, Scale, Slope, Status};
        let (word, output, questions, steps): (_, _, &[EzoCommand], _) = match chip {
            I2cChip::EzoPh => ("pH", "ph", &[Info, Status, Calibration, Slope], "mid, low, high"),
            I2cChip::EzoEc => ("EC", "ec", &[Info, Status, Outputs, Calibration], "dry, single, low, high"),
            I2cChip::EzoDo => ("DO", "oxygen", &[Info, Status, Outputs, Calibration], "air, zero"),
            _ => ("RTD", "temperature", &[Info, Status, Scale, Celsius, Calibration], "single"),
        };
        CircuitKind { word, output, questions, steps }
    }
}

/// Values of a reading, in its order, by the answer to `O,?`: `?O,EC,TDS,S,SG`, `?O,MG`; some circuits say of each whether it is on: `?O,MG,1,%,0`.
///
/// The order of the answer is not that of a reading: the EZO-DO datasheet ("Enable/disable parameters from output string") has `%` before `mg`,
/// and the circuit puts out mg/L, then %.
fn outputs(chip: I2cChip, text: &str) -> Result<Vec<&'static str>, Fault> {
    let in_order: &[(&str, &'static str)] = match chip {
        I2cChip::EzoEc => &[("EC", "ec"), ("TDS", "tds"), ("S", "salinity"), ("SG", "gravity")],
        _ => &[("mg", "oxygen"), ("%", "saturation")],
    };
    let mut enabled = Vec::new();
    for field in reply::answer_to("O", text)? {
        let value = in_order.iter().find(|(word, _)| word.eq_ignore_ascii_case(field));
        match (field, value) {
            ("1", _) => {}
            ("0", _) => drop(enabled.pop()),
            (_, Some((_, name))) => enabled.push(*name),
            (_, None) => return Err(Fault::Answer(text.to_owned())),
        }
    }
    Ok(in_order.iter().map(|(_, name)| *name).filter(|name| enabled.contains(name)).collect())
}

#[cfg(test)]
mod tests;

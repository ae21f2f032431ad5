//! Commands to the board, one a line.

use std::str::FromStr;
use std::time::Duration;

use tilth_wire::{Fault, ResetCause, Sample};

/// What a test makes the board do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Command {
    /// A channel shows a value or a fault.
    Show { channel: u8, sample: Sample },
    /// The line is cut, or joined again.
    Cut(bool),
    /// The board restarts.
    Reset(ResetCause),
    /// The board does nothing for so long.
    Hang(Duration),
}

impl FromStr for Command {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let channel = |word: &str| word.parse().map_err(drop);
        Ok(match words[..] {
            ["value", number, value] => {
                Self::Show { channel: channel(number)?, sample: Sample::Value(value.parse().map_err(drop)?) }
            }
            ["fault", number, name] => {
                Self::Show { channel: channel(number)?, sample: Sample::Fault(fault(name).ok_or(())?) }
            }
            ["cut"] => Self::Cut(true),
            ["join"] => Self::Cut(false),
            ["reset", name] => Self::Reset(cause(name).ok_or(())?),
            ["hang", seconds] => {
                let seconds = seconds.parse().map_err(drop)?;
                Self::Hang(Duration::try_from_secs_f64(seconds).map_err(drop)?)
            }
            _ => return Err(()),
        })
    }
}

fn fault(name: &str) -> Option<Fault> {
    Some(match name {
        "absent" => Fault::Absent,
        "checksum" => Fault::Checksum,
        "power-on" => Fault::PowerOn,
        "range" => Fault::Range,
        "timeout" => Fault::Timeout,
        "bus" => Fault::Bus,
        _ => return None,
    })
}

fn cause(name: &str) -> Option<ResetCause> {
    Some(match name {
        "power-on" => ResetCause::PowerOn,
        "external" => ResetCause::External,
        "brown-out" => ResetCause::BrownOut,
        "watchdog" => ResetCause::Watchdog,
        "panic" => ResetCause::Panic,
        _ => return None,
    })
}

#[test]
fn commands_are_read_as_the_usage_says() {
    let show = |channel, sample| Ok(Command::Show { channel, sample });
    for (line, expected) in [
        ("value 2 -21500", show(2, Sample::Value(-21_500))),
        ("fault 4 power-on", show(4, Sample::Fault(Fault::PowerOn))),
        ("cut", Ok(Command::Cut(true))),
        (" join ", Ok(Command::Cut(false))),
        ("reset watchdog", Ok(Command::Reset(ResetCause::Watchdog))),
        ("hang 1.5", Ok(Command::Hang(Duration::from_millis(1_500)))),
        ("value 2", Err(())),
        ("value 256 1", Err(())),
        ("hang -1", Err(())),
        ("", Err(())),
    ] {
        assert_eq!(line.parse(), expected, "{line}");
    }
}

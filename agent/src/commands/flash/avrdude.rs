//! avrdude: writes to a board through its bootloader and reads back what it wrote.

use std::io::{BufRead, BufReader, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use super::Arduino;
use crate::sense::port::device_at;

/// Writes `rjmp .-2` at the start of the flash (AVR Instruction Set Manual, RJMP): the chip does nothing.
pub(super) const ENDLESS_LOOP: &str = "flash:w:0xff,0xcf:m";

/// Longest run of avrdude: 256 KB at 57,600 baud, written and read back, take 100 s.
const LONGEST: Duration = Duration::from_secs(180);

/// How often it is looked whether the port is still there.
const LOOK: Duration = Duration::from_millis(500);

/// Lines of avrdude that a failure shows.
const SHOWN: usize = 6;

/// The bootloader of a board at a port.
pub(super) struct Programmer<'a> {
    pub(super) arduino: &'a Arduino,
    pub(super) port: &'a str,
    pub(super) baud: u32,
}

impl Programmer<'_> {
    /// Runs avrdude with these operations, one after the other; each is read back. `connection` stays open until avrdude has ended.
    pub(super) fn write(&self, operations: &[&str], connection: Option<OwnedFd>) -> anyhow::Result<()> {
        let Arduino { model, programmer, .. } = self.arduino;
        let device = device_at(Path::new(self.port)).ok();
        let mut command = Command::new("avrdude");
        command.args(["-q", "-D", "-p", model.chip, "-c", programmer, "-P", self.port, "-b", &self.baud.to_string()]);
        for operation in operations {
            command.args(["-U", operation]);
        }
        // avrdude reads no input. A connection in its place lives as long as avrdude.
        command.stdin(connection.map_or_else(Stdio::null, Stdio::from)).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("avrdude is missing: apt install avrdude"),
            _ => anyhow!("avrdude: {error}"),
        })?;
        let (is_done, said) = wait(child, || device_at(Path::new(self.port)).ok() == device)?;
        if is_done {
            return Ok(());
        }
        let last: Vec<&str> = said.iter().rev().take(SHOWN).map(String::as_str).collect();
        let last: Vec<String> = last.iter().rev().map(|line| format!("\n  {line}")).collect();
        bail!("{}: {}\navrdude said last:{}", self.port, advice(&said, self), last.concat());
    }
}

/// Waits until avrdude ends; returns whether it was successful, and its lines. Ends an avrdude whose port is gone: it would read the end of
/// the line again and again.
fn wait(mut child: Child, has_port: impl Fn() -> bool) -> anyhow::Result<(bool, Vec<String>)> {
    let stderr = child.stderr.take().context("avrdude's messages")?;
    let (lines, heard) = mpsc::channel();
    thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    let (deadline, mut said) = (Instant::now() + LONGEST, Vec::new());
    loop {
        match heard.recv_timeout(LOOK) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => said.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let why = match has_port() {
                    false => "the port is gone",
                    true if Instant::now() > deadline => "no end after three minutes",
                    true => continue,
                };
                said.push(format!("({why})"));
                child.kill().context("avrdude")?;
                break;
            }
        }
    }
    let status = child.wait().context("avrdude")?;
    Ok((status.success(), said))
}

/// What went wrong and what to do, from what avrdude said. Its words differ between versions 6 to 8.
fn advice(said: &[String], programmer: &Programmer<'_>) -> String {
    let said = said.join("\n").to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let chip = programmer.arduino.model.chip;
    if has(&["permission denied"]) {
        return "permission denied; run this as a user of the group dialout, or with sudo".to_owned();
    }
    if has(&["can't open device", "cannot open port", "unable to open port"]) {
        return "the port cannot be opened: is the board plugged in, and does no other program use the port?"
            .to_owned();
    }
    if has(&["expected signature", "double check chip", "wrong microcontroller"]) {
        return format!("the board has another chip than an {chip}, and nothing was written: is BOARD right?");
    }
    if has(&["mismatch"]) {
        return "what was read back differs from the image: take the supply from the board's relays and run the same command again; if it \
                differs again, the flash is worn or the line disturbed: try another cable, and then replace the board"
            .to_owned();
    }
    if has(&["writing", "verif", "written"]) {
        return "the write was cut: run the same command again. Unless the board still runs its old firmware, it does nothing until then, \
                and its relays are off"
            .to_owned();
    }
    let clone = if programmer.baud == 115_200 { "; on a clone with the old bootloader add --baud 57600" } else { "" };
    format!("no answer from the bootloader: check the cable (some only charge) and that BOARD is right{clone}")
}

#[cfg(test)]
mod tests {
    use super::super::UNO;
    use super::*;

    #[test]
    fn each_failure_has_its_next_step() {
        let programmer = Programmer { arduino: &UNO, port: "/dev/ttyACM0", baud: 115_200 };
        for (said, expected) in [
            ("avrdude: ser_open(): can't open device \"/dev/ttyACM0\": Permission denied", "permission denied"),
            ("avrdude: ser_open(): can't open device \"/dev/ttyACM0\": No such file", "the port cannot be opened"),
            ("Error: cannot open port /dev/ttyACM0: No such file or directory", "the port cannot be opened"),
            ("avrdude: stk500_getsync() attempt 10 of 10: not in sync: resp=0x00", "no answer from the bootloader"),
            ("avrdude: stk500_recv(): programmer is not responding", "no answer from the bootloader"),
            (
                "avrdude: Device signature = 0x1e9801\navrdude: Expected signature for ATmega328P is 1E 95 0F",
                "another chip",
            ),
            ("avrdude: writing 24150 bytes flash ...\navrdude: stk500_recv(): programmer is not responding", "was cut"),
            (
                "avrdude: 2 bytes of flash written\navrdude: verification error, first mismatch at byte 0x0100",
                "what was read back differs",
            ),
            ("", "add --baud 57600"),
        ] {
            let said: Vec<String> = said.lines().map(str::to_owned).collect();
            let advice = advice(&said, &programmer);
            assert!(advice.contains(expected), "{advice}; expected {expected}");
        }
        let slow = Programmer { baud: 57_600, ..programmer };
        assert!(!advice(&[], &slow).contains("--baud"));
    }
}

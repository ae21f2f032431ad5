//! A chip with its stock bootloader in simavr, on a serial line that can be cut; `firmware/emulator/bootloader.c` is its other end.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use tilth_tests::live::Running;
use tilth_tests::workspace;

/// The bootloader of every Uno, of Debian's package arduino-core-avr.
const OPTIBOOT: &str = "/usr/share/arduino/hardware/arduino/avr/bootloaders/optiboot/optiboot_atmega328.hex";

/// What the board has seen since it was first plugged in.
#[derive(Deserialize)]
pub(super) struct Counts {
    /// Times its line was opened, which resets it.
    pub(super) opened: u64,
    /// Bytes from the computer.
    pub(super) received: u64,
    /// Times a relay was switched on.
    pub(super) relays: u64,
}

pub(super) struct Bench {
    /// Path of the board's port.
    pub(super) link: PathBuf,
    _process: Running,
    commands: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
}

impl Bench {
    /// Builds the bench and plugs in a chip that holds its bootloader alone.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Bench> {
        ensure!(Path::new(OPTIBOOT).exists(), "{OPTIBOOT} is missing: apt install arduino-core-avr");
        let program = folder.join("bootloader");
        let source = workspace().join("firmware/emulator/bootloader.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-I/usr/include/simavr", "-o"]).arg(&program).arg(source);
        let compiled = compiler.args(["-lsimavr", "-lelf", "-lutil"]).status().context("cc")?;
        ensure!(compiled.success(), "the bench cannot be built: apt install gcc libsimavr-dev libelf-dev");
        let link = folder.join("board");
        let mut command = Command::new(program);
        command.args(["atmega328p", OPTIBOOT]).arg(&link).args(["D7", "D6"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Running::start(&mut command)?;
        let commands = process.0.stdin.take().context("stdin")?;
        let events = BufReader::new(process.0.stdout.take().context("stdout")?).lines();
        let mut bench = Bench { link, _process: process, commands, events };
        bench.event("plugged")?;
        Ok(bench)
    }

    /// Pulls the plug after so many more bytes from the computer.
    pub(super) fn cut_after(&mut self, bytes: u64) -> anyhow::Result<()> {
        writeln!(self.commands, "cut {bytes}").context("the bench")
    }

    /// Waits until the plug was pulled, and plugs the board in again.
    pub(super) fn plug_in(&mut self) -> anyhow::Result<()> {
        self.event("cut")?;
        writeln!(self.commands, "plug")?;
        self.event("plugged").map(drop)
    }

    /// From now on a byte of the board's flash stays as if erased when it is written.
    pub(super) fn wear(&mut self, address: u16) -> anyhow::Result<()> {
        writeln!(self.commands, "wear {address}").context("the bench")
    }

    /// The flash takes everything again.
    pub(super) fn mend(&mut self) -> anyhow::Result<()> {
        writeln!(self.commands, "wear -1").context("the bench")
    }

    pub(super) fn counts(&mut self) -> anyhow::Result<Counts> {
        writeln!(self.commands, "counts")?;
        Ok(serde_json::from_value(self.event("opened")?)?)
    }

    /// The next event that has a key.
    fn event(&mut self, key: &str) -> anyhow::Result<Value> {
        loop {
            let line = self.events.next().context("the bench has ended")??;
            let event: Value = serde_json::from_str(&line)?;
            if !event[key].is_null() {
                return Ok(event);
            }
        }
    }
}

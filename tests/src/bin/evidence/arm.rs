//! The programs for ARM on their own instruction set: those of each machine go the whole way of a reading (evidence `way`: a line, alerts, an
//! outage, five kills, the hub) under qemu's user mode, as the processor of the oldest Pi that they are for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tilth_tests::agent::Folder;
use tilth_tests::workspace;

use crate::{Length, Outcome};

/// A machine that `cross/build` builds for, and how qemu plays it.
struct Machine {
    name: &'static str,
    qemu: &'static str,
    /// Processor of the oldest Pi that runs these programs.
    processor: &'static str,
    /// Folder in which Debian's cross packages have the machine's C library; none for programs without one.
    library: Option<&'static str>,
    /// Whether there is a hub for it: else its agent speaks to the one of this machine.
    has_hub: bool,
}

const MACHINES: [Machine; 3] = [
    Machine {
        name: "arm64",
        qemu: "qemu-aarch64-static",
        processor: "cortex-a53",
        library: Some("/usr/aarch64-linux-gnu"),
        has_hub: true,
    },
    Machine {
        name: "armv7",
        qemu: "qemu-arm-static",
        processor: "cortex-a7",
        library: Some("/usr/arm-linux-gnueabihf"),
        has_hub: true,
    },
    Machine { name: "armv6", qemu: "qemu-arm-static", processor: "arm1176", library: None, has_hub: false },
];

pub(crate) fn measure(length: Length) -> Outcome {
    let machines = match length {
        Length::Short => &MACHINES[..1],
        Length::Full => &MACHINES[..],
    };
    let figures: Result<Vec<String>, String> = machines.iter().map(|machine| went(machine, length)).collect();
    figures.map(|figures| figures.join("; "))
}

/// What the programs of a machine did, or what fell short.
fn went(machine: &Machine, length: Length) -> Outcome {
    let went = build(machine, length).and_then(|programs| way(machine, &programs));
    let figures = went.map_err(|error| format!("{}: {error:#}", machine.name))?;
    println!("    {}: {figures}", machine.name);
    Ok(format!("{} as {}: {figures}", machine.name, machine.processor))
}

/// Builds the programs; the folder that has them. A short run builds them with next to no optimisation: the same source, not the code
/// that ships.
fn build(machine: &Machine, length: Length) -> anyhow::Result<PathBuf> {
    let fast = matches!(length, Length::Short);
    let mut build = Command::new(workspace().join("cross/build"));
    build.args(fast.then_some("--fast")).arg(machine.name).stdout(Stdio::null());
    ensure!(build.status()?.success(), "cross/build failed");
    let target = tilth_tests::agent::profile_folder();
    let target = target.parent().context("a profile's folder is in the target folder")?;
    Ok(target.join(if fast { "cross/fast" } else { "cross" }).join(machine.name))
}

/// The whole way with these programs, in a process of its own.
fn way(machine: &Machine, programs: &Path) -> anyhow::Result<String> {
    let folder = Folder::new(&format!("arm-{}", machine.name));
    let mut way = Command::new(std::env::current_exe()?);
    // qemu's user mode cannot set a serial port up.
    way.args(["way", "--short"])
        .env("TILTH_LINE", "tcp")
        .env("TILTH_AGENT", emulated(machine, programs, "tilth-agent", &folder)?);
    if machine.has_hub {
        way.env("TILTH_HUB", emulated(machine, programs, "tilth-hub", &folder)?);
    }
    let output = way.stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().last().unwrap_or_default();
    last.strip_prefix("way: ok, ").map(str::to_owned).with_context(|| said.clone())
}

/// A script that runs a program of the machine as its processor does.
fn emulated(machine: &Machine, programs: &Path, name: &str, folder: &Folder) -> anyhow::Result<PathBuf> {
    let program = programs.join(name);
    ensure!(program.exists(), "there is no {}", program.display());
    let library = machine.library.map_or(String::new(), |library| format!(" -L {library}"));
    let Machine { qemu, processor, .. } = machine;
    let text = format!("#!/bin/sh\nexec {qemu} -cpu {processor}{library} '{}' \"$@\"\n", program.display());
    let script = folder.write(name, text);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

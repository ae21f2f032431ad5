//! The Debian packages of agent and hub, built by `cross/packages` and opened: which files they have with which modes, that no file holds a
//! secret or names a folder of this machine, that the bill of materials names every crate, what lintian finds, and how exposed the services
//! are. A short run packs the programs that the evidence runs; a full run those that ship, of each machine, and installs those of this one.
//! The saboteur takes the packages that the last run left, where they are there.

mod installed;
mod opened;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use ring::digest::{SHA256, digest};
use tilth_config::bundle::SigningKey;
use tilth_config::release::open_sums;
use tilth_tests::agent::{Folder, profile_folder};
use tilth_tests::workspace;

pub(crate) use self::installed::{difference, newer, rebuilt};
use self::opened::Opened;
pub(crate) use self::opened::said;
use crate::{Length, Outcome, Run, outcome};

/// A machine, and Debian's name of it.
const MACHINES: [(&str, &str); 3] = [("x86-64", "amd64"), ("arm64", "arm64"), ("armv7", "armhf")];

/// Seed of the key that signs the packages of this evidence.
const SEED: [u8; 32] = [7; 32];

/// The folder that `cross/packages` filled.
struct Built {
    packages: PathBuf,
    /// Secret that must be in no file.
    secret: String,
    /// Folders of this machine that must be in no file.
    folders: Vec<String>,
    /// Whether the programs are those that ship: else their folders are not looked for, since only `cross/build` cuts paths off.
    ships: bool,
}

pub(crate) fn measure(run: Run) -> Outcome {
    measured(run).map_err(|error| format!("{error:#}")).and_then(|(figures, short)| outcome(figures, &short))
}

/// The figures, and what fell short.
fn measured(run: Run) -> anyhow::Result<(String, Vec<String>)> {
    let folder = Folder::new("packages");
    let machines = match run.length {
        Length::Short => &MACHINES[..1],
        Length::Full => &MACHINES[..],
    };
    let built = Built::of(run.length, &folder)?;
    if !run.sabotage || !built.packages.join("SHA256SUMS.signed").exists() {
        build(machines, run.length, &folder)?;
    }
    let mut short = Vec::new();
    let mut figures = vec![format!("{} sums signed", signed_sums(&built.packages)?)];
    for (_, debian) in machines {
        for program in ["agent", "hub"] {
            let opened = Opened::open(program, debian, &built, &folder)?;
            if run.sabotage {
                opened.open_key_folder()?;
            }
            figures.push(opened.look_through(&built, &mut short)?);
        }
    }
    if matches!(run.length, Length::Full) {
        figures.push(installed::story(&built, &folder)?);
    }
    Ok((figures.join("; "), short))
}

impl Built {
    fn of(length: Length, folder: &Folder) -> anyhow::Result<Built> {
        let target = profile_folder();
        let target = target.parent().context("a profile's folder is in the target folder")?;
        let home = std::env::var("HOME").unwrap_or_default();
        let folders = [workspace().display().to_string(), format!("{home}/.c"), folder.path().display().to_string()];
        Ok(Built {
            packages: target.join("cross/packages"),
            secret: SigningKey::text_of_seed(&SEED).trim().to_owned(),
            folders: folders.to_vec(),
            ships: matches!(length, Length::Full),
        })
    }
}

/// Builds the packages of this machine; their folder.
pub(crate) fn of_this_machine(length: Length, folder: &Folder) -> anyhow::Result<PathBuf> {
    build(&MACHINES[..1], length, folder)?;
    Ok(Built::of(length, folder)?.packages)
}

/// Has `cross/packages` build the packages of these machines, signed by the key of this evidence.
fn build(machines: &[(&str, &str)], length: Length, folder: &Folder) -> anyhow::Result<()> {
    let key = folder.write("release.key", SigningKey::text_of_seed(&SEED));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    folder.write("release.key.pub", format!("{}\n", SigningKey::from_seed(&SEED).trusted()));
    let mut build = Command::new(workspace().join("cross/packages"));
    build.arg("--key").arg(&key).stdout(Stdio::null());
    if matches!(length, Length::Short) {
        build.arg("--programs").arg(profile_folder());
    }
    build.args(machines.iter().map(|(name, _)| name));
    ensure!(build.status()?.success(), "cross/packages failed");
    Ok(())
}

/// Checks the signed list of sums against the folder; how many files it names.
fn signed_sums(packages: &Path) -> anyhow::Result<usize> {
    let sealed = fs::read(packages.join("SHA256SUMS.signed"))?;
    let sums = std::str::from_utf8(open_sums(&sealed, SigningKey::from_seed(&SEED).trusted())?)?;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").with_context(|| format!("no sum and name: {line}"))?;
        let found = hex::encode(digest(&SHA256, &fs::read(packages.join(name))?));
        ensure!(found == sum, "{name} has the sum {found}, expected {sum}");
    }
    let listed = sums.lines().count();
    let there = fs::read_dir(packages)?.count();
    ensure!(
        listed > 0 && there == listed + 3,
        "SHA256SUMS names {listed} of {there} files, itself and its two signed forms among them"
    );
    Ok(listed)
}

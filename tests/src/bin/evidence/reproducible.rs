//! What `cross/packages` builds in two folders from the same commit, which must be the same bytes: programs, packages, bills of materials. A
//! short run builds for one machine, with little optimisation; a full run what a release has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use ring::digest::{SHA256, digest};
use tilth_tests::agent::Folder;
use tilth_tests::workspace;

use crate::{Length, Outcome, outcome};

/// Names of the folders, of different lengths: a path must not even shift what follows it.
const FOLDERS: [&str; 2] = ["one", "another-one-with-a-longer-name"];

/// Path below the folder of builds, and the SHA-256 of the file.
type Sums = BTreeMap<PathBuf, String>;

pub(crate) fn measure(length: Length) -> Outcome {
    let built = built(length).map_err(|error| format!("{error:#}"))?;
    let [one, other] = &built;
    let names: Vec<&PathBuf> = one.keys().chain(other.keys()).collect();
    let mut different: Vec<String> = names
        .iter()
        .filter(|name| one.get(**name) != other.get(**name))
        .map(|name| name.display().to_string())
        .collect();
    different.sort();
    different.dedup();
    let short: Vec<String> = different.iter().map(|name| format!("{name} differs between the folders")).collect();
    if one.is_empty() {
        return Err("nothing was built".to_owned());
    }
    outcome(
        format!("{} files built in two folders, {} alike", one.len(), one.len().saturating_sub(short.len())),
        &short,
    )
}

/// Builds in both folders, one after the other.
fn built(length: Length) -> anyhow::Result<[Sums; 2]> {
    let folder = Folder::new("reproducible");
    let [one, other] = FOLDERS.map(|name| build(&folder.path().join(name), length));
    Ok([one?, other?])
}

/// Clones the last commit into a folder and builds there.
fn build(folder: &Path, length: Length) -> anyhow::Result<Sums> {
    let clone = Command::new("git").args(["clone", "--quiet"]).args([workspace(), folder]).status()?;
    ensure!(clone.success(), "the source cannot be cloned to {}", folder.display());
    let mut build = Command::new(folder.join("cross/packages"));
    // The build has its own target folder, apart from the one of this evidence.
    build.env_remove("CARGO_TARGET_DIR").stdout(Stdio::null());
    if matches!(length, Length::Short) {
        build.args(["--fast", "x86-64"]);
    }
    ensure!(build.status()?.success(), "cross/packages failed in {}", folder.display());
    let out = folder.join(match length {
        Length::Short => "target/cross/fast",
        Length::Full => "target/cross",
    });
    let mut sums = Sums::new();
    for part in ["packages", "x86-64", "arm64", "armv7", "armv6"] {
        add_sums(&out, Path::new(part), &mut sums)?;
    }
    Ok(sums)
}

/// Adds the files of a part of the folder of builds, where there is one.
fn add_sums(out: &Path, part: &Path, sums: &mut Sums) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(out.join(part)) else { return Ok(()) };
    for entry in entries {
        let file = entry?.path();
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        let name = part.join(file.file_name().unwrap_or_default());
        println!("    {}: {} bytes", file.display(), bytes.len());
        sums.insert(name, hex::encode(digest(&SHA256, &bytes)));
    }
    Ok(())
}

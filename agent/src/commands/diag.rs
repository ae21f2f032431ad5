//! `tilth-agent diag`: one archive for remote support, without secrets.
//!
//! Each file is the output of a command, and the agent's own say no secret. Values of secrets and keys that this user can read are blanked out
//! all the same, wherever they stand, and how many this user cannot read is said.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ran, Stdio};

use anyhow::{Context, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tilth_config::{Loaded, Purpose, Resource, plain_file, top_paths};

use crate::cli;
use crate::configuration::preview::Preview;
use crate::console::{Console, counted};
use crate::exit::Exit;

/// Longest time that one command may take, in seconds.
const PATIENCE: &str = "60";

/// Upper limit of one file, in bytes: what a command printed last is kept.
const MAX_BYTES: usize = 4 << 20;

/// Folder of the credentials that systemd gives the service, readable by its user and root.
const CREDENTIALS: &str = "/run/credentials/tilth-agent.service";

/// Secrets shorter than this many bytes would blank out half the archive.
const SHORTEST_SECRET: usize = 4;

/// Files, and the commands of this program whose output they hold.
const OWN: &[(&str, &[&str])] = &[
    ("doctor.txt", &["doctor"]),
    ("check.txt", &["check"]),
    ("status.json", &["status", "--json"]),
    ("status.txt", &["status"]),
    ("sensors.txt", &["sensors"]),
    ("actuators.txt", &["actuators"]),
    ("actuations-of-30-days.txt", &["actuators", "--since", "30d"]),
    ("holds.txt", &["hold"]),
    ("silences.txt", &["silence"]),
    ("alerts.txt", &["alerts", "--all"]),
    ("alerts-of-30-days.txt", &["alerts", "--since", "30d"]),
    ("notes.txt", &["notes"]),
];

/// Files, and the commands of the system whose output they hold.
const SYSTEM: &[(&str, &[&str])] = &[
    (
        "system/log.txt",
        &[
            "journalctl",
            "--unit",
            "tilth-agent",
            "--unit",
            "tilth-update",
            "--lines",
            "5000",
            "--no-pager",
            "--output",
            "short-iso",
        ],
    ),
    ("system/kernel.txt", &["journalctl", "--dmesg", "--lines", "1000", "--no-pager", "--output", "short-iso"]),
    ("system/service.txt", &["systemctl", "status", "tilth-agent", "--no-pager", "--lines", "0"]),
    ("system/version.txt", &["uname", "-a"]),
    ("system/release.txt", &["cat", "/etc/os-release"]),
    ("system/model.txt", &["cat", "/proc/device-tree/model"]),
    ("system/disk.txt", &["df", "-h"]),
    ("system/mounts.txt", &["cat", "/proc/mounts"]),
    ("system/memory.txt", &["cat", "/proc/meminfo"]),
    ("system/usb.txt", &["lsusb"]),
    ("system/ports.txt", &["ls", "-l", "/dev/serial/by-id"]),
    ("system/clock.txt", &["timedatectl"]),
    ("system/network.txt", &["ip", "address"]),
];

/// Gathers everything and writes the archive.
pub(crate) fn diag(wanted: &cli::Diag) -> anyhow::Result<Exit> {
    let path = wanted.file.clone().unwrap_or_else(|| default_name(Timestamp::now()));
    // A minute is not spent on what cannot be written, and a run that is interrupted leaves no file that blocks the next.
    write_new(&path, &[]).and_then(|()| fs::remove_file(&path)).with_context(|| shown(&path))?;
    let loaded = Preview::read(&wanted.config.folder, &wanted.address.data, Purpose::Check).loaded;
    let secrets = Secrets::read(&loaded, &wanted.config.folder);
    let mut console = Console::with_progress();
    let mut files = vec![("README.txt".to_owned(), readme(&secrets))];
    for (name, command) in commands(wanted, &loaded)? {
        console.progress(format_args!("{name} .."))?;
        files.push((name, blank_out(run(&command), &secrets.values)));
    }
    let archive = archive(&files, Timestamp::now()).context("archive")?;
    write_new(&path, &archive).with_context(|| shown(&path))?;
    let (count, size) = (counted(files.len() as u64, "file"), archive.len().div_ceil(1024));
    let unread = secrets.unread().unwrap_or_else(|| "no secrets".to_owned());
    console.line(format_args!("{}: {count}, {size} KiB, {unread}; it names sensors and addresses", shown(&path)))?;
    console.flush()?;
    Ok(Exit::Done)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// `tilth-diag-20260601T103000Z.tar.gz`.
fn default_name(now: Timestamp) -> PathBuf {
    PathBuf::from(format!("tilth-diag-{}.tar.gz", now.strftime("%Y%m%dT%H%M%SZ")))
}

/// Writes a file that does not exist yet, whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| drop(fs::remove_file(path)))
}

fn readme(secrets: &Secrets) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let text = "Each file holds the command that it is of, its output, and how it ended.";
    let secrets = secrets.unread().unwrap_or_else(|| "Secrets and keys are not in it, or are [blanked out]".to_owned());
    format!("tilth-agent {version}, diag\n\n{text} {secrets}.\n").into_bytes()
}

/// Each file with its command: words of a command line.
fn commands(wanted: &cli::Diag, loaded: &Loaded) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let program = std::env::current_exe().context("the path of this program")?;
    let data = ["--data".to_owned(), shown(&wanted.address.data)];
    let config = ["--config".to_owned(), shown(&wanted.config.folder)];
    let socket = wanted.address.socket.iter().flat_map(|socket| ["--socket".to_owned(), shown(socket)]);
    let own = |name: &str, words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned());
        let mut command: Vec<String> = std::iter::once(shown(&program)).chain(words).chain(data.clone()).collect();
        if matches!(command[1].as_str(), "doctor" | "check" | "explain") {
            command.extend(config.clone());
        }
        if !matches!(command[1].as_str(), "check" | "explain") {
            command.extend(socket.clone());
        }
        (name.to_owned(), command)
    };
    let configuration = top_paths(loaded).into_iter().enumerate().map(|(number, path)| {
        let name: String = path.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        own(&format!("configuration/{:02}-{name}.txt", number + 1), &["explain", &path])
    });
    let system = SYSTEM
        .iter()
        .map(|(name, words)| ((*name).to_owned(), words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()));
    Ok(OWN.iter().map(|(name, words)| own(name, words)).chain(configuration).chain(system).collect())
}

/// The command, what it printed, and how it ended.
fn run(command: &[String]) -> Vec<u8> {
    let ran = Command::new("timeout").arg(PATIENCE).args(command).stdin(Stdio::null()).output();
    let mut text = format!("$ {}\n", command.join(" ")).into_bytes();
    match ran {
        Ok(Ran { status, stdout, stderr }) => {
            for mut printed in [stdout, stderr] {
                text.extend(printed.split_off(printed.len().saturating_sub(MAX_BYTES)));
            }
            text.extend(format!("\n[{status}]\n").bytes());
        }
        Err(error) => text.extend(format!("\n[not run: {error}]\n").bytes()),
    }
    text
}

/// Values that are blanked out, and how many others this user cannot read.
#[derive(Debug, Default)]
struct Secrets {
    values: Vec<Vec<u8>>,
    unread: u64,
}

impl Secrets {
    /// Secrets and keys that the configuration names, and everything else in the folders of secrets.
    fn read(loaded: &Loaded, folder: &Path) -> Secrets {
        let resources = || loaded.resources.iter().map(|named| &named.resource);
        let named = resources().filter_map(|resource| match resource {
            Resource::Secret(name) => Some(OsString::from(name.as_str())),
            _ => None,
        });
        let mut secrets = Secrets::in_folders(named.collect(), &[folder.join("secrets"), PathBuf::from(CREDENTIALS)]);
        // A key that cannot be read is blanked out by its form.
        let keys = resources().filter_map(|resource| match resource {
            Resource::DeviceKey(file) => plain_file::read(&folder.join(file), 1 << 16).ok(),
            _ => None,
        });
        secrets.values.extend(keys.map(|key| key.trim_ascii().to_owned()));
        secrets.values.retain(|value| value.len() >= SHORTEST_SECRET);
        // A secret that contains another goes first.
        secrets.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        secrets.values.dedup();
        secrets
    }

    /// Secrets of these names and all others in the folders. A secret is read from the first folder that has it, as the agent does.
    fn in_folders(mut names: BTreeSet<OsString>, folders: &[PathBuf]) -> Secrets {
        let (mut secrets, mut is_closed) = (Secrets::default(), false);
        for folder in folders {
            match fs::read_dir(folder) {
                Ok(entries) => names.extend(entries.flatten().map(|entry| entry.file_name())),
                Err(error) => is_closed |= error.kind() != ErrorKind::NotFound,
            }
        }
        for name in names {
            let read = |folder: &PathBuf| plain_file::read(&folder.join(&name), 1 << 16);
            let is_there = |read: &io::Result<_>| read.as_ref().map_err(io::Error::kind) != Err(ErrorKind::NotFound);
            match folders.iter().map(read).find(is_there) {
                Some(Ok(value)) => secrets.values.push(value.trim_ascii().to_owned()),
                Some(Err(_)) => secrets.unread += 1,
                None => {}
            }
        }
        if is_closed {
            // The folder cannot be listed, so the count is unknown.
            secrets.unread = secrets.unread.max(1);
        }
        secrets
    }

    /// What the archive may hold all the same; none where every secret was read.
    fn unread(&self) -> Option<String> {
        let (count, are) = (counted(self.unread, "secret"), if self.unread == 1 { "it is" } else { "they are" });
        (self.unread > 0).then(|| format!("{count} could not be read, so {are} not blanked out: run with sudo"))
    }
}

/// The text with `[blanked out]` in place of each secret and of everything that has the form of a device key.
fn blank_out(text: Vec<u8>, secrets: &[Vec<u8>]) -> Vec<u8> {
    let blanked = secrets
        .iter()
        .fold(text, |text, secret| replace(&text, |rest| rest.starts_with(secret).then_some(secret.len())));
    replace(&blanked, |rest| {
        let key = rest.strip_prefix(b"dev_ak_")?;
        Some(
            rest.len() - key.len()
                + key.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count(),
        )
    })
}

fn replace(text: &[u8], length_of: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
    let (mut replaced, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        match length_of(&text[at..]) {
            Some(length) => {
                replaced.extend(b"[blanked out]");
                at += length.max(1);
            }
            None => {
                replaced.push(text[at]);
                at += 1;
            }
        }
    }
    replaced
}

/// Files as a compressed tape archive, in a folder of their own.
fn archive(files: &[(String, Vec<u8>)], now: Timestamp) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now.as_second().unsigned_abs());
        archive.append_data(&mut header, format!("tilth-diag/{name}"), text.as_slice())?;
    }
    archive.into_inner()?.finish().map_err(|error| anyhow!(error))
}

#[cfg(test)]
mod tests;

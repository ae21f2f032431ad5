//! Asks the machine. Decides nothing.

pub(super) mod account;
mod disk;
mod hub;
mod network;
mod ports;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hyper::Method;
use tilth_config::{ClockTrust, Level, Loaded, Purpose, Resource};
use tilth_notify::secret::Secrets;

use super::facts::{
    AgentFacts, AgentState, ClockFacts, Configuration, Facts, FileFact, FileKind, Found, I2cFacts, Node, PathNodes,
};
use crate::api::rows::StatusRow;
use crate::api::socket;
use crate::check::machine;
use crate::cli;
use crate::clock;
use crate::commands::client::{Client, request};
use crate::configuration::Enrolment;
use crate::configuration::preview::Preview;
use crate::sync::owner::{self, HistoryOwner, NotSent};

/// Paths of the service: from the package, and installed by hand.
const SERVICES: [&str; 3] = [
    "/usr/lib/systemd/system/tilth-agent.service",
    "/lib/systemd/system/tilth-agent.service",
    "/etc/systemd/system/tilth-agent.service",
];

/// A Pi's settings of its pins, since and before Raspberry Pi OS 12.
const CONFIG_TXT: [&str; 2] = ["/boot/firmware/config.txt", "/boot/config.txt"];

/// Everything that is judged.
///
/// # Errors
/// Where no runtime can be made.
pub(super) fn facts(wanted: &cli::Doctor) -> anyhow::Result<Facts> {
    let (folder, data) = (&wanted.config.folder, &wanted.agent.address.data);
    let (agent, status) = agent(&wanted.agent.address);
    let preview = Preview::read(folder, data, Purpose::Check);
    let loaded = &preview.loaded;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let process = match agent.state {
        AgentState::Runs { process, .. } => process,
        _ => None,
    };
    let version = preview.bundle.as_ref().map_or(0, |bundle| bundle.version);
    let hub = runtime.block_on(hub::of(loaded, folder, data, version));
    // The connection to a hub shows the network as well.
    let servers = if hub.is_none() { runtime.block_on(network::of(loaded)) } else { Vec::new() };
    let facts = Facts {
        account: account::of(process, folder),
        configuration: configuration(loaded, folder, data),
        files: files(loaded, folder, data, status.as_ref()),
        ports: runtime.block_on(ports::of(loaded, process, status.as_ref())),
        i2c: i2c(),
        clock: clock_facts(loaded, status.as_ref()),
        disk: disk::of(data, status.as_ref()),
        hub,
        servers,
        agent,
    };
    // Does not wait for a port that hangs while it is opened.
    runtime.shutdown_background();
    Ok(facts)
}

fn agent(address: &cli::AgentAddress) -> (AgentFacts, Option<StatusRow>) {
    let (state, status) = match ask(address) {
        Ok(Some((process, status))) => (AgentState::Runs { process, version: status.version.clone() }, Some(status)),
        Ok(None) => (AgentState::Stopped, None),
        Err(error) if format!("{error:#}").contains("permission denied") => (AgentState::Denied, None),
        Err(error) => (AgentState::NoAnswer(format!("{error:#}")), None),
    };
    let facts = AgentFacts {
        socket: socket::of(address.socket.as_deref(), &address.data).display().to_string(),
        options: address.typed(),
        state,
        has_service: SERVICES.iter().any(|file| Path::new(file).exists()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    (facts, status)
}

fn ask(address: &cli::AgentAddress) -> anyhow::Result<Option<(Option<i32>, StatusRow)>> {
    let Some(client) = Client::find(address)? else { return Ok(None) };
    let process = client.process;
    Ok(Some((process, client.row(request(Method::GET, "/api/v1/status")?)?)))
}

fn configuration(loaded: &Loaded, folder: &Path, data: &Path) -> Configuration {
    let of = |level| loaded.diagnostics.iter().filter(move |one| one.level == level).map(ToString::to_string);
    Configuration {
        folder: folder.to_owned(),
        check: format!("tilth-agent check --config {} --data {}", folder.display(), data.display()),
        errors: of(Level::Error).collect(),
        warnings: of(Level::Warning).collect(),
    }
}

/// Files that the agent reads.
fn files(loaded: &Loaded, folder: &Path, data: &Path, status: Option<&StatusRow>) -> Vec<FileFact> {
    let secrets = Secrets::of(folder);
    let channels = status.map(|status| &status.notify.channels);
    let has_secrets = channels.is_some_and(|channels| channels.iter().all(|channel| channel.unavailable.is_none()));
    let named = loaded.resources.iter().filter_map(|named| {
        let (kind, path) = match &named.resource {
            Resource::Secret(name) => (FileKind::Secret, folder.join("secrets").join(name.as_str())),
            Resource::DeviceKey(file) => (FileKind::DeviceKey, folder.join(file)),
            Resource::SigningKey(file) => (FileKind::SigningKey, folder.join(file)),
            Resource::Authority(file) => (FileKind::Authority, folder.join(file)),
            Resource::Port(_) => return None,
        };
        let wrong = machine::lack_of(&named.resource, loaded, folder, &secrets);
        Some(FileFact { has_agent: kind == FileKind::Secret && has_secrets, ..file(kind, path, wrong) })
    });
    let in_folder = fs::read_dir(folder.join("config.d")).into_iter().flatten().flatten().map(|entry| entry.path());
    let documents = in_folder.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let documents = [folder.join("agent.toml"), folder.join("config.d")].into_iter().chain(documents);
    let enrolment = loaded.agent_toml.as_ref().and_then(|agent_toml| Enrolment::of(agent_toml, folder, data));
    let owner = enrolment.iter().map(|enrolment| file(FileKind::Owner, data.join(owner::NAME), not_sent(enrolment)));
    // Sync writes it when it first starts.
    let owner = owner.filter(|owner| !matches!(owner.found, Found::Absent));
    documents.map(|path| file(FileKind::Configuration, path, None)).chain(named).chain(owner).collect()
}

/// Why the history is not for the hub that a device is enrolled at, and what to do.
fn not_sent(enrolment: &Enrolment) -> Option<(String, String)> {
    let Enrolment { tenant, hub, data, .. } = enrolment;
    let checked = match enrolment.trusted_key() {
        Ok(key) => HistoryOwner::new(tenant, &hub.url, &key).check(data).map(drop),
        // Said of that file.
        Err(_) => HistoryOwner::read(data).map(drop),
    };
    let at = format!("{} ", data.join(owner::NAME).display());
    checked.err().map(|NotSent { why, fix }| (why.strip_prefix(&at).unwrap_or(&why).to_owned(), fix))
}

fn file(kind: FileKind, path: PathBuf, wrong: Option<(String, String)>) -> FileFact {
    FileFact { kind, found: find(&path), path, wrong, has_agent: false }
}

/// What is at a path, links followed.
fn find(path: &Path) -> Found {
    match nodes(path) {
        Ok(nodes) => Found::There(nodes),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Found::Unseen,
        Err(_) => Found::Absent,
    }
}

fn nodes(path: &Path) -> std::io::Result<PathNodes> {
    let path = path.canonicalize()?;
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    ancestors.into_iter().map(|path| Ok((path.to_owned(), node(&fs::metadata(path)?)))).collect()
}

fn node(found: &fs::Metadata) -> Node {
    Node { uid: found.uid(), gid: found.gid(), mode: found.mode() & 0o7777 }
}

fn i2c() -> I2cFacts {
    let devices = fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.path().display().to_string());
    let mut devices: Vec<String> = devices.filter(|path| path.starts_with("/dev/i2c-")).collect();
    devices.sort();
    let config_txt = CONFIG_TXT.iter().find_map(|path| Some((path, fs::read_to_string(path).ok()?)));
    let turns_on = |text: &str| {
        let settings = text.lines().filter_map(|line| line.trim().strip_prefix("dtparam="));
        settings.flat_map(|line| line.split(',')).any(|setting| setting == "i2c_arm=on" || setting == "i2c_arm")
    };
    I2cFacts { devices, config_txt: config_txt.map(|(path, text)| ((*path).to_owned(), turns_on(&text))) }
}

fn clock_facts(loaded: &Loaded, status: Option<&StatusRow>) -> ClockFacts {
    let (now, is_synchronised) = clock::machine_wall();
    let device = loaded.agent_toml.as_ref().and_then(|agent_toml| agent_toml.device.as_ref());
    ClockFacts {
        now,
        is_synchronised,
        has_battery: Path::new("/sys/class/rtc/rtc0").exists(),
        trusts_battery: device.is_some_and(|device| device.clock == ClockTrust::Rtc),
        agent: status.and_then(|status| status.clock.trust.clone()),
    }
}

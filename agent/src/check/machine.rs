//! Resources of this machine that a configuration names: whether each is there and usable, as the agent itself would find it.

use std::fs;
use std::io;
use std::path::Path;

use tilth_config::{BusKind, Diagnostic, Link, Loaded, Resource, ResourceRef, SecretName, plain_file};
use tilth_notify::secret::Secrets;

use crate::configuration::enrolment;
use crate::sense::port;
use crate::sync::link;

const SECRET: &str = "expected the secret there, one line, mode 0600; or the service's systemd credential of that name, which \
                      only the service sees";
const DEVICE_KEY: &str = "expected the device's own key there, dev_ak_.., mode 0600";
const SIGNING_KEY: &str = "expected the hub's public key there, its file hub.pub";
const AUTHORITY: &str = "expected a PEM file there, with the certificate that signs the hub's";
const PORT: &str = "expected the device file of its adapter, such as those in /dev/serial/by-id; is it plugged in?";

const I2C: &str = "expected an I2C bus of the machine there; is it turned on (raspi-config, Interface Options)?";

/// Warnings about resources that are missing or unusable, each where it is named. Nothing is opened that could be a device, for that
/// would reset many boards.
pub(super) fn look(loaded: &Loaded, folder: &Path) -> Vec<Diagnostic> {
    let secrets = Secrets::of(folder);
    let wrong = |found: &ResourceRef| {
        let (why, expected) = match &found.resource {
            Resource::Secret(name) => (secrets.get(name).err()?.to_string(), SECRET),
            Resource::DeviceKey(file) => (lack(&folder.join(file), enrolment::device_key)?, DEVICE_KEY),
            Resource::SigningKey(file) => (lack(&folder.join(file), enrolment::signing_key)?, SIGNING_KEY),
            Resource::Authority(file) => (authority(&folder.join(file))?, AUTHORITY),
            Resource::Port(port) if is_serial(loaded, port) => (lack(Path::new(port), device_at)?, PORT),
            Resource::Port(port) if is_i2c(loaded, port) => {
                (lack(Path::new(port), |path| Ok(fs::metadata(path)?))?, I2C)
            }
            Resource::Port(port) => (lack(Path::new(port), |path| Ok(fs::metadata(path)?))?, PORT),
        };
        Some(warning(found, why, expected))
    };
    loaded.resources.iter().filter_map(wrong).collect()
}

/// Secrets that go wherever the hub's configuration leads them.
pub(super) fn unbound(loaded: &Loaded) -> Vec<Diagnostic> {
    let is_bound =
        |name: &SecretName| loaded.agent_toml.as_ref().is_some_and(|agent_toml| agent_toml.secrets.contains_key(name));
    let warning = |found: &ResourceRef| {
        let Resource::Secret(secret) = &found.resource else { return None };
        let name = secret.as_str();
        let message = format!("whoever signs the hub's configuration decides where the secret {name} is sent");
        let help = format!("bind it in agent.toml: [secrets.{name}] hosts = [\"HOST\"]");
        (!is_bound(secret)).then(|| found.warning(message, help))
    };
    loaded.resources.iter().filter_map(warning).collect()
}

fn warning(found: &ResourceRef, why: String, expected: &str) -> Diagnostic {
    let (message, help) = match (why.split_once("; expected "), why.split_once(": expected ")) {
        (Some((message, expected)), _) => (message.to_owned(), format!("expected {expected}")),
        (None, Some((path, expected))) => (format!("{path} holds something else"), format!("expected {expected}")),
        (None, None) => (why, expected.to_owned()),
    };
    found.warning(message, help)
}

/// Why a file is of no use, if it is not.
fn lack<T>(path: &Path, read: impl Fn(&Path) -> anyhow::Result<T>) -> Option<String> {
    let error = read(path).err()?;
    let path = path.display();
    Some(match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::NotFound => format!("there is no {path}"),
        _ => format!("{path}: {error:#}"),
    })
}

fn authority(path: &Path) -> Option<String> {
    lack(path, |path| Ok(plain_file::open(path).map(drop)?))
        .or_else(|| Some(link::authorities(path).err()?.to_string()))
}

fn device_at(path: &Path) -> anyhow::Result<u64> {
    Ok(port::device_at(path)?)
}

fn is_i2c(loaded: &Loaded, port: &str) -> bool {
    let buses = loaded.agent_toml.iter().flat_map(|agent_toml| agent_toml.buses.values());
    buses.into_iter().any(|bus| bus.kind == BusKind::I2c && matches!(&bus.link, Link::Port(own) if own == port))
}

fn is_serial(loaded: &Loaded, port: &str) -> bool {
    let buses = loaded.agent_toml.iter().flat_map(|agent_toml| agent_toml.buses.values());
    buses.into_iter().any(|bus| matches!(&bus.link, Link::Serial(serial) if serial.port == port))
}

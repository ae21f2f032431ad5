//! Resources of this machine that a configuration names: whether each is there and usable, as the agent itself would find it.

use std::fs;
use std::io;
use std::path::Path;

use tilth_config::{Bus, BusAddress, Diagnostic, Loaded, Resource, ResourceRef, SecretName, plain_file};
use tilth_core::id::Id;
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

const OWN_BUS: &str = "expected a bus of the machine itself there; is it turned on (raspi-config, Interface Options)?";

/// Warnings about resources that are not found or unusable, each where it is named.
pub(super) fn warnings(loaded: &Loaded, folder: &Path) -> Vec<Diagnostic> {
    let secrets = Secrets::of(folder);
    let wrong = |found: &ResourceRef| {
        let (why, expected) = lack_of(&found.resource, loaded, folder, &secrets)?;
        Some(found.warning(why, expected))
    };
    loaded.resources.iter().filter_map(wrong).collect()
}

/// Why a resource is not found or unusable, and what was expected there; `None` where it is as the agent needs it. Nothing is opened that could
/// be a device, for that would reset many boards.
pub(crate) fn lack_of(
    resource: &Resource,
    loaded: &Loaded,
    folder: &Path,
    secrets: &Secrets,
) -> Option<(String, String)> {
    let (why, expected) = match resource {
        Resource::Secret(name) => (secrets.get(name).err()?.to_string(), SECRET),
        Resource::DeviceKey(file) => (lack(&folder.join(file), enrolment::device_key)?, DEVICE_KEY),
        Resource::SigningKey(file) => (lack(&folder.join(file), enrolment::signing_key)?, SIGNING_KEY),
        Resource::Authority(file) => (authority(&folder.join(file))?, AUTHORITY),
        Resource::Port(port) => match bus_at(loaded, port) {
            Some((_, Bus { address: BusAddress::Serial(_), .. })) => (lack(Path::new(port), device_at)?, PORT),
            Some((_, Bus { address: BusAddress::Port(_), .. })) => (lack(Path::new(port), metadata)?, OWN_BUS),
            _ => (lack(Path::new(port), metadata)?, PORT),
        },
    };
    Some(in_two(why, expected))
}

/// Secrets that go wherever the hub's configuration leads them.
pub(super) fn unbound(loaded: &Loaded) -> Vec<Diagnostic> {
    let is_bound =
        |name: &SecretName| loaded.agent_toml.as_ref().is_some_and(|agent_toml| agent_toml.secrets.contains_key(name));
    let warning = |found: &ResourceRef| {
        let Resource::Secret(secret) = &found.resource else { return None };
        let name = secret.as_str();
        let message = format!("the holder of the hub's signing key decides where the secret {name} is sent");
        let help = format!("bind it in agent.toml: [secrets.{name}] hosts = [\"HOST\"]");
        (!is_bound(secret)).then(|| found.warning(message, help))
    };
    loaded.resources.iter().filter_map(warning).collect()
}

/// What is wrong and what was expected, where a reason may hold both.
fn in_two(why: String, expected: &str) -> (String, String) {
    match (why.split_once("; expected "), why.split_once(": expected ")) {
        (Some((message, expected)), _) => (message.to_owned(), format!("expected {expected}")),
        (None, Some((path, expected))) => (format!("{path} holds something else"), format!("expected {expected}")),
        (None, None) => (why, expected.to_owned()),
    }
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

fn metadata(path: &Path) -> anyhow::Result<fs::Metadata> {
    Ok(fs::metadata(path)?)
}

/// The bus at a port of this machine; none where a modem is there.
pub(crate) fn bus_at<'a>(loaded: &'a Loaded, port: &str) -> Option<(&'a Id, &'a Bus)> {
    loaded.agent_toml.as_ref()?.buses.iter().find(|(_, bus)| match &bus.address {
        BusAddress::Port(own) => own == port,
        BusAddress::Serial(serial) => serial.port == port,
        _ => false,
    })
}

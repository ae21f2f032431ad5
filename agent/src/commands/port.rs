//! A serial port that the running agent leaves alone for a command.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{major, minor};

use super::client::{Client, Events, post};
use crate::api::rows::ReleasePort;
use crate::sense::port::device_at;

/// A port that the agent leaves alone while this lives.
pub(super) struct Held {
    _events: Events,
    /// The agent takes the port back once this is closed, by every process that has it.
    pub(super) connection: OwnedFd,
}

/// Asks the agent to leave a port alone.
///
/// # Errors
/// Where the agent does not: there is no such port, or another command has it.
pub(super) fn release(client: Client, port: &str) -> anyhow::Result<Held> {
    let connection = client.connection()?;
    let mut events = client.watch(post("/api/v1/ports/release", &ReleasePort { port: port.to_owned() })?)?;
    events.next()?;
    Ok(Held { _events: events, connection })
}

/// Serial adapters that are plugged in, by the names that stay after a restart.
pub(super) fn adapters() -> Vec<String> {
    lasting_names(Path::new("/dev/serial")).into_values().collect()
}

/// The name of a port that stays after a restart, where it has one.
pub(super) fn lasting_name(port: &str) -> String {
    let name =
        device_at(Path::new(port)).ok().and_then(|device| lasting_names(Path::new("/dev/serial")).remove(&device));
    name.unwrap_or_else(|| port.to_owned())
}

/// A port, with what a person knows its adapter by: maker, product, serial number or socket, and its name until the next restart.
pub(super) fn described(port: &str) -> String {
    adapter(port).map_or_else(|| port.to_owned(), |adapter| format!("{port} ({adapter})"))
}

/// What a person knows the adapter of a port by; `None` for one that is no USB device.
pub(super) fn adapter(port: &str) -> Option<String> {
    adapter_of(Path::new("/sys/dev/char"), device_at(Path::new(port)).ok()?)
}

fn adapter_of(devices: &Path, device: u64) -> Option<String> {
    let node = fs::canonicalize(devices.join(format!("{}:{}", major(device), minor(device)))).ok()?;
    let usb = node.ancestors().find(|folder| folder.join("idVendor").exists())?;
    let said = |name: &str| {
        let text = fs::read_to_string(usb.join(name)).unwrap_or_default();
        text.trim().replace(char::is_control, "?")
    };
    let (maker, product, serial) = (said("manufacturer"), said("product"), said("serial"));
    let last = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
    let which = if serial.is_empty() { format!("USB socket {}", last(usb)) } else { format!("serial {serial}") };
    Some(format!("{maker} {product}, {which}, now /dev/{}", last(&node)).trim_start().to_owned())
}

/// What a person must know of a port's name.
pub(super) fn caution(port: &str) -> Option<String> {
    port.contains("/by-path/").then(|| {
        format!(
            "{port} is the name of the USB socket, for equal adapters without a serial number share one name: leave each plug in its socket"
        )
    })
}

/// The lasting name of each device: that of its adapter, or where equal adapters without a serial number share one, those of the sockets. Which
/// of them has the shared name may change with each restart, so it is no name of either.
fn lasting_names(serial: &Path) -> BTreeMap<u64, String> {
    let names = |folder: &str| -> BTreeMap<u64, String> {
        let links = fs::read_dir(serial.join(folder)).into_iter().flatten().flatten().map(|link| link.path());
        links.filter_map(|link| Some((device_at(&link).ok()?, link.display().to_string()))).collect()
    };
    let (mut of_sockets, of_adapters) = (names("by-path"), names("by-id"));
    match of_sockets.keys().all(|device| of_adapters.contains_key(device)) {
        true => of_adapters,
        false => {
            for (device, name) in of_adapters {
                of_sockets.entry(device).or_insert(name);
            }
            of_sockets
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// As the kernel lays out two adapters in sockets of a hub.
    #[test]
    fn adapters_are_told_by_what_is_printed_on_them() {
        let sys = std::env::temp_dir().join(format!("tilth-sys-{}", std::process::id()));
        let adapter = |socket: &str, tty: &str, device: &str, said: &[(&str, &str)]| {
            let usb = sys.join(format!("devices/usb1/1-1/{socket}"));
            let node = usb.join(format!("{socket}:1.0/{tty}/tty/{tty}"));
            fs::create_dir_all(&node).unwrap();
            said.iter().for_each(|(name, text)| fs::write(usb.join(name), format!("{text}\n")).unwrap());
            symlink(node, sys.join(device)).unwrap();
        };
        let names = [("idVendor", "1a86"), ("product", "USB Serial"), ("manufacturer", "QinHeng \u{1b}[1m")];
        adapter("1-1.2", "ttyUSB0", "1:3", &names);
        adapter("1-1.3", "ttyACM0", "1:5", &[("idVendor", "2341"), ("product", "Arduino Uno"), ("serial", "7573")]);
        let of = |path: &str| adapter_of(&sys, device_at(Path::new(path)).unwrap());
        assert_eq!(of("/dev/null").unwrap(), "QinHeng ?[1m USB Serial, USB socket 1-1.2, now /dev/ttyUSB0");
        assert_eq!(of("/dev/zero").unwrap(), "Arduino Uno, serial 7573, now /dev/ttyACM0");
        assert_eq!(of("/dev/full"), None);
        assert_eq!(described("/dev/null"), "/dev/null");
        fs::remove_dir_all(sys).unwrap();
    }

    /// Guards against: a port that is the other adapter's after a restart.
    #[test]
    fn equal_adapters_are_named_by_their_sockets() {
        let serial = std::env::temp_dir().join(format!("tilth-serial-{}", std::process::id()));
        let link = |name: &str, device: &str| {
            let path = serial.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(device, path).unwrap();
        };
        let names = || -> Vec<String> {
            let names = lasting_names(&serial);
            let device = |path: &str| names.get(&device_at(Path::new(path)).unwrap()).cloned();
            let names = ["/dev/null", "/dev/zero"].map(device).into_iter().flatten();
            names.map(|name| name.rsplit("/by-").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(names(), [""; 0]);
        link("by-id/usb-1a86_USB_Serial-if00-port0", "/dev/null");
        link("by-path/platform-usb-0:1.1:1.0-port0", "/dev/null");
        assert_eq!(names(), ["id/usb-1a86_USB_Serial-if00-port0"]);
        link("by-path/platform-usb-0:1.2:1.0-port0", "/dev/zero");
        assert_eq!(names(), ["path/platform-usb-0:1.1:1.0-port0", "path/platform-usb-0:1.2:1.0-port0"]);
        link("by-id/usb-FTDI_A50285BI-if00-port0", "/dev/zero");
        assert_eq!(names(), ["id/usb-1a86_USB_Serial-if00-port0", "id/usb-FTDI_A50285BI-if00-port0"]);
        fs::remove_dir_all(serial).unwrap();
    }
}

//! Serial ports and lines over TCP that the agent leaves to another program for a while, such as the one that writes a board's firmware.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::port::device_at;

/// Longest wait for the tasks that have a port open: a port may hang while it is opened.
const CLOSING: Duration = Duration::from_secs(10);

/// Ports by their device. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ports(Arc<watch::Sender<BTreeMap<u64, Usage>>>);

#[derive(Debug, Default)]
struct Usage {
    /// How often the agent has the port open.
    open: u32,
    is_released: bool,
}

/// A line over TCP, in place of a device: a number that no device has.
pub(super) fn tcp_line(address: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(address) | 1 << 63
}

/// A port that the agent has open or is opening. Dropping it says that it is closed.
#[derive(Debug)]
pub(crate) struct PortClaim {
    ports: Ports,
    device: u64,
    changes: watch::Receiver<BTreeMap<u64, Usage>>,
}

/// A port that the agent leaves alone. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Released {
    ports: Ports,
    device: u64,
}

impl Ports {
    /// Notes that the agent opens the port of a device.
    ///
    /// # Errors
    /// Where the port is released.
    pub(super) fn open(&self, device: u64) -> io::Result<PortClaim> {
        let mut is_released = false;
        self.0.send_modify(|ports| {
            let usage = ports.entry(device).or_default();
            is_released = usage.is_released;
            usage.open += u32::from(!is_released);
        });
        if is_released {
            return Err(left());
        }
        Ok(PortClaim { ports: self.clone(), device, changes: self.0.subscribe() })
    }

    /// Closes a port, by its path or as `tcp://HOST:PORT`, and keeps it closed as long as the result lives. Returns once it is closed.
    ///
    /// # Errors
    /// Where there is no serial port, it is released already, or a task does not close it in time.
    pub(crate) async fn release(&self, port: &str) -> io::Result<Released> {
        let device = match port.strip_prefix("tcp://") {
            Some(address) => tcp_line(address),
            None => device_at(Path::new(port))?,
        };
        let mut was_released = false;
        self.0.send_modify(|ports| {
            was_released = std::mem::replace(&mut ports.entry(device).or_default().is_released, true);
        });
        if was_released {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "it is left to another `tilth-agent flash` or `tilth-agent listen`",
            ));
        }
        let released = Released { ports: self.clone(), device };
        let mut changes = self.0.subscribe();
        let closed = changes.wait_for(|ports| ports.get(&device).is_none_or(|usage| usage.open == 0));
        match timeout(CLOSING, closed).await {
            Ok(_) => Ok(released),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the agent cannot close it")),
        }
    }

    fn change(&self, device: u64, change: impl FnOnce(&mut Usage)) {
        self.0.send_modify(|ports| {
            let usage = ports.entry(device).or_default();
            change(usage);
            if usage.open == 0 && !usage.is_released {
                ports.remove(&device);
            }
        });
    }
}

impl PortClaim {
    /// Returns once the port is to be closed, with the reason. Cancelling is safe.
    pub(super) async fn released(&mut self) -> io::Error {
        let device = self.device;
        let _ = self.changes.wait_for(|ports| ports.get(&device).is_some_and(|usage| usage.is_released)).await;
        left()
    }
}

impl Drop for PortClaim {
    fn drop(&mut self) {
        self.ports.change(self.device, |usage| usage.open -= 1);
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        self.ports.change(self.device, |usage| usage.is_released = false);
    }
}

fn left() -> io::Error {
    io::Error::other("left to `tilth-agent flash` or `tilth-agent listen` until that ends")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_released_once_it_is_closed_and_stays_closed_until_that_ends() {
        let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::unlockpt(&terminal).unwrap();
        let path = rustix::pty::ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let (path, ports) = (path.as_str(), Ports::default());
        let device = device_at(Path::new(path)).unwrap();
        let mut open = ports.open(device).unwrap();
        let closing = async {
            let left = "left to `tilth-agent flash` or `tilth-agent listen`";
            assert!(open.released().await.to_string().contains(left));
            assert!(ports.open(device).is_err(), "expected no second opening meanwhile");
            drop(open);
        };
        let (released, ()) = tokio::join!(ports.release(path), closing);
        let released = released.unwrap();
        assert!(ports.open(device).is_err());
        assert!(ports.open(device + 1).is_ok(), "expected other ports to stay usable");
        let second = ports.release(path).await.unwrap_err().to_string();
        assert!(second.contains("another `tilth-agent flash` or `tilth-agent listen`"), "{second}");
        drop(released);
        assert!(ports.open(device).is_ok());
        assert!(ports.0.borrow().is_empty());
        assert!(ports.release("/dev/null-not-there").await.is_err());
    }
}

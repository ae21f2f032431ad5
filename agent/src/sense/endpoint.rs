//! The bytes of a serial line: those of a serial port, or of a TCP connection that carries them.

use std::io;
use std::time::Duration;

use tilth_config::{BusAddress, Serial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::bus::blocking;
use super::port::{self, Port};
use super::released::{PortClaim, Ports, tcp_line};

/// How long a connection over TCP may take to open, and the other end to take bytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Address of a serial line: a port of the machine, or TCP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Endpoint {
    Serial(Serial),
    Tcp(String),
}

/// An open serial line: bytes in both directions.
#[derive(Debug)]
pub(crate) enum ByteStream {
    Serial(Port),
    Tcp(TcpStream, PortClaim),
}

impl Endpoint {
    /// Endpoint of a bus; none for a bus without a serial line.
    pub(crate) fn of(address: &BusAddress) -> Option<Endpoint> {
        match address {
            BusAddress::Serial(serial) => Some(Endpoint::Serial(serial.clone())),
            BusAddress::Tcp { address } => Some(Endpoint::Tcp(address.clone())),
            BusAddress::Port(_) | BusAddress::Broker { .. } => None,
        }
    }

    /// Path or address.
    pub(crate) fn name(&self) -> &str {
        match self {
            Endpoint::Serial(serial) => &serial.port,
            Endpoint::Tcp(address) => address,
        }
    }

    /// Opens the line, a serial port by [`Port::open`] or [`Port::open_without_reset`]; calls `hangs` with the reason each time that this has
    /// taken long again.
    ///
    /// # Errors
    /// Why it cannot be opened, in the words of a technician.
    pub(crate) async fn open(
        &self,
        open_port: fn(&Serial, &Ports) -> io::Result<Port>,
        hangs: impl Fn(String),
        ports: &Ports,
    ) -> Result<ByteStream, String> {
        let name = self.name();
        match self {
            Endpoint::Serial(serial) => {
                let (opened, ports) = (serial.clone(), ports.clone());
                let hangs = || hangs(format!("{name}: it hangs while it is opened"));
                let port = blocking(move || open_port(&opened, &ports), PATIENCE, hangs).await;
                Ok(ByteStream::Serial(port.map_err(|error| port::reason(name, &error))?))
            }
            Endpoint::Tcp(address) => {
                let open = ports.open(tcp_line(address)).map_err(|error| port::reason(name, &error))?;
                let opened = timeout(PATIENCE, TcpStream::connect(address)).await;
                let stream = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                let stream = stream.map_err(|error| port::reason(name, &error))?;
                let _ = stream.set_nodelay(true);
                Ok(ByteStream::Tcp(stream, open))
            }
        }
    }

    /// Why the line was lost, in the words of a technician.
    pub(crate) fn reason(&self, error: &io::Error) -> String {
        port::reason(self.name(), error)
    }
}

impl ByteStream {
    /// Reads what came; waits for it. Cancelling is safe.
    ///
    /// # Errors
    /// When the line is gone.
    pub(crate) async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            ByteStream::Serial(port) => port.read(bytes).await?,
            ByteStream::Tcp(stream, open) => tokio::select! {
                biased;
                left = open.released() => return Err(left),
                read = stream.read(bytes) => read?,
            },
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the line was hung up"));
        }
        Ok(read)
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the line is gone, or takes no bytes for [`PATIENCE`].
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = async {
            match self {
                ByteStream::Serial(port) => port.stream.write_all(bytes).await,
                ByteStream::Tcp(stream, _) => stream.write_all(bytes).await,
            }
        };
        timeout(PATIENCE, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether the path of a serial port still leads to what was opened.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self {
            ByteStream::Serial(port) => port.check(),
            ByteStream::Tcp(..) => Ok(()),
        }
    }
}

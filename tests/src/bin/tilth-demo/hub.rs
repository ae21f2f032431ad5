//! The hub: the real program, and what it says to a reader.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::processes::{self, Group, output};

pub(crate) const CLIENT: &str = "demo-farm";
pub(crate) const DEVICE: &str = "demo-pi";

/// An answer takes no longer on this machine.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A hub with its tenant and device. It may be stopped and started again on the same port.
pub(crate) struct Hub {
    program: PathBuf,
    data: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) read_key: String,
    pub(crate) device_key: String,
    serving: Option<Child>,
}

impl Hub {
    /// Makes a hub's folder, a tenant and a device, and serves them on a free port.
    pub(crate) fn make(program: PathBuf, data: &Path, group: &Group) -> anyhow::Result<Hub> {
        let run = |words: &[&str]| output(Command::new(&program).args(words).arg("--data").arg(data));
        run(&["init"])?;
        let tenant: Json = serde_json::from_str(&run(&["tenant", "add", CLIENT, "--json"])?)?;
        let device: Json = serde_json::from_str(&run(&["device", "add", DEVICE, "--client", CLIENT, "--json"])?)?;
        let key = |of: &Json, name: &str| of[name].as_str().map(str::to_owned).context("tilth-hub shows no key");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut hub = Hub {
            data: data.to_owned(),
            address,
            read_key: key(&tenant, "read_key")?,
            device_key: key(&device, "device_key")?,
            serving: None,
            program,
        };
        hub.start(group)?;
        Ok(hub)
    }

    pub(crate) fn public_key(&self) -> PathBuf {
        self.data.join("hub.pub")
    }

    /// Serves, from the second time on the same port as before.
    pub(crate) fn start(&mut self, group: &Group) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--data").arg(&self.data).arg("--listen").arg(self.address.to_string());
        let child = self.serving.insert(group.start("hub", &mut command, Stdio::piped())?);
        let mut said = String::new();
        let stdout = child.stdout.take().context("it is piped")?;
        BufReader::new(stdout).read_line(&mut said)?;
        let address = said.trim().strip_prefix("listening on ").context("the hub does not serve; see hub.log")?;
        self.address = address.parse()?;
        Ok(())
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.serving.take() {
            processes::stop(&mut [&mut child]);
        }
    }

    /// The process, to be stopped with all others.
    pub(crate) fn process(&mut self) -> Option<&mut Child> {
        self.serving.as_mut()
    }

    /// Asks as a reader of the tenant.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Hub { address, read_key, .. } = self;
        // HTTP/1.0: the answer then comes in one piece and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nX-Device-Key: {read_key}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
        if head.split_whitespace().nth(1) != Some("200") {
            bail!("GET {path}: {} {}", head.lines().next().unwrap_or_default(), body.trim());
        }
        serde_json::from_str(body).with_context(|| format!("GET {path}"))
    }

    /// All pages of a list.
    pub(crate) fn list<T: DeserializeOwned>(&self, path: &str, name: &str) -> anyhow::Result<Vec<T>> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut page: Json = self.get(&format!("{path}{mark}limit=5000{after}"))?;
            all.extend(serde_json::from_value::<Vec<T>>(page[name].take())?);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(all),
            }
        }
    }
}

//! The farm of the demo: its folders and its configuration, as a person would write them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::hub::{CLIENT, DEVICE, Hub};

/// What is watched, and where on the two lines it is found.
pub(crate) const SENSORS: [&str; 8] = [
    "room-1/ph",
    "room-1/ec",
    "room-1/water-temperature",
    "room-1/water-level",
    "room-1/flow",
    "room-1/temperature",
    "room-1/humidity",
    "room-1/light",
];

/// The rule that the acid's end breaks.
pub(crate) const RULE: &str = "ph-high";

/// What the kernel takes as the path of a socket, with the zero at its end.
const LONGEST_SOCKET: usize = 108;

const CONFIGURATION: &str = r#"# A hydroponic room with two boards: one at the tank, one under the ceiling. Silence of five minutes is stale: at the demo's
# speed that is less than a second, for which a busy machine may well hold everything up.

[sensors."room-1/ph"]
quantity = "ph"
input = "line:tank/ph"
interval = "20s"
stale_after = "5m"

[sensors."room-1/ec"]
quantity = "ec"
input = "line:tank/ec"
interval = "20s"
stale_after = "5m"

[sensors."room-1/water-temperature"]
quantity = "temperature"
input = "line:tank/temp"
interval = "20s"
stale_after = "5m"

[sensors."room-1/water-level"]
quantity = "water_level"
input = "line:tank/level"
interval = "20s"
stale_after = "5m"

[sensors."room-1/flow"]
quantity = "flow"
input = "line:tank/flow"
interval = "20s"
stale_after = "5m"

[sensors."room-1/temperature"]
quantity = "temperature"
input = "line:air/temp"
interval = "20s"
stale_after = "5m"

[sensors."room-1/humidity"]
quantity = "humidity"
input = "line:air/hum"
interval = "20s"
stale_after = "5m"
stuck_for = "10m"

[sensors."room-1/light"]
quantity = "light"
input = "line:air/light"
interval = "20s"
stale_after = "5m"

# Narrower than the shipped rule; what is not said here is taken from it.
[rules.ph-high]
above = 6.5
clear = 6.3
for = "5m"

# These lamps keep their own hours.
[rules.light-missing-by-day]
enabled = false
"#;

/// The folders.
pub(crate) struct Farm {
    root: PathBuf,
    /// Nobody named it.
    is_ours: bool,
}

/// Makes a folder under a name that is free, also after the demo of another process with this number.
fn new_folder() -> anyhow::Result<PathBuf> {
    let temporary = std::env::temp_dir();
    for number in 0_u32.. {
        let path = temporary.join(format!("tilth-demo-{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path).with_context(|| temporary.display().to_string()),
        }
    }
    bail!("{}: no name is free", temporary.display())
}

impl Farm {
    /// Makes an empty folder: the one that is named, else a new one where temporary things are kept.
    pub(crate) fn make(wanted: Option<PathBuf>) -> anyhow::Result<Farm> {
        let is_ours = wanted.is_none();
        let root = match wanted {
            Some(root) => root,
            None => new_folder()?,
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).with_context(|| root.display().to_string())?;
        if fs::read_dir(&root)?.next().is_some() {
            bail!("{} is not empty; expected a new folder", root.display());
        }
        let farm = Farm { root: root.canonicalize()?, is_ours };
        let socket = farm.socket();
        if socket.as_os_str().len() >= LONGEST_SOCKET {
            bail!("{} is too long a path for a socket; expected a shorter --dir", socket.display());
        }
        Ok(farm)
    }

    /// Removes a folder that nobody named; whether it did.
    pub(crate) fn remove(&self) -> bool {
        self.is_ours && fs::remove_dir_all(&self.root).is_ok()
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn hub(&self) -> PathBuf {
        self.root.join("hub")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.data().join("agent.sock")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Writes the agent's configuration: the hub, the two lines, sensors and rules.
    pub(crate) fn configure(&self, hub: &Hub, tank: &str, air: &str) -> anyhow::Result<()> {
        let config = self.config();
        let secrets = config.join("secrets");
        for folder in [self.data(), config.join("config.d"), secrets.clone()] {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::copy(hub.public_key(), config.join("hub.pub")).context("hub.pub")?;
        let key = secrets.join("device-key");
        fs::write(&key, format!("{}\n", hub.device_key))?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let agent = format!(
            r#"[device]
id = "{DEVICE}"
client = "{CLIENT}"

[hub]
url = "http://{}"
signing_key = "hub.pub"
key_file = "secrets/device-key"

[bus.tank]
kind = "line"
port = "{tank}"

[bus.air]
kind = "line"
port = "{air}"
"#,
            hub.address
        );
        fs::write(config.join("agent.toml"), agent)?;
        fs::write(config.join("config.d/room-1.toml"), CONFIGURATION)?;
        Ok(())
    }
}

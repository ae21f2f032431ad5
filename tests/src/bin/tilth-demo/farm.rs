//! The farm of the demo: its folders and its configuration, as a person would write them.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::hub::{CLIENT, DEVICE, Hub};
use crate::time::Place;

/// Sensors of the room.
pub(crate) const SENSORS: [&str; 5] = ["room-1/ph", "room-1/ec", "room-1/air", "room-1/humidity", "room-1/water"];

/// The rule that an empty canister breaks.
pub(crate) const RULE: &str = "ph-high";

/// The pump of the acid doser, as the configuration names it.
pub(crate) const DOSER: &str = "acid-doser";

/// Anna's number.
pub(crate) const ANNA: &str = "+4915112345678";

/// What the kernel takes as the path of a socket, with the zero at its end.
const LONGEST_SOCKET: usize = 108;

const CONFIGURATION: &str = r#"# A hydroponic room: one board with the probes, the pump of the acid doser and a siren. Five minutes of silence are stale: at the
# demo's speed that is four seconds, for which a busy machine may well hold everything up.

[sensors."room-1/ph"]
quantity = "ph"
input = "board:room/0"
interval = "10s"
stale_after = "5m"
calibration = { points = [[26214, 4.0], [32768, 7.0]] } # counts in two buffer solutions, and their pH

[sensors."room-1/ec"]
quantity = "ec"
input = "board:room/1"
interval = "10s"
stale_after = "5m"
calibration = { points = [[0, 0.0], [18510, 1.413]] }

[sensors."room-1/air"]
quantity = "temperature"
input = "board:room/2"
interval = "10s"
stale_after = "5m"

[sensors."room-1/humidity"]
quantity = "humidity"
input = "board:room/3"
interval = "10s"
stale_after = "5m"

[sensors."room-1/water"]
quantity = "water_temperature"
input = "board:room/4"
interval = "10s"
stale_after = "5m"

# Doses acid above 6.2 until the pH is 6.0 again, within limits that no rule and no person passes.
[actuators.acid-doser]
zone = "room-1"
output = "board:room/relay-2"
max_on = "5m"
min_off = "6m"
dose_per_hour = "30m"
needs_fresh = ["room-1/ph"]

[actuators.acid-doser.target]
sensor = "room-1/ph"
on_above = 6.2
off_below = 6.0

[actuators.horn]
zone = "room-1"
output = "board:room/relay-1"
max_on = "55s"
min_off = "5s"

# Narrower than the shipped rule; what is not said here is taken from it.
[rules.ph-high]
above = 6.5
clear = 6.4
for = "2m"
severity = "preventive"
message = "pH {value} in {zone}, limit {limit}: check the acid canister"

[notifications.siren]
kind = "siren"
actuator = "horn"
warning = { on = "10s", off = "50s" }
critical = { on = "20s", off = "20s" }
urgent = { on = "55s", off = "5s" }

# Short waits: the night is short, too.
[escalation.default]
preventive = { wait = "3m", channels = ["phone"] }
warning = { wait = "3m", channels = ["phone", "siren"] }
critical = { wait = "6m", channels = ["phone", "siren", "sms"] }
urgent = { wait = "15m", channels = ["phone", "siren", "sms"] }
"#;

/// The folders.
pub(crate) struct Farm {
    root: PathBuf,
    /// No folder was named on the command line.
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

    /// Removes a folder that was not named on the command line; whether it did.
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

    pub(crate) fn board(&self) -> PathBuf {
        self.root.join("usb-board")
    }

    pub(crate) fn modem(&self) -> PathBuf {
        self.root.join("usb-modem")
    }

    /// Writes the agent's configuration: the hub, the board, the modem, and what a person wrote. Without a siren in the escalation the
    /// demo must notice.
    pub(crate) fn configure(
        &self,
        hub: &Hub,
        phone: SocketAddr,
        place: &Place,
        with_siren: bool,
    ) -> anyhow::Result<()> {
        let config = self.config();
        let secrets = config.join("secrets");
        for folder in [self.data(), config.join("config.d"), secrets.clone()] {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::copy(hub.public_key(), config.join("hub.pub")).context("hub.pub")?;
        let key = secrets.join("device-key");
        fs::write(&key, format!("{}\n", hub.device_key))?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let (board, modem) = (self.board(), self.modem());
        let (board, modem, hub) = (board.display(), modem.display(), hub.address);
        let agent = format!(
            r#"[device]
id = "{DEVICE}"
client = "{CLIENT}"

[hub]
url = "http://{hub}"
signing_key = "hub.pub"
key_file = "secrets/device-key"

[bus.room]
kind = "board"
port = "{board}"
"#
        );
        let site = format!(
            r#"[agent]
timezone = "{}"

[notifications.phone]
kind = "ntfy"
url = "http://{phone}"
topic = "room-1"

[notifications.sms]
kind = "modem"
port = "{modem}"
numbers = ["{ANNA}"]
"#,
            place.zone
        );
        let escalation = if with_siren { CONFIGURATION.to_owned() } else { CONFIGURATION.replace(", \"siren\"", "") };
        fs::write(config.join("agent.toml"), agent)?;
        fs::write(config.join("config.d/site.toml"), site)?;
        fs::write(config.join("config.d/room-1.toml"), escalation)?;
        Ok(())
    }
}

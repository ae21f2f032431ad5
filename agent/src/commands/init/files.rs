//! The text of the files. Pure.

use std::fmt::Write;

use super::super::listen::{Listened, quoted};
use super::answers::{Answers, Hub, Phone};

/// First line of a new agent.toml.
pub(crate) const HEAD: &str =
    "# This device. /usr/share/doc/tilth-agent/configuration.md has every key; after a change: tilth-agent check\n";

/// Name of the bus at the port.
pub(super) const BUS: &str = "gateway";

/// What a technician knows on site.
pub(super) fn agent_toml(answers: &Answers, listened: Option<&Listened>) -> String {
    let mut text = String::from(HEAD);
    let _ = write!(text, "[device]\nid = \"{}\"\n", answers.name);
    if let Some(Hub { url, client }) = &answers.hub {
        let url = quoted(url);
        let _ = write!(
            text,
            "client = \"{client}\"\n\n[hub]\nurl = {url}\nsigning_key = \"hub.pub\"\nkey_file = \"device.key\"\n\
             # ca = \"hub-ca.pem\"   # where no authority that this machine trusts signed the hub's certificate\n"
        );
    }
    if let Some(listened) = listened {
        let _ = write!(text, "\n{}", listened.bus);
    }
    text
}

/// Bus of a port that said nothing.
pub(super) fn silent_bus(port: &str) -> String {
    format!("[bus.{BUS}]\nkind = \"line\"\nport = {}\n", quoted(port))
}

/// The farm: sensors, and whom to tell.
pub(super) fn farm(answers: &Answers, listened: Option<&Listened>) -> String {
    let mut text = format!("[agent]\ntimezone = {}\n", quoted(&answers.timezone));
    if listened.is_none_or(|listened| listened.known == 0) {
        let _ = write!(
            text,
            "\n# The machine itself, until there are others.\n[sensors.\"{}/cpu\"]\nquantity = \"temperature\"\ninput = \"host:cpu_temp\"\n",
            answers.zone
        );
    }
    if let Some(listened) = listened.filter(|listened| !listened.sensors.is_empty()) {
        let _ = write!(text, "\n{}\n", listened.sensors);
    }
    if let Some(Phone { number, modem }) = &answers.phone {
        let (number, modem) = (quoted(number), quoted(modem));
        let _ = write!(
            text,
            "\n[notifications.sms]\nkind = \"modem\"\nport = {modem}\nnumbers = [{number}]\n\n[escalation.default]\n"
        );
        for (severity, wait) in [("warning", "10m"), ("critical", "15m"), ("urgent", "15m")] {
            let _ = writeln!(text, "{severity} = {{ wait = \"{wait}\", channels = [\"log\", \"sms\"] }}");
        }
    }
    text
}

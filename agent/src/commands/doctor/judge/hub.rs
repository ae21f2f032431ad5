//! The connection to the hub: the first step that fails is the one to mend.

use std::path::Path;

use tilth_sync::transport::TransportErrorKind;

use super::super::facts::{Answer, HubFacts};
use super::super::{Check, Finding};
use super::files::ENROLL;

pub(super) fn finding(hub: Option<&HubFacts>, folder: &Path) -> Finding {
    let Some(hub) = hub else { return Finding::ok(Check::Hub, &folder.display(), "none configured") };
    let HubFacts { url, address, has_key, answer } = hub;
    let fault = |message: String, fix: &str| Finding::fault(Check::Hub, &url, message, fix);
    match answer {
        Answer::NotResolved(why) => {
            let message = format!("the name of the hub is not found: {why}");
            fault(message, "ip route shows whether there is a network; is hub.url in agent.toml spelled right?")
        }
        Answer::NotConnected(why) => {
            let fix = "on the hub: systemctl status tilth-hub; a firewall in between must let this port through";
            fault(format!("{address} cannot be reached: {why}"), fix)
        }
        Answer::Status(200..=399) => Finding::ok(Check::Hub, &url, "reached, key accepted"),
        Answer::NoBundle => {
            Finding::ok(Check::Hub, url, "reached, key accepted; the hub has no configuration for this device yet")
        }
        Answer::Status(401 | 403) if !has_key => Finding::warning(
            Check::Hub,
            &url,
            "reached; the key was not tried, for it cannot be read",
            "see the device's key above; sudo tilth-agent doctor may read it",
        ),
        Answer::Status(status @ (401 | 403)) => {
            fault(format!("the hub rejects the device's key ({status}): it is revoked, or of another device"), ENROLL)
        }
        Answer::Status(status) => {
            fault(format!("it answers {status}"), "is hub.url in agent.toml that of a hub? Its log says more")
        }
        Answer::Failed(kind, why) => failed(*kind, why, &fault),
        Answer::Unusable(why) => fault(why.clone(), "mend [hub] in agent.toml, or the file that it names"),
    }
}

fn failed(kind: TransportErrorKind, why: &str, fault: &dyn Fn(String, &str) -> Finding) -> Finding {
    let message = format!("{kind}: {why}");
    match kind {
        TransportErrorKind::Untrusted if why.contains("clock") => {
            fault(message, "set this machine's clock, or renew the hub's certificate, by which of the two is wrong")
        }
        TransportErrorKind::Untrusted => fault(
            message,
            "put the certificate of the authority that signed the hub's into the file of hub.ca in agent.toml",
        ),
        TransportErrorKind::NoTls | TransportErrorKind::Garbled => fault(
            message,
            "is hub.url in agent.toml that of a hub, with https? A login page of the network may be in between",
        ),
        _ => fault(message, "try again; if it stays so, the line is poor or the hub overloaded: its log says more"),
    }
}

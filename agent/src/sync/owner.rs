//! Owner of the history in the data folder: the client and the hub that its rows are for, in `history.owner` beside the database. Rows of one owner
//! go to no other before a person says what becomes of them. Where a version without this file ran, they are for whom its `config.good` names; on a
//! farm that had no hub yet, for whoever is enrolled when sync first starts.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tilth_config::bundle::TrustedKey;
use tilth_config::text_at;
use tilth_core::id::Id;

use crate::configuration::last_agent_toml;
use crate::durable::{self, Unreadable};

/// File in the data folder.
pub(crate) const NAME: &str = "history.owner";

/// The client and the hub that rows are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HistoryOwner {
    client: Id,
    /// Address of the hub.
    hub: String,
    /// The hub's signing key, as in `hub.pub`; empty where that is not known.
    signing_key: String,
    /// What was recorded until sync starts is not for this owner.
    pub(crate) withholds: bool,
}

/// Why nothing of the history is sent, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {fix}")]
pub(crate) struct NotSent {
    pub(crate) why: String,
    pub(crate) fix: String,
}

impl HistoryOwner {
    pub(crate) fn new(client: &Id, hub: &str, signing_key: &TrustedKey) -> HistoryOwner {
        let (client, hub, signing_key) = (client.clone(), hub.to_owned(), signing_key.to_string());
        HistoryOwner { client, hub, signing_key, withholds: false }
    }

    /// The owner of the history in a data folder; `None` where there was no hub yet.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub(crate) fn read(data: &Path) -> Result<Option<HistoryOwner>, NotSent> {
        let path = data.join(NAME);
        let bytes = durable::read(&path).map_err(|unreadable| unknown(data, &unreadable))?;
        let Some(bytes) = bytes else { return Ok(HistoryOwner::of_last_run(data)) };
        durable::parse_checked(&bytes).map(Some).map_err(|unreadable| unknown(data, &unreadable))
    }

    /// The owner that the agent recorded for when it last ran, as `config.good` names it.
    fn of_last_run(data: &Path) -> Option<HistoryOwner> {
        let agent_toml = last_agent_toml(data)?;
        let client = Id::new(&text_at(&agent_toml, "device", "client")?).ok()?;
        let hub = text_at(&agent_toml, "hub", "url")?;
        Some(HistoryOwner { client, hub, signing_key: String::new(), withholds: false })
    }

    /// Writes the file where a version without it ran. `config.good` names the owner until another configuration is active, so this comes first.
    pub(crate) fn keep_of_last_run(data: &Path) {
        if let Ok(false) = data.join(NAME).try_exists()
            && let Some(owner) = HistoryOwner::of_last_run(data)
        {
            // A disk that takes nothing keeps `config.good` as well.
            let _ = owner.write(data);
        }
    }

    /// Content of the file.
    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        durable::with_checksum(self)
    }

    pub(super) fn write(&self, data: &Path) -> io::Result<()> {
        durable::write(data, NAME, &self.to_bytes()?)
    }

    /// Whether another one is the same client at the same hub. A hub may move to another address or get another signing key; with another
    /// address and another key it is another hub. Where the key is not known, as in a file of an earlier version, the same client is enough.
    pub(crate) fn is_same(&self, other: &HistoryOwner) -> bool {
        let is_same_key = self.signing_key == other.signing_key || self.signing_key.is_empty();
        self.client == other.client && (self.hub == other.hub || is_same_key)
    }

    /// Makes this the owner of the history in a data folder, where that has none or the same; returns it as it is kept.
    ///
    /// # Errors
    /// When the history is another owner's; when the file cannot be read.
    pub(super) fn claim(self, data: &Path) -> Result<HistoryOwner, NotSent> {
        let before = HistoryOwner::read(data)?;
        let owner = self.after(before.as_ref(), data)?;
        if before.as_ref() != Some(&owner) {
            // Of a disk that takes nothing sync is not held up: the next start tries again.
            let _ = owner.write(data);
        }
        Ok(owner)
    }

    /// As [`HistoryOwner::claim`], and changes nothing.
    pub(crate) fn check(self, data: &Path) -> Result<HistoryOwner, NotSent> {
        self.after(HistoryOwner::read(data)?.as_ref(), data)
    }

    fn after(self, before: Option<&HistoryOwner>, data: &Path) -> Result<HistoryOwner, NotSent> {
        let Some(before) = before else { return Ok(self) };
        if before.is_same(&self) {
            return Ok(HistoryOwner { withholds: before.withholds, ..self });
        }
        let data = data.display();
        Err(NotSent {
            why: format!(
                "the history in {data} is of {before}, and agent.toml names {self}; nothing is sent before you say what becomes of it"
            ),
            fix: format!(
                "enrol again with --data {data} --history withhold, and it stays on this device, or with --history send; without a code: delete {NAME} \
                 there while the agent runs, and it is sent"
            ),
        })
    }
}

/// The error of a `history.owner` that cannot be read.
fn unknown(data: &Path, unreadable: &Unreadable) -> NotSent {
    let path = data.join(NAME);
    let (data, path) = (data.display(), path.display());
    let fix = match unreadable {
        Unreadable::Unusable(why) if !why.starts_with("another version") => {
            format!("sudo chown --reference={data} {path}, and the agent may read it")
        }
        _ => format!(
            "if this device has always recorded for the client and the hub in agent.toml: sudo mv {path} {path}.damaged, and all of it is sent there; no row \
             is lost. Else enrol again with --data {data} --history withhold, and it stays on this device"
        ),
    };
    NotSent { why: format!("{path} {unreadable}; nothing is sent before it is known whose history this is"), fix }
}

/// `CLIENT at ADDRESS`
impl fmt::Display for HistoryOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.client, self.hub)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tilth_config::Inventory;
    use tilth_config::bundle::SigningKey;

    use super::*;

    fn owner(client: &str, hub: &str, key: &TrustedKey) -> HistoryOwner {
        HistoryOwner::new(&Id::new(client).unwrap(), hub, key)
    }

    #[test]
    fn history_is_claimed_once_and_follows_its_hub() {
        let data = std::env::temp_dir().join(format!("tilth-owner-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let [first, second] = [1, 2].map(|seed| *SigningKey::from_seed(&[seed; 32]).trusted());
        let acme = owner("acme", "https://hub.example", &first);
        assert_eq!(acme.clone().claim(&data).unwrap(), acme);
        let refused = |other: HistoryOwner| format!("{:#}", other.claim(&data).unwrap_err());
        let said = refused(owner("beta", "https://hub.example", &first));
        assert!(
            said.contains("is of acme at https://hub.example, and agent.toml names beta at https://hub.exa"),
            "{said}"
        );
        assert!(said.contains(&format!("--data {} --history withhold", data.display())), "{said}");
        assert!(refused(owner("acme", "https://other.example", &second)).contains("acme at https://other.example"));

        // The hub moves, and then gets another key: from then on the first address and key are another hub's.
        let moved = owner("acme", "https://new.example", &first);
        assert_eq!(moved.clone().claim(&data).unwrap(), moved);
        let withholding = HistoryOwner { withholds: true, ..moved };
        withholding.write(&data).unwrap();
        assert!(owner("acme", "https://new.example", &second).claim(&data).unwrap().withholds);
        refused(acme);

        let path = data.join(NAME).display().to_string();
        fs::write(&path, "{}").unwrap();
        let said = refused(withholding);
        assert!(said.starts_with(&format!("{path} is damaged: missing field")), "{said}");
        let way_out = format!(
            "sudo mv {path} {path}.damaged, and all of it is sent there; no row is lost. Else enrol again with --data "
        );
        assert!(said.contains(&way_out), "{said}");
        fs::remove_dir_all(&data).unwrap();
    }

    /// Guards against: a device of a version without the file, whose history goes to the client that agent.toml names since.
    #[test]
    fn without_the_file_the_history_is_of_whom_the_last_run_recorded_for() {
        let data = std::env::temp_dir().join(format!("tilth-owner-before-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let last_run = |agent_toml: &str| {
            let good = serde_json::json!({"files": {"site": agent_toml, "merged": null}, "has": Inventory::default()});
            durable::write(&data, "config.good", &durable::with_checksum(&good).unwrap()).unwrap();
        };
        let key = *SigningKey::from_seed(&[1; 32]).trusted();
        let (acme, beta) = (owner("acme", "https://hub.example", &key), owner("beta", "https://hub.example", &key));
        let enrolled = "[device]\nid = 'pi-7'\nclient = 'acme'\n[hub]\nurl = 'https://hub.example'\n";

        last_run("[device]\nid = 'pi-7'\n");
        HistoryOwner::keep_of_last_run(&data);
        assert_eq!(beta.clone().check(&data), Ok(beta.clone()), "a farm that had no hub");
        last_run(enrolled);
        assert_eq!(acme.clone().check(&data), Ok(acme.clone()));
        let moved = owner("acme", "https://new.example", &key);
        assert_eq!(moved.clone().check(&data), Ok(moved), "a hub that moved while the device was updated");
        let said = beta.clone().check(&data).unwrap_err();
        assert!(said.why.contains("is of acme at https://hub.example, and agent.toml names beta at"), "{said}");

        // The configuration of the new client is the last good one by then.
        HistoryOwner::keep_of_last_run(&data);
        last_run(&enrolled.replace("acme", "beta"));
        HistoryOwner::keep_of_last_run(&data);
        assert_eq!(beta.clone().claim(&data).unwrap_err(), said);
        assert_eq!(acme.clone().claim(&data), Ok(acme));
        assert_eq!(HistoryOwner::read(&data).unwrap().unwrap().signing_key, key.to_string());
        // A person says by it that the history goes along.
        fs::remove_file(data.join(NAME)).unwrap();
        assert_eq!(beta.clone().claim(&data), Ok(beta));
        fs::remove_dir_all(&data).unwrap();
    }
}

//! Owner of the history in the data folder: the client and the hub that its rows are for, in `history.owner` beside the database. Rows of one owner
//! go to no other before a person says what becomes of them. Without the file they are for whoever is enrolled when sync first starts.

use std::fmt;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tilth_config::bundle::TrustedKey;
use tilth_core::id::Id;

use crate::durable;

/// File in the data folder.
pub(crate) const NAME: &str = "history.owner";

/// The client and the hub that rows are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HistoryOwner {
    client: Id,
    /// Address of the hub.
    hub: String,
    /// The hub's signing key, as in `hub.pub`.
    signing_key: String,
    /// What was recorded until sync starts is not for this owner.
    pub(crate) withholds: bool,
}

impl HistoryOwner {
    pub(crate) fn new(client: &Id, hub: &str, signing_key: &TrustedKey) -> HistoryOwner {
        let (client, hub, signing_key) = (client.clone(), hub.to_owned(), signing_key.to_string());
        HistoryOwner { client, hub, signing_key, withholds: false }
    }

    /// The owner of the history in a data folder; `None` where there was no sync yet.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Option<HistoryOwner>> {
        let path = data.join(NAME);
        let read = || {
            Ok::<_, durable::Unreadable>(match durable::read(&path)? {
                Some(bytes) => Some(durable::parse_checked(&bytes)?),
                None => None,
            })
        };
        read().with_context(|| format!("whose history this is, {}", path.display()))
    }

    /// Content of the file.
    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        durable::with_checksum(self)
    }

    pub(super) fn write(&self, data: &Path) -> io::Result<()> {
        durable::write(data, NAME, &self.to_bytes()?)
    }

    /// Whether another one is the same client at the same hub. A hub may move to another address or get another signing key; where both are
    /// others it is another hub.
    pub(crate) fn is_same(&self, other: &HistoryOwner) -> bool {
        self.client == other.client && (self.hub == other.hub || self.signing_key == other.signing_key)
    }

    /// Makes this the owner of the history in a data folder, where that has none or the same; returns it as it is kept.
    ///
    /// # Errors
    /// When the history is another owner's, with what a person can do; when the file cannot be read.
    pub(super) fn claim(self, data: &Path) -> anyhow::Result<HistoryOwner> {
        let before = HistoryOwner::read(data)?;
        let owner = match &before {
            Some(before) if !before.is_same(&self) => bail!(
                "the history in {0} is of {before}, and agent.toml names {self}; nothing is sent before you say what becomes of it: enrol again with \
                 --data {0} --history withhold, and it stays on this device, or with --history send; without a code: delete {NAME} there, and it is sent",
                data.display()
            ),
            Some(before) => HistoryOwner { withholds: before.withholds, ..self },
            None => self,
        };
        if before.as_ref() != Some(&owner) {
            // Of a disk that takes nothing sync is not held up: the next start tries again.
            let _ = owner.write(data);
        }
        Ok(owner)
    }
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

        fs::write(data.join(NAME), "{}").unwrap();
        assert!(refused(withholding).contains("history.owner: is damaged"));
        fs::remove_dir_all(&data).unwrap();
    }
}

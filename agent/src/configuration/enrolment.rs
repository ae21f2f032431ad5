//! Enrolment: which device of which tenant this is, where the hub is, and the files with the keys.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tilth_config::bundle::TrustedKey;
use tilth_config::{AgentToml, Device, Hub, plain_file};
use tilth_core::id::Id;
use tilth_protocol::{Key, KeyKind};

use super::file_versions::FileVersions;

/// Upper limit of a key file in bytes.
const MAX_BYTES: u64 = 4096;

/// The tenant, device and hub that `agent.toml` names.
#[derive(Debug, Clone)]
pub(crate) struct Enrolment {
    pub(crate) tenant: Id,
    pub(crate) device: Id,
    pub(crate) hub: Hub,
    /// The folder of the configuration; the hub's files are relative to it.
    pub(crate) folder: PathBuf,
    pub(crate) data: PathBuf,
}

impl Enrolment {
    /// `None` on a farm without a hub.
    pub(crate) fn of(agent_toml: &AgentToml, folder: &Path, data: &Path) -> Option<Enrolment> {
        let (Some(hub), Some(Device { id, client: Some(tenant), .. })) = (&agent_toml.hub, &agent_toml.device) else {
            return None;
        };
        let (tenant, device, hub) = (tenant.clone(), id.clone(), hub.clone());
        Some(Enrolment { tenant, device, hub, folder: folder.to_owned(), data: data.to_owned() })
    }

    /// The hub's signing key, as it was pinned when the device was enrolled.
    pub(crate) fn trusted_key(&self) -> anyhow::Result<TrustedKey> {
        let path = self.folder.join(&self.hub.signing_key);
        signing_key(&path).with_context(|| path.display().to_string())
    }

    pub(crate) fn device_key(&self) -> anyhow::Result<Key> {
        let path = self.folder.join(&self.hub.key_file);
        device_key(&path).with_context(|| path.display().to_string())
    }

    /// The file with the authority of the hub's certificate; `None` where the machine's are trusted.
    pub(crate) fn authority(&self) -> Option<PathBuf> {
        self.hub.ca.as_ref().map(|ca| self.folder.join(ca))
    }

    pub(crate) fn file_versions(&self) -> FileVersions {
        let files = [Some(&self.hub.signing_key), Some(&self.hub.key_file), self.hub.ca.as_ref()];
        FileVersions::of(files.into_iter().flatten().map(|file| self.folder.join(file)))
    }
}

pub(crate) fn signing_key(path: &Path) -> anyhow::Result<TrustedKey> {
    Ok(TrustedKey::parse(&plain_file::read_text(path, MAX_BYTES)?)?)
}

pub(crate) fn device_key(path: &Path) -> anyhow::Result<Key> {
    let file = plain_file::open(path)?;
    if let Some(mode) = plain_file::open_to_others(&file)? {
        bail!("others may read it (mode {mode:04o}); expected mode 0600");
    }
    let bytes = plain_file::read_open(file, MAX_BYTES)?;
    let key = Key::parse(String::from_utf8_lossy(&bytes).trim())?;
    match key.kind() {
        KeyKind::Device => Ok(key),
        KeyKind::Read => bail!("this is a read key; expected the device's own, dev_ak_.."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused_and_never_shown() {
        let path = std::env::temp_dir().join(format!("tilth-device-key-{}", std::process::id()));
        let device = Key::from_random(KeyKind::Device, [1; 6], [2; 32]);
        let read = Key::from_random(KeyKind::Read, [1; 6], [2; 32]);
        for (text, mode, expected) in [
            (device.reveal(), 0o600, None),
            (device.reveal(), 0o400, None),
            (device.reveal(), 0o640, Some("mode 0640")),
            (device.reveal(), 0o604, Some("mode 0604")),
            (read.reveal(), 0o600, Some("read key")),
            ("", 0o600, Some("expected dev_ak_")),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, format!("{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = device_key(&path).map_err(|error| format!("{error:#}"));
            match expected {
                None => assert_eq!(found, Ok(device.clone())),
                Some(expected) => {
                    let error = found.unwrap_err();
                    assert!(error.contains(expected), "{error}");
                    assert!(!error.contains("0202"), "{error}");
                }
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(device_key(&path).is_err());
    }
}

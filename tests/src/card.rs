//! The card of a Pi in a folder: the image's own scripts, whose paths lead there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::agent::{Folder, profile_folder};
use crate::workspace;

/// Folders of a card that the scripts use, and `/dev/console`.
const PATHS: [&str; 7] = ["/boot/firmware", "/data", "/run/", "/etc/", "/home/", "/usr/lib/tilth/", "/dev/console"];

/// A card that has started before.
#[derive(Debug)]
pub struct Card(Folder);

impl Card {
    /// Lays out the folders and the scripts.
    #[must_use]
    pub fn new(name: &str) -> Card {
        let card = Card(Folder::new(name));
        // A card that has its host key makes none, and one with a configuration keeps it.
        card.0.write("etc/ssh/ssh_host_ed25519_key", "a key");
        card.0.write("etc/tilth/agent.toml", "");
        for folder in ["boot/firmware", "data", "run", "dev"] {
            fs::create_dir_all(card.0.path().join(folder)).expect("a folder");
        }
        let scripts = workspace().join("cross/card/root/usr/lib/tilth");
        let root = card.0.path().display().to_string();
        for script in ["first-boot", "report", "enrol"] {
            let mut text = fs::read_to_string(scripts.join(script)).expect("a script");
            for path in PATHS {
                text = text.replace(path, &format!("{root}{path}"));
            }
            let enroll = format!("tilth-agent enroll --config {root}/etc/tilth");
            let file = card.0.write(&format!("usr/lib/tilth/{script}"), text.replace("tilth-agent enroll", &enroll));
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        card
    }

    /// Writes a file on the boot partition, as a laptop does.
    pub fn put(&self, file: &str, content: impl AsRef<[u8]>) {
        self.0.write(&format!("boot/firmware/{file}"), content);
    }

    /// Runs a script, which finds the agent that was built; whether it succeeded.
    pub fn run(&self, script: &str) -> bool {
        let script = self.0.path().join("usr/lib/tilth").join(script);
        let path = format!("{}:{}", profile_folder().display(), std::env::var("PATH").unwrap_or_default());
        Command::new(script).env("PATH", path).status().expect("bash").success()
    }

    /// Text of a file on the card, with the line ends of Windows taken off; empty where there is none.
    #[must_use]
    pub fn text(&self, file: &str) -> String {
        fs::read_to_string(self.at(file)).unwrap_or_default().replace('\r', "")
    }

    /// Path of a file on the card.
    #[must_use]
    pub fn at(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }
}

//! A client that watches an agent with `tail --json`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Running;
use super::farm::Farm;
use crate::agent::program;

/// A running `tail --json`, with what it has seen in a file.
#[derive(Debug)]
pub struct Tail {
    _process: Running,
    file: PathBuf,
}

impl Tail {
    /// Watches a farm from now on; what is seen goes to a file of this name in its folder.
    ///
    /// # Panics
    /// When the program cannot be run, or the agent does not let anybody watch.
    #[must_use]
    pub fn of(farm: &mut Farm, name: &str) -> Tail {
        let file = farm.folder.path().join(name);
        let seen = File::create(&file).expect("a file in the folder");
        let mut call = Command::new(program());
        call.args(["tail", "--json", "--socket"])
            .arg(farm.socket())
            .stdin(Stdio::null())
            .stdout(seen)
            .stderr(Stdio::null());
        let process = Running::start(&mut call).expect("it starts");
        let tail = Tail { _process: process, file };
        farm.until("somebody watches", |_| tail.text().contains("\"connected\""));
        tail
    }

    /// All that was seen, the greeting included.
    ///
    /// # Panics
    /// When the file is gone.
    #[must_use]
    pub fn text(&self) -> String {
        fs::read_to_string(&self.file).expect("the file it writes to")
    }

    /// The transitions, as they were said.
    ///
    /// # Panics
    /// When the agent left some out because they were read too slowly.
    #[must_use]
    pub fn transitions(&self) -> Vec<String> {
        let text = self.text();
        assert!(!text.contains("\"missed\""), "it was too slow");
        text.lines().filter(|line| !line.contains("\"connected\"")).map(str::to_owned).collect()
    }
}

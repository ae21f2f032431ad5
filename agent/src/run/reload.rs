//! `config.d` is watched: what changes there is checked and takes effect, or is refused with the running one kept.
//!
//! On a thread of its own: reading and checking takes its time, and no change is forgotten over what else happens.

mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tilth_config::{Loaded, Purpose};
use tokio::sync::mpsc;

use super::Farm;
use super::herald::Herald;
use crate::decide::Command;
use crate::findings;
use crate::output::tell;
use crate::seen::Seen;
use crate::sense::Sources;
use crate::sync::bundle::{self, Ruling, ignored, say_ignored};
pub(super) use watch::seen;
use watch::{LOOK_AGAIN, Watch};

/// Reads a configuration folder anew when it changes.
pub(super) struct Reload {
    pub(super) folder: PathBuf,
    /// What runs.
    pub(super) ruling: Ruling,
    pub(super) commands: mpsc::Sender<Command>,
    /// To whoever reads the sensors: what is to be read from now on.
    pub(super) sources: mpsc::Sender<Sources>,
    pub(super) herald: Herald,
}

impl Reload {
    /// For as long as the process runs; `seen` is how the folder looked when it was read last.
    pub(super) fn start(self, seen: Seen) -> io::Result<()> {
        let mut watch = Watch::new(self.folder.clone(), seen, LOOK_AGAIN);
        std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
            loop {
                watch.wait();
                self.read();
            }
        })?;
        Ok(())
    }

    fn read(&self) {
        let turn = Arc::clone(&self.ruling.turn);
        let _turn = turn.blocking_lock();
        let (loaded, farm_of): (Loaded, fn(Loaded) -> Option<Farm>) = match self.ruling.bundle() {
            // `agent.toml` is read anew; what is in `config.d` means nothing while a bundle rules.
            Some(bundle) => {
                say_ignored(&ignored(&self.folder));
                (bundle::compile(&bundle, bundle::site(&self.folder)), Farm::of_hub)
            }
            None => (tilth_config::load(&self.folder, Purpose::Run), Farm::of_files),
        };
        let problems: Vec<String> = findings::shown(&loaded, false).collect();
        let farm = if loaded.has_errors() { None } else { farm_of(loaded) };
        match farm {
            Some(farm) => self.apply(farm),
            None => self.refuse(problems),
        }
    }

    fn apply(&self, farm: Farm) {
        let hash = &farm.configured.hash;
        if !self.ruling.run(hash) {
            return self.herald.enters(farm.papers);
        }
        let _ = self.commands.blocking_send(diagnosis(json!({ "hash": hash, "state": "applied" })));
        let _ = self.commands.blocking_send(Command::Plan(Box::new(farm.configured)));
        let _ = self.sources.blocking_send(farm.sources);
        self.herald.enters(farm.papers);
    }

    fn refuse(&self, problems: Vec<String>) {
        tell("tilth-agent: the changed configuration is refused; the running one stays:");
        problems.iter().for_each(tell);
        let _ = self.commands.blocking_send(refusal(&problems));
        self.herald.facts.refused(problems);
    }
}

/// What lies in the folder is refused: for the hub.
pub(super) fn refusal(problems: &[String]) -> Command {
    diagnosis(json!({ "state": "refused", "problems": problems }))
}

fn diagnosis(body: Value) -> Command {
    let body = match body {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    Command::Diagnose("configuration", body)
}

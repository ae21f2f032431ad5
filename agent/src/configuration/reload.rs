//! `config.d` is watched: what changes there is checked and takes effect, or is refused with the running one kept.
//!
//! On a thread of its own: reading and checking takes its time, and no change is forgotten over what else happens.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tilth_config::{Files, Loaded, Purpose};
use tilth_core::plan::Plan;
use tokio::sync::mpsc;

use super::patience::{self, Patience, QUIET, Running, Verdict, taken_out};
use super::reporter::Herald;
use super::watch::{LOOK_AGAIN, Watch};
use crate::configuration::bundle::{self, Ruling, ignored, say_ignored};
use crate::configuration::file_stamps::Seen;
use crate::daemon::Farm;
use crate::decide::Command;
use crate::findings;
use crate::output::tell;
use crate::sense::Sources;

/// What goes is named up to this many, and then counted.
const NAMED: usize = 5;

/// Reads a configuration folder anew when it changes.
pub(crate) struct Reload {
    pub(crate) folder: PathBuf,
    /// What runs.
    pub(crate) ruling: Ruling,
    pub(crate) commands: mpsc::Sender<Command>,
    /// To whoever reads the sensors: what is to be read from now on.
    pub(crate) sources: mpsc::Sender<Sources>,
    pub(crate) herald: Herald,
    pub(crate) since: Since,
}

/// What a change is held against, and since when it waits.
pub(crate) struct Since {
    files: Files,
    plan: Arc<Plan>,
    patience: Patience,
    /// What it was last said to take away.
    said: Vec<String>,
}

impl Since {
    /// That which is in force.
    pub(crate) fn of(farm: &Farm) -> Since {
        Since {
            files: farm.papers.files.clone(),
            plan: Arc::clone(&farm.configured.plan),
            patience: Patience::default(),
            said: Vec::new(),
        }
    }

    /// What another one takes away from it.
    fn taken_away(&self, farm: &Farm) -> Vec<String> {
        let before = Running { files: &self.files, plan: &self.plan };
        patience::taken_away(&before, &Running { files: &farm.papers.files, plan: &farm.configured.plan })
    }
}

impl Reload {
    /// For as long as the process runs; `seen` is how the folder looked when it was read last.
    pub(crate) fn start(mut self, seen: Seen) -> io::Result<()> {
        let mut watch = Watch::new(self.folder.clone(), seen, LOOK_AGAIN);
        std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
            let (mut due, mut changed) = (None, Instant::now());
            loop {
                if watch.wait(due) {
                    changed = Instant::now();
                }
                due = self.read(changed);
            }
        })?;
        Ok(())
    }

    /// Reads the folder, which changed last at `changed`. Says when to look again, where a change waits.
    fn read(&mut self, changed: Instant) -> Option<Instant> {
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
        let Some(farm) = farm else {
            self.refuse(problems);
            return None;
        };
        // A bundle is whole by its signature, and what it takes away it means to.
        let gone = match self.ruling.bundle() {
            Some(_) => taken_out(&self.since.files, &farm.papers.files),
            None => self.since.taken_away(&farm),
        };
        match self.since.patience.judge(Instant::now(), changed, !gone.is_empty()) {
            Verdict::Wait(due) => {
                self.say_waits(gone);
                Some(due)
            }
            Verdict::Apply => {
                self.apply(farm);
                None
            }
        }
    }

    /// Once for each list of what goes.
    fn say_waits(&mut self, gone: Vec<String>) {
        if self.since.said == gone {
            return;
        }
        let more = gone.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = gone[..gone.len().min(NAMED)].join(", ");
        tell(format_args!(
            "tilth-agent: the changed configuration takes away {named}{more}: it takes effect once its files have been quiet \
             for {} s",
            QUIET.as_secs()
        ));
        let _ = self.commands.blocking_send(diagnosis(json!({ "state": "waiting", "takes_away": gone })));
        self.since.said = gone;
    }

    fn apply(&mut self, farm: Farm) {
        self.since = Since::of(&farm);
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
pub(crate) fn refusal(problems: &[String]) -> Command {
    diagnosis(json!({ "state": "refused", "problems": problems }))
}

fn diagnosis(body: Value) -> Command {
    let body = match body {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    Command::Diagnose("configuration", body)
}

//! Bundles as they come: judged, tried, and kept or refused. And what else sync has to say.
//!
//! ```text
//! bytes -> judge -> staged -> trial noted -> compile -> decide takes the plan -> bundle.good
//!             |        `---------'-- the disk fails:  |      the last good one stays, and it comes again
//!             `---------------------------------------'-- refused: remembered by hash, said to people and to the hub
//! ```
//!
//! A disk that fails is no fault of a bundle: it counts as no trial.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tilth_config::bundle::{Bundle, TrustedKey};
use tilth_sync::driver::{Event, Order};
use tilth_sync::engine::{AlertKind, Holding};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::bundle::{self, Judged, Refusal, Ruling, say_ignored};
use super::bundle_files::{Kept, Memory, Refused, Trial};
use crate::clock::Source;
use crate::configuration::reporter::Herald;
use crate::daemon::Farm;
use crate::decide::Command;
use crate::output::tell;
use crate::sense::Sources;
use crate::sync::status::{Running, SyncStatus};
use crate::sync::{Home, beside, object};

/// A bundle that the agent did not outlive so often is refused.
const TRIES: u32 = 3;

/// Between two tries to keep a bundle that is in force.
const KEEP_AGAIN: Duration = Duration::from_secs(60);

/// Hears what sync has to say.
pub(crate) struct Bundles {
    home: Home,
    source: Source,
    trusted: watch::Receiver<TrustedKey>,
    kept: Kept,
    memory: Memory,
    /// What is in force and could not be kept.
    unkept: Option<Arc<Vec<u8>>>,
    commands: mpsc::Sender<Command>,
    sources: mpsc::Sender<Sources>,
    orders: mpsc::Sender<Order>,
    ruling: Ruling,
    herald: Herald,
    status: SyncStatus,
    /// Why the hub takes nothing.
    refusals: BTreeSet<AlertKind>,
    /// What decide was told of that.
    accepts: Option<bool>,
}

impl Bundles {
    #[expect(clippy::too_many_arguments, reason = "each end of a channel once")]
    pub(crate) fn new(
        home: Home,
        source: Source,
        trusted: watch::Receiver<TrustedKey>,
        commands: mpsc::Sender<Command>,
        sources: mpsc::Sender<Sources>,
        orders: mpsc::Sender<Order>,
        ruling: Ruling,
        herald: Herald,
        status: SyncStatus,
    ) -> Bundles {
        let kept = Kept::new(&home.data);
        let memory = Memory { highest: ruling.highest(), ..kept.memory() };
        status.refused(memory.refused.clone());
        Bundles {
            home,
            source,
            trusted,
            kept,
            memory,
            unkept: None,
            commands,
            sources,
            orders,
            ruling,
            herald,
            status,
            refusals: BTreeSet::new(),
            accepts: None,
        }
    }

    /// Runs until nobody tells anything any more.
    pub(crate) async fn run(mut self, mut told: mpsc::Receiver<Event>) {
        // Where the memory was lost, the last good bundle has the highest version.
        if self.kept.highest() < self.memory.highest {
            self.remember().await;
        }
        let mut again = interval(KEEP_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = told.recv() => match event {
                    Some(event) => self.hear(event).await,
                    None => return,
                },
                _ = again.tick(), if self.unkept.is_some() => self.keep_again().await,
            }
        }
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::Bundle { bytes, .. } => self.take(bytes).await,
            Event::Status(status) => {
                let is_heard = status.last_success.is_some();
                self.status.engine(*status);
                if is_heard && self.refusals.is_empty() {
                    self.tell_accepts(true).await;
                }
            }
            Event::LocalAlert(alert) => self.alert(alert.kind, Some(alert.reason)).await,
            Event::AllClear(kind) => self.alert(kind, None).await,
        }
    }

    /// Once for each change.
    async fn tell_accepts(&mut self, accepts: bool) {
        if self.accepts.replace(accepts) != Some(accepts) {
            let _ = self.commands.send(Command::Hub { accepts }).await;
        }
    }

    async fn alert(&mut self, kind: AlertKind, reason: Option<String>) {
        // Rows that were set aside are for whoever mends the program; the others wait for somebody on the farm.
        if kind != AlertKind::RowsQuarantined {
            if reason.is_some() {
                self.refusals.insert(kind)
            } else {
                self.refusals.remove(&kind)
            };
            let accepts = self.refusals.is_empty();
            self.tell_accepts(accepts).await;
        }
        let word = json!(kind);
        let word = word.as_str().unwrap_or_default();
        match &reason {
            Some(reason) => tell(format_args!("tilth-agent: sync: {word}: {reason}")),
            None => tell(format_args!("tilth-agent: sync: {word} is over")),
        }
        if let (AlertKind::ConfirmedUnknown, Some(_)) = (kind, &reason) {
            self.say_history_is_missing().await;
        }
        let body = json!({ "alert": word, "over": reason.is_none(), "reason": reason });
        let _ = self.commands.send(Command::Diagnose("sync", object(body))).await;
        self.status.alert(kind, reason);
    }

    /// The hub has more of this stream than the database here: it is an older copy, which nothing on this machine may show.
    async fn say_history_is_missing(&self) {
        let reason = "the hub has more of it than the database here, which is an older copy";
        let body = json!({ "message": format!("history is missing: {reason}"), "reason": reason, "certain": true });
        let _ = self.commands.send(Command::Happened("history-missing", object(body))).await;
        tell(format_args!("tilth-agent: sync: history is missing: {reason}"));
        self.herald.facts.missing(format!("history is missing: {reason}"));
    }

    async fn take(&mut self, bytes: Vec<u8>) {
        let (hash, key) = (sha256(&bytes), *self.trusted.borrow());
        // With another key it may be good.
        let is_it = |refused: &Refused| refused.hash == hash && refused.trusted == key.id().to_string();
        if self.memory.refused.as_ref().is_some_and(is_it) {
            return;
        }
        let turn = Arc::clone(&self.ruling.turn);
        let _turn = turn.lock().await;
        let (bytes, home) = (Arc::new(bytes), self.home.clone());
        let (of_bytes, ruling) = (Arc::clone(&bytes), self.ruling.clone());
        match thought(None, move || bundle::judge(&of_bytes, &key, &home, &ruling)).await {
            Err(refusal) => self.refuse(hash, refusal).await,
            Ok(Judged::Known) => {}
            Ok(Judged::SameContent(bundle)) => self.renumber(*bundle, bytes).await,
            Ok(Judged::New(bundle)) => self.attempt(*bundle, bytes, hash).await,
        }
    }

    /// From its content on, all is a trial: the agent may not outlive even to read it.
    async fn attempt(&mut self, bundle: Bundle, bytes: Arc<Vec<u8>>, hash: String) {
        let times = self.memory.trial.as_ref().filter(|trial| trial.hash == hash).map_or(0, |trial| trial.times);
        if times >= TRIES {
            let reason = format!("the agent did not outlive it {times} times");
            return self.refuse(hash, Refusal { version: Some(bundle.version), reason }).await;
        }
        if let Err(why) = self.note_trial(Trial { hash: hash.clone(), times: times + 1 }, Arc::clone(&bytes)).await {
            return self.wait_for_disk(bundle.version, &why).await;
        }
        let (bundle, home, source) = (Arc::new(bundle), self.home.clone(), self.source);
        let (to_read, before) = (Arc::clone(&bundle), self.herald.site());
        match thought(Some(bundle.version), move || bundle::farm(&to_read, &home, source, before)).await {
            Err(refusal) => self.refuse(hash, refusal).await,
            Ok(farm) => self.apply(bundle, farm, bytes).await,
        }
    }

    async fn refuse(&mut self, hash: String, refusal: Refusal) {
        let Refusal { version, reason } = refusal;
        let named = version.map_or("a bundle".to_owned(), |version| format!("bundle {version}"));
        tell(format_args!("tilth-agent: sync: {named} is refused and the running configuration stays: {reason}"));
        let body = json!({ "version": version, "hash": hash, "outcome": "refused", "reason": reason });
        let _ = self.commands.send(Command::Happened("bundle", object(body))).await;
        self.herald.facts.refused(vec![format!("{named}: {reason}")]);
        let refused = Refused { hash, trusted: self.trusted.borrow().id().to_string(), version, reason };
        self.status.refused(Some(refused.clone()));
        self.memory = Memory { refused: Some(refused), trial: None, ..self.memory };
        self.remember().await;
    }

    /// What runs has another number from now on; nothing starts anew.
    async fn renumber(&mut self, bundle: Bundle, bytes: Arc<Vec<u8>>) {
        if let Err(why) = self.on_disk(move |kept| kept.put_good(&bytes)).await {
            return self.wait_for_disk(bundle.version, &why).await;
        }
        self.unkept = None;
        self.rule(Arc::new(bundle), "same-content").await;
    }

    async fn apply(&mut self, bundle: Arc<Bundle>, farm: Farm, bytes: Arc<Vec<u8>>) {
        let Farm { configured, sources, papers, .. } = farm;
        let hash = configured.hash.clone();
        let (done, taken) = oneshot::channel();
        if self.ruling.run(&hash) {
            let _ = self.commands.send(Command::Plan(Box::new(configured))).await;
            let _ = self.sources.send(sources).await;
        }
        let _ = self.commands.send(Command::Taken(done)).await;
        if taken.await.is_err() {
            // The process ends; what was tried is counted.
            return;
        }
        let (version, kept) = (bundle.version, self.on_disk(Kept::keep_staged).await);
        self.herald.enters(papers);
        self.rule(bundle, "applied").await;
        self.unkept = kept.is_err().then_some(bytes);
        if let Err(why) = kept {
            self.say_wait(format!("bundle {version} is in force, and kept once the disk takes it: {why}"));
        }
    }

    /// Counted before the bundle is tried, for the agent may not outlive it; only once it is staged, for a trial that did
    /// not take place must not count.
    async fn note_trial(&mut self, trial: Trial, bytes: Arc<Vec<u8>>) -> Result<(), String> {
        let memory = Memory { trial: Some(trial), ..self.memory.clone() };
        let noted = memory.clone();
        self.on_disk(move |kept| kept.stage(&bytes).and_then(|()| kept.remember(&noted))).await?;
        self.memory = memory;
        Ok(())
    }

    /// Until then a start begins with the one before, which the hub replaces as soon as it is reached.
    async fn keep_again(&mut self) {
        let Some(bytes) = self.unkept.clone() else { return };
        if self.on_disk(move |kept| kept.put_good(&bytes)).await.is_ok() {
            self.unkept = None;
            self.status.waits(None);
            tell("tilth-agent: sync: the disk took the bundle that is in force");
            self.remember().await;
        }
    }

    async fn rule(&mut self, bundle: Arc<Bundle>, outcome: &str) {
        let (version, hash) = (bundle.version, bundle.hash.to_string());
        self.ruling.rule(bundle);
        let _ = self.orders.send(Order::Holding(self.ruling.holding())).await;
        let folder = self.home.folder.clone();
        let ignored = beside(move || bundle::ignored(&folder)).await.unwrap_or_default();
        tell(format_args!("tilth-agent: sync: bundle {version} is in force ({outcome}, content {})", &hash[..8]));
        say_ignored(&ignored);
        let body = json!({ "version": version, "hash": hash, "outcome": outcome, "reason": null });
        let _ = self.commands.send(Command::Happened("bundle", object(body))).await;
        self.status.runs(Running { version, hash }, ignored);
        self.status.refused(None);
        self.memory = Memory { highest: self.ruling.highest(), ..Memory::default() };
        self.remember().await;
    }

    /// Not refused: it comes again with the next pull, which no tag keeps from bringing it.
    async fn wait_for_disk(&mut self, version: u64, why: &str) {
        self.say_wait(format!("bundle {version} waits until the disk takes it: {why}"));
        let holding = Holding { etag: None, ..self.ruling.holding() };
        let _ = self.orders.send(Order::Holding(holding)).await;
    }

    /// A disk may be full for weeks: once for each reason.
    fn say_wait(&self, why: String) {
        let line = format!("tilth-agent: sync: {why}");
        if self.status.waits(Some(why)) {
            tell(line);
        }
    }

    async fn remember(&self) {
        let memory = self.memory.clone();
        if let Err(why) = self.on_disk(move |kept| kept.remember(&memory)).await {
            tell(format_args!("tilth-agent: sync: what became of a bundle cannot be kept: {why}"));
        }
    }

    /// A disk that hangs holds up a thread of its own, not decide.
    async fn on_disk(&self, what: impl FnOnce(&Kept) -> std::io::Result<()> + Send + 'static) -> Result<(), String> {
        let kept = self.kept.clone();
        match beside(move || what(&kept)).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(failed) => Err(format!("{failed:#}")),
        }
    }
}

/// What takes its time to think about, on a thread of its own.
async fn thought<T: Send + 'static>(
    version: Option<u64>,
    about: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = |_| Err(Refusal { version, reason: "checking it failed".to_owned() });
    tokio::task::spawn_blocking(about).await.unwrap_or_else(failed)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;

//! The unit that carries an update out, as root: at its first start, and again at each boot until the update is over.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use hyper::Method;

use super::health::{Seen, Trial, Working};
use super::package::{PROGRAM, said, said_within};
use super::state::Effect;
use super::{Job, Place, UPDATER, data};
use crate::api::rows::{Note, StatusRow};
use crate::cli;
use crate::clock::machine_uptime;
use crate::commands::client::{Client, post, request};
use crate::console::tell;

/// Between two looks at the new version.
const LOOK: Duration = Duration::from_secs(1);

/// How often the agent is asked to note what became of the update; it may just have been started.
const NOTE_TRIES: u32 = 60;

/// The service of the agent.
const SERVICE: &str = "tilth-agent.service";

/// Goes on with the update in the folder, to its end.
///
/// # Errors
/// What keeps it from its end; the unit starts again. The agent runs meanwhile.
pub(super) fn go_on(place: &Place) -> anyhow::Result<()> {
    let _locked = place.packages.lock()?;
    let mut job = match place.read() {
        Ok(Some(job)) => job,
        // Nothing is known of the update: dpkg finishes what it began.
        unreadable => {
            place.packages.finish();
            place.clean()?;
            return unreadable.map(drop);
        }
    };
    job.state = job.state.cut_off();
    if job.boot != place.boot() {
        job.boot.clear();
    }
    // Whoever has stopped the agent may have their hands in what it switches, and dpkg's scripts start a service that is enabled.
    if job.is_stopped() {
        told(systemctl(&["mask", "--runtime"]));
    }
    let ended = carry_out(place, &mut job);
    if job.is_stopped() {
        told(systemctl(&["unmask", "--runtime"]));
    }
    if let Some(is_enabled) = job.is_enabled {
        told(systemctl(&[if is_enabled { "enable" } else { "disable" }]));
    }
    // A boot in between starts what is enabled.
    if !job.is_stopped() && (job.before.is_some() || job.is_enabled == Some(true)) {
        told(systemctl(&["start"]));
    }
    ended?;
    place.clean()?;
    note(&job);
    Ok(())
}

/// Carries out each state's effect, once the state is on the disk.
fn carry_out(place: &Place, job: &mut Job) -> anyhow::Result<()> {
    loop {
        place.write(job)?;
        tell(job.said());
        let Some(effect) = job.state.effect() else { return Ok(()) };
        let done = match effect {
            Effect::CopyData => copy_data(place, job),
            Effect::Install => install(place),
            Effect::Prove => prove(place, job),
            Effect::PutBack => {
                put_back(place, job)?;
                Ok(())
            }
        };
        job.state = job.state.clone().after(done.map_err(|error| format!("{error:#}")));
    }
}

/// Keeps a copy of the database where the new version makes one of it that the old one cannot open. Nobody watches while it is made.
fn copy_data(place: &Place, job: &Job) -> anyhow::Result<()> {
    if !job.copies_data {
        return Ok(());
    }
    systemctl(&["stop"])?;
    let copied = data::copy(&job.data, &place.data()).context("a copy of the database");
    if copied.is_err() {
        data::remove_folder(&place.data())?;
        start_agent(job);
    }
    copied
}

fn install(place: &Place) -> anyhow::Result<()> {
    place.packages.finish();
    place.packages.install(&place.new_package())
}

fn prove(place: &Place, job: &Job) -> anyhow::Result<()> {
    let Some(before) = &job.before else { return check_configuration(place, job) };
    start_agent(job);
    let mut trial = Trial::begin(machine_uptime(), job.proven_after);
    loop {
        if let Some(ended) = trial.look(machine_uptime(), before, look(&job.agent()).as_ref()) {
            return ended.map_err(anyhow::Error::msg);
        }
        thread::sleep(LOOK);
    }
}

/// What can be known of a version that does not run: it takes the configuration that the old one takes.
fn check_configuration(place: &Place, job: &Job) -> anyhow::Result<()> {
    let root = &place.packages.root;
    let (folder, data) = (root.join("etc/tilth").display().to_string(), job.data.display().to_string());
    let check =
        |program: &Path| said_within(job.proven_after, program, &["check", "--config", &folder, "--data", &data]);
    if check(&place.folder.join(UPDATER)).is_ok() {
        check(&root.join(PROGRAM))
            .with_context(|| format!("it does not take the configuration, which {} takes", job.from))?;
    }
    Ok(())
}

/// Puts the old version back, and the database before it: an agent that starts in between is the new one, and this is done again.
fn put_back(place: &Place, job: &Job) -> anyhow::Result<()> {
    let is_back = place.packages.installed().is_ok_and(|installed| installed.version == job.from);
    if !is_back {
        // What can fail does so while the new version still watches. What comes then is repeated as a whole.
        place.packages.can_install(&place.old_package())?;
        if job.copies_data {
            data::is_there(&place.data()).and_then(|()| data::is_there(&job.data)).context("the database")?;
        }
        // Starts the new version, which changes the database: nothing does once that is put back.
        place.packages.finish();
        systemctl(&["stop"])?;
        if job.copies_data {
            data::put_back(&place.data(), &job.data).context("the copy of the database")?;
        }
        place.packages.install(&place.old_package())?;
    }
    start_agent(job);
    Ok(())
}

/// What the running agent says of itself; none where none answers, or one whose program is no longer there.
pub(super) fn look(agent: &cli::AgentAddress) -> Option<Seen> {
    let client = Client::find(agent).ok()??;
    let process = client.process?;
    let program = fs::read_link(format!("/proc/{process}/exe")).ok()?;
    let is_replaced = program.to_string_lossy().ends_with(" (deleted)");
    let status: StatusRow = client.row(request(Method::GET, "/api/v1/status").ok()?).ok()?;
    (!is_replaced).then(|| Seen { process, working: Working::of(&status) })
}

/// State of the agent's service.
pub(super) struct Service {
    /// systemd runs the agent, or is about to.
    pub(super) is_running: bool,
    /// Whether it starts at boot; none where it is neither enabled nor disabled.
    pub(super) is_enabled: Option<bool>,
}

/// What systemd says of the agent's service.
pub(super) fn service() -> anyhow::Result<Service> {
    let said = systemctl(&["show", "--property=ActiveState,UnitFileState"])?;
    let is = |line: &str| said.lines().any(|said| said == line);
    let is_still = ["inactive", "failed", "deactivating"].iter().any(|state| is(&format!("ActiveState={state}")));
    let is_enabled = match (is("UnitFileState=enabled"), is("UnitFileState=disabled")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    Ok(Service { is_running: !is_still, is_enabled })
}

/// Has systemd do something with the agent's service.
fn systemctl(words: &[&str]) -> anyhow::Result<String> {
    said(Command::new("systemctl").args(words).arg(SERVICE))
}

/// Starts the agent where one ran before; one that runs already goes on.
fn start_agent(job: &Job) {
    if job.before.is_some() {
        told(systemctl(&["start"]));
    }
}

/// Says what systemd did not do. The update goes on without.
fn told(done: anyhow::Result<String>) {
    if let Err(error) = done {
        tell(format_args!("update: {error:#}"));
    }
}

/// Has the agent note what became of the update: people see it on site and at the hub.
fn note(job: &Job) {
    let note = || -> anyhow::Result<()> {
        let body = Note { text: job.said(), by: "tilth-agent update".to_owned() };
        Client::connect(&job.agent())?.send(post("/api/v1/notes", &body)?).map(drop)
    };
    let tries = if job.before.is_some() { NOTE_TRIES } else { 0 };
    for _ in 0..tries {
        if note().is_ok() {
            return;
        }
        thread::sleep(LOOK);
    }
}

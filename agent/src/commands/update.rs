//! `tilth-agent update`: installs a signed package with a way back.
//!
//! ```text
//! stick: list of sums, package --> signature, sum, version, start --> /var/lib/tilth-update --> tilth-update.service --> proven: stays
//!                 installed files --> the way back, as a package -----'                              `--> not: old package, old data
//! ```
//!
//! This command checks and stages; only the unit (`unit.rs`) touches what is installed. The program that the unit runs is a copy of the old
//! version, so it goes on after a power cut whatever the new one can do. The state (`state.rs`) is durable before each effect, and each effect can
//! be repeated from its beginning.

mod data;
mod health;
mod package;
mod signed;
mod state;
mod unit;

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tilth_core::time::Span;

use self::health::Working;
use self::package::{Description, Packages, said};
use self::state::{Effect, State};
use super::{is_root, trusted_key};
use crate::console::{Console, tell};
use crate::exit::Exit;
use crate::{cli, daemon, durable, store};

/// The unit that installs.
const UNIT: &str = "tilth-update.service";

/// Folder of an update, below the root; only root may look into it.
const FOLDER: &str = "var/lib/tilth-update";

const NEW: &str = "new.deb";

const STATE: &str = "state.json";

/// The program of the old version, which the unit runs; there while an update is under way.
const UPDATER: &str = "tilth-agent";

/// Room that is left beside what an update needs, in bytes.
const SPARE: u64 = 64 << 20;

/// A state that lasts for longer is remarked.
const LONG: Duration = Duration::from_secs(60);

/// Between two looks at the state of the update.
const LOOK: Duration = Duration::from_millis(500);

/// An update: content of its state file.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    /// Versions of the packages.
    from: String,
    to: String,
    /// Time in UTC, by the machine's clock.
    began: String,
    /// What worked before; none where no agent ran, so the new version is not tried.
    before: Option<Working>,
    /// Whether the agent starts at boot; none where that is neither enabled nor disabled, such as masked.
    #[serde(default)]
    is_enabled: Option<bool>,
    /// Boot of the machine in which it began; empty once there was another one.
    #[serde(default)]
    boot: String,
    /// The old version cannot open what the new one makes of the database, so a copy is kept.
    copies_data: bool,
    proven_after: Span,
    data: PathBuf,
    socket: Option<PathBuf>,
    state: State,
}

/// State of an update as `--json` prints it.
#[derive(Serialize)]
struct UpdateRow<'a> {
    began: &'a str,
    from: &'a str,
    to: &'a str,
    /// Such as `proving`, `updated` or `returned`.
    state: &'static str,
    why: Option<&'a str>,
    message: String,
}

/// System that is updated, with the folder of the update.
struct Place {
    packages: Packages,
    folder: PathBuf,
}

pub(crate) fn update(wanted: &cli::Update) -> anyhow::Result<Exit> {
    let mut console = Console::new();
    if wanted.describe {
        console.json(&Description { layout: store::LAYOUT })?;
        console.flush()?;
        return Ok(Exit::Done);
    }
    let place = Place { packages: Packages { root: wanted.root.clone() }, folder: wanted.root.join(FOLDER) };
    if wanted.go_on {
        return unit::go_on(&place).map(|()| Exit::Done);
    }
    if wanted.status {
        let job = place.read()?.context("no update was made here")?;
        job.show(wanted.json, &mut console)?;
        console.flush()?;
        return Ok(Exit::Done);
    }
    ensure!(is_root() || wanted.root != Path::new("/"), "an update needs root: run it with sudo");
    place.packages.are_writable()?;
    let locked = place.lock()?;
    let job = match stage(&place, wanted) {
        Ok(Some(job)) => job,
        Ok(None) => return Ok(Exit::Done),
        Err(error) => {
            place.clean()?;
            bail!("{error:#}; nothing was changed");
        }
    };
    if let Err(error) = place.begin(&job) {
        place.clean()?;
        bail!("the update cannot begin: {error:#}; nothing was changed");
    }
    drop(locked);
    follow(&place, wanted.json, &mut console)
}

/// Checks the package, and puts everything that the unit needs into the folder of the update. None where that version is installed already.
fn stage(place: &Place, wanted: &cli::Update) -> anyhow::Result<Option<Job>> {
    let installed = place.packages.installed().context("what is installed")?;
    place.packages.are_whole()?;
    let key = trusted_key(&wanted.trusted_key)?;
    let path = wanted.path.as_deref().context("expected a package, or the folder with it")?;
    let bytes = signed::read(path, &key, &installed.architecture)?;
    place.clean()?;
    durable::write(&place.folder, NEW, &bytes).with_context(|| place.shown())?;
    let (name, offered) = package::version_of(&place.new_package())?;
    let (from, to) = (installed.version, offered.version);
    ensure!(name == package::NAME, "the package is {name}; expected {}", package::NAME);
    ensure!(
        offered.architecture == installed.architecture,
        "the package is for {}, and this machine is {}",
        offered.architecture,
        installed.architecture
    );
    if from == to {
        tell(format_args!("tilth-agent: version {to} is installed already"));
        place.clean()?;
        return Ok(None);
    }
    ensure!(
        wanted.allow_downgrade || package::is_newer(&to, &from)?,
        "version {to} is older than {from}, which is installed; --allow-downgrade installs it all the same"
    );
    let proven_after = wanted.prove_for.unwrap_or(health::PROVEN);
    let description = package::describe(&place.new_package(), &place.work("new"), proven_after)
        .with_context(|| format!("the package {name} {to} cannot be installed: its program does not start here"))?;
    ensure!(
        description.layout >= store::LAYOUT,
        "version {to} cannot open the database: it knows layouts up to {}, and {from} writes {}",
        description.layout,
        store::LAYOUT
    );
    place.packages.pack(&place.work("old"), &place.old_package()).context("the way back")?;
    place.packages.can_install(&place.new_package())?;
    let agent = &wanted.agent;
    let service = unit::service()?;
    let before = before(agent, service.is_running, proven_after)?;
    // A device without an agent and without a database has nothing to copy.
    let copies_data = description.layout > store::LAYOUT && (before.is_some() || data::is_there(&agent.data).is_ok());
    let needed = SPARE + if copies_data { room_for_copy(&agent.data, &place.folder) } else { 0 };
    if let Some(free) = daemon::free_bytes(&place.folder).filter(|free| *free < needed) {
        bail!("{}: {} MiB are free, and the update needs {} MiB", place.shown(), free >> 20, needed >> 20);
    }
    place.copy_program()?;
    Ok(Some(Job {
        from,
        to,
        began: Timestamp::now().to_string(),
        before,
        is_enabled: service.is_enabled,
        boot: place.boot(),
        copies_data,
        proven_after,
        data: agent.data.clone(),
        socket: agent.socket.clone(),
        state: State::Staged,
    }))
}

/// Bytes of a copy of the database, with those that the agent keeps free on its disk: below them it deletes readings.
fn room_for_copy(data: &Path, folder: &Path) -> u64 {
    let disk = |folder: &Path| fs::metadata(folder).map(|found| found.dev()).ok();
    let kept_free = if disk(data) == disk(folder) { daemon::DEFAULT_POLICY.least_free_bytes } else { 0 };
    data::size(data) + kept_free
}

/// What works now; none where no agent runs. One that was just started gets some time to answer.
fn before(agent: &cli::AgentAddress, is_running: bool, proven_after: Span) -> anyhow::Result<Option<Working>> {
    let began = Instant::now();
    let mut seen = unit::look(agent);
    while is_running && seen.is_none() && began.elapsed().as_millis() < u128::from(proven_after.0.unsigned_abs() / 3) {
        thread::sleep(LOOK);
        seen = unit::look(agent);
    }
    ensure!(
        is_running || seen.is_none(),
        "an agent runs that the service tilth-agent did not start: end it, and run the same command again"
    );
    ensure!(
        !is_running || seen.is_some(),
        "the agent runs and does not answer, so nobody could say whether the new version works: sudo systemctl restart tilth-agent, and run the \
         same command again (--data DIR or --socket FILE, where its service has others than the usual); after sudo systemctl stop tilth-agent it \
         is installed without a trial"
    );
    Ok(seen.map(|seen| seen.working))
}

/// Shows each state of the update until the unit is done with it, and where to look when one lasts. It goes on without this.
fn follow(place: &Place, json: bool, console: &mut Console) -> anyhow::Result<Exit> {
    let (mut shown, mut since, mut outcome) = (None, Some(Instant::now()), None);
    loop {
        // After the last state the service is made as it was, and the unit's program goes.
        if let Some(exit) = outcome
            && !place.has_unit_program()
        {
            return Ok(exit);
        }
        if let Some(job) = place.read()?
            && shown.as_ref() != Some(&job.state)
        {
            job.show(json, console)?;
            console.flush()?;
            if job.state.effect().is_none() {
                outcome = Some(if job.state == State::Updated { Exit::Done } else { Exit::Failed });
            }
            // A trial may last.
            since = (job.state.effect() != Some(Effect::Prove)).then(Instant::now);
            shown = Some(job.state);
        }
        if since.take_if(|since| since.elapsed() > LONG).is_some() {
            tell("tilth-agent: this lasts; journalctl -u tilth-update says what it waits for");
        }
        thread::sleep(LOOK);
    }
}

impl Place {
    /// Makes the folder, for root alone, and keeps other calls of the command away until the update is begun.
    fn lock(&self) -> anyhow::Result<File> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        let lock = made.and_then(|()| File::open(&self.folder)).with_context(|| self.shown())?;
        let is_free = !matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
        ensure!(
            is_free && !self.has_unit_program(),
            "an update is under way: sudo tilth-agent update --status says where it is"
        );
        Ok(lock)
    }

    /// Whether the unit's program is there: an update is under way.
    fn has_unit_program(&self) -> bool {
        self.folder.join(UPDATER).exists()
    }

    /// Removes everything but the state, the unit's program last: as long as it is there the unit comes back.
    fn clean(&self) -> anyhow::Result<()> {
        for folder in [self.work("new"), self.work("old"), self.data()] {
            data::remove_folder(&folder).with_context(|| folder.display().to_string())?;
        }
        let files = [NEW, "new.deb.new", "old.deb", "tilth-agent.new", UPDATER];
        files.iter().try_for_each(|name| durable::remove(&self.folder, name)).with_context(|| self.shown())
    }

    /// Copies this program, which the unit runs from then on.
    fn copy_program(&self) -> anyhow::Result<()> {
        let bytes = fs::read("/proc/self/exe").context("this program")?;
        durable::write_new(&self.folder, UPDATER, &bytes).with_context(|| self.shown())?;
        let copied = durable::new_path(&self.folder, UPDATER);
        fs::set_permissions(&copied, Permissions::from_mode(0o700)).with_context(|| copied.display().to_string())
    }

    /// Hands the update to the unit. The unit's program comes last: before it is there nothing has begun, and whatever starts the unit from then
    /// on finds the state of this update.
    fn begin(&self, job: &Job) -> anyhow::Result<()> {
        self.write(job)?;
        durable::rename_new(&self.folder, UPDATER)?;
        said(Command::new("systemctl").args(["start", "--no-block", UNIT])).map(drop)
    }

    /// The update that is under way, or the last one. One that is not over and has no program for the unit was cut off before it began.
    fn read(&self) -> anyhow::Result<Option<Job>> {
        let path = self.folder.join(STATE);
        // Looked for first: the unit removes its program after the last state is written.
        let has_updater = self.has_unit_program();
        let read = durable::read(&path).and_then(|bytes| bytes.map(|bytes| durable::parse_checked(&bytes)).transpose());
        let mut job: Option<Job> =
            read.map_err(|error| anyhow!("{} {error}; only root may read it", path.display()))?;
        if let Some(job) = job.as_mut().filter(|job| !has_updater && job.state.effect().is_some()) {
            let why = "the command was cut off before it could begin; run it again";
            (job.state, job.boot) = (State::Abandoned { why: why.to_owned() }, String::new());
        }
        Ok(job)
    }

    /// Id of the running boot of the machine.
    fn boot(&self) -> String {
        fs::read_to_string(self.packages.root.join("proc/sys/kernel/random/boot_id")).unwrap_or_default()
    }

    fn write(&self, job: &Job) -> anyhow::Result<()> {
        let bytes = durable::with_checksum(job)?;
        durable::write(&self.folder, STATE, &bytes).with_context(|| self.folder.join(STATE).display().to_string())
    }

    fn new_package(&self) -> PathBuf {
        self.folder.join(NEW)
    }

    fn old_package(&self) -> PathBuf {
        self.folder.join("old.deb")
    }

    /// Copy of the database.
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Folder in which a package is taken apart or put together.
    fn work(&self, of: &str) -> PathBuf {
        self.folder.join(format!("{of}.files"))
    }

    fn shown(&self) -> String {
        self.folder.display().to_string()
    }
}

impl Job {
    fn agent(&self) -> cli::AgentAddress {
        cli::AgentAddress { socket: self.socket.clone(), data: self.data.clone() }
    }

    /// State of the update in words.
    fn said(&self) -> String {
        let Job { from, to, .. } = self;
        let said = match (&self.state, &self.before) {
            (State::Proving { .. }, None) => {
                format!("update from {from} to {to}: installed; no agent ran, so only the configuration is checked")
            }
            (State::Updated, None) => {
                format!(
                    "updated from {from} to {to}: no agent ran, so it was not tried; it takes the configuration as {from} does"
                )
            }
            _ => self.state.said(from, to),
        };
        if self.state.effect().is_some() {
            return said;
        }
        let stopped =
            if self.is_stopped() { "; the agent stays stopped: sudo systemctl start tilth-agent" } else { "" };
        let disabled =
            if self.is_enabled == Some(false) { "; the service stays disabled: it does not start at boot" } else { "" };
        said + stopped + disabled
    }

    /// Whether the agent was stopped when the update began, and no boot has started it since.
    fn is_stopped(&self) -> bool {
        self.before.is_none() && !self.boot.is_empty()
    }

    fn show(&self, json: bool, console: &mut Console) -> anyhow::Result<()> {
        if !json {
            return console.line(self.said());
        }
        let (state, why) = self.state.word();
        let Job { began, from, to, .. } = self;
        console.json(&UpdateRow { began, from, to, state, why, message: self.said() })
    }
}

//! The packages in a machine: a small Debian with systemd under qemu's software emulation, an agent and its hub, and a board on a USB serial
//! adapter. Installed with apt; a reading becomes an alert and arrives at the hub; a stopped agent is ended by systemd's watchdog; killed;
//! rebooted, also without the disk of its data; upgraded and downgraded with live data; the power cut in the middle of `dpkg -i`, with a disk that forgets
//! what was not flushed; updated with a way back: one that stays, one whose agent does not run and that returns, and one in whose trial the power is
//! cut; purged without a trace.
//!
//! The saboteur takes the watchdog away from the service.

mod disk;
pub(crate) mod farm;
pub(crate) mod image;
pub(crate) mod machine;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ring::digest::{SHA256, digest};
use tilth_config::bundle::SigningKey;
use tilth_config::release::seal_sums;
use tilth_tests::agent::{Folder, profile_folder};
use tilth_tests::random::Random;

use self::farm::Farm;
use self::image::Image;
use self::machine::{Hardware, Machine};
use crate::packages::{self, difference, newer, said};
use crate::{Length, Outcome, Run};

/// The longest that systemd leaves a stopped agent: the watchdog of the unit, and a minute to notice and start it again.
const WATCHDOG_PATIENCE: Duration = Duration::from_secs(60 + 60);

/// `Restart=` waits two seconds; the rest is the emulation.
const RESTART_PATIENCE: Duration = Duration::from_secs(60);

/// A trial takes 75 s.
const UPDATE_PATIENCE: Duration = Duration::from_secs(300);

/// A short run takes a watchdog of this, so that it is short.
const SHORT_WATCHDOG: &str = "15";

const SEED: u64 = 20;

/// Upper limit of the delay after a line of progress, in milliseconds.
const LATEST_CUT_MS: u64 = 400;

/// Seed of the key that signs the packages of updates.
const KEY: [u8; 32] = [8; 32];

/// A program in the place of the agent's that does everything but run.
const DEAD: &str = "#!/bin/sh\n[ \"$1\" != run ] || exit 1\nexec \"$(dirname \"$0\")/../lib/tilth/agent\" \"$@\"\n";

/// How dpkg tells its progress to the machine's other end.
const DPKG: &str = "dpkg --status-fd 3 --install";

/// A disk that is not there, as `docs/operations.md` enters it.
const DISK_OF_ITS_OWN: &str = "LABEL=tilth-data /var/lib/tilth ext4 \
    noatime,nofail,x-systemd.device-timeout=10s,x-systemd.before=tilth-agent.service 0 2";

struct Story {
    farm: Farm,
    run: Run,
    /// SHA-256 of the programs of the agent in the packages: the version under test, and a newer one.
    programs: [String; 2],
}

pub(crate) fn measure(run: Run) -> Outcome {
    measured(run).map_err(|error| format!("{error:#}"))
}

fn measured(run: Run) -> anyhow::Result<String> {
    let folder = Folder::new("vm");
    let target = profile_folder();
    let image = Image::made(target.parent().context("a profile's folder is in the target folder")?)?;
    let programs = put_packages(&packages_of(run, &folder)?, &folder)?;
    let began = Instant::now();
    let farm = Farm::new(Machine::new(folder.path(), Hardware::Pc(image))?);
    let mut story = Story { farm, run, programs };
    let told = story.tell();
    if told.is_err() {
        eprintln!("{}", story.farm.last_words());
    }
    let (boots, alerts) = (story.farm.machine.boots, story.farm.alerts);
    Ok(format!(
        "{}; {boots} boots, {alerts} alerts at agent and hub, {} s",
        told?.join("; "),
        began.elapsed().as_secs()
    ))
}

/// The folder with the packages of this machine: the one that `TILTH_PACKAGES` names, else built as the evidence `packages` builds them.
fn packages_of(run: Run, folder: &Folder) -> anyhow::Result<PathBuf> {
    match env::var_os("TILTH_PACKAGES") {
        Some(packages) => Ok(fs::canonicalize(packages)?),
        None => packages::of_this_machine(run.length, folder),
    }
}

/// Puts the packages on the disk `packages`: as they are in `old`, and under a higher version in `new`. The sums of the agent's programs.
fn put_packages(packages: &Path, folder: &Folder) -> anyhow::Result<[String; 2]> {
    let files = folder.path().join("files");
    let [old, new] = ["old", "new"].map(|version| files.join(version));
    for version in [&old, &new] {
        fs::create_dir_all(version)?;
    }
    for program in ["tilth-agent", "tilth-hub"] {
        let package = find(packages, program)?;
        let name = format!("{program}.deb");
        fs::copy(&package, old.join(&name))?;
        newer(&package, &new.join(&name), &folder.path().join("newer"))?;
    }
    let dead = files.join("dead");
    fs::create_dir(&dead)?;
    packages::rebuilt(
        &new.join("tilth-agent.deb"),
        &dead.join("tilth-agent.deb"),
        &folder.path().join("newer"),
        |root| {
            let program = root.join("usr/bin/tilth-agent");
            fs::rename(&program, root.join("usr/lib/tilth/agent"))?;
            fs::write(&program, DEAD)?;
            Ok(fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?)
        },
    )?;
    let key = SigningKey::from_seed(&KEY);
    for version in [&old, &new, &dead] {
        let sum = hex::encode(digest(&SHA256, &fs::read(version.join("tilth-agent.deb"))?));
        fs::write(version.join("SHA256SUMS.signed"), seal_sums(format!("{sum}  tilth-agent.deb\n").as_bytes(), &key))?;
    }
    fs::write(files.join("key.pub"), format!("{}\n", key.trusted()))?;
    image::file_system(&files, &folder.path().join("packages"), "128M")?;
    let agent = |version: &Path| program_of(&version.join("tilth-agent.deb"), folder);
    Ok([agent(&old)?, agent(&new)?])
}

/// The package of a program in a folder.
fn find(packages: &Path, program: &str) -> anyhow::Result<PathBuf> {
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(program) && name.ends_with("_amd64.deb")
    };
    let mut paths = fs::read_dir(packages)?.filter_map(Result::ok).map(|entry| entry.path());
    paths.find(is_it).with_context(|| format!("no package of {program} in {}", packages.display()))
}

/// SHA-256 of the program in a package.
fn program_of(package: &Path, folder: &Folder) -> anyhow::Result<String> {
    let unpacked = folder.path().join("unpacked");
    said(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    let entry = fs::read_dir(unpacked.join("usr/bin"))?.next().context("a package without a program")??;
    let sum = hex::encode(digest(&SHA256, &fs::read(entry.path())?));
    fs::remove_dir_all(&unpacked)?;
    Ok(sum)
}

/// Updates to the package in a folder of the stick.
fn update(version: &str) -> String {
    format!("tilth-agent update /packages/{version}/tilth-agent.deb --allow-downgrade --trusted-key /packages/key.pub")
}

impl Story {
    /// What was shown, a figure each.
    fn tell(&mut self) -> anyhow::Result<Vec<String>> {
        let mut facts = Vec::new();
        let mut tell = |fact: String| {
            println!("    {fact}");
            facts.push(fact);
        };
        self.farm.machine.power_on()?;
        let before = self.farm.files()?;
        tell(self.installs()?);
        tell(self.is_watched_over()?);
        tell(self.is_killed()?);
        if matches!(self.run.length, Length::Full) {
            tell(self.reboots()?);
            tell(self.boots_without_its_disk()?);
            tell(self.installs_again("new", "upgrade")?);
            tell(self.installs_again("old", "downgrade")?);
            tell(self.updates()?);
        }
        tell(self.power_is_cut()?);
        tell(self.is_purged(&before)?);
        Ok(facts)
    }

    fn installs(&mut self) -> anyhow::Result<String> {
        let farm = &mut self.farm;
        farm.machine.run("apt-get install -y /packages/old/*.deb")?;
        let state = farm
            .machine
            .run("systemctl is-enabled tilth-agent tilth-hub; ! systemctl is-failed tilth-agent tilth-hub")?;
        ensure!(state.lines().eq(["enabled", "enabled", "inactive", "inactive"]), "after the installation: {state}");
        farm.set_up_hub()?;
        farm.set_up_agent()?;
        farm.watches()?;
        let took = farm.alert()?;
        Ok(format!("installed; a reading was an alert at the hub after {:.0} s", took.as_secs_f64()))
    }

    /// Stops the agent, decide and all: systemd must end it and start another.
    fn is_watched_over(&mut self) -> anyhow::Result<String> {
        let watchdog = match (self.run.sabotage, self.run.length) {
            (true, _) => Some("0"),
            (false, Length::Short) => Some(SHORT_WATCHDOG),
            (false, Length::Full) => None,
        };
        let farm = &mut self.farm;
        if let Some(watchdog) = watchdog {
            farm.machine.run(&format!(
                "mkdir /run/systemd/system/tilth-agent.service.d
printf '[Service]\\nWatchdogSec={watchdog}\\n' >/run/systemd/system/tilth-agent.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart tilth-agent"
            ))?;
        }
        let process = farm.watches()?;
        farm.machine.run(&format!("kill -STOP {process}"))?;
        let began = Instant::now();
        farm.watches_in_place_of(process, WATCHDOG_PATIENCE).context("the agent was stopped")?;
        let took = began.elapsed().as_secs();
        let said = farm.machine.run("journalctl --no-pager -b -u tilth-agent | grep -c 'Watchdog timeout' || true")?;
        ensure!(said == "1", "the agent was started again, but {said} watchdogs were said to have run out");
        if watchdog.is_some() {
            farm.machine.run("rm -r /run/systemd/system/tilth-agent.service.d; systemctl daemon-reload")?;
        }
        farm.alert()?;
        Ok(format!("the watchdog ended a stopped agent, and another watched after {took} s"))
    }

    fn is_killed(&mut self) -> anyhow::Result<String> {
        let kills = match self.run.length {
            Length::Short => 1,
            Length::Full => 5,
        };
        for _ in 0..kills {
            let process = self.farm.watches()?;
            self.farm.machine.run(&format!("kill -KILL {process}"))?;
            self.farm.watches_in_place_of(process, RESTART_PATIENCE).context("the agent was killed")?;
            self.farm.has_all()?;
        }
        self.farm.alert()?;
        Ok(format!("{kills} kills survived"))
    }

    fn reboots(&mut self) -> anyhow::Result<String> {
        self.farm.machine.reboot()?;
        self.farm.watches()?;
        self.farm.alert()?;
        Ok("1 reboot".to_owned())
    }

    /// The data has a disk of its own, as `docs/operations.md` sets it up, which is away at a boot: the agent watches, and says that it
    /// writes nothing. Then the disk is back.
    fn boots_without_its_disk(&mut self) -> anyhow::Result<String> {
        let farm = &mut self.farm;
        farm.machine.run(&format!(
            "systemctl stop tilth-agent
cp -a /etc/fstab /etc/fstab.before
echo '{DISK_OF_ITS_OWN}' >>/etc/fstab
mv /var/lib/tilth /var/lib/tilth.card && mkdir /var/lib/tilth && chattr +i /var/lib/tilth"
        ))?;
        farm.machine.reboot()?;
        farm.watches()?;
        farm.machine.run("tilth-agent status | grep -q 'nothing can be written'; ! ls -A /var/lib/tilth | grep .")?;
        farm.machine.run(
            "systemctl stop tilth-agent
chattr -i /var/lib/tilth && rmdir /var/lib/tilth && mv /var/lib/tilth.card /var/lib/tilth
mv /etc/fstab.before /etc/fstab && systemctl daemon-reload
systemctl start tilth-agent",
        )?;
        farm.watches()?;
        farm.has_all()?;
        Ok("1 boot without the disk of the data".to_owned())
    }

    /// Installs the packages of a folder over those that are there, with apt, while an alert was stored a moment ago.
    fn installs_again(&mut self, version: &str, name: &str) -> anyhow::Result<String> {
        let process = self.farm.watches()?;
        self.farm.machine.run(&format!("apt-get install -y --allow-downgrades /packages/{version}/*.deb"))?;
        let process = self.farm.watches_in_place_of(process, RESTART_PATIENCE).with_context(|| name.to_owned())?;
        ensure!(self.version(process)? == version, "after the {name} the agent runs another program");
        self.farm.has_all()?;
        self.farm.alert()?;
        Ok(format!("1 {name} with live data"))
    }

    /// Updates from a stick: one that stays, one whose agent does not run, and one in whose trial the power is cut.
    fn updates(&mut self) -> anyhow::Result<String> {
        let process = self.farm.watches()?;
        let said = self.farm.machine.run(&update("new"))?;
        let process = self.farm.watches_in_place_of(process, RESTART_PATIENCE).context("the update")?;
        ensure!(self.version(process)? == "new", "after the update the agent runs another program: {said}");
        self.farm.alert()?;
        let said = self.farm.machine.run(&format!("{} || true", update("dead")))?;
        ensure!(said.contains("is back: it has not answered for"), "a version that does not run stays: {said}");
        let process = self.farm.watches()?;
        ensure!(self.version(process)? == "new", "the old version did not return: {said}");
        self.farm.alert()?;
        self.farm.machine.run(&format!("{} >/run/update 2>&1 </dev/null &", update("old")))?;
        self.update_is("proving")?;
        let lost = self.farm.machine.cut(&mut Random::new(SEED));
        self.farm.machine.power_on()?;
        self.farm.watches().context("the power was cut in the trial")?;
        self.update_is("updated")?;
        let process = self.farm.watches()?;
        ensure!(self.version(process)? == "old", "after the power cut another version stays");
        self.farm.alert()?;
        Ok(format!(
            "1 update stayed, 1 returned, 1 went on after a power cut in its trial ({lost} unflushed blocks lost)"
        ))
    }

    /// Waits until the update is in a state.
    fn update_is(&mut self, state: &str) -> anyhow::Result<()> {
        self.farm.machine.until(state, UPDATE_PATIENCE, |machine| {
            let said = machine.run("tilth-agent update --status --json || true")?;
            Ok(said.contains(&format!("\"state\":\"{state}\"")).then_some(()))
        })
    }

    /// Which of the two programs a process runs.
    fn version(&mut self, process: u64) -> anyhow::Result<&'static str> {
        let sum = self.farm.program(process)?;
        let at = self.programs.iter().position(|program| *program == sum);
        Ok(["old", "new"][at.with_context(|| format!("the agent runs a program of neither package: {sum}"))?])
    }

    /// Cuts the power at each line of dpkg's progress, in turn with upgrades and downgrades. After each boot an agent must run, with its
    /// data, before anybody mends the package; then the installation must go through.
    fn power_is_cut(&mut self) -> anyhow::Result<String> {
        let (first, step, cuts) = match self.run.length {
            Length::Short => (4, 1, 1),
            Length::Full => (1, 3, 6),
        };
        let mut random = Random::new(SEED);
        let (mut unfinished, mut lost) = (0, 0);
        let mut ran = [0, 0];
        for cut in 0..cuts {
            let version = ["new", "old"][cut % 2];
            let lines = first + step * cut;
            let install = format!("{DPKG} /packages/{version}/*.deb 3>/dev/virtio-ports/progress");
            let is_midway = self.farm.machine.run_until_line(&install, lines)?;
            ensure!(is_midway, "dpkg ended before it told {lines} lines");
            std::thread::sleep(Duration::from_millis(random.below(LATEST_CUT_MS)));
            lost += self.farm.machine.cut(&mut random);
            self.farm.machine.power_on()?;
            let process = self.farm.watches().with_context(|| format!("the power was cut at line {lines} of dpkg"))?;
            let runs = self.version(process)?;
            ran[usize::from(runs == "new")] += 1;
            self.farm.has_all()?;
            let state = self.farm.installed()?;
            println!("        cut at line {lines} of {version}: runs the {runs} program; {state}");
            unfinished += usize::from(!state.starts_with("install ok installed"));
            self.farm.machine.run(&format!("dpkg --install /packages/{version}/*.deb"))?;
            let process = self.farm.watches()?;
            ensure!(self.version(process)? == version, "the second installation did not start its agent");
        }
        ensure!(unfinished > 0, "no cut left an installation unfinished");
        self.farm.alert()?;
        let [old, new] = ran;
        Ok(format!(
            "{cuts} power cuts in dpkg ({unfinished} left it unfinished, {lost} unflushed blocks lost): {old} times the old agent ran, {new} times the new"
        ))
    }

    fn is_purged(&mut self, before: &[String]) -> anyhow::Result<String> {
        self.farm.machine.run("apt-get purge -y tilth-agent tilth-hub")?;
        let left = self.farm.left()?;
        ensure!(left.is_empty(), "a purge leaves: {left}");
        let after = self.farm.files()?;
        ensure!(after == before, "a purge leaves files, or takes too many: {}", difference(before, &after));
        Ok(format!("purged without a trace among {} files", after.len()))
    }
}

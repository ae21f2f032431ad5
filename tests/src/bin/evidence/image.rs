//! The image for a card (`cross/image`) in a machine with a Pi's processor, under qemu's software emulation: its first start takes the
//! settings from the boot partition and enrols at a hub on this machine; a reading becomes an alert there; the root is read-only and the
//! data partition has grown to the end of the card; a package is installed all the same; the power is cut, with a disk that forgets what
//! was not flushed; a kernel that hangs is reset by the hardware watchdog.
//!
//! The saboteur leaves the root writable.

use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tilth_tests::agent::{Folder, profile_folder};
use tilth_tests::live::certificates::{authority, certificate, serve};
use tilth_tests::live::hub::{CLIENT, Hub};
use tilth_tests::random::Random;
use tilth_tests::workspace;

use crate::packages::said;
use crate::vm::farm::{self, Farm, PATIENCE};
use crate::vm::image::file_system;
use crate::vm::machine::{Card, HUB_PORT, Hardware, Machine};
use crate::{Length, Outcome, Run};

/// How much larger than its image the card is.
const GROWTH_MIB: u64 = 2048;

/// Begin of the boot partition, as mtools says it.
const BOOT: &str = "@@1M";

/// For a code that is shown again every 30 s.
const ENROLMENT_PATIENCE: Duration = Duration::from_secs(300);

const SEED: u64 = 31;

/// What the card's machine says of itself, a fact a line.
const FACTS: &str = "echo \"root $(findmnt -no OPTIONS / | cut -d , -f 1)\"
echo \"boot $(findmnt -no OPTIONS /boot/firmware | cut -d , -f 1)\"
echo \"written $(touch /usr/written 2>/dev/null && echo yes || echo no)\"
echo \"swaps $(swapon --noheadings | wc -l)\"
echo \"watchdog $(cat /sys/class/watchdog/watchdog0/state /sys/class/watchdog/watchdog0/timeout | xargs)\"
echo \"name $(hostname) $(readlink /etc/localtime)\"
echo \"settings $(cd /boot/firmware && ls tilth*.txt | xargs)\"
echo \"secrets $(grep -l \"$code\" /boot/firmware/*.txt | xargs)\"
echo \"failed $(systemctl --failed --no-legend --plain | cut -d ' ' -f 1 | xargs)\"";

const EXPECTED: &[&str] = &[
    "root ro",
    "boot ro",
    "written no",
    "swaps 0",
    "watchdog active 14",
    "name pi-7 /usr/share/zoneinfo/Europe/Amsterdam",
    "settings tilth-result.txt tilth-used.txt",
    "secrets",
    "failed",
];

/// What two cards must not have in common, and one card keeps.
const IDENTITY: &str = "cat /etc/machine-id; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub";

struct Story {
    farm: Farm,
    run: Run,
    /// One-time code in the settings.
    code: String,
    /// Of the card's data partition, in MiB, as it is in the image.
    data_mib: u64,
    /// Serves as long as this is.
    _hub: Hub,
}

pub(crate) fn measure(run: Run) -> Outcome {
    measured(run).map_err(|error| format!("{error:#}"))
}

fn measured(run: Run) -> anyhow::Result<String> {
    let folder = Folder::new("image");
    let package = package()?;
    let image = image(&package)?;
    let began = Instant::now();
    let mut story = Story::new(run, &folder, &package, &image)?;
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

/// The agent's package for arm64: in the folder that `TILTH_PACKAGES` names, else built.
fn package() -> anyhow::Result<PathBuf> {
    let packages = match env::var_os("TILTH_PACKAGES") {
        Some(packages) => fs::canonicalize(packages)?,
        None => {
            let mut build = Command::new(workspace().join("cross/packages"));
            ensure!(build.args(["--fast", "arm64"]).stdout(Stdio::null()).status()?.success(), "cross/packages failed");
            builds()?.join("cross/fast/packages")
        }
    };
    let mut paths = fs::read_dir(&packages)?.filter_map(Result::ok).map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("tilth-agent_") && name.ends_with("_arm64.deb")
    };
    paths.find(is_it).with_context(|| format!("no package of the agent for arm64 in {}", packages.display()))
}

/// The folder of all builds.
fn builds() -> anyhow::Result<PathBuf> {
    Ok(profile_folder().parent().context("a profile's folder is in the target folder")?.to_owned())
}

/// The image: the file that `TILTH_IMAGE` names, else made from the package.
fn image(package: &Path) -> anyhow::Result<PathBuf> {
    if let Some(image) = env::var_os("TILTH_IMAGE") {
        return Ok(fs::canonicalize(image)?);
    }
    let image = builds()?.join("cross/image/evidence.img");
    let mut make = Command::new(workspace().join("cross/image"));
    ensure!(make.arg("--agent").arg(package).arg(&image).status()?.success(), "cross/image failed");
    Ok(image)
}

/// A port on this machine that nobody has.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Story {
    /// A card with settings, and a hub that has made a code for it.
    fn new(run: Run, folder: &Folder, package: &Path, image: &Path) -> anyhow::Result<Story> {
        let path = folder.path();
        let authority = authority("farm");
        let ca = folder.write("ca.pem", authority.pem());
        certificate(folder, &authority, "localhost", (2020, 2090));
        let mut hub = Hub::new(&path.join("hub"));
        serve(&mut hub, folder);
        let ca_file = ca.display().to_string();
        let made = hub.json(&[
            "device",
            "enroll",
            "--client",
            CLIENT,
            "--device",
            "pi-7",
            "--ca",
            &ca_file,
            "--expires",
            "4h",
        ]);
        let code = made["code"].as_str().context("a code")?.to_owned();

        let ssh_key = path.join("id");
        said(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&ssh_key))?;
        let public = fs::read_to_string(path.join("id.pub"))?;
        let settings = folder.write(
            "tilth.txt",
            format!(
                "# Written by a PC with Windows' line ends.\r\nname = pi-7\r\ntimezone = Europe/Amsterdam\r\nzone = tower-1\r\nssh_key = {}\r\n\
                 hub = https://localhost:{HUB_PORT}\r\ncode = {code}\r\n",
                public.trim()
            ),
        );
        let disk = path.join("card");
        said(Command::new("cp").arg("--sparse=always").arg(image).arg(&disk))?;
        let size = fs::metadata(&disk)?.len();
        File::options().write(true).open(&disk)?.set_len(size + (GROWTH_MIB << 20))?;
        let boot = path.join("boot");
        fs::create_dir(&boot)?;
        let partition = format!("{}{BOOT}", disk.display());
        said(Command::new("mcopy").args(["-o", "-i", &partition]).arg(&settings).arg("::tilth.txt"))?;
        said(
            Command::new("mcopy").args(["-i", &partition, "::vmlinuz-*", "::initrd.img-*", "::cmdline.txt"]).arg(&boot),
        )?;
        // A package to install on the card.
        let files = path.join("files");
        fs::create_dir(&files)?;
        fs::copy(package, files.join("tilth-agent.deb"))?;
        file_system(&files, &path.join("packages"), "64M")?;

        let card = Card {
            disk,
            kernel: named(&boot, "vmlinuz-")?,
            initrd: named(&boot, "initrd.img-")?,
            command_line: fs::read_to_string(boot.join("cmdline.txt"))?.trim().to_owned(),
            ssh_key,
            ssh_port: free_port()?,
            hub_port: hub.port,
        };
        let mut farm = Farm::new(Machine::new(path, Hardware::Arm(card))?);
        farm.hub = farm::Hub::Here { read_key: hub.read_key.clone(), port: hub.port, ca };
        Ok(Story { farm, run, code, data_mib: 64, _hub: hub })
    }

    /// What was shown, a figure each.
    fn tell(&mut self) -> anyhow::Result<Vec<String>> {
        let mut facts = Vec::new();
        let mut tell = |fact: String| {
            println!("    {fact}");
            facts.push(fact);
        };
        tell(self.starts()?);
        tell(self.is_read_only()?);
        tell(self.watches()?);
        if matches!(self.run.length, Length::Full) {
            tell(self.installs()?);
        }
        let identity = self.farm.machine.run(IDENTITY)?;
        tell(self.power_is_cut()?);
        if matches!(self.run.length, Length::Full) {
            tell(self.hangs()?);
        }
        ensure!(
            self.farm.machine.run(IDENTITY)? == identity,
            "the card has another machine id or host key than before"
        );
        Ok(facts)
    }

    /// The first start, to the enrolment.
    fn starts(&mut self) -> anyhow::Result<String> {
        let began = Instant::now();
        let machine = &mut self.farm.machine;
        machine.power_on()?;
        let booted = began.elapsed().as_secs();
        let result = machine.run("cat /boot/firmware/tilth-result.txt")?;
        ensure!(result.contains("applied: name pi-7, timezone Europe/Amsterdam"), "tilth-result.txt says: {result}");
        machine.until("the device is enrolled", ENROLMENT_PATIENCE, |machine| {
            let said =
                machine.run("systemctl is-active tilth-enrol || true; cat /data/report/hub 2>/dev/null || true")?;
            Ok(said.starts_with(&format!("inactive\nenrolled as {CLIENT}/pi-7 at ")).then_some(()))
        })?;
        Ok(format!("first start in {booted} s, enrolled after {} s", began.elapsed().as_secs()))
    }

    /// What must hold of the file systems, and of what watches over the machine.
    fn is_read_only(&mut self) -> anyhow::Result<String> {
        let machine = &mut self.farm.machine;
        if self.run.sabotage {
            machine.run("mount -o remount,rw /")?;
        }
        let facts = machine.run(&format!("code='{}'\n{FACTS}", self.code))?;
        let facts: Vec<&str> = facts.lines().map(str::trim_end).collect();
        ensure!(facts == EXPECTED, "the machine says {facts:?}, expected {EXPECTED:?}");
        let data: u64 = machine.run("df --output=size -B1M /data | tail -n 1")?.trim().parse()?;
        let expected = (self.data_mib + GROWTH_MIB) * 9 / 10;
        ensure!(data >= expected, "the data partition has {data} MiB, expected at least {expected}");
        Ok(format!("root and boot partition are read-only, the data partition has grown to {data} MiB"))
    }

    /// A reading becomes an alert at the hub.
    fn watches(&mut self) -> anyhow::Result<String> {
        self.farm.watches()?;
        self.farm.write_rule()?;
        let took = self.farm.alert()?;
        Ok(format!("a reading was an alert at the hub after {:.0} s", took.as_secs_f64()))
    }

    /// A package is installed while the root may be written, and no longer.
    fn installs(&mut self) -> anyhow::Result<String> {
        let machine = &mut self.farm.machine;
        let before = machine.run("systemctl show -p MainPID --value tilth-agent")?.parse()?;
        machine
            .run("mount -o ro,noload /dev/vdb /mnt; tilth-writable dpkg --install /mnt/tilth-agent.deb; umount /mnt")?;
        let root = machine.run("findmnt -no OPTIONS / | cut -d , -f 1")?;
        ensure!(root == "ro", "the root is {root} after an installation");
        self.farm.watches_in_place_of(before, PATIENCE)?;
        Ok("a package was installed, and the root is read-only again".to_owned())
    }

    fn power_is_cut(&mut self) -> anyhow::Result<String> {
        let lost = self.farm.machine.cut(&mut Random::new(SEED));
        self.farm.machine.power_on()?;
        self.is_as_before().context("the power was cut")?;
        Ok(format!("1 power cut ({lost} unflushed blocks lost)"))
    }

    fn hangs(&mut self) -> anyhow::Result<String> {
        let began = Instant::now();
        self.farm.machine.hang()?;
        let took = began.elapsed().as_secs();
        self.is_as_before().context("the kernel hung")?;
        Ok(format!("the hardware watchdog reset a kernel that hung, up again after {took} s"))
    }

    /// An agent watches, with all alerts so far, and the next one arrives.
    fn is_as_before(&mut self) -> anyhow::Result<()> {
        self.farm.watches()?;
        self.farm.has_all()?;
        self.farm.alert()?;
        let failed = self.farm.machine.run("systemctl --failed --no-legend --plain | cut -d ' ' -f 1 | xargs")?;
        ensure!(failed.is_empty(), "these units failed: {failed}");
        Ok(())
    }
}

/// The file in a folder whose name begins so.
fn named(folder: &Path, begin: &str) -> anyhow::Result<PathBuf> {
    let mut names = fs::read_dir(folder)?.filter_map(Result::ok);
    let found = names.find(|entry| entry.file_name().to_string_lossy().starts_with(begin));
    Ok(found.with_context(|| format!("no {begin} on the boot partition"))?.path())
}

//! The packages of this machine in small Debians: installed, run, upgraded and downgraded with data, removed, and purged without a trace.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tilth_tests::agent::Folder;

use super::Built;
use super::opened::said;

/// Debian 11 to 13, on which Raspberry Pi OS 11 to 13 stand.
const SUITES: [&str; 3] = ["bullseye", "bookworm", "trixie"];

/// What `stat` says of the folders that an installation makes.
const FOLDERS: [&str; 6] = [
    "750 root:tilth /etc/tilth",
    "750 root:tilth /etc/tilth/config.d",
    "700 tilth:tilth /etc/tilth/secrets",
    "750 tilth:tilth /var/lib/tilth",
    "750 root:tilth-hub /etc/tilth-hub",
    "700 tilth-hub:tilth-hub /var/lib/tilth-hub",
];

const SITE: &str = "[device]\nid = 'pi-7'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n";
const FARM: &str = "[sensors.'room/ph']\nquantity = 'ph'\ninput = 'line:gateway/ph'\ninterval = '2s'\n";

/// Runs the agent as its own user until it answers, and stops it.
const RUN: &str = "mkdir -p /run/tilth && chown tilth: /run/tilth
setpriv --reuid tilth --regid tilth --init-groups tilth-agent run 2>/run.log & agent=$!
for try in $(seq 900); do tilth-agent status >/dev/null 2>&1 && break; sleep 0.1; done
tilth-agent status | head -n 1
kill $agent && wait $agent";

/// Purges the packages while the data has a disk of its own, which stays with nothing on it.
const PURGE: &str = "mount --bind /var/lib/tilth /var/lib/tilth
dpkg --purge tilth-agent tilth-hub
! getent passwd tilth tilth-hub
umount /var/lib/tilth
rmdir /var/lib/tilth
rm -rf /run/tilth /run.log";

/// A Debian in a folder.
struct Debian(PathBuf);

/// Goes through the story in each Debian; what was done.
pub(super) fn story(built: &Built, folder: &Folder) -> anyhow::Result<String> {
    for suite in SUITES {
        in_suite(suite, built, folder).with_context(|| suite.to_owned())?;
        println!("    {suite}: installed, upgraded and downgraded with data, removed, purged");
    }
    Ok(format!("installed, upgraded and downgraded with data, removed and purged in {}", SUITES.join(", ")))
}

fn in_suite(suite: &str, built: &Built, folder: &Folder) -> anyhow::Result<()> {
    let debian = Debian::make(suite, &folder.path().join(suite))?;
    debian.copy(&built.packages, folder)?;
    let before = debian.files()?;
    debian.inside("dpkg --install /old/*.deb")?;
    let folders = debian
        .inside("stat -c '%a %U:%G %n' /etc/tilth /etc/tilth/* /var/lib/tilth /etc/tilth-hub /var/lib/tilth-hub")?;
    ensure!(folders.lines().eq(FOLDERS), "the folders are {folders}, expected {FOLDERS:?}");
    fs::write(debian.0.join("etc/tilth/agent.toml"), SITE)?;
    fs::write(debian.0.join("etc/tilth/config.d/farm.toml"), FARM)?;
    debian.inside("tilth-agent --version && tilth-hub --version && tilth-agent check")?;
    debian.inside(RUN)?;
    debian.inside("setpriv --reuid tilth-hub --regid tilth-hub --init-groups tilth-hub init")?;
    for packages in ["/new", "/old"] {
        let data = debian.data()?;
        debian.inside(&format!("dpkg --install {packages}/*.deb"))?;
        ensure!(debian.data()? == data, "installing {packages} changed data or configuration");
        debian.inside(RUN)?;
    }
    debian.inside(
        "dpkg --remove tilth-agent tilth-hub && test -e /var/lib/tilth/tilth.db && test -e /etc/tilth/agent.toml",
    )?;
    debian.inside(PURGE)?;
    let after = debian.files()?;
    ensure!(after == before, "a purge leaves files, or takes too many: {}", difference(&before, &after));
    Ok(())
}

impl Debian {
    /// Debian's smallest, with systemd.
    fn make(suite: &str, root: &Path) -> anyhow::Result<Debian> {
        ensure!(rustix::process::getuid().is_root(), "a Debian in a folder needs root: run this evidence as root");
        let include = "--include=systemd,udev,ca-certificates,tzdata";
        said(Command::new("mmdebstrap").args(["--quiet", "--variant=minbase", include, suite]).arg(root))?;
        Ok(Debian(root.to_owned()))
    }

    /// Brings the packages into it: as they are in `/old`, and under a higher version in `/new`.
    fn copy(&self, packages: &Path, folder: &Folder) -> anyhow::Result<()> {
        for name in ["old", "new"] {
            fs::create_dir(self.0.join(name))?;
        }
        for entry in fs::read_dir(packages)? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.ends_with("_amd64.deb") {
                continue;
            }
            fs::copy(&file, self.0.join("old").join(&name))?;
            newer(&file, &self.0.join("new").join(&name), &folder.path().join("newer"))?;
        }
        Ok(())
    }

    /// What a script prints, run in it as root. Its `/proc` is gone with the script.
    fn inside(&self, script: &str) -> anyhow::Result<String> {
        let mut call = Command::new("unshare");
        call.args(["--mount", "sh", "-ec", "mount -t proc proc \"$1/proc\"; exec chroot \"$1\" sh -ec \"$2\"", "sh"]);
        call.arg(&self.0).arg(script).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        said(call.env("DEBIAN_FRONTEND", "noninteractive"))
    }

    /// Sums of what must survive an upgrade.
    fn data(&self) -> anyhow::Result<String> {
        self.inside("find /etc/tilth /var/lib/tilth /etc/tilth-hub /var/lib/tilth-hub -type f | sort | xargs sha256sum")
    }

    /// Paths, modes and owners of all files, but for those in which dpkg and the system keep their own state.
    fn files(&self) -> anyhow::Result<Vec<String>> {
        let own =
            "-path ./proc -o -path './var/lib/dpkg*' -o -path './var/log*' -o -path './etc/*-' -o -name '*.cache'";
        let script = format!("find . \\( {own} \\) -prune -o -printf '%p %m %u:%g\\n' | sort");
        Ok(self.inside(&script)?.lines().map(str::to_owned).collect())
    }
}

/// Makes a package of a higher version, whose programs run as before and have another sum; `unpacked` is where it may work.
pub(crate) fn newer(package: &Path, to: &Path, unpacked: &Path) -> anyhow::Result<()> {
    rebuilt(package, to, unpacked, |root| {
        for program in fs::read_dir(root.join("usr/bin"))? {
            // Behind the end of a program nobody reads.
            File::options().append(true).open(program?.path())?.write_all(b"newer")?;
        }
        Ok(())
    })
}

/// Makes a package of a higher version, with changed files.
pub(crate) fn rebuilt(
    package: &Path,
    to: &Path,
    unpacked: &Path,
    change: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    said(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(unpacked))?;
    let control = unpacked.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?.replace("\nVersion: ", "\nVersion: 9+");
    fs::write(&control, text)?;
    change(unpacked)?;
    said(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Znone"]).arg(unpacked).arg(to))?;
    fs::remove_dir_all(unpacked)?;
    Ok(())
}

/// Lines of one list that the other has not.
pub(crate) fn difference(before: &[String], after: &[String]) -> String {
    let left = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
    left.chain(gone).collect::<Vec<_>>().join(", ")
}

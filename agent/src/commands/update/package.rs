//! dpkg: which version is installed, the way back to it as a package, and installing one.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, anyhow, bail, ensure};
use rustix::fs::{FlockOperation, StatVfsMountFlags, fcntl_lock, statvfs};
use serde::{Deserialize, Serialize};
use tilth_core::time::Span;

use crate::console::tell;
use crate::daemon;

/// Name of the package.
pub(super) const NAME: &str = "tilth-agent";

/// The program in the package.
pub(super) const PROGRAM: &str = "usr/bin/tilth-agent";

/// Room that is left in `/usr` beside a package, in bytes.
const ROOM: u64 = 16 << 20;

/// What a program says of itself before it is installed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Description {
    /// Layout of the store that it writes; it opens older ones.
    pub(super) layout: u32,
}

/// A version of the package.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) architecture: String,
}

/// The packages of a system.
pub(super) struct Packages {
    /// The root of the system; another one than `/` in tests.
    pub(super) root: PathBuf,
}

impl Packages {
    /// Keeps apt and other calls of dpkg away for as long as the file is open. Waits for those that run.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        let path = self.database().join("lock-frontend");
        let lock = || -> io::Result<File> {
            let file = File::options().write(true).create(true).truncate(false).open(&path)?;
            if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                tell("update: waiting until apt or dpkg, which runs now, has ended");
                fcntl_lock(&file, FlockOperation::LockExclusive)?;
            }
            Ok(file)
        };
        lock().with_context(|| path.display().to_string())
    }

    /// The installed version.
    ///
    /// # Errors
    /// No package, or one whose installation was cut off.
    pub(super) fn installed(&self) -> anyhow::Result<Version> {
        let format = "--showformat=${db:Status-Status}\t${Version}\t${Architecture}";
        let said = said(self.query().args(["--show", format, NAME]))?;
        match said.split('\t').collect::<Vec<_>>()[..] {
            ["installed", version, architecture] => {
                Ok(Version { version: version.to_owned(), architecture: architecture.to_owned() })
            }
            [state, ..] => bail!(
                "the package {NAME} is {state}: expected installed; sudo dpkg --configure -a mends what was cut off"
            ),
            [] => bail!("dpkg-query said nothing"),
        }
    }

    /// Whether dpkg can write here.
    pub(super) fn are_writable(&self) -> anyhow::Result<()> {
        for folder in [self.root.join("usr"), self.database()] {
            let mounted = statvfs(&folder).with_context(|| folder.display().to_string())?;
            ensure!(
                !mounted.f_flag.contains(StatVfsMountFlags::RDONLY),
                "{}: mounted read-only; make it writable for the time of the update (a card of cross/image: sudo tilth-writable tilth-agent update ..)",
                folder.display()
            );
        }
        Ok(())
    }

    /// Whether nothing is in the way of installing a package: it is whole, and dpkg can write here and has room.
    pub(super) fn can_install(&self, package: &Path) -> anyhow::Result<()> {
        self.are_writable()?;
        said(Command::new("dpkg-deb").arg("--contents").arg(package))?;
        let needed = fs::metadata(package)?.len() + ROOM;
        if let Some(free) = daemon::free_bytes(&self.root.join("usr")).filter(|free| *free < needed) {
            bail!("/usr: {} MiB are free, and the package needs {} MiB", free >> 20, needed >> 20);
        }
        Ok(())
    }

    /// Whether no installation of any package was cut off: the agent's may depend on it.
    pub(super) fn are_whole(&self) -> anyhow::Result<()> {
        let states = said(self.query().args(["--show", "--showformat=${db:Status-Status} ${Package}\n"]))?;
        let cut_off = |line: &&str| ["unpacked ", "half-"].iter().any(|state| line.starts_with(state));
        if let Some((state, package)) = states.lines().find(cut_off).and_then(|line| line.split_once(' ')) {
            bail!("the package {package} is {state}: sudo dpkg --configure -a mends what was cut off");
        }
        Ok(())
    }

    /// Installs a package in place of the one that is there, also where that was cut off.
    pub(super) fn install(&self, package: &Path) -> anyhow::Result<()> {
        said(self.dpkg().arg("--install").arg(package)).map(drop)
    }

    /// Finishes an installation of the agent that was cut off, as far as that can be done; what is left is no obstacle. Its scripts start the
    /// agent. Packages of others are not for a unit that cannot see kernel modules and devices.
    pub(super) fn finish(&self) {
        let _ = said(self.dpkg().args(["--configure", NAME]));
    }

    /// Packs the installed files as they are, with the scripts that dpkg keeps: the way back. `work` is a folder for it alone.
    pub(super) fn pack(&self, work: &Path, to: &Path) -> anyhow::Result<()> {
        let control = work.join("DEBIAN");
        fs::create_dir_all(&control).with_context(|| control.display().to_string())?;
        // dpkg-deb takes no folder that a strict umask of root made.
        fs::set_permissions(&control, Permissions::from_mode(0o755))?;
        let listed = said(self.query().args(["--listfiles", NAME]))?;
        // Files that are not there were left out at the installation, as small systems do with pages.
        let is_file = |path: &&str| fs::symlink_metadata(self.root.join(path)).is_ok_and(|found| !found.is_dir());
        let files = listed.lines().filter_map(|path| path.strip_prefix('/')).filter(is_file);
        said(Command::new("cp").args(["--archive", "--parents", "--"]).args(files).arg(work).current_dir(&self.root))?;
        for name in said(self.query().args(["--control-list", NAME]))?.lines() {
            let file = control.join(name);
            fs::write(&file, said(self.query().args(["--control-show", NAME, name]))?)?;
            let mode =
                if matches!(name, "preinst" | "postinst" | "prerm" | "postrm" | "config") { 0o755 } else { 0o644 };
            fs::set_permissions(&file, Permissions::from_mode(mode))?;
        }
        fs::write(control.join("control"), fields(&said(self.query().args(["--status", NAME]))?))?;
        said(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Znone"]).arg(work).arg(to))?;
        Ok(File::open(to)?.sync_all()?)
    }

    fn database(&self) -> PathBuf {
        self.root.join("var/lib/dpkg")
    }

    fn query(&self) -> Command {
        let mut query = Command::new("dpkg-query");
        query.arg("--admindir").arg(self.database());
        query
    }

    fn dpkg(&self) -> Command {
        let mut dpkg = Command::new("dpkg");
        if self.root != Path::new("/") {
            dpkg.arg("--root").arg(&self.root);
            dpkg.args(["--log=/dev/null", "--force-not-root", "--force-script-chrootless"]);
        }
        dpkg.env("DPKG_FRONTEND_LOCKED", "true").env("DEBIAN_FRONTEND", "noninteractive");
        dpkg
    }
}

/// Name and version of a package in a file.
pub(super) fn version_of(package: &Path) -> anyhow::Result<(String, Version)> {
    let format = "--showformat=${Package}\t${Version}\t${Architecture}";
    let said = said(Command::new("dpkg-deb").args(["--show", format]).arg(package))?;
    match said.split('\t').collect::<Vec<_>>()[..] {
        [name, version, architecture] => {
            Ok((name.to_owned(), Version { version: version.to_owned(), architecture: architecture.to_owned() }))
        }
        _ => bail!("a package without name, version or architecture"),
    }
}

/// Whether a version is newer than another one, as Debian counts.
pub(super) fn is_newer(version: &str, than: &str) -> anyhow::Result<bool> {
    let compared = Command::new("dpkg").args(["--compare-versions", version, "gt", than]).status();
    Ok(compared.context("dpkg")?.success())
}

/// Unpacks the program of a package into a folder and asks it who it is: so it also starts on this machine.
pub(super) fn describe(package: &Path, work: &Path, limit: Span) -> anyhow::Result<Description> {
    said(Command::new("dpkg-deb").arg("--extract").arg(package).arg(work))?;
    let said = said_within(limit, &work.join(PROGRAM), &["update", "--describe"])?;
    serde_json::from_slice(said.as_bytes()).context("the program's description")
}

/// What a program prints.
///
/// # Errors
/// A program that is not there, and what it said last where it failed.
pub(super) fn said(command: &mut Command) -> anyhow::Result<String> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    said_by(&name, command)
}

/// What a version of the agent prints, which is ended after so long with all that it started.
pub(super) fn said_within(limit: Span, program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &(limit.0 / 1000).max(1).to_string()]).arg(program).args(arguments);
    let began = Instant::now();
    said_by(NAME, &mut command).map_err(|error| {
        if began.elapsed().as_millis() < u128::from(limit.0.unsigned_abs()) {
            return error;
        }
        let limit = limit.in_words();
        anyhow!("no answer within {limit}: run the same command again when the machine has less to do; if it stays so, take another version")
    })
}

fn said_by(name: &str, command: &mut Command) -> anyhow::Result<String> {
    let ran = command.env("LC_ALL", "C").stdin(Stdio::null()).output().with_context(|| name.to_owned())?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(if ran.stderr.is_empty() { &ran.stdout } else { &ran.stderr });
    let mut lines: Vec<&str> = error.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.drain(..lines.len().saturating_sub(4));
    bail!("{name}: {}: {}", ran.status, lines.join("; "))
}

/// The fields of a package in what dpkg keeps of it, without those of its own.
fn fields(status: &str) -> String {
    let mut is_kept = true;
    let mut keep = |line: &&str| {
        if !line.starts_with(' ') {
            is_kept = !["Status:", "Config-Version:", "Conffiles:"].iter().any(|own| line.starts_with(own));
        }
        is_kept && !line.is_empty()
    };
    status.lines().filter(|line| keep(line)).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_dpkg_itself_are_left_out() {
        let status = "Package: a\nStatus: install ok installed\nConffiles:\n /etc/a 0123\n /etc/b 4567\nVersion: 1\nDescription: d\n more\n .\n\n";
        assert_eq!(fields(status), "Package: a\nVersion: 1\nDescription: d\n more\n .\n");
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let failed = said(Command::new("sh").args(["-c", "echo one >&2; echo >&2; echo two >&2; exit 3"])).unwrap_err();
        assert_eq!(failed.to_string(), "sh: exit status: 3: one; two");
        assert_eq!(said(&mut Command::new("no-such-program")).unwrap_err().to_string(), "no-such-program");
    }
}

//! Disks of a test's own: mounted where an agent keeps its data, filled up, and turned read-only.

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::agent::profile_folder;

/// The file that fills a disk.
const BALLAST: &str = "ballast";

/// A mounted disk; dropped, it is unmounted, even while it is used.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
    /// The file that a real file system lies in.
    image: Option<PathBuf>,
}

impl Disk {
    /// A disk in memory of a size such as `3m`. Nothing where this machine allows no mounts: that is said.
    ///
    /// # Panics
    /// When root may not mount on a machine whose `CI` is `true`.
    #[must_use]
    pub fn in_memory(at: &Path, size: &str, test: &str) -> Option<Disk> {
        unmount_left_over();
        fs::create_dir_all(at).expect("a folder to mount on");
        let disk = Disk { at: at.to_owned(), image: None };
        disk.is_mounted(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], test).then_some(disk)
    }

    /// A small ext4 in a file, which turns read-only at its first error as a Pi's card does.
    ///
    /// # Panics
    /// As [`Disk::in_memory`]; also when the image cannot be made.
    #[must_use]
    pub fn ext4(at: &Path, test: &str) -> Option<Disk> {
        unmount_left_over();
        fs::create_dir_all(at).expect("a folder to mount on");
        let image = at.with_extension("img");
        File::create(&image).and_then(|file| file.set_len(16 << 20)).expect("an image");
        let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status();
        let disk = Disk { at: at.to_owned(), image: Some(image.clone()) };
        let image = image.to_str().expect("UTF-8");
        let is_made = made.is_ok_and(|status| status.success()) || skipped(test, "no mkfs.ext4");
        (is_made && disk.is_mounted(&["-o", "loop,errors=remount-ro", image], test)).then_some(disk)
    }

    fn is_mounted(&self, how: &[&str], test: &str) -> bool {
        match Command::new("mount").args(how).arg(&self.at).output() {
            Ok(output) if output.status.success() => true,
            Ok(output) => skipped(test, String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => skipped(test, &error.to_string()),
        }
    }

    /// Takes every byte that is free.
    ///
    /// # Panics
    /// When something else goes wrong than that the disk is full.
    pub fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.at.join(BALLAST)).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            let error = loop {
                if let Err(error) = file.write_all(&vec![b'x'; size]).and_then(|()| file.sync_data()) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        }
    }

    /// Gives back what [`Disk::fill`] took.
    ///
    /// # Panics
    /// When it cannot be deleted.
    pub fn free(&self) {
        fs::remove_file(self.at.join(BALLAST)).expect("the ballast");
    }

    /// Mounts it again with other options, such as another size; no file of it may be open for writing to make it `ro`.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn remount(&self, mode: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{mode}")]).arg(&self.at).output();
        let done = done.expect("mount");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// What a card's own error does: from now on every write is refused, also to files that are open.
    ///
    /// # Panics
    /// When the kernel has no such switch.
    pub fn fail(&self) {
        let mounts = fs::read_to_string("/proc/mounts").expect("a list of mounts");
        let at = self.at.to_str().expect("UTF-8");
        let device = mounts.lines().find_map(|line| {
            let (device, rest) = line.split_once(' ')?;
            rest.starts_with(&format!("{at} ")).then(|| device.trim_start_matches("/dev/").to_owned())
        });
        let switch = Path::new("/sys/fs/ext4").join(device.expect("it is mounted")).join("trigger_fs_error");
        fs::write(switch, "test").expect("the switch");
    }

    /// Every write hangs until what this returns is dropped. For a disk with an image.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn freeze(&self) -> Frozen<'_> {
        assert!(self.fsfreeze("--freeze"), "{} is not frozen", self.at.display());
        Frozen(self)
    }

    fn fsfreeze(&self, how: &str) -> bool {
        Command::new("fsfreeze").arg(how).arg(&self.at).output().is_ok_and(|output| output.status.success())
    }

    /// Unmounts it and mounts it again, as a reboot does. No process may use it.
    ///
    /// # Panics
    /// When a process does, or it is in memory.
    pub fn reboot(&self) {
        let image = self.image.as_ref().expect("a disk with an image");
        assert!(Command::new("umount").arg(&self.at).status().is_ok_and(|status| status.success()), "in use");
        let _ = Command::new("fsck.ext4").arg("-p").arg(image).output();
        let image = image.to_str().expect("UTF-8");
        assert!(self.is_mounted(&["-o", "loop,errors=remount-ro", image], "reboot"), "not mounted again");
    }
}

/// A disk on which every write hangs.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Disk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = self.0.fsfreeze("--unfreeze");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

/// Unmounts what tests left mounted that were killed: what lies in the folder of a process that is gone.
fn unmount_left_over() {
    let farms = profile_folder().join("farms");
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    for at in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        // The list writes a blank so.
        let at = PathBuf::from(at.replace("\\040", " "));
        let Ok(within) = at.strip_prefix(&farms) else { continue };
        let folder = within.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
        // NAME-PROCESS-NUMBER
        let process = folder.rsplit('-').nth(1).and_then(|process| process.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            let _ = Command::new("umount").arg("--lazy").arg(&at).output();
            let _ = fs::remove_dir_all(farms.join(folder));
        }
    }
}

/// Says that a test is skipped, past the capture of the test harness. Always false.
fn skipped(test: &str, why: &str) -> bool {
    let line = format!("skipped: {test}: it may not mount here: {why}");
    let is_ci = env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!(is_ci && rustix::process::geteuid().is_root()), "{line}");
    let _ = writeln!(std::io::stderr().lock(), "\n{line}");
    false
}

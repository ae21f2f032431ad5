//! Why this process cannot use a file of the hub, and what to do.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::io::Errno;
use rustix::process::geteuid;

/// What keeps this process from writing a file in the hub's folder; `None` where the system names nothing.
pub(crate) fn obstacle(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let disk = statvfs(folder).ok();
    if disk.as_ref().is_some_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return Some(format!(
            "the disk of {} is mounted read-only; sudo dmesg says why. To go on: sudo mount -o remount,rw MOUNT, where findmnt -T {} shows MOUNT",
            folder.display(),
            folder.display()
        ));
    }
    // The database has its journal beside it.
    let all = Access::READ_OK | Access::WRITE_OK;
    for (path, wanted) in [(folder, all | Access::EXEC_OK), (file, all)] {
        match access(path, wanted) {
            Err(Errno::ACCESS) => return Some(denied(path)),
            Err(Errno::NOENT) => return Some(format!("there is no {}", path.display())),
            _ => {}
        }
    }
    let is_full = disk.is_some_and(|disk| disk.f_bavail == 0);
    is_full.then(|| format!("the disk is full: df -h {} shows it; make room there", folder.display()))
}

/// A path that this user may not use.
fn denied(path: &Path) -> String {
    let shown = path.display();
    let me = user_name(geteuid().as_raw());
    match fs::metadata(path) {
        Ok(found) if found.uid() == geteuid().as_raw() => {
            format!("its user {me} may not write {shown} (mode {:03o}): chmod u+rwX {shown}", found.mode() & 0o777)
        }
        Ok(found) => {
            let owner = user_name(found.uid());
            format!("{shown} is of the user {owner}, and this command ran as {me}: sudo -u {owner} tilth-hub ..")
        }
        Err(_) => format!(
            "the user {me} may not look at {shown}; the package's hub is of tilth-hub: sudo -u tilth-hub tilth-hub .."
        ),
    }
}

/// Name of a user, or its number where it has none.
fn user_name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let is_it = |line: &&str| line.split(':').nth(2) == Some(&number);
    let name = users.lines().find(is_it).and_then(|line| line.split(':').next());
    name.map_or(number.clone(), str::to_owned)
}

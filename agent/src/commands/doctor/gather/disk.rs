//! The data folder and the file system below it.

use std::fs;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::super::facts::DiskFacts;
use super::nodes;
use crate::api::rows::StatusRow;
use crate::daemon::{DEFAULT_POLICY, database};

pub(super) fn of(data: &Path, status: Option<&StatusRow>) -> DiskFacts {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let nodes = absolute.ancestors().find_map(|folder| nodes(folder).ok()).unwrap_or_default();
    let nearest = nodes.last().map_or(Path::new("/"), |(path, _)| path);
    let stored = fs::metadata(database(data)).map_or(0, |file| file.len());
    let facts = DiskFacts {
        data: data.to_owned(),
        is_there: data.is_dir(),
        least_free_bytes: DEFAULT_POLICY.least_free_bytes,
        wanted_bytes: DEFAULT_POLICY.most_bytes.saturating_sub(stored),
        problem: status.and_then(|status| status.store.trouble.clone()),
        ..mounted(nearest)
    };
    DiskFacts { nodes, ..facts }
}

fn mounted(folder: &Path) -> DiskFacts {
    let Ok(disk) = statvfs(folder) else { return DiskFacts::default() };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mount_of(&mounts, folder);
    DiskFacts {
        mount: mount.map_or("/", |mount| mount.folder).to_owned(),
        // A file system that stopped after an error says so in its options alone.
        is_read_only: disk.f_flag.contains(StatVfsMountFlags::RDONLY) || mount.is_some_and(|mount| mount.has_stopped),
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        // File systems that count none say zero of zero.
        has_no_inodes: disk.f_files > 0 && disk.f_favail == 0,
        errors: mount.and_then(|mount| errors(mount.device)).unwrap_or(0),
        ..DiskFacts::default()
    }
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mount<'a> {
    /// Numbers of the device.
    device: &'a str,
    folder: &'a str,
    has_stopped: bool,
}

/// The mount that a folder is on.
fn mount_of<'a>(mounts: &'a str, folder: &Path) -> Option<Mount<'a>> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(2);
        let (device, folder) = (words.next()?, words.nth(1)?);
        let has_stopped = words.last()?.split(',').any(|option| option == "emergency_ro" || option == "shutdown");
        Some(Mount { device, folder, has_stopped })
    });
    // The last of two at one place is the one on top.
    mounts.filter(|mount| folder.starts_with(mount.folder)).max_by_key(|mount| mount.folder.len())
}

/// Errors that an ext4 file system counted since it was last checked.
fn errors(device: &str) -> Option<u64> {
    let device = fs::canonicalize(format!("/sys/dev/block/{device}")).ok()?;
    let count = Path::new("/sys/fs/ext4").join(device.file_name()?).join("errors_count");
    fs::read_to_string(count).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_on_the_nearest_mount() {
        let mounts = "22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n\
                      30 22 0:25 / /var rw - tmpfs tmpfs rw\n\
                      31 30 8:1 / /var/lib/tilth rw - ext4 /dev/sda1 rw,emergency_ro\n";
        for (folder, expected) in [
            ("/var/lib/tilth", ("8:1", "/var/lib/tilth")),
            ("/var/lib/tilth/x", ("8:1", "/var/lib/tilth")),
            ("/var/lib/tilth-hub", ("0:25", "/var")),
            ("/home/farm", ("179:2", "/")),
        ] {
            let (device, mount) = expected;
            let expected = Mount { device, folder: mount, has_stopped: device == "8:1" };
            assert_eq!(mount_of(mounts, Path::new(folder)), Some(expected), "{folder}");
        }
    }
}

//! Whether history can be written, and for how long.

use super::super::facts::{Account, DiskFacts};
use super::super::{Check, Finding};
use super::access::{SEARCH, WRITE, denied};

pub(super) fn findings(disk: &DiskFacts, account: &Account) -> Vec<Finding> {
    let at = disk.data.display();
    let mut findings = Vec::new();
    if disk.errors > 0 {
        findings.push(Finding::fault(
            Check::Disk,
            &disk.mount,
            format!("the kernel counted {} of the file system", crate::console::counted(disk.errors, "error")),
            "copy the data, then replace the card (/usr/share/doc/tilth-agent/operations.md); sudo dmesg | grep -i ext4 says what was found",
        ));
    }
    findings.push(match unwritable(disk, account) {
        Some((message, fix)) => Finding::fault(Check::Disk, &at, message, fix),
        None if disk.free_bytes < disk.least_free_bytes.saturating_add(disk.wanted_bytes) => Finding::warning(
            Check::Disk,
            &at,
            format!(
                "{} MiB free, and the history may take {} more: it will be cut before its time",
                mib(disk.free_bytes),
                mib(disk.wanted_bytes)
            ),
            format!("remove what is not needed; sudo du -xh {} | sort -h shows what is large", disk.mount),
        ),
        None => Finding::ok(Check::Disk, &at, format!("writable, {} MiB free", mib(disk.free_bytes))),
    });
    findings
}

/// Why nothing can be written, and what to do.
fn unwritable(disk: &DiskFacts, account: &Account) -> Option<(String, String)> {
    let (mount, data, name) = (&disk.mount, disk.data.display(), &account.name);
    if disk.is_read_only {
        let message = format!("read-only: {mount} is mounted so, and no history is written");
        let fix = "and replace the card if it comes back read-only: sudo dmesg says why";
        return Some((message, format!("sudo mount -o remount,rw {mount}; {fix}")));
    }
    if let Some((path, ..)) = denied(account, &disk.nodes, WRITE | SEARCH) {
        let message = format!("the agent's user {name} may not write {}", path.display());
        let fix = match disk.is_there {
            true => format!("sudo chown -R {name}: {data}"),
            false => format!("sudo install -d -o {name} -m 750 {data}"),
        };
        return Some((message, fix));
    }
    if disk.free_bytes < disk.least_free_bytes {
        let (free, least) = (mib(disk.free_bytes), mib(disk.least_free_bytes));
        let message = format!("full: {free} MiB free, and below {least} MiB the history does not grow");
        return Some((message, format!("remove files; sudo du -xh {mount} | sort -h shows what is large")));
    }
    if disk.has_no_inodes {
        let message = "full: no file can be added, for all inodes are in use".to_owned();
        return Some((
            message,
            format!("remove small files; sudo du -x --inodes {mount} | sort -n shows where they are"),
        ));
    }
    let why = disk.problem.as_ref()?;
    let fix = "journalctl -u tilth-agent has the reason; /usr/share/doc/tilth-agent/operations.md says what becomes of the history";
    Some((format!("the agent cannot write: {why}"), fix.to_owned()))
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

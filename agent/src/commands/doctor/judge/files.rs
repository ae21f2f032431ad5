//! Configuration, secrets and keys: whether each is there, as it should be, and for the agent's user to read.

use std::path::Path;

use tilth_config::plain_file;

use super::super::facts::{Account, FileFact, FileKind, Found, PathNodes};
use super::super::{Check, Finding};
use super::access::{READ, SEARCH, denied, let_group};
use crate::console::counted;

/// Whether who runs doctor may not read the configuration.
pub(super) fn is_unseen(files: &[FileFact]) -> bool {
    files.iter().any(|file| file.kind == FileKind::Configuration && matches!(file.found, Found::Unseen))
}

pub(super) fn has_no_agent_toml(files: &[FileFact]) -> bool {
    files.iter().any(|file| file.path.ends_with("agent.toml") && matches!(file.found, Found::Absent))
}

pub(super) fn findings(files: &[FileFact], account: &Account, folder: &Path) -> Vec<Finding> {
    let mut findings: Vec<Finding> = account.no_such_groups.iter().map(|group| no_such_group(group)).collect();
    let bad: Vec<Finding> = files.iter().filter_map(|file| finding(file, account)).collect();
    let is_denied = bad.iter().any(|finding| finding.check == Check::Permission);
    let there = files.iter().filter(|file| matches!(file.found, Found::There(_))).count() as u64;
    if !is_denied && there > 0 {
        let message = format!("the agent's user {} may read {}", account.name, counted(there, "file"));
        findings.push(Finding::ok(Check::Permission, &folder.display(), message));
    }
    let is_well = |file: &&FileFact| file.kind != FileKind::Configuration && finding(file, account).is_none();
    let well = files.iter().filter(is_well).map(|file| Finding::ok(Check::File, &file.path.display(), name(file.kind)));
    findings.into_iter().chain(well).chain(bad).collect()
}

fn name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Configuration => "configuration",
        FileKind::Secret => "a secret",
        FileKind::DeviceKey => "the device's key",
        FileKind::SigningKey => "the hub's signing key",
        FileKind::Authority => "the authority of the hub's certificate",
        FileKind::Owner => "whose history this is",
    }
}

fn no_such_group(group: &str) -> Finding {
    let message = format!("there is no group {group}, which the service wants: it does not start");
    Finding::fault(Check::Permission, &"/etc/group", message, "sudo systemd-sysusers")
}

/// What is wrong with a file.
fn finding(file: &FileFact, account: &Account) -> Option<Finding> {
    let at = file.path.display();
    match &file.found {
        // The configuration itself says what it lacks.
        Found::Absent if file.kind == FileKind::Configuration => None,
        Found::Absent if file.has_agent => None,
        Found::Absent => Some(absent(file, account)),
        Found::Unseen => {
            Some(Finding::warning(Check::Permission, &at, "you may not look at it", "sudo tilth-agent doctor"))
        }
        Found::There(nodes) => {
            open_to_others(file, nodes).or_else(|| may_not_read(file, nodes, account)).or_else(|| {
                let (message, expected) = file.wrong.as_ref()?;
                Some(Finding::fault(Check::File, &at, message, expected))
            })
        }
    }
}

/// How a device gets its keys.
pub(super) const ENROLL: &str = "tilth-hub device enroll --client CLIENT --device ID on the hub prints a code; then here: sudo tilth-agent enroll --hub URL --code -";

fn absent(file: &FileFact, account: &Account) -> Finding {
    let (at, owner) = (file.path.display(), &account.name);
    let what = file.path.file_name().unwrap_or_default().display();
    let put = format!("sudo install -o {owner} -m 600 FILE {at}");
    let fix = match file.kind {
        FileKind::Secret => format!("write the secret, one line, to a file and: {put}"),
        FileKind::DeviceKey | FileKind::SigningKey => ENROLL.to_owned(),
        _ => format!("copy the certificate of the hub's authority: sudo install -m 644 {what} {at}"),
    };
    Finding::fault(Check::File, &at, format!("missing: {}", name(file.kind)), fix)
}

/// A secret that others than its owner may read: the agent refuses it.
fn open_to_others(file: &FileFact, nodes: &PathNodes) -> Option<Finding> {
    let (_, node) = nodes.last().filter(|_| is_private(file.kind))?;
    let mode = plain_file::exposed(node.mode)?;
    let (at, what) = (file.path.display(), name(file.kind));
    let message = format!("{what} that others may read (mode {mode:04o}), so the agent refuses it");
    Some(Finding::fault(Check::File, &at, message, format!("sudo chmod 600 {at}; and replace it if others had access")))
}

fn is_private(kind: FileKind) -> bool {
    matches!(kind, FileKind::Secret | FileKind::DeviceKey)
}

fn may_not_read(file: &FileFact, nodes: &PathNodes, account: &Account) -> Option<Finding> {
    let is_folder = file.kind == FileKind::Configuration && file.path.extension().is_none();
    let (path, _, wanted) = denied(account, nodes, if is_folder { READ | SEARCH } else { READ })?;
    let is_last = nodes.last().is_some_and(|(last, _)| last == path);
    let fix = match (is_private(file.kind) || file.kind == FileKind::Owner) && is_last {
        true => format!("sudo chown {}: {}", account.name, path.display()),
        false => let_group(account, path, wanted),
    };
    let message = format!("the agent's user {} may not read it: {} is closed to it", account.name, path.display());
    Some(Finding::fault(Check::Permission, &file.path.display(), message, fix))
}

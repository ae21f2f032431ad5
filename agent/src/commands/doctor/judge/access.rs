//! Permissions on a file: owner, group and mode of the file and of each folder above, as the kernel decides without access lists.

use std::path::Path;

use super::super::facts::{Account, Node, PathNodes};

/// Permission bits of one of owner, group and others.
pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const SEARCH: u32 = 1;

/// The first node that stops the account: a folder that it may not search, or the last node, which it may not use as wanted.
pub(super) fn denied<'a>(account: &Account, nodes: &'a PathNodes, wanted: u32) -> Option<(&'a Path, Node, u32)> {
    let last = nodes.len().saturating_sub(1);
    let wanted = |place| if place == last { wanted } else { SEARCH };
    let mut places = nodes.iter().enumerate().map(|(place, (path, node))| (path.as_path(), *node, wanted(place)));
    places.find(|(_, node, wanted)| !may(account, *node, *wanted))
}

fn may(account: &Account, node: Node, wanted: u32) -> bool {
    let bits = match account {
        Account { uid: 0, .. } => return true,
        Account { uid, .. } if *uid == node.uid => node.mode >> 6,
        Account { groups, .. } if groups.contains(&node.gid) => node.mode >> 3,
        _ => node.mode,
    };
    bits & wanted == wanted
}

/// The command that lets the account's group use a place as wanted.
pub(super) fn let_group(account: &Account, path: &Path, wanted: u32) -> String {
    let letters = [(READ, 'r'), (WRITE, 'w'), (SEARCH, 'x')];
    let letters: String = letters.iter().filter(|(bit, _)| wanted & bit != 0).map(|(_, letter)| letter).collect();
    let (group, path) = (group_name(account, account.gid), path.display());
    format!("sudo chgrp {group} {path} && sudo chmod g+{letters} {path}")
}

/// Name of a group, or its number where it has none.
pub(super) fn group_name(account: &Account, gid: u32) -> String {
    account.group_names.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
}

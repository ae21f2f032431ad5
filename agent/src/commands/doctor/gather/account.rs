//! User that the agent runs as: the running agent's own, else that of the service, else the one who runs doctor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::super::facts::Account;

/// User of the service, and the groups that its unit adds to those of the machine: `systemd/tilth-agent.service`.
const SERVICE: &str = "tilth";
const SERVICE_GROUPS: [&str; 3] = ["dialout", "i2c", "gpio"];

/// Folder of the configuration that the service reads.
const SERVICE_FOLDER: &str = "/etc/tilth";

pub(in crate::commands::doctor) fn of(agent: Option<i32>, folder: &Path) -> Account {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let service = || of_service(&users, &groups).filter(|_| folder == Path::new(SERVICE_FOLDER));
    let running = agent.and_then(|process| of_process(&process.to_string(), &users));
    let account = running.or_else(service).or_else(|| of_process("self", &users)).unwrap_or_default();
    let names = groups.lines().filter_map(|line| Some((field(line, 2)?.parse().ok()?, field(line, 0)?.to_owned())));
    Account { group_names: names.collect(), ..account }
}

fn of_process(process: &str, users: &str) -> Option<Account> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let numbers = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>())
    };
    // Real, effective, saved, file system.
    let (uid, gid) = (*numbers("Uid")?.get(1)?, *numbers("Gid")?.get(1)?);
    let groups = numbers("Groups").unwrap_or_default().into_iter().chain([gid]).collect();
    let user = users.lines().find(|line| field(line, 2) == Some(&uid.to_string()));
    let name = user.and_then(|line| field(line, 0)).map_or(uid.to_string(), str::to_owned);
    Some(Account { name, uid, gid, groups, ..Account::default() })
}

fn of_service(users: &str, groups: &str) -> Option<Account> {
    let user = users.lines().find(|line| field(line, 0) == Some(SERVICE))?;
    let (uid, gid) = (field(user, 2)?.parse().ok()?, field(user, 3)?.parse().ok()?);
    let by_name: BTreeMap<&str, u32> =
        groups.lines().filter_map(|line| Some((field(line, 0)?, field(line, 2)?.parse().ok()?))).collect();
    let is_member = |line: &&str| field(line, 3).is_some_and(|members| members.split(',').any(|one| one == SERVICE));
    let own = groups.lines().filter(is_member).filter_map(|line| field(line, 2)?.parse().ok());
    let added = SERVICE_GROUPS.iter().filter_map(|name| by_name.get(name).copied());
    let groups: BTreeSet<u32> = own.chain(added).chain([gid]).collect();
    let missing = SERVICE_GROUPS.iter().filter(|name| !by_name.contains_key(*name));
    let no_such_groups = missing.map(|name| (*name).to_owned()).collect();
    Some(Account { name: SERVICE.to_owned(), uid, gid, groups, no_such_groups, ..Account::default() })
}

/// A field of a line of `/etc/passwd` or `/etc/group`.
fn field(line: &str, number: usize) -> Option<&str> {
    line.split(':').nth(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_the_groups_of_its_unit_and_of_the_machine() {
        let users = "root:x:0:0:root:/root:/bin/bash\ntilth:x:990:985:Tilth agent:/var/lib/tilth:/usr/sbin/nologin\n";
        let groups = "root:x:0:\ndialout:x:20:farm\nvideo:x:44:farm,tilth\ntilth:x:985:farm\ngpio:x:986:\n";
        let account = of_service(users, groups).expect("there is such a user");
        assert_eq!((account.uid, account.gid), (990, 985));
        assert_eq!(account.groups, BTreeSet::from([20, 44, 985, 986]));
        assert_eq!(account.no_such_groups, ["i2c"]);
        assert!(of_service("root:x:0:0::/root:/bin/sh\n", groups).is_none());
    }

    #[test]
    fn a_process_says_whom_it_runs_as() {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = of_process("self", &users).expect("Linux has it");
        assert!(account.groups.contains(&account.gid), "{account:?}");
        assert!(of_process("no-such", &users).is_none());
    }
}

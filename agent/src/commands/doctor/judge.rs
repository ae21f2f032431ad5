//! Findings of facts. Pure: a file for each thing that is looked at.

mod access;
mod agent;
mod clock;
mod disk;
mod files;
mod hub;
mod ports;

use super::facts::{Configuration, Facts, FileFact, ServerFact};
use super::{Check, Finding};

/// What is as it should be, and what is not: nearest to the agent first.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Facts { account, configuration, files, ports, i2c, clock, disk, hub, servers, agent } = facts;
    let mut findings = vec![agent::finding(agent, configuration)];
    findings.extend(configured(configuration, files));
    findings.extend(files::findings(files, account, &configuration.folder));
    findings.extend(ports.iter().map(|port| ports::finding(port, account, i2c)));
    findings.push(clock::finding(clock));
    findings.extend(disk::findings(disk, account));
    // A configuration that may not be read, or is wrong, may name a hub.
    if hub.is_some() || configuration.errors.is_empty() && !files::is_unseen(files) {
        findings.push(hub::finding(hub.as_ref(), &configuration.folder));
    }
    findings.extend(servers.iter().map(server));
    findings
}

/// The configuration, as `check` reads it; nothing of one that may not be read, which is said otherwise.
fn configured(found: &Configuration, files: &[FileFact]) -> Option<Finding> {
    let Configuration { folder, check, errors, warnings } = found;
    let (at, mend) = (folder.display(), format!("mend it; {check} shows all"));
    let of = |what: &str, all: &[String]| match all {
        [one] => format!("1 {what}: {one}"),
        [first, ..] => format!("{} {what}s, the first: {first}", all.len()),
        [] => String::new(),
    };
    match (errors.is_empty(), warnings.is_empty()) {
        _ if files::is_unseen(files) => None,
        _ if files::has_no_agent_toml(files) => {
            let fix = format!("sudo tilth-agent init --config {}", folder.display());
            Some(Finding::fault(Check::Configuration, &at, "there is no agent.toml: the agent does not start", fix))
        }
        (false, _) => Some(Finding::fault(Check::Configuration, &at, of("error", errors), mend)),
        (true, false) => Some(Finding::warning(Check::Configuration, &at, of("warning", warnings), mend)),
        (true, true) => Some(Finding::ok(Check::Configuration, &at, "valid")),
    }
}

fn server(ServerFact { channel, address, reached }: &ServerFact) -> Finding {
    let Err(why) = reached else {
        return Finding::ok(Check::Network, address, format!("reached, for notifications.{channel}"));
    };
    let message = format!("notifications.{channel} tells nobody: the server cannot be reached: {why}");
    let fix = "ip route shows whether there is a network; is the address spelled right? Then: tilth-agent notify-test";
    Finding::fault(Check::Network, address, message, format!("{fix} {channel}"))
}

#[cfg(test)]
mod tests;

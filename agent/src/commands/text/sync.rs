//! State of sync for people: what is wrong, the next try, and the hub's configuration.

use tilth_core::time::Uptime;

use super::{for_long, line};
use crate::api::rows::SyncState;
use crate::configuration::short;
use crate::console::listed;

/// Upper limit of sensors named on one line.
const MAX_NAMED: usize = 5;

/// Lines about sync; the first says whether it works.
pub(super) fn sync(sync: Option<&SyncState>) -> Vec<String> {
    let Some(sync) = sync else { return vec!["no hub configured".to_owned()] };
    let mut lines = vec![format!("{}: {}", sync.hub, condition(sync))];
    if sync.state.is_some() {
        let confirmed = ago(sync.last_success, sync).map(|ago| format!("the hub last confirmed rows {ago} ago"));
        lines.push(confirmed.unwrap_or_else(|| "the hub has confirmed nothing since the agent started".to_owned()));
    }
    // Before sync has started the trouble is the condition.
    if let Some(trouble) = sync.trouble.as_ref().filter(|_| sync.state.is_some()) {
        lines.push(format!("changed file not used: {trouble}; the previous one stays in use"));
    }
    lines.extend(sync.alerts.iter().map(|(kind, reason)| format!("action needed: {}: {reason}", alert(kind))));
    lines.extend(configuration(sync));
    lines.iter().map(|text| line(text)).collect()
}

/// State of sync, with the reason where it fails.
fn condition(sync: &SyncState) -> String {
    match (&sync.state, &sync.why, &sync.trouble) {
        (Some(state), Some(why), _) => format!("{}: {why}{}", badly(state), next_try(sync.next_try, sync)),
        (Some(state), None, _) => well(state).to_owned(),
        (None, _, Some(trouble)) => format!("cannot start: {trouble}"),
        (None, _, None) => "starting".to_owned(),
    }
}

fn configuration(sync: &SyncState) -> Vec<String> {
    let pull = &sync.config;
    let mut lines = Vec::new();
    lines.push(match &sync.bundle.active {
        Some(active) => format!("the hub's bundle {} is running (content {})", active.version, short(&active.hash)),
        None if sync.bundle.unavailable_reason.is_some() => "no bundle".to_owned(),
        None => "no bundle; running the files of config.d".to_owned(),
    });
    lines.extend(sync.bundle.probation.as_ref().map(|awaited| match awaited.as_slice() {
        [] => "on probation: every sensor that was good before is good again".to_owned(),
        awaited => format!("on probation: not good again yet: {}", listed(awaited, MAX_NAMED)),
    }));
    lines.extend([&sync.bundle.unavailable_reason, &sync.bundle.state_error].into_iter().flatten().cloned());
    if let Some(rejected) = &sync.bundle.rejected {
        let named = rejected.version.map_or("a bundle".to_owned(), |version| format!("bundle {version}"));
        lines.push(match rejected.reason.strip_prefix("reverted: ") {
            Some(reason) => format!("{named} was reverted: {reason}; tilth-agent retry tries it again"),
            None => format!("{named} rejected: {}", rejected.reason),
        });
    }
    lines.extend(sync.bundle.deferred_reason.clone());
    if let Some(why) = &pull.why {
        let heard = ago(pull.last_success, sync).map_or(String::new(), |ago| format!("; last success {ago} ago"));
        lines.push(format!("fetching a bundle fails: {why}{}{heard}", next_try(pull.next_try, sync)));
    }
    if !sync.bundle.ignored.is_empty() {
        let ignored = listed(&sync.bundle.ignored, usize::MAX);
        lines.push(format!("not used with their calibrations, because the hub configures this device: {ignored}"));
    }
    lines
}

/// Time since an instant.
fn ago(at: Option<Uptime>, sync: &SyncState) -> Option<String> {
    Some(for_long((sync.now - at?).as_secs_f64().max(0.0)))
}

fn next_try(at: Option<Uptime>, sync: &SyncState) -> String {
    at.map_or(String::new(), |at| format!("; next try in {}", for_long((at - sync.now).as_secs_f64().max(0.0))))
}

fn well(state: &str) -> &str {
    match state {
        "idle" => "up to date",
        "gathering" => "new rows are sent in a moment",
        "fetching" | "sending" => "sending",
        other => other,
    }
}

fn badly(state: &str) -> &str {
    match state {
        "offline" => "unreachable",
        "refused" => "rejects this device",
        "backing-off" => "sending fails",
        "conflict" => "a new stream begins",
        other => other,
    }
}

/// An alert of sync in words; a kind that this version does not know stays as it is.
fn alert(kind: &str) -> &str {
    match kind {
        "key-refused" => "device key rejected",
        "stream-conflict" => "two agents use this key, or an old copy of the data folder was restored",
        "rows-quarantined" => "rows quarantined",
        "not-understood" => "hub and agent do not understand each other",
        other => other,
    }
}

#[cfg(test)]
mod tests;

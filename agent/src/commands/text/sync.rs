//! State of sync for people: what is wrong, the next try, and the hub's configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{for_long, line};
use crate::output::listed;

/// Upper limit of sensors named on one line.
const MAX_NAMED: usize = 5;

/// The parts of `sync` in a status that are shown; an agent of another version may send more or fewer. Times are milliseconds of
/// uptime.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sync {
    hub: String,
    now: i64,
    trouble: Option<String>,
    alerts: BTreeMap<String, String>,
    bundle: Option<Running>,
    lost: Option<String>,
    forgotten: Option<String>,
    probation: Option<Vec<String>>,
    refused: Option<Refused>,
    waits: Option<String>,
    ignored: Vec<String>,
    state: Option<String>,
    why: Option<String>,
    next_try: Option<i64>,
    last_success: Option<i64>,
    config: Option<Pull>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Running {
    version: u64,
    hash: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refused {
    version: Option<u64>,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pull {
    why: Option<String>,
    next_try: Option<i64>,
    last_success: Option<i64>,
}

/// Lines about sync; the first says whether it works.
pub(super) fn sync(raw: Option<&RawValue>) -> Vec<String> {
    let Some(raw) = raw else { return vec!["no hub configured".to_owned()] };
    match serde_json::from_str::<Sync>(raw.get()) {
        Ok(sync) => sync.lines().iter().map(|text| line(text)).collect(),
        Err(_) => vec![line(raw.get())],
    }
}

impl Sync {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.hub, self.condition())];
        if self.state.is_some() {
            let taken = self.last_success.map(|at| format!("the hub last confirmed rows {} ago", self.ago(at)));
            lines.push(taken.unwrap_or_else(|| "the hub has confirmed nothing since the agent started".to_owned()));
        }
        // Before sync has started the trouble is the condition.
        if let (Some(trouble), Some(_)) = (&self.trouble, &self.state) {
            lines.push(format!("changed file not used: {trouble}; the previous one stays in use"));
        }
        lines.extend(self.alerts.iter().map(|(kind, reason)| format!("action needed: {}: {reason}", alert(kind))));
        lines.extend(self.configuration());
        lines
    }

    /// State of sync, with the reason where it fails.
    fn condition(&self) -> String {
        let Some(state) = self.state.as_deref() else {
            let trouble = self.trouble.as_deref();
            return trouble.map_or("starting".to_owned(), |trouble| format!("cannot start: {trouble}"));
        };
        let Some(why) = &self.why else { return well(state).to_owned() };
        format!("{}: {why}{}", badly(state), self.next(self.next_try))
    }

    fn configuration(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.push(match &self.bundle {
            Some(bundle) => {
                let hash = bundle.hash.get(..8).unwrap_or(&bundle.hash);
                format!("the hub's bundle {} is in force (content {hash})", bundle.version)
            }
            None if self.lost.is_some() => "no bundle is in force".to_owned(),
            None => "no bundle is in force; running the files of config.d".to_owned(),
        });
        lines.extend(self.probation.as_ref().map(|awaited| match awaited.as_slice() {
            [] => "on probation: every sensor that was good before is good again".to_owned(),
            awaited => format!("on probation: not good again yet: {}", listed(awaited, MAX_NAMED)),
        }));
        lines.extend(self.lost.clone());
        lines.extend(self.forgotten.clone());
        if let Some(Refused { version, reason }) = &self.refused {
            let named = version.map_or("a bundle".to_owned(), |version| format!("bundle {version}"));
            lines.push(match reason.strip_prefix("reverted: ") {
                Some(reason) => format!("{named} was reverted: {reason}; tilth-agent retry tries it again"),
                None => format!("{named} rejected: {reason}"),
            });
        }
        lines.extend(self.waits.clone());
        if let Some(pull) = &self.config
            && let Some(why) = &pull.why
        {
            let heard = pull.last_success.map_or(String::new(), |at| format!("; last success {} ago", self.ago(at)));
            lines.push(format!("fetching a bundle fails: {why}{}{heard}", self.next(pull.next_try)));
        }
        if !self.ignored.is_empty() {
            lines.push(format!("not used, because the hub configures this device: {}", self.ignored.join(", ")));
        }
        lines
    }

    fn ago(&self, at: i64) -> String {
        for_long((self.now - at).max(0) as f64 / 1000.0)
    }

    fn next(&self, at: Option<i64>) -> String {
        at.map_or(String::new(), |at| format!("; next try in {}", for_long((at - self.now).max(0) as f64 / 1000.0)))
    }
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
        "backing-off" => "does not accept the rows",
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
        "confirmed-unknown" => "the hub confirmed rows that do not exist",
        other => other,
    }
}

#[cfg(test)]
mod tests;

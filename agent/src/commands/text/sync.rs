//! State of sync for people: what is wrong, the next try, and the hub's configuration.

use serde_json::Value;
use serde_json::value::RawValue;

use super::{for_long, line};
use crate::output::listed;

/// Upper limit of sensors named on one line.
const MAX_NAMED: usize = 5;

/// Lines about sync; the first says whether it works.
pub(super) fn sync(raw: Option<&RawValue>) -> Vec<String> {
    let Some(raw) = raw else { return vec!["no hub configured".to_owned()] };
    match serde_json::from_str(raw.get()) {
        Ok(sync @ Value::Object(_)) => Sync(sync).lines().iter().map(|text| line(text)).collect(),
        _ => vec![line(raw.get())],
    }
}

/// The object `sync` of a status; an agent of another version may send more keys or fewer. Times are milliseconds of uptime.
struct Sync(Value);

impl Sync {
    fn text(&self, key: &str) -> Option<&str> {
        self.0[key].as_str()
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.text("hub").unwrap_or_default(), self.condition())];
        let has_started = self.text("state").is_some();
        if has_started {
            let confirmed = self.last_success(&self.0).map(|ago| format!("the hub last confirmed rows {ago} ago"));
            lines.push(confirmed.unwrap_or_else(|| "the hub has confirmed nothing since the agent started".to_owned()));
        }
        // Before sync has started the trouble is the condition.
        if let Some(trouble) = self.text("trouble").filter(|_| has_started) {
            lines.push(format!("changed file not used: {trouble}; the previous one stays in use"));
        }
        for (kind, reason) in self.0["alerts"].as_object().into_iter().flatten() {
            lines.push(format!("action needed: {}: {}", alert(kind), reason.as_str().unwrap_or_default()));
        }
        lines.extend(self.configuration());
        lines
    }

    /// State of sync, with the reason where it fails.
    fn condition(&self) -> String {
        match (self.text("state"), self.text("why"), self.text("trouble")) {
            (Some(state), Some(why), _) => format!("{}: {why}{}", badly(state), self.next_try(&self.0)),
            (Some(state), None, _) => well(state).to_owned(),
            (None, _, Some(trouble)) => format!("cannot start: {trouble}"),
            (None, _, None) => "starting".to_owned(),
        }
    }

    fn configuration(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let unavailable = self.text("unavailable_reason");
        lines.push(match (self.0["bundle"]["version"].as_u64(), self.0["bundle"]["hash"].as_str()) {
            (Some(version), Some(hash)) => {
                format!("the hub's bundle {version} is running (content {})", hash.get(..8).unwrap_or(hash))
            }
            _ if unavailable.is_some() => "no bundle".to_owned(),
            _ => "no bundle; running the files of config.d".to_owned(),
        });
        lines.extend(self.0["probation"].as_array().map(|awaited| match awaited.as_slice() {
            [] => "on probation: every sensor that was good before is good again".to_owned(),
            awaited => format!("on probation: not good again yet: {}", names(awaited, MAX_NAMED)),
        }));
        lines.extend([unavailable, self.text("state_error")].into_iter().flatten().map(str::to_owned));
        if let Some(reason) = self.0["rejected"]["reason"].as_str() {
            let version = self.0["rejected"]["version"].as_u64();
            let named = version.map_or("a bundle".to_owned(), |version| format!("bundle {version}"));
            lines.push(match reason.strip_prefix("reverted: ") {
                Some(reason) => format!("{named} was reverted: {reason}; tilth-agent retry tries it again"),
                None => format!("{named} rejected: {reason}"),
            });
        }
        lines.extend(self.text("pending_reason").map(str::to_owned));
        let pull = &self.0["config"];
        if let Some(why) = pull["why"].as_str() {
            let heard = self.last_success(pull).map_or(String::new(), |ago| format!("; last success {ago} ago"));
            lines.push(format!("fetching a bundle fails: {why}{}{heard}", self.next_try(pull)));
        }
        if let Some(ignored) = self.0["ignored"].as_array().filter(|ignored| !ignored.is_empty()) {
            let ignored = names(ignored, usize::MAX);
            lines.push(format!("not used with their calibrations, because the hub configures this device: {ignored}"));
        }
        lines
    }

    /// Time since the last success of sync, or of the pull of the configuration.
    fn last_success(&self, of: &Value) -> Option<String> {
        let ms = self.0["now"].as_i64().unwrap_or(0) - of["last_success"].as_i64()?;
        Some(for_long(ms.max(0) as f64 / 1000.0))
    }

    fn next_try(&self, of: &Value) -> String {
        let Some(at) = of["next_try"].as_i64() else { return String::new() };
        let ms = at - self.0["now"].as_i64().unwrap_or(0);
        format!("; next try in {}", for_long(ms.max(0) as f64 / 1000.0))
    }
}

fn names(names: &[Value], most: usize) -> String {
    listed(names.iter().filter_map(Value::as_str), most)
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
        "confirmed-unknown" => "the hub confirmed rows that do not exist",
        other => other,
    }
}

#[cfg(test)]
mod tests;

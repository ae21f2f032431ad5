//! A webhook as docs/configuration.md tells a programmer to write one: who sent it, when, and whether it came before.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ring::hmac;
use serde_json::{Map, Value, json};

use crate::answer;
use crate::http::{Answer, Request};

/// What is older than the newest that came, by so many milliseconds, is somebody's copy.
const MAX_AGE_MS: i64 = 300_000;

pub(crate) struct Verifier {
    key: hmac::Key,
    /// Ids of what came, kept in a file: a receiver that is restarted still knows them.
    seen: BTreeSet<String>,
    kept: PathBuf,
    newest_ms: i64,
}

impl Verifier {
    pub(crate) fn new(secret: &str, kept: &Path) -> Verifier {
        let seen = fs::read_to_string(kept).unwrap_or_default().lines().map(str::to_owned).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Verifier { key, seen, kept: kept.to_owned(), newest_ms: i64::MIN }
    }

    pub(crate) fn take(&mut self, request: &Request) -> (Answer, Map<String, Value>) {
        let mut note = crate::described(request);
        match self.check(request) {
            Ok(body) => {
                let id = body["notification"].as_str().unwrap_or_default().to_owned();
                let is_new = self.seen.insert(id);
                let lines: Vec<&str> = self.seen.iter().map(String::as_str).collect();
                fs::write(&self.kept, lines.join("\n")).expect("the folder can be written");
                note.insert("came_before".to_owned(), json!(!is_new));
                // As it came: golden text is compared with bytes and not with what a parser made of them.
                note.insert("body".to_owned(), json!(String::from_utf8_lossy(&request.body)));
                (answer(200, &json!({ "taken": is_new })), note)
            }
            Err((status, why)) => {
                note.insert("refused".to_owned(), json!(why));
                (answer(status, &json!({ "error": why })), note)
            }
        }
    }

    /// The signature first: nothing is read of what somebody else wrote.
    fn check(&mut self, request: &Request) -> Result<Value, (u16, &'static str)> {
        let signature = request.header("x-tilth-signature").and_then(|value| value.strip_prefix("sha256="));
        let signature = signature.and_then(|digits| hex::decode(digits).ok()).ok_or((401, "no signature"))?;
        hmac::verify(&self.key, &request.body, &signature).map_err(|_| (401, "signed with another secret"))?;
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| (400, "no JSON"))?;
        let stamp = request.header("x-tilth-timestamp").and_then(|stamp| stamp.parse::<i64>().ok());
        if stamp != body["sent_at"].as_i64() {
            return Err((401, "the header's time is not the body's"));
        }
        let id = body["notification"].as_str();
        if id.is_none() || request.header("x-tilth-notification") != id || request.header("idempotency-key") != id {
            return Err((400, "the headers' id is not the body's"));
        }
        if let Some(stamp) = stamp {
            if stamp < self.newest_ms.saturating_sub(MAX_AGE_MS) {
                return Err((401, "too old"));
            }
            self.newest_ms = self.newest_ms.max(stamp);
        }
        Ok(body)
    }
}

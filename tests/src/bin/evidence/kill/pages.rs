//! The receiver of pages, a process of its own, and what must hold of all that it was told.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::Value;
use tilth_tests::agent::profile_folder;
use tilth_tests::live::Running;
use tilth_tests::live::farm::Farm;

use super::judge::Findings;

/// Longer than a program takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An alert that somebody took on: no page of it may come that was decided in this time, in that of the rows.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) alert: u64,
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

/// A running receiver.
pub(super) struct Receiver {
    pub(super) port: u16,
    folder: PathBuf,
    /// Acknowledgements that ended.
    acknowledged: Vec<Acknowledged>,
    forged: Vec<Page>,
    _process: Running,
}

/// One event of a notification.
#[derive(Debug, Clone)]
struct Page {
    id: String,
    /// Which alert: number, rule, sensor and since when.
    of: String,
    alert: u64,
    is_resolved: bool,
    at_ms: i64,
}

impl Receiver {
    /// Starts one, with a secret that the farm is given.
    pub(super) fn start(farm: &Farm) -> anyhow::Result<Receiver> {
        let folder = farm.folder.path().join("office");
        farm.folder.write("office/secret", "of the evidence");
        let secret = farm.folder.write("etc/secrets/office", "of the evidence\n");
        fs::set_permissions(secret, Permissions::from_mode(0o600))?;
        let said = folder.join("said");
        let mut call = Command::new(profile_folder().join("receiver"));
        call.arg("webhook").arg(&folder).stdin(Stdio::null()).stdout(File::create(&said)?).stderr(Stdio::null());
        let process = Running::start(&mut call).context("the receiver: tests/evidence builds it")?;
        let began = Instant::now();
        let port = loop {
            let text = fs::read_to_string(&said)?;
            if let Some(port) = text.strip_suffix('\n').and_then(|line| line.rsplit(':').next()?.parse().ok()) {
                break port;
            }
            if began.elapsed() > PATIENCE {
                bail!("the receiver does not listen");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok(Receiver { port, folder, acknowledged: Vec::new(), forged: Vec::new(), _process: process })
    }

    /// From now on these acknowledgements cannot be known any more.
    pub(super) fn no_longer(&mut self, acknowledged: &mut Vec<Acknowledged>, now_ms: i64) {
        let ended = acknowledged.drain(..).map(|of| Acknowledged { until_ms: of.until_ms.min(now_ms), ..of });
        self.acknowledged.extend(ended);
    }

    fn pages(&self) -> Vec<Page> {
        let text = fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        let requests = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let bodies = requests.filter_map(|request| serde_json::from_str::<Value>(request["body"].as_str()?).ok());
        let events = bodies.flat_map(|body| body["events"].as_array().cloned().unwrap_or_default());
        events.filter_map(|event| Page::of(&event)).chain(self.forged.iter().cloned()).collect()
    }

    /// What the saboteur adds: the id of a page again for another alert, and a page of an acknowledged alert.
    pub(super) fn forge(&mut self) {
        let pages = self.pages();
        let Some(first) = pages.first() else { return };
        self.forged.push(Page { of: format!("another than {}", first.of), ..first.clone() });
        if let Some(taken) = self.acknowledged.first() {
            self.forged.push(Page {
                id: "forged".to_owned(),
                alert: taken.alert,
                is_resolved: false,
                at_ms: taken.from_ms + 1,
                ..first.clone()
            });
        }
    }

    pub(super) fn judge(&self, findings: &mut Findings) {
        let pages = self.pages();
        findings.pages = pages.len();
        let mut known: BTreeMap<&str, &str> = BTreeMap::new();
        for page in &pages {
            let before = *known.entry(&page.id).or_insert(&page.of);
            if before != page.of {
                findings.ids.push(format!("{} tells of {} and of {before}", page.id, page.of));
            }
            let is_of = |taken: &&Acknowledged| {
                taken.alert == page.alert && taken.from_ms < page.at_ms && page.at_ms <= taken.until_ms
            };
            if !page.is_resolved && self.acknowledged.iter().any(|taken| is_of(&taken)) {
                findings.acknowledged.push(format!("{} pages of alert {}, which is acknowledged", page.id, page.alert));
            }
        }
    }
}

impl Page {
    /// Nothing for what is about the bus or the hub, or was not placed in time.
    fn of(event: &Value) -> Option<Page> {
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        let alert = event["alert"].as_u64()?;
        let at: Timestamp = text("at")?.parse().ok()?;
        let of = [text("rule")?, text("sensor")?, text("since").unwrap_or_default()].join(" ");
        Some(Page {
            id: text("notification")?,
            of: format!("alert {alert} of {of}"),
            alert,
            is_resolved: event["state"] == "resolved",
            at_ms: at.as_millisecond(),
        })
    }
}

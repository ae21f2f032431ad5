//! `tilth-agent doctor`: what keeps this machine from watching the farm, each with its fix.
//!
//! ```text
//! gather (asks the machine) --> facts (plain data) --> judge (pure) --> findings
//! ```

mod facts;
mod gather;
mod judge;

use std::path::Path;

use serde::Serialize;

use crate::api::status::name;
use crate::cli;
use crate::console::{Console, counted};
use crate::exit::Exit;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    /// Works, but not always or not fully.
    Warning,
    /// Keeps the agent from its work.
    Fault,
}

/// User and group that the agent of a configuration runs as, also while it is stopped.
pub(super) fn agents_user(folder: &Path) -> (u32, u32) {
    let account = gather::account::of(None, folder);
    (account.uid, account.gid)
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Check {
    Agent,
    Configuration,
    Permission,
    File,
    Port,
    I2c,
    Clock,
    Disk,
    Hub,
    Network,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    check: Check,
    /// File, device or address.
    at: String,
    message: String,
    /// A command, or a sentence that says what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(check: Check, at: &impl ToString, message: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, check, at: at.to_string(), message: message.into(), fix: None }
    }

    fn warning(check: Check, at: &impl ToString, message: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, fix: Some(fix.into()), ..Finding::ok(check, at, message) }
    }

    fn fault(check: Check, at: &impl ToString, message: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { level: Level::Fault, ..Finding::warning(check, at, message, fix) }
    }

    /// `fault    port: /dev/ttyUSB0: there is no such port; fix: ..`.
    fn line(&self) -> String {
        let (level, check) = (name(self.level), name(self.check));
        let fix = self.fix.as_ref().map_or(String::new(), |fix| format!("; fix: {fix}"));
        format!("{level:<8} {check}: {}: {}{fix}", self.at, self.message)
    }
}

/// Looks at the machine and prints a line for each finding.
pub(crate) fn doctor(wanted: &cli::Doctor) -> anyhow::Result<Exit> {
    let findings = judge::judge(&gather::facts(wanted)?);
    let mut console = Console::new();
    if wanted.agent.json {
        findings.iter().try_for_each(|finding| console.json(finding))?;
    } else {
        findings.iter().try_for_each(|finding| console.line(finding.line()))?;
        let count = |level| findings.iter().filter(|finding| finding.level == level).count() as u64;
        let (faults, warnings) = (counted(count(Level::Fault), "fault"), counted(count(Level::Warning), "warning"));
        console.line(format_args!("{faults}, {warnings}"))?;
    }
    console.flush()?;
    Ok(exit(&findings))
}

fn exit(findings: &[Finding]) -> Exit {
    let faults = || findings.iter().filter(|finding| finding.level == Level::Fault);
    match faults().any(|fault| fault.check == Check::Configuration) {
        true => Exit::Refused,
        false if faults().next().is_some() => Exit::Failed,
        false => Exit::Done,
    }
}

//! `tilth-hub config`: what devices are to do.

use std::fmt;

use anyhow::bail;
use serde_json::json;
use tilth_config::bundle;

use super::roster::Roster;
use super::{change, content, device_of};
use crate::cli::{Config, Of};
use crate::exit::{self, Exit};
use crate::issue;
use crate::store::{self, bundles};

pub(crate) fn run(wanted: &Config) -> anyhow::Result<Exit> {
    match wanted {
        Config::Put { from, force, of } => {
            let checked = content::read(from, &of.client, &of.device)?;
            for finding in &checked.findings {
                exit::tell(finding);
            }
            match checked.content {
                Some((content, roster)) => put(&content, &roster, *force, of),
                None => Ok(Exit::Refused),
            }
        }
        Config::Show { of } => show(of),
    }
}

/// What a new version has, beside the one before it.
struct Compared<'a> {
    roster: &'a Roster,
    /// None for a device's first; else what it had, or why that cannot be told.
    before: Option<Result<Roster, String>>,
}

fn put(content: &serde_json::Value, roster: &Roster, force: bool, of: &Of) -> anyhow::Result<Exit> {
    let Of { client, device, data, output } = of;
    let data = data.dir();
    let key = data.read_signing_key()?;
    let (bundle, compared) = change(&data, |change| {
        let found = change.device(client, device)?;
        let before = bundles::newest(change.connection, found.id)?;
        let (bundle, is_new) = issue::put(change.connection, &key, &found, content, change.now)?;
        if !is_new {
            return Ok((bundle, None));
        }
        let before = before.map(|before| {
            let before =
                bundle::verify(&before.bytes, key.trusted(), client, device).map_err(|error| error.to_string())?;
            content::roster(&before.content, client, device)
        });
        let compared = Compared { roster, before };
        let version = bundle.version;
        if compared.loses() && !force {
            bail!("{client}/{device}: configuration {version}: {compared}. Nothing was signed; with --force it is");
        }
        let gone = if compared.loses() { format!("; {}", compared.gone()) } else { String::new() };
        let what = format!("configuration {version} of device {device}, content {}{gone}", bundle.hash);
        change.audit(Some(found.tenant), &what)?;
        Ok((bundle, Some(compared)))
    })?;
    let version = bundle.version;
    if output.json {
        let before = compared.as_ref().and_then(|compared| compared.before.as_ref()?.as_ref().ok());
        let changed = json!({
            "client_id": client, "device_id": device, "version": version, "hash": bundle.hash,
            "changed": compared.is_some(), "has": roster, "before": before,
            "gone": before.map(|before| roster.gone_since(before)),
        });
        exit::json(&changed)?;
    } else if let Some(compared) = compared {
        exit::line(format_args!("{client}/{device}: configuration {version}: {compared}"))?;
        exit::line(format_args!("{client}/{device}: configuration {version} is signed and waits for the device"))?;
    } else {
        exit::line(format_args!(
            "{client}/{device}: configuration {version} has this content already; nothing changed"
        ))?;
    }
    Ok(Exit::Done)
}

impl Compared<'_> {
    /// Whether the device would no longer watch something or tell somebody, as far as can be told.
    fn loses(&self) -> bool {
        match &self.before {
            None => false,
            Some(Ok(before)) => !self.roster.gone_since(before).is_empty(),
            Some(Err(_)) => true,
        }
    }

    /// In a sentence, where it loses something.
    fn gone(&self) -> String {
        match &self.before {
            None => String::new(),
            Some(Ok(before)) => format!("Gone: {}", self.roster.gone_since(before)),
            Some(Err(why)) => format!("What is gone cannot be told, for the one before cannot be read: {why}"),
        }
    }
}

impl fmt::Display for Compared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.roster)?;
        match &self.before {
            Some(Ok(before)) if before == self.roster => write!(f, " (as before)")?,
            Some(Ok(before)) => write!(f, " (before: {before})")?,
            None | Some(Err(_)) => {}
        }
        if self.loses() { write!(f, ". {}", self.gone()) } else { Ok(()) }
    }
}

fn show(of: &Of) -> anyhow::Result<Exit> {
    let Of { client, device, data, output } = of;
    let data = data.dir();
    let connection = store::open(&data.database())?;
    let found = device_of(&connection, client, device)?;
    let Some(stored) = bundles::newest(&connection, found.id)? else {
        bail!("{client}/{device} has no configuration yet; `tilth-hub config put` gives it one");
    };
    let bundle = bundle::verify(&stored.bytes, data.read_signing_key()?.trusted(), client, device)?;
    if output.json {
        exit::json(&json!({
            "client_id": client,
            "device_id": device,
            "version": stored.version,
            "issued": stored.issued.to_string(),
            "hash": stored.hash,
            "shown_version": found.shown_version,
            "content": bundle.content,
        }))?;
    } else {
        exit::line(format_args!("version {}, issued {}, content {}", stored.version, stored.issued, stored.hash))?;
        exit::line(serde_json::to_string_pretty(&bundle.content)?)?;
    }
    Ok(Exit::Done)
}

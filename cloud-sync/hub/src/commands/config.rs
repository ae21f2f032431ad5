//! `tilth-hub config`: what devices are to do.

use anyhow::bail;
use serde_json::json;
use tilth_config::bundle;

use super::{change, content, device_of};
use crate::cli::{Config, Of};
use crate::exit::{self, Exit};
use crate::issue;
use crate::store::{self, bundles};

pub(crate) fn run(wanted: &Config) -> anyhow::Result<Exit> {
    match wanted {
        Config::Put { from, of } => {
            let checked = content::read(from, &of.client, &of.device)?;
            for finding in &checked.findings {
                exit::tell(finding);
            }
            match checked.content {
                Some(content) => put(&content, of),
                None => Ok(Exit::Refused),
            }
        }
        Config::Show { of } => show(of),
    }
}

fn put(content: &serde_json::Value, of: &Of) -> anyhow::Result<Exit> {
    let Of { client, device, data, output } = of;
    let data = data.dir();
    let key = data.read_signing_key()?;
    let (bundle, is_new) = change(&data, |change| {
        let found = change.device(client, device)?;
        let (bundle, is_new) = issue::put(change.connection, &key, &found, content, change.now)?;
        if is_new {
            let what = format!("configuration {} of device {device}, content {}", bundle.version, bundle.hash);
            change.audit(Some(found.tenant), &what)?;
        }
        Ok((bundle, is_new))
    })?;
    let version = bundle.version;
    if output.json {
        let changed = json!({
            "client_id": client, "device_id": device, "version": version, "hash": bundle.hash, "changed": is_new,
        });
        exit::json(&changed)?;
    } else if is_new {
        exit::line(format_args!("{client}/{device}: configuration {version} is signed and waits for the device"))?;
    } else {
        exit::line(format_args!(
            "{client}/{device}: configuration {version} has this content already; nothing changed"
        ))?;
    }
    Ok(Exit::Done)
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

//! `tilth-hub config`: what devices are to do.

use anyhow::bail;
use serde_json::json;
use tilth_config::{Holdings, bundle};

use super::{change, content, device_of};
use crate::cli::{Config, Of};
use crate::db::sqlite::{self as store, bundles};
use crate::domain::configs as issue;
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Config) -> anyhow::Result<Exit> {
    match wanted {
        Config::Put { from, force, of } => {
            let checked = content::read(from, &of.client, &of.device)?;
            for finding in &checked.findings {
                exit::tell(finding);
            }
            match checked.content {
                Some((content, has)) => put(&content, &has, *force, of),
                None => Ok(Exit::Refused),
            }
        }
        Config::Show { of } => show(of),
    }
}

fn put(content: &serde_json::Value, has: &Holdings, force: bool, of: &Of) -> anyhow::Result<Exit> {
    let Of { client, device, data, output } = of;
    let data = data.dir();
    let key = data.read_signing_key()?;
    let (bundle, entered) = change(&data, |change| {
        let found = change.device(client, device)?;
        let before = bundles::newest(change.connection, found.id)?;
        let (bundle, is_new) = issue::put(change.connection, &key, &found, content, change.now)?;
        if !is_new {
            return Ok((bundle, None));
        }
        let before = before.map(|before| {
            let before =
                bundle::verify(&before.bytes, key.trusted(), client, device).map_err(|error| error.to_string())?;
            content::holdings(&before.content)
        });
        let version = bundle.version;
        let entered = has.after(before.as_ref().and_then(|before| before.as_ref().ok()));
        let unknown = match before {
            Some(Err(why)) => format!("; what is gone cannot be told, for the one before cannot be read: {why}"),
            Some(Ok(_)) | None => String::new(),
        };
        let is_less = entered.gone().is_grave() || !unknown.is_empty();
        if is_less && !force {
            bail!(
                "{client}/{device}: configuration {version} has {entered}{unknown}. Nothing was signed; with --force it is"
            );
        }
        let what = format!("configuration {version} of device {device}, content {}, {entered}{unknown}", bundle.hash);
        change.audit(Some(found.tenant), &what)?;
        Ok((bundle, Some((entered, unknown))))
    })?;
    let version = bundle.version;
    if output.json {
        let entered = entered.as_ref().map(|(entered, _)| entered);
        let mut changed = json!({
            "client_id": client, "device_id": device, "version": version, "hash": bundle.hash,
            "changed": entered.is_some(),
        });
        if let (Some(changed), Ok(serde_json::Value::Object(entered))) =
            (changed.as_object_mut(), serde_json::to_value(entered))
        {
            changed.extend(entered);
        }
        exit::json(&changed)?;
    } else if let Some((entered, unknown)) = entered {
        exit::line(format_args!("{client}/{device}: configuration {version} has {entered}{unknown}"))?;
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

//! `tilth-hub config`: configurations of devices.

use anyhow::bail;
use serde_json::json;
use tilth_config::{Inventory, bundle};

use super::{content, open};
use crate::cli::{Common, Config, DeviceOption};
use crate::clock;
use crate::domain::configs;
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Config) -> anyhow::Result<Exit> {
    match wanted {
        Config::Put { from, force, device } => {
            let checked = content::read(from, &device.client, &device.device)?;
            for finding in &checked.findings {
                exit::tell(finding);
            }
            match checked.content {
                Some((content, has)) => put(&content, &has, *force, device),
                None => Ok(Exit::Usage),
            }
        }
        Config::Show { device } => show(device),
    }
}

fn put(content: &serde_json::Value, has: &Inventory, force: bool, of: &DeviceOption) -> anyhow::Result<Exit> {
    let DeviceOption { client, device, common: Common { data, output } } = of;
    let data = data.dir();
    let key = data.read_signing_key()?;
    let mut db = open(&data)?;
    let of_device = db.device(&db.tenant(client)?, device)?;
    let (newest, shown) = db.configuration(&of_device)?;
    let (bundle, entered) = match newest {
        Some(newest) if configs::is_in_place(&newest, shown, content) => (newest, None),
        newest => {
            let version = configs::next_version(newest.as_ref().map_or(0, |newest| newest.version), shown)?;
            let before = newest.map(|newest| {
                let before = bundle::verify(&newest.bytes, key.trusted(), client, device);
                content::inventory(&before.map_err(|error| error.to_string())?.content)
            });
            let entered = has.change_from(before.as_ref().and_then(|before| before.as_ref().ok()));
            let unknown = match before {
                Some(Err(why)) => {
                    format!("; the previous configuration cannot be read, so what is gone is unknown: {why}")
                }
                Some(Ok(_)) | None => String::new(),
            };
            let is_less = entered.removed().loses_coverage() || !unknown.is_empty();
            if is_less && !force {
                bail!(
                    "{client}/{device}: configuration {version} has {entered}{unknown}. Nothing was stored; use --force to store it"
                );
            }
            let now = clock::now();
            let bundle = configs::sign(&key, (client, device), version, content, now)?;
            let what =
                format!("configuration {version} of device {device}, content {}, {entered}{unknown}", bundle.hash);
            db.put_configuration(&of_device, &bundle, &what, now)?;
            (bundle, Some((entered, unknown)))
        }
    };
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
        exit::line(format_args!(
            "{client}/{device}: configuration {version} is signed; pending until the device fetches it"
        ))?;
    } else {
        exit::line(format_args!("{client}/{device}: configuration {version} has this content already; nothing to do"))?;
    }
    Ok(Exit::Done)
}

fn show(of: &DeviceOption) -> anyhow::Result<Exit> {
    let DeviceOption { client, device, common: Common { data, output } } = of;
    let data = data.dir();
    let db = open(&data)?;
    let (stored, shown) = db.configuration(&db.device(&db.tenant(client)?, device)?)?;
    let Some(stored) = stored else {
        bail!("{client}/{device} has no configuration yet; `tilth-hub config put` adds one");
    };
    let bundle = bundle::verify(&stored.bytes, data.read_signing_key()?.trusted(), client, device)?;
    if output.json {
        exit::json(&json!({
            "client_id": client,
            "device_id": device,
            "version": stored.version,
            "issued": stored.issued.to_string(),
            "hash": stored.hash,
            "shown_version": shown,
            "content": bundle.content,
        }))?;
    } else {
        exit::line(format_args!("version {}, issued {}, content {}", stored.version, stored.issued, stored.hash))?;
        exit::line(serde_json::to_string_pretty(&bundle.content)?)?;
    }
    Ok(Exit::Done)
}

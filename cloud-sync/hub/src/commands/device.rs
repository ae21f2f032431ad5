//! `tilth-hub device`: devices and their keys.

use serde_json::{Value as Json, json};
use tilth_core::time::WallTime;
use tilth_protocol::{Key, KeyKind, WITHHELD};

use super::{enroll, open};
use crate::cli::{Common, Device, DeviceName, Output};
use crate::clock;
use crate::db::{DeviceReport, HubAlert, ListedCode, ListedKey, QuarantinedRow};
use crate::domain::access;
use crate::domain::configs::status::{ConfigStatus, RejectedConfig};
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Device) -> anyhow::Result<Exit> {
    match wanted {
        Device::Add(one) => {
            let mut db = open(&one.common.data.dir())?;
            let key = access::draw(KeyKind::Device)?;
            db.add_device(&db.tenant(&one.client)?, &one.device, &key, clock::now())?;
            show_key(one, &key)
        }
        Device::Key(one) => {
            let mut db = open(&one.common.data.dir())?;
            let key = access::draw(KeyKind::Device)?;
            let device = db.device(&db.tenant(&one.client)?, &one.device)?;
            db.add_device_key(&device, &key, clock::now())?;
            show_key(one, &key)
        }
        Device::Enroll(wanted) => enroll::run(wanted),
        Device::Revoke { device, codes } => revoke(device, *codes),
        Device::List { client, common: Common { data, output } } => {
            let db = open(&data.dir())?;
            let tenants = match client {
                Some(client) => vec![db.tenant(client)?],
                None => db.tenants()?.into_iter().map(|listed| listed.tenant).collect(),
            };
            for tenant in tenants {
                for report in db.devices(&tenant, clock::now())? {
                    show(&report, *output)?;
                }
            }
            Ok(Exit::Done)
        }
    }
}

fn revoke(one: &DeviceName, only_codes: bool) -> anyhow::Result<Exit> {
    let DeviceName { device, client, common: Common { data, output } } = one;
    let mut db = open(&data.dir())?;
    let context = db.device(&db.tenant(client)?, device)?;
    let (keys, codes) = match only_codes {
        true => (0, db.revoke_codes(&context, clock::now())?),
        false => db.revoke_keys(&context, clock::now())?,
    };
    if output.json {
        exit::json(&json!({"client_id": client, "device_id": device, "revoked": keys, "revoked_codes": codes}))?;
        return Ok(Exit::Done);
    }
    let (keys, codes) = (exit::counted(keys, "key"), exit::counted(codes, "enrolment code"));
    match only_codes {
        true => exit::line(format_args!("{client}/{device}: {codes} revoked"))?,
        false => exit::line(format_args!("{client}/{device}: {keys} and {codes} revoked"))?,
    }
    Ok(Exit::Done)
}

fn show_key(one: &DeviceName, key: &Key) -> anyhow::Result<Exit> {
    let DeviceName { device, client, common } = one;
    if common.output.json {
        let shown = json!({"client_id": client, "device_id": device, "key_id": key.id(), "device_key": key.reveal()});
        exit::json(&shown)?;
    } else {
        exit::line(format_args!("client_id  {client}"))?;
        exit::line(format_args!("device_id  {device}"))?;
        exit::line(format_args!("device key {}", key.reveal()))?;
        exit::line("The key is not shown again. Write it to the file key_file of agent.toml, mode 0600.")?;
    }
    Ok(Exit::Done)
}

fn show(report: &DeviceReport, output: Output) -> anyhow::Result<()> {
    if output.json {
        return exit::json(&to_json(report));
    }
    let DeviceReport { context, device, keys, codes, config_status, alerts, quarantine, withheld } = report;
    let client = context.tenant().client();
    let heard = device.last_heard.map_or("never heard".to_owned(), |time| format!("last heard {time}"));
    let valid = keys.iter().filter(|key| key.revoked.is_none()).count();
    exit::line(format_args!(
        "{client}/{}  {heard}, {}, {valid} of {} keys valid",
        device.name,
        configurations(config_status),
        keys.len()
    ))?;
    // The use of a single key is the last request.
    for ListedKey { id, created, last_used, .. } in keys.iter().filter(|key| valid > 1 && key.revoked.is_none()) {
        let used = last_used.map_or("not used yet".to_owned(), |time| format!("last used {time}"));
        exit::line(format_args!("  key {id}  {used}, added {created}"))?;
    }
    // A code that led to a key is told by that key.
    for ListedCode { id, code } in codes.iter().filter(|listed| listed.code.used.is_none()) {
        exit::line(format_args!("  enrolment code {id}  {}", code.in_words(clock::now())))?;
    }
    for HubAlert { last, message, .. } in alerts {
        exit::line(format_args!("  {last}: {message}"))?;
    }
    if let Some(QuarantinedRow { lane, seq, reason, received, .. }) = quarantine.first() {
        let rows = exit::counted(device.quarantined, "row");
        exit::line(format_args!("  {rows} quarantined, the newest at {received}: {lane} {seq}: {reason}"))?;
    }
    if *withheld > 0 {
        let rows = exit::counted(*withheld, "row");
        exit::line(format_args!("  {rows} withheld, which stay on the device: {WITHHELD}"))?;
    }
    if device.unknown_keys > 0 {
        let keys = exit::counted(device.unknown_keys, "key");
        exit::line(format_args!("  {keys} ignored that this hub does not know: update the hub"))?;
    }
    let Some(rejected) = &config_status.rejected else { return Ok(()) };
    let named = rejected.version.map_or("a configuration".to_owned(), |version| format!("configuration {version}"));
    let at = rejected.at.map_or(String::new(), |at| format!(" at {at}"));
    let reason = rejected.reason.replace(char::is_control, " ");
    exit::line(format_args!("  {named} was rejected by the device{at}: {reason}"))
}

fn to_json(report: &DeviceReport) -> Json {
    let DeviceReport { context, device, keys, codes, config_status, alerts, quarantine, withheld } = report;
    let time = |time: Option<WallTime>| time.map(|time| time.to_string());
    let keys = keys.iter().map(|key| {
        let (created, last_used, revoked) = (key.created.to_string(), time(key.last_used), time(key.revoked));
        json!({"key_id": key.id, "created": created, "last_used": last_used, "revoked": revoked})
    });
    let codes = codes.iter().map(|ListedCode { id, code }| {
        let (used, key) = code.used.as_ref().map(|used| (used.at.to_string(), &used.key)).unzip();
        json!({
            "code_id": id, "created": code.created.to_string(), "expires": code.expires.to_string(), "revoked": time(code.revoked),
            "used": used, "key_id": key,
        })
    });
    let rejected = config_status.rejected.as_ref().map(|rejected| {
        let RejectedConfig { version, at, reason } = rejected;
        json!({"version": version, "at": time(*at), "reason": reason})
    });
    let quarantine = quarantine.iter().map(|QuarantinedRow { lane, seq, reason, text, received }| {
        json!({"lane": lane, "seq": seq, "received": received.to_string(), "reason": reason, "row": text})
    });
    let alerts = alerts.iter().map(
        |HubAlert { rule, since, message, .. }| json!({"rule": rule, "since": since.to_string(), "message": message}),
    );
    json!({
        "client_id": context.tenant().client(), "device_id": device.name, "created": device.created.to_string(),
        "last_heard": time(device.last_heard), "config_version": config_status.newest,
        "running_version": config_status.running, "unreported_version": config_status.unreported,
        "waiting_version": config_status.pending(), "refused": rejected,
        "shown_version": device.shown_version, "keys": keys.collect::<Vec<_>>(),
        "codes": codes.collect::<Vec<_>>(), "quarantined": device.quarantined,
        "quarantine": quarantine.collect::<Vec<_>>(), "unknown_keys": device.unknown_keys,
        "alerts": alerts.collect::<Vec<_>>(), "withheld": withheld,
    })
}

/// Which configuration runs, was rejected, is on the device without a report, or is pending.
fn configurations(config_status: &ConfigStatus) -> String {
    let rejected = config_status.rejected.as_ref();
    let rejected = rejected.map(|rejected| rejected.version.map_or("one".to_owned(), |version| version.to_string()));
    let parts = [
        config_status.running.map(|version| format!("{version} runs")),
        rejected.map(|version| format!("{version} was rejected")),
        config_status.unreported.map(|version| format!("{version} is on the device, not reported yet")),
        config_status.pending().map(|version| format!("{version} is pending")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match (config_status.running, &config_status.rejected) {
        _ if parts.is_empty() => "no configuration".to_owned(),
        (None, Some(_)) => format!("runs by its own files, configuration {}", parts.join(", ")),
        _ => format!("configuration {}", parts.join(", ")),
    }
}

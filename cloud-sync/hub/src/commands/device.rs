//! `tilth-hub device`: devices and their keys.

use anyhow::bail;
use serde_json::json;
use tilth_core::time::WallTime;
use tilth_protocol::Key;

use super::{change, tenant_of};
use crate::cli::{Device, OneDevice, Output};
use crate::exit::{self, Exit};
use crate::store::keys::Listed;
use crate::store::{self, bundles, devices, keys};

pub(crate) fn run(wanted: &Device) -> anyhow::Result<Exit> {
    match wanted {
        Device::Add(one) => {
            let OneDevice { device, client, data, .. } = one;
            let key = change(&data.dir(), |change| {
                let tenant = change.tenant(client)?;
                let Some(id) = devices::add(change.connection, tenant, device, change.now)? else {
                    bail!("{client} has a device {device} already; nothing was changed");
                };
                let key = change.key(tenant, Some(id))?;
                change.audit(Some(tenant), &format!("device {device} added with key {}", key.id()))?;
                Ok(key)
            })?;
            show_key(one, &key)
        }
        Device::Key(one) => {
            let OneDevice { device, client, data, .. } = one;
            let key = change(&data.dir(), |change| {
                let found = change.device(client, device)?;
                let key = change.key(found.tenant, Some(found.id))?;
                change.audit(Some(found.tenant), &format!("key {} made for device {device}", key.id()))?;
                Ok(key)
            })?;
            show_key(one, &key)
        }
        Device::Revoke(one) => revoke(one),
        Device::List { client, data, output } => {
            let connection = store::open(&data.dir().database())?;
            let tenant = client.as_ref().map(|client| tenant_of(&connection, client)).transpose()?;
            for device in devices::all(&connection, tenant)? {
                let keys = keys::of_device(&connection, device.id)?;
                let version = bundles::version(&connection, device.id)?;
                show(&device, &keys, version, *output)?;
            }
            Ok(Exit::Done)
        }
    }
}

fn revoke(one: &OneDevice) -> anyhow::Result<Exit> {
    let OneDevice { device, client, data, output } = one;
    let revoked = change(&data.dir(), |change| {
        let found = change.device(client, device)?;
        let revoked = keys::revoke(change.connection, found.id, change.now)?;
        change.audit(Some(found.tenant), &format!("{revoked} keys of device {device} revoked"))?;
        Ok(revoked)
    })?;
    if output.json {
        exit::json(&json!({"client_id": client, "device_id": device, "revoked": revoked}))?;
    } else {
        exit::line(format_args!("{client}/{device}: {revoked} keys revoked"))?;
    }
    Ok(Exit::Done)
}

fn show_key(one: &OneDevice, key: &Key) -> anyhow::Result<Exit> {
    let OneDevice { device, client, output, .. } = one;
    if output.json {
        let shown = json!({"client_id": client, "device_id": device, "key_id": key.id(), "device_key": key.reveal()});
        exit::json(&shown)?;
    } else {
        exit::line(format_args!("client_id  {client}"))?;
        exit::line(format_args!("device_id  {device}"))?;
        exit::line(format_args!("device key {}", key.reveal()))?;
        exit::line("The key is not shown again. It goes into the file that key_file names in agent.toml, mode 0600.")?;
    }
    Ok(Exit::Done)
}

fn show(device: &devices::Device, keys: &[Listed], version: Option<u64>, output: Output) -> anyhow::Result<()> {
    if output.json {
        let time = |time: Option<WallTime>| time.map(|time| time.to_string());
        let keys: Vec<_> = keys
            .iter()
            .map(|key| {
                json!({
                    "key_id": key.id,
                    "created": key.created.to_string(),
                    "last_used": time(key.last_used),
                    "revoked": time(key.revoked),
                })
            })
            .collect();
        return exit::json(&json!({
            "client_id": device.client,
            "device_id": device.name,
            "created": device.created.to_string(),
            "last_heard": time(device.last_heard),
            "config_version": version,
            "shown_version": device.shown_version,
            "keys": keys,
        }));
    }
    let heard = device.last_heard.map_or("never heard".to_owned(), |time| format!("last heard {time}"));
    let config = version.map_or("no configuration".to_owned(), |version| format!("configuration {version}"));
    let valid = keys.iter().filter(|key| key.revoked.is_none()).count();
    exit::line(format_args!(
        "{}/{}  {heard}, {config}, {valid} of {} keys valid",
        device.client,
        device.name,
        keys.len()
    ))
}

//! `tilth-hub tenant`: the companies that own farms.

use anyhow::bail;
use serde_json::json;
use tilth_protocol::Key;

use super::change;
use crate::cli::{Output, Tenant};
use crate::db::sqlite::{self as store, devices};
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Tenant) -> anyhow::Result<Exit> {
    match wanted {
        Tenant::Add { name, data, output } => {
            let key = change(&data.dir(), |change| {
                let Some(tenant) = devices::add_tenant(change.connection, name, change.now)? else {
                    bail!("there is a tenant {name} already; nothing was changed");
                };
                let key = change.key(tenant, None)?;
                change.audit(Some(tenant), &format!("tenant {name} added with read key {}", key.id()))?;
                Ok(key)
            })?;
            show_key(name.as_str(), &key, *output)
        }
        Tenant::Key { name, data, output } => {
            let key = change(&data.dir(), |change| {
                let tenant = change.tenant(name)?;
                let key = change.key(tenant, None)?;
                change.audit(Some(tenant), &format!("read key {} made", key.id()))?;
                Ok(key)
            })?;
            show_key(name.as_str(), &key, *output)
        }
        Tenant::List { data, output } => {
            let connection = store::open(&data.dir().database())?;
            for (name, created, count) in devices::tenants(&connection)? {
                if output.json {
                    exit::json(&json!({"client_id": name, "created": created.to_string(), "devices": count}))?;
                } else {
                    exit::line(format_args!("{name}  {}, since {created}", exit::counted(count, "device")))?;
                }
            }
            Ok(Exit::Done)
        }
    }
}

fn show_key(client: &str, key: &Key, output: Output) -> anyhow::Result<Exit> {
    if output.json {
        exit::json(&json!({"client_id": client, "key_id": key.id(), "read_key": key.reveal()}))?;
    } else {
        exit::line(format_args!("client_id {client}"))?;
        exit::line(format_args!("read key  {}", key.reveal()))?;
        exit::line("The key is not shown again. It reads this tenant's data and nothing else.")?;
    }
    Ok(Exit::Done)
}

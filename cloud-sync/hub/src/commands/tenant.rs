//! `tilth-hub tenant`: the companies that own farms.

use serde_json::json;
use tilth_protocol::{Key, KeyKind};

use super::open;
use crate::cli::{Output, Tenant};
use crate::clock;
use crate::db::ListedTenant;
use crate::domain::access;
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Tenant) -> anyhow::Result<Exit> {
    match wanted {
        Tenant::Add { name, data, output } => {
            let key = access::draw(KeyKind::Read)?;
            open(&data.dir())?.add_tenant(name, &key, clock::now())?;
            show_key(name.as_str(), &key, *output)
        }
        Tenant::Key { name, data, output } => {
            let mut db = open(&data.dir())?;
            let key = access::draw(KeyKind::Read)?;
            db.add_read_key(&db.tenant(name)?, &key, clock::now())?;
            show_key(name.as_str(), &key, *output)
        }
        Tenant::List { data, output } => {
            for listed in open(&data.dir())?.tenants()? {
                show(&listed, *output)?;
            }
            Ok(Exit::Done)
        }
    }
}

fn show(ListedTenant { tenant, created, devices }: &ListedTenant, output: Output) -> anyhow::Result<()> {
    let client = tenant.client();
    if output.json {
        return exit::json(&json!({"client_id": client, "created": created.to_string(), "devices": devices}));
    }
    exit::line(format_args!("{client}  {}, since {created}", exit::counted(*devices, "device")))
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

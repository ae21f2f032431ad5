//! `tilth-hub tenant`: tenants, their read keys and settings.

use serde_json::{Value as Json, json};
use tilth_core::id::Id;
use tilth_protocol::{Key, KeyKind};

use super::{open, paging};
use crate::cli::{Common, Output, Tenant, TenantName, TenantSettings};
use crate::clock;
use crate::db::ListedTenant;
use crate::domain::access;
use crate::domain::retention::Retention;
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Tenant) -> anyhow::Result<Exit> {
    match wanted {
        Tenant::Add(TenantName { name, common }) => {
            let key = access::draw(KeyKind::Read)?;
            open(&common.data.dir())?.add_tenant(name, &key, clock::now())?;
            show_key(name, &key, common.output)
        }
        Tenant::Key(TenantName { name, common }) => {
            let mut db = open(&common.data.dir())?;
            let key = access::draw(KeyKind::Read)?;
            db.add_read_key(&db.tenant(name)?, &key, clock::now())?;
            show_key(name, &key, common.output)
        }
        Tenant::Set(settings) => set(settings),
        Tenant::List(Common { data, output }) => {
            for listed in open(&data.dir())?.tenants()? {
                show(&listed, *output)?;
            }
            Ok(Exit::Done)
        }
    }
}

fn set(TenantSettings { tenant: TenantName { name, common }, keep, pages }: &TenantSettings) -> anyhow::Result<Exit> {
    let Common { data, output } = common;
    let mut db = open(&data.dir())?;
    let tenant = db.tenant(name)?;
    let set = paging::Change::of(pages)?;
    let change = |before: Retention| Retention {
        windows: keep.keep_windows.unwrap_or(before.windows),
        events: keep.keep_events.unwrap_or(before.events),
        batches: keep.keep_batches.unwrap_or(before.batches),
    };
    set.apply(&mut db, &tenant)?;
    if keep.is_any() {
        db.set_retention(&tenant, change, clock::now())?;
    }
    let listed = db.listed(tenant)?;
    set.warn(&data.dir(), &listed.paging);
    if output.json {
        exit::json(&json!({
            "client_id": name, "keep": shown(&listed.retention), "pages": paging::to_json(&listed.paging),
        }))?;
    } else if keep.is_any() {
        exit::line(format_args!("{name}: {}", listed.retention))?;
    }
    if set.is_any() && !output.json {
        exit::line(format_args!("{name}: {}", set.summary(&listed.paging)))?;
    }
    Ok(Exit::Done)
}

fn show(listed: &ListedTenant, output: Output) -> anyhow::Result<()> {
    let ListedTenant { tenant, created, devices, retention, paging } = listed;
    let client = tenant.client();
    if output.json {
        let (created, keep) = (created.to_string(), shown(retention));
        let pages = paging::to_json(paging);
        let listed = json!({"client_id": client, "created": created, "devices": devices, "keep": keep, "pages": pages});
        return exit::json(&listed);
    }
    let devices = exit::counted(*devices, "device");
    let mut line = format!("{client}  {devices}, since {created}");
    if *retention != Retention::default() {
        line += &format!(", {retention}");
    }
    if paging.channel.is_some() {
        line += &format!(", {}", paging::describe(paging));
    }
    exit::line(line)
}

/// Retention as JSON, in the form of `tenant set`.
fn shown(Retention { windows, events, batches }: &Retention) -> Json {
    json!({"windows": windows.to_string(), "events": events.to_string(), "batches": batches.to_string()})
}

fn show_key(client: &Id, key: &Key, output: Output) -> anyhow::Result<Exit> {
    if output.json {
        exit::json(&json!({"client_id": client, "key_id": key.id(), "read_key": key.reveal()}))?;
    } else {
        exit::line(format_args!("client_id {client}"))?;
        exit::line(format_args!("read key  {}", key.reveal()))?;
        exit::line("The key is not shown again. It reads the data of this tenant only.")?;
    }
    Ok(Exit::Done)
}

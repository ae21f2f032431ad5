//! The options of `tilth-hub tenant set` for pages about silent devices.

use anyhow::bail;
use serde_json::{Value as Json, json};
use tilth_config::{Channel, redact};
use tilth_core::id::Id;
use tilth_core::time::Span;
use tilth_notify::secret::Secrets;

use crate::cli::{PageChannel, Pages};
use crate::clock;
use crate::data_dir::DataDir;
use crate::db::{LocalDatabase, Paging, TenantContext};
use crate::domain::silence::DEFAULT_LIMIT;
use crate::exit;

/// Below this limit an ordinary pause pages: a connected agent sends a request about once a minute.
const SHORT: Span = Span::from_mins(3);

/// Change of the paging settings.
pub(super) struct Change<'a> {
    /// New channel as JSON, none inside to page nobody; none to keep the channel.
    channel: Option<Option<String>>,
    limit: Option<Span>,
    /// Device that the limit is for; none for all devices of the tenant.
    device: Option<&'a Id>,
}

impl Change<'_> {
    /// The change of the options, with a checked channel.
    pub(super) fn of(pages: &Pages) -> anyhow::Result<Change<'_>> {
        Ok(Change { channel: channel(pages)?, limit: pages.silent_after, device: pages.device.as_ref() })
    }

    pub(super) fn is_any(&self) -> bool {
        self.channel.is_some() || self.limit.is_some()
    }

    pub(super) fn apply(&self, db: &mut LocalDatabase, tenant: &TenantContext) -> anyhow::Result<()> {
        let now = clock::now();
        if let (Some(device), Some(limit)) = (self.device, self.limit) {
            return Ok(db.set_silence_limit(&db.device(tenant, device)?, limit, now)?);
        }
        if self.is_any() {
            let before = db.listed(tenant.clone())?.paging;
            let channel = self.channel.clone().unwrap_or(before.channel);
            let paging = Paging { channel, silent_after: self.limit.or(before.silent_after) };
            db.set_paging(tenant, &paging, &describe(&paging), now)?;
        }
        Ok(())
    }

    /// The settings in force, for people.
    pub(super) fn summary(&self, paging: &Paging) -> String {
        match (self.device, self.limit) {
            (Some(device), Some(limit)) => format!("device {device} is silent after {limit}"),
            _ => describe(paging),
        }
    }

    /// Warns on standard error about settings that will not work as wanted.
    pub(super) fn warn(&self, data: &DataDir, paging: &Paging) {
        let channel = paging.channel.as_deref().and_then(|channel| Channel::from_json(channel).ok());
        let secret = channel.filter(|_| self.channel.is_some()).and_then(|channel| channel.secret);
        if let Some(Err(error)) = secret.map(|name| Secrets::of(data.folder()).get(&name)) {
            exit::tell(format_args!("tilth-hub: warning: pages cannot be sent yet: {error}"));
        }
        if self.limit.is_some_and(|limit| limit < SHORT) {
            exit::tell(
                "tilth-hub: warning: an agent sends a request about once a minute: below 3m an ordinary pause pages",
            );
        }
    }
}

fn channel(Pages { channel, no_pages, secret, .. }: &Pages) -> anyhow::Result<Option<Option<String>>> {
    let PageChannel(Some((kind, option, address))) = channel else { return Ok(no_pages.then_some(None)) };
    let mut keys = vec![("kind", kind.name.to_owned())];
    match (option.tail, address.trim_end_matches('/').rsplit_once('/')) {
        (None, _) => keys.push(("url", address.clone())),
        (Some(tail), Some((url, rest))) => keys.extend([("url", url.to_owned()), (tail, rest.to_owned())]),
        (Some(tail), None) => {
            bail!("--{}: expected https://SERVER/{}; nothing was changed", kind.name, tail.to_uppercase())
        }
    }
    keys.extend(secret.as_ref().map(|name| (option.secret, format!("secret:{name}"))));
    let channel = Json::from_iter(keys).to_string();
    match Channel::from_json(&channel) {
        Ok(_) => Ok(Some(Some(channel))),
        Err(problems) => bail!("invalid channel: {}; nothing was changed", problems.join("; ")),
    }
}

/// Paging settings in words, without secrets.
pub(super) fn describe(paging: &Paging) -> String {
    let limit = paging.silent_after.unwrap_or(DEFAULT_LIMIT);
    match server(paging) {
        Some(server) => format!("pages about devices silent for {limit} go to {server}"),
        None => "no pages about silent devices".to_owned(),
    }
}

/// Paging settings as JSON.
pub(super) fn to_json(paging: &Paging) -> Json {
    json!({"to": server(paging), "silent_after": paging.silent_after.unwrap_or(DEFAULT_LIMIT).to_string()})
}

fn server(paging: &Paging) -> Option<String> {
    Channel::from_json(paging.channel.as_deref()?).ok()?.target.url().map(redact::server)
}

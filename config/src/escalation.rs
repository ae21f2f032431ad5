//! Whom to tell after how long: channels, and policies that use them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tilth_core::id::Id;
use tilth_core::plan::{Level, Policy, Severity};

use crate::diagnostic::{Log, Problem};
use crate::hosts;
use crate::named;
use crate::path;
use crate::reader::{self, Fields};
use crate::redact;
use crate::site::{self, Site};
use crate::tree::{Entry, Node, Table};

/// The policy of rules that name none, and of what another policy leaves out.
pub(crate) const DEFAULT_POLICY: &str = "default";

/// The kinds of channel that this version has.
const KINDS: [&str; 3] = ["log", "ntfy", "webhook"];

/// Notifications an hour where a channel does not say: a phone that rings every other minute tells nothing any more.
const USUAL_PER_HOUR: u32 = 30;

/// More an hour than this is no cap.
const MOST_PER_HOUR: u32 = 3600;

/// A way to tell people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// A line in the program's log.
    Log,
    /// A topic of an ntfy server.
    Ntfy {
        /// The server, without a slash at the end.
        url: String,
        /// Who knows the topic reads it.
        topic: String,
        /// What the server wants to see of whoever writes.
        token: Option<SecretName>,
        /// Past this many an hour they become digests.
        max_per_hour: u32,
    },
    /// Somebody's own program, which gets each event as JSON.
    Webhook {
        /// Where it listens.
        url: String,
        /// Signs what is sent.
        secret: SecretName,
        /// Past this many an hour they become digests.
        max_per_hour: u32,
    },
    /// One whose secret may not go where it leads: it tells nothing.
    Barred {
        /// Where it leads.
        url: String,
        /// Why not, for people.
        why: String,
    },
}

impl Channel {
    /// The channel as this machine allows it.
    pub(crate) fn within(self, site: Option<&Site>) -> Channel {
        match (site.and_then(|site| hosts::barred(&self, site)), self) {
            (Some(why), Channel::Ntfy { url, .. } | Channel::Webhook { url, .. }) => Channel::Barred { url, why },
            (_, channel) => channel,
        }
    }
}

/// The name of a secret, as `secret:NAME` writes it. Its value is in no document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// Checks and keeps a name; none for what could be anything but a file's name.
    #[must_use]
    pub fn new(name: &str) -> Option<SecretName> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(fine);
        // What is in the form of a token is the secret itself: a name is shown.
        (is_name && !redact::is_token(name)).then(|| SecretName(name.to_owned()))
    }

    /// The name, without `secret:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Policies by name. One that is wrong is there without levels, so that rules may still name it.
pub(crate) type Policies = BTreeMap<String, Option<Arc<Policy>>>;

/// Channels by name. One that is wrong is there without a kind, so that policies may still name it.
pub(crate) type Channels = BTreeMap<String, Option<(Id, Channel)>>;

/// One level as it is written; what is missing is taken from the default policy.
type Levels = [Option<Level>; 4];

pub(crate) fn read_channels(table: &Table, at: &str, log: &Log) -> Channels {
    table.iter().map(|(name, entry)| (name.clone(), read_channel(name, entry, path::join(at, name), log))).collect()
}

fn read_channel(name: &str, entry: &Entry, path: String, log: &Log) -> Option<(Id, Channel)> {
    let mut fields = Fields::of(entry, path, log)?;
    let id = reader::entry_id(name, &fields, log);
    // Which other keys a channel has depends on its kind.
    let channel = match fields.required("kind", kind)? {
        "ntfy" => read_ntfy(&mut fields),
        "webhook" => read_webhook(&mut fields),
        _ => Some(Channel::Log),
    };
    fields.finish();
    Some((id?, channel?))
}

fn kind(node: &Node) -> Result<&'static str, Problem> {
    let text = node.as_text().ok_or_else(|| reader::expected("a kind of channel such as \"ntfy\"", node))?;
    KINDS.into_iter().find(|kind| *kind == text).ok_or_else(|| {
        let problem = Problem::new(format!("this version has no channel of kind {text:?}"));
        problem.help(format!("expected one of {}", KINDS.join(", ")))
    })
}

fn read_ntfy(fields: &mut Fields<'_>) -> Option<Channel> {
    let url = fields.required("url", web_url);
    let topic = fields.required("topic", topic);
    let token = fields.optional("token", secret);
    let max_per_hour = read_max_per_hour(fields);
    if token.is_some() && url.as_deref().is_some_and(is_in_the_clear) {
        let problem = Problem::new("the token crosses the network unencrypted").help("expected https");
        fields.warning("url", problem);
    }
    Some(Channel::Ntfy { url: url?, topic: topic?, token, max_per_hour })
}

fn read_webhook(fields: &mut Fields<'_>) -> Option<Channel> {
    let url = fields.required("url", web_url);
    let secret = fields.required("secret", secret);
    let max_per_hour = read_max_per_hour(fields);
    Some(Channel::Webhook { url: url?, secret: secret?, max_per_hour })
}

fn read_max_per_hour(fields: &mut Fields<'_>) -> u32 {
    fields.optional("max_per_hour", |node| reader::whole(node, 1, MOST_PER_HOUR)).unwrap_or(USUAL_PER_HOUR)
}

fn web_url(node: &Node) -> Result<String, Problem> {
    let text = reader::text(node)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let printable = text.chars().all(|c| c.is_ascii_graphic());
    match authority.and_then(site::host_of) {
        Some(_) if printable => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(Problem::new(format!("{node} is no address"))
            .help("expected https://HOST, :PORT and /PATH after it where needed")),
    }
}

fn is_in_the_clear(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| site::host_of(rest.split('/').next()?));
    host.is_some_and(|host| !site::is_loopback(host))
}

fn topic(node: &Node) -> Result<String, Problem> {
    let text = reader::text(node)?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.len() <= 64 && text.chars().all(fine) {
        Ok(text)
    } else {
        Err(Problem::new(format!("{node} is no topic")).help("expected up to 64 letters, digits, - and _"))
    }
}

fn secret(node: &Node) -> Result<SecretName, Problem> {
    // What was found is not shown: it may be the secret itself.
    named::secret(node).ok_or_else(|| {
        Problem::new("expected the name of a secret such as \"secret:phone\"")
            .help("its value goes into the file secrets/NAME beside config.d, mode 0600")
    })
}

pub(crate) fn read_policies(table: &Table, channels: &Channels, at: &str, log: &Log) -> Policies {
    let path = |name: &str| path::join(at, name);
    let read = |name: &str, entry| read_levels(name, entry, channels, path(name), log);
    let written: BTreeMap<&String, Option<(Id, Levels)>> =
        table.iter().map(|(name, entry)| (name, read(name, entry))).collect();
    let default = match written.iter().find(|(name, _)| **name == DEFAULT_POLICY) {
        Some((_, Some((_, levels)))) => levels.clone(),
        // Already said to be wrong; saying it again of every policy that leans on it helps nobody.
        Some((_, None)) => return table.keys().map(|name| (name.clone(), None)).collect(),
        None => Levels::default(),
    };
    let policies = written.into_iter().map(|(name, levels)| {
        let policy = levels.and_then(|(id, levels)| match complete(&levels, &default) {
            Ok(levels) => Some(Arc::new(Policy { id, levels })),
            Err(severity) => {
                let problem = Problem::new(format!("{severity} is missing, here and in the policy default"));
                log.error(table[name].key, &path(name), problem.across_documents());
                None
            }
        });
        (name.clone(), policy)
    });
    policies.collect()
}

fn complete(levels: &Levels, default: &Levels) -> Result<[Level; 4], Severity> {
    let level = |severity: Severity| {
        let ix = severity as usize;
        levels[ix].clone().or_else(|| default[ix].clone()).ok_or(severity)
    };
    let [preventive, warning, critical, urgent] = Severity::ALL;
    Ok([level(preventive)?, level(warning)?, level(critical)?, level(urgent)?])
}

/// The levels of a policy; none where one of them is wrong.
fn read_levels(name: &str, entry: &Entry, channels: &Channels, path: String, log: &Log) -> Option<(Id, Levels)> {
    let mut fields = Fields::of(entry, path, log)?;
    let id = reader::entry_id(name, &fields, log);
    let mut levels = Levels::default();
    let mut whole = true;
    for severity in Severity::ALL {
        let stated = fields.has(severity.name());
        levels[severity as usize] = fields.table(severity.name()).and_then(|level| read_level(level, channels, log));
        whole &= stated == levels[severity as usize].is_some();
    }
    fields.finish();
    whole.then_some((id?, levels))
}

fn read_level(mut fields: Fields<'_>, channels: &Channels, log: &Log) -> Option<Level> {
    let wait = fields.required("wait", reader::some_duration);
    if !fields.has("channels") {
        fields.error_here(Problem::new("channels is missing").across_documents());
    }
    let channels = fields.list("channels", "a list of channels such as [\"log\"]", |item| channel(item, channels, log));
    if channels.as_ref().is_some_and(Vec::is_empty) {
        fields.warning("channels", Problem::new("nobody is told at this level"));
    }
    fields.finish();
    let mut seen = BTreeSet::new();
    let channels = channels?.into_iter().filter(|id| seen.insert(id.clone())).collect();
    Some(Level { wait: wait?, channels })
}

fn channel(node: &Node, channels: &Channels, log: &Log) -> Result<Id, Problem> {
    let id = reader::id(node)?;
    if channels.contains_key(id.as_str()) {
        return Ok(id);
    }
    Err(reader::unknown_name("channel", id.as_str(), "notifications", channels.keys(), log))
}

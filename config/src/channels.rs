//! Channels: the ways to tell people, namespace `notifications`. [`CHANNEL_KINDS`] says which kinds there are, this file how each is
//! read; what a kind sends is one file of `tilth-notify`.

mod siren;

use std::collections::BTreeMap;

use tilth_core::id::Id;
use tilth_core::plan::Severity;

use crate::agent_toml::{self, AgentToml, BusAddress};
use crate::diagnostic::{Diagnostic, Diagnostics, Level, Problem};
use crate::document::{Document, Text};
use crate::hosts;
use crate::namespaces::{CHANNEL, CHANNEL_KINDS, ChannelKind, ChannelTag, hub_channels};
use crate::path;
use crate::reader::{self, Fields};
use crate::redact::SecretName;
use crate::resources;
use crate::source::Sources;
use crate::tree::{Entry, Node, Table};

pub use siren::{Pattern, Patterns};

/// A way to tell people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Address and kind.
    pub target: Target,
    /// Secret that the target wants to see, or that signs what is sent.
    pub secret: Option<SecretName>,
    /// Notifications per hour, beyond which they become digests; none where there is no cap.
    pub max_per_hour: Option<u32>,
    /// Why this machine sends nothing by it: its secret may go to other servers only.
    pub blocked: Option<String>,
}

/// Address of a channel, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A line in the program's log.
    Log,
    /// A modem that sends SMS.
    Modem {
        /// Serial port, or the address of one that is reached over TCP.
        address: BusAddress,
        /// Numbers of the people who are told, with the code of the country: `+4915112345678`, and from which severity on.
        numbers: Vec<(Severity, String)>,
    },
    /// An actuator that is heard on site.
    Siren {
        /// The actuator.
        actuator: Id,
        /// How it sounds, by severity.
        patterns: Patterns,
    },
    /// A topic of an ntfy server.
    Ntfy {
        /// Address of the server, without a slash at the end.
        url: String,
        /// Name of the topic. Anyone who knows it can read it.
        topic: String,
    },
    /// A program that takes each event as JSON.
    Webhook {
        /// Address of the program.
        url: String,
    },
}

impl Target {
    /// Address of the server; none where there is none.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Target::Log | Target::Modem { .. } | Target::Siren { .. } => None,
            Target::Ntfy { url, .. } | Target::Webhook { url } => Some(url),
        }
    }

    /// The part that no message shows beside the path of the address: the topic, since anyone who knows it can read it.
    #[must_use]
    pub fn secret_part(&self) -> Option<&str> {
        match self {
            Target::Ntfy { topic, .. } => Some(topic),
            Target::Log | Target::Modem { .. } | Target::Siren { .. } | Target::Webhook { .. } => None,
        }
    }
}

impl Channel {
    /// The log of the program.
    pub const LOG: Channel = Channel { target: Target::Log, secret: None, max_per_hour: None, blocked: None };

    /// Whether what another channel was sent and answered says something of this one.
    #[must_use]
    pub fn leads_where(&self, other: &Channel) -> bool {
        self.target == other.target && self.secret == other.secret && self.blocked.is_some() == other.blocked.is_some()
    }

    /// Reads a channel of the hub: an object such as one under `notifications`, in JSON.
    ///
    /// # Errors
    /// What is wrong with it, one sentence each.
    pub fn from_json(text: &str) -> Result<Channel, Vec<String>> {
        const NAME: &str = "channel";
        let json: serde_json::Value =
            serde_json::from_slice(text.as_bytes()).map_err(|error| vec![error.to_string()])?;
        if let Some(kind) = CHANNEL_KINDS.iter().find(|kind| kind.hub.is_none() && json["kind"] == kind.name) {
            let expected = hub_channels().map(|(kind, _)| kind.name).collect::<Vec<_>>().join(" or ");
            let kind = format!("kind {} belongs to the configuration of an agent", kind.name);
            return Err(vec![format!("{kind}; expected kind {expected}")]);
        }
        let entries = serde_json::Map::from_iter([(NAME.to_owned(), json)]);
        let text = Text::Json(serde_json::Value::Object(entries));
        let document = Document { file: NAME.to_owned(), layer: None, version: None, text };
        let (log, mut sources) = (Diagnostics::default(), Sources::default());
        let (_, table) = document.parse(&mut sources, &log);
        let read = read_channels(&table, "", &log).remove(NAME).flatten();
        let said = |found: Diagnostic| match found.help {
            Some(help) => format!("{}: {}; {help}", found.path, found.message),
            None => format!("{}: {}", found.path, found.message),
        };
        let is_error = |found: &Diagnostic| found.level == Level::Error;
        let wrong: Vec<String> = log.finish(&sources).into_iter().filter(is_error).map(said).collect();
        match read {
            Some((_, channel)) if wrong.is_empty() => Ok(channel),
            _ => Err(wrong),
        }
    }

    /// Why the channel's secret may not go where the channel leads, if it may not.
    pub(crate) fn blocked_by(&self, agent_toml: &AgentToml) -> Option<String> {
        let (url, secret) = self.target.url().zip(self.secret.as_ref())?;
        let hosts = agent_toml.secrets.get(secret).filter(|hosts| !hosts.allows(url))?;
        let how = if url.starts_with("http://") { ", encrypted where it states no port" } else { "" };
        Some(format!("agent.toml lets the secret {} go to {hosts} alone{how}", secret.as_str()))
    }

    /// The channel as this machine allows it.
    pub(crate) fn within(self, agent_toml: Option<&AgentToml>) -> Channel {
        Channel { blocked: agent_toml.and_then(|agent_toml| self.blocked_by(agent_toml)), ..self }
    }
}

/// Channels by name. One that is wrong is there without a kind, so that policies may still name it.
pub(crate) type Channels = BTreeMap<String, Option<(Id, Channel)>>;

pub(crate) fn read_channels(table: &Table, at: &str, log: &Diagnostics) -> Channels {
    table.iter().map(|(name, entry)| (name.clone(), read_channel(name, entry, path::join(at, name), log))).collect()
}

fn read_channel(name: &str, entry: &Entry, path: String, log: &Diagnostics) -> Option<(Id, Channel)> {
    let mut fields = Fields::of(entry, path, &CHANNEL, log)?;
    let id = reader::entry_id(name, &fields, log);
    // Which other keys a channel has depends on its kind.
    let kind = fields.required("kind", kind)?;
    fields.of_kind(kind.name);
    let channel = match kind.tag {
        ChannelTag::Log => Some(Channel::LOG),
        ChannelTag::Modem => read_modem(&fields),
        ChannelTag::Ntfy => read_ntfy(&fields),
        ChannelTag::Siren => siren::read(&fields),
        ChannelTag::Webhook => read_webhook(&fields),
    };
    fields.finish();
    Some((id?, channel?))
}

fn kind(node: &Node) -> Result<&'static ChannelKind, Problem> {
    let text = node.as_text().ok_or_else(|| reader::expected("a kind of channel such as \"ntfy\"", node))?;
    CHANNEL_KINDS.iter().find(|kind| kind.name == text).ok_or_else(|| {
        let problem = Problem::new(format!("this version has no channel of kind {text:?}"));
        problem.help(format!("expected one of {}", CHANNEL_KINDS.each_ref().map(|kind| kind.name).join(", ")))
    })
}

fn read_ntfy(fields: &Fields<'_>) -> Option<Channel> {
    let url = fields.required("url", web_url);
    let topic = fields.required("topic", topic);
    let secret = fields.optional("token", secret);
    let max_per_hour = Some(fields.whole("max_per_hour"));
    if secret.is_some() && url.as_deref().is_some_and(is_in_the_clear) {
        let problem = Problem::new("the token crosses the network unencrypted").help("expected https");
        fields.warning("url", problem);
    }
    let target = Target::Ntfy { url: url?, topic: topic? };
    Some(Channel { target, secret, max_per_hour, blocked: None })
}

fn read_webhook(fields: &Fields<'_>) -> Option<Channel> {
    let url = fields.required("url", web_url);
    let secret = fields.required("secret", secret);
    let max_per_hour = Some(fields.whole("max_per_hour"));
    Some(Channel { target: Target::Webhook { url: url? }, secret: Some(secret?), max_per_hour, blocked: None })
}

fn read_modem(fields: &Fields<'_>) -> Option<Channel> {
    let address = agent_toml::modem_address(fields);
    let numbers = fields.list("numbers", "a list of phone numbers such as [\"+4915112345678\"]", phone_number);
    if !fields.has("numbers") || numbers.as_ref().is_some_and(Vec::is_empty) {
        let problem = Problem::new("numbers is missing").across_documents();
        fields.error_here(problem.help("expected who is told, such as numbers = [\"+4915112345678\"]"));
        return None;
    }
    let later = |key| fields.list(key, "a list of phone numbers such as [\"+4915187654321\"]", phone_number);
    let (critical, urgent) = (later("critical_numbers"), later("urgent_numbers"));
    let mut told: Vec<(Severity, String)> = Vec::new();
    for (from, numbers) in [(Severity::Preventive, numbers), (Severity::Critical, critical), (Severity::Urgent, urgent)]
    {
        for number in numbers.into_iter().flatten() {
            if told.iter().all(|(_, other)| *other != number) {
                told.push((from, number));
            }
        }
    }
    let secret = fields.optional("pin", secret);
    let max_per_hour = Some(fields.whole("max_per_hour"));
    Some(Channel { target: Target::Modem { address: address?, numbers: told }, secret, max_per_hour, blocked: None })
}

/// A number with the code of its country (ITU-T E.164: at most 15 digits), without the blanks that people write into it.
fn phone_number(node: &Node) -> Result<String, Problem> {
    let text = reader::text(node)?;
    let number: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
    let digits = number.strip_prefix('+').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    match digits {
        Some(digits) if (7..=15).contains(&digits.len()) && !digits.starts_with('0') => Ok(number),
        // Not shown: it is a person's.
        _ => Err(Problem::new("one of the numbers is no phone number")
            .help("expected the code of the country and 7 to 15 digits, such as \"+4915112345678\"")),
    }
}

fn web_url(node: &Node) -> Result<String, Problem> {
    let text = reader::text(node)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let printable = text.chars().all(|c| c.is_ascii_graphic());
    match authority.and_then(hosts::host_of) {
        Some(_) if printable => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(Problem::new(format!("{node} is no address"))
            .help(hosts::expected(&text, "expected https://HOST, :PORT and /PATH after it where needed"))),
    }
}

fn is_in_the_clear(url: &str) -> bool {
    url.starts_with("http://") && !hosts::leads_to_loopback(url)
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
    resources::secret(node).ok_or_else(|| {
        Problem::new("expected the name of a secret such as \"secret:phone\"")
            .help("its value goes into the file secrets/NAME beside config.d, mode 0600")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_of_the_hub_leads_to_a_server() {
        let read = |text: &str| Channel::from_json(text).map(|channel| channel.target.url().is_some());
        assert_eq!(read(r#"{"kind":"ntfy","url":"https://ntfy.example","topic":"farm"}"#), Ok(true));
        for (kind, local) in [
            ("log", r#"{"kind":"log"}"#),
            ("modem", r#"{"kind":"modem","port":"/dev/ttyUSB2","numbers":["+4915112345678"]}"#),
            ("siren", r#"{"kind":"siren","actuator":"horn"}"#),
        ] {
            let belongs = "belongs to the configuration of an agent; expected kind ntfy or webhook";
            assert_eq!(read(local), Err(vec![format!("kind {kind} {belongs}")]));
        }
    }
}

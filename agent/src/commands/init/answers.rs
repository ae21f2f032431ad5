//! The answers: of flags, of a person at a terminal, or as they are likely.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use tilth_core::id::Id;

use super::super::port::{adapters, described};
use crate::cli;
use crate::console::tell;
use crate::exit::Refused;
use crate::sense::port::device_at;

/// The answer that there is none.
const NONE: &str = "none";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) name: Id,
    /// Zone of the sensors.
    pub(super) zone: Id,
    pub(super) timezone: String,
    pub(super) port: Option<String>,
    pub(super) phone: Option<Phone>,
    pub(super) hub: Option<Hub>,
}

/// A number that gets SMS, and the port of the modem that sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phone {
    pub(super) number: String,
    pub(super) modem: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hub {
    pub(super) url: String,
    pub(super) client: Id,
}

/// All answers: flags go before questions, and without a terminal what is likely stands for the rest.
///
/// # Errors
/// [`Refused`] for a flag that cannot be used; where standard input ends before all is answered.
pub(super) fn of(wanted: &cli::Init) -> anyhow::Result<Answers> {
    let mut lines = io::stdin().lock().lines();
    let is_terminal = io::stdin().is_terminal();
    let mut prompt = |question: &str, default: &str| -> anyhow::Result<Option<String>> {
        if !is_terminal {
            return Ok(None);
        }
        print!("{question} [{default}]: ");
        io::stdout().flush().context("standard output")?;
        match lines.next() {
            Some(line) => Ok(Some(line.context("standard input")?.trim().to_owned())),
            None => bail!("standard input ended before all was answered; nothing was written"),
        }
    };
    answered(wanted, &Likely::of_machine(), &mut prompt)
}

/// Answers that are likely on this machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Likely {
    pub(super) name: String,
    pub(super) timezone: String,
    /// Serial adapters that are plugged in.
    pub(super) adapters: Vec<String>,
}

impl Likely {
    fn of_machine() -> Likely {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let link = fs::read_link("/etc/localtime").unwrap_or_default();
        let of_link = link.to_str().and_then(|path| path.split_once("zoneinfo/")).map(|(_, zone)| zone.to_owned());
        let of_file = || fs::read_to_string("/etc/timezone").ok().map(|zone| zone.trim().to_owned());
        let timezone = of_link.or_else(of_file).filter(|zone| is_zone(zone).is_ok());
        Likely {
            name: Id::new(host.trim()).map_or("pi".to_owned(), |id| id.to_string()),
            timezone: timezone.unwrap_or_else(|| "UTC".to_owned()),
            adapters: adapters(),
        }
    }
}

/// Asks a person a question with its likely answer; none without a terminal.
type Prompt<'a> = &'a mut dyn FnMut(&str, &str) -> anyhow::Result<Option<String>>;

fn answered(wanted: &cli::Init, likely: &Likely, prompt: Prompt<'_>) -> anyhow::Result<Answers> {
    let name = answer(wanted.name.as_deref(), ("Name of this device", &likely.name), prompt, id)?;
    let timezone = answer(wanted.timezone.as_deref(), ("Time zone of the farm", &likely.timezone), prompt, is_zone)?;
    let ports = match &likely.adapters[..] {
        [] => String::new(),
        adapters => {
            let adapters: Vec<String> = adapters.iter().map(|adapter| described(adapter)).collect();
            format!("; there are:\n  {}\n", adapters.join("\n  "))
        }
    };
    let question = format!("Port of the board or sensor, such as /dev/ttyUSB0, or none{ports}");
    let likely_port = likely.adapters.first().map_or(NONE, String::as_str);
    let port = answer(wanted.port.as_deref(), (&question, likely_port), prompt, or_none(port))?;
    let question = "Phone that gets an SMS of urgent alerts, such as +4915112345678, or none";
    let number = answer(wanted.phone.as_deref(), (question, NONE), prompt, or_none(number))?;
    let phone = match number {
        Some(number) => {
            let is_taken = |name: &str| port.as_deref().is_some_and(|port| is_same_port(name, port));
            let modem = likely.adapters.iter().find(|adapter| !is_taken(adapter));
            let question =
                ("Port of the modem that sends it, or none to go without SMS", modem.map_or("", String::as_str));
            let parse = |text: &str| match modem_port(text)? {
                port if is_taken(&port) => {
                    Err(format!("modem's port \"{text}\": it is that of the board or sensor; expected another"))
                }
                port => Ok(port),
            };
            let modem = answer(wanted.modem.as_deref(), question, prompt, or_none(parse))?;
            modem.map(|modem| Phone { number, modem })
        }
        None => None,
    };
    let question = ("Address of the hub, such as https://hub.example, or none", NONE);
    let hub = match answer(wanted.hub.as_deref(), question, prompt, or_none(address))? {
        Some(url) => Some(Hub {
            url,
            client: answer(wanted.client.as_deref(), ("Name of the farm at the hub", ""), prompt, client)?,
        }),
        None => None,
    };
    Ok(Answers { name, zone: wanted.zone.clone(), timezone, port, phone, hub })
}

/// One answer: the flag, else what a person says, asked again until it can be used; else what is likely.
fn answer<T>(
    flag: Option<&str>,
    (question, likely): (&str, &str),
    prompt: Prompt<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> anyhow::Result<T> {
    if let Some(flag) = flag {
        return Ok(parse(flag.trim()).map_err(Refused)?);
    }
    loop {
        let Some(said) = prompt(question, likely)? else { return Ok(parse(likely).map_err(Refused)?) };
        match parse(if said.is_empty() { likely } else { &said }) {
            Ok(answer) => return Ok(answer),
            Err(why) => tell(why),
        }
    }
}

fn or_none<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text == NONE { Ok(None) } else { parse(text).map(Some) }
}

fn id(text: &str) -> Result<Id, String> {
    Id::new(text).map_err(|error| format!("name \"{text}\": {error}"))
}

fn client(text: &str) -> Result<Id, String> {
    Id::new(text).map_err(|_| {
        format!("name of the farm at the hub \"{text}\": expected that of tilth-hub tenant add; --client states it")
    })
}

fn is_zone(text: &str) -> Result<String, String> {
    let zone = TimeZone::get(text).map(|_| text.to_owned());
    zone.map_err(|_| format!("time zone \"{text}\": expected one such as Europe/Amsterdam or UTC"))
}

fn port(text: &str) -> Result<String, String> {
    let is_port = text.starts_with('/') || text.starts_with("tcp://");
    let port = is_port.then(|| text.to_owned());
    port.ok_or_else(|| {
        format!("port \"{text}\": expected a device file such as /dev/ttyUSB0, tcp://HOST:PORT, or none")
    })
}

/// Whether two names are of one port: an adapter has several.
fn is_same_port(one: &str, other: &str) -> bool {
    let device = |name: &str| device_at(Path::new(name)).ok();
    one == other || device(one).is_some_and(|one| device(other) == Some(one))
}

fn modem_port(text: &str) -> Result<String, String> {
    port(text)
        .map_err(|_| format!("modem's port \"{text}\": expected a device file such as /dev/ttyUSB2; --modem states it"))
}

fn number(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let is_number = (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.to_owned());
    number.ok_or_else(|| {
        format!("phone \"{text}\": expected + and the number with its country, such as +4915112345678, or none")
    })
}

fn address(text: &str) -> Result<String, String> {
    let is_address = text.starts_with("https://") || text.starts_with("http://");
    is_address.then(|| text.to_owned()).ok_or_else(|| format!("hub \"{text}\": expected https://.., or none"))
}

#[cfg(test)]
mod tests;

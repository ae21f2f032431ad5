//! The hours in which a rule watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use tilth_core::schedule::Schedule;
use tilth_core::time::Span;

use crate::diagnostic::{Diagnostics, Problem};
use crate::namespaces::SCHEDULE;
use crate::reader::{self, Fields, among};
use crate::source::Place;
use crate::tree::{Entry, Node, Table};

/// A schedule and what a rule that uses it should know.
#[derive(Debug, Clone)]
pub(crate) struct Hours {
    pub(crate) schedule: Arc<Schedule>,
    /// Neither it nor the device names a time zone.
    pub(crate) zone_assumed: bool,
    pub(crate) place: Place,
}

impl Hours {
    /// How long it stays open; none where one day's hours join the next day's.
    pub(crate) fn open_for(&self) -> Option<Span> {
        let ms = |time: Time| time.duration_since(Time::midnight()).as_millis() as i64;
        let Schedule { from, to, .. } = *self.schedule;
        (from != to).then(|| Span((ms(to) - ms(from)).rem_euclid(86_400_000)))
    }
}

/// Schedules by name. One that is wrong is there without hours, so that rules may still name it.
pub(crate) type Schedules = BTreeMap<String, Option<Hours>>;

pub(crate) fn read(table: &Table, device_zone: Option<&TimeZone>, path: &str, log: &Diagnostics) -> Schedules {
    let schedules = table.iter().map(|(name, entry)| {
        let path = crate::path::join(path, name);
        (name.clone(), read_one(name, entry, device_zone, path, log))
    });
    schedules.collect()
}

fn read_one(
    name: &str,
    entry: &Entry,
    device_zone: Option<&TimeZone>,
    path: String,
    log: &Diagnostics,
) -> Option<Hours> {
    let fields = Fields::of(entry, path, &SCHEDULE, log)?;
    let id = reader::entry_id(name, &fields, log);
    let from = fields.required("from", time);
    let to = fields.required("to", time);
    let has_zone = fields.has("timezone");
    let zone = fields.optional("timezone", |node| timezone(node, log));
    let days = read_days(&fields, log);
    let open_when_untrusted = fields.word_or_default("untrusted", among([("open", true), ("closed", false)]));
    let place = fields.key;
    fields.finish();
    let zone_assumed = !has_zone && device_zone.is_none();
    let zone = if has_zone { zone? } else { device_zone.cloned().unwrap_or(TimeZone::UTC) };
    let schedule = Schedule { id: id?, days: days?, from: from?, to: to?, zone, open_when_untrusted };
    Some(Hours { schedule: Arc::new(schedule), zone_assumed, place })
}

fn time(node: &Node) -> Result<Time, Problem> {
    let wrong = || reader::expected("a time of day such as \"06:00\"", node);
    let text = node.as_text().ok_or_else(wrong)?.trim();
    // Other forms that jiff reads, such as a time with a date, would be taken for something they do not say.
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == ':') && text.contains(':');
    text.parse().ok().filter(|_| plain).ok_or_else(wrong)
}

/// A time zone by its IANA name.
pub(crate) fn timezone(node: &Node, log: &Diagnostics) -> Result<TimeZone, Problem> {
    let text = node.as_text().ok_or_else(|| reader::expected("a time zone such as \"Europe/Amsterdam\"", node))?;
    TimeZone::get(text).map_err(|_| {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let meant = log.did_you_mean(text, names.iter().map(String::as_str));
        let help = meant.unwrap_or_else(|| "expected an IANA name such as \"Europe/Amsterdam\"".to_owned());
        Problem::new(format!("there is no time zone {text:?}")).help(help)
    })
}

/// The days of a list, Monday first; every day without one.
fn read_days(fields: &Fields<'_>, log: &Diagnostics) -> Option<[bool; 7]> {
    if !fields.has("days") {
        return Some([true; 7]);
    }
    let days = fields.words("days");
    let day = |text: &str| days.iter().position(|day| *day == text);
    let read = |item: &Node| reader::word(item, &days, day, log);
    let named = fields.list("days", "a list of days such as [\"mon\", \"tue\"]", read)?;
    if named.is_empty() {
        let problem = Problem::new("a schedule without days never opens");
        fields.error("days", problem.help("leave the key out for every day"));
        return None;
    }
    let mut days = [false; 7];
    for day in named {
        days[day] = true;
    }
    Some(days)
}

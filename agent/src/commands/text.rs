//! What people read: tables with aligned columns, and the agent's state a line for each part.

mod sync;
pub(super) mod times;

use std::collections::BTreeMap;

use tilth_core::id::Id;
use tilth_core::site::Matcher;
use tilth_core::time::Span;

use crate::api::people::matcher;
use crate::api::rows::{
    AlertRow, BusState, ChannelState, ClockState, ConfigState, Digits, FaultRow, Ignored, RefusedStamps, ScheduleRow,
    SensorRow, SilenceRow, StatusRow, StoreState,
};
use crate::cli;
use crate::configuration::said_later;
use crate::output::counted;
use crate::sense;
use crate::sense::stamp::Why;

/// So many silences are told of in a status.
const MAX_SILENCES_SHOWN: usize = 8;

/// So many names of a bus are told of that sensors want and no line has.
const MAX_UNSEEN_SHOWN: usize = 16;

/// Upper limit of sensors named per bus whose input fails.
const MAX_FAULTS_SHOWN: usize = 16;

/// Lines with the same columns; the last is as long as it is.
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(head: [&'static str; N], rows: impl Iterator<Item = [String; N]>) -> Table {
        Table { head: head.to_vec(), rows: rows.map(Vec::from).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let head: Vec<String> = self.head.iter().map(|name| (*name).to_owned()).collect();
        let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        std::iter::once(head).chain(self.rows.iter().cloned()).map(move |row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
    }
}

pub(super) fn sensors(rows: &[SensorRow]) -> Table {
    let row = |row: &SensorRow| {
        [
            row.sensor.to_string(),
            row.state.clone().unwrap_or_else(|| digits(&row.value)),
            row.unit.clone(),
            // How a bus is says all; its value is always good.
            match (&row.state, &row.quality) {
                (Some(_), _) => String::new(),
                (None, Some(quality)) => quality.clone(),
                (None, None) => "nothing yet".to_owned(),
            },
            row.age_s.map_or("-".to_owned(), for_long),
            row.why.as_deref().map(line).unwrap_or_default(),
        ]
    };
    Table::new(["SENSOR", "VALUE", "UNIT", "QUALITY", "AGE", ""], rows.iter().map(row))
}

pub(super) fn alerts(rows: &[AlertRow]) -> Table {
    let row = |row: &AlertRow| {
        [
            row.alert.map_or("-".to_owned(), |alert| alert.to_string()),
            row.severity.clone(),
            row.state.clone(),
            row.since.clone().unwrap_or_else(|| "-".to_owned()),
            for_long(row.for_s),
            row.rule.to_string(),
            row.sensor.to_string(),
            format!("{}{}", line(&row.message), circumstances(row)),
        ]
    };
    Table::new(["ALERT", "SEVERITY", "STATE", "SINCE", "FOR", "RULE", "SENSOR", "MESSAGE"], rows.iter().map(row))
}

/// What more there is to know of an alert: why its sensor fails, and why nobody is paged about it.
fn circumstances(row: &AlertRow) -> String {
    let until = |what: &str, at: &Option<String>| match at {
        Some(at) => format!("{what} until {at}"),
        None => what.to_owned(),
    };
    let parts = [
        row.why.as_deref().map(line),
        (row.state == "acknowledged").then(|| taken(row)),
        row.left_s.filter(|_| row.state == "pending").map(|left| format!("fires in {} if it goes on", for_long(left))),
        row.silenced.then(|| until("silenced", &row.silenced_until)),
        row.inhibited.then(|| {
            let why = row.inhibited_by.as_deref().unwrap_or("its bus is down or silent");
            format!("nobody is paged: {}", line(why))
        }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

/// By whom an alert is acknowledged, and until when.
fn taken(row: &AlertRow) -> String {
    let by = row.by.as_ref().map_or(String::new(), |by| format!(" by {}", line(by)));
    let until = match (&row.until, row.left_s) {
        (Some(until), _) => format!(" until {until}"),
        (None, Some(seconds)) => format!(" for another {}", for_long(seconds)),
        (None, None) => String::new(),
    };
    format!("acknowledged{by}{until}")
}

pub(super) fn acknowledged(row: &AlertRow, span: Span) -> String {
    let AlertRow { rule, sensor, message, .. } = row;
    let number = row.alert.map_or("-".to_owned(), |alert| alert.to_string());
    let until = until(row.until.as_deref(), span);
    format!("alert {number} ({rule} on {sensor}: {}) is acknowledged {until}; nobody is paged before", line(message))
}

pub(super) fn silences(rows: &[SilenceRow]) -> Table {
    let row = |row: &SilenceRow| {
        let until = row.until.clone().unwrap_or_else(|| "-".to_owned());
        [row.silence.to_string(), until, for_long(row.left_s), row.by.clone(), of(row)]
    };
    Table::new(["SILENCE", "UNTIL", "LEFT", "BY", "OF"], rows.iter().map(row))
}

/// `asked` is how this agent was asked, to be typed again.
pub(super) fn silenced(row: &SilenceRow, asked: &cli::Agent) -> String {
    let until = until(row.until.as_deref(), span(row.left_s));
    let (silence, asked) = (row.silence, asked.typed());
    format!("silence {silence}: {}, {until}; end it with: tilth-agent silence{asked} --end {silence}", of(row))
}

pub(super) fn silence_ended(row: &SilenceRow) -> String {
    format!("silence {} of {} is ended: {}", row.silence, row.by, of(row))
}

fn of(row: &SilenceRow) -> String {
    matcher(&Matcher { zone: row.zone.clone(), rule: row.rule.clone(), sensor: row.sensor.clone() })
}

fn until(at: Option<&str>, left: Span) -> String {
    at.map_or_else(|| format!("for {}", for_long(left.as_secs_f64())), |at| format!("until {at}"))
}

/// A line for each part of the agent, its name in front.
pub(super) fn status(row: &StatusRow) -> Vec<String> {
    let mut parts = Vec::new();
    let mut say = |name: &str, text: String| parts.push((name.to_owned(), text));
    let running = for_long(row.running_s);
    let boot = if row.boot == 0 { "a boot not counted yet".to_owned() } else { format!("boot {}", row.boot) };
    say("agent", format!("{}, tilth-agent {}, running for {running}, {boot}", row.device, row.version));
    say("clock", clock(&row.clock));
    config(&row.config).into_iter().for_each(|line| say("config", line));
    for bus in &row.buses {
        self::bus(bus).into_iter().for_each(|line| say(&format!("bus {}", bus.bus), line));
    }
    say("readings", readings(row));
    say("alerts", alert_counts(row));
    silences_in_force(&row.silences).into_iter().for_each(|line| say("alerts", line));
    schedules(&row.schedules).into_iter().for_each(|line| say("schedules", line));
    store(&row.store, row.sync.is_some()).into_iter().for_each(|line| say("store", line));
    for channel in &row.notify.channels {
        say("notify", self::channel(channel));
    }
    if row.notify.refused > 0 {
        say("notify", format!("{} did not fit into the queue", counted(row.notify.refused, "notice")));
    }
    let has_losses = !row.store.given_up.is_empty() || !row.store.dropped.is_empty();
    for line in sync::sync(row.sync.as_deref()) {
        // What was given up is not there.
        let all = "all that was not given up is there";
        say("sync", if has_losses { line.replace("everything is there", all) } else { line });
    }
    let width = parts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut last = String::new();
    let line = |(name, text): (String, String)| {
        // A part that goes on over lines is named once.
        let shown = if name == last { String::new() } else { name.clone() };
        last = name;
        format!("{shown:<width$}  {text}")
    };
    parts.into_iter().map(line).collect()
}

fn clock(clock: &ClockState) -> String {
    let up = format!("up for {}", for_long(clock.uptime_s));
    let Some(now) = &clock.now else {
        let why = if clock.source == "system" {
            "the machine's clock is not synchronised (timedatectl says why); alerts work, times are shown as lengths"
        } else {
            "time begins with the first reading"
        };
        return format!("time of day not known yet ({}): {why}; {up}", clock.source);
    };
    let trust = match (clock.trust.as_deref(), clock.error_s) {
        (None, _) => "not trusted".to_owned(),
        (Some("told"), error) => {
            let within = error.map_or(String::new(), |error| format!(" (within {})", span(error)));
            format!("told by the hub{within}")
        }
        (Some("made"), _) => "not the machine's: for the demo and tests".to_owned(),
        (Some(trust), Some(error)) => format!("trusted ({trust}, within {})", span(error)),
        (Some(trust), None) => format!("trusted ({trust})"),
    };
    format!("{now}, {}, {trust}; {up}", clock.source)
}

fn config(config: &ConfigState) -> Vec<String> {
    let hash = config.hash.get(..8).unwrap_or(&config.hash);
    let since = config.since.as_ref().map_or(String::new(), |since| format!(" since {since}"));
    let mut lines = vec![format!("{hash}, in force{since}: {}", config.entered)];
    lines.extend(said_later(&config.later));
    if let Some(refused) = &config.refused {
        let at = refused.at.as_ref().map_or(String::new(), |at| format!(" at {at}"));
        lines.push(format!("what lies there now was refused{at}; what was in force before watches on:"));
        lines.extend(refused.problems.iter().map(|problem| format!("  {}", line(problem))));
    }
    lines
}

fn bus(bus: &BusState) -> Vec<String> {
    let since = match (&bus.since, bus.for_s) {
        (Some(since), _) => format!(" since {since}"),
        (None, Some(seconds)) => format!(" for {}", for_long(seconds)),
        (None, None) => String::new(),
    };
    let why = bus.reason.as_ref().map_or_else(|| format!(", {}", bus.port), |reason| format!(": {}", line(reason)));
    let mut lines = vec![format!("{}{since}{why}; opened {}", bus.state, counted(bus.opened, "time"))];
    let last = bus.last_line_s.map_or(String::new(), |age| format!("; the last {} ago", for_long(age)));
    lines.push(format!("{}, {} used{}{last}", counted(bus.lines, "line"), bus.used, ignored(&bus.ignored)));
    if let Some(last) = &bus.last_ignored {
        lines.push(format!("last not used ({}): {}", not_used(last), line(&last.line)));
    }
    for FaultRow { sensor, why } in bus.faults.iter().take(MAX_FAULTS_SHOWN) {
        lines.push(format!("{sensor} reads a fault: {}", line(why)));
    }
    if bus.faults.len() > MAX_FAULTS_SHOWN {
        lines.push(format!("and {} more", counted((bus.faults.len() - MAX_FAULTS_SHOWN) as u64, "fault")));
    }
    for FaultRow { sensor, why } in bus.mixed.iter().take(MAX_FAULTS_SHOWN) {
        lines.push(format!("{sensor} is read from several nodes in turn: {}", line(why)));
    }
    lines.extend(bus.stamps_refused.iter().map(refused_stamps));
    if !bus.unused.is_empty() {
        lines.push(format!("names that no sensor wants: {}", bus.unused.join(", ")));
    }
    if !bus.unseen.is_empty() {
        let more = bus.unseen.len().saturating_sub(MAX_UNSEEN_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names: Vec<String> = bus.unseen.iter().take(MAX_UNSEEN_SHOWN).map(|name| line(name)).collect();
        lines.push(format!("wanted and not seen: {}{more}", names.join(", ")));
    }
    if let Some(failed) = &bus.failed {
        lines.push(format!("its task failed {}: {}", counted(bus.failures, "time"), line(failed)));
    }
    lines
}

/// Lines whose own time was not taken.
fn refused_stamps(refused: &RefusedStamps) -> String {
    let RefusedStamps { reason, lines, since, for_s, last, last_s, stamp, sensor } = refused;
    let why = Why::ALL.into_iter().find(|why| crate::api::status::name(why) == *reason);
    let why = why.map_or_else(|| reason.clone(), |why| why.words().to_owned());
    let since = since.as_ref().map_or_else(|| format!("for {}", for_long(*for_s)), |since| format!("since {since}"));
    let last = last.as_ref().map_or_else(|| format!("{} ago", for_long(*last_s)), |last| format!("at {last}"));
    let stamp = stamp.as_ref().map_or(String::new(), |stamp| format!(" {stamp}"));
    format!(
        "{} {why}, {since}: stamped with their arrival; the last{stamp} {last}, for {sensor}",
        counted(*lines, "line")
    )
}

/// Why a line was not used, and what of it.
fn not_used(last: &Ignored) -> String {
    let words = reason_words(&last.reason);
    match (&last.field, &last.text, &last.sensor) {
        (Some(field), Some(text), Some(sensor)) => {
            format!("{words}: {} says {:?}, wanted by {sensor}", line(field), line(text))
        }
        _ => words.to_owned(),
    }
}

fn ignored(ignored: &BTreeMap<String, u64>) -> String {
    ignored.iter().map(|(reason, count)| format!(", {count} {}", reason_words(reason))).collect()
}

/// The words for a reason; one that this version does not know stays as it is.
fn reason_words(name: &str) -> &str {
    sense::reason_words(name).unwrap_or(name)
}

fn readings(row: &StatusRow) -> String {
    let Some(counts) = &row.readings else { return "none yet".to_owned() };
    let mut text = format!("{} decided", counts.decided);
    for (count, what) in [
        (counts.missing, "without a value"),
        (counts.late, "late"),
        (counts.future_stamps, "stamped in the future"),
        (counts.past_stamps, "stamped in a past that cannot be"),
        (counts.unplaced_stamps, "stamped while the clock was not trusted"),
        (counts.dropped, "left out because there were too many"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn alert_counts(row: &StatusRow) -> String {
    let Some(counts) = &row.alerts else { return "nothing is decided yet".to_owned() };
    let mut text = format!("{} open", counts.open);
    for (count, what) in [
        (counts.acknowledged, "acknowledged"),
        (counts.silenced, "silenced"),
        (counts.inhibited, "not paged because of their bus"),
        (counts.pending, "pending"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if counts.silences > 0 {
        text.push_str(&format!("; {}", counted(counts.silences, "silence")));
    }
    text
}

/// What each silence covers, until when, and by whom.
fn silences_in_force(rows: &[SilenceRow]) -> Vec<String> {
    let one = |row: &SilenceRow| {
        format!(
            "silence {}: {} {}, by {}",
            row.silence,
            of(row),
            until(row.until.as_deref(), span(row.left_s)),
            line(&row.by)
        )
    };
    let mut lines: Vec<String> = rows.iter().take(MAX_SILENCES_SHOWN).map(one).collect();
    let more = rows.len().saturating_sub(MAX_SILENCES_SHOWN);
    if more > 0 {
        lines.push(format!("and {} more, which `tilth-agent silence` shows", counted(more as u64, "silence")));
    }
    lines
}

/// Whether each schedule is open, until when, and why.
fn schedules(rows: &[ScheduleRow]) -> Vec<String> {
    let one = |row: &ScheduleRow| {
        let ScheduleRow { schedule, zones, state, trusted, until, from, to, timezone } = row;
        // A zone may have hours of its own under the same name.
        let is_one_of_many = rows.iter().filter(|other| other.schedule == *schedule).count() > 1;
        let zones: Vec<&str> = zones.iter().map(Id::as_str).collect();
        let of = if is_one_of_many { format!(" (zone {})", zones.join(", ")) } else { String::new() };
        let hours = format!("{from} to {to} {}", timezone.as_deref().unwrap_or("local time"));
        match (trusted, until) {
            (false, _) => format!("{schedule}{of}: counts as {state}: the clock is not trusted ({hours})"),
            (true, Some(until)) => format!("{schedule}{of}: {state} until {until} ({hours})"),
            (true, None) => format!("{schedule}{of}: {state} ({hours})"),
        }
    };
    rows.iter().map(one).collect()
}

fn store(store: &StoreState, has_hub: bool) -> Vec<String> {
    let size = store.bytes.map_or("size not known".to_owned(), |bytes| size(bytes as f64));
    let mut lines = vec![format!("{}, {size} of at most {}", store.path, self::size(store.most_bytes as f64))];
    if let Some(trouble) = &store.trouble {
        lines.push(format!("nothing can be written: {}; pages go out all the same", line(trouble)));
    }
    lines.extend(store.missing.iter().map(|said| line(said)));
    lines.extend(store.dropped.iter().map(|said| format!("given up, not written down yet: {}", line(said))));
    lines.extend(store.given_up.iter().map(|lost| {
        let span = match (&lost.from, &lost.to) {
            (Some(from), Some(to)) => format!(" from {from} to {to}"),
            _ => String::new(),
        };
        format!("given up: {} {}{span}: {}", lost.count, line(&lost.what), line(&lost.reason))
    }));
    let a_day =
        |bytes: Option<f64>| bytes.map_or("not known yet".to_owned(), |bytes| format!("{} a day", self::size(bytes)));
    lines.push(format!("written {}, kept {}", a_day(store.written_bytes_a_day), a_day(store.kept_bytes_a_day)));
    lines.push(match (store.offline_days, store.raw_days) {
        (Some(offline), Some(raw)) => {
            format!("can stay offline for {offline:.0} days; raw readings go after {raw:.0} days")
        }
        _ => "how long it can stay offline shows after half an hour".to_owned(),
    });
    let lane =
        |(name, lane): (&String, &crate::api::rows::Lane)| format!("{name} {} of {}", lane.waiting, lane.committed);
    let lanes: Vec<String> = store.lanes.iter().map(lane).collect();
    if !lanes.is_empty() {
        let why = if has_hub { "waiting for the hub" } else { "kept for a hub" };
        lines.push(format!("{why}: {}", lanes.join(", ")));
    }
    lines
}

fn channel(channel: &ChannelState) -> String {
    let server = channel.server.as_ref().map_or(String::new(), |server| format!(" ({})", line(server)));
    let waiting = match channel.waiting {
        0 => "nothing waits".to_owned(),
        1 => "1 notice waits".to_owned(),
        waiting => format!("{waiting} notices wait"),
    };
    let lack = channel.lack.as_ref().map_or(String::new(), |lack| format!("; it can tell nothing: {}", line(lack)));
    let is_down = channel.last_failure.as_ref().is_some_and(|failure| !failure.over);
    let failure = channel.last_failure.as_ref().map_or(String::new(), |failure| {
        let since = match (&failure.since, failure.for_s) {
            (Some(since), _) => format!(" since {since}"),
            (None, Some(seconds)) => format!(" for {}", for_long(seconds)),
            (None, None) => String::new(),
        };
        if failure.over {
            format!("; works again{since}")
        } else if channel.lack.as_ref() == Some(&failure.reason) {
            String::new()
        } else {
            format!("; fails{since}: {}", line(&failure.reason))
        }
    });
    let next = match channel.next_try_s {
        _ if channel.sending => "; something is on its way".to_owned(),
        Some(seconds) => format!("; next try in {}", for_long(seconds)),
        None if is_down => "; next try with the next notice".to_owned(),
        None => String::new(),
    };
    format!("{}{server}: {waiting}{lack}{failure}{next}", channel.channel)
}

fn digits(digits: &Digits) -> String {
    digits.as_ref().map_or("-".to_owned(), |digits| digits.get().to_owned())
}

/// A line stays a line, whatever a board or an author wrote.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn span(seconds: f64) -> Span {
    Span((seconds * 1000.0).round() as i64)
}

/// A length of time as it is said: to the second, from an hour on to the minute.
fn for_long(seconds: f64) -> String {
    let seconds = seconds.round() as i64;
    let unit = if seconds.abs() >= 3600 { 60 } else { 1 };
    Span::from_secs(seconds - seconds % unit).to_string()
}

/// Bytes as people say them.
fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let (mut bytes, mut unit) = (bytes, 0);
    while bytes >= 1024.0 && unit + 1 < units.len() {
        bytes /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes:.0} B") } else { format!("{bytes:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_are_said_shortly() {
        for (seconds, said) in [(0.4, "0s"), (59.6, "1m"), (90.0, "1m30s"), (3723.0, "1h2m"), (-5.0, "-5s")] {
            assert_eq!(for_long(seconds), said);
        }
        for (bytes, said) in [(0.0, "0 B"), (2048.0, "2.0 KiB"), (5e9, "4.7 GiB"), (5e13, "46566.1 GiB")] {
            assert_eq!(size(bytes), said);
        }
    }

    #[test]
    fn a_clock_says_where_the_time_is_from_and_what_follows_where_there_is_none() {
        let clock = |source: &str, trust: Option<&str>, now: Option<&str>| ClockState {
            source: source.to_owned(),
            trust: trust.map(str::to_owned),
            error_s: Some(0.001),
            now: now.map(str::to_owned),
            uptime_s: 14_580.0,
        };
        let at = Some("2026-11-27 00:09:43");
        for (state, said) in [
            (
                clock("system", None, None),
                "time of day not known yet (system): the machine's clock is not synchronised (timedatectl says why); alerts \
                 work, times are shown as lengths; up for 4h3m",
            ),
            (
                clock("input", None, None),
                "time of day not known yet (input): time begins with the first reading; up for 4h3m",
            ),
            (
                clock("system", Some("told"), at),
                "2026-11-27 00:09:43, system, told by the hub (within 1ms); up for 4h3m",
            ),
            (clock("system", Some("ntp"), at), "2026-11-27 00:09:43, system, trusted (ntp, within 1ms); up for 4h3m"),
        ] {
            assert_eq!(super::clock(&state), said);
        }
    }

    #[test]
    fn a_silence_is_said_without_milliseconds() {
        let row = SilenceRow {
            silence: 1,
            zone: Some(Id::new("tank").unwrap()),
            rule: None,
            sensor: None,
            by: "anna".to_owned(),
            until: None,
            left_s: 7199.942,
        };
        assert_eq!(silences_in_force(std::slice::from_ref(&row)), ["silence 1: zone tank for 2h, by anna"]);
        assert_eq!(
            silences_in_force(&[SilenceRow { left_s: 71.6, ..row }]),
            ["silence 1: zone tank for 1m12s, by anna"]
        );
    }

    #[test]
    fn a_channel_says_where_it_leads_since_when_it_fails_and_when_it_is_tried() {
        let mut phone: ChannelState = serde_json::from_str(
            r#"{"channel":"phone","server":"https://ntfy.sh:443","waiting":3,"sending":false,"next_try_s":25.4,
                "last_failure":{"at":null,"notice":"pi-1-1","reason":"Connection refused","over":false,
                "since":"2026-01-01T00:01:00Z","for_s":90.0}}"#,
        )
        .unwrap();
        let says = |state: &ChannelState, said: &str| {
            assert_eq!(channel(state), format!("phone (https://ntfy.sh:443): {said}"));
        };
        says(&phone, "3 notices wait; fails since 2026-01-01T00:01:00Z: Connection refused; next try in 25s");
        phone.last_failure.as_mut().unwrap().since = None;
        phone.next_try_s = None;
        phone.sending = true;
        says(&phone, "3 notices wait; fails for 1m30s: Connection refused; something is on its way");
        (phone.waiting, phone.sending) = (0, false);
        says(&phone, "nothing waits; fails for 1m30s: Connection refused; next try with the next notice");
        let failure = phone.last_failure.as_mut().unwrap();
        (failure.over, failure.since) = (true, Some("2026-01-01T00:05:00Z".to_owned()));
        says(&phone, "nothing waits; works again since 2026-01-01T00:05:00Z");
        (phone.waiting, phone.next_try_s, phone.last_failure) = (1, Some(600.0), None);
        says(&phone, "1 notice waits; next try in 10m");
        // Of an agent before these were said.
        let log: ChannelState = serde_json::from_str(r#"{"channel":"log","waiting":0,"last_failure":null}"#).unwrap();
        assert_eq!(channel(&log), "log: nothing waits");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [["1".to_owned(), "é".to_owned()], ["23456".to_owned(), "long".to_owned()]];
        let lines: Vec<String> = Table::new(["NO", "WHAT"], rows.into_iter()).lines().collect();
        assert_eq!(lines, ["NO     WHAT", "1      é", "23456  long"]);
    }
}

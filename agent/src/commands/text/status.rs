//! The state of the agent: a line for each part, its name in front.

use tilth_core::id::Id;

use super::times::Times;
use super::{actuators, bus, for_long, line, of, size, span, sync, until, with_counts};
use crate::api::rows::{ChannelState, ClockState, Lane, ScheduleRow, SilenceRow, StatusRow, StoreState};
use crate::configuration::{ConfigState, restart_needed, short};
use crate::console::counted;

const MAX_SILENCES_SHOWN: usize = 8;

pub(in crate::commands) fn status(row: &StatusRow, times: &Times) -> Vec<String> {
    let mut parts = Vec::new();
    let mut say = |name: &str, text: String| parts.push((name.to_owned(), text));
    let running = for_long(row.running_s);
    let boot = if row.boot == 0 { "a boot not counted yet".to_owned() } else { format!("boot {}", row.boot) };
    say("agent", format!("{}, tilth-agent {}, running for {running}, {boot}", row.device, row.version));
    say("clock", clock(&row.clock, times));
    config(&row.config, times).into_iter().for_each(|line| say("config", line));
    for bus in &row.buses {
        bus::lines(bus, times).into_iter().for_each(|line| say(&format!("bus {}", bus.bus), line));
    }
    say("readings", readings(row));
    say("alerts", alert_counts(row));
    silences_in_force(&row.silences, times).into_iter().for_each(|line| say("alerts", line));
    row.holds.iter().for_each(|row| say("holds", actuators::held_in_status(row, times)));
    schedules(&row.schedules, times).into_iter().for_each(|line| say("schedules", line));
    store_lines(&row.store, row.sync.is_some(), times).into_iter().for_each(|line| say("store", line));
    for channel in &row.notify.channels {
        say("notify", channel_line(channel, times));
    }
    if row.notify.dropped > 0 {
        say("notify", format!("{} did not fit into the queue", counted(row.notify.dropped, "notification")));
    }
    let has_losses = !row.store.given_up.is_empty() || !row.store.dropped.is_empty();
    for line in sync::sync(row.sync.as_ref()) {
        let all = ": up to date, except for deleted rows";
        say("sync", if has_losses { line.replace(": up to date", all) } else { line });
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

fn clock(clock: &ClockState, times: &Times) -> String {
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
    format!("{}, {}, {trust}; {up}", times.second(now), clock.source)
}

fn config(config: &ConfigState, times: &Times) -> Vec<String> {
    let hash = short(&config.hash);
    let since = times.minute(config.since.as_ref()).map_or(String::new(), |since| format!(" since {since}"));
    let mut lines = vec![format!("{hash}, running{since}: {}", config.change)];
    lines.extend(restart_needed(&config.restart_keys));
    lines.extend(config.warning.clone());
    if let Some(rejected) = &config.rejected {
        let at = times.minute(rejected.at.as_ref()).map_or(String::new(), |at| format!(" at {at}"));
        let errors = counted(rejected.problems.errors, "error");
        lines.push(format!("configuration rejected{at} ({errors}); still running configuration {hash}:"));
        lines.extend(rejected.problems.lines.iter().map(|problem| format!("  {}", line(problem))));
    }
    lines
}

fn readings(row: &StatusRow) -> String {
    let Some(counts) = &row.readings else { return "none yet".to_owned() };
    let others = [
        (counts.missing, "without a value"),
        (counts.late, "late"),
        (counts.future_stamps, "stamped in the future"),
        (counts.past_stamps, "stamped in a past that cannot be"),
        (counts.unplaced_stamps, "stamped while the clock was not trusted"),
        (counts.dropped, "left out because there were too many"),
    ];
    with_counts(format!("{} decided", counts.decided), &others)
}

fn alert_counts(row: &StatusRow) -> String {
    let Some(counts) = &row.alerts else { return "no reading yet".to_owned() };
    let others = [
        (counts.acknowledged, "acknowledged"),
        (counts.silenced, "silenced"),
        (counts.inhibited, "not paged because of their bus"),
        (counts.pending, "pending"),
    ];
    let text = with_counts(format!("{} open", counts.open), &others);
    if counts.silences == 0 { text } else { format!("{text}; {}", counted(counts.silences, "silence")) }
}

/// What each silence covers, until when, and by whom.
fn silences_in_force(rows: &[SilenceRow], times: &Times) -> Vec<String> {
    let one = |row: &SilenceRow| {
        format!(
            "silence {}: {} {}, by {}",
            row.silence,
            of(row),
            until(times.minute(row.until.as_ref()), span(row.left_s)),
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
fn schedules(rows: &[ScheduleRow], times: &Times) -> Vec<String> {
    let one = |row: &ScheduleRow| {
        let ScheduleRow { schedule, zones, state, trusted, until, from, to, timezone } = row;
        // A zone may have hours of its own under the same name.
        let is_one_of_many = rows.iter().filter(|other| other.schedule == *schedule).count() > 1;
        let zones: Vec<&str> = zones.iter().map(Id::as_str).collect();
        let of = if is_one_of_many { format!(" (zone {})", zones.join(", ")) } else { String::new() };
        let hours = format!("{from} to {to} {}", timezone.as_deref().unwrap_or("local time"));
        match (trusted, times.minute(until.as_ref())) {
            (false, _) => format!("{schedule}{of}: counts as {state}: the clock is not trusted ({hours})"),
            (true, Some(until)) => format!("{schedule}{of}: {state} until {until} ({hours})"),
            (true, None) => format!("{schedule}{of}: {state} ({hours})"),
        }
    };
    rows.iter().map(one).collect()
}

/// What is kept and for how long, and what was lost.
fn store_lines(store: &StoreState, has_hub: bool, times: &Times) -> Vec<String> {
    let bytes = store.bytes.map_or("size not known".to_owned(), |bytes| size(bytes as f64));
    let mut lines = vec![format!("{}, {bytes} of at most {}", store.path, size(store.most_bytes as f64))];
    if let Some(trouble) = &store.trouble {
        lines.push(format!("nothing can be written: {}; pages go out all the same", line(trouble)));
    }
    lines.extend(store.missing.iter().map(|said| line(&times.within(said))));
    lines.extend(
        store.dropped.iter().map(|said| format!("given up, not written down yet: {}", line(&times.within(said)))),
    );
    lines.extend(store.given_up.iter().map(|lost| {
        let span = match (times.minute(lost.from.as_ref()), times.minute(lost.to.as_ref())) {
            (Some(from), Some(to)) => format!(" from {from} to {to}"),
            _ => String::new(),
        };
        format!("given up: {} {}{span}: {}", lost.count, line(&lost.what), line(&lost.reason))
    }));
    let a_day = |bytes: Option<f64>| bytes.map_or("not known yet".to_owned(), |bytes| format!("{} a day", size(bytes)));
    lines.push(format!("written {}, kept {}", a_day(store.written_bytes_a_day), a_day(store.kept_bytes_a_day)));
    lines.push(match (store.offline_days, store.raw_days) {
        (Some(offline), Some(raw)) => {
            format!("can stay offline for {offline:.0} days; raw readings go after {raw:.0} days")
        }
        _ => "how long it can stay offline shows after half an hour".to_owned(),
    });
    let lane = |(name, lane): (&String, &Lane)| format!("{name} {} of {}", lane.waiting, lane.committed);
    let lanes: Vec<String> = store.lanes.iter().map(lane).collect();
    if !lanes.is_empty() {
        let why = if has_hub { "waiting for the hub" } else { "kept for a hub" };
        lines.push(format!("{why}: {}", lanes.join(", ")));
    }
    lines
}

/// Waiting notifications of a channel, its last failure, and its next try.
fn channel_line(channel: &ChannelState, times: &Times) -> String {
    let server = channel.server.as_ref().map_or(String::new(), |server| format!(" ({})", line(server)));
    let waiting = match channel.waiting {
        0 => "nothing waiting".to_owned(),
        waiting => format!("{} waiting", counted(waiting, "notification")),
    };
    let why = channel.unavailable.as_ref();
    let unavailable = why.map_or(String::new(), |why| format!("; unavailable: {}", line(why)));
    let is_down = channel.last_failure.as_ref().is_some_and(|failure| !failure.recovered);
    let failure = channel.last_failure.as_ref().map_or(String::new(), |failure| {
        let since = times.since(failure.since.as_ref(), failure.for_s);
        if failure.recovered {
            format!("; works again{since}")
        } else if why == Some(&failure.reason) {
            String::new()
        } else {
            format!("; fails{since}: {}", line(&failure.reason))
        }
    });
    let next = match channel.next_try_s {
        _ if channel.sending => "; sending".to_owned(),
        Some(seconds) => format!("; next try in {}", for_long(seconds)),
        None if is_down => "; next try with the next notification".to_owned(),
        None => String::new(),
    };
    format!("{}{server}: {waiting}{unavailable}{failure}{next}", channel.channel)
}

#[cfg(test)]
mod tests;

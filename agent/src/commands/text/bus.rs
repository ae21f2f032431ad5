//! A bus in the state of the agent.

use std::collections::BTreeMap;

use super::times::Times;
use super::{for_long, line};
use crate::api::rows::{BoardRow, BusState, FaultRow, Ignored, RejectedStamps};
use crate::api::status::name;
use crate::output::{counted, listed};
use crate::sense;
use crate::sense::stamp::StampRejection;

/// Upper limit of names shown for a bus that sensors want and no line has, and of sensors whose input fails.
const MAX_SHOWN: usize = 16;

/// State of a bus, its input, and what was ignored and why.
pub(super) fn lines(bus: &BusState, times: &Times) -> Vec<String> {
    let since = times.since(bus.since.as_ref(), bus.for_s);
    let why = bus.reason.as_ref().map_or_else(|| format!(", {}", bus.port), |reason| format!(": {}", line(reason)));
    let mut lines = vec![format!("{}{since}{why}; opened {}", bus.state, counted(bus.opened, "time"))];
    let what = match bus.kind.as_str() {
        "board" => "frame",
        "i2c" => "measurement",
        _ => "line",
    };
    let last = bus.last_line_s.map_or(String::new(), |age| format!("; the last {} ago", for_long(age)));
    lines.push(format!("{}, {} used{}{last}", counted(bus.lines, what), bus.used, ignored(&bus.ignored)));
    if let Some(last) = &bus.last_ignored {
        lines.push(format!("last not used ({}): {}", not_used(last), line(&last.line)));
    }
    lines.extend(bus.board.iter().map(board));
    let instead_of = bus.board.iter().filter_map(|board| Some((&board.id, board.instead_of.as_ref()?)));
    lines.extend(
        instead_of
            .map(|(board, before)| format!("board {board} took the place of board {before}, which is at no port")),
    );
    lines.extend(bus.board.iter().flat_map(|board| &board.refused).map(|refused| line(refused)));
    for FaultRow { sensor, why } in bus.faults.iter().take(MAX_SHOWN) {
        lines.push(format!("{sensor} reads a fault: {}", line(why)));
    }
    if bus.faults.len() > MAX_SHOWN {
        lines.push(format!("and {} more", counted((bus.faults.len() - MAX_SHOWN) as u64, "fault")));
    }
    for FaultRow { sensor, why } in bus.mixed.iter().take(MAX_SHOWN) {
        lines.push(format!("{sensor} is read from several nodes in turn: {}", line(why)));
    }
    lines.extend(bus.stamps_refused.iter().map(|of| rejected_stamps(of, times)));
    if !bus.unused.is_empty() {
        lines.push(format!("names that no sensor wants: {}", bus.unused.join(", ")));
    }
    if !bus.unseen.is_empty() {
        let names = listed(bus.unseen.iter().map(|name| line(name)), MAX_SHOWN);
        lines.push(format!("wanted and not seen: {names}"));
    }
    if let Some(failed) = &bus.failed {
        lines.push(format!("its task failed {}: {}", counted(bus.failures, "time"), line(failed)));
    }
    lines
}

/// Who the board is, and what became of its readings.
fn board(board: &BoardRow) -> String {
    let BoardRow {
        id, kind, firmware, port, last_start, restarts, readings, lost, held, bad_frames, unanswered, ..
    } = board;
    let restarts = if *restarts == 0 { String::new() } else { format!(", {} since", counted(*restarts, "restart")) };
    let lost = if *lost == 0 { String::new() } else { format!(", {lost} lost because its memory was full") };
    let bad = if *bad_frames == 0 { String::new() } else { format!(", {bad_frames} frames did not reach it whole") };
    let unanswered = match *unanswered {
        0 => String::new(),
        unanswered => format!("; {} not answered yet", counted(unanswered as u64, "setting")),
    };
    format!(
        "board {id} ({kind}, firmware {firmware}) at {}; last start: {last_start}{restarts}; {}{lost}, {held} held until \
         they are stored{bad}{unanswered}",
        line(port),
        counted(*readings, "reading"),
    )
}

fn rejected_stamps(refused: &RejectedStamps, times: &Times) -> String {
    let RejectedStamps { reason, lines, since, for_s, last, last_s, stamp, sensor } = refused;
    let why = StampRejection::ALL.into_iter().find(|why| name(why) == *reason);
    let why = why.map_or_else(|| reason.clone(), |why| why.text().to_owned());
    let since = times.since(since.as_ref(), Some(*for_s));
    let last =
        times.minute(last.as_ref()).map_or_else(|| format!("{} ago", for_long(*last_s)), |last| format!("at {last}"));
    let stamp = stamp.as_ref().map_or(String::new(), |stamp| format!(" {}", times.second(stamp)));
    format!(
        "{} {why},{since}: stamped with their arrival; the last{stamp} {last}, for {sensor}",
        counted(*lines, "line")
    )
}

/// Why a line was ignored, and which part of it.
fn not_used(last: &Ignored) -> String {
    let words = reason_text(&last.reason);
    match (&last.field, &last.text, &last.sensor) {
        (Some(field), Some(text), Some(sensor)) => {
            format!("{words}: {} says {:?}, wanted by {sensor}", line(field), line(text))
        }
        _ => words.to_owned(),
    }
}

fn ignored(ignored: &BTreeMap<String, u64>) -> String {
    ignored.iter().map(|(reason, count)| format!(", {count} {}", reason_text(reason))).collect()
}

/// A reason in words; one that this version does not know stays as it is.
fn reason_text(name: &str) -> &str {
    sense::reason_text(name).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::text::times::utc;

    #[test]
    fn each_kind_of_bus_says_in_its_own_words_what_came() {
        let said = |kind: &str| {
            let row = json!({
                "bus": "main", "kind": kind, "port": "/dev/x", "state": "up", "opened": 1, "bytes": 60, "lines": 12, "used": 11,
                "last_line_s": 2.0, "ignored": {}, "unused": [], "failures": 0
            });
            let bus: BusState = serde_json::from_value(row).expect("a row of a bus");
            lines(&bus, &utc())[1].clone()
        };
        assert_eq!(said("i2c"), "12 measurements, 11 used; the last 2s ago");
        assert_eq!(said("board"), "12 frames, 11 used; the last 2s ago");
        assert_eq!(said("line"), "12 lines, 11 used; the last 2s ago");
    }
}

//! A bus in the state of the agent.

use tilth_config::BusKind;

use super::times::Times;
use super::{for_long, line};
use crate::api::rows::{BusState, FaultRow, RejectedStamps};
use crate::console::{counted, listed};
use crate::sense::bus::health::{BoardHealth, UnusableValue};

/// Upper limit of names shown for a bus that sensors want and no message has, and of sensors whose input fails.
const MAX_SHOWN: usize = 16;

/// State of a bus, its input, and what was ignored and why.
pub(super) fn lines(bus: &BusState, times: &Times) -> Vec<String> {
    let since = times.since(bus.since.as_ref(), bus.for_s);
    let why = bus.reason.as_ref().map_or_else(|| format!(", {}", bus.port), |reason| format!(": {}", line(reason)));
    let mut lines = vec![format!("{}{since}{why}; opened {}", bus.state, counted(bus.opened, "time"))];
    let what = match BusKind::ALL.into_iter().find(|kind| kind.name() == bus.kind) {
        Some(BusKind::Board) => "frame",
        Some(BusKind::I2c) => "measurement",
        Some(BusKind::Line) => "line",
        Some(BusKind::Modbus | BusKind::Mqtt | BusKind::W1 | BusKind::Gpio | BusKind::Sdi12) | None => "message",
    };
    let last = bus.last_message_s.map_or(String::new(), |age| format!("; the last {} ago", for_long(age)));
    // A reason without words is that of another version.
    let why = |name: &'_ str| bus.reasons.get(name).map_or(name.to_owned(), String::clone);
    let ignored: String = bus.ignored.iter().map(|(reason, count)| format!(", {count} {}", why(reason))).collect();
    lines.push(format!("{}, {} used{ignored}{last}", counted(bus.messages, what), bus.used));
    if let Some(last) = &bus.last_ignored {
        let about = last.about.as_ref().map_or(String::new(), |UnusableValue { field, text, sensor }| {
            format!(": {} says {:?}, wanted by {sensor}", line(field), line(text))
        });
        lines.push(format!("last not used ({}{about}): {}", why(&last.reason), line(&last.message)));
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
    for FaultRow { sensor, why } in bus.several_nodes.iter().take(MAX_SHOWN) {
        lines.push(format!("{sensor} is read from several nodes in turn: {}", line(why)));
    }
    lines.extend(bus.rejected_stamps.iter().map(|of| rejected_stamps(of, &why(&of.reason), times)));
    if !bus.unclaimed.is_empty() {
        lines.push(format!("names that no sensor wants: {}", bus.unclaimed.join(", ")));
    }
    if !bus.not_received.is_empty() {
        let names = listed(bus.not_received.iter().map(|name| line(name)), MAX_SHOWN);
        lines.push(format!("wanted and not seen: {names}"));
    }
    if let Some(failed) = &bus.failed {
        lines.push(format!("its task failed {}: {}", counted(bus.failures, "time"), line(failed)));
    }
    lines
}

/// Identity of the board, and what became of its readings.
fn board(board: &BoardHealth) -> String {
    let BoardHealth { id, kind, firmware, last_start, held, .. } = board;
    let some = |count: u64, said: String| if count == 0 { String::new() } else { said };
    let restarts = some(board.restarts, format!(", {} since", counted(board.restarts, "restart")));
    let lost = some(board.lost, format!(", {} lost because its memory was full", board.lost));
    let bad = some(board.bad_frames.into(), format!(", {} frames did not reach it whole", board.bad_frames));
    let unanswered = board.unanswered as u64;
    let unanswered = some(unanswered, format!("; {} not answered yet", counted(unanswered, "setting")));
    format!(
        "board {id} ({kind}, firmware {firmware}) at {}; last start: {last_start}{restarts}; {}{lost}, {held} held until \
         they are stored{bad}{unanswered}",
        line(&board.port),
        counted(board.readings, "reading"),
    )
}

fn rejected_stamps(rejected: &RejectedStamps, why: &str, times: &Times) -> String {
    let RejectedStamps { messages, since, for_s, last, last_s, stamp, sensor, .. } = rejected;
    let since = times.since(since.as_ref(), Some(*for_s));
    let last =
        times.minute(last.as_ref()).map_or_else(|| format!("{} ago", for_long(*last_s)), |last| format!("at {last}"));
    let stamp = stamp.as_ref().map_or(String::new(), |stamp| format!(" {}", times.second(stamp)));
    format!(
        "{} {why},{since}: stamped with their arrival; the last{stamp} {last}, for {sensor}",
        counted(*messages, "line")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::text::times::utc;

    #[test]
    fn each_kind_of_bus_says_in_its_own_words_what_came() {
        let said = |kind: &str| {
            let bus = BusState {
                kind: kind.to_owned(),
                messages: 12,
                used: 11,
                last_message_s: Some(2.0),
                ..BusState::default()
            };
            lines(&bus, &utc())[1].clone()
        };
        assert_eq!(said("i2c"), "12 measurements, 11 used; the last 2s ago");
        assert_eq!(said("board"), "12 frames, 11 used; the last 2s ago");
        assert_eq!(said("line"), "12 lines, 11 used; the last 2s ago");
    }
}

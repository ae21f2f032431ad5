//! The store in the state of the agent.

use super::times::Times;
use super::{line, size};
use crate::api::rows::{Lane, StoreState};

/// What is kept and for how long, and what is missing.
pub(super) fn lines(store: &StoreState, has_hub: bool, times: &Times) -> Vec<String> {
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

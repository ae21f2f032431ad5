//! The channels of a board: what is wired to each, which only the technician knows who wired it.

use std::collections::BTreeMap;

use tilth_core::quantity::Quantity;
use tilth_core::time::Span;

use crate::board::{BoardChannel, BoardChannelKind, PulseScale};
use crate::board_model::BoardModel;
use crate::diagnostic::{Diagnostics, Problem};
use crate::input::MAX_CHANNELS;
use crate::namespaces::BOARD_CHANNEL;
use crate::path;
use crate::reader::{self, Fields};
use crate::tree::{Entry, Node};
use crate::wiring;

/// Longest time between readings that a board can keep.
const LONGEST_INTERVAL: Span = Span::from_mins(24 * 60);

/// Largest power of two of conversions.
const MAX_OVERSAMPLING: u8 = 6;

/// Reads the channels of a bus, by number; `model` is that of its board, where it is known.
pub(super) fn read(fields: &Fields<'_>, model: Option<BoardModel>, log: &Diagnostics) -> BTreeMap<u8, BoardChannel> {
    let at = path::join(&fields.path, "channels");
    let channels = fields.entries("channels").filter_map(|(number, entry)| {
        let found = (0..MAX_CHANNELS).find(|known| known.to_string() == *number);
        if found.is_none() {
            let problem = Problem::new(format!("{number:?} is no number of a channel"));
            log.error(entry.key, &path::join(&at, number), problem.help("expected 0 to 15"));
        }
        if let Some(problem) = found.and_then(|found| wiring::no_channel(model, found)) {
            log.warning(entry.key, &path::join(&at, number), problem);
        }
        Some((found?, one(entry, path::join(&at, number), log)?))
    });
    channels.collect()
}

fn one(entry: &Entry, path: String, log: &Diagnostics) -> Option<BoardChannel> {
    let fields = Fields::of(entry, path, &BOARD_CHANNEL, log)?;
    let names = fields.words("kind");
    let find = |text: &str| BoardChannelKind::ALL.into_iter().find(|kind| kind.name() == text);
    let kind = fields.required("kind", |node| reader::word(node, &names, find, log));
    let shortest = kind.map_or(Span(100), BoardChannelKind::shortest_interval);
    let interval = fields.or_default("interval", reader::some_duration);
    if !(shortest..=LONGEST_INTERVAL).contains(&interval) {
        let of_kind = kind.map_or(String::new(), |kind| format!(" of {kind}"));
        let problem = Problem::new(format!("{interval} is no interval{of_kind}"));
        fields.error("interval", problem.help(format!("expected \"{shortest}\" to \"{LONGEST_INTERVAL}\"")));
    }
    let oversampling = fields.or_default("oversampling", oversampling);
    if kind.is_some_and(|kind| kind != BoardChannelKind::Analog) && fields.has("oversampling") {
        let problem = Problem::new("only a channel of kind analog has oversampling");
        fields.error("oversampling", problem.help("take the key out"));
    }
    let pulses = pulses(&fields, kind);
    fields.finish();
    Some(BoardChannel { kind: kind?, interval, oversampling, pulses })
}

/// What a pulse stands for, where that is stated.
fn pulses(fields: &Fields<'_>, kind: Option<BoardChannelKind>) -> Option<PulseScale> {
    let mut found: Option<(&str, PulseScale)> = None;
    for (key, quantity) in PulseScale::KEYS {
        let Some(number) = fields.optional(key, reader::positive) else { continue };
        if kind.is_some_and(|kind| kind != BoardChannelKind::Pulses) {
            let problem = Problem::new(format!("only a channel of kind pulses has {key}"));
            fields.error(key, problem.help("take the key out"));
        } else if let Some((other, _)) = found {
            fields.error(key, Problem::new(format!("a pulse stands for one thing: keep {other} or {key}")));
        }
        found = found.or(Some((key, PulseScale::new(quantity, number))));
    }
    found.map(|(_, scale)| scale)
}

/// A number of conversions as its power of two.
fn oversampling(node: &Node) -> Result<u8, Problem> {
    let conversions = reader::whole(node, 1, 1 << MAX_OVERSAMPLING)?;
    if conversions.is_power_of_two() {
        return Ok(conversions.trailing_zeros() as u8);
    }
    Err(reader::expected("a power of two, 1, 2, 4, 8, 16, 32 or 64", node))
}

impl BoardChannel {
    /// Why a sensor of a quantity that reads this channel, and expects a value so often, gets none or too few. `table` is the channel's.
    pub(crate) fn problem(&self, quantity: Quantity, expected: Option<Span>, table: &str) -> Option<Problem> {
        let BoardChannel { kind, interval, pulses, .. } = *self;
        let problem = |what: String, help: String| Some(Problem::new(what).help(help).across_documents());
        if kind == BoardChannelKind::Off {
            return problem(
                format!("agent.toml turns this channel off ([{table}])"),
                "expected another kind there".into(),
            );
        }
        if !kind.can_be(quantity) {
            let what = format!("{kind} of [{table}] in agent.toml is no {quantity}");
            let known = BoardChannelKind::ALL.into_iter().filter(|kind| kind.unit().is_some());
            let fitting: Vec<&str> = known.filter(|kind| kind.can_be(quantity)).map(BoardChannelKind::name).collect();
            let fitting = if fitting.is_empty() { "analog, pulses or contact".to_owned() } else { fitting.join(", ") };
            return problem(what, format!("expected {fitting}"));
        }
        if kind == BoardChannelKind::Pulses
            && let Some(key) = PulseScale::key(quantity)
            && pulses.is_none_or(|scale| scale.quantity != quantity)
        {
            return problem(
                format!("[{table}] in agent.toml does not say what a pulse is of a {quantity}"),
                format!("expected {key} there"),
            );
        }
        let expected = expected.filter(|expected| *expected < interval)?;
        problem(
            format!("a value is expected every {expected}, and [{table}] in agent.toml measures every {interval}"),
            "expected the same interval in both".into(),
        )
    }
}

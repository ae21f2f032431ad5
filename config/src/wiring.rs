//! Channels and relays that documents name, held against those that boards have.

use crate::board_model::BoardModel;
use crate::diagnostic::Problem;

/// Why a board of a model has no channel of this number; where the model is not known, why no board has.
pub(crate) fn no_channel(model: Option<BoardModel>, number: u8) -> Option<Problem> {
    missing("channel", model, number, BoardModel::channels)
}

/// The same of a relay.
pub(crate) fn no_relay(model: Option<BoardModel>, number: u8) -> Option<Problem> {
    missing("relay", model, number, BoardModel::relays)
}

fn missing(what: &str, model: Option<BoardModel>, number: u8, count: fn(BoardModel) -> u8) -> Option<Problem> {
    let known = count(model.unwrap_or(BoardModel::Mega2560));
    if number < known {
        return None;
    }
    let of = model.map_or("the largest board of Tilth", BoardModel::in_words);
    let problem = Problem::new(format!("{of} has {what}s 0 to {}, and no {what} {number}", known - 1));
    let help = match model {
        Some(_) => "expected one of those, or another board on this bus".to_owned(),
        None => format!("expected one of those, or an image of your own with more {what}s"),
    };
    Some(problem.help(help).across_documents())
}

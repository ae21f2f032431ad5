//! Which bus each board belongs to: boards are known by their id, so a line goes to the bus of its board, whichever port it is on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_core::id::Id;
use tilth_wire::BoardId;
use tokio::sync::mpsc;

use super::line::Line;
use super::words;

/// Lines and failures that wait for a bus; more than all ports of a board are retried in a second.
const ARRIVALS: usize = 8;

/// What the port of a bus brings.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A line to the board of the bus.
    Line(Line),
    /// The bus's own port has none, and why.
    Failed(String),
}

/// The buses of kind board. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owners(Arc<Mutex<BTreeMap<Id, Owner>>>);

#[derive(Debug)]
struct Owner {
    /// The board that `agent.toml` states, or the first one that was found at the port of the bus.
    board: Option<BoardId>,
    is_stated: bool,
    /// Whether a line to the board is open.
    is_joined: bool,
    arrivals: mpsc::Sender<Arrival>,
}

impl Owners {
    /// A bus begins: what arrives for it comes out of the receiver. A board that was found before stays its own.
    pub(super) fn join(&self, bus: &Id, stated: Option<BoardId>) -> mpsc::Receiver<Arrival> {
        let (arrivals, receiver) = mpsc::channel(ARRIVALS);
        let mut owners = self.lock();
        let found = owners.get(bus).filter(|owner| !owner.is_stated).and_then(|owner| owner.board);
        let owner = Owner { board: stated.or(found), is_stated: stated.is_some(), is_joined: false, arrivals };
        owners.insert(bus.clone(), owner);
        receiver
    }

    /// Forgets buses that are no more.
    pub(crate) fn retain(&self, is_there: impl Fn(&Id) -> bool) {
        self.lock().retain(|bus, _| is_there(bus));
    }

    /// The board of a bus, where it is known; no board that is joined already is given to another port.
    pub(super) fn missing_board(&self, bus: &Id) -> Option<BoardId> {
        self.lock().get(bus).filter(|owner| !owner.is_joined).and_then(|owner| owner.board)
    }

    /// The bus that the board at the port of `bus` belongs to.
    ///
    /// # Errors
    /// Why it belongs to none: another board is expected there.
    pub(super) fn owner(&self, bus: &Id, board: BoardId) -> Result<Id, String> {
        let mut owners = self.lock();
        if let Some((owner, _)) = owners.iter().find(|(_, owner)| owner.board == Some(board)) {
            return Ok(owner.clone());
        }
        let Some(owner) = owners.get_mut(bus) else { return Ok(bus.clone()) };
        match owner.board {
            Some(expected) if owner.is_stated => Err(format!(
                "board {} is plugged in there; expected board {}, as [bus.{bus}] says",
                words::id(board),
                words::id(expected)
            )),
            Some(other) if owner.is_joined => Err(format!(
                "board {} is plugged in there and belongs to no bus; {bus} has board {} at another port",
                words::id(board),
                words::id(other)
            )),
            // The first one, or one that was put in its place.
            _ => {
                owner.board = Some(board);
                Ok(bus.clone())
            }
        }
    }

    /// Gives a bus what arrived; a bus that does not take it loses it, which closes the line.
    pub(super) fn give(&self, bus: &Id, arrival: Arrival) {
        let arrivals = self.lock().get(bus).map(|owner| owner.arrivals.clone());
        if let Some(arrivals) = arrivals {
            let _ = arrivals.try_send(arrival);
        }
    }

    /// A line to the board of a bus is open, or closed.
    pub(super) fn set_joined(&self, bus: &Id, is_joined: bool) {
        if let Some(owner) = self.lock().get_mut(bus) {
            owner.is_joined = is_joined;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, Owner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus(name: &str) -> Id {
        Id::new(name).unwrap()
    }

    const A: BoardId = BoardId([0xA; 8]);
    const B: BoardId = BoardId([0xB; 8]);
    const C: BoardId = BoardId([0xC; 8]);

    #[test]
    fn a_board_goes_to_its_bus_whichever_port_it_is_on() {
        let owners = Owners::default();
        let _stated = owners.join(&bus("stated"), Some(A));
        let _found = owners.join(&bus("found"), None);
        assert_eq!(owners.owner(&bus("found"), A), Ok(bus("stated")));
        assert_eq!(owners.owner(&bus("found"), B), Ok(bus("found")));
        assert_eq!(owners.owner(&bus("stated"), B), Ok(bus("found")));
        let error = owners.owner(&bus("stated"), C).unwrap_err();
        assert!(error.contains("0c0c") && error.contains("expected board 0a0a"), "{error}");
    }

    #[test]
    fn a_board_that_was_found_may_be_replaced_while_it_is_gone_and_is_known_over_a_restart_of_the_task() {
        let owners = Owners::default();
        let _first = owners.join(&bus("a"), None);
        assert_eq!(owners.owner(&bus("a"), A), Ok(bus("a")));
        owners.set_joined(&bus("a"), true);
        assert!(owners.owner(&bus("a"), B).is_err(), "expected the board of the bus to be joined elsewhere");
        let _again = owners.join(&bus("a"), None);
        assert_eq!(owners.missing_board(&bus("a")), Some(A));
        assert_eq!(owners.owner(&bus("a"), B), Ok(bus("a")));
        assert_eq!(owners.missing_board(&bus("a")), Some(B));
    }
}

//! Which bus each board belongs to: a board is identified by its id, so its connection goes to its bus, whichever port it is on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tilth_core::id::Id;
use tilth_wire::BoardId;
use tokio::sync::mpsc;

use super::connection::Connection;
use super::texts;
use crate::sense::store_ack::BoardPosition;

/// Most events that wait for one bus. Each port is tried once a second, and there are fewer ports than this.
const CAPACITY: usize = 8;

/// How long a board that is gone is looked for at all ports before another one takes its place. Each port is asked twice in this time.
const LOOKED_FOR: Duration = Duration::from_secs(15);

/// What came of opening the port of a bus.
#[derive(Debug)]
pub(super) enum PortEvent {
    /// A connection to the board of the bus.
    Connected(Connection),
    /// There is none at its own port, and why.
    Failed(String),
}

/// The buses of kind board. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct BoardRegistry(Arc<Mutex<RegistryState>>);

#[derive(Debug, Default)]
struct RegistryState {
    buses: BTreeMap<Id, BusEntry>,
    /// The board of each bus before the agent started.
    before: BTreeMap<Id, BoardId>,
    /// Next expected reading of each board, whichever bus it is on.
    positions: BTreeMap<[u8; 8], BoardPosition>,
}

#[derive(Debug)]
struct BusEntry {
    /// The board that `agent.toml` configures, that of before the agent started, or the first one that was found at the port of the bus.
    board: Option<BoardId>,
    is_configured: bool,
    is_connected: bool,
    /// Since when it is not.
    disconnected: Instant,
    /// The board whose place this one took since the agent started.
    replaced: Option<BoardId>,
    events: mpsc::Sender<PortEvent>,
}

impl BoardRegistry {
    /// A registry with what a restart keeps: which board each bus has, and how far the readings of boards are stored.
    pub(crate) fn new(before: BTreeMap<Id, BoardId>, positions: Vec<BoardPosition>) -> BoardRegistry {
        let positions = positions.into_iter().map(|position| (position.board, position)).collect();
        BoardRegistry(Arc::new(Mutex::new(RegistryState { buses: BTreeMap::new(), before, positions })))
    }

    /// How far the readings of a board are accepted; none of one that was never read.
    pub(super) fn position(&self, BoardId(board): BoardId) -> Option<BoardPosition> {
        self.lock().positions.get(&board).cloned()
    }

    /// The readings of a board are accepted up to here.
    pub(super) fn set_position(&self, position: BoardPosition) {
        self.lock().positions.insert(position.board, position);
    }

    /// A bus begins at an instant: what arrives for it comes out of the receiver. A board that was found before stays its own.
    pub(super) fn add_bus(&self, bus: &Id, configured: Option<BoardId>, now: Instant) -> mpsc::Receiver<PortEvent> {
        let (events, receiver) = mpsc::channel(CAPACITY);
        let mut state = self.lock();
        let found = state.buses.get(bus).filter(|entry| !entry.is_configured).and_then(|entry| entry.board);
        let found = found.or_else(|| state.before.get(bus).copied());
        let is_free =
            |board: &BoardId| state.buses.iter().all(|(other, entry)| other == bus || entry.board != Some(*board));
        let board = configured.or(found.filter(is_free));
        // A configured board holds over one that was found.
        let rivals = state.buses.values_mut().filter(|entry| entry.board == configured && !entry.is_configured);
        rivals.for_each(|entry| entry.board = None);
        let is_configured = configured.is_some();
        state.buses.insert(
            bus.clone(),
            BusEntry { board, is_configured, is_connected: false, disconnected: now, replaced: None, events },
        );
        receiver
    }

    /// Forgets buses that are no more.
    pub(crate) fn retain(&self, is_there: impl Fn(&Id) -> bool) {
        self.lock().buses.retain(|bus, _| is_there(bus));
    }

    /// The id for a board without one at the port of a bus: the configured one, unless its board is connected already.
    pub(super) fn configured_board(&self, bus: &Id) -> Option<BoardId> {
        let state = self.lock();
        state.buses.get(bus).filter(|entry| entry.is_configured && !entry.is_connected)?.board
    }

    /// The board whose place the one of the bus took since the agent started.
    pub(super) fn replaced(&self, bus: &Id) -> Option<BoardId> {
        self.lock().buses.get(bus)?.replaced
    }

    /// The bus that the board at the port of `bus` belongs to, and the board whose place it took there just now.
    ///
    /// # Errors
    /// Why it belongs to none: another board is expected there.
    pub(super) fn bus_of(&self, bus: &Id, board: BoardId, now: Instant) -> Result<(Id, Option<BoardId>), String> {
        let mut state = self.lock();
        let assigned = |bus: &Id, replaced| Ok((bus.clone(), replaced));
        if let Some((entry, _)) = state.buses.iter().find(|(_, entry)| entry.board == Some(board)) {
            return assigned(entry, None);
        }
        let Some(entry) = state.buses.get_mut(bus) else { return assigned(bus, None) };
        let is_there = format!("board {} is plugged in there", texts::id(board));
        match entry.board {
            Some(expected) if entry.is_configured => {
                Err(format!("{is_there}; expected board {}, as [bus.{bus}] says", texts::id(expected)))
            }
            Some(other) if entry.is_connected => {
                Err(format!("{is_there} and belongs to no bus; {bus} has board {} at another port", texts::id(other)))
            }
            Some(gone) if now < entry.disconnected + LOOKED_FOR => Err(format!(
                "{is_there}; {bus} has board {}, which is looked for at the other ports for {} s before this one takes its place",
                texts::id(gone),
                LOOKED_FOR.as_secs()
            )),
            // The first one, or one that was put in its place.
            before => {
                entry.board = Some(board);
                entry.replaced = before.or(entry.replaced);
                assigned(bus, before)
            }
        }
    }

    /// Gives a bus what arrived; a bus that does not take it loses it, which closes the connection.
    pub(super) fn send(&self, bus: &Id, event: PortEvent) {
        let events = self.lock().buses.get(bus).map(|entry| entry.events.clone());
        if let Some(events) = events {
            let _ = events.try_send(event);
        }
    }

    /// The board of a bus is connected, or disconnected at an instant.
    pub(super) fn set_connected(&self, bus: &Id, is_connected: bool, now: Instant) {
        if let Some(entry) = self.lock().buses.get_mut(bus) {
            (entry.is_connected, entry.disconnected) = (is_connected, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
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

    /// A registry on a clock of the test, in seconds.
    struct Timeline(BoardRegistry, Instant);

    impl Timeline {
        fn new(before: &[(&str, BoardId)]) -> Timeline {
            let before = before.iter().map(|(name, board)| (bus(name), *board)).collect();
            Timeline(BoardRegistry::new(before, Vec::new()), Instant::now())
        }

        fn at(&self, second: u64) -> Instant {
            self.1 + Duration::from_secs(second)
        }

        fn add_bus(&self, second: u64, name: &str, configured: Option<BoardId>) -> mpsc::Receiver<PortEvent> {
            self.0.add_bus(&bus(name), configured, self.at(second))
        }

        /// The bus of the board at a port, and whose place it took; or why it has none.
        fn bus_of(&self, second: u64, name: &str, board: BoardId) -> String {
            let assigned = self.0.bus_of(&bus(name), board, self.at(second));
            assigned.map_or_else(
                |why| why,
                |(bus, replaced)| match replaced {
                    None => bus.to_string(),
                    Some(before) => format!("{bus} instead of {}", texts::id(before)),
                },
            )
        }
    }

    #[test]
    fn a_board_goes_to_its_bus_whichever_port_it_is_on() {
        let timeline = Timeline::new(&[]);
        let _buses = [timeline.add_bus(0, "configured", Some(A)), timeline.add_bus(0, "found", None)];
        assert_eq!(timeline.bus_of(1, "found", A), "configured");
        assert_eq!(timeline.bus_of(1, "found", B), "found");
        assert_eq!(timeline.bus_of(1, "configured", B), "found");
        let error = timeline.bus_of(1, "configured", C);
        assert!(error.contains("0c0c") && error.contains("expected board 0a0a"), "{error}");
    }

    #[test]
    fn boards_that_changed_ports_while_the_agent_was_away_keep_their_buses() {
        let timeline = Timeline::new(&[("one", A), ("two", B)]);
        let _buses = [timeline.add_bus(0, "one", None), timeline.add_bus(0, "two", None)];
        assert_eq!(timeline.bus_of(1, "one", B), "two");
        assert_eq!(timeline.bus_of(1, "two", A), "one");
    }

    /// Guards against: a new board at one port takes the place of a board that is only asked a moment later at another one.
    #[test]
    fn a_board_that_is_gone_is_looked_for_before_another_one_takes_its_place() {
        let timeline = Timeline::new(&[("one", A)]);
        let _one = timeline.add_bus(0, "one", None);
        assert!(timeline.bus_of(14, "one", C).contains("looked for at the other ports for 15 s"));
        assert_eq!(timeline.bus_of(15, "one", C), format!("one instead of {}", texts::id(A)));
        assert_eq!(timeline.0.replaced(&bus("one")), Some(A));
        timeline.0.set_connected(&bus("one"), true, timeline.at(15));
        assert!(timeline.bus_of(100, "one", A).contains("belongs to no bus"));
        timeline.0.set_connected(&bus("one"), false, timeline.at(100));
        assert!(timeline.bus_of(114, "one", A).contains("looked for"));
        assert_eq!(timeline.bus_of(115, "one", A), format!("one instead of {}", texts::id(C)));
    }

    #[test]
    fn what_is_configured_holds_over_what_was_found_and_a_board_has_one_bus() {
        let timeline = Timeline::new(&[("one", A), ("two", A), ("three", B)]);
        let _buses =
            [timeline.add_bus(0, "one", None), timeline.add_bus(0, "two", None), timeline.add_bus(0, "three", None)];
        assert_eq!(timeline.bus_of(1, "two", C), "two", "expected the board to be of the first bus alone");
        let _four = timeline.add_bus(1, "four", Some(B));
        assert_eq!(timeline.bus_of(2, "three", B), "four");
        assert_eq!(
            [timeline.0.configured_board(&bus("one")), timeline.0.configured_board(&bus("four"))],
            [None, Some(B)]
        );
        let _again = timeline.add_bus(2, "one", None);
        assert_eq!(timeline.bus_of(3, "two", A), "one", "expected a restart of its task to forget nothing");
    }
}

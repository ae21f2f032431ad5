//! The room's board: the firmware that boards run, built for this machine, on a serial line that is a pseudo-terminal.
//!
//! | channel | what is wired to it | | relay | |
//! | --- | --- | --- | --- | --- |
//! | 0, 1 | pH and EC probe, analog | | 1 | siren |
//! | 2, 3 | SHT3x: temperature and humidity of the air | | 2 | pump of the acid doser |
//! | 4 | DS18B20: temperature of the water | | | |

use std::io;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tilth_tests::demo::room::{Readings, Room};
use tilth_tests::live::host_board::{HostBoard, Line};
use tilth_wire::{ResetCause, Sample};

use crate::Heard;
use crate::time::{Clock, FACTOR};

/// The relay of the acid doser.
const DOSER: u8 = 2;

/// The relay of the siren.
const SIREN: u8 = 1;

/// Longest time between two looks at the room, by the machine's clock.
const LOOK: Duration = Duration::from_millis(20);

/// Counts of the pH probe in the buffer solution of pH 4, and more of them for each pH.
const PH_4: f64 = 26_214.0;
const PER_PH: f64 = 6_554.0 / 3.0;

/// Counts of the EC probe for each mS/cm.
const PER_EC: f64 = 13_100.0;

/// A relay that the board switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relay {
    Doser,
    Siren,
}

/// The room, which its board measures and doses.
#[derive(Clone)]
pub(crate) struct SharedRoom(Arc<Mutex<Room>>);

impl SharedRoom {
    pub(crate) fn new(seed: u64) -> SharedRoom {
        SharedRoom(Arc::new(Mutex::new(Room::new(seed))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Room> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the board at the path of its line, until the receiver of its relays' states is gone.
pub(crate) fn run(line: &Path, clock: Clock, room: SharedRoom, tell: Sender<Heard>) -> io::Result<()> {
    let mut board = HostBoard::start(Line::pty(line)?, FACTOR, None, ResetCause::PowerOn);
    thread::spawn(move || {
        loop {
            let run = board.run(LOOK);
            let mut room = room.lock();
            room.handle(clock.now());
            show(&mut board, &room.readings());
            while let Some((relay, on, at)) = board.next_switched() {
                let relay = match relay {
                    DOSER => Relay::Doser,
                    SIREN => Relay::Siren,
                    _ => continue,
                };
                if relay == Relay::Doser {
                    room.doser(on);
                }
                let at = Duration::from_millis(at.into());
                if tell.send(Heard::Switched { relay, on, at }).is_err() {
                    return;
                }
            }
            drop(room);
            if let Err(error) = run {
                let _ = tell.send(Heard::Broken(error));
                return;
            }
        }
    });
    Ok(())
}

/// What the sensors show to the board: counts, and thousandths of their units.
fn show(board: &mut HostBoard, readings: &Readings) {
    let Readings { ph, ec, water, air, humidity } = readings;
    let values = [PH_4 + (ph - 4.0) * PER_PH, ec * PER_EC, air * 1e3, humidity * 1e3, water * 1e3];
    for (channel, value) in (0..).zip(values) {
        board.set(channel, Sample::Value(value.round() as i32));
    }
}

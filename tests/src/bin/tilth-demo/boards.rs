//! The two boards of the room: each prints lines on its own serial line, as a sketch would.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use tilth_tests::demo::room::{Happening, Readings, Room};
use tilth_tests::live::board::serial_line;

use crate::Heard;
use crate::time::Clock;

/// Each board prints a line as often as this, by the demo's clock.
const EVERY: Duration = Duration::from_secs(20);

/// A serial line: what is written into it can be read at its path.
pub(crate) struct SerialLine {
    board: File,
    /// Kept open, so that the line stays while no agent has it.
    _port: File,
    pub(crate) path: String,
}

impl SerialLine {
    pub(crate) fn new() -> io::Result<SerialLine> {
        let (board, port, path) = serial_line()?;
        // A board does not wait for whoever listens.
        fcntl_setfl(&board, OFlags::RDWR | OFlags::NONBLOCK)?;
        Ok(SerialLine { board, _port: port, path: path.display().to_string() })
    }

    /// Prints a line. What does not fit is lost, as on a real line to which nobody listens.
    fn print(&mut self, line: &str) -> io::Result<()> {
        match self.board.write(format!("{line}\r\n").as_bytes()) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// Somebody in the room looks at its displays as often as this.
const LOOKS_EVERY: u32 = 90;

/// What somebody in the room sees.
pub(crate) enum Seen {
    Happening(Happening),
    Displays(Readings),
    /// A line cannot be written to; nothing follows.
    Broken(io::Error),
}

/// Lets the room live, and its boards print, until nobody listens to what is seen there.
pub(crate) fn run(clock: Clock, mut room: Room, mut tank: SerialLine, mut air: SerialLine, seen: Sender<Heard>) {
    thread::spawn(move || {
        for line in 1.. {
            let at = EVERY * line;
            clock.wait_until(at);
            room.handle(at);
            let readings = room.readings();
            let t = readings.tank;
            let text = format!(
                "ph={:.2} ec={:.2} temp={:.2} level={:.1} flow={:.2}",
                t.ph, t.ec, t.temperature, t.level, t.flow
            );
            let mut printed = tank.print(&text);
            if let Some(a) = readings.air {
                let text = format!(r#"{{"temp":{:.2},"hum":{:.1},"light":{:.0}}}"#, a.temperature, a.humidity, a.light);
                printed = printed.and(air.print(&text));
            }
            let broken = printed.err().map(Seen::Broken);
            let looked = (line % LOOKS_EVERY == 0).then_some(Seen::Displays(readings));
            let happened = std::iter::from_fn(|| room.poll()).map(Seen::Happening);
            for what in happened.chain(looked).chain(broken) {
                let is_last = matches!(what, Seen::Broken(_));
                if seen.send(Heard::Room(at, what)).is_err() || is_last {
                    return;
                }
            }
        }
    });
}

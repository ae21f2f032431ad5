//! Named pipes and sockets in the place of the store's files.

use std::fs;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::room::{FARM, Room};

/// Guards against: an agent that waits for ever for the writer of a pipe, and monitors nothing.
#[test]
fn what_is_no_file_in_the_place_of_the_database_stops_nobody_from_watching() {
    for (name, is_said) in [
        ("tilth.db", true),
        ("tilth.db-wal", true),
        ("tilth.db-journal", true),
        ("history.last", false),
        ("socket", true),
    ] {
        let room = Room::new(&format!("no-file-{name}"), FARM);
        fs::create_dir(room.path("data")).unwrap();
        let _socket = match name {
            "socket" => Some(UnixListener::bind(room.path("data/tilth.db")).unwrap()),
            _ => {
                mknodat(CWD, room.path("data").join(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
                None
            }
        };
        let mut board = room.plug_in();
        let mut agent = room.start("input");
        room.wait_for_bus("up");
        board.level(0, 31.0);
        board.level(70, 31.5);
        agent.wait_for_told(1);
        if is_said {
            agent.wait_for_log(" is there; expected a file");
        }
        assert_eq!(agent.terminate().code(), Some(0), "{name}: {}", agent.log());
    }
}

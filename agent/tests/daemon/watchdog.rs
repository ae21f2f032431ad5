//! What systemd is told: the agent is ready, and its watchdog is fed as long as it decides.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bundles::{LOCAL, of_hub};
use crate::room::{Agent, FARM, Room};

/// A disk that does not answer where the state of the bundle is written, as it is again at each start.
const HANGING: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int unlink(const char *path) {
    const char *name = strrchr(path, '/');
    while (name && !strcmp(name, "/bundle.state.new"))
        pause();
    return unlinkat(AT_FDCWD, path, 0);
}
"#;

/// The end of systemd.
struct Systemd {
    socket: UnixDatagram,
    said: Vec<String>,
}

impl Systemd {
    fn of(room: &Room) -> Systemd {
        let socket = UnixDatagram::bind(room.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        Systemd { socket, said: Vec::new() }
    }

    /// The next message that has this text.
    #[track_caller]
    fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + Duration::from_secs(90);
        let mut bytes = [0; 1000];
        while Instant::now() < end {
            let length = self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{error}: {:?}", self.said));
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.said.push(message.clone());
            if message.contains(text) {
                return message;
            }
        }
        panic!("never: {text}: {:?}", self.said);
    }
}

/// Guards against: an agent that is killed again and again because its hub is away or its disk takes nothing.
#[test]
fn a_store_that_cannot_write_and_sync_that_cannot_start_leave_the_watchdog_alone() {
    let (room, _) = of_hub("watchdog", FARM);
    let mut systemd = Systemd::of(&room);
    fs::create_dir(room.path("data/tilth.db")).unwrap();
    let mut board = room.plug_in();
    let mut command = room.start_command("system");
    let mut agent = room.start_by(command.env("NOTIFY_SOCKET", room.path("notify")).env("WATCHDOG_USEC", "600000"));
    systemd.wait_for("READY=1");
    assert_eq!(systemd.said, ["READY=1\nSTATUS=starting: reading the configuration"], "before anything else");
    let status = systemd.wait_for("; sync: not started ");
    assert!(status.starts_with("STATUS=monitoring; store: nothing written "), "{status}");
    for value in 0..5 {
        board.say(&format!("{{\"level\":{value},\"door\":0}}\n"));
        systemd.wait_for("WATCHDOG=1");
    }
    room.pull_out(board);
    systemd.wait_for("; bus gateway: down ");
    systemd.wait_for("WATCHDOG=1");
    agent.terminate();
    systemd.wait_for("STOPPING=1");
}

/// Guards against: a farm that is not monitored, and an agent that never counts as started nor handles a signal, while the disk of the data
/// folder does not answer.
#[test]
fn a_data_folder_that_hangs_at_the_start_leaves_config_d_in_force() {
    let (room, _) = of_hub("hanging-data", FARM);
    let probation = r#"{"hash":"","trusted":"","version":7,"content":"","times":1,"sensors":{}}"#;
    room.write("data/bundle.state", &format!(r#"{{"highest":7,"refused":null,"probation":{probation}}}"#));
    room.write("hang.c", HANGING);
    let (source, library) = (room.path("hang.c"), room.path("hang.so"));
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(compiled.expect("a compiler").success());
    let mut systemd = Systemd::of(&room);
    systemd.socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut board = room.plug_in();
    let mut start = |log: &str| {
        let file = fs::File::create(room.path(log)).expect("a log");
        let mut command = room.start_command("system");
        command.env("NOTIFY_SOCKET", room.path("notify")).env("LD_PRELOAD", &library);
        let child = command.stderr(file).spawn().expect("the program starts");
        systemd.wait_for("READY=1");
        Agent { child, log: room.path(log) }
    };
    let mut told_to_stop = start("log-0.txt");
    assert_eq!(told_to_stop.terminate().code(), Some(0), "{}", told_to_stop.log());
    let mut agent = start("log-1.txt");
    systemd.wait_for("STATUS=monitoring");
    assert!(agent.log().contains("the data folder data does not answer; starting without it\n"), "{}", agent.log());
    room.wait_for_bus("up");
    board.level(0, 20.0);
    room.wait_for_value(LOCAL, 20.0);
    let lost = room.status()["sync"]["unavailable_reason"].clone();
    let why = "the last good bundle cannot be used: the data folder does not answer; config.d is running until ";
    assert!(lost.as_str().is_some_and(|said| said.starts_with(why)), "{lost}");
    assert_eq!(agent.terminate().code(), Some(0), "{}", agent.log());
}

#[test]
fn a_socket_of_systemd_that_is_gone_keeps_nobody_from_watching() {
    let room = Room::new("no-systemd", FARM);
    let agent = room.start_by(room.start_command("system").env("NOTIFY_SOCKET", room.path("notify")));
    assert!(agent.log().contains("tilth-agent: NOTIFY_SOCKET: "), "{}", agent.log());
}

/// Standard error is the journal where `JOURNAL_STREAM` names it.
#[test]
fn in_the_journal_each_line_has_its_priority_and_a_level_leaves_lines_out() {
    let room = Room::new("journal", FARM);
    let mut board = room.plug_in();
    let log = fs::File::create(room.path("log-0.txt")).unwrap();
    let at = log.metadata().unwrap();
    let mut command = room.start_command("input");
    command.env("JOURNAL_STREAM", format!("{}:{}", at.dev(), at.ino())).env("TILTH_LOG", "warn").stderr(log);
    let mut agent = Agent { child: command.spawn().unwrap(), log: room.path("log-0.txt") };
    room.wait_for_bus("up");
    board.level(0, 31.0);
    board.level(70, 31.5);
    agent.wait_for_log("<4>notify pi-7-");
    assert_eq!(agent.terminate().code(), Some(0));
    let log = agent.log();
    assert!(log.starts_with("<4>tilth-agent: the clock is input: for the demo and tests\n"), "{log}");
    assert!(!log.contains("<6>"), "nothing below the level: {log}");
}

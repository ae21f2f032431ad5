//! How an agent ends, and how the next one begins.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat};

use crate::room::{Agent, FARM, Ran, Room, exists, terminate};

#[test]
fn it_stops_when_it_is_told_to() {
    let room = Room::new("stop", FARM);
    let mut board = room.plug_in();
    for clock in ["system", "input"] {
        let mut agent = room.start(clock);
        room.wait_for_bus("up");
        board.level(0, 20.0);
        room.wait_for_value("room/level", 20.0);
        let mut tail = room.command(&["tail", "--socket", "agent.sock"]);
        let mut tail = tail.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let status = agent.terminate();
        assert_eq!(status.code(), Some(0), "{}", agent.log());
        assert!(!agent.log().contains("stop timed out"), "{}", agent.log());
        assert!(!agent.log().contains("could be written"), "{}", agent.log());
        assert_eq!(tail.wait().unwrap().code(), Some(1), "who watches is told that it is over");
        assert!(!exists(&room.path("agent.sock")));
    }
}

/// A full pipe without a reader: a write to it hangs, as on a disk that does not answer.
fn stuck_pipe(room: &Room) -> File {
    let path = room.path("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut held: File = rustix::fs::open(&path, flags, Mode::empty()).map(OwnedFd::into).expect("it opens");
    let full = std::iter::repeat_with(|| held.write(&[b'\n'; 512])).find_map(Result::err);
    assert_eq!(full.expect("it has an end").kind(), ErrorKind::WouldBlock);
    held
}

#[test]
fn a_recording_that_hangs_does_not_keep_it_from_ending() {
    let room = Room::new("stuck-recording", FARM);
    let _held = stuck_pipe(&room);
    let mut board = room.plug_in();
    let mut agent = room.start_by(room.start_command("input").args(["--record", "pipe"]));
    room.wait_for_bus("up");
    board.level(0, 20.0);
    room.wait_for_value("room/level", 20.0);
    let status = agent.terminate();
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(agent.log().contains("tilth-agent: pipe: the disk hangs; "), "{}", agent.log());
    assert!(agent.log().contains(" lines of the recording left unwritten\n"), "{}", agent.log());
    assert!(!agent.log().contains("could be written"), "the store is another disk: {}", agent.log());
}

#[test]
fn it_ends_where_nobody_reads_what_it_says() {
    let room = Room::new("stuck-log", FARM);
    let _held = stuck_pipe(&room);
    let nobody_reads = File::options().read(true).write(true).open(room.path("pipe")).unwrap();
    let mut child = room.start_command("system").stderr(nobody_reads).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !exists(&room.path("agent.sock")) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(terminate(&mut child).code(), Some(0));
}

#[test]
fn what_could_not_be_kept_is_said_at_the_end() {
    let room = Room::new("unkept", FARM);
    std::fs::create_dir_all(room.path("data/tilth.db")).unwrap();
    let mut board = room.plug_in();
    let mut agent = room.start("system");
    room.wait_for_bus("up");
    board.level(0, 20.0);
    room.wait_for_value("room/level", 20.0);
    assert_eq!(agent.terminate().code(), Some(0));
    assert!(agent.log().contains("tilth-agent: store: readings of the last "), "{}", agent.log());
}

#[test]
fn a_second_agent_is_refused_and_the_first_goes_on() {
    let room = Room::new("second", FARM);
    let _first = room.start("input");
    let second = Ran::of(&mut room.start_command("input"));
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains("tilth-agent: another agent listens at agent.sock\n"), "{}", second.err);
    assert_eq!(room.ask(&["status"]).code, Some(0));
}

#[test]
fn what_is_no_socket_is_left_alone_and_the_agent_watches_all_the_same() {
    let room = Room::new("no-socket", FARM);
    room.write("agent.sock", "somebody's notes");
    let mut child = room.start_command("x60").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let said = lines.by_ref().map(Result::unwrap).find(|line| line.contains("bus gateway is down"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.is_some());
    assert_eq!(std::fs::read_to_string(room.path("agent.sock")).unwrap(), "somebody's notes");
}

/// Guards against: a command that names the data of one agent and is answered by another.
#[test]
fn an_agent_by_hand_is_asked_by_its_data_folder_also_beside_the_service() {
    let (service, room) = (Room::new("beside-service", FARM), Room::new("beside", FARM));
    room.write("agent.toml", &std::fs::read_to_string(room.path("agent.toml")).unwrap().replace("pi-7", "by-hand"));
    let _service = service.start("system");
    let mut child = room.command(&["run", "--config", ".", "--data", "data"]).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !exists(&room.path("data/agent.sock")) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let named = ["status", "--json", "--data", "data"];
    let alone = Ran::of(&mut room.command(&named));
    // As on a machine where the other agent is the service.
    let view = "mount -t tmpfs none /run && mkdir /run/tilth && ln -s \"$0\" /run/tilth/agent.sock && exec \"$@\"";
    let beside = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", view]).arg(service.path("agent.sock"));
        command.arg(env!("CARGO_BIN_EXE_tilth-agent")).args(arguments).current_dir(room.path(""));
        Ran::of(&mut command)
    };
    let (unnamed, beside) = (beside(&["status", "--json"]), beside(&named));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(alone.out.contains(r#""device":"by-hand""#), "{alone:?}");
    if !unnamed.err.starts_with("unshare: ") {
        assert!(unnamed.out.contains(r#""device":"pi-7""#) && unnamed.err.is_empty(), "{unnamed:?}");
        assert!(beside.out.contains(r#""device":"by-hand""#), "{beside:?}");
    }
    assert_eq!(alone.err, "asking the agent at data/agent.sock\n");
}

/// A journal that is stuck: the pages go out by other ways, and it still stops.
#[test]
fn a_pipe_that_nobody_reads_stops_no_page() {
    let ntfy = TcpListener::bind("127.0.0.1:0").unwrap();
    let farm = format!(
        "{FARM}
        [notifications.phone]
        kind = 'ntfy'
        url = 'http://{}'
        topic = 'farm'
        [escalation.default.warning]
        channels = ['log', 'phone']
        ",
        ntfy.local_addr().unwrap()
    );
    let room = Room::new("stuck", &farm);
    let mut board = room.plug_in();
    let (_reader, mut pipe) = std::io::pipe().unwrap();
    fcntl_setfl(&pipe, OFlags::NONBLOCK).unwrap();
    while pipe.write(&[b'x'; 64]).is_ok() {}
    fcntl_setfl(&pipe, OFlags::empty()).unwrap();
    let mut agent = Agent { child: room.start_command("input").stderr(pipe).spawn().unwrap(), log: room.path("none") };
    room.wait_for_bus("up");
    board.level(0, 31.0);
    board.level(60, 31.5);
    room.wait_for("the phone is tried", &["status"], |rows| rows[0]["notify"]["channels"][1]["waiting"] == 1);
    ntfy.accept().unwrap();
    board.level(70, 20.0);
    room.wait_for_value("room/level", 20.0);
    assert_eq!(agent.terminate().code(), Some(0));
}

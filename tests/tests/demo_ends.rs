//! However `tilth-demo` ends, nothing that it started is left. Its programs are stood in for by scripts, so that this takes
//! no build; `tests/demo --bounded` runs the real ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tilth_tests::agent::Folder;
use tilth_tests::live::runs;

const HUB: &str = r#"#!/bin/sh
case $1 in
    init) mkdir -p "$3" && echo key >"$3/hub.pub" ;;
    tenant) echo '{"read_key":"r"}' ;;
    device) echo '{"device_key":"d"}' ;;
    serve) echo $$ >>"$PIDS"; echo "listening on 127.0.0.1:9"; STUBBORN exec sleep 60 ;;
esac
"#;

const AGENT: &str = r#"#!/bin/sh
case $1 in
    run) : >"$7" ;;
    tail) ;;
    *) exit 0 ;;
esac
echo $$ >>"$PIDS"
STUBBORN exec sleep 60
"#;

/// Hub, agent and tail.
const PROGRAMS: usize = 3;

/// A demo that runs, and the processes that it started.
struct Demo {
    child: Child,
    pids: Vec<u32>,
    _folder: Folder,
}

impl Demo {
    fn start(name: &str, is_stubborn: bool, options: &[&str]) -> Demo {
        let folder = Folder::new(name);
        let script = |file: &str, text: &str| {
            let path = folder.write(file, text.replace("STUBBORN", if is_stubborn { "trap '' TERM;" } else { "" }));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
            path
        };
        let list = folder.path().join("pids");
        let child = Command::new(env!("CARGO_BIN_EXE_tilth-demo"))
            .arg("--dir")
            .arg(folder.path().join("farm"))
            .args(options)
            .env("TILTH_HUB", script("hub", HUB))
            .env("TILTH_AGENT", script("agent", AGENT))
            .env("PIDS", &list)
            .stdout(Stdio::null())
            .spawn()
            .expect("the demo can be run");
        let pids = || {
            let text = fs::read_to_string(&list).unwrap_or_default();
            text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>()
        };
        assert!(within(Duration::from_secs(20), || pids().len() == PROGRAMS), "the demo does not start: {:?}", pids());
        // Ready for signals, and telling.
        thread::sleep(Duration::from_millis(300));
        Demo { child, pids: pids(), _folder: folder }
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("it is a process");
        kill_process(pid, signal).expect("it is ours");
    }

    /// How it ends, and after what time.
    fn end(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        assert!(self.pids.iter().all(|pid| runs(*pid)), "{:?}", self.pids);
        let sent = Instant::now();
        self.send(signal);
        let status = self.child.wait().expect("it is a child of ours");
        (status, sent.elapsed())
    }

    fn leaves_nothing(&self) {
        let is_gone = || !self.pids.iter().any(|pid| runs(*pid));
        assert!(within(Duration::from_secs(2), is_gone), "still there: {:?}", self.pids);
    }
}

fn within(span: Duration, mut is_it: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + span;
    loop {
        if is_it() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ctrl_c_ends_it_well_within_three_seconds_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut demo = Demo::start("demo-asked", false, &[]);
        let (status, took) = demo.end(signal);
        assert!(status.success() && took < Duration::from_secs(3), "{signal:?}: {status} after {took:?}");
        demo.leaves_nothing();
    }
}

#[test]
fn programs_that_do_not_stop_are_killed() {
    let mut demo = Demo::start("demo-stubborn", true, &[]);
    let (status, took) = demo.end(Signal::INT);
    assert!(status.success() && took < Duration::from_secs(3), "{status} after {took:?}");
    demo.leaves_nothing();
}

#[test]
fn a_demo_that_is_killed_leaves_nothing() {
    let mut demo = Demo::start("demo-killed", true, &[]);
    demo.end(Signal::KILL);
    demo.leaves_nothing();
}

#[test]
fn a_bounded_run_that_is_stopped_has_shown_nothing() {
    let mut demo = Demo::start("demo-short", false, &["--bounded"]);
    let (status, _) = demo.end(Signal::INT);
    assert_eq!(status.code(), Some(1));
    demo.leaves_nothing();
}

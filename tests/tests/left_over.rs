//! However an evidence or a test ends, no agent and no hub that it started is left: one that stays opens the serial line of the
//! next test. The programs are stood in for by scripts, so that this takes no build.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tilth_tests::agent::Folder;
use tilth_tests::live::disk::Disk;
use tilth_tests::live::runs;

const HUB: &str = r#"#!/bin/sh
case $1 in
    init) while [ "$1" != --data ]; do shift; done; mkdir -p "$2" && echo key >"$2/hub.pub" ;;
    tenant) echo '{"read_key":"r"}' ;;
    device) echo '{"device_key":"d"}' ;;
    serve) echo $$ >>"$PIDS"; echo "listening on 127.0.0.1:9"; exec sleep 60 ;;
esac
"#;

/// A program whose line never comes up, so its caller waits.
const AGENT: &str = r#"#!/bin/sh
[ "$1" = run ] || exit 1
echo $$ >>"$PIDS"
exec sleep 60
"#;

/// A program that ends at once, so its caller panics.
const AGENT_THAT_ENDS: &str = r#"#!/bin/sh
[ "$1" = run ] && echo $$ >>"$PIDS"
exit 1
"#;

fn evidence(folder: &Folder, agent: &str) -> Command {
    let script = |file: &str, text: &str| {
        let path = folder.write(file, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let mut call = Command::new(env!("CARGO_BIN_EXE_evidence"));
    call.args(["way", "--short"])
        .env("TILTH_HUB", script("hub", HUB))
        .env("TILTH_AGENT", script("agent", agent))
        .env("PIDS", folder.path().join("pids"))
        .env_remove("CI")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    call
}

/// The hub and the agent, once both were started.
fn started(folder: &Folder) -> Vec<u32> {
    let mut pids = Vec::new();
    assert!(
        within(|| {
            let text = fs::read_to_string(folder.path().join("pids")).unwrap_or_default();
            pids = text.lines().filter_map(|line| line.parse().ok()).collect();
            pids.len() == 2
        }),
        "{pids:?}"
    );
    pids
}

fn within(mut is_it: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_it() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn leaves_nothing(pids: &[u32]) {
    assert!(within(|| !pids.iter().any(|pid| runs(*pid))), "still there: {pids:?}");
}

#[test]
fn an_evidence_that_is_killed_leaves_no_agent_and_no_hub() {
    let folder = Folder::new("left-killed");
    let mut child: Child = evidence(&folder, AGENT).spawn().unwrap();
    let pids = started(&folder);
    assert!(pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    leaves_nothing(&pids);
}

#[test]
fn an_evidence_that_panics_leaves_no_hub() {
    let folder = Folder::new("left-panicked");
    let output = evidence(&folder, AGENT_THAT_ENDS).stdout(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().last(), Some("way: short, panicked"), "{said}");
    leaves_nothing(&started(&folder));
}

/// Guards against: disks that pile up under the target folder with each test that is killed.
#[test]
fn a_disk_that_a_killed_test_left_is_unmounted_by_the_next() {
    let is_mounted = |at: &Path| fs::read_to_string("/proc/mounts").unwrap().contains(at.to_str().unwrap());
    let mut gone = Command::new("true").spawn().unwrap();
    let process = gone.id();
    gone.wait().unwrap();
    let here = Folder::new("disk-of-a-running-test");
    let Some(_in_use) = Disk::in_memory(&here.path().join("data"), "1m", "left-over") else { return };
    let left = here.path().with_file_name(format!("disk-left-over-{process}-0"));
    std::mem::forget(Disk::in_memory(&left.join("data"), "1m", "left-over").unwrap());
    assert!(is_mounted(&left));
    let next = Folder::new("disk-next");
    let _next = Disk::in_memory(&next.path().join("data"), "1m", "left-over").unwrap();
    assert!(!is_mounted(&left) && !left.exists());
    assert!(is_mounted(here.path()) && is_mounted(next.path()));
}

//! A named pipe, a folder or a device in place of a file: nothing waits for it, and it is named with what was expected.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::farm::Farm;

const SENSOR: &str = "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\n";
const OFFICE: &str =
    "[notifications.office]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:1\"\nsecret = \"secret:office\"\n";
const SITE: &str = "[device]\nid = \"pi-7\"\nclient = \"acme\"\n[hub]\nurl = \"https://hub.example\"\nca = \"hub.pem\"\nsigning_key = \"hub.pub\"\nkey_file = \"device.key\"\n[bus.gateway]\nkind = \"line\"\nport = \"/dev/null\"\n";

/// What lies at a path instead of a file.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Pipe,
    Folder,
    Zero,
}

impl Thing {
    const ALL: [(Thing, &str); 3] = [
        (Thing::Pipe, "a named pipe is there; expected a file"),
        (Thing::Folder, "a folder is there; expected a file"),
        (Thing::Zero, "a device is there; expected a file"),
    ];

    fn put(self, path: &Path) {
        let _ = fs::remove_file(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        match self {
            Thing::Pipe => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("it can be made"),
            Thing::Folder => fs::create_dir_all(path).expect("it can be made"),
            Thing::Zero => symlink("/dev/zero", path).expect("it can be made"),
        }
    }
}

#[test]
fn each_file_of_a_configuration() {
    for (thing, said) in Thing::ALL {
        for file in ["agent.toml", "config.d/b.toml", "hub.pem", "hub.pub", "device.key", "secrets/office"] {
            let farm = Farm::empty("not-a-file-config");
            let farm = farm.with("config.d/a.toml", format!("{SENSOR}{OFFICE}")).with("agent.toml", SITE);
            thing.put(&farm.path(file));
            let ran = farm.run(&["check", "--config", "."]);
            // What is said may be split into a message and what was expected.
            let what = said.split(';').next().unwrap();
            assert!(ran.out.contains(what) && ran.out.contains("expected"), "{file} {thing:?}: {}", ran.out);
            assert!(ran.out.contains(file), "{file} {thing:?}: {}", ran.out);
            for command in ["run", "explain"] {
                if file.ends_with(".toml") && command == "run" {
                    let ran = farm.run(&["run", "--config", ".", "--data", "data", "--socket", "agent.sock"]);
                    assert_eq!(ran.code, Some(2), "{file} {thing:?}: {}", ran.err);
                    assert!(ran.err.contains(what) || ran.out.contains(what), "{file} {thing:?}: {}", ran.err);
                } else if command == "explain" {
                    assert!(farm.run(&["explain", "--config", "."]).code.is_some());
                }
            }
        }
    }
}

#[test]
fn a_recording() {
    for (thing, said) in Thing::ALL {
        let farm = Farm::empty("not-a-file-recording").with("config.d/a.toml", SENSOR);
        thing.put(&farm.path("day.csv"));
        let ran = farm.run(&["replay", "--config", ".", "--input", "day.csv"]);
        assert!(ran.code.is_some_and(|code| code > 0), "{thing:?}: {ran:?}");
        assert!(ran.err.contains("day.csv") && ran.err.contains(said), "{thing:?}: {}", ran.err);
    }
}

/// The shell's `<(zcat day.csv.gz)` is a pipe that is open already.
#[test]
fn a_pipe_that_is_open_already_is_read() {
    let farm = Farm::empty("open-pipe").with("config.d/a.toml", SENSOR);
    let day = b"time,sensor,value\n2026-03-01T06:00:00Z,tower-1/ph,6.5\n";
    let expected = farm.run_on(day, &["replay", "--config", ".", "--input", "-"]);
    assert_eq!(expected.code, Some(0), "{}", expected.err);
    for input in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let ran = farm.run_on(day, &["replay", "--config", ".", "--input", input]);
        assert_eq!(ran.code, Some(0), "{input}: {}", ran.err);
    }
}

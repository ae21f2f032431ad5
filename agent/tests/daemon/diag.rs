//! The archive for remote support.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use flate2::read::GzDecoder;

use crate::room::{FARM, Room};

const SECRET: &str = "tk_hunterQuokka";

fn unpack(room: &Room, name: &str) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(room.path(name)).expect("the archive")));
    let entries = archive.entries().expect("its entries").map(|entry| {
        let mut entry = entry.expect("an entry");
        let mut text = Vec::new();
        entry.read_to_end(&mut text).expect("its bytes");
        let name = entry.path().expect("its name").display().to_string();
        (name.trim_start_matches("tilth-diag/").to_owned(), String::from_utf8_lossy(&text).into_owned())
    });
    entries.collect()
}

#[test]
fn diag_has_state_and_configuration_and_no_secret() {
    let phone =
        "[notifications.phone]\nkind = 'ntfy'\nurl = 'http://127.0.0.1:1'\ntopic = 'farm'\ntoken = 'secret:ntfy'\n";
    let room = Room::new("diag", &format!("{FARM}{phone}"));
    fs::create_dir(room.path("secrets")).unwrap();
    fs::create_dir(room.path("bin")).unwrap();
    room.write_secret("ntfy", SECRET);
    let mut board = room.plug_in();
    let mut agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 21.5);
    room.wait_for_value("room/level", 21.5);
    // What a person wrote where it does not belong is in no file either.
    assert_eq!(room.ask(&["note", &format!("the token is {SECRET}")]).code, Some(0));
    let ran = room.ask(&["diag", "diag.tar.gz", "--config", ".", "--data", "data"]);
    assert!(ran.code == Some(0) && ran.out.starts_with("diag.tar.gz: ") && ran.out.contains("no secrets"), "{ran:?}");
    assert_eq!(fs::metadata(room.path("diag.tar.gz")).unwrap().permissions().mode() & 0o777, 0o600);
    let files = unpack(&room, "diag.tar.gz");
    for (name, text) in [
        ("status.json", r#""device":"pi-7""#),
        ("sensors.txt", "room/level"),
        ("doctor.txt", "agent: "),
        ("check.txt", "2 sensors in 1 zone"),
        ("notes.txt", "the token is [blanked out]"),
        ("system/version.txt", "Linux"),
        ("README.txt", "tilth-agent "),
    ] {
        assert!(files.get(name).is_some_and(|found| found.contains(text)), "{name}: {:?}", files.get(name));
    }
    let configuration: String =
        files.iter().filter(|(name, _)| name.starts_with("configuration/")).map(|(_, text)| text.as_str()).collect();
    assert!(configuration.contains(r#"notifications.phone.token = "secret:ntfy""#), "{configuration}");
    assert!(files.values().all(|text| !text.contains("hunterQuokka")), "{files:#?}");
    let again = room.ask(&["diag", "diag.tar.gz", "--config", ".", "--data", "data"]);
    assert!(again.code == Some(1) && again.err.contains("diag.tar.gz: File exists"), "{again:?}");
    // After a run that was killed the next one succeeds.
    room.write("bin/timeout", "#!/bin/sh\nkill -9 $PPID\n");
    fs::set_permissions(room.path("bin/timeout"), Permissions::from_mode(0o755)).unwrap();
    let mut interrupted = room.command(&["diag", "stopped.tar.gz", "--config", ".", "--data", "data"]);
    let ended = interrupted.env("PATH", room.path("bin")).status().unwrap();
    assert_eq!((ended.code(), room.path("stopped.tar.gz").exists()), (None, false));
    agent.kill();
    assert_eq!(room.ask(&["diag", "stopped.tar.gz", "--config", ".", "--data", "data"]).code, Some(0));
    let files = unpack(&room, "stopped.tar.gz");
    assert!(files["README.txt"].ends_with("ended. Secrets and keys are not in it, or are [blanked out].\n"));
    assert!(files["status.txt"].contains("no agent listens at agent.sock"), "{}", files["status.txt"]);
}

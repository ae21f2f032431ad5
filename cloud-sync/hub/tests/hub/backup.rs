//! A backup of a hub that serves, and what it is worth.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::client::Request;
use crate::served::{Made, Served, batch, stderr, stdout};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn backup(made: &Made, name: &str) -> PathBuf {
    let file = made.folder.path().join(name);
    let done = made.run(&["backup", file.to_str().unwrap()]);
    assert!(done.status.success(), "{}", stderr(&done));
    let said = stdout(&done);
    let bytes = fs::metadata(&file).unwrap().len();
    assert!(said.contains(&format!("{bytes} bytes; it has the hub's signing key")), "{said}");
    assert_eq!(mode(&file), 0o600);
    file
}

/// A batch of a note, in the hub's epoch where there is one, by a device that was confirmed this much.
fn note(served: &Served, key: &str, seq: u64, epoch: &Json, confirmed: Option<&str>) -> Json {
    let at = json!({"boot": 1, "uptime": seq, "wall": null});
    let rows = json!([{"seq": seq, "at": at, "kind": "note", "body": {"text": seq}}]);
    let batch = json!({
        "version": 1, "client": "acme", "device": "pi-7", "stream": format!("{:032x}", 1), "epoch": epoch,
        "lanes": {"events": {"first": seq, "last": seq, "rows": rows}},
    });
    let mut request =
        Request::post("/api/v1/sync/batch", key, batch.to_string()).header("content-type", "application/json");
    if let Some(confirmed) = confirmed {
        request = request.header("X-Tilth-Confirmed", confirmed);
    }
    request.send(served.address).ok()
}

#[test]
fn a_backup_is_made_while_the_hub_serves_and_put_back_with_its_key() {
    let made = Made::new();
    made.tenant("acme");
    let device = made.device("acme", "pi-7");
    let public = fs::read_to_string(made.data().join("hub.pub")).unwrap();
    let mut served = made.serve();
    let first = note(&served, &device, 1, &Json::Null, None);
    let file = backup(&served.made, "hub.backup");
    // Made again, it takes the place of the first, and nothing is left beside it.
    note(&served, &device, 2, &Json::Null, None);
    backup(&served.made, "hub.backup");
    assert!(!served.made.folder.path().join("hub.backup.new").exists());
    assert_eq!(note(&served, &device, 3, &first["epoch"], None)["confirmed"]["events"], 3);
    let sensors = served
        .made
        .folder
        .write("farm/sensors.toml", "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\n");
    let put = ["config", "put", "--client", "acme", "--device", "pi-7", sensors.parent().unwrap().to_str().unwrap()];
    let done = served.made.run(&put);
    assert!(done.status.success(), "{}", stderr(&done));
    let later = served.made.device("acme", "pi-8");
    let new_key =
        served.made.json(&["device", "key", "pi-7", "--client", "acme"])["device_key"].as_str().unwrap().to_owned();
    assert_eq!(served.batch(&new_key, &batch("acme", "pi-7", "tower-1/ph", 1)).status, 409, "of another stream's rows");

    let restore = ["restore", file.to_str().unwrap()];
    // Not even where its old lock was deleted.
    let _ = fs::remove_file(served.made.data().join("hub.lock"));
    let refused = served.made.run(&restore);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("a hub serves this folder already"), "{}", stderr(&refused));
    served.stop("-TERM");

    // On the same machine: what is there is kept aside, and what was revoked since stays so.
    let done = served.made.run(&restore);
    assert!(done.status.success(), "{}", stderr(&done));
    let said = stdout(&done);
    for expected in [
        " restored: 1 tenant, 1 device, key ",
        "new epoch ",
        "replaced files kept in ",
        "1 key that was revoked since stays revoked",
        "add again, each with a new key: acme/pi-8",
        "acme/pi-7: configuration 1 is not in the backup; the device keeps its own, unless",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let aside: Vec<PathBuf> = fs::read_dir(served.made.data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let aside: Vec<&PathBuf> =
        aside.iter().filter(|path| path.display().to_string().contains("before-restore-")).collect();
    assert!(aside.len() == 1 && aside[0].join("hub.db").exists() && aside[0].join("hub.key").exists(), "{aside:?}");
    assert_eq!((mode(aside[0]), mode(&served.made.data().join("hub.key"))), (0o700, 0o600));
    assert_eq!(mode(&served.made.data().join("hub.db")), 0o600);
    assert!(!served.made.data().join("restore.new").exists());
    assert_eq!(fs::read_to_string(served.made.data().join("hub.pub")).unwrap(), public);
    let kept = fs::read(served.made.data().join("hub.db")).unwrap();
    let seed = fs::read_to_string(served.made.data().join("hub.key")).unwrap();
    let seed = seed.trim().rsplit(' ').next().unwrap().as_bytes();
    assert!(!kept.windows(seed.len()).any(|part| part == seed), "the key has a file of its own");
    let served = served.kill_and_serve();
    assert_eq!(served.batch(&device, &batch("acme", "pi-7", "tower-1/ph", 1)).status, 401, "revoked after the backup");
    assert_eq!(served.batch(&later, &batch("acme", "pi-8", "tower-1/ph", 1)).status, 401, "added after it");
    let again =
        served.made.json(&["device", "key", "pi-7", "--client", "acme"])["device_key"].as_str().unwrap().to_owned();
    let answer = note(&served, &again, 3, &first["epoch"], Some("events=3"));
    assert_ne!(answer["epoch"], first["epoch"]);
    assert_eq!(answer["confirmed"]["events"], 3, "the backup had two, and the third came again");
}

#[test]
fn a_backup_makes_a_hub_where_there_is_none() {
    let made = Made::new();
    made.tenant("acme");
    let device = made.device("acme", "pi-7");
    let public = fs::read_to_string(made.data().join("hub.pub")).unwrap();
    let file = backup(&made, "hub.backup");
    fs::remove_dir_all(made.data()).unwrap();
    let done = made.run(&["restore", file.to_str().unwrap(), "--json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let said: Json = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&said["devices"], &said["aside"]), (&json!(1), &Json::Null));
    assert_eq!(fs::read_to_string(made.data().join("hub.pub")).unwrap(), public);
    assert_eq!(mode(&made.data()), 0o700);
    let served = made.serve();
    assert_eq!(served.batch(&device, &batch("acme", "pi-7", "tower-1/ph", 1)).status, 200);
}

/// Cut off between keeping aside what was there and putting the backup in its place, and run again.
#[test]
fn a_restore_that_did_not_end_revives_no_key() {
    let made = Made::new();
    made.tenant("acme");
    let device = made.device("acme", "pi-7");
    let file = backup(&made, "hub.backup");
    let served = made.serve();
    let new_key =
        served.made.json(&["device", "key", "pi-7", "--client", "acme"])["device_key"].as_str().unwrap().to_owned();
    assert_eq!(
        served.batch(&new_key, &batch("acme", "pi-7", "tower-1/ph", 1)).status,
        200,
        "its first use ends the old one"
    );
    let mut served = served;
    served.stop("-TERM");
    let aside = served.made.data().join("before-restore-20260301T030000Z");
    fs::create_dir(&aside).unwrap();
    for name in ["hub.db", "hub.db-wal", "hub.db-shm", "hub.key", "hub.pub"] {
        let _ = fs::rename(served.made.data().join(name), aside.join(name));
    }
    let done = served.made.run(&["restore", file.to_str().unwrap()]);
    assert!(stdout(&done).contains("1 key that was revoked since stays revoked"), "{}{}", stdout(&done), stderr(&done));
    let served = served.kill_and_serve();
    assert_eq!(served.batch(&device, &batch("acme", "pi-7", "tower-1/ph", 1)).status, 401);
}

#[test]
fn backups_that_are_made_at_once_are_whole() {
    let made = Made::new();
    made.tenant("acme");
    let file = made.folder.path().join("hub.backup");
    let _ = fs::write(made.folder.path().join("hub.backup.new"), "of one that was cut off");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(|| made.run(&["backup", file.to_str().unwrap()]))).collect();
        for run in runs {
            let done = run.join().unwrap();
            assert!(done.status.success(), "{}", stderr(&done));
        }
    });
    let done = made.run(&["restore", file.to_str().unwrap()]);
    assert!(stdout(&done).starts_with("backup of "), "with its key: {}{}", stdout(&done), stderr(&done));
}

#[test]
fn an_emptied_database_is_no_hub_that_knows_nobody() {
    let made = Made::new();
    made.tenant("acme");
    let file = backup(&made, "hub.backup");
    for name in ["hub.db-wal", "hub.db-shm"] {
        let _ = fs::remove_file(made.data().join(name));
    }
    fs::write(made.data().join("hub.db"), "").unwrap();
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["device", "list"], &["backup", file.to_str().unwrap()]]
    {
        let done = made.run(command);
        assert_eq!(done.status.code(), Some(1), "{command:?}: {}", stdout(&done));
        assert!(stderr(&done).contains("hub.db: the database is empty, its data is lost"), "{}", stderr(&done));
    }
    assert!(made.run(&["restore", file.to_str().unwrap()]).status.success());
    assert!(stdout(&made.run(&["tenant", "list"])).contains("acme"));
}

/// What is no backup changes nothing.
#[test]
fn what_is_no_backup_is_refused_and_changes_nothing() {
    let made = Made::new();
    made.tenant("acme");
    let whole = backup(&made, "hub.backup");
    let bytes = fs::read(&whole).unwrap();
    let before = fs::read(made.data().join("hub.db")).unwrap();
    let key = fs::read(made.data().join("hub.key")).unwrap();
    let mut spoilt = bytes.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle..middle + 4096].fill(0x5a);
    for (name, content) in [
        ("empty", Vec::new()),
        ("text", b"this is no database".to_vec()),
        ("half", bytes[..bytes.len() / 2].to_vec()),
        ("spoilt", spoilt),
    ] {
        let file = made.folder.path().join(name);
        fs::write(&file, content).unwrap();
        let done = made.run(&["restore", file.to_str().unwrap()]);
        assert_eq!(done.status.code(), Some(1), "{name}: {}", stdout(&done));
        assert!(
            stderr(&done).contains(&format!("{name}: no backup of a hub, or a damaged one (")),
            "{}",
            stderr(&done)
        );
        assert_eq!(fs::read(made.data().join("hub.db")).unwrap(), before, "{name}");
        assert_eq!(fs::read(made.data().join("hub.key")).unwrap(), key, "{name}");
        assert!(!made.data().join("restore.new").exists(), "{name}");
    }
    for wrong in [made.folder.path().to_path_buf(), made.folder.path().join("nowhere"), PathBuf::from("/dev/null")] {
        assert_eq!(made.run(&["restore", wrong.to_str().unwrap()]).status.code(), Some(1), "{}", wrong.display());
    }
    for wrong in [made.folder.path().to_path_buf(), PathBuf::from("/dev/null"), made.folder.path().join("no/folder/x")]
    {
        let done = made.run(&["backup", wrong.to_str().unwrap()]);
        assert_eq!(done.status.code(), Some(1), "{}: {}", wrong.display(), stdout(&done));
    }
    // Nor is anything overwritten that is no backup, least of all the hub.
    let (own, note) = (made.data(), made.folder.write("note.txt", "water the basil"));
    let hub = made.folder.path().join("not-there/../hub");
    let mut wrongs: Vec<PathBuf> =
        ["hub.db", "hub.db-wal", "hub.key", "hub.pub", "new"].map(|name| own.join(name)).into();
    wrongs.extend([note.clone(), hub]);
    for wrong in wrongs {
        let done = made.run(&["backup", wrong.to_str().unwrap()]);
        let why = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{}: {why}", wrong.display());
        assert_eq!(fs::read(own.join("hub.key")).unwrap(), key, "{}", wrong.display());
    }
    assert_eq!(fs::read_to_string(note).unwrap(), "water the basil");
    assert!(!own.join("new").exists());
    assert!(made.run(&["device", "list"]).status.success());
    assert!(made.run(&["backup", whole.to_str().unwrap()]).status.success(), "an older backup is replaced");
    // Somebody's own copy of the database has no key; the one that is here goes with it.
    let copy = made.folder.path().join("copy.db");
    fs::copy(made.data().join("hub.db"), &copy).unwrap();
    assert!(made.run(&["restore", copy.to_str().unwrap()]).status.success());
    assert_eq!(fs::read(made.data().join("hub.key")).unwrap(), key);
    fs::remove_dir_all(made.data()).unwrap();
    let done = made.run(&["restore", copy.to_str().unwrap()]);
    assert!(stderr(&done).contains("without the hub's signing key"), "{}", stderr(&done));
}

/// A database that was copied back by hand, and a device that knows more: it is said, and the device begins again.
#[test]
fn a_database_that_was_set_back_is_noticed_and_said() {
    let made = Made::new();
    let reader = made.tenant("acme");
    let device = made.device("acme", "pi-7");
    let mut served = made.serve();
    let first = note(&served, &device, 1, &Json::Null, None);
    served.stop("-TERM");
    let old = fs::read(served.made.data().join("hub.db")).unwrap();
    let mut served = served.kill_and_serve();
    for seq in 2..5 {
        note(&served, &device, seq, &first["epoch"], Some("events=1"));
    }
    served.stop("-TERM");
    fs::write(served.made.data().join("hub.db"), old).unwrap();
    for beside in ["hub.db-wal", "hub.db-shm"] {
        let _ = fs::remove_file(served.made.data().join(beside));
    }
    let served = served.kill_and_serve();
    let answer = note(&served, &device, 5, &first["epoch"], Some("events=4, windows=0"));
    assert_ne!(answer["epoch"], first["epoch"], "so that the device goes back");
    assert_eq!(answer["confirmed"]["events"], 1);
    let why = "the hub's database was set back: more was confirmed to the device (events 4, here 1)";
    let listed = stdout(&served.made.run(&["device", "list"]));
    assert!(listed.contains(why), "{listed}");
    let row = served.made.json(&["device", "list"]);
    assert_eq!(row["alerts"][0]["rule"], "database-set-back");
    let alerts = served.get("/api/alerts", &reader).ok();
    let alert = &alerts["alerts"][0];
    assert!(alert["message"].as_str().unwrap().starts_with(why) && alert["source"] == "hub", "{alerts}");
    assert!(served.made.log().contains(why), "{}", served.made.log());
    // In its new epoch it sends what is missing, and that is all.
    for seq in 2..5 {
        let next = note(&served, &device, seq, &answer["epoch"], Some("events=1"));
        assert_eq!(next["epoch"], answer["epoch"]);
    }
    assert_eq!(note(&served, &device, 6, &answer["epoch"], Some("events=5"))["confirmed"]["events"], 6);
    let wrong =
        Request::post("/api/v1/sync/batch", &device, "{}").header("X-Tilth-Confirmed", "many").send(served.address);
    assert_eq!(wrong.refused().0, 400);
}

//! The commands beside serving.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::served::{Made, batch, stderr, stdout};

#[test]
fn init_makes_a_hub_once() {
    let made = Made::new();
    let mode = |name: &str| std::fs::metadata(made.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("hub.key"), mode("hub.db"), mode("hub.pub")), (0o700, 0o600, 0o600, 0o644));
    let public = std::fs::read_to_string(made.data().join("hub.pub")).unwrap();
    assert!(public.starts_with("ed25519 ") && public.trim().len() == 8 + 64, "{public}");
    let before = std::fs::read(made.data().join("hub.key")).unwrap();
    let again = made.run(&["init"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("there is a hub here already; nothing was changed"), "{}", stderr(&again));
    assert_eq!(std::fs::read(made.data().join("hub.key")).unwrap(), before);
}

#[test]
fn keys_are_shown_once_and_kept_as_hashes() {
    let made = Made::new();
    let (reader, device) = (made.tenant("acme"), made.device("acme", "pi-7"));
    assert!(reader.starts_with("dev_rk_") && device.starts_with("dev_ak_"), "{reader} {device}");
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(made.data()).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let kept = String::from_utf8_lossy(&kept).into_owned();
    for key in [&reader, &device] {
        assert!(kept.contains(&key[7..19]), "the public id is kept");
        assert!(!kept.contains(&key[20..]), "the secret is not");
    }
    for (arguments, expected) in [
        (&["tenant", "add", "acme"][..], "there is a tenant acme already"),
        (&["device", "add", "pi-7", "--client", "acme"], "acme has a device pi-7 already"),
        (&["device", "add", "pi-7", "--client", "globex"], "there is no tenant globex"),
        (&["device", "revoke", "pi-8", "--client", "acme"], "acme has no device pi-8"),
        (&["config", "show", "--client", "acme", "--device", "pi-7"], "acme/pi-7 has no configuration yet"),
    ] {
        let done = made.run(arguments);
        assert_eq!(done.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&done).contains(expected), "{}", stderr(&done));
    }
    let wrong = made.run(&["tenant", "add", "Acme"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("the name contains 'A'; expected only a-z, 0-9 and -"), "{}", stderr(&wrong));
}

#[test]
fn a_tenant_says_how_long_its_data_is_kept() {
    let made = Made::new();
    made.tenant("acme");
    let keep = |arguments: &[&str]| made.json(&[&["tenant", "set", "acme"], arguments].concat())["keep"].clone();
    let said = |windows: &str, events: &str, batches: &str| serde_json::json!({"windows": windows, "events": events, "batches": batches});
    assert_eq!(keep(&["--keep-windows", "400d"]), said("400d", "forever", "forever"));
    assert_eq!(keep(&["--keep-events", "2 days", "--keep-batches", "36h"]), said("400d", "2d", "1d12h"));
    assert_eq!(keep(&["--keep-windows", "forever"]), said("forever", "2d", "1d12h"));
    assert_eq!(made.json(&["tenant", "list"])["keep"], said("forever", "2d", "1d12h"));
    for (arguments, code, expected) in [
        (&["tenant", "set", "acme", "--keep-events", "5h"][..], 2, "expected forever, or at least 1d, such as 400d"),
        (&["tenant", "set", "acme"], 2, "required"),
        (&["tenant", "set", "globex", "--keep-events", "5d"], 1, "there is no tenant globex"),
    ] {
        let done = made.run(arguments);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&done).contains(expected), "{}", stderr(&done));
    }
    assert!(stdout(&made.run(&["tenant", "list"])).contains("windows kept forever, events 2d, batches 1d12h"));
}

#[test]
fn a_new_key_ends_the_old_one_at_its_first_use() {
    let made = Made::new();
    made.tenant("acme");
    let old = made.device("acme", "pi-7");
    let served = made.serve();
    let send = |key: &str| served.batch(key, &batch("acme", "pi-7", "tower-1/ph", 1)).status;
    assert_eq!(send(&old), 200);
    let new = served.made.json(&["device", "key", "pi-7", "--client", "acme"]);
    let new = new["device_key"].as_str().unwrap();
    assert_eq!((send(&old), send(new), send(&old), send(new)), (200, 200, 401, 200));
    let revoked = served.made.json(&["device", "revoke", "pi-7", "--client", "acme"]);
    assert_eq!(revoked["revoked"], 1);
    assert_eq!(send(new), 401, "at once");
    let listed = served.made.json(&["device", "list"]);
    let keys = listed["keys"].as_array().unwrap();
    assert!(keys.len() == 2 && keys.iter().all(|key| !key["revoked"].is_null()), "{listed}");
    assert!(listed["last_heard"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_folder_without_a_hub_is_named() {
    let made = Made::new();
    std::fs::remove_dir_all(made.data()).unwrap();
    for arguments in [&["tenant", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let done = made.run(arguments);
        assert_eq!(done.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&done).contains("there is no hub here; `tilth-hub init` creates one"), "{}", stderr(&done));
    }
}

#[test]
fn an_address_that_is_none_is_told_what_one_is() {
    let made = Made::new();
    for wrong in ["8443", "hub.example:8443", "0.0.0.0"] {
        let done = made.run(&["serve", "--listen", wrong]);
        assert_eq!(done.status.code(), Some(2), "{wrong}");
        assert!(stderr(&done).contains("an IP address and a port, such as 0.0.0.0:8443"), "{}", stderr(&done));
    }
}

#[test]
fn plain_http_stays_on_the_machine() {
    let made = Made::new();
    let done = made.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("keys must not cross a network unencrypted"), "{}", stderr(&done));
    assert_eq!(stdout(&done), "");
}

#[test]
fn a_signing_key_that_others_may_read_is_refused() {
    let made = Made::new();
    let key = made.data().join("hub.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let done = made.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done).contains("other users may read it (mode 640); expected 600"), "{}", stderr(&done));
}

#[test]
fn it_ends_at_a_signal_and_is_served_once() {
    for signal in ["-TERM", "-INT"] {
        let mut served = Made::new().serve();
        let second = served.made.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(second.status.code(), Some(1));
        assert!(stderr(&second).contains("a hub serves this folder already"), "{}", stderr(&second));
        let (status, took) = served.stop(signal);
        assert!(status.success() && took.as_secs_f64() < 3.0, "{status} after {took:?}");
    }
}

#[test]
fn a_restored_backup_begins_a_new_epoch() {
    let made = Made::new();
    made.tenant("acme");
    let device = made.device("acme", "pi-7");
    let mut served = made.serve();
    let epoch = |served: &crate::served::Served| {
        served.batch(&device, &batch("acme", "pi-7", "tower-1/ph", 1)).ok()["epoch"].clone()
    };
    let before = epoch(&served);
    served.stop("-TERM");
    let restored = served.made.run(&["init", "--restored"]);
    assert!(restored.status.success() && stdout(&restored).starts_with("new epoch "), "{}", stdout(&restored));
    let served = served.kill_and_serve();
    assert_ne!(epoch(&served), before);
}

#[test]
fn no_secret_is_ever_logged() {
    let made = Made::new();
    let (reader, device) = (made.tenant("acme"), made.device("acme", "pi-7"));
    let mut served = made.serve();
    let wrong = format!("{}{}", &reader[..20], "f".repeat(64));
    for key in [&reader, &device, &wrong] {
        served.get("/api/health", key);
        served.get(&format!("/api/health?key={key}"), key);
        served.batch(key, &batch("acme", "pi-7", "tower-1/ph", 1));
        served.get(&format!("/api/nowhere/{key}"), key);
    }
    served.stop("-TERM");
    let log = served.made.log();
    assert!(log.lines().count() > 8, "{log}");
    for key in [&reader, &device, &wrong] {
        assert!(!log.contains(&key[20..]), "{log}");
    }
}

#[test]
fn a_channel_that_cannot_be_used_is_refused_and_changes_nothing() {
    let made = Made::new();
    made.tenant("acme");
    for (arguments, code, expected) in [
        (&["--webhook", "https://office.example/hook"][..], 2, "--secret <NAME>"),
        (&["--ntfy", "https://ntfy.example/a", "--no-pages"], 2, "cannot be used with"),
        (&["--ntfy", "ntfy.example/farm"], 1, "channel.url: \"ntfy.example\" is no address"),
        (
            &["--ntfy", "https://ntfy.example/farm", "--secret", "../key"],
            1,
            "channel.token: expected the name of a secret",
        ),
        (&["--silent-after", "0s"], 2, "expected 1s to 30d"),
        (&["--silent-after", "soon"], 2, "expected a time such as 10m or 1h30m"),
        (&["--device", "pi-8", "--silent-after", "5m"], 1, "acme has no device pi-8"),
    ] {
        let done = made.run(&[&["tenant", "set", "acme"], arguments].concat());
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {}", stderr(&done));
        assert!(stderr(&done).contains(expected), "{arguments:?}: {}", stderr(&done));
    }
    let held = made.json(&["tenant", "list"]);
    assert_eq!(held["pages"], serde_json::json!({"to": null, "silent_after": "15m"}));
    let done = made.run(&["tenant", "set", "acme", "--ntfy", "https://ntfy.example/farm", "--secret", "pager"]);
    assert!(stdout(&done).ends_with("silent for 15m go to https://ntfy.example\n"), "{}", stdout(&done));
    assert!(stderr(&done).contains("pages cannot be sent yet: there is no "), "{}", stderr(&done));
    let done = made.run(&["tenant", "set", "acme", "--silent-after", "1h", "--keep-events", "2d"]);
    assert!(stdout(&done).contains("events 2d") && stdout(&done).contains("silent for 1h go to"), "{}", stdout(&done));
    let held = made.json(&["tenant", "list"]);
    assert_eq!(held["pages"], serde_json::json!({"to": "https://ntfy.example", "silent_after": "1h"}));
}

#[test]
fn completions_are_printed_as_long_as_somebody_reads_them() {
    let print = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tilth-hub"));
        command.args(["completions", "bash"]);
        command
    };
    assert!(stdout(&print().output().unwrap()).contains("tenant"));
    // As into a `head` that has seen enough.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = print().stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
    assert_eq!((ended.status.code(), stderr(&ended).as_str()), (Some(0), ""));
}

/// Guards against: "unable to open database file" for whoever forgot `sudo -u tilth-hub`.
#[test]
fn a_hub_that_its_caller_may_not_use_says_whose_it_is() {
    let made = Made::new();
    let folder = made.data().display().to_string();
    let is_root = rustix::process::geteuid().is_root();
    let mut calls = vec![&["device", "list"][..]];
    if is_root {
        calls.push(&["serve", "--listen", "127.0.0.1:0"]);
    }
    for arguments in calls {
        let mut command = made.command(arguments);
        let expected = if is_root {
            command.uid(65_534).gid(65_534);
            format!("{folder} is of the user root, and this command ran as ")
        } else {
            std::fs::set_permissions(made.data(), std::fs::Permissions::from_mode(0o500)).unwrap();
            format!("may not write {folder} (mode 500): chmod u+rwX {folder}")
        };
        let done = command.output().unwrap();
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(&expected), "expected {expected:?}: {said}");
    }
    std::fs::set_permissions(made.data(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_database_that_is_none_is_named_with_what_replaces_it() {
    let made = Made::new();
    let database = made.data().join("hub.db");
    std::fs::write(&database, "a file of another program, long enough to be looked at").unwrap();
    let said = stderr(&made.run(&["device", "list"]));
    let expected = format!(
        "the database {} is damaged (file is not a database); put a backup in its place: tilth-hub restore FILE",
        database.display()
    );
    assert!(said.contains(&expected), "expected {expected:?}: {said}");
}

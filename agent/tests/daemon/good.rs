//! Files that somebody broke, found by an agent that starts: it watches on by what was in force before, and says so.

use std::fs;

use serde_json::{Value, json};

use crate::bundles::{BUNDLE, HUBS, LOCAL, of_hub};
use crate::room::{Agent, FARM, Ran, Room, exists};

const GOOD: &str = "data/config.good";

/// What was kept, or nothing.
fn kept(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Starts, and waits until what is in force is on the disk: this text is in it.
fn begin(room: &Room, text: &str) -> Agent {
    let agent = room.start("input");
    room.wait_for_file(GOOD, |kept| kept.contains(text));
    agent
}

/// Runs the last good configuration, and says in its log and in `status` what is wrong with the files.
#[track_caller]
fn watches_on(room: &Room, problem: &str) -> Agent {
    let agent = room.start("input");
    let refused = room.status()["config"]["rejected"].clone();
    assert!(refused["problems"].to_string().contains(problem), "{refused}\n{}", agent.log());
    let log = agent.log();
    let status = room.status();
    let hash = status["config"]["hash"].as_str().and_then(|hash| hash.get(..8)).expect("a hash");
    let errors = match refused["errors"].as_u64().expect("a number") {
        1 => "(1 error)".to_owned(),
        errors => format!("({errors} errors)"),
    };
    let said = format!("configuration in . rejected {errors}; running the last good configuration {hash}:\n");
    assert!(log.contains(&said), "{said}{log}");
    assert!(log.lines().any(|line| line.contains(problem)), "{log}");
    let shown = room.ask(&["status"]).out;
    let (_, after) = shown.split_once("configuration rejected").expect("it is shown");
    let running = format!("{errors}; still running configuration {hash}:\n");
    assert!(after.contains(&running) && after.contains(problem), "{running}{shown}");
    agent
}

/// Exit code 2, and no monitoring.
#[track_caller]
fn ends(room: &Room, problem: &str) {
    let ran = Ran::of(&mut room.start_command("input"));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains(problem), "{}", ran.err);
}

/// Guards against: a file saved with a slip in the evening, a power cut at night, and exit code 2 until the morning.
#[test]
fn a_file_of_config_d_broken_while_it_runs() {
    let room = Room::new("good-config", FARM);
    let mut board = room.plug_in();
    let mut agent = begin(&room, "level-high");
    let hash = room.status()["config"]["hash"].clone();
    room.write("config.d/farm.toml", &FARM.replace("above", "abov"));
    room.wait_for("refused", &["status"], |rows| !rows[0]["config"]["rejected"].is_null());
    agent.kill();

    for round in 0..2 {
        let mut agent = watches_on(&room, "config.d/farm.toml:15:1: error: rules.level-high.abov");
        assert_eq!(room.status()["config"]["hash"], hash);
        room.wait_for_bus("up");
        board.level(i64::from(round) * 10, 20.0 + f64::from(round));
        room.wait_for_value("room/level", 20.0 + f64::from(round));
        agent.kill();
    }

    let _agent = watches_on(&room, "abov");
    room.write("config.d/farm.toml", &FARM.replace("above = 30", "above = 25"));
    room.wait_for("mended", &["status"], |rows| {
        rows[0]["config"]["rejected"].is_null() && rows[0]["config"]["hash"] != hash
    });
    room.wait_for_file(GOOD, |kept| kept.contains("above = 25"));
}

#[test]
fn a_file_of_config_d_that_is_gone_or_agent_toml_broken() {
    let room = Room::new("good-site", FARM);
    drop(begin(&room, "level-high"));
    let site = fs::read_to_string(room.path("agent.toml")).unwrap();
    room.write("agent.toml", &site.replace("[device]\nid = 'pi-7'", "[device]\nid = 'pi-8'\nidd = 'pi-8'"));
    let agent = watches_on(&room, "agent.toml:3:1: error: device.idd");
    assert_eq!(room.status()["device"], "pi-7");
    drop(agent);
    fs::remove_file(room.path("agent.toml")).unwrap();
    drop(watches_on(&room, "agent.toml: error: there is no such file"));
    room.write("agent.toml", &site);
    fs::remove_file(room.path("config.d/farm.toml")).unwrap();
    let _agent = watches_on(&room, "no .toml file");
    room.write("config.d/farm.toml", FARM);
    room.wait_for("mended", &["status"], |rows| rows[0]["config"]["rejected"].is_null());
}

#[test]
fn agent_toml_broken_under_a_bundle() {
    let (room, good) = of_hub("good-bundle", FARM);
    let mut board = room.plug_in();
    drop(begin(&room, "gateway"));
    assert!(!fs::read_to_string(room.path(GOOD)).unwrap().contains("level-high"), "config.d is not in force");
    let site = fs::read_to_string(room.path("agent.toml")).unwrap();
    for (number, (broken, problem)) in [
        (site.replace("[bus.gateway]", "[bus.gatewya]"), "agent.toml names no bus gateway"),
        (site.replace("port =", "prot ="), "agent.toml:6:1: error: bus.gateway.prot"),
        (site.replace("'pi-7'", "'pi-8'").replace("port =", "prot ="), "bus.gateway.prot"),
        ("[device".to_owned(), "agent.toml:1:"),
    ]
    .into_iter()
    .enumerate()
    {
        room.write("agent.toml", &broken);
        let _agent = watches_on(&room, problem);
        let status = room.status();
        assert_eq!(
            (&status["sync"]["bundle"]["version"], &status["sync"]["unavailable_reason"]),
            (&json!(7), &Value::Null)
        );
        assert_eq!(status["device"], "pi-7");
        room.wait_for_bus("up");
        let number = i32::try_from(number).unwrap();
        board.level(i64::from(number) * 10, 20.0 + f64::from(number));
        room.wait_for_value(HUBS, 20.0 + f64::from(number));
        let told = "\"state\":\"refused\"";
        room.wait_for_bytes(&["data/tilth.db", "data/tilth.db-wal"], told.as_bytes());
        assert_eq!(fs::read(room.path(BUNDLE)).unwrap(), good);

        room.write("agent.toml", &site);
        room.wait_for("mended", &["status"], |rows| rows[0]["config"]["rejected"].is_null());
    }
}

/// A bundle that is lost as well: the files that were in force before it came are the last that watch.
#[test]
fn agent_toml_broken_and_the_bundle_lost() {
    let (room, good) = of_hub("good-lost", FARM);
    let mut board = room.plug_in();
    fs::remove_file(room.path(BUNDLE)).unwrap();
    drop(begin(&room, "level-high"));
    room.write_bytes(BUNDLE, &good);
    drop(room.start("input"));
    let kept = kept(&fs::read_to_string(room.path(GOOD)).unwrap());
    assert!(
        kept["content"]["files"]["merged"].to_string().contains("level-high"),
        "a bundle that rules leaves them: {kept}"
    );

    let site = fs::read_to_string(room.path("agent.toml")).unwrap();
    room.write("agent.toml", &site.replace("port =", "prot ="));
    room.write("config.d/farm.toml", "");
    room.write_bytes(BUNDLE, &good[..20]);
    let _agent = watches_on(&room, "prot");
    let lost = room.status()["sync"]["unavailable_reason"].clone();
    let said = lost.as_str().unwrap();
    assert!(
        said.contains("is damaged")
            && said.ends_with("; the last good config.d is running until the hub sends the next bundle"),
        "{said}"
    );
    room.wait_for_bus("up");
    board.level(0, 20.0);
    room.wait_for_value(LOCAL, 20.0);
    // `check` says what a start would do.
    room.write("agent.toml", &site);
    room.write_bytes(BUNDLE, &good[..20]);
    let ran = Ran::of(&mut room.command(&["check", "--config", ".", "--data", "data"]));
    let expected = "; the last good config.d is running until the hub sends the next bundle";
    assert!(ran.code == Some(2) && ran.out.contains(expected), "{}{}", ran.out, ran.err);
}

#[test]
fn a_new_device_of_a_hub_waits_for_it_whatever_agent_toml_has_become() {
    let (room, _) = of_hub("good-new", "");
    fs::remove_file(room.path(BUNDLE)).unwrap();
    fs::remove_file(room.path("config.d/farm.toml")).unwrap();
    drop(begin(&room, "gateway"));
    room.write("agent.toml", "[device");
    let agent = watches_on(&room, "agent.toml:1:");
    assert!(agent.log().contains("no sensor is watched until the hub sends a bundle"), "{}", agent.log());
}

#[test]
fn a_first_start_with_an_error_ends_it() {
    let room = Room::new("good-first", &FARM.replace("above", "abov"));
    ends(&room, "abov");
    assert!(!exists(&room.path(GOOD)));
}

#[test]
fn what_was_kept_and_is_damaged_is_put_aside() {
    let room = Room::new("good-damaged", FARM);
    drop(begin(&room, "level-high"));
    let whole = fs::read(room.path(GOOD)).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    for (bytes, why) in [
        (Vec::new(), "EOF while parsing"),
        (whole[..whole.len() / 2].to_vec(), "EOF while parsing"),
        (text.replace("above = 30", "above = 90").into_bytes(), "its content is not what was written"),
        (vec![0; 4096], "expected value"),
    ] {
        let said = |log: &str| {
            let line = log.lines().find(|line| line.contains("config.good is damaged (")).expect("it is said");
            let (reason, aside) = line.split_once("; moved to ").expect("it is put aside");
            assert!(reason.contains(why), "{line}");
            assert_eq!(fs::read(room.path(aside)).unwrap(), bytes);
        };
        room.write_bytes(GOOD, &bytes);
        let mut agent = begin(&room, "level-high");
        said(&agent.log());
        agent.kill();
        assert_eq!(fs::read(room.path(GOOD)).unwrap(), whole);

        room.write_bytes(GOOD, &bytes);
        room.write("config.d/farm.toml", "[");
        ends(&room, "config.good is damaged (");
        room.write("config.d/farm.toml", FARM);
        assert!(!exists(&room.path(GOOD)));
    }
    let names = fs::read_dir(room.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let aside = names.filter(|name| name.to_string_lossy().starts_with("config.good.damaged-")).count();
    assert_eq!(aside, 2, "they do not fill the disk");
}

#[test]
fn a_disk_that_does_not_take_it_is_said_once_and_disturbs_nothing() {
    let room = Room::new("good-disk", FARM);
    fs::create_dir_all(room.path("data/config.good.new")).unwrap();
    let agent = room.start("input");
    for above in [25, 26, 27] {
        let before = room.status()["config"]["hash"].clone();
        room.write("config.d/farm.toml", &FARM.replace("above = 30", &format!("above = {above}")));
        room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != before);
    }
    fs::remove_dir(room.path("data/config.good.new")).unwrap();
    room.write("config.d/farm.toml", &FARM.replace("above = 30", "above = 28"));
    room.wait_for_file(GOOD, |kept| kept.contains("above = 28"));
    let log = agent.log();
    assert_eq!(log.matches("saving the fallback copy failed (Is a directory").count(), 1, "{log}");
}

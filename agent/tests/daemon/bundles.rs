//! The hub's last good bundle lost to a dying disk: the agent goes on with what is there, and says so.

use std::fs;

use serde_json::{Value, json};
use tilth_config::bundle::{Draft, SigningKey, seal};
use tilth_core::id::Id;
use tilth_core::time::WallTime;

use crate::room::{Agent, FARM, Ran, Room, exists};

/// The sensor that the bundle names, and the one that `config.d` names, of the same input.
pub(crate) const HUBS: &str = "room/hubs";
pub(crate) const LOCAL: &str = "room/level";

pub(crate) const BUNDLE: &str = "data/bundle.good";

/// A room whose hub is not there, with a last good bundle.
pub(crate) fn of_hub(name: &str, farm: &str) -> (Room, Vec<u8>) {
    let room = Room::new(name, farm);
    let key = SigningKey::from_seed(&[7; 32]);
    let port = room.path("usb-board");
    room.write(
        "agent.toml",
        &format!(
            "[device]\nid = 'pi-7'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = '{}'\n\
            [hub]\nurl = 'http://127.0.0.1:1'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'\n",
            port.display()
        ),
    );
    room.write("hub.pub", &key.trusted().to_string());
    let bytes = sealed(7, &sensor());
    fs::create_dir(room.path("data")).expect("a folder");
    room.write_bytes(BUNDLE, &bytes);
    (room, bytes)
}

fn sensor() -> Value {
    json!({ "quantity": "count", "resolution": 0.1, "input": "line:gateway/level", "stamp": "source" })
}

fn sealed(version: u64, sensor: &Value) -> Vec<u8> {
    let content = json!({ "sensors": { HUBS: sensor } });
    let (client, device) = (Id::new("acme").expect("an id"), Id::new("pi-7").expect("an id"));
    let issued = WallTime(1_770_000_000_000);
    let draft = Draft { version, client: &client, device: &device, issued, content: &content };
    seal(&draft, &SigningKey::from_seed(&[7; 32]))
}

fn lost(room: &Room) -> Value {
    room.status()["sync"]["unavailable_reason"].clone()
}

/// The agent runs, and says in its log and in `status` why it is not the bundle that is in force.
#[track_caller]
fn goes_on(room: &Room, why: &str) -> Agent {
    let agent = room.start("input");
    let lost = lost(room);
    let said = lost.as_str().unwrap_or_else(|| panic!("{:#}\n{}", room.status(), agent.log()));
    assert!(said.contains(why), "{said}");
    assert!(agent.log().contains(&format!("tilth-agent: {said}\n")), "{}", agent.log());
    let shown = room.ask(&["status"]).out;
    assert!(shown.contains(said), "{shown}");
    agent
}

/// Guards against: an agent that ends with exit code 2, as after a mistyped option, and no longer monitors.
#[test]
fn a_damaged_bundle_is_put_aside_and_config_d_is_in_force() {
    let (room, good) = of_hub("bundle-damaged", FARM);
    let mut board = room.plug_in();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (number, (bytes, why)) in [
        (Vec::new(), "damaged (not a bundle; expected it to begin with"),
        (vec![0; 4096], "damaged (not a bundle; expected it to begin with"),
        (good[..good.len() / 2].to_vec(), "damaged (the bundle is truncated: "),
        (flipped, "damaged (the bundle's signature is wrong); moved to "),
    ]
    .into_iter()
    .enumerate()
    {
        room.write_bytes(BUNDLE, &bytes);
        let _agent = goes_on(&room, why);
        let lost = lost(&room);
        let (_, aside) = lost.as_str().unwrap().split_once("; moved to ").unwrap();
        let (aside, instead) = aside.split_once("; ").unwrap();
        assert!(aside.contains("data/bundle.good.damaged-"), "{aside}");
        assert_eq!((fs::read(room.path(aside)).unwrap(), exists(&room.path(BUNDLE))), (bytes, false));
        assert_eq!(instead, "config.d is running until the hub sends the next bundle");
        room.wait_for_bus("up");
        let number = i32::try_from(number).unwrap();
        board.level(i64::from(number) * 10, 20.0 + f64::from(number));
        room.wait_for_value(LOCAL, 20.0 + f64::from(number));
    }
    let names = fs::read_dir(room.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let aside = names.filter(|name| name.to_string_lossy().starts_with("bundle.good.damaged-")).count();
    assert_eq!(aside, 2, "they do not fill the disk");
}

#[test]
fn a_bundle_that_cannot_be_read_is_put_aside() {
    let (room, _) = of_hub("bundle-unreadable", FARM);
    fs::remove_file(room.path(BUNDLE)).unwrap();
    fs::create_dir(room.path(BUNDLE)).unwrap();
    // What is to be remembered of it cannot be written, as on a full disk.
    fs::create_dir(room.path("data/bundle.state.new")).unwrap();
    for _ in 0..2 {
        let _agent =
            goes_on(&room, "damaged (a folder is there; expected a file); moving it aside failed: Is a directory");
        assert!(exists(&room.path(BUNDLE)));
    }
    fs::remove_dir(room.path("data/bundle.state.new")).unwrap();
    let _agent = goes_on(&room, "damaged (a folder is there; expected a file); moved to ");
}

#[test]
fn without_the_hubs_key_config_d_is_in_force_and_the_bundle_stays() {
    let (room, good) = of_hub("bundle-key", FARM);
    let mut board = room.plug_in();
    let key = fs::read(room.path("hub.pub")).unwrap();
    fs::remove_file(room.path("hub.pub")).unwrap();
    let agent = goes_on(&room, "cannot be used: ./hub.pub: No such file");
    room.wait_for_bus("up");
    board.level(0, 20.0);
    room.wait_for_value(LOCAL, 20.0);
    drop(agent);
    assert_eq!(fs::read(room.path(BUNDLE)).unwrap(), good);

    room.write_bytes("hub.pub", &key);
    let _agent = room.start("input");
    assert_eq!((lost(&room), &room.status()["sync"]["bundle"]["version"]), (Value::Null, &json!(7)));
    room.wait_for_bus("up");
    board.level(10, 21.0);
    room.wait_for_value(HUBS, 21.0);
}

/// What the hub's configuration made void may be old or broken; it was not read for as long as the bundle ruled.
#[test]
fn with_nothing_on_site_that_can_be_in_force_it_waits_for_the_hub() {
    for (name, farm) in [("bundle-alone", ""), ("bundle-broken", "[rules.hot]\nabov = 3\n")] {
        let (room, good) = of_hub(name, farm);
        let mut board = room.plug_in();
        room.write_bytes(BUNDLE, &good[..20]);
        let agent =
            goes_on(&room, "; config.d cannot be used: no sensor is watched until it is corrected or the hub sends");
        assert_eq!(agent.log().contains("abov"), farm.contains("abov"), "{}", agent.log());
        drop(agent);
        let _agent = goes_on(&room, "the last good bundle is missing; config.d cannot be used");
        let before = room.status()["config"]["hash"].clone();
        room.write("config.d/farm.toml", FARM);
        room.wait_for("mended on site", &["status"], |rows| rows[0]["config"]["hash"] != before);
        room.wait_for_bus("up");
        board.level(0, 20.0);
        room.wait_for_value(LOCAL, 20.0);
    }
}

/// Guards against: a damaged file that is read as if no bundle had ever been rejected or in force, and nobody is told.
#[test]
fn a_damaged_state_of_bundles_is_put_aside_and_said() {
    let (room, good) = of_hub("bundle-state", FARM);
    let saved = {
        let _agent = room.start("input");
        room.wait_for_file("data/bundle.state", |kept| kept.contains("\"highest\":7"));
        fs::read_to_string(room.path("data/bundle.state")).expect("the file")
    };
    let flipped = saved.replace("\"highest\":7", "\"highest\":3");
    for bytes in [&b"{\"highest\":9"[..], b"", &[0; 64], b"{}", flipped.as_bytes()] {
        room.write_bytes("data/bundle.state", bytes);
        let agent = room.start("input");
        let status = room.status()["sync"].clone();
        let said = status["state_error"].as_str().unwrap_or_else(|| panic!("{status:#}\n{}", agent.log()));
        let (why, aside) = said.split_once("; moved to ").expect("it is put aside");
        assert!(why.starts_with("bundle.state is damaged ("), "{said}");
        let (aside, effect) = aside.split_once("; ").expect("what follows");
        let kept = "a bundle on probation begins it again, a reverted one and versions below the last good one are still rejected";
        assert_eq!(effect, kept);
        assert_eq!(fs::read(room.path(aside)).expect("the file"), bytes);
        assert!(agent.log().contains(&format!("tilth-agent: {said}\n")), "{}", agent.log());
        assert!(room.ask(&["status"]).out.contains(said));
        assert_eq!((&status["bundle"]["version"], fs::read(room.path(BUNDLE)).unwrap()), (&json!(7), good.clone()));
        room.wait_for_file("data/bundle.state", |kept| kept.contains("\"highest\":7"));
    }
    let _agent = room.start("input");
    assert_eq!(room.status()["sync"]["state_error"], Value::Null);
}

/// Guards against: a disk that loses a few bytes, after which a bundle that silenced every sensor counts as good, or is tried again.
#[test]
fn a_damaged_state_ends_no_probation_and_a_reverted_bundle_stays_rejected() {
    let (room, _) = of_hub("bundle-state-probation", FARM);
    let mut sensor = sensor();
    sensor["interval"] = json!("10s");
    for (name, version) in [("bundle.before", 7), ("bundle.good", 8), ("bundle.reverted", 9)] {
        room.write_bytes(&format!("data/{name}"), &sealed(version, &sensor));
    }
    room.write_bytes("data/bundle.state", b"{}");
    for start in ["with the damaged file", "with what was saved then"] {
        let _agent = room.start("input");
        room.wait_for("a probation", &["status"], |rows| {
            rows[0]["sync"]["probation"].as_array().is_some_and(|pending| pending.contains(&json!(HUBS)))
        });
        let status = room.status()["sync"].clone();
        assert_eq!((&status["bundle"]["version"], &status["rejected"]["version"]), (&json!(8), &json!(9)), "{start}");
        assert!(
            room.ask(&["status"]).out.contains("bundle 9 was reverted: it did not pass its probation"),
            "{status:#}"
        );
    }
}

/// Guards against: a power cut in going back to the bundle before, after which nothing is watched, since a damaged disk lost the state too.
#[test]
fn going_back_to_the_bundle_before_is_ended_where_the_state_is_lost() {
    let (room, good) = of_hub("bundle-state-cut", FARM);
    fs::rename(room.path(BUNDLE), room.path("data/bundle.before")).unwrap();
    room.write_bytes("data/bundle.reverted", &sealed(8, &sensor()));
    room.write_bytes("data/bundle.state", b"{}");
    let _agent = room.start("input");
    let status = room.status()["sync"].clone();
    assert_eq!((&status["bundle"]["version"], &status["rejected"]["version"]), (&json!(7), &json!(8)), "{status:#}");
    assert_eq!(fs::read(room.path(BUNDLE)).unwrap(), good);
}

/// Guards against: a bundle that has passed and is reverted for a copy of it that was never deleted.
#[test]
fn a_copy_of_the_active_bundle_is_no_bundle_before_it() {
    let (room, good) = of_hub("bundle-state-copy", FARM);
    room.write_bytes("data/bundle.before", &good);
    room.write_bytes("data/bundle.state", b"{}");
    let _agent = room.start("input");
    let status = room.status()["sync"].clone();
    assert_eq!((&status["bundle"]["version"], &status["probation"]), (&json!(7), &Value::Null), "{status:#}");
}

#[test]
fn what_somebody_mistyped_in_agent_toml_still_ends_it() {
    let (room, good) = of_hub("bundle-typed", FARM);
    room.write_bytes(BUNDLE, &good[..20]);
    let site = fs::read_to_string(room.path("agent.toml")).unwrap();
    room.write("agent.toml", &site.replace("port =", "prot ="));
    let ran = Ran::of(&mut room.start_command("input"));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("prot"), "{}", ran.err);
}

use std::collections::BTreeSet;
use std::path::PathBuf;

use tilth_core::time::WallTime;
use tilth_sync::transport::TransportErrorKind;

use super::super::facts::{
    Account, AgentFacts, AgentState, Answer, ClockFacts, DiskFacts, FileFact, FileKind, Found, HubFacts, I2cFacts,
    Node, PathNodes, PortFact, PortKind, ServerFact,
};
use super::super::{Level, exit};
use super::*;
use crate::clock::EARLIEST;
use crate::exit::Exit;

const TILTH: u32 = 990;
const DIALOUT: u32 = 20;

fn nodes(path: &str, uid: u32, gid: u32, mode: u32) -> PathNodes {
    let root = (PathBuf::from("/"), Node { uid: 0, gid: 0, mode: 0o755 });
    vec![root, (PathBuf::from(path), Node { uid, gid, mode })]
}

fn file(kind: FileKind, path: &str, nodes: PathNodes) -> FileFact {
    FileFact { kind, path: PathBuf::from(path), found: Found::There(nodes), wrong: None, has_agent: false }
}

fn port(kind: PortKind, path: &str) -> PortFact {
    PortFact {
        kind,
        path: path.to_owned(),
        key: "bus.gateway.port".to_owned(),
        found: Found::There(nodes(path, 0, DIALOUT, 0o660)),
        wrong: None,
        holders: Vec::new(),
        has_agent: true,
        down: None,
        opened: None,
        others: Vec::new(),
    }
}

/// A Pi that watches a farm with a hub.
fn healthy() -> Facts {
    Facts {
        account: Account {
            name: "tilth".to_owned(),
            uid: TILTH,
            gid: TILTH,
            groups: BTreeSet::from([DIALOUT, TILTH]),
            no_such_groups: Vec::new(),
            group_names: [(0, "root"), (DIALOUT, "dialout"), (TILTH, "tilth"), (1000, "i2c")]
                .map(|(gid, name)| (gid, name.to_owned()))
                .into(),
        },
        configuration: Configuration {
            folder: PathBuf::from("/etc/tilth"),
            check: "tilth-agent check".to_owned(),
            ..Configuration::default()
        },
        files: vec![
            file(FileKind::Configuration, "/agent.toml", nodes("/agent.toml", 0, TILTH, 0o640)),
            file(FileKind::Secret, "/secret", nodes("/secret", TILTH, TILTH, 0o600)),
            file(FileKind::DeviceKey, "/device.key", nodes("/device.key", TILTH, TILTH, 0o600)),
        ],
        ports: vec![port(PortKind::Serial, "/dev/ttyUSB0"), port(PortKind::I2c, "/dev/i2c-1")],
        i2c: I2cFacts::default(),
        clock: ClockFacts {
            now: WallTime(EARLIEST.0 + 1),
            is_synchronised: true,
            has_battery: false,
            trusts_battery: false,
            agent: Some("ntp".to_owned()),
        },
        disk: DiskFacts {
            data: PathBuf::from("/var/lib/tilth"),
            nodes: nodes("/var/lib/tilth", TILTH, TILTH, 0o750),
            is_there: true,
            mount: "/".to_owned(),
            free_bytes: 20 << 30,
            least_free_bytes: 256 << 20,
            wanted_bytes: 4 << 30,
            ..DiskFacts::default()
        },
        hub: Some(HubFacts {
            url: "https://hub.example".to_owned(),
            address: "hub.example:443".to_owned(),
            has_key: true,
            answer: Answer::Status(200),
        }),
        servers: Vec::new(),
        agent: AgentFacts {
            socket: "/run/tilth/agent.sock".to_owned(),
            options: String::new(),
            state: AgentState::Runs { process: Some(7), version: "0.1.0".to_owned() },
            has_service: true,
            version: "0.1.0".to_owned(),
        },
    }
}

/// The one line that is not `ok` after a change, without its level.
#[track_caller]
fn after(level: Level, change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = healthy();
    change(&mut facts);
    let findings = judge(&facts);
    let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
    let [finding] = bad[..] else { panic!("expected one finding, found {bad:?}") };
    assert_eq!(finding.level, level, "{finding:?}");
    assert!(finding.fix.is_some(), "{finding:?}");
    finding.line().split_once(' ').expect("words").1.trim_start().to_owned()
}

fn fault(change: impl FnOnce(&mut Facts)) -> String {
    after(Level::Fault, change)
}

fn warning(change: impl FnOnce(&mut Facts)) -> String {
    after(Level::Warning, change)
}

#[test]
fn a_healthy_machine_has_no_fault() {
    let findings = judge(&healthy());
    assert!(findings.iter().all(|finding| finding.level == Level::Ok && finding.fix.is_none()), "{findings:?}");
    assert_eq!(findings.len(), 10, "{findings:?}");
    assert_eq!(exit(&findings), Exit::Done);
    assert_eq!(findings[0].line(), "ok       agent: /run/tilth/agent.sock: running, version 0.1.0, process 7");
}

#[test]
fn the_exit_code_says_whether_the_configuration_is_at_fault() {
    let mut facts = healthy();
    facts.agent.state = AgentState::Stopped;
    assert_eq!(exit(&judge(&facts)), Exit::Failed);
    facts.configuration.errors.push("agent.toml:1:1: error: nonsense".to_owned());
    assert_eq!(exit(&judge(&facts)), Exit::Refused);
    assert!(fault(|facts| facts.files[0].found = Found::Absent).contains("there is no agent.toml"));
    let mut facts = healthy();
    facts.configuration.warnings.push("agent.toml:1:1: warning: strange".to_owned());
    assert_eq!(exit(&judge(&facts)), Exit::Done);
}

#[test]
fn an_agent_that_cannot_be_asked_is_told() {
    let stopped = fault(|facts| facts.agent.state = AgentState::Stopped);
    assert!(stopped.contains("no agent listens there") && stopped.contains("sudo systemctl start tilth-agent"));
    let by_hand = fault(|facts| {
        facts.agent.state = AgentState::Stopped;
        facts.agent.has_service = false;
    });
    assert!(by_hand.contains("tilth-agent run --config /etc/tilth"), "{by_hand}");
    let denied = warning(|facts| facts.agent.state = AgentState::Denied);
    assert!(denied.contains("usermod -aG tilth"), "{denied}");
    // While the service is stopped its folder is gone, and the data folder is closed to others.
    let closed = |facts: &mut Facts| {
        facts.agent.state = AgentState::Denied;
        facts.agent.socket = "/var/lib/tilth/agent.sock".to_owned();
    };
    let stopped = fault(closed);
    assert!(stopped.contains("the farm is not watched; fix: sudo systemctl start tilth-agent"), "{stopped}");
    let by_hand = warning(|facts| {
        closed(facts);
        facts.agent.has_service = false;
    });
    assert!(by_hand.contains("you may not ask the agent"), "{by_hand}");
    let old = AgentState::Runs { process: None, version: "0.0.9".to_owned() };
    assert!(warning(|facts| facts.agent.state = old).contains("restart tilth-agent"));
    let hangs = AgentState::NoAnswer("the agent does not answer".to_owned());
    assert!(fault(|facts| facts.agent.state = hangs).contains("does not answer"));
}

#[test]
fn files_that_the_agent_may_not_read_are_told_with_the_command_that_mends_it() {
    let closed = fault(|facts| facts.files[0].found = Found::There(nodes("/agent.toml", 0, 0, 0o600)));
    assert!(closed.starts_with("permission: /agent.toml: the agent's user tilth may not read it"), "{closed}");
    assert!(closed.ends_with("fix: sudo chgrp tilth /agent.toml && sudo chmod g+r /agent.toml"), "{closed}");
    let of_root = fault(|facts| facts.files[2].found = Found::There(nodes("/device.key", 0, 0, 0o600)));
    assert!(of_root.ends_with("fix: sudo chown tilth: /device.key"), "{of_root}");
    let folder = fault(|facts| {
        let mut nodes = nodes("/secrets/a", TILTH, TILTH, 0o600);
        nodes.insert(1, (PathBuf::from("/secrets"), Node { uid: 0, gid: 0, mode: 0o700 }));
        facts.files[1].found = Found::There(nodes);
    });
    assert!(folder.ends_with("sudo chgrp tilth /secrets && sudo chmod g+x /secrets"), "{folder}");
    let open = fault(|facts| facts.files[2].found = Found::There(nodes("/device.key", TILTH, TILTH, 0o644)));
    assert!(open.contains("(mode 0644)") && open.contains("sudo chmod 600 /device.key"), "{open}");
    let missing = fault(|facts| facts.files[1].found = Found::Absent);
    assert!(missing.contains("missing: a secret") && missing.contains("sudo install -o tilth -m 600"), "{missing}");
    assert!(warning(|facts| facts.files[1].found = Found::Unseen).contains("sudo tilth-agent doctor"));
    let group = fault(|facts| facts.account.no_such_groups.push("i2c".to_owned()));
    assert!(group.contains("there is no group i2c"), "{group}");
}

#[test]
fn a_credential_of_the_service_needs_no_file() {
    let mut facts = healthy();
    facts.files[1] = FileFact { found: Found::Absent, has_agent: true, ..facts.files[1].clone() };
    assert!(judge(&facts).iter().all(|finding| finding.level == Level::Ok));
}

#[test]
fn root_may_read_everything() {
    let mut facts = healthy();
    facts.files[0].found = Found::There(nodes("/agent.toml", 5, 5, 0));
    facts.account.uid = 0;
    assert!(judge(&facts).iter().all(|finding| finding.level == Level::Ok));
}

#[test]
fn ports_are_missing_closed_held_or_broken() {
    let missing = fault(|facts| {
        facts.ports[0] = PortFact {
            found: Found::Absent,
            has_agent: false,
            others: vec!["/dev/serial/by-id/usb-x".to_owned()],
            ..facts.ports[0].clone()
        }
    });
    assert!(missing.starts_with("port: /dev/ttyUSB0 (bus.gateway.port): there is no such device"), "{missing}");
    assert!(missing.ends_with("name one that is there in agent.toml: /dev/serial/by-id/usb-x"), "{missing}");
    let closed = fault(|facts| {
        facts.account.groups.remove(&DIALOUT);
        facts.ports.pop();
    });
    assert!(closed.contains("may not open it (group dialout, mode 0660)"), "{closed}");
    assert!(closed.ends_with("sudo usermod -aG dialout tilth, then restart the agent"), "{closed}");
    let held = |has_agent| {
        move |facts: &mut Facts| {
            let holders = vec![(812, "screen".to_owned())];
            facts.ports[0] = PortFact { holders, has_agent, ..facts.ports[0].clone() };
        }
    };
    assert!(fault(held(false)).contains("has it open: screen, process 812; fix: close it, or: sudo kill 812"));
    assert!(warning(held(true)).contains("beside the agent"));
    let modem = fault(|facts| {
        let holders = vec![(390, ports::MODEM_MANAGER.to_owned())];
        facts.ports[0] = PortFact { holders, has_agent: false, ..facts.ports[0].clone() };
    });
    assert!(modem.contains("fix: sudo systemctl mask --now ModemManager"), "a kill would not last: {modem}");
    let down = fault(|facts| {
        facts.ports[0] = PortFact { has_agent: false, down: Some("it hangs".to_owned()), ..facts.ports[0].clone() }
    });
    assert!(down.contains("it hangs"), "{down}");
    let broken = fault(|facts| {
        facts.ports[0] =
            PortFact { has_agent: false, opened: Some(Err("I/O error".to_owned())), ..facts.ports[0].clone() }
    });
    assert!(broken.contains("I/O error"), "{broken}");
    let file = Some(("it is a file and no serial port".to_owned(), "expected a device file".to_owned()));
    assert!(fault(|facts| facts.ports[0].wrong = file).contains("no serial port; fix: expected a device file"));
}

#[test]
fn i2c_is_turned_on_by_what_the_machine_lacks() {
    let missing = |i2c: I2cFacts| {
        fault(|facts| {
            facts.ports[1] = PortFact { found: Found::Absent, has_agent: false, ..facts.ports[1].clone() };
            facts.i2c = i2c;
        })
    };
    let pi =
        |is_on| I2cFacts { config_txt: Some(("/boot/firmware/config.txt".to_owned(), is_on)), devices: Vec::new() };
    assert!(missing(pi(false)).contains("dtparam=i2c_arm=on in /boot/firmware/config.txt; then sudo reboot"));
    assert!(missing(pi(true)).contains("sudo modprobe i2c-dev"));
    assert!(missing(I2cFacts::default()).contains("sudo modprobe i2c-dev"));
    let other = I2cFacts { devices: vec!["/dev/i2c-20".to_owned()], ..I2cFacts::default() };
    assert!(missing(other).contains("name a bus that is there in agent.toml: /dev/i2c-20"));
}

#[test]
fn a_clock_that_is_not_set_is_a_fault_and_one_that_nobody_keeps_a_warning() {
    let unset = fault(|facts| facts.clock.now = WallTime(0));
    assert!(unset.contains("it is 1970-01-01 here") && unset.contains("timedatectl set-ntp true"), "{unset}");
    let alone =
        |facts: &mut Facts| facts.clock = ClockFacts { is_synchronised: false, agent: None, ..facts.clock.clone() };
    assert!(warning(alone).contains("not synchronised"));
    let battery = warning(|facts| {
        alone(facts);
        facts.clock.trusts_battery = true;
    });
    assert!(battery.contains("there is no /dev/rtc0"), "{battery}");
    let mut facts = healthy();
    alone(&mut facts);
    (facts.clock.trusts_battery, facts.clock.has_battery) = (true, true);
    assert!(judge(&facts).iter().all(|finding| finding.level == Level::Ok));
}

#[test]
fn a_disk_that_takes_no_history_is_a_fault() {
    let read_only = fault(|facts| facts.disk.is_read_only = true);
    assert!(read_only.contains("sudo mount -o remount,rw /"), "{read_only}");
    let full = fault(|facts| facts.disk.free_bytes = 1 << 20);
    assert!(full.contains("full: 1 MiB free, and below 256 MiB"), "{full}");
    assert!(fault(|facts| facts.disk.has_no_inodes = true).contains("inodes"));
    assert!(fault(|facts| facts.disk.errors = 3).contains("the kernel counted 3 errors"));
    let of_root = fault(|facts| facts.disk.nodes = nodes("/var/lib/tilth", 0, 0, 0o755));
    assert!(of_root.contains("sudo chown -R tilth: /var/lib/tilth"), "{of_root}");
    let absent = fault(|facts| {
        facts.disk.nodes = nodes("/var/lib", 0, 0, 0o755);
        facts.disk.is_there = false;
    });
    assert!(absent.contains("sudo install -d -o tilth -m 750 /var/lib/tilth"), "{absent}");
    assert!(fault(|facts| facts.disk.problem = Some("disk I/O error".to_owned())).contains("disk I/O error"));
    assert!(warning(|facts| facts.disk.free_bytes = 1 << 30).contains("1024 MiB free, and the history may take 4096"));
}

#[test]
fn the_first_step_to_the_hub_that_fails_is_told() {
    let hub = |change: fn(&mut HubFacts)| move |facts: &mut Facts| change(facts.hub.as_mut().expect("a hub"));
    let name = fault(hub(|hub| hub.answer = Answer::NotResolved("no such name".to_owned())));
    assert!(name.contains("the name of the hub is not found: no such name"), "{name}");
    let down = fault(hub(|hub| hub.answer = Answer::NotConnected("Connection refused".to_owned())));
    assert!(down.contains("hub.example:443 cannot be reached: Connection refused"), "{down}");
    let untrusted = |why: &str| Answer::Failed(TransportErrorKind::Untrusted, why.to_owned());
    let other = fault(|facts| facts.hub.as_mut().expect("a hub").answer = untrusted("unknown issuer"));
    assert!(other.contains("into the file of hub.ca"), "{other}");
    let early = fault(|facts| facts.hub.as_mut().expect("a hub").answer = untrusted("this device's clock says 1970"));
    assert!(early.contains("set this machine's clock"), "{early}");
    let revoked = fault(hub(|hub| hub.answer = Answer::Status(401)));
    assert!(
        revoked.contains("rejects the device's key (401)") && revoked.contains("tilth-hub device enroll"),
        "{revoked}"
    );
    let unread = warning(hub(|hub| (hub.has_key, hub.answer) = (false, Answer::Status(401))));
    assert!(unread.contains("the key was not tried"), "{unread}");
    assert!(fault(hub(|hub| hub.answer = Answer::Status(404))).contains("it answers 404"));
    for hub in [None, healthy().hub.map(|hub| HubFacts { answer: Answer::NoBundle, ..hub })] {
        assert!(judge(&Facts { hub, ..healthy() }).iter().all(|finding| finding.level == Level::Ok));
    }
}

#[test]
fn a_hub_is_none_only_where_that_is_known() {
    let says_none = |change: fn(&mut Facts)| {
        let mut facts = Facts { hub: None, ..healthy() };
        change(&mut facts);
        judge(&facts).iter().any(|finding| finding.line().contains("hub: /etc/tilth: none configured"))
    };
    assert!(says_none(|_| {}));
    assert!(!says_none(|facts| facts.files[0].found = Found::Unseen));
    assert!(!says_none(|facts| facts.configuration.errors.push("agent.toml:1:1: error: nonsense".to_owned())));
}

#[test]
fn a_channel_without_a_way_to_its_server_is_a_fault() {
    let server = |reached: Result<(), String>| {
        let channel = tilth_core::id::Id::new("phone").expect("an id");
        move |facts: &mut Facts| {
            facts.servers = vec![ServerFact { channel, address: "ntfy.sh:443".to_owned(), reached }];
        }
    };
    let away = fault(server(Err("Network is unreachable".to_owned())));
    assert!(away.starts_with("network: ntfy.sh:443: notifications.phone tells nobody"), "{away}");
    assert!(away.contains("Network is unreachable; fix: ip route") && away.ends_with("notify-test phone"), "{away}");
    let mut facts = healthy();
    server(Ok(()))(&mut facts);
    assert!(judge(&facts).iter().all(|finding| finding.level == Level::Ok));
}

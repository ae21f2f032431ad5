//! `tilth-agent enroll` and `tilth-hub device enroll`: the real programs, over the hub's own TLS.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;
use tilth_tests::agent::{Folder, Run, program};
use tilth_tests::card::Card;
use tilth_tests::live::certificates::{Authority, authority, certificate, serve};
use tilth_tests::live::hub::{CLIENT, DEVICE, Hub};
use tilth_tests::live::proxy::{Line, Proxy};
use tilth_tests::live::room::{Room, windows};

/// A hub with a certificate of the farm's own CA, whose file is `ca.pem`.
struct Enrolling {
    folder: Folder,
    ca: Authority,
    hub: Hub,
}

impl Enrolling {
    fn new(name: &str) -> Enrolling {
        let (folder, ca) = (Folder::new(name), authority("farm"));
        folder.write("ca.pem", ca.pem());
        certificate(&folder, &ca, "localhost", (2020, 2090));
        let mut hub = Hub::new(&folder.path().join("hub"));
        serve(&mut hub, &folder);
        Enrolling { folder, ca, hub }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.hub.port)
    }

    fn code(&self, device: &str) -> String {
        let ca = self.folder.path().join("ca.pem").display().to_string();
        let made = self.hub.json(&["device", "enroll", "--client", CLIENT, "--device", device, "--ca", &ca]);
        made["code"].as_str().unwrap().to_owned()
    }

    /// A folder for the configuration of another device.
    fn etc(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sql(&self, statement: &str) {
        let database = Connection::open(self.hub.folder.join("hub.db")).unwrap();
        assert_eq!(database.execute(statement, []).unwrap(), 1, "{statement}");
    }
}

/// The command, with the code on standard input.
fn enroll(etc: &Path, url: &str, code: &str) -> Run {
    Run::of(begun(etc, url, code).wait_with_output().unwrap())
}

fn begun(etc: &Path, url: &str, code: &str) -> Child {
    begun_in(etc, url, code, &[], &[])
}

fn begun_in(etc: &Path, url: &str, code: &str, more: &[&str], environment: &[(&str, &Path)]) -> Child {
    let mut call = Command::new(program());
    call.envs(environment.iter().copied()).args(["enroll"]).args(more);
    call.args(["--hub", url, "--code", "-", "--config"]).arg(etc);
    let mut child = call.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{code}\n").as_bytes()).unwrap();
    child
}

fn files(etc: &Path) -> Vec<String> {
    let names = fs::read_dir(etc).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Refused with these words, and nothing was left of the attempt but what a second one needs.
#[track_caller]
fn refused(run: &Run, code: i32, expected: &str) {
    assert_eq!(run.code, Some(code), "{}{}", run.out, run.err);
    assert!(run.err.contains(expected), "expected {expected:?}, found {}", run.err);
    assert!(!run.err.contains("dev_ak_"), "{}", run.err);
}

#[test]
fn a_device_is_enrolled_and_its_rows_arrive() {
    let mut enrolling = Enrolling::new("enroll");
    let mut room = Room::of_hub("enroll-farm", &enrolling.hub);
    let etc = room.farm.folder.path().join("etc");
    for file in ["device.key", "hub.pub"] {
        fs::remove_file(etc.join(file)).unwrap();
    }
    let line = room.farm.folder.path().join("usb-board").display().to_string();
    let before = format!(
        "# by the door\n[device]  # this Pi\nid = 'pi-old' # will be renamed\n\n[bus.gateway] # the board\nkind = 'line'\nport = '{line}'\n"
    );
    room.farm.folder.write("etc/agent.toml", &before);
    let code = enrolling.code(DEVICE);
    let run = enroll(&etc, &enrolling.url(), &code.to_lowercase().replace('-', " "));
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(
        run.out.starts_with(&format!("enrolled as {CLIENT}/{DEVICE} at {}\nwrote ", enrolling.url())),
        "{}",
        run.out
    );
    assert!(run.out.contains(&format!("this device was pi-old; from now on its name is {DEVICE}")), "{}", run.out);
    let expected =
        before.replace("'pi-old'", &format!("\"{DEVICE}\"")).replace("# this Pi\n", "# this Pi\nclient = \"acme\"\n")
            + &format!(
                "\n[hub]\nurl = \"{}\"\nca = \"hub-ca.pem\"\nsigning_key = \"hub.pub\"\nkey_file = \"device.key\"\n",
                enrolling.url()
            );
    assert_eq!(fs::read_to_string(etc.join("agent.toml")).unwrap(), expected);
    assert_eq!(files(&etc), ["agent.toml", "config.d", "device.key", "hub-ca.pem", "hub.pub"]);
    let mode = |file: &str| fs::metadata(etc.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("device.key"), mode("hub.pub"), mode("hub-ca.pem")), (0o600, 0o644, 0o644));
    let pinned = fs::read(etc.join("hub.pub")).unwrap();
    assert_eq!(pinned, fs::read(enrolling.hub.folder.join("hub.pub")).unwrap());

    room.farm.start();
    room.minutes(3, 21.0);
    let closed = room.closed_minutes() as u64;
    room.farm.until("the rows are at the hub", |farm| {
        let sync = farm.status().unwrap_or_default()["sync"].clone();
        sync["confirmed"]["windows"].as_u64() >= Some(closed) && sync["why"].is_null()
    });
    enrolling.hub.stop();
    enrolling.hub.serve();
    assert_eq!(windows(&enrolling.hub).len() as u64, closed);
    let keys = enrolling.hub.json(&["device", "list"])["keys"].clone();
    assert!(
        !keys[0]["revoked"].is_null() && !keys[1]["last_used"].is_null(),
        "the first use ends the key before: {keys}"
    );
}

#[test]
fn a_code_that_is_no_good_says_why() {
    let mut enrolling = Enrolling::new("enroll-codes");
    let (url, first) = (enrolling.url(), enrolling.etc("first"));
    let code = enrolling.code("pi-7");
    assert_eq!(enroll(&first, &url, &code).code, Some(0));
    assert_eq!(files(&first), ["agent.toml", "device.key", "hub-ca.pem", "hub.pub"]);

    let again = enroll(&enrolling.etc("second"), &url, &code);
    refused(&again, 1, "another agent used this enrolment code at 20");
    assert!(again.err.contains("tilth-hub device revoke"), "{}", again.err);
    assert_eq!(files(&enrolling.etc("second")), [""; 0]);

    let expired = enrolling.code("pi-8");
    enrolling.sql("UPDATE enrolment_codes SET expires = created + 1 WHERE used IS NULL");
    refused(&enroll(&enrolling.etc("third"), &url, &expired), 1, "this enrolment code expired at 20");
    let card = Card::new("enroll-card");
    card.put("../../data/enrol/hub", &url);
    card.put("../../data/enrol/code", &expired);
    assert!(card.run("enrol"), "such a code is not tried again");
    let result = card.text("boot/firmware/tilth-result.txt");
    for expected in [
        "not enrolled: this enrolment code expired at 20",
        "Write hub and the new code into tilth.txt on this partition",
    ] {
        assert!(result.contains(expected) && card.text("dev/console").contains(expected), "{result}");
    }
    assert!(!card.at("data/enrol/code").exists());
    let revoked = enrolling.code("pi-9");
    enrolling.hub.call(&["device", "revoke", "pi-9", "--client", CLIENT, "--codes"]);
    refused(
        &enroll(&enrolling.etc("fourth"), &url, &revoked),
        1,
        "is revoked. A new one, on the hub: tilth-hub device enroll",
    );

    // Nothing listens any more: what is mistyped, or not for another machine in the clear, is not sent.
    let other = Enrolling::new("enroll-other").code("pi-7");
    refused(&enroll(&enrolling.etc("fifth"), &url, &other), 1, "does not know this code");
    enrolling.hub.stop();
    let mut swapped = code.clone().into_bytes();
    let at = (0..4).find(|at| swapped[*at] != swapped[at + 1]).unwrap();
    swapped.swap(at, if at == 3 { 5 } else { at + 1 });
    let swapped = String::from_utf8(swapped).unwrap();
    refused(
        &enroll(&enrolling.etc("sixth"), &url, &swapped),
        2,
        "one of its letters or digits is wrong, or two are swapped; nothing was sent",
    );
    refused(
        &enroll(&enrolling.etc("sixth"), &url, &code[1..]),
        2,
        "it has 39 letters and digits; expected 24 or 40; nothing was sent",
    );
    let run = enroll(&enrolling.etc("sixth"), "http://hub.example", &code);
    refused(&run, 2, "expected https");
    assert!(!run.err.contains("list of processes") && !run.err.contains("--code -"), "{}", run.err);
    let mut call = Command::new(program());
    call.args(["enroll", "--hub", "http://hub.example", "--code", &code, "--config"]).arg(enrolling.etc("sixth"));
    let run = Run::of(call.output().unwrap());
    refused(&run, 2, "expected https");
    assert!(run.err.contains("the log of sudo") && run.err.contains("--code - asks for it instead"), "{}", run.err);
    assert!(!run.err.contains(&code), "{}", run.err);
    refused(&enroll(&enrolling.etc("sixth"), &url, &code), 1, "cannot be reached");
    enrolling.folder.write("odd/agent.toml", "hub = { url = 'x' }\n");
    refused(
        &enroll(&enrolling.etc("odd"), &url, &code),
        2,
        "agent.toml: expected a table [hub] on a line of its own, or none; nothing was sent",
    );
}

/// The hub has committed, and its answer does not arrive.
#[test]
fn a_lost_answer_is_asked_for_again_by_the_same_agent_alone() {
    let mut enrolling = Enrolling::new("enroll-lost");
    let code = enrolling.code("pi-7");
    enrolling.hub.stop();
    enrolling.hub.serve();
    let proxy = Proxy::to(enrolling.hub.port);
    let (url, etc) = (format!("http://127.0.0.1:{}", proxy.port), enrolling.etc("first"));
    let id = code.replace('-', "")[..7].to_owned();
    // The power failed while the first try drew its key.
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join(format!("device.key.{id}")), "").unwrap();
    proxy.set(Line::Swallows);
    let lost = enroll(&etc, &url, &code);
    refused(&lost, 1, "the hub may have taken the code. Run the same command again");
    assert_eq!(files(&etc), [format!("device.key.{id}")]);
    assert_eq!(fs::metadata(etc.join(format!("device.key.{id}"))).unwrap().permissions().mode() & 0o777, 0o600);
    // The address of another hub, by mistake: the key that the right one has is kept.
    let mut other = Hub::new(&enrolling.etc("other-hub"));
    other.serve();
    let elsewhere = format!("http://127.0.0.1:{}", other.port);
    refused(&enroll(&etc, &elsewhere, &code), 1, "does not know this code");
    proxy.set(Line::Passes);
    refused(&enroll(&enrolling.etc("second"), &url, &code), 1, "another agent used this enrolment code");
    let again = enroll(&etc, &url, &code);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(files(&etc), ["agent.toml", "device.key", "hub.pub"]);
    let key = fs::read_to_string(etc.join("device.key")).unwrap();
    let listed = enrolling.hub.call(&["device", "list", "--json"]);
    assert!(listed.contains(&key[7..19]), "{listed}");
}

/// Guards against: a key in place that is not the one that the hub has.
#[test]
fn of_two_enrolments_at_once_one_goes_on() {
    let mut enrolling = Enrolling::new("enroll-twice");
    let code = enrolling.code("pi-7");
    enrolling.hub.stop();
    enrolling.hub.serve();
    let proxy = Proxy::to(enrolling.hub.port);
    let (url, etc) = (format!("http://127.0.0.1:{}", proxy.port), enrolling.etc("first"));
    proxy.set(Line::Hangs);
    let begin = Instant::now();
    let first = begun(&etc, &url, &code);
    while proxy.requests("/api/v1/enrolment", begin).is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    refused(&enroll(&etc, &url, &code), 1, "another tilth-agent enroll runs");
    proxy.set(Line::Passes);
    assert_eq!(Run::of(first.wait_with_output().unwrap()).code, Some(1), "its line was cut");
    let again = enroll(&etc, &url, &code);
    assert_eq!(again.code, Some(0), "{}", again.err);
}

/// A farm with three minutes of history, of which its hub lacks the last.
fn lived(name: &str, hub: &mut Hub) -> Room {
    let mut room = Room::of_hub(name, hub);
    room.farm.start();
    room.minutes(2, 21.0);
    room.until("the hub has a minute", || windows(hub).len() == 1);
    hub.stop();
    assert_eq!(room.farm.ask(&["note", "canister filled", "--by", "anna"]).code, Some(0));
    room.minutes(1, 21.0);
    room.farm.until("the next one is stored", |farm| {
        farm.status().is_some_and(|status| status["sync"]["waiting"]["windows"].as_u64() > Some(0))
    });
    room
}

fn enroll_room(room: &Room, url: &str, code: &str, more: &[&str]) -> Run {
    let data = room.farm.data().display().to_string();
    let etc = room.farm.folder.path().join("etc");
    Run::of(begun_in(&etc, url, code, &[&["--data", &data], more].concat(), &[]).wait_with_output().unwrap())
}

/// Guards against: alerts, notes and windows of one customer that the Pi sends to the next.
#[test]
fn what_was_recorded_for_one_client_stays_from_another() {
    let folder = Folder::new("enroll-client-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut room = lived("enroll-client", &mut hub);
    let beta = hub.json(&["tenant", "add", "beta"])["read_key"].as_str().unwrap().to_owned();
    let code = hub.json(&["device", "enroll", "--client", "beta", "--device", DEVICE])["code"].clone();
    hub.serve();
    room.farm.stop();
    // As a version without the file left it.
    fs::remove_file(room.farm.data().join("history.owner")).unwrap();
    let (url, code) = (format!("http://127.0.0.1:{}", hub.port), code.as_str().unwrap());
    let etc = room.farm.folder.path().join("etc");
    let before = fs::read_to_string(etc.join("agent.toml")).unwrap();
    let run = enroll_room(&room, &url, code, &[]);
    refused(&run, 1, &format!("is of {CLIENT} at {url}, and this code is for beta at {url}; nothing was changed"));
    assert!(run.err.contains("--history withhold") && run.err.contains("--history send"), "{}", run.err);
    assert_eq!(fs::read_to_string(etc.join("agent.toml")).unwrap(), before);

    let run = enroll_room(&room, &url, code, &["--history", "withhold"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.out.contains(&format!("recorded for {CLIENT} at {url} stays on this device")), "{}", run.out);
    hub.read_key = beta;
    room.farm.start();
    room.farm.until("it is withheld", |farm| farm.log().contains("what was recorded before stays on this device"));
    room.minutes(3, 22.0);
    room.until("beta has what follows", || !windows(&hub).is_empty());
    room.farm.until("all is accounted for", |farm| {
        farm.status().is_some_and(|status| status["sync"]["waiting"]["windows"] == 0)
    });
    let has = windows(&hub);
    // The minute that ran when the agent was stopped ends after it, and belongs to both.
    assert!(has.keys().all(|start| start.as_str() >= "2026-03-01T00:02"), "{has:?}");
    let events = Value::from(hub.list("/api/events", "events")).to_string();
    assert!(!events.contains("canister") && !events.contains(CLIENT), "{events}");
    let withheld = hub.json(&["device", "list", "--client", "beta"])["withheld"].as_u64();
    assert!(withheld > Some(3), "the hub shows that rows stay on the device: {withheld:?}");
    let kept = room.farm.ask(&["notes", "--json"]).out;
    assert!(kept.contains("canister"), "the history stays on the device: {kept}");
}

/// The same where a hand changes agent.toml; and a person may say that the history goes along.
#[test]
fn what_was_recorded_for_one_hub_goes_to_another_when_a_person_says_so() {
    let folder = Folder::new("enroll-hub-hub");
    let (mut hub, mut other) = (Hub::new(&folder.path().join("hub")), Hub::new(&folder.path().join("other")));
    hub.serve();
    other.serve();
    let mut room = lived("enroll-hub", &mut hub);
    room.farm.stop();
    let owner = room.farm.data().join("history.owner");
    let url = format!("http://127.0.0.1:{}", other.port);
    let mine = room.farm.hub_table(&format!("http://127.0.0.1:{}", hub.port));
    room.farm.write_site(&room.farm.hub_table(&url));
    room.farm.trust(&other.folder.join("hub.pub"));
    room.farm.give_key(&other.device_key);
    let why = format!("is of {CLIENT} at http://127.0.0.1:{}, and agent.toml names {CLIENT} at {url}", hub.port);
    for _ in 0..2 {
        room.farm.start();
        room.farm.until("status says why nothing is sent", |farm| farm.shown().contains(&why));
        room.minutes(1, 21.0);
        assert!(other.json(&["device", "list"])["last_heard"].is_null());
        room.farm.stop();
    }

    room.farm.write_site(&mine);
    fs::write(owner, "{}").unwrap();
    let code = other.json(&["device", "enroll", "--client", CLIENT, "--device", DEVICE])["code"].clone();
    refused(&enroll_room(&room, &url, code.as_str().unwrap(), &[]), 1, "history.owner is damaged: ");
    let (etc, data) = (room.farm.folder.path().join("etc"), room.farm.data());
    let doctor =
        Command::new(program()).args(["doctor", "--config"]).arg(etc).arg("--data").arg(data).output().unwrap();
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        found.contains("history.owner: is damaged: missing field") && found.contains("; fix: if this device has"),
        "{found}"
    );
    let run = enroll_room(&room, &url, code.as_str().unwrap(), &["--history", "send"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    room.farm.start();
    room.minutes(1, 21.0);
    room.until("the other hub has all of it", || windows(&other).len() >= 4);
}

/// Guards against: certificates of the whole machine that one CA replaces, and a renewal that is undone on this device.
#[test]
fn certificates_that_are_not_the_hubs_alone_stay_as_they_are() {
    let enrolling = Enrolling::new("enroll-bundle");
    let two = enrolling.ca.pem() + &authority("farm").pem();
    for (name, ca, written) in [
        ("outside", enrolling.folder.path().join("machine.pem"), "hub-ca.pem"),
        ("renewal", enrolling.etc("renewal").join("hub-ca.pem"), "hub-ca-2.pem"),
    ] {
        let etc = enrolling.etc(name);
        fs::create_dir(&etc).unwrap();
        fs::write(&ca, &two).unwrap();
        fs::write(etc.join("agent.toml"), format!("[hub]\nca = '{}'\n", ca.display())).unwrap();
        let run = enroll(&etc, &enrolling.url(), &enrolling.code("pi-7"));
        assert_eq!(run.code, Some(0), "{name}: {}{}", run.out, run.err);
        let said =
            format!("ca was {}, which stays as it is; from now on agent.toml names the file above", ca.display());
        assert!(run.out.contains(&said), "{name}: {}", run.out);
        assert_eq!(fs::read_to_string(&ca).unwrap(), two, "{name}");
        assert_eq!(fs::read_to_string(etc.join(written)).unwrap().trim(), enrolling.ca.pem().trim(), "{name}");
        let agent_toml = fs::read_to_string(etc.join("agent.toml")).unwrap();
        assert!(agent_toml.contains(&format!("ca = \"{written}\"")), "{name}: {agent_toml}");
    }
}

/// The farm goes over to a certificate that the machine trusts: a code without a CA needs neither the old one nor a hand in `agent.toml`.
#[test]
fn a_code_without_a_ca_takes_the_hub_by_the_machines() {
    let mut enrolling = Enrolling::new("enroll-over");
    let etc = enrolling.etc("first");
    assert_eq!(enroll(&etc, &enrolling.url(), &enrolling.code("pi-7")).code, Some(0));
    let without_ca = |enrolling: &Enrolling| {
        let made = enrolling.hub.json(&["device", "enroll", "--client", CLIENT, "--device", "pi-7"]);
        made["code"].as_str().unwrap().to_owned()
    };
    let named = |etc: &Path| fs::read_to_string(etc.join("agent.toml")).unwrap().contains("ca = \"hub-ca.pem\"");
    // The certificate is of the farm's own CA still.
    let run = enroll(&etc, &enrolling.url(), &without_ca(&enrolling));
    assert!(run.code == Some(0) && named(&etc), "{}{}", run.out, run.err);

    let public = authority("public");
    certificate(&enrolling.folder, &public, "localhost", (2020, 2090));
    let trusted = enrolling.folder.write("machine.pem", public.pem());
    enrolling.hub.stop();
    serve(&mut enrolling.hub, &enrolling.folder);
    let (url, code) = (enrolling.url(), without_ca(&enrolling));
    refused(&enroll(&etc, &url, &code), 1, "the code was not sent");
    let run = Run::of(begun_in(&etc, &url, &code, &[], &[("SSL_CERT_FILE", &trusted)]).wait_with_output().unwrap());
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.out.contains("from now on agent.toml names none, for this machine trusts"), "{}", run.out);
    assert!(!named(&etc) && etc.join("hub-ca.pem").exists());
}

/// A proxy in between has the hub's answers but not the key of its certificate, or a CA of its own.
#[test]
fn somebody_in_between_is_not_shown_the_code() {
    let mut enrolling = Enrolling::new("enroll-between");
    let code = enrolling.code("pi-7");
    let (between, etc) = (Folder::new("enroll-between-tls"), enrolling.etc("first"));
    certificate(&between, &authority("farm"), "localhost", (2020, 2090));
    enrolling.hub.stop();
    serve(&mut enrolling.hub, &between);
    refused(
        &enroll(&etc, &enrolling.url(), &code),
        1,
        "the code was not sent. This certificate is not from the CA that the code names",
    );
    enrolling.sql(&format!("UPDATE enrolment_codes SET ca = '{}'", authority("farm").pem()));
    refused(&enroll(&etc, &enrolling.url(), &code), 1, "shows another CA certificate than the one that the code names");
    // Two certificates, the right one first: the second would be trusted as well.
    let two = enrolling.ca.pem() + &authority("farm").pem();
    enrolling.sql(&format!("UPDATE enrolment_codes SET ca = '{two}'"));
    refused(&enroll(&etc, &enrolling.url(), &code), 1, "shows another CA certificate than the one that the code names");
    let listed = enrolling.hub.call(&["device", "list", "--json"]);
    assert!(listed.contains("\"used\":null") && !listed.contains("\"used\":\""), "{listed}");
    assert_eq!(files(&etc).len(), 1, "the key that was drawn, for the next try: {:?}", files(&etc));
}

/// A Pi without a battery wakes up in another year.
#[test]
fn a_wrong_clock_is_told_with_its_fix() {
    let mut enrolling = Enrolling::new("enroll-clock");
    let code = enrolling.code("pi-7");
    certificate(&enrolling.folder, &enrolling.ca, "localhost", (2089, 2090));
    enrolling.hub.stop();
    serve(&mut enrolling.hub, &enrolling.folder);
    let run = enroll(&enrolling.etc("first"), &enrolling.url(), &code);
    refused(&run, 1, "it begins at 2089-01-01T00:00:00Z, and this device's clock says 20");
    assert!(
        run.err.contains("If this device's clock is wrong, set it and try again: sudo date -s 'YYYY-MM-DD HH:MM'"),
        "{}",
        run.err
    );
}

/// A code without a CA is for a certificate that machines trust anyway, which this one is not.
#[test]
fn a_code_without_a_ca_trusts_no_ca_of_its_own() {
    let enrolling = Enrolling::new("enroll-public");
    let made = enrolling.hub.json(&["device", "enroll", "--client", CLIENT, "--device", "pi-7"]);
    let code = made["code"].as_str().unwrap();
    refused(
        &enroll(&enrolling.etc("first"), &enrolling.url(), code),
        1,
        "tilth-hub device enroll --ca FILE makes a code that names it",
    );
}

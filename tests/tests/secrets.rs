//! A secret that somebody wrote where it does not belong stays in that file: for no request does the agent or the hub say it, keep it or pass it on.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tilth_config::bundle::{Draft, SigningKey, seal};
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_tests::agent::{Folder, hub as hub_program, program};
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::{CLIENT, DEVICE, Hub};
use tilth_tests::live::proxy::Proxy;
use tilth_tests::live::room::{Room, config};

/// What is looked for afterwards.
const MARKER: &str = "hunterQuokka";

/// Wrong files of `config.d`, with `@@` where the secret stands.
const FORMS: &[&str] = &[
    "[notifications.phone]\ntoken=@@",
    "[notifications.phone]\ntoken = \"@@",
    "[notifications.phone]\ntoken = '@@'",
    "[notifications.phone]\ntoken: @@",
    "[notifications.phone]\ntoken = \"\"\"\n@@\n\"\"\"",
    "[notifications.phone]\npassword = @@",
    "[notifications.phone]\npasword = '@@'",
    "[notifications.phone]\nheaders = { Authorization = \"Bearer @@\" }",
    "[notifications.phone]\nheaders = [\"Authorization: Bearer @@]",
    "[notifications.phone]\nurl = 'https://ntfy:@@@ntfy.example'",
    "[notifications.phone]\nurl = https://ntfy:@@@ntfy.example",
    "[notifications.phone]\nurl = 'hooks.example/services/@@'",
    "[notifications.phone]\nurl = https://hooks.example/api/webhook/@@",
    "[notifications.office]\nkind = 'webhook'\nurl = 'https://hooks.example/services/T0/@@'\nsecret = 'secret:office'",
    "[notifications.phone]\nkind = 'ntfy'\nurl = 'https://ntfy.example'\ntopic = '@@'",
    "[notifications.phone]\ntoken = 'secret:@@ and more'",
    "[notifications]\ntoken = '@@'",
    "token = '@@'",
    "[notifications.phone]\nkind = 'telegram'\napi_key = '@@' # or @@",
    "[zones.room.notifications.phone]\ntoken = { value = '@@' }",
];

/// Wrong tables of `agent.toml`.
const SITES: &[&str] = &[
    "[hub]\nurl = 'https://pi:@@@hub.example'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'",
    "[hub]\nkey = '@@'",
    "[hub]\nkey_file = 'dev_ak_0123456789ab_@@'\nurl = 'https://hub.example'\nsigning_key = 'hub.pub'",
    "[bus.broker]\nkind = 'mqtt'\nurl = 'mqtt://tilth:@@@broker'",
    "[bus.broker]\nkind = 'mqtt'\npassword = @@",
];

#[track_caller]
fn keeps(said: &[u8], of: &str) {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().find(|line| line.contains(MARKER));
    assert!(line.is_none(), "{of}: {:?}", line.map(|line| &line[..line.len().min(2000)]));
}

/// Runs a command to its end: it may fail, and must not say the secret.
#[track_caller]
fn run(program: &Path, arguments: &[&str]) -> Option<i32> {
    let output = Command::new(program).args(arguments).output().unwrap();
    keeps(&output.stdout, &format!("standard output of {arguments:?}"));
    keeps(&output.stderr, &format!("standard error of {arguments:?}"));
    output.status.code()
}

/// All that can be asked about a folder beside its agent, and of the agent.
#[track_caller]
fn ask_all(farm: &Farm) {
    let folder = farm.folder.path().join("etc");
    let (folder, data, socket) = (folder.to_str().unwrap(), farm.data(), farm.socket());
    let (data, socket) = (data.to_str().unwrap(), socket.to_str().unwrap());
    let agent = program();
    for json in [&[][..], &["--json"]] {
        let with = |arguments: &[&'static str], options: &[&str]| {
            let arguments: Vec<&str> = arguments.iter().copied().chain(options.iter().copied()).collect();
            run(agent, &[&arguments[..], json].concat())
        };
        assert_eq!(with(&["check"], &["--config", folder, "--data", data]), Some(2));
        for path in ["notifications", "notifications.phone", "zones.room", "token", "rules.hot"] {
            run(agent, &[&["explain", path, "--config", folder, "--data", data][..], json].concat());
        }
        with(&["status"], &["--socket", socket]);
    }
    let recording = farm.folder.write("none.csv", "time,room/temp\n");
    run(agent, &["replay", "--config", folder, "--input", recording.to_str().unwrap()]);
}

/// The files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn refused(farm: &Farm) -> String {
    farm.status().map(|status| status["config"]["rejected"].to_string()).unwrap_or_default()
}

#[test]
fn a_secret_in_the_wrong_place_is_neither_said_nor_kept() {
    let folder = Folder::new("secrets-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let proxy = Proxy::to(hub.port);
    let mut room = Room::of_hub("secrets", &hub);
    let site = room.farm.hub_table(&format!("http://127.0.0.1:{}", proxy.port));
    room.farm.write_site(&site);
    room.farm.options = vec!["--record".to_owned(), room.farm.folder.path().join("recording").display().to_string()];
    room.farm.start();
    room.minutes(1, 21.0);
    let farm = &mut room.farm;
    let mut count = 0;
    for (number, form) in FORMS.iter().enumerate() {
        let path = farm.folder.write("etc/config.d/people.toml", form.replace("@@", MARKER));
        // A mistake that tells one refusal from the next.
        farm.folder.write("etc/config.d/number.toml", format!("[rules.r-{number}]\nabov = 1\n"));
        count += 1;
        farm.until(&format!("{form:?} is refused"), |farm| refused(farm).contains(&format!("r-{number}.abov")));
        ask_all(farm);
        for from in [&path, &farm.folder.path().join("etc")] {
            let put = ["config", "put", from.to_str().unwrap(), "--client", CLIENT, "--device", DEVICE, "--data"];
            let code = run(hub_program(), &[&put[..], &[hub.folder.to_str().unwrap()]].concat());
            assert_eq!(code, Some(2), "{form}");
        }
    }
    for file in ["people", "number"] {
        fs::remove_file(farm.folder.path().join(format!("etc/config.d/{file}.toml"))).unwrap();
    }
    farm.until("mended", |farm| refused(farm) == "null");
    for form in SITES {
        farm.write_site(&form.replace("@@", MARKER));
        farm.until(&format!("{form:?} is refused"), |farm| refused(farm) != "null");
        ask_all(farm);
        farm.write_site(&site);
        farm.until("mended", |farm| refused(farm) == "null");
        count += 1;
    }

    // What the hub signed, and should not have.
    let key = SigningKey::parse(&fs::read_to_string(hub.folder.join("hub.key")).unwrap()).unwrap();
    let channel =
        json!({"kind": "ntfy", "url": format!("https://n:{MARKER}@x"), "topic": "t", "token": MARKER, "pwd": MARKER});
    let mut content = json!({"notifications": {"phone": channel}, "secrets": {"ntfy": MARKER}});
    content["notifications"]["token"] = json!(MARKER);
    let (client, device) = (Id::new(CLIENT).unwrap(), Id::new(DEVICE).unwrap());
    let draft =
        Draft { version: 7, client: &client, device: &device, issued: WallTime(1_772_323_200_000), content: &content };
    proxy.replace_bundle(Some(seal(&draft, &key)));
    let said = || hub.said_of_bundle();
    farm.until("the hub knows why its bundle was refused", |_| said()["outcome"] == "refused");
    keeps(said().to_string().as_bytes(), "the reason at the hub");
    keeps(hub.call(&["device", "list"]).as_bytes(), "device list");
    let shown = farm.shown();
    keeps(shown.as_bytes(), "status");
    let is_refused = |event: &&Value| event["body"]["state"] == "refused";
    farm.until("the hub has each refusal", |_| {
        hub.list("/api/events", "events").iter().filter(is_refused).count() >= count
    });
    keeps(hub.get("/api/events?limit=5000").to_string().as_bytes(), "events at the hub");
    farm.stop();

    // Copies of the files and of what the hub signed are their owner's alone; nothing else has any of it.
    let kept = |path: &Path| ["config.good", "bundle."].iter().any(|name| path.display().to_string().contains(name));
    for path in files(&farm.data()) {
        if kept(&path) {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        } else {
            keeps(&fs::read(&path).unwrap(), &path.display().to_string());
        }
    }
    for path in files(&hub.folder).into_iter().chain([farm.folder.path().join("recording")]) {
        keeps(&fs::read(&path).unwrap(), &path.display().to_string());
    }
    keeps(farm.log().as_bytes(), "the log");
}

/// Channels of a good configuration, whose receivers are not there: what may be known of them is their server.
#[test]
fn what_leads_to_a_receiver_is_not_said_of_a_channel_that_works() {
    let office = format!("http://127.0.0.1:9/api/webhooks/42/{MARKER}");
    let channels = format!(
        "[notifications.office]\nkind = 'webhook'\nurl = '{office}'\nsecret = 'secret:office'\n\
         [notifications.phone]\nkind = 'ntfy'\nurl = 'http://127.0.0.1:9'\ntopic = '{MARKER}'\n"
    );
    let mut farm = Farm::alone("secrets-channels", &format!("{}\n{channels}", config(30)));
    let secret = farm.folder.write("etc/secrets/office", "its word");
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
    farm.start();
    farm.say("time=1772323200000 temp=21\n");
    farm.until("the channels are there", |farm| farm.shown().contains("office (http://127.0.0.1:9"));
    let (folder, socket) = (farm.folder.path().join("etc"), farm.socket());
    let (folder, socket) = (folder.to_str().unwrap(), socket.to_str().unwrap());
    for json in [&[][..], &["--json"]] {
        let ask = |arguments: &[&str]| run(program(), &[arguments, json].concat());
        assert_eq!(ask(&["check", "--config", folder]), Some(0));
        for path in ["notifications", "notifications.office.url", "notifications.phone.topic"] {
            assert_eq!(ask(&["explain", path, "--config", folder]), Some(0), "{path}");
        }
        assert_eq!(ask(&["status", "--socket", socket]), Some(0));
    }
    farm.stop();
    keeps(farm.log().as_bytes(), "the log");
}

/// A file that is good, but for what stands in a comment: kept, readable to its owner alone, and in no recording.
#[test]
fn a_comment_with_a_secret_is_kept_for_the_owner_alone() {
    let mut farm = Farm::alone("secrets-comment", &format!("{}\n# the token is {MARKER}\n", config(30)));
    farm.write_site(&format!("# password: {MARKER}\n"));
    let recording = farm.folder.path().join("recording");
    farm.options = vec!["--record".to_owned(), recording.display().to_string()];
    farm.start();
    farm.say("time=1772323200000 temp=21\n");
    let kept = farm.data().join("config.good");
    farm.until("the configuration is kept", |_| kept.exists());
    farm.stop();
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let recorded = fs::read(&recording).unwrap();
    assert!(!recorded.is_empty());
    keeps(&recorded, "the recording");
    keeps(farm.log().as_bytes(), "the log");
    let replayed = Command::new(program()).args(["replay", "--input"]).arg(&recording).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
}

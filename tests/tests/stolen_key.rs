//! What a thief of the hub's signing key can and cannot do, as `docs/security.md` says it: each sentence of it that a test can show.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tilth_config::bundle::{Draft, MAX_VERSION, SigningKey, seal};
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_tests::agent::{Folder, program};
use tilth_tests::live::hub::{CLIENT, DEVICE, Hub};
use tilth_tests::live::proxy::Proxy;
use tilth_tests::live::room::{Room, config};

const TOKEN: &str = "hunterQuokka";

/// A server that answers everything in one way, and remembers what it was sent.
struct Server {
    port: u16,
    heard: Arc<Mutex<String>>,
}

impl Server {
    fn start(answer: impl Into<String>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, answer) = (listener.local_addr().unwrap().port(), answer.into());
        let heard = Arc::<Mutex<String>>::default();
        let to = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut bytes) {
                    to.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        Server { port, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

/// A farm with a token for ntfy, and a thief who signs what its hub seems to give.
struct Theft {
    room: Room,
    proxy: Proxy,
    key: SigningKey,
    _folder: Folder,
    _hub: Hub,
}

impl Theft {
    fn new(name: &str, tables: &str) -> Theft {
        let folder = Folder::new(&format!("{name}-hub"));
        let mut hub = Hub::new(&folder.path().join("hub"));
        hub.serve();
        let proxy = Proxy::to(hub.port);
        let room = Room::of_hub(name, &hub);
        let site = format!("{}{tables}", room.farm.hub_table(&format!("http://127.0.0.1:{}", proxy.port)));
        room.farm.write_site(&site);
        let secret = room.farm.folder.write("etc/secrets/ntfy", TOKEN);
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
        let key = SigningKey::parse(&fs::read_to_string(hub.folder.join("hub.key")).unwrap()).unwrap();
        Theft { room, proxy, key, _folder: folder, _hub: hub }
    }

    /// What the thief signs: the room, and a channel with the farm's token that leads to a server.
    fn signs(&self, version: u64, url: &str) -> Vec<u8> {
        let room: toml::Value = toml::from_str(&config(30)).unwrap();
        let mut content = serde_json::to_value(room).unwrap();
        content["notifications"]["phone"] =
            json!({"kind": "ntfy", "url": url, "topic": "farm", "token": "secret:ntfy"});
        content["escalation"]["default"]["warning"] = json!({"wait": "5m", "channels": ["log", "phone"]});
        let (client, device) = (Id::new(CLIENT).unwrap(), Id::new(DEVICE).unwrap());
        let issued = WallTime(1_772_323_200_000);
        seal(&Draft { version, client: &client, device: &device, issued, content: &content }, &self.key)
    }

    /// A clock that stands before the first reading decides nothing.
    fn start(&mut self) {
        self.room.farm.start();
        self.room.minutes(1, 21.0);
    }

    #[track_caller]
    fn runs(&mut self, version: u64, url: &str) {
        self.proxy.replace_bundle(Some(self.signs(version, url)));
        self.room.farm.until(&format!("bundle {version} runs"), |farm| sync(farm)["bundle"]["version"] == version);
    }

    /// The room gets hot, and people are to be told.
    fn fires(&mut self) {
        self.room.minutes(2, 35.0);
        self.room.minutes(2, 21.0);
    }
}

fn sync(farm: &tilth_tests::live::farm::Farm) -> Value {
    farm.status().map(|status| status["sync"].clone()).unwrap_or_default()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A secret that is bound goes nowhere else under any bundle; and not by a redirect either.
#[test]
fn a_bound_secret_goes_to_its_hosts_alone() {
    let evil = Server::start(OK);
    let moved =
        format!("HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{}/farm\r\nContent-Length: 0\r\n\r\n", evil.port);
    let (good, redirects) = (Server::start(OK), Server::start(moved));
    let hosts = format!("[secrets.ntfy]\nhosts = ['127.0.0.1:{}', '127.0.0.1:{}']\n", good.port, redirects.port);
    let mut theft = Theft::new("bound", &hosts);
    theft.start();
    theft.runs(5, &format!("http://127.0.0.1:{}", evil.port));
    theft.fires();
    let why = "agent.toml lets the secret ntfy go to 127.0.0.1:";
    theft.room.farm.until("status says why nothing is sent", |farm| farm.shown().contains(why));
    assert!(theft.room.farm.log().contains(why), "{}", theft.room.farm.log());

    // Another name for it, and what looks like the good host.
    theft.runs(6, &format!("http://localhost:{}", evil.port));
    theft.fires();
    theft.room.farm.until("it says so still", |farm| farm.shown().contains(why));

    theft.runs(7, &format!("http://127.0.0.1:{}", redirects.port));
    theft.fires();
    theft.room.farm.until("the redirecting server was asked", |_| redirects.heard().contains(TOKEN));

    theft.runs(8, &format!("http://127.0.0.1:{}", good.port));
    theft.fires();
    theft.room.farm.until("the page goes where it may", |_| good.heard().contains(TOKEN));
    assert_eq!(evil.heard(), "");
}

/// Without a binding the signer decides, and `check` warns of it where a bundle rules.
#[test]
fn an_unbound_secret_goes_where_the_bundle_says_and_check_warns() {
    let evil = Server::start(OK);
    let mut theft = Theft::new("unbound", "");
    theft.start();
    theft.runs(5, &format!("http://127.0.0.1:{}", evil.port));
    theft.fires();
    theft.room.farm.until("it was sent", |_| evil.heard().contains(TOKEN));
    let farm = &theft.room.farm;
    let kept = farm.data().join("bundle.good");
    theft.room.farm.until("it is kept", |_| kept.exists());
    let check = |farm: &tilth_tests::live::farm::Farm| {
        let mut check = std::process::Command::new(program());
        check.arg("check").arg("--config").arg(farm.folder.path().join("etc")).arg("--data").arg(farm.data());
        String::from_utf8(check.output().unwrap().stdout).unwrap()
    };
    let warning = "the holder of the hub's signing key decides where the secret ntfy is sent; \
                   bind it in agent.toml: [secrets.ntfy] hosts = [\"HOST\"]";
    let said = check(&theft.room.farm);
    assert!(said.contains(warning), "{said}");

    // Bound while it runs: from then on nothing goes there, though the bundle stays.
    let site = theft.room.farm.hub_table(&format!("http://127.0.0.1:{}", theft.proxy.port));
    theft.room.farm.write_site(&format!("{site}[secrets.ntfy]\nhosts = ['ntfy.example']\n"));
    theft.room.farm.until("it is bound", |farm| farm.shown().contains("lets the secret ntfy go to ntfy.example alone"));
    let said = check(&theft.room.farm);
    assert!(!said.contains("decides where") && said.contains("go to ntfy.example alone"), "{said}");
    let before = evil.heard().len();
    theft.fires();
    theft.room.farm.until("the log has it", |farm| farm.log().matches("notify ").count() >= 4);
    assert_eq!(evil.heard().len(), before);
    assert_eq!(sync(&theft.room.farm)["bundle"]["version"], 5);
}

/// A version that no hub counts to is refused and forgotten: the next good one is taken.
#[test]
fn a_version_beyond_all_others_does_not_lock_the_device() {
    let mut theft = Theft::new("version", "");
    theft.start();
    theft.runs(5, "http://127.0.0.1:1");
    for version in [u64::MAX, u64::MAX - 1, 1 << 63, MAX_VERSION + 1, 0] {
        theft.proxy.replace_bundle(Some(theft.signs(version, "http://127.0.0.1:1")));
        let reason = format!("the bundle has version {version}; expected 1 to {MAX_VERSION}");
        theft.room.farm.until(&reason, |farm| sync(farm)["rejected"]["reason"] == reason);
        assert_eq!(sync(&theft.room.farm)["bundle"]["version"], 5);
        let state: Value =
            serde_json::from_slice(&fs::read(theft.room.farm.data().join("bundle.state")).unwrap()).unwrap();
        assert_eq!(state["content"]["highest"], 5);
    }
    theft.runs(6, "http://127.0.0.1:1");
    theft.room.farm.kill();
    theft.start();
    theft.runs(7, "http://127.0.0.1:1");
}

/// What a bundle has no say in: the hub's address and certificate, this machine's lines, and the bindings themselves.
#[test]
fn a_bundle_has_no_say_in_agent_toml() {
    let mut theft = Theft::new("site", "");
    theft.start();
    theft.runs(5, "http://127.0.0.1:1");
    for (number, table) in ["hub", "bus", "device", "secrets"].into_iter().enumerate() {
        let mut content = json!({"sensors": {"room/temp": {"quantity": "temperature", "input": "line:gateway/temp"}}});
        content[table] = json!({"ntfy": {"hosts": ["evil.example"]}, "url": "https://evil.example"});
        let (client, device) = (Id::new(CLIENT).unwrap(), Id::new(DEVICE).unwrap());
        let version = 6 + number as u64;
        let draft = Draft { version, client: &client, device: &device, issued: WallTime(0), content: &content };
        theft.proxy.replace_bundle(Some(seal(&draft, &theft.key)));
        let reason = format!("{table} belongs in agent.toml");
        theft.room.farm.until(&reason, |farm| {
            sync(farm)["rejected"]["reason"].as_str().is_some_and(|said| said.contains(&reason))
        });
        assert_eq!(sync(&theft.room.farm)["bundle"]["version"], 5);
    }
}

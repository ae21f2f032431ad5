//! Bundles that are not good: the agent stays on the last good one, says why in `status` and to the hub, and takes the next
//! good one.
//!
//! The bundles are the real hub's, tampered with, or signed with its own key; a line between agent and hub puts them in the
//! place of its own.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use tilth_config::bundle::{Draft, SigningKey, seal};
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_tests::agent::Folder;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::{CLIENT, DEVICE, Hub};
use tilth_tests::live::proxy::Proxy;
use tilth_tests::live::room::{Room, config, firing};

/// The hub's bundle with the limit 50 runs, and a line to the hub replaces what comes next.
struct Story {
    room: Room,
    proxy: Proxy,
    hub: Hub,
    folder: Folder,
    /// The bundle that runs, as it is kept.
    good: Vec<u8>,
    /// How many alerts of its limit there were.
    alerts: usize,
}

impl Story {
    #[track_caller]
    fn new(name: &str) -> Story {
        let folder = Folder::new(&format!("{name}-hub"));
        let mut hub = Hub::new(&folder.path().join("hub"));
        hub.serve();
        hub.configure(&folder.write("put/farm.toml", config(50)));
        let proxy = Proxy::to(hub.port);
        let mut room = Room::of_hub(name, &hub);
        room.farm.write_site(&room.farm.hub_table(&format!("http://127.0.0.1:{}", proxy.port)));
        room.farm.start();
        room.minutes(1, 21.0);
        room.until("the first bundle", || hub.said_of_bundle()["outcome"] == "applied");
        let kept = room.farm.data().join("bundle.good");
        room.until("it is kept", || kept.exists());
        let good = fs::read(kept).unwrap();
        Story { room, proxy, hub, folder, good, alerts: 0 }
    }

    /// The version that runs.
    fn version(&self) -> u64 {
        version(&self.good)
    }

    fn key(&self) -> SigningKey {
        SigningKey::parse(&fs::read_to_string(self.hub.folder.join("hub.key")).unwrap()).unwrap()
    }

    /// What runs, with another limit.
    fn content(&self, limit: u32) -> Value {
        let mut content = payload(&self.good)["content"].clone();
        content["rules"]["hot"]["above"] = json!(limit);
        content
    }

    /// A bundle as the hub would sign it.
    fn signed(&self, version: u64, content: &Value, (client, device): (&str, &str), key: &SigningKey) -> Vec<u8> {
        let (client, device) = (Id::new(client).unwrap(), Id::new(device).unwrap());
        let issued = WallTime(1_772_323_200_000);
        seal(&Draft { version, client: &client, device: &device, issued, content }, key)
    }

    /// A next version that is good.
    fn next(&self) -> Vec<u8> {
        self.signed(self.version() + 1, &self.content(20), (CLIENT, DEVICE), &self.key())
    }

    /// The bundle comes and is refused for this reason; what ran before runs on.
    #[track_caller]
    fn refuses(&mut self, bytes: Vec<u8>, reason: &str) {
        let bytes_len = bytes.len();
        self.proxy.replace_bundle(Some(bytes));
        let what = format!("refused, {bytes_len} bytes: {reason}");
        self.room.farm.until(&what, |farm| {
            let sync = sync(farm);
            sync["rejected"]["reason"].as_str().is_some_and(|said| said.contains(reason))
        });
        let hub = &self.hub;
        self.room.until("the hub knows of it", || {
            let said = hub.said_of_bundle();
            said["outcome"] == "refused" && said["reason"].as_str().is_some_and(|said| said.contains(reason))
        });
        let text = self.room.farm.ask(&["status"]).out;
        let version = self.version();
        assert!(text.contains(&format!("the hub's bundle {version} is running")), "{text}");
        let refused = text.lines().find(|line| line.contains("rejected: "));
        assert!(refused.is_some_and(|line| line.contains(reason)), "{text}");
        assert_eq!(sync(&self.room.farm)["bundle"]["version"], version);
        assert_eq!(fs::read(self.room.farm.data().join("bundle.good")).unwrap(), self.good);
        self.still_runs();
    }

    /// The limit of the last good bundle, 50, still fires: 45 does not, 55 does.
    #[track_caller]
    fn still_runs(&mut self) {
        self.room.minutes(1, 45.0);
        self.room.minutes(1, 55.0);
        self.room.minutes(1, 21.0);
        self.alerts += 1;
        let (hub, alerts) = (&self.hub, self.alerts);
        let of_limit = |limit: f64| move |alert: &&Value| alert["limit"].as_f64() == Some(limit);
        self.room.until("the last good limit fires and is over", || {
            let all = hub.alerts();
            all.iter().filter(of_limit(50.0)).count() == alerts && firing(&all, 50.0) == 0
        });
        assert_eq!(hub.alerts().len(), alerts, "{:?}", hub.alerts());
    }

    /// The hub configures the limit 40, and that is taken.
    #[track_caller]
    fn takes_a_good_one(&mut self) {
        self.proxy.replace_bundle(None);
        self.hub.configure(&self.folder.write("put/farm.toml", config(40)));
        let (hub, before) = (&self.hub, self.version());
        self.room.until("the good bundle", || hub.said_of_bundle()["outcome"] == "applied");
        let kept = self.room.farm.data().join("bundle.good");
        self.room.until("it is kept", || version(&fs::read(&kept).unwrap()) > before);
        self.room.farm.until("status says so", |farm| {
            let text = farm.ask(&["status"]).out;
            let sync = sync(farm);
            !text.contains(" rejected: ")
                && sync["rejected"].is_null()
                && sync["bundle"]["version"].as_u64() > Some(before)
        });
        self.room.minutes(1, 45.0);
        self.room.until("its limit fires", || firing(&hub.alerts(), 40.0) == 1);
    }

    /// One bad bundle, and a good one afterwards.
    #[track_caller]
    fn refuses_and_goes_on(mut self, bytes: Vec<u8>, reason: &str) {
        self.refuses(bytes, reason);
        self.takes_a_good_one();
    }
}

fn sync(farm: &Farm) -> Value {
    farm.status().map(|status| status["sync"].clone()).unwrap_or_default()
}

fn end_of_head(bytes: &[u8]) -> usize {
    bytes.windows(2).position(|two| two == b"\n\n").unwrap() + 2
}

fn payload(bytes: &[u8]) -> Value {
    serde_json::from_slice(&bytes[end_of_head(bytes)..]).unwrap()
}

fn version(bytes: &[u8]) -> u64 {
    payload(bytes)["version"].as_u64().unwrap()
}

/// The lines of a head changed, each by its first word; nothing instead of a line leaves it out.
fn with_head(bytes: &[u8], change: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let end = end_of_head(bytes);
    let head = std::str::from_utf8(&bytes[..end - 1]).unwrap();
    let lines: String = head.lines().filter_map(change).map(|line| line + "\n").collect();
    [lines.as_bytes(), b"\n", &bytes[end..]].concat()
}

#[test]
fn without_a_signature() {
    let mut story = Story::new("b-unsigned");
    let next = story.next();
    let left_out = with_head(&next, |line| (!line.starts_with("signature")).then(|| line.to_owned()));
    story.refuses(left_out, "the bundle is not signed");
    let none = with_head(&next, |line| {
        Some(if line.starts_with("signature") { "signature none".to_owned() } else { line.to_owned() })
    });
    story.refuses(none, "the bundle is not signed");
    story.takes_a_good_one();
}

#[test]
fn signed_by_another_key() {
    let story = Story::new("b-other-key");
    let other = SigningKey::from_seed(&[7; 32]);
    let bytes = story.signed(story.version() + 1, &story.content(20), (CLIENT, DEVICE), &other);
    let reason =
        format!("signed by the key {}; this device trusts {}", other.trusted().id(), story.key().trusted().id());
    story.refuses_and_goes_on(bytes, &reason);
}

#[test]
fn signed_by_another_key_that_says_it_is_the_hubs() {
    let story = Story::new("b-lying-key");
    let bytes =
        story.signed(story.version() + 1, &story.content(20), (CLIENT, DEVICE), &SigningKey::from_seed(&[7; 32]));
    let name = format!("key {}", story.key().trusted().id());
    let bytes = with_head(&bytes, |line| Some(if line.starts_with("key ") { name.clone() } else { line.to_owned() }));
    story.refuses_and_goes_on(bytes, "the bundle's signature is wrong");
}

/// An older version, and the one that runs with other content.
#[test]
fn of_an_older_version() {
    let mut story = Story::new("b-older");
    // A second version runs, so that the first is past.
    story.hub.configure(&story.folder.write("put/farm.toml", config(60)));
    let (first, hub) = (story.good.clone(), &story.hub);
    story.room.until("the second", || hub.said_of_bundle()["version"] == 2);
    story.hub.configure(&story.folder.write("put/farm.toml", config(50)));
    let hub = &story.hub;
    story.room.until("the third", || hub.said_of_bundle()["version"] == 3);
    let kept = story.room.farm.data().join("bundle.good");
    story.room.until("it is kept", || version(&fs::read(&kept).unwrap()) == 3);
    story.good = fs::read(&kept).unwrap();
    story.refuses(first, "version 1 is not above the running version 3");
    let same = story.signed(3, &story.content(20), (CLIENT, DEVICE), &story.key());
    story.refuses(same, "version 3 is not above the running version 3");
    story.takes_a_good_one();
}

#[test]
fn for_another_device() {
    let story = Story::new("b-device");
    let bytes = story.signed(story.version() + 1, &story.content(20), (CLIENT, "pi-2"), &story.key());
    story.refuses_and_goes_on(bytes, "the bundle is for acme/pi-2");
}

#[test]
fn for_another_tenant() {
    let story = Story::new("b-client");
    let bytes = story.signed(story.version() + 1, &story.content(20), ("other", DEVICE), &story.key());
    story.refuses_and_goes_on(bytes, "the bundle is for other/pi-1");
}

/// At every part of it: in the first line, in the head, at its end, in the payload, at its last byte.
#[test]
fn truncated() {
    let mut story = Story::new("b-truncated");
    let next = story.next();
    let (head, all) = (end_of_head(&next), next.len());
    for (length, reason) in [
        (5, "not a bundle; expected it to begin with"),
        (20, "the bundle's head is damaged"),
        (60, "the bundle's head is damaged"),
        (head - 1, "the bundle's head is damaged"),
        (head, "the bundle is truncated: 0 of"),
        ((head + all) / 2, "the bundle is truncated: "),
        (all - 1, "the bundle is truncated: "),
    ] {
        story.refuses(next[..length].to_vec(), reason);
    }
    let longer = [&next[..], b"\n"].concat();
    story.refuses(longer, "the bundle has 1 bytes after its end");
    story.takes_a_good_one();
}

#[test]
fn one_bit_flipped() {
    let mut story = Story::new("b-flipped");
    let next = story.next();
    let head = end_of_head(&next);
    let of_signature = next.windows(10).position(|ten| ten == b"signature ").unwrap() + 10;
    for (at, reason) in [
        (0, "not a bundle"),
        (of_signature, "the bundle"),
        (head, "the bundle's signature is wrong"),
        (next.len() / 2, "the bundle's signature is wrong"),
        (next.len() - 1, "the bundle's signature is wrong"),
    ] {
        let mut bytes = next.clone();
        bytes[at] ^= 1;
        story.refuses(bytes, reason);
    }
    story.takes_a_good_one();
}

/// A bundle of the hub, and for this device; its content cannot be run.
#[test]
fn that_does_not_compile() {
    let mut story = Story::new("b-compile");
    let mut content = story.content(20);
    content["rules"]["hot"]["sensor"] = json!("room/no-such");
    let bytes = story.signed(story.version() + 1, &content, (CLIENT, DEVICE), &story.key());
    story.refuses(bytes, "it has errors: ");
    let mut content = story.content(20);
    content["sensors"]["room/temp"]["quantity"] = json!("warmth");
    let bytes = story.signed(story.version() + 2, &content, (CLIENT, DEVICE), &story.key());
    story.refuses(bytes, "warmth");
    story.takes_a_good_one();
}

/// The device trusts another hub's key: with the right one in its file the same bundle is taken, without a restart.
#[test]
fn the_right_key_put_in_place_afterwards() {
    let folder = Folder::new("b-pub-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    let other = Hub::new(&folder.path().join("other"));
    hub.serve();
    hub.configure(&folder.write("put/farm.toml", config(50)));
    let mut room = Room::of_hub("b-pub", &hub);
    room.farm.trust(&other.folder.join("hub.pub"));
    room.farm.start();
    room.minutes(1, 21.0);
    room.until("it is refused", || hub.said_of_bundle()["outcome"] == "refused");
    room.farm.until("status says why", |farm| {
        let text = farm.ask(&["status"]).out;
        text.contains("rejected: the bundle is signed by the key ") && text.contains("running the files of config.d")
    });
    room.farm.trust(&hub.folder.join("hub.pub"));
    room.until("it is applied", || hub.said_of_bundle()["outcome"] == "applied");
    room.farm.until("status says so", |farm| {
        let text = farm.ask(&["status"]).out;
        text.contains("the hub's bundle 1 is running") && !text.contains(" rejected: ")
    });
}

/// Something that is no bundle at all comes in its place.
#[test]
fn something_else() {
    let story = Story::new("b-else");
    story.refuses_and_goes_on(b"{\"error\":\"moved\"}\n".to_vec(), "not a bundle; expected it to begin with");
}

/// Damaged on its way, a bundle has the tag of the good one: which is taken all the same when it comes.
#[test]
fn damaged_on_its_way_and_then_whole() {
    let mut story = Story::new("b-way");
    story.proxy.replace_bundle(Some(b"tilth-bundle 1\n".to_vec()));
    story.hub.configure(&story.folder.write("put/farm.toml", config(40)));
    story.room.farm.until("the damaged one is refused", |farm| !sync(farm)["rejected"].is_null());
    story.proxy.replace_bundle(None);
    let hub = &story.hub;
    story.room.until("the whole one is applied", || {
        let said = hub.said_of_bundle();
        said["outcome"] == "applied" && said["version"] == 2
    });
}

/// After a power cut it is still the last good one that runs, and what was refused is still said.
#[test]
fn refused_and_then_a_power_cut() {
    let mut story = Story::new("b-cut");
    let bytes = story.signed(story.version() + 1, &story.content(20), (CLIENT, "pi-2"), &story.key());
    story.refuses(bytes, "the bundle is for acme/pi-2");
    story.room.farm.kill();
    story.room.farm.start();
    story.room.minutes(1, 21.0);
    let text = story.room.farm.ask(&["status"]).out;
    assert!(text.contains("the hub's bundle 1 is running"), "{text}");
    story.room.farm.until("it is still said", |farm| farm.ask(&["status"]).out.contains("rejected: the bundle is for"));
    story.still_runs();
    story.takes_a_good_one();
}

/// The disk has half of it after a power cut: the hub sends it again, and an older one is still refused.
#[test]
fn damaged_on_the_disk() {
    let mut story = Story::new("b-disk");
    story.hub.configure(&story.folder.write("put/farm.toml", config(60)));
    let (first, hub) = (story.good.clone(), &story.hub);
    story.room.until("the second", || hub.said_of_bundle()["version"] == 2);
    let kept = story.room.farm.data().join("bundle.good");
    story.room.until("it is kept", || version(&fs::read(&kept).unwrap()) == 2);
    let second = fs::read(&kept).unwrap();
    story.room.farm.kill();
    fs::write(&kept, &second[..second.len() / 2]).unwrap();
    story.proxy.replace_bundle(Some(first));
    story.room.farm.start();
    story.room.minutes(1, 21.0);
    story.room.farm.until("the old one is refused", |farm| {
        let sync = sync(farm);
        let (refused, lost) = (sync["rejected"]["reason"].as_str(), sync["unavailable_reason"].as_str());
        refused == Some("version 1 is below version 2, which was running before")
            && lost.is_some_and(|lost| lost.contains("bundle.good.damaged-"))
    });
    story.proxy.replace_bundle(None);
    story.room.until("the second again", || fs::read(&kept).is_ok_and(|bytes| bytes == second));
    story.room.farm.until("nothing is lost any more", |farm| {
        let sync = sync(farm);
        sync["bundle"]["version"] == 2 && sync["unavailable_reason"].is_null() && sync["rejected"].is_null()
    });
}

/// The room is at 21, the limit comes down to 20, and the channel that tells of it comes with the same bundle.
#[test]
fn the_first_alert_of_a_bundle_is_told_by_the_channel_that_came_with_it() {
    let story = Story::new("b-channel");
    let phone = TcpListener::bind("127.0.0.1:0").unwrap();
    let channel = format!(
        "[notifications.phone]\nkind = 'ntfy'\nurl = 'http://{}'\ntopic = 'farm'\n\
         [escalation.default.warning]\nchannels = ['log', 'phone']\n",
        phone.local_addr().unwrap()
    );
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(phone.accept().unwrap().0).lines();
        let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        told.send(head)
    });
    story.hub.configure(&story.folder.write("put/farm.toml", config(20) + &channel));
    let head = heard.recv_timeout(Duration::from_secs(60)).expect("a page");
    assert!(head.iter().any(|line| line.contains("room/temp 21.00 C, limit 20")), "{head:#?}");
}

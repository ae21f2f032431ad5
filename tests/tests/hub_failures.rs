//! A hub that is down, refuses, talks nonsense, breaks off or is slow: meanwhile the agent pages, says in `status` what is
//! wrong, and asks less and less often; afterwards the hub has everything once.
//!
//! Between the real agent and the real hub stands a line that fails as it is told. Each failure is a test of its own, so that
//! it is seen by name. Gaps between requests are only bounded from below: a busy machine makes them longer.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tilth_tests::agent::Folder;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::{CLIENT, DEVICE, Hub};
use tilth_tests::live::proxy::{BATCH, BUNDLE, Line, Proxy, answer};
use tilth_tests::live::room::{self, Room, windows};

/// How often people are told of one alert: that it fires, and that it is over.
const PAGES: usize = 2;

/// The parts of a test: a hub, a room whose agent speaks to it, and the line between them.
struct Between {
    room: Room,
    proxy: Proxy,
    hub: Hub,
    _folder: Folder,
}

impl Between {
    /// All is well, and the hub has the first minutes.
    #[track_caller]
    fn new(name: &str) -> Between {
        let folder = Folder::new(&format!("{name}-hub"));
        let mut hub = Hub::new(&folder.path().join("hub"));
        hub.serve();
        let proxy = Proxy::to(hub.port);
        let mut room = Room::of_hub(name, &hub);
        room.farm.write_site(&room.farm.hub_table(&format!("http://127.0.0.1:{}", proxy.port)));
        room.farm.start();
        room.minutes(3, 21.0);
        let mut between = Between { room, proxy, hub, _folder: folder };
        between.catches_up();
        between
    }

    /// An alert fires and is over, and people are told both.
    #[track_caller]
    fn pages(&mut self) {
        let before = self.room.pages();
        self.room.minutes(3, 31.5);
        self.room.minutes(3, 21.0);
        let room = &mut self.room;
        let log = room.farm.folder.path().join("log");
        let pages = || Room::pages_of(&std::fs::read_to_string(&log).unwrap());
        room.until("people are told that it fires and that it is over", || pages() >= before + PAGES);
        assert_eq!(room.pages(), before + PAGES, "{}", room.farm.log());
    }

    /// `status` says this of sync, for programs and for people.
    #[track_caller]
    fn says(&mut self, state: &str, words: &str) {
        self.room.farm.until(&format!("status says {state}: {words}"), |farm| {
            let text = said_of_sync(farm);
            sync(farm)["state"] == state && text.contains(words) && text.contains("next try in")
        });
    }

    /// So many batches came since an instant, and each waited longer than the one before it.
    #[track_caller]
    fn backs_off(&mut self, since: Instant, least: &[u64]) {
        let proxy = &self.proxy;
        self.room.until("more tries", || proxy.requests(BATCH, since).len() > least.len());
        let tries = proxy.requests(BATCH, since);
        for (gap, least) in tries.windows(2).zip(least) {
            let gap = gap[1] - gap[0];
            // Seen a little late, the one before makes the gap shorter.
            assert!(gap >= Duration::from_millis(least * 8 / 10), "{gap:?} after {least} ms: {:?}", gaps(&tries));
        }
        let pulls = proxy.requests(BUNDLE, since).len();
        assert!(pulls <= 2 * tries.len() + 2, "{pulls} pulls beside {} batches", tries.len());
    }

    /// Everything is at the hub, once and in order, and `status` says so.
    #[track_caller]
    fn catches_up(&mut self) {
        let (closed, hub) = (self.room.closed_minutes(), &self.hub);
        self.room.until("every minute is at the hub", || windows(hub).len() >= closed);
        self.room.farm.until("all is confirmed", |farm| {
            let sync = sync(farm);
            let waiting = sync["waiting"].as_object().unwrap();
            waiting.values().all(|waiting| *waiting == 0) && sync["why"].is_null() && sync["config"]["why"].is_null()
        });
        self.room.farm.until("status says that it is there", |farm| said_of_sync(farm).contains(": up to date"));
        let windows = windows(hub);
        assert_eq!(windows.len(), closed);
        assert!(windows.values().all(|count| *count == 6), "{windows:?}");
        let transitions = transitions(hub);
        let turns: Vec<(&str, &str)> =
            transitions.chunks(2).map(|turn| (turn[0].1.as_str(), turn[1].1.as_str())).collect();
        assert!(turns.iter().all(|turn| *turn == ("firing", "resolved")), "{transitions:?}");
        assert!(transitions.is_sorted_by_key(|(at, _)| at), "{transitions:?}");
        assert_eq!(self.room.pages(), PAGES * turns.len(), "{}", self.room.farm.log());
    }
}

/// What was said of the room's alerts at the hub, in its order: when, and what.
fn transitions(hub: &Hub) -> Vec<(String, String)> {
    let events = hub.list("/api/events?kind=alert", "events");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let room = events.iter().filter(|event| event["body"]["rule"] == "hot");
    let all = room.map(|event| (text(&event["at"]), text(&event["body"]["event"])));
    all.filter(|(_, event)| event == "firing" || event == "resolved").collect()
}

fn sync(farm: &Farm) -> Value {
    farm.status().map(|status| status["sync"].clone()).unwrap_or_default()
}

/// The lines of `status` that are about sync.
fn said_of_sync(farm: &Farm) -> String {
    farm.ask(&["status"]).out.lines().skip_while(|line| !line.starts_with("sync")).collect::<Vec<_>>().join("\n")
}

fn gaps(tries: &[Instant]) -> Vec<Duration> {
    tries.windows(2).map(|two| two[1] - two[0]).collect()
}

/// A line that fails in one way, an alert meanwhile, and everything afterwards. `least` are the waits in milliseconds that lie
/// between the first batches that fail.
#[track_caller]
fn through(name: &str, line: Line, state: &str, words: &str, least: &[u64]) -> Between {
    let mut between = Between::new(name);
    let began = Instant::now();
    between.proxy.set(line);
    between.pages();
    between.says(state, words);
    between.backs_off(began, least);
    between.pages();
    between.proxy.set(Line::Passes);
    between.catches_up();
    assert_eq!(transitions(&between.hub).len(), 4);
    between
}

/// The hub's own words for a refusal.
fn refusal(status: u16, error: &str, headers: &[&str]) -> Line {
    Line::Says(answer(status, headers, format!(r#"{{"error":"{error}","message":"told to say so"}}"#)))
}

/// The waits of trouble that passes: they double, and jitter makes them longer.
const GROWING: &[u64] = &[1000, 2000];

/// On a made clock; it is 15 minutes on the machine's.
const REFUSED: &[u64] = &[10_000];

#[test]
fn status_401_is_refused() {
    let line = refusal(401, "unknown-key", &[]);
    let between = through("f-401", line, "refused", "rejects this device: the hub answered 401: told", REFUSED);
    let log = between.room.farm.log();
    assert_eq!(log.matches("key-refused: ").count(), 1, "{log}");
    assert_eq!(log.matches("key-refused is over").count(), 1, "{log}");
}

#[test]
fn status_403_is_refused() {
    let line = Line::Says(answer(403, &[], "<html>forbidden</html>"));
    through("f-403", line, "refused", "rejects this device: answered 403, not a hub's answer: a web page", REFUSED);
}

#[test]
fn status_409_without_the_hubs_words_is_trouble() {
    let line = Line::Says(answer(409, &[], "no"));
    through("f-409", line, "backing-off", "answered 409, not a hub's answer: \"no\"", GROWING);
}

/// The hub's own conflict makes the agent go on under a new stream; another one at once stops it for a while.
#[test]
fn status_409_begins_a_new_stream_and_then_stops() {
    let mut between = Between::new("f-conflict");
    between.proxy.set(refusal(409, "stream-conflict", &[]));
    between.pages();
    between.says("refused", "rejects this device: the hub answered 409: told");
    let text = said_of_sync(&between.room.farm);
    assert!(
        text.contains("action needed: two agents use this key, or an old copy of the data folder was restored"),
        "{text}"
    );
    let missing = "some history before this start may be missing: the hub has rows of this device that are not here";
    assert!(between.room.farm.log().contains(missing), "{}", between.room.farm.log());
    between.pages();
    between.proxy.set(Line::Passes);
    between.catches_up();
    assert_eq!(transitions(&between.hub).len(), 4);
}

#[test]
fn status_429_waits() {
    through("f-429", refusal(429, "too-many", &[]), "backing-off", "the hub answered 429: told", GROWING);
}

#[test]
fn status_429_with_retry_after_waits_as_long_as_the_hub_says() {
    let line = refusal(429, "too-many", &["retry-after: 4"]);
    through("f-429-after", line, "backing-off", "the hub answered 429: told", &[5000]);
}

#[test]
fn status_500_waits() {
    through("f-500", refusal(500, "internal", &[]), "backing-off", "the hub answered 500: told", GROWING);
}

#[test]
fn status_503_with_retry_after_waits_as_long_as_the_hub_says() {
    let line = Line::Says(answer(503, &["retry-after: 4"], "busy"));
    through("f-503", line, "backing-off", "answered 503, not a hub's answer: \"busy\"", &[5000]);
}

#[test]
fn bytes_that_are_no_http_are_garbage() {
    let line = Line::Says(b"\x00\xff\x17 what?\r\n\r\n".to_vec());
    through("f-garbage", line, "backing-off", "the answer cannot be read", GROWING);
}

#[test]
fn an_answer_that_is_no_json_is_garbage() {
    let line = Line::Says(answer(200, &[], "all is well"));
    through("f-no-json", line, "backing-off", "answered 200, not a hub's answer: \"all is well\"", GROWING);
}

#[test]
fn a_captive_portal_is_named() {
    let line = Line::Says(answer(200, &["content-type: text/html"], "<html>Log in to FarmNet</html>"));
    through("f-portal", line, "backing-off", "a web page (a captive portal or proxy in between?)", GROWING);
}

/// The hub took the batch; half of its answer says so. The rows come again and are known.
#[test]
fn half_an_answer_breaks_off() {
    through("f-half", Line::Halves, "backing-off", "the answer broke off", GROWING);
}

/// The hub took the batch and its answer was lost: the rows come again, which is a no-op there.
#[test]
fn an_answer_that_is_lost_makes_nothing_come_twice() {
    let mut between = Between::new("f-swallow");
    let began = Instant::now();
    between.proxy.set(Line::Swallows);
    between.pages();
    between.says("backing-off", "the answer broke off");
    let hub = &between.hub;
    between.room.until("the hub has what the agent does not know of", || transitions(hub).len() == 2);
    between.backs_off(began, GROWING);
    assert_eq!(transitions(&between.hub).len(), 2, "the same batch, again and again");
    assert_ne!(sync(&between.room.farm)["waiting"]["events"], 0);
    between.pages();
    between.proxy.set(Line::Passes);
    between.catches_up();
    assert_eq!(transitions(&between.hub).len(), 4);
}

/// A poor line is no failure: what goes over it arrives, one answer after another.
#[test]
fn an_answer_that_trickles_is_waited_for() {
    let mut between = Between::new("f-trickle");
    between.proxy.set(Line::Trickles);
    between.pages();
    let hub = &between.hub;
    between.room.until("it arrives slowly", || transitions(hub).len() == 2);
    between.pages();
    let hub = &between.hub;
    between.room.until("and more of it", || transitions(hub).len() == 4);
    between.proxy.set(Line::Passes);
    between.catches_up();
}

#[test]
fn an_answer_that_never_comes_delays_nobody() {
    let mut between = Between::new("f-hang");
    let began = Instant::now();
    between.proxy.set(Line::Hangs);
    between.pages();
    between.pages();
    let proxy = &between.proxy;
    between
        .room
        .until("it asked", || !proxy.requests(BATCH, began).is_empty() || !proxy.requests(BUNDLE, began).is_empty());
    assert!(said_of_sync(&between.room.farm).contains(": sending"), "{}", said_of_sync(&between.room.farm));
    // One request waits for its answer; no other is made beside it.
    let made = between.proxy.requests(BATCH, began).len() + between.proxy.requests(BUNDLE, began).len();
    assert!(made <= 2, "{made}");
    between.proxy.set(Line::Passes);
    between.catches_up();
}

#[test]
fn a_refused_connection_is_tried_again() {
    let mut between = Between::new("f-refused");
    let failed = |farm: &Farm| sync(farm)["counts"]["failed"].as_u64().unwrap();
    let (began, before) = (Instant::now(), failed(&between.room.farm));
    between.proxy.set(Line::Refuses);
    between.pages();
    between.says("offline", "unreachable: http://127.0.0.1");
    between.room.farm.until("some tries", |farm| failed(farm) >= before + 3);
    let (tries, took) = (failed(&between.room.farm) - before, began.elapsed());
    // Waits of 1, 2, 4 .. seconds at least.
    assert!(1 << (tries - 1) <= took.as_secs() + 2, "{tries} tries within {took:?}");
    assert!(said_of_sync(&between.room.farm).contains("Connection refused"), "{}", said_of_sync(&between.room.farm));
    between.pages();
    between.proxy.set(Line::Passes);
    between.catches_up();
    assert_eq!(transitions(&between.hub).len(), 4);
}

#[test]
fn a_hub_that_is_down_is_tried_again() {
    let mut between = Between::new("f-down");
    let began = Instant::now();
    between.hub.stop();
    between.pages();
    between.backs_off(began, GROWING);
    between.pages();
    between.hub.serve();
    between.catches_up();
    assert_eq!(transitions(&between.hub).len(), 4);
}

/// The real limit of the real hub: somebody else uses up what this key may ask.
#[test]
fn the_hubs_own_limit_is_named_and_waited_for() {
    let mut between = Between::new("f-limit");
    let over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let (over, port, key) = (Arc::clone(&over), between.hub.port, between.hub.device_key.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let _ = ask_for_bundle(port, &key);
                }
            })
        })
        .collect();
    between.pages();
    between.says("backing-off", "the hub answered 429: too many requests with this key");
    over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
    between.pages();
    between.catches_up();
    assert_eq!(transitions(&between.hub).len(), 4);
}

fn ask_for_bundle(port: u16, key: &str) -> std::io::Result<u64> {
    use std::io::Write;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let target = format!("{BUNDLE}?client_id={CLIENT}&since_version=0");
    write!(stream, "GET {target} HTTP/1.0\r\nHost: hub\r\nX-Device-Key: {key}\r\n\r\n")?;
    std::io::copy(&mut stream, &mut std::io::sink())
}

/// On the machine's clock, on which a refusal lasts 15 minutes: a new key in the key's file ends it at once.
#[test]
fn a_revoked_key_is_named_and_a_new_one_is_used_without_a_restart() {
    let folder = Folder::new("f-revoked-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut farm = Farm::of_hub("f-revoked", &room::config(30).replace("stamp = 'source'", "stamp = 'arrival'"), &hub);
    farm.clock = "system";
    farm.start();
    farm.until("a first batch", |farm| sync(farm)["counts"]["taken"].as_u64() > Some(0));
    let process = farm.process();

    hub.call(&["device", "revoke", DEVICE, "--client", CLIENT]);
    farm.say("temp=31.5\n");
    farm.until("people are told", |farm| Room::pages_of(&farm.log()) == 1);
    farm.until("status names the key", |farm| {
        let text = said_of_sync(farm);
        text.contains("rejects this device: the hub answered 401: unknown or revoked key; next try in 1")
            && text.contains("action needed: device key rejected")
    });
    let left = sync(&farm)["next_try"].as_i64().unwrap() - sync(&farm)["now"].as_i64().unwrap();
    assert!(left > 600_000, "{left} ms");
    assert_eq!(transitions(&hub), []);

    // A slip first: what the file holds is no key.
    let new = hub.json(&["device", "key", DEVICE, "--client", CLIENT])["device_key"].as_str().unwrap().to_owned();
    farm.give_key(&new[..20]);
    farm.until("status names the file", |farm| {
        let text = said_of_sync(farm);
        text.contains("changed file not used: ") && text.contains("device.key")
    });
    farm.give_key(&new);
    farm.until("the alert is at the hub", |_| transitions(&hub).len() == 1);
    farm.until("nothing is wrong any more", |farm| {
        let text = said_of_sync(farm);
        !text.contains("action needed") && !text.contains("not used") && !text.contains("next try")
    });
    assert_eq!(farm.process(), process);
    let log = farm.log();
    assert_eq!(log.matches("key-refused is over").count(), 1, "{log}");
    assert!(!log.contains(&new) && !log.contains(&hub.device_key) && !log.contains(&new[..20]), "a key is in the log");
}

//! What people are told, as it arrives: a server as ntfy's and a webhook, each in a process of its own, and the real agent with
//! a board on its line. What came is compared with the texts in `receivers/`.
//!
//! `TILTH_UPDATE_GOLDEN=1 cargo nextest run -p tilth-tests -E 'binary(receivers)'` writes them again; read the difference before
//! it is committed.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tilth_tests::live::Running;
use tilth_tests::live::farm::Farm;
use tilth_tests::workspace;

/// 2026-03-01T06:00:00Z.
const BEGIN_MS: i64 = 1_772_344_800_000;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;

const TOKEN: &str = "tk_7eevizlsiwf9yi4uxsrs83r4352o0";
const SECRET: &str = "geheim-5f0c1b7a9d";

/// Sensors that the tests move, one for each rule.
const SENSORS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A receiver in a process of its own.
struct Receiver {
    role: &'static str,
    folder: PathBuf,
    port: u16,
    process: Option<Running>,
}

impl Receiver {
    fn new(role: &'static str, farm: &Farm) -> Receiver {
        let folder = farm.folder.path().join(role);
        for (name, text) in [("topic", "farm-8c1d"), ("token", TOKEN), ("secret", SECRET)] {
            farm.folder.write(&format!("{role}/{name}"), text);
        }
        let mut receiver = Receiver { role, folder, port: 0, process: None };
        receiver.start();
        receiver
    }

    /// On a free port the first time, and on the same one ever after.
    fn start(&mut self) {
        let said = self.folder.join("said");
        let mut call = Command::new(env!("CARGO_BIN_EXE_receiver"));
        call.arg(self.role)
            .arg(&self.folder)
            .arg(self.port.to_string())
            .stdin(Stdio::null())
            .stdout(fs::File::create(&said).unwrap());
        self.process = Some(Running::start(&mut call).unwrap());
        while !fs::read_to_string(&said).unwrap().ends_with('\n') {
            let ended = self.process.as_mut().unwrap().0.try_wait().unwrap();
            assert!(ended.is_none(), "the receiver ended: {ended:?}");
            std::thread::yield_now();
        }
        self.port = fs::read_to_string(&said).unwrap().trim().rsplit(':').next().unwrap().parse().unwrap();
    }

    fn stop(&mut self) {
        self.process = None;
    }

    /// What the next request gets in place of what it deserves.
    fn order(&self, order: &str) {
        fs::write(self.folder.join("next"), order).unwrap();
    }

    fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What came, as a person would look through it.
    fn shown(&self) -> String {
        let mut shown = String::new();
        for request in self.requests() {
            let order = request["order"].as_str().map(|order| format!(", ordered: {order}")).unwrap_or_default();
            let _ = writeln!(shown, "{}: {}{order}", request["id"].as_str().unwrap(), request["status"]);
            if let Some(refused) = request["refused"].as_str() {
                let _ = writeln!(shown, "    refused: {refused}");
            }
            if let Some(body) = request["body"].as_str() {
                let _ = writeln!(shown, "    {body}");
            }
            if let Some(message) = request["message"].as_object() {
                let _ = writeln!(shown, "    title: {}", message["title"].as_str().unwrap());
                let _ = writeln!(shown, "    priority {}, tags {}", message["priority"], message["tags"]);
                assert_eq!(message["sequence_id"], request["id"], "so that a repeat takes the first one's place");
                for line in message["message"].as_str().unwrap().lines() {
                    let _ = writeln!(shown, "    | {line}");
                }
            }
        }
        without_names_of_runs(&shown)
    }

    #[track_caller]
    fn check_golden(&self, name: &str) {
        let path = workspace().join("tests/tests/receivers").join(format!("{name}-{}.txt", self.role));
        let shown = self.shown();
        if std::env::var_os("TILTH_UPDATE_GOLDEN").is_some() {
            fs::write(&path, &shown).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(shown == expected, "{} says:\n{expected}\nand this came:\n{shown}", path.display());
    }

    /// The titles of all that ntfy took.
    fn titles(&self) -> Vec<String> {
        let titles = self.requests();
        titles.iter().filter_map(|request| Some(request["message"]["title"].as_str()?.to_owned())).collect()
    }
}

/// The names that runs drew, and those of digests that follow from them, are others each time.
fn without_names_of_runs(shown: &str) -> String {
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let named = |word: &str| {
        let parts: Vec<&str> = word.split('-').collect();
        match parts.as_slice() {
            ["pi", "1", alert, page, _run] => format!("pi-1-{alert}-{page}-RUN"),
            ["pi", "1", alert, page, _run, "digest", _items] => format!("pi-1-{alert}-{page}-RUN-digest-ITEMS"),
            _ => word.to_owned(),
        }
    };
    let mut rest = shown;
    let mut out = String::new();
    while let Some(at) = rest.find("pi-1-") {
        let (before, found) = rest.split_at(at);
        let end = found.find(|c| !is_of_id(c)).unwrap_or(found.len());
        out.push_str(before);
        out.push_str(&named(&found[..end]));
        rest = &found[end..];
    }
    out + rest
}

/// How often each channel may tell in an hour, and the wait for an acknowledgement.
#[derive(Clone, Copy)]
struct Paging {
    max_per_hour: u32,
    wait: &'static str,
}

/// A farm with both receivers, and how far its time has come.
struct Story {
    farm: Farm,
    phone: Receiver,
    office: Receiver,
    now_ms: i64,
}

impl Story {
    /// `rules` say what is watched; all of it is told by log, phone and office.
    fn new(name: &str, rules: &str, Paging { max_per_hour, wait }: Paging) -> Story {
        let farm = Farm::alone(name, "");
        let (phone, office) = (Receiver::new("ntfy", &farm), Receiver::new("webhook", &farm));
        let mut config = format!(
            "
            [notifications.phone]
            kind = 'ntfy'
            url = 'http://127.0.0.1:{}'
            topic = 'farm-8c1d'
            token = 'secret:phone'
            max_per_hour = {max_per_hour}
            [notifications.office]
            kind = 'webhook'
            url = 'http://127.0.0.1:{}/tilth'
            secret = 'secret:office'
            max_per_hour = {max_per_hour}
            [escalation.default]
            [rules.sensor-silent]
            enabled = false
            {rules}",
            phone.port, office.port
        );
        for level in ["preventive", "warning", "critical", "urgent"] {
            let line = format!("{level} = {{ wait = '{wait}', channels = ['log', 'phone', 'office'] }}\n");
            config = config.replace("[escalation.default]\n", &format!("[escalation.default]\n{line}"));
        }
        for sensor in SENSORS {
            let _ = writeln!(
                config,
                "[sensors.'room/{sensor}']\nquantity = 'percent'\ninput = 'line:gateway/{sensor}'\nstamp = 'source'"
            );
        }
        farm.folder.write("etc/config.d/farm.toml", config);
        let story = Story { farm, phone, office, now_ms: BEGIN_MS };
        story.put_secret("phone", TOKEN);
        story.put_secret("office", SECRET);
        story
    }

    fn put_secret(&self, name: &str, value: &str) {
        let path = self.farm.folder.write(&format!("etc/secrets/{name}"), value);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Time passes, and the board says this.
    fn after(&mut self, ms: i64, fields: &str) {
        self.now_ms += ms;
        self.farm.say(format!("time={} {fields}\n", self.now_ms));
    }

    /// Waits until both have as many requests.
    #[track_caller]
    fn until_came(&mut self, phone: usize, office: usize) {
        let (on_phone, at_office) = (self.phone.folder.join("requests"), self.office.folder.join("requests"));
        let lines = |path: &Path| fs::read_to_string(path).unwrap_or_default().lines().count();
        self.farm.until(&format!("{phone} and {office} requests"), |_| {
            lines(&on_phone) >= phone && lines(&at_office) >= office
        });
        assert_eq!((lines(&on_phone), lines(&at_office)), (phone, office), "{}", self.phone.shown());
    }

    /// Waits until what was sent is noted, and so many notices wait on a channel.
    #[track_caller]
    fn until_waiting(&mut self, channel: &str, waiting: u64) {
        self.farm.until(&format!("{waiting} wait for {channel}"), |farm| waits(farm, channel) == Some(waiting));
    }

    /// Waits until a channel says that it failed so.
    #[track_caller]
    fn until_failed(&mut self, channel: &str, reason: &str) {
        self.farm.until(&format!("{channel} fails: {reason}"), |farm| {
            let failed = failure(farm, channel);
            failed["recovered"] == false && failed["reason"].as_str().is_some_and(|said| said.contains(reason))
        });
    }

    /// Waits until what the board said was decided on, and notify had its turn.
    #[track_caller]
    fn until_heard(&mut self) {
        let now = self.now_ms;
        self.farm.until("the board was heard", |farm| {
            farm.status().is_some_and(|status| {
                status["clock"]["now"].as_str() == Some(&*tilth_core::time::WallTime(now).to_string())
            })
        });
    }

    /// Waits until all that happened up to now is on the disk: what becomes of it then is known after a power cut.
    #[track_caller]
    fn until_kept(&mut self) {
        let committed =
            |farm: &Farm| farm.status().and_then(|status| status["store"]["lanes"]["events"]["committed"].as_u64());
        let before = committed(&self.farm);
        let noted = self.farm.ask(&["note", "here", "--by", "test"]);
        assert_eq!(noted.code, Some(0), "{}", noted.err);
        self.farm.until("the note is kept", |farm| committed(farm) > before);
    }

    /// The secrets reach their servers alone.
    #[track_caller]
    fn check_secrets(&self) {
        let process = PathBuf::from(format!("/proc/{}", self.farm.process()));
        let mut places = vec![
            ("the log", self.farm.log().into_bytes()),
            ("status", self.farm.status().unwrap().to_string().into_bytes()),
            ("the process list", fs::read(process.join("cmdline")).unwrap()),
            ("the environment", fs::read(process.join("environ")).unwrap()),
        ];
        for entry in fs::read_dir(self.farm.data()).unwrap() {
            places.extend(fs::read(entry.unwrap().path()).ok().map(|bytes| ("the data folder", bytes)));
        }
        assert!(places.iter().any(|(place, bytes)| *place == "the data folder" && bytes.len() > 1000));
        for (place, bytes) in places {
            for secret in [TOKEN, SECRET] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "a secret is in {place}");
            }
        }
    }
}

fn channel(farm: &Farm, name: &str) -> Option<Value> {
    let status = farm.status()?;
    status["notify"]["channels"].as_array()?.iter().find(|channel| channel["channel"] == name).cloned()
}

fn waits(farm: &Farm, name: &str) -> Option<u64> {
    channel(farm, name)?["waiting"].as_u64()
}

/// What a channel last could not tell.
fn failure(farm: &Farm, name: &str) -> Value {
    channel(farm, name).map(|channel| channel["last_failure"].clone()).unwrap_or_default()
}

const STORY: &str = r#"
[agent.bus_down]
for = "0s"
[sensors."shed/door"]
quantity = "contact"
input = "line:shed/door"
[rules.mild]
sensor = 'room/a'
above = 50
severity = 'preventive'
message = "{name} bei {value} {unit}: „etwas“ zu hoch"
[rules.hot]
sensor = 'room/b'
above = 60
severity = 'critical'
message = "Gewächshaus 🌡 {value} {unit}\n=?über? \"{limit}\""
advice = "Öffne die Lüftung 'Süd',\ndann \"Nord\" ✅"
[rules.leak]
sensor = 'room/c'
above = 70
severity = 'urgent'
"#;

#[test]
fn an_alert_that_fires_escalates_is_acknowledged_and_resolves() {
    let mut story = Story::new("receivers-story", STORY, Paging { max_per_hour: 1000, wait: "10m" });
    story.farm.write_site("[bus.shed]\nkind = 'line'\nport = '/dev/there-is-none'\n");
    story.farm.start();
    story.after(0, "a=40 b=40 c=40");
    // A line that is not there.
    story.until_came(1, 1);
    let acknowledge = |story: &Story, alert: &str, span: &str| {
        let run = story.farm.ask(&["ack", alert, "--for", span, "--by", "Zoë"]);
        assert_eq!(run.code, Some(0), "{}", run.err);
    };
    acknowledge(&story, "1", "1d");
    story.after(10 * SECOND_MS, "a=51.5");
    story.until_came(2, 2);
    story.after(10 * SECOND_MS, "b=61");
    story.until_came(3, 3);
    // No acknowledgement: the first becomes a warning, then the second urgent.
    story.after(10 * MINUTE_MS - 10 * SECOND_MS, "a=51.5");
    story.until_came(4, 4);
    story.after(10 * SECOND_MS, "b=62");
    story.until_came(5, 5);
    acknowledge(&story, "3", "30m");
    story.after(9 * MINUTE_MS, "a=40");
    story.until_came(6, 6);
    // The acknowledgement runs out; then that is over too.
    story.after(21 * MINUTE_MS, "b=62");
    story.until_came(7, 7);
    story.after(10 * SECOND_MS, "b=40");
    story.until_came(8, 8);
    story.after(10 * SECOND_MS, "c=99.9");
    story.until_came(9, 9);
    story.phone.check_golden("story");
    story.office.check_golden("story");
    story.check_secrets();
}

fn rules(severities: &[&str]) -> String {
    let rule = |(sensor, severity): (&&str, &&str)| {
        format!("[rules.high-{sensor}]\nsensor = 'room/{sensor}'\nabove = 50\nseverity = '{severity}'\n")
    };
    SENSORS.iter().zip(severities).map(rule).collect()
}

#[test]
fn a_burst_over_the_cap_is_told_as_one_and_none_is_dropped() {
    let severities = ["warning", "preventive", "urgent", "critical", "warning", "preventive"];
    let mut story = Story::new("receivers-burst", &rules(&severities), Paging { max_per_hour: 4, wait: "2h" });
    story.farm.start();
    story.after(0, "a=1 b=1 c=1 d=1 e=1 f=1");
    // While the first is under way, the others come.
    story.phone.order("wait");
    story.office.order("wait");
    story.after(10 * SECOND_MS, "a=60");
    story.until_came(1, 1);
    story.after(10 * SECOND_MS, "b=60 c=60 d=60 e=60 f=60");
    for channel in ["phone", "office"] {
        story.until_waiting(channel, 6);
    }
    story.phone.order("");
    story.office.order("");
    for receiver in [&story.phone, &story.office] {
        fs::write(receiver.folder.join("go"), "").unwrap();
    }
    story.until_came(2, 2);
    story.phone.check_golden("burst");
    story.office.check_golden("burst");
    // Half of the cap went at once. A later page waits for its share of the hour.
    story.after(MINUTE_MS, "c=1");
    story.until_waiting("phone", 1);
    story.after(29 * MINUTE_MS, "c=1");
    story.until_came(3, 3);
    let all = story.phone.shown();
    for sensor in SENSORS {
        assert!(all.contains(&format!("room/{sensor} 60.0")), "{sensor} was dropped:\n{all}");
    }
}

#[test]
fn a_receiver_that_is_down_or_refuses_is_told_later_and_only_a_repeat_says_so() {
    let mut story = Story::new("receivers-down", &rules(&["warning"; 6]), Paging { max_per_hour: 1000, wait: "2h" });
    story.farm.start();
    story.after(0, "a=1 b=1 c=1 d=1 e=1 f=1");
    story.phone.stop();
    story.after(10 * SECOND_MS, "a=60");
    story.until_came(0, 1);
    story.until_failed("phone", "refused");
    // The alert escalates meanwhile; the office hears of it at once.
    story.after(120 * MINUTE_MS, "a=60");
    story.until_came(0, 2);
    story.until_waiting("phone", 1);
    story.phone.start();
    story.after(6 * MINUTE_MS, "a=60");
    story.until_came(1, 2);
    story.until_waiting("phone", 0);
    for (sensor, order, said, wait) in [
        ("b", "500", "answered 500", MINUTE_MS),
        ("c", "429 600", "answered 429", 10 * MINUTE_MS),
        ("d", "401", "answered 401", 5 * MINUTE_MS),
        // The page was taken, and the answer is lost: this one alone may have been read.
        ("e", "hang-up", "", MINUTE_MS),
    ] {
        let (phone, office) = (story.phone.requests().len(), story.office.requests().len());
        story.phone.order(order);
        story.after(10 * SECOND_MS, &format!("{sensor}=60"));
        story.until_came(phone + 1, office + 1);
        story.until_failed("phone", said);
        if order != "hang-up" && order != "500" {
            // Not before the server wants it.
            story.after(wait - 10 * SECOND_MS, "f=1");
            story.until_heard();
            assert_eq!(story.phone.requests().len(), phone + 1, "{}", story.phone.shown());
        }
        story.after(wait, "f=1");
        story.until_came(phone + 2, office + 1);
        story.until_waiting("phone", 0);
    }
    let repeats: Vec<bool> = story.phone.titles().iter().map(|title| title.starts_with("Repeat: ")).collect();
    assert_eq!(repeats, [false, false, false, false, false, true], "{}", story.phone.shown());
    story.phone.check_golden("down");
    // A page that can never be sent is counted in the next.
    story.phone.order("413");
    story.after(10 * SECOND_MS, "f=60");
    story.until_failed("phone", "answered 413");
    story.until_waiting("phone", 0);
    story.after(MINUTE_MS, "f=1");
    story.farm.until("the next one", |_| story.phone.shown().contains("1 earlier notice could not be delivered."));
}

#[test]
fn what_waited_twelve_hours_is_only_counted() {
    let mut story = Story::new("receivers-old", &rules(&["warning"; 2]), Paging { max_per_hour: 1000, wait: "1d" });
    story.farm.start();
    story.after(0, "a=1 b=1");
    story.phone.stop();
    story.after(10 * SECOND_MS, "a=60");
    story.until_came(0, 1);
    story.until_failed("phone", "refused");
    story.after(12 * 60 * MINUTE_MS, "a=60");
    story.until_waiting("phone", 0);
    story.phone.start();
    story.after(10 * MINUTE_MS, "b=60");
    story.until_came(1, 2);
    story.phone.check_golden("old");
}

#[test]
fn killed_between_sending_and_noting_it_tells_again_under_the_same_id_and_says_so() {
    let mut story = Story::new("receivers-kill", &rules(&["warning"; 2]), Paging { max_per_hour: 1000, wait: "2h" });
    story.farm.start();
    story.after(0, "a=1 b=1");
    story.phone.order("wait");
    story.after(10 * SECOND_MS, "a=60");
    story.until_came(1, 1);
    story.until_waiting("office", 0);
    story.until_kept();
    story.farm.kill();
    // The answer finds no agent.
    fs::write(story.phone.folder.join("go"), "").unwrap();
    story.farm.start();
    story.after(10 * SECOND_MS, "a=60");
    story.until_came(2, 1);
    story.until_waiting("phone", 0);
    story.until_kept();
    story.farm.kill();
    // The delivery is noted now, on both channels: only the news is told.
    story.farm.start();
    story.after(10 * SECOND_MS, "b=60");
    story.until_came(3, 2);
    let requests = story.phone.requests();
    let ids: Vec<&str> = requests.iter().map(|request| request["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("pi-1-1-1-") && ids[0] == ids[1], "{ids:?}");
    let (first, news) = (ids[0].rsplit('-').next(), ids[2].rsplit('-').next());
    assert!(!ids[2].starts_with("pi-1-1-") && first != news, "another alert of another run: {ids:?}");
    let first = story.phone.titles()[0].clone();
    assert_eq!(story.phone.titles()[1], format!("Repeat: {first}"));
    assert!(!story.phone.titles()[2].starts_with("Repeat"), "{:?}", story.phone.titles());
    assert!(story.office.requests().iter().all(|request| request["came_before"] == false), "{}", story.office.shown());
}

#[test]
fn a_wrong_secret_is_refused_and_a_mended_one_is_read_again() {
    let mut story = Story::new("receivers-secret", &rules(&["warning"]), Paging { max_per_hour: 1000, wait: "2h" });
    story.put_secret("phone", "tk_of_somebody_else");
    story.put_secret("office", "falsch");
    story.farm.start();
    story.after(0, "a=1");
    story.after(10 * SECOND_MS, "a=60");
    story.until_came(1, 1);
    story.until_failed("phone", "answered 401 Unauthorized");
    story.until_failed("office", "signed with another secret");
    story.put_secret("phone", TOKEN);
    story.put_secret("office", SECRET);
    story.after(6 * MINUTE_MS, "a=60");
    story.until_came(2, 2);
    story.phone.check_golden("secret");
    story.office.check_golden("secret");
    story.check_secrets();
    let status = story.farm.status().unwrap().to_string();
    assert!(!status.contains("falsch") && !story.farm.log().contains("falsch"), "{status}");
}

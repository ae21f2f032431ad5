//! Channels against real receivers: servers in their own threads that are well, down, slow, or talk nonsense.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc as sync;
use std::time::{Duration, Instant};

use tilth_config::SecretName;
use tilth_core::escalate::Cause;
use tilth_core::plan::Severity;
use tilth_core::time::Span;
use tilth_notify::message::{DeliveryStatus, REFUSED_TRIES};
use tilth_notify::notification::{Kind, Notification};

use super::dispatch::ChannelsByAlert;
use super::to_decide;
use super::*;
use crate::clock::{Anchor, ClockMode, Trust};

/// Notifications as the tests of `tilth-notify` use them.
#[path = "../../notify/src/notification/samples.rs"]
mod samples;

use samples::WALL;
pub(super) use samples::{page, resolved};

/// A request as a receiver read it.
#[derive(Debug)]
struct Received {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// What a receiver does with the next request.
enum Answer {
    Http(&'static str),
    Nonsense,
    /// What many a server of https says to plain words.
    Alert,
    Hangup,
    Slow,
}

/// A server on a free port that gives these answers in turn, and then accepts everything.
struct Receiver {
    url: String,
    requests: sync::Receiver<Received>,
}

impl Receiver {
    fn start(answers: Vec<Answer>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = sync::channel();
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(received) = read_request(&stream) else { continue };
                if sender.send(received).is_err() {
                    return;
                }
                let answer = match answers.next().unwrap_or(Answer::Http("200 OK\r\nContent-Length: 2\r\n\r\nok")) {
                    Answer::Http(answer) => format!("HTTP/1.1 {answer}"),
                    Answer::Nonsense => "\u{0}\u{1}garbage\r\n\r\n".to_owned(),
                    Answer::Alert => "\x15\x03\x01\x00\x02\x02\x46".to_owned(),
                    Answer::Hangup => String::new(),
                    Answer::Slow => {
                        std::thread::spawn(move || {
                            std::thread::sleep(Duration::from_secs(60));
                            drop(stream);
                        });
                        continue;
                    }
                };
                // The other side may have gone already.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Receiver { url, requests }
    }

    fn next(&self) -> Received {
        self.requests.recv_timeout(Duration::from_secs(30)).expect("a request")
    }
}

/// One request of a connection; `Connection: close` is not needed, for each answer ends it.
fn read_request(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { line: line.trim_end().to_owned(), headers, body })
}

/// A configuration folder with two secrets.
struct Config(std::path::PathBuf);

impl Config {
    fn new(name: &str) -> Config {
        let folder = std::env::temp_dir().join(format!("tilth-notify-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("secrets")).unwrap();
        let config = Config(folder);
        config.write("phone", "tk_secret");
        config.write("hook", "key");
        config
    }

    fn write(&self, name: &str, value: &str) {
        let path = self.0.join("secrets").join(name);
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn id(name: &str) -> Id {
    Id::new(name).unwrap()
}

fn ntfy(url: &str) -> Channel {
    let target = Target::Ntfy { url: url.to_owned(), topic: "farm".to_owned() };
    Channel { target, secret: SecretName::new("phone"), max_per_hour: Some(1000), blocked: None }
}

fn webhook(url: &str) -> Channel {
    let target = Target::Webhook { url: format!("{url}/tilth") };
    Channel { target, secret: SecretName::new("hook"), max_per_hour: Some(1000), blocked: None }
}

/// The task with its channels, on a clock that runs a hundred times faster, so that its waits are short.
struct Running {
    requests: mpsc::Sender<NotifyRequest>,
    deliveries: mpsc::Receiver<Delivery>,
}

impl Running {
    async fn tell(&self, notification: Notification, channels: &[&str]) {
        let channels = channels.iter().map(|name| id(name)).collect();
        self.requests.send(NotifyRequest::Dispatch(Request::Page(Box::new(notification), channels))).await.unwrap();
    }

    /// What became of the next notification, as `CHANNEL ID STATUS`.
    async fn status(&mut self) -> String {
        let deliveries = tokio::time::timeout(Duration::from_secs(40), self.deliveries.recv()).await;
        let Delivery { channel, outcome } = deliveries.expect("an outcome in time").unwrap();
        format!("{channel} {} {}", outcome.notification, outcome.status.name())
    }
}

fn run_test<F: Future<Output = ()>>(config: &Config, channels: &[(&str, Channel)], test: impl FnOnce(Running) -> F) {
    let clock = Clock::new(ClockMode::Scaled(100));
    let offset_ms = WALL - clock.uptime().0;
    clock.trust(Anchor { offset_ms, trust: Trust::Stated, error: None });
    let channels = channels.iter().map(|(name, channel)| (id(name), channel.clone())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let secrets = Secrets::of(&config.0);
    runtime.block_on(async {
        let (requests, inbox) = mpsc::channel(REQUESTS);
        let (outcomes, deliveries) = mpsc::channel(64);
        requests.send(NotifyRequest::Dispatch(Request::Channels(channels, ChannelsByAlert::default()))).await.unwrap();
        tokio::select! {
            () = run((secrets, config.0.clone()), clock, Ports::default(), inbox, outcomes, to_decide::channel().0) => panic!("ended"),
            () = test(Running { requests, deliveries }) => {}
        }
    });
}

#[test]
fn ntfy_gets_title_priority_tags_and_token() {
    let config = Config::new("ntfy");
    let receiver = Receiver::start(vec![]);
    run_test(&config, &[("phone", ntfy(&receiver.url))], async |mut running| {
        running.tell(page(12, 1, Severity::Critical, Cause::Fired), &["phone"]).await;
        assert_eq!(running.status().await, "phone pi-12-1 sent");
        let mut degree = page(13, 1, Severity::Urgent, Cause::Fired);
        degree.details.message = "21.5 °C".to_owned();
        running.tell(degree, &["phone"]).await;
        assert_eq!(running.status().await, "phone pi-13-1 sent");
        running.requests.send(NotifyRequest::Dispatch(Request::Resolved(Box::new(resolved(12))))).await.unwrap();
        assert_eq!(running.status().await, "phone pi-12-resolved sent");
    });
    let first = receiver.next();
    assert_eq!(first.line, "POST /farm HTTP/1.1");
    for (name, value) in [
        ("title", "Critical: EC 2.93 in tower-1, limit 2.8"),
        ("priority", "5"),
        ("tags", "rotating_light"),
        ("authorization", "Bearer tk_secret"),
        ("x-sequence-id", "pi-12-1"),
    ] {
        assert_eq!(first.header(name), value);
    }
    let body = String::from_utf8(first.body).unwrap();
    assert!(body.starts_with("Dilute the tank.\nNow 2.93 mS/cm, limit 2.8 mS/cm\nFor "), "{body}");
    let second = receiver.next();
    assert_eq!(second.header("title"), "=?UTF-8?B?VXJnZW50OiAyMS41IMKwQw==?=");
    assert_eq!(second.header("priority"), "5");
    let third = receiver.next();
    assert_eq!((third.header("priority"), third.header("tags")), ("2", "white_check_mark,resolved"));
}

#[test]
fn a_webhook_is_told_why_an_input_fails() {
    let config = Config::new("hook-why");
    let receiver = Receiver::start(vec![]);
    let why = "\"Temp\" fits \"Air Temp\" and \"Water Temp\"";
    run_test(&config, &[("hook", webhook(&receiver.url))], async |mut running| {
        let page = Notification { why: Some(why.to_owned()), ..page(12, 1, Severity::Critical, Cause::Fired) };
        running.tell(page, &["hook"]).await;
        assert_eq!(running.status().await, "hook pi-12-1 sent");
    });
    let body: serde_json::Value = serde_json::from_slice(&receiver.next().body).unwrap();
    assert_eq!(body["events"][0]["why"], why);
}

#[test]
fn a_webhook_can_check_who_sent_it_and_when() {
    let config = Config::new("hook");
    let receiver = Receiver::start(vec![]);
    run_test(&config, &[("hook", webhook(&receiver.url))], async |mut running| {
        running.tell(page(12, 1, Severity::Critical, Cause::Fired), &["hook"]).await;
        assert_eq!(running.status().await, "hook pi-12-1 sent");
    });
    let received = receiver.next();
    assert_eq!(received.line, "POST /tilth HTTP/1.1");
    // As a receiver checks it: over the bytes that came, with the key that both know.
    let signature = received.header("x-tilth-signature").strip_prefix("sha256=").unwrap();
    let bytes = hex::decode(signature).unwrap();
    let key = |text: &str| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, text.as_bytes());
    ring::hmac::verify(&key("key"), &received.body, &bytes).expect("signed with the key");
    ring::hmac::verify(&key("other"), &received.body, &bytes).expect_err("and with no other");

    let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    let sent_at = body["sent_at"].as_i64().unwrap();
    assert_eq!(received.header("x-tilth-timestamp"), sent_at.to_string());
    assert!((WALL..WALL + 6_000_000).contains(&sent_at));
    assert_eq!(received.header("idempotency-key"), "pi-12-1");
    let text = String::from_utf8(received.body).unwrap().replace(&sent_at.to_string(), "NOW");
    let expected = concat!(
        r#"{"notification":"pi-12-1","repeat":false,"sent_at":NOW,"undelivered":0,"events":[{"notification":"pi-12-1","#,
        r#""repeat":false,"event":"notify","alert":12,"zone":"tower-1","rule":"ec-high","sensor":"tower-1/ec","#,
        r#""state":"firing","severity":"critical","reason":"fired","value":2.93,"limit":2.8,"unit":"mS/cm","#,
        r#""at":"2026-03-01T06:35:00Z","since":"2026-03-01T06:30:00Z","reading_ts":1772346899000,"#,
        r#""message":"EC 2.93 in tower-1, limit 2.8","advice":"Dilute the tank.","undelivered_pages":0}]}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn a_server_that_fails_in_every_way_gets_it_in_the_end_once() {
    let config = Config::new("failing");
    let receiver = Receiver::start(vec![
        Answer::Http("500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        Answer::Http("429 Too Many Requests\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n"),
        Answer::Http("401 Unauthorized\r\nContent-Length: 5\r\n\r\nno\x07no"),
        Answer::Http("302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"),
        Answer::Nonsense,
        Answer::Hangup,
    ]);
    run_test(&config, &[("phone", ntfy(&receiver.url))], async |mut running| {
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["phone"]).await;
        for attempt in 1..=6 {
            assert_eq!(running.status().await, "phone pi-1-1 retrying", "attempt {attempt}");
            if attempt == 2 {
                config.write("phone", "tk_new");
            }
        }
        assert_eq!(running.status().await, "phone pi-1-1 sent");
    });
    let requests: Vec<Received> = (0..7).map(|_| receiver.next()).collect();
    assert!(requests.iter().all(|request| request.header("x-tilth-notification") == "pi-1-1"));
    let repeats: Vec<bool> = requests.iter().map(|request| request.header("title").starts_with("Repeat: ")).collect();
    assert_eq!(repeats, [false, false, false, false, false, true, true], "after an answer was lost it may be one");
    let tokens: Vec<&str> = requests.iter().map(|request| request.header("authorization")).collect();
    let (old, new) = ("Bearer tk_secret", "Bearer tk_new");
    assert_eq!(tokens, [old, old, old, new, new, new, new], "read again after the refusal");
}

#[test]
fn a_secret_outlives_its_file() {
    let config = Config::new("outlives");
    let receiver = Receiver::start(vec![
        Answer::Http("500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        Answer::Http("401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        Answer::Http("403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
    ]);
    run_test(&config, &[("phone", ntfy(&receiver.url))], async |mut running| {
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["phone"]).await;
        assert_eq!(running.status().await, "phone pi-1-1 retrying");
        std::fs::remove_file(config.0.join("secrets/phone")).unwrap();
        let channels = [(id("phone"), ntfy(&receiver.url))].into();
        running
            .requests
            .send(NotifyRequest::Dispatch(Request::Channels(channels, ChannelsByAlert::default())))
            .await
            .unwrap();
        assert_eq!(running.status().await, "phone pi-1-1 retrying");
        assert_eq!(running.status().await, "phone pi-1-1 retrying");
        config.write("phone", "tk_new");
        assert_eq!(running.status().await, "phone pi-1-1 sent");
    });
    let tokens: Vec<String> = (0..4).map(|_| receiver.next().header("authorization").to_owned()).collect();
    let (old, new) = ("Bearer tk_secret", "Bearer tk_new");
    assert_eq!(tokens, [old, old, old, new]);
}

#[test]
fn a_slow_server_and_one_that_is_away_delay_no_other() {
    let config = Config::new("slow");
    let slow = Receiver::start(vec![Answer::Slow]);
    let well = Receiver::start(vec![]);
    let away = TcpListener::bind("127.0.0.1:0").unwrap();
    let away_url = format!("http://{}", away.local_addr().unwrap());
    drop(away);
    let channels =
        [("slow", ntfy(&slow.url)), ("well", webhook(&well.url)), ("away", ntfy(&away_url)), ("log", Channel::LOG)];
    run_test(&config, &channels, async |mut running| {
        let began = Instant::now();
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["slow", "away", "well", "log"]).await;
        let mut fates = vec![running.status().await, running.status().await, running.status().await];
        fates.retain(|status| !status.starts_with("away"));
        fates.sort();
        assert!(
            fates.contains(&"well pi-1-1 sent".to_owned()) || fates.contains(&"log pi-1-1 sent".to_owned()),
            "{fates:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        while running.status().await != "slow pi-1-1 retrying" {}
        assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
        while running.status().await != "slow pi-1-1 sent" {}
    });
    assert_eq!(well.next().header("x-tilth-notification"), "pi-1-1");
    assert!(well.requests.try_recv().is_err(), "told once");
}

#[test]
fn a_secret_that_is_missing_is_said_and_looked_for_again() {
    let config = Config::new("missing");
    let receiver = Receiver::start(vec![]);
    std::fs::remove_file(config.0.join("secrets/hook")).unwrap();
    run_test(&config, &[("hook", webhook(&receiver.url))], async |mut running| {
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["hook"]).await;
        let deliveries = running.deliveries.recv().await.unwrap();
        let reason = deliveries.outcome.reason.unwrap();
        assert!(reason.starts_with("secret: there is no ") && reason.ends_with("secrets/hook"), "{reason}");
        assert_eq!(deliveries.outcome.status, DeliveryStatus::Retrying);
        config.write("hook", "key");
        assert_eq!(running.status().await, "hook pi-1-1 sent");
    });
}

#[test]
fn a_changed_address_is_tried_at_once_and_shown_without_its_path() {
    let config = Config::new("moved");
    let receiver = Receiver::start(vec![Answer::Http("404 Not Found\r\nContent-Length: 0\r\n\r\n")]);
    let url = |path: &str| receiver.url.replace("http://", "http://kim:s3cret@") + path;
    let status_of = async |running: &Running| {
        let (answer, looked) = oneshot::channel();
        running.requests.send(NotifyRequest::Status(answer)).await.unwrap();
        looked.await.unwrap().remove(0)
    };
    run_test(&config, &[("phone", ntfy(&url("/wrong")))], async |mut running| {
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["phone"]).await;
        assert_eq!(running.status().await, "phone pi-1-1 retrying");
        let looked = status_of(&running).await;
        let failure = looked.failure.unwrap();
        assert_eq!((looked.server, looked.waiting), (Some(receiver.url.clone()), 1));
        assert!(failure.reason.starts_with("answered 404") && failure.over.is_none(), "{failure:?}");
        assert!(matches!(looked.next, Some(Next::At(at)) if at > failure.at + Span::from_mins(4)), "{:?}", looked.next);
        let channels = [(id("phone"), ntfy(&url("")))].into();
        running
            .requests
            .send(NotifyRequest::Dispatch(Request::Channels(channels, ChannelsByAlert::default())))
            .await
            .unwrap();
        assert_eq!(running.status().await, "phone pi-1-1 sent");
        let looked = status_of(&running).await;
        assert_eq!((looked.failure, looked.next, looked.waiting), (None, None, 0));
    });
}

#[test]
fn what_a_channel_lacks_is_seen_before_anybody_is_told_and_until_it_is_there() {
    let config = Config::new("lacks");
    std::fs::remove_file(config.0.join("secrets/hook")).unwrap();
    let url = "http://127.0.0.1:1";
    run_test(&config, &[("hook", webhook(url)), ("phone", ntfy(url))], async |running| {
        let unavailable = async || {
            let (answer, answered) = oneshot::channel();
            running.requests.send(NotifyRequest::Status(answer)).await.unwrap();
            answered
                .await
                .unwrap()
                .into_iter()
                .map(|status| (status.channel, status.unavailable))
                .collect::<BTreeMap<_, _>>()
        };
        let mut found = unavailable().await;
        while found[&id("hook")].is_none() {
            tokio::task::yield_now().await;
            found = unavailable().await;
        }
        let reason = found[&id("hook")].clone().unwrap();
        assert!(reason.starts_with("secret: there is no ") && reason.ends_with("secrets/hook"), "{reason}");
        assert_eq!(found[&id("phone")], None);
        config.write("hook", "key");
        while unavailable().await[&id("hook")].is_some() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_server_that_wants_https_is_named_as_one() {
    let config = Config::new("https");
    let receiver = Receiver::start(vec![Answer::Alert]);
    run_test(&config, &[("phone", ntfy(&receiver.url))], async |mut running| {
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["phone"]).await;
        let reason = running.deliveries.recv().await.unwrap().outcome.reason.unwrap();
        assert_eq!(reason, "invalid HTTP version parsed; it may want https, as url then has to say");
    });
}

const REFUSED: Answer = Answer::Http("400 Bad Request\r\nContent-Length: 7\r\n\r\ntoo odd");

/// Guards against: a receiver that restarts and answers 400 once, and a page that is never delivered.
#[test]
fn what_a_server_refuses_it_may_take_later() {
    let config = Config::new("refused-twice");
    let receiver = Receiver::start(vec![REFUSED, REFUSED]);
    run_test(&config, &[("phone", ntfy(&receiver.url)), ("log", Channel::LOG)], async |mut running| {
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["phone"]).await;
        for expected in ["phone pi-1-1 retrying", "phone pi-1-1 retrying", "phone pi-1-1 sent"] {
            assert_eq!(running.status().await, expected);
        }
    });
}

#[test]
fn what_a_server_always_refuses_another_channel_tells_and_says_why() {
    let config = Config::new("refused");
    let refusing = Receiver::start((0..20).map(|_| REFUSED).collect());
    let hook = Receiver::start(vec![]);
    let channels = [("hook", webhook(&hook.url)), ("phone", ntfy(&refusing.url))];
    run_test(&config, &channels, async |mut running| {
        running.tell(page(1, 1, Severity::Urgent, Cause::Fired), &["phone"]).await;
        for _ in 1..REFUSED_TRIES {
            assert_eq!(running.status().await, "phone pi-1-1 retrying");
        }
        let Delivery { channel, outcome } = running.deliveries.recv().await.unwrap();
        assert_eq!((channel, outcome.status, outcome.instead), (id("phone"), DeliveryStatus::Failed, Some(id("hook"))));
        assert_eq!(outcome.reason.as_deref(), Some("answered 400 Bad Request: too odd"));
        assert_eq!(running.status().await, "hook pi-1-1-instead-of-phone sent");
        running.requests.send(NotifyRequest::Dispatch(Request::Resolved(Box::new(resolved(1))))).await.unwrap();
        assert_eq!(running.status().await, "hook pi-1-resolved sent");
    });
    let body: serde_json::Value = serde_json::from_slice(&hook.next().body).unwrap();
    let event = &body["events"][0];
    assert_eq!((&event["notification"], &event["instead_of"][0]), (&"pi-1-1-instead-of-phone".into(), &"phone".into()));
}

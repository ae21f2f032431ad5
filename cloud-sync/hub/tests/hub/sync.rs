//! Batches over HTTP.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value as Json, json};

use crate::client::{Reply, Request};
use crate::served::{Made, Served, batch, stdout};

const PATH: &str = "/api/v1/sync/batch";

fn farm() -> (Served, String, String) {
    let made = Made::new();
    let (reader, device) = (made.tenant("acme"), made.device("acme", "pi-7"));
    (made.serve(), reader, device)
}

fn acmes(minutes: i64) -> Json {
    batch("acme", "pi-7", "tower-1/ph", minutes)
}

#[test]
fn a_batch_is_confirmed_and_outlives_a_kill() {
    let (served, reader, device) = farm();
    let first = served.batch(&device, &acmes(3)).ok();
    assert_eq!(first["confirmed"], json!({"events": 2, "windows": 3, "diagnostics": 0}));
    assert_eq!(first["epoch"].as_str().unwrap().len(), 32);
    assert_eq!(first.get("poison"), None);
    let served = served.kill_and_serve();
    let again = served.batch(&device, &acmes(5)).ok();
    assert_eq!(again["confirmed"]["windows"], 5);
    assert_eq!(again["epoch"], first["epoch"]);
    let data = served.get("/api/data?sensor=tower-1/ph&from=0", &reader).ok();
    assert_eq!(data["windows"].as_array().unwrap().len(), 5);
}

#[test]
fn bodies_may_be_packed() {
    let (served, _, device) = farm();
    let plain = acmes(3).to_string().into_bytes();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&plain).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&plain).unwrap();
    for (coding, body) in [("identity", plain), ("gzip", gzip.finish().unwrap()), ("deflate", zlib.finish().unwrap())] {
        let reply = Request::post(PATH, &device, body).header("content-encoding", coding).send(served.address);
        assert_eq!(reply.ok()["confirmed"]["windows"], 3, "{coding}");
    }
}

#[test]
fn what_is_no_batch_is_refused_with_the_place() {
    let (served, _, device) = farm();
    let changed = |path: &str, value: Json| {
        let mut batch = acmes(2);
        *batch.pointer_mut(path).unwrap() = value;
        batch.to_string()
    };
    let post = |body: &str| Request::post(PATH, &device, body).send(served.address).refused();
    for (body, expected) in [
        (String::new(), "expected a batch: it ends too early (line 1, column 0)"),
        ("garbage".into(), "expected a batch: it is not JSON (line 1, column 1)"),
        ("[]".into(), "expected a batch: found a list, expected an object"),
        ("\u{0}".into(), "expected a batch: it is not JSON (line 1, column 1)"),
        (changed("/version", json!(2)), "version 2; expected 1"),
        (changed("/client", json!("ACME")), "expected a batch: client: id \"ACME\" contains 'A'"),
        (changed("/stream", json!("1")), "expected a batch: stream: expected 32 hex digits in lower case"),
        (changed("/lanes/windows/rows", json!([{"seq": "1"}])), "windows: sequence 2 was expected next"),
        (changed("/lanes/windows/last", json!(9)), "windows: sequence 3 was expected next"),
        (changed("/lanes/windows/first", json!(0)), "windows: the range 0 to 2 is empty"),
        (format!("{} {{}}", acmes(1)), "expected a batch and nothing after it"),
    ] {
        let (status, word, message) = post(&body);
        assert_eq!((status, word.as_str()), (400, "bad-request"), "{message}");
        assert!(message.starts_with(expected), "{message}");
    }
    let beyond = json!({"first": u64::MAX - 1, "last": u64::MAX - 1, "rows": [], "gaps": [
        {"first": u64::MAX - 1, "last": u64::MAX - 1, "kind": "lost", "reason": "x"}]});
    assert!(post(&changed("/lanes/windows", beyond)).2.contains("expected at most 2^63 - 1"));
    for (name, value, expected) in [
        ("content-encoding", "br", "Content-Encoding \"br\": expected gzip, deflate or identity"),
        ("content-encoding", "gzip", "the body is not gzip, as Content-Encoding says"),
        ("content-encoding", "deflate", "the body is not deflate (zlib), as Content-Encoding says"),
        ("content-type", "text/csv", "Content-Type \"text/csv\": expected application/json"),
    ] {
        let (status, _, message) =
            Request::post(PATH, &device, acmes(1).to_string()).header(name, value).send(served.address).refused();
        assert_eq!(status, 400);
        assert!(message.starts_with(expected), "{message}");
    }
    assert_eq!(served.batch(&device, &acmes(1)).ok()["confirmed"]["windows"], 1, "and the hub goes on");
}

#[test]
fn what_a_head_says_wrong_is_answered_before_the_body_has_come() {
    let (served, _, device) = farm();
    for (header, expected) in [
        ("content-encoding: br", "Content-Encoding \"br\": expected gzip, deflate or identity"),
        ("content-type: text/csv", "Content-Type \"text/csv\": expected application/json"),
    ] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head =
            format!("POST {PATH} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\nX-Device-Key: {device}\r\n{header}\r\n");
        write!(stream, "{head}content-length: 1000\r\n\r\n{{").unwrap();
        let (status, _, message) = Reply::read(&mut stream).refused();
        assert_eq!((status, message.as_str()), (400, expected));
    }
}

/// As a newer agent sends it, or a client with a mistake.
#[test]
fn a_row_that_cannot_be_read_is_quarantined_and_the_rest_is_taken() {
    let (served, reader, device) = farm();
    let mut batch = acmes(6);
    let rows = &mut batch["lanes"]["windows"]["rows"];
    rows[1]["quantity"] = json!("mood");
    rows[2]["start"]["uptime"] = json!("now");
    rows[3]["sums"] = Json::Null;
    rows[4]["colour"] = json!("red");
    rows[5]["seq"] = json!("6");
    batch["mood"] = json!("good");
    let answer = served.batch(&device, &batch).ok();
    assert_eq!(answer["confirmed"]["windows"], 6, "{answer}");
    let named: Vec<(u64, &str)> = answer["poison"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["seq"].as_u64().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(named.len(), 4, "{answer}");
    for (seq, expected) in [
        (2, "quantity: unknown word mood; expected one of temperature, "),
        (3, "start.uptime: found the text \"now\", expected a whole number that fits"),
        (4, "count 2: expected sums if and only if it is above 0"),
        (6, "seq: found the text \"6\", expected a whole number that fits"),
    ] {
        assert!(named.iter().any(|(of, reason)| *of == seq && reason.starts_with(expected)), "{seq}: {answer}");
    }
    let windows = served.get("/api/data?sensor=tower-1/ph&from=0", &reader).ok();
    assert_eq!(windows["windows"].as_array().unwrap().len(), 2, "{windows}");

    // The health report is the page that an operator reads.
    let health = served.get("/api/health", &reader).ok()["devices"][0].clone();
    assert_eq!((&health["quarantined"]["rows"], &health["unknown_keys"]), (&json!(4), &json!(2)), "{health}");
    let newest = &health["quarantined"]["newest"];
    assert!(newest.as_array().unwrap().len() == 4 && newest[0]["lane"] == "windows", "{health}");
    let listed = served.made.json(&["device", "list"]);
    assert_eq!((&listed["quarantined"], &listed["unknown_keys"]), (&json!(4), &json!(2)), "{listed}");
    assert!(listed["quarantine"].to_string().contains("mood"), "{listed}");
    let said = stdout(&served.made.run(&["device", "list"]));
    assert!(said.contains("4 rows quarantined, the newest at 20"), "{said}");
    assert!(said.contains("2 keys ignored that this hub does not know: update the hub"), "{said}");
}

#[test]
fn what_is_too_large_is_refused_packed_or_not() {
    let (served, _, device) = farm();
    let large = " ".repeat((1 << 20) + 1);
    assert_eq!(Request::post(PATH, &device, large.clone()).send(served.address).refused().1, "too-large");
    // A hundred megabytes in a few hundred kilobytes.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..100 {
        gzip.write_all(large.as_bytes()).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    assert!(bomb.len() < 1 << 18);
    let reply = Request::post(PATH, &device, bomb).header("content-encoding", "gzip").send(served.address);
    assert_eq!(reply.refused().1, "too-large");
    let rows: Vec<Json> = (1..=5001)
        .map(|seq| json!({"seq": seq, "at": {"boot": 1, "uptime": 1, "wall": null}, "kind": "note", "body": {}}))
        .collect();
    let mut many = acmes(1);
    many["lanes"] = json!({"events": {"first": 1, "last": 5001, "rows": rows}});
    let (status, word, message) = served.batch(&device, &many).refused();
    assert_eq!((status, word.as_str()), (413, "too-large"));
    assert!(message.starts_with("5002 rows: expected at most 5000"), "{message}");
}

#[test]
fn half_a_request_harms_nobody() {
    let (mut served, _, device) = farm();
    let mut half = TcpStream::connect(served.address).unwrap();
    write!(half, "POST {PATH} HTTP/1.1\r\nhost: hub\r\nX-Device-Key: {device}\r\ncontent-length: 1000\r\n\r\n{{")
        .unwrap();
    let mut nothing = TcpStream::connect(served.address).unwrap();
    nothing.write_all(b"\x16\x03\x01 not http\r\n\r\n").unwrap();
    let idle = TcpStream::connect(served.address).unwrap();
    assert_eq!(served.batch(&device, &acmes(1)).ok()["confirmed"]["windows"], 1);
    // Open connections hold up the end no longer than it may take.
    let (status, took) = served.stop("-TERM");
    assert!(status.success() && took.as_secs_f64() < 3.0, "{status} after {took:?}");
    drop((half, nothing, idle));
}

#[test]
fn two_agents_with_one_key_are_told_apart() {
    let (served, reader, device) = farm();
    served.batch(&device, &acmes(3)).ok();
    let conflict = |reply: Reply| {
        let (status, word, message) = reply.refused();
        assert_eq!((status, word.as_str()), (409, "stream-conflict"));
        message
    };
    // The same stream, but minute 1 was another one: a card that was copied.
    let mut copied = acmes(4);
    copied["lanes"]["windows"]["rows"][1]["sums"]["last"] = json!(681);
    let message = conflict(served.batch(&device, &copied));
    assert!(message.starts_with("windows: sequence 2 is known with other content"), "{message}");
    // The copied card goes on under a new stream, which is taken; the first agent goes on with the old one, which is not.
    let mut fresh = copied.clone();
    fresh["stream"] = json!(format!("{:032x}", 2));
    assert_eq!(served.batch(&device, &fresh).ok()["confirmed"]["windows"], 4);
    assert_eq!(served.batch(&device, &acmes(3)).status, 200, "a late packet");
    let message = conflict(served.batch(&device, &acmes(5)));
    assert!(message.starts_with("another stream of this device is alive"), "{message}");

    let data = served.get("/api/data?sensor=tower-1/ph&from=0", &reader).ok();
    let windows = data["windows"].as_array().unwrap();
    let last: Vec<f64> = windows.iter().map(|window| window["last"].as_f64().unwrap()).collect();
    assert_eq!(last, [6.81, 6.82, 6.83, 6.84], "no window twice, nothing overwritten");
    let alerts = served.get("/api/alerts", &reader).ok();
    let own = &alerts["alerts"][0];
    assert_eq!(own["message"], "two agents use this key");
    assert_eq!((&own["device"], &own["source"], &own["times"]), (&json!("pi-7"), &json!("hub"), &json!(2)));
    assert_eq!((&own["open"], &own["state"]), (&json!(true), &json!("firing")));
}

/// The examples of the page, in the order in which they stand there.
fn examples() -> Vec<Json> {
    let page = include_str!("../../../../docs/sync-protocol.md");
    let blocks = page.split("```json\n").skip(1);
    blocks.map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap()).collect()
}

#[test]
fn the_examples_of_the_page_are_true() {
    let (served, reader, device) = farm();
    let [refusal, sent, answer, time] = &examples()[..] else { panic!("four examples") };
    let keys = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(refusal), ["detail", "error", "message", "status", "title"]);
    let reply = served.batch(&device, sent).ok();
    assert_eq!(reply["confirmed"], answer["confirmed"]);
    assert!(keys(&reply).iter().all(|key| keys(answer).contains(key)), "{reply}");
    let target = "/api/v1/time?nonce=0123456789abcdef&client_id=acme&device_id=pi-7";
    assert_eq!(keys(&served.get(target, &reader).ok()), keys(time));
    let asked = "/api/data?sensor=tower-1/ph&from=2025-11-21T00:00:00Z&to=2025-11-21T00:01:00Z";
    let shown = served.get(asked, &reader).text();
    let page = include_str!("../../../../docs/sync-protocol.md").replace("\n ", "");
    assert!(page.contains(&shown), "{shown}");
}

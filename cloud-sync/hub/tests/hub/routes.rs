//! Every route with every kind of key. A route that is missing here fails the test.

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::client::{Reply, Request};
use crate::served::{Made, Served, batch, stdout};

/// What is expected of each route: who may call it, and how it is called about the tenant `acme`.
struct Expected {
    method: &'static str,
    path: &'static str,
    who: &'static str,
    query: &'static str,
}

const EXPECTED: [Expected; 11] = [
    Expected { method: "POST", path: "/api/v1/sync/batch", who: "device", query: "" },
    Expected { method: "GET", path: "/api/config/bundle", who: "device", query: "?client_id=acme&since_version=0" },
    Expected {
        method: "GET",
        path: "/api/v1/time",
        who: "anyone",
        query: "?client_id=acme&device_id=pi-7&nonce=0123456789abcdef",
    },
    Expected { method: "GET", path: "/api/v1/enrolment/ca", who: "anyone", query: "?code=0123456" },
    Expected { method: "POST", path: "/api/v1/enrolment", who: "anyone", query: "" },
    Expected { method: "GET", path: "/api/data/latest", who: "reader", query: "?device=pi-7" },
    Expected { method: "GET", path: "/api/data", who: "reader", query: "?sensor=orchard/ph&from=0" },
    Expected { method: "GET", path: "/api/events", who: "reader", query: "?device=pi-7" },
    Expected { method: "GET", path: "/api/alerts", who: "reader", query: "?state=all&device=pi-7" },
    Expected { method: "GET", path: "/api/health", who: "anyone, reader", query: "" },
    Expected { method: "GET", path: "/api/openapi.json", who: "anyone", query: "" },
];

/// Words that only `acme`'s own data holds.
const ACMES: [&str; 3] = ["orchard", "6.81", "pi-7"];

struct Farms {
    served: Served,
    /// Of `acme`: its reader, its device `pi-7` and another one.
    reader: String,
    device: String,
    other_device: String,
    /// Of `globex`.
    stranger_reader: String,
    stranger_device: String,
    revoked: String,
}

fn farms() -> Farms {
    let made = Made::new();
    let (reader, stranger_reader) = (made.tenant("acme"), made.tenant("globex"));
    let (device, other_device) = (made.device("acme", "pi-7"), made.device("acme", "pi-8"));
    let (stranger_device, revoked) = (made.device("globex", "pi-1"), made.device("acme", "pi-9"));
    made.json(&["device", "revoke", "pi-9", "--client", "acme"]);
    let config = made.folder.write(
        "config/a.toml",
        "[sensors.\"orchard/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\nresolution = 0.01\n",
    );
    made.json(&["config", "put", config.to_str().unwrap(), "--client", "acme", "--device", "pi-7"]);
    let served = made.serve();
    served.batch(&device, &acmes_batch()).ok();
    Farms { served, reader, device, other_device, stranger_reader, stranger_device, revoked }
}

fn acmes_batch() -> Json {
    batch("acme", "pi-7", "orchard/ph", 3)
}

fn call(served: &Served, expected: &Expected, key: Option<&str>) -> Reply {
    let target = format!("{}{}", expected.path, expected.query);
    let body = if expected.method == "POST" { acmes_batch().to_string().into_bytes() } else { Vec::new() };
    Request { method: expected.method, target: &target, key, headers: Vec::new(), body }.send(served.address)
}

#[test]
fn the_table_of_expectations_is_the_table_of_routes() {
    let done = Command::new(env!("CARGO_BIN_EXE_tilth-hub")).args(["routes", "--json"]).output().unwrap();
    let served: Vec<Json> = stdout(&done).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = EXPECTED.iter().map(|route| json!({"method": route.method, "path": route.path, "who": route.who}));
    assert_eq!(served, expected.collect::<Vec<_>>(), "a new route needs its line in the table of this test");
}

#[test]
fn a_key_reaches_what_it_is_for_and_nothing_else() {
    let farms = farms();
    let wrong_secret = format!("{}{}", &farms.reader[..farms.reader.len() - 64], "0".repeat(64));
    let other_prefix = farms.reader.replace("dev_rk_", "dev_ak_");
    for expected in &EXPECTED {
        let route = format!("{} {}", expected.method, expected.path);
        let status = |key: Option<&str>| call(&farms.served, expected, key);

        // No key, and keys that are none, are told nothing.
        for key in [None, Some("x"), Some(&wrong_secret), Some(&other_prefix), Some(&farms.revoked)] {
            let reply = status(key);
            if expected.path.starts_with("/api/v1/enrolment") {
                // A code takes the place of a key, and none was given.
                assert_eq!(
                    reply.refused().1,
                    if expected.method == "GET" { "unknown-code" } else { "bad-request" },
                    "{route}"
                );
                continue;
            }
            if expected.who == "anyone" {
                assert_eq!(reply.status, 200, "{route}");
                continue;
            }
            if expected.who == "anyone, reader" && key.is_none() {
                assert_eq!(reply.ok(), json!({"status": "ok"}), "{route}: nothing of any tenant");
                continue;
            }
            let (status, word, _) = reply.refused();
            assert_eq!((status, word.as_str()), (401, "unknown-key"), "{route} with {key:?}");
        }

        // The keys of the tenant open what they are for.
        let (opens, is_closed) = match expected.who {
            "device" => (vec![&farms.device], vec![&farms.reader, &farms.stranger_reader]),
            "reader" | "anyone, reader" => {
                (vec![&farms.reader], vec![&farms.device, &farms.other_device, &farms.stranger_device])
            }
            _ => (Vec::new(), Vec::new()),
        };
        for key in opens {
            let reply = status(Some(key));
            assert_eq!(reply.status, 200, "{route}: {}", reply.text());
        }
        for key in is_closed {
            let (status, word, _) = status(Some(key)).refused();
            assert_eq!((status, word.as_str()), (403, "forbidden"), "{route}");
        }

        // The right kind of key of somebody else finds nothing of this tenant, however it asks.
        let foreign: &[&String] = match expected.who {
            "device" => &[&farms.stranger_device],
            "reader" | "anyone, reader" => &[&farms.stranger_reader],
            _ => &[],
        };
        for key in foreign {
            let reply = status(Some(key));
            if expected.path != "/api/health" {
                assert!(matches!(reply.status, 403 | 404), "{route}: {} {}", reply.status, reply.text());
            }
            if expected.path != "/api/data" {
                // The refusal may say again what was asked for; nothing else.
                let text = reply.text().replace("there is no device pi-7", "");
                assert!(ACMES.iter().all(|word| !text.contains(word)), "{route}: {text}");
            }
            // And without naming anything.
            let bare =
                Request { method: expected.method, ..Request::get(expected.path, key) }.send(farms.served.address);
            assert!(ACMES.iter().all(|word| !bare.text().contains(word)), "{route}: {}", bare.text());
        }
    }
    // The tenant's own data is there to be seen.
    let health = farms.served.get("/api/health", &farms.reader).ok();
    assert_eq!(health["devices"].as_array().unwrap().len(), 3, "{health}");
    let health = farms.served.get("/api/health", &farms.stranger_reader).ok();
    assert_eq!(health["devices"].as_array().unwrap().len(), 1, "{health}");
}

#[test]
fn a_device_speaks_for_itself_alone() {
    let farms = farms();
    for (client, device) in [("acme", "pi-7"), ("globex", "pi-1"), ("acme", "nobody")] {
        let reply = farms.served.batch(&farms.other_device, &batch(client, device, "orchard/ph", 1));
        assert_eq!(reply.refused(), (403, "forbidden".into(), "this key is of acme/pi-8".into()));
    }
    let bundle = farms.served.get("/api/config/bundle?client_id=acme&since_version=0", &farms.other_device);
    assert_eq!(bundle.refused(), (404, "not-found".into(), "device pi-8 has no configuration yet".into()));
    let bundle = farms.served.get("/api/config/bundle?client_id=globex&since_version=0", &farms.other_device);
    assert_eq!(bundle.refused(), (403, "forbidden".into(), "this key is of acme/pi-8".into()));
}

#[test]
fn what_is_not_there_is_refused_in_json_too() {
    let farms = farms();
    for (method, target) in [("GET", "/"), ("GET", "/api"), ("GET", "/api/data/"), ("GET", "/../hub.db")] {
        let reply = Request { method, ..Request::get(target, &farms.reader) }.send(farms.served.address);
        let (status, word, _) = reply.refused();
        assert_eq!((status, word.as_str()), (404, "not-found"), "{method} {target}");
    }
}

#[test]
fn a_wrong_method_is_told_the_right_one() {
    let farms = farms();
    for route in &EXPECTED {
        let allowed = if route.method == "GET" { "GET, HEAD" } else { "POST" };
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            if method == route.method {
                continue;
            }
            for key in [None, Some(farms.reader.as_str())] {
                let request = Request { method, key, ..Request::get(route.path, "") };
                let reply = request.send(farms.served.address);
                assert_eq!(reply.header("allow"), Some(allowed), "{method} {}", route.path);
                let (status, word, message) = reply.refused();
                assert_eq!((status, word.as_str()), (405, "method-not-allowed"));
                assert_eq!(message, format!("{method} {}: expected {allowed}", route.path));
            }
        }
    }
    let head = Request { method: "HEAD", key: None, ..Request::get("/api/health", "") }.send(farms.served.address);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// For every input the answer names no parser and no type of the program.
#[test]
fn refusals_hold_no_text_of_a_parser() {
    let farms = farms();
    let Farms { served, device, reader, .. } = &farms;
    let mut said = Vec::new();
    let good = acmes_batch().to_string();
    let bodies = (0..good.len()).step_by(7).map(|end| good[..end].to_owned());
    let swapped = [
        ("1", "\"x\""),
        ("null", "7"),
        ("\"minute\"", "\"hour\""),
        ("{", "["),
        ("\"seq\"", "\"sequence\""),
        ("[", "{"),
    ];
    let swapped = swapped.into_iter().map(|(from, to)| good.replacen(from, to, 3));
    let more = ["\u{feff}", "\"\"", "1e999", "{\"version\":1e999}", "[1,2]", "{\"a\":{\"b\":", "nul", "\"\\ud800\""];
    for body in bodies.chain(swapped).chain(more.map(str::to_owned)) {
        let reply = Request::post("/api/v1/sync/batch", device, body).send(served.address);
        if reply.status == 429 {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        said.push(reply.text());
    }
    for coding in ["gzip", "deflate"] {
        let request = Request::post("/api/v1/sync/batch", device, good.clone()).header("content-encoding", coding);
        said.push(request.send(served.address).text());
    }
    for query in [
        "?",
        "?limit=",
        "?limit=-1",
        "?limit=99999999999999999999999",
        "?limit=1.5",
        "?device",
        "?%ff",
        "?limit=1&limit=2",
        "?a=b",
    ] {
        for path in ["/api/data/latest", "/api/data", "/api/events", "/api/alerts", "/api/health"] {
            said.push(served.get(&format!("{path}{query}"), reader).text());
        }
        said.push(served.get(&format!("/api/v1/time{query}"), "").text());
        said.push(served.get(&format!("/api/config/bundle{query}"), device).text());
    }
    for text in &said {
        for word in [
            "serde",
            "EOF",
            "struct ",
            "invalid type",
            "invalid value",
            "invalid length",
            "missing field",
            "unknown field",
            "unknown variant",
            "duplicate field",
            " at line ",
            "expected value",
            "expected `",
            "trailing",
            "rusqlite",
            "sqlite",
            "hyper",
            "axum",
            "Failed to",
            "deserialize",
            "i64",
            "u64",
            "u32",
            "usize",
            "digit found",
            "gzip header",
            "control character",
            "lone leading surrogate",
        ] {
            assert!(!text.contains(word), "{word:?} in {text}");
        }
    }
}

#[test]
fn too_many_requests_are_told_when_to_come_again() {
    let farms = farms();
    let mut refused = None;
    for _ in 0..400 {
        let reply = farms.served.get("/api/config/bundle?client_id=acme&since_version=0", &farms.device);
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        assert_eq!(reply.status, 200);
    }
    let refused = refused.expect("a limit");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.refused().1, "too-many");
    // Another key is not held back.
    assert_eq!(farms.served.get("/api/health", &farms.reader).status, 200);
    // Nor does it take a key: a client that guesses is slowed down.
    let last = (0..100).map(|_| farms.served.get("/api/health", "guess").status).find(|status| *status == 429);
    assert_eq!(last, Some(429));
}

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

const EXPECTED: [Expected; 8] = [
    Expected { method: "POST", path: "/api/v1/sync/batch", who: "device", query: "" },
    Expected { method: "GET", path: "/api/config/bundle", who: "device", query: "?client_id=acme&since_version=0" },
    Expected {
        method: "GET",
        path: "/api/v1/time",
        who: "anyone",
        query: "?client_id=acme&device_id=pi-7&nonce=0123456789abcdef",
    },
    Expected { method: "GET", path: "/api/data/latest", who: "reader", query: "?device=pi-7" },
    Expected { method: "GET", path: "/api/data", who: "reader", query: "?sensor=orchard/ph&from=0" },
    Expected { method: "GET", path: "/api/events", who: "reader", query: "?device=pi-7" },
    Expected { method: "GET", path: "/api/alerts", who: "reader", query: "?state=all&device=pi-7" },
    Expected { method: "GET", path: "/api/health", who: "reader", query: "" },
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
            if expected.who == "anyone" {
                assert_eq!(reply.status, 200, "{route}");
                continue;
            }
            let (status, word, _) = reply.refused();
            assert_eq!((status, word.as_str()), (401, "unknown-key"), "{route} with {key:?}");
        }

        // The keys of the tenant open what they are for.
        let (opens, is_closed) = match expected.who {
            "device" => (vec![&farms.device], vec![&farms.reader, &farms.stranger_reader]),
            "reader" => (vec![&farms.reader], vec![&farms.device, &farms.other_device, &farms.stranger_device]),
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
            "reader" => &[&farms.stranger_reader],
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
    assert_eq!(bundle.refused(), (404, "not-found".into(), "there is no configuration for pi-8 yet".into()));
    let bundle = farms.served.get("/api/config/bundle?client_id=globex&since_version=0", &farms.other_device);
    assert_eq!(bundle.refused(), (403, "forbidden".into(), "this key is of acme/pi-8".into()));
}

#[test]
fn what_is_not_there_is_refused_in_json_too() {
    let farms = farms();
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/api"),
        ("GET", "/api/data/"),
        ("GET", "/api/v1/sync/batch"),
        ("POST", "/api/health"),
        ("DELETE", "/api/alerts"),
        ("GET", "/../hub.db"),
    ] {
        let reply = Request { method, ..Request::get(target, &farms.reader) }.send(farms.served.address);
        let (status, word, _) = reply.refused();
        assert_eq!((status, word.as_str()), (404, "not-found"), "{method} {target}");
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
    // Nor does it take a key: whoever guesses is slowed down.
    let last = (0..100).map(|_| farms.served.get("/api/health", "guess").status).find(|status| *status == 429);
    assert_eq!(last, Some(429));
}

//! What readers are shown.

use serde_json::{Value as Json, json};

use crate::served::{MIDNIGHT, Made, Served, batch};

fn farm() -> (Served, String, String) {
    let made = Made::new();
    let (reader, device) = (made.tenant("acme"), made.device("acme", "pi-7"));
    let served = made.serve();
    served.batch(&device, &batch("acme", "pi-7", "tower-1/ph", 5)).ok();
    (served, reader, device)
}

#[test]
fn windows_in_the_sensors_unit() {
    let (served, reader, _) = farm();
    let from = "2025-11-21T00:01:00Z";
    let found = served.get(&format!("/api/data?sensor=tower-1/ph&from={from}&to=2025-11-21T00:03:00Z"), &reader).ok();
    let first = json!({
        "start": from, "count": 2, "bad": 1, "mean": 6.81, "min": 6.8, "max": 6.82, "last": 6.82, "spread": 0.01, "revision": 0,
    });
    assert_eq!(found["windows"][0], first);
    assert_eq!(found["windows"].as_array().unwrap().len(), 2, "the end is not in it");
    assert_eq!((&found["device"], &found["quantity"], &found["unit"]), (&json!("pi-7"), &json!("ph"), &json!("")));
    assert_eq!((&found["grain"], &found["next"]), (&json!("minute"), &Json::Null));
    let exact = served.get("/api/data?sensor=tower-1/ph&from=0&limit=1&exact=true", &reader).ok();
    let steps = json!({"sum": 1360, "sum_sq": "924802", "min": 679, "max": 681, "last": 681, "last_at": 30_000});
    assert_eq!(exact["windows"][0]["steps"], steps);
    assert_eq!((&exact["windows"][0]["boot"], &exact["windows"][0]["uptime"]), (&json!(1), &json!(0)));
    let quarters = served.get("/api/data?sensor=tower-1/ph&from=0&grain=quarter", &reader).ok();
    assert_eq!(quarters["windows"], json!([]));
}

#[test]
fn pages_hold_everything_once() {
    let (served, reader, _) = farm();
    let mut starts = Vec::new();
    let mut after = String::new();
    loop {
        let page = served.get(&format!("/api/data?sensor=tower-1/ph&from=0&limit=2{after}"), &reader).ok();
        starts.extend(page["windows"].as_array().unwrap().iter().map(|window| window["start"].clone()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let expected: Vec<Json> = (0..5).map(|minute| json!(format!("2025-11-21T00:0{minute}:00Z"))).collect();
    assert_eq!(starts, expected);
    let events = served.get("/api/events?limit=1", &reader).ok();
    assert_eq!(events["events"][0]["kind"], "clock");
    let next = events["next"].as_str().unwrap();
    let events = served.get(&format!("/api/events?limit=1&after={next}"), &reader).ok();
    assert_eq!((&events["events"][0]["kind"], &events["next"]), (&json!("alert"), &Json::Null));
}

#[test]
fn the_newest_values_with_their_time() {
    let (served, reader, device) = farm();
    served.batch(&device, &batch("acme", "pi-7", "tower-1/ec", 0)).refused();
    let latest = served.get("/api/data/latest", &reader).ok();
    let reading = &latest["readings"][0];
    assert_eq!((&reading["device"], &reading["sensor"]), (&json!("pi-7"), &json!("tower-1/ph")));
    assert_eq!((&reading["value"], &reading["unit"]), (&json!(6.91), &json!("")));
    assert_eq!((&reading["quality"], &reading["at"]), (&json!("good"), &json!("2025-11-21T00:01:01.5Z")));
    assert!(reading["received"].as_str().unwrap().ends_with('Z'));
    let after = served.get("/api/data/latest?after=pi-7:tower-1/ph", &reader).ok();
    assert_eq!(after, json!({"readings": [], "next": null}));
}

#[test]
fn an_alert_until_it_is_over() {
    let (served, reader, device) = farm();
    let open = served.get("/api/alerts?state=open", &reader).ok();
    let alert = &open["alerts"][0];
    assert_eq!((&alert["alert"], &alert["state"], &alert["open"]), (&json!(1), &json!("firing"), &json!(true)));
    assert_eq!((&alert["since"], &alert["at"]), (&json!("2025-11-21T00:00:30Z"), &json!("2025-11-21T00:01:00Z")));
    assert_eq!((&alert["value"], &alert["limit"], &alert["severity"]), (&json!(6.81), &json!(6.8), &json!("warning")));
    let mut over = batch("acme", "pi-7", "tower-1/ph", 5);
    let mut row = over["lanes"]["events"]["rows"][1].clone();
    row["seq"] = json!(3);
    row["at"]["uptime"] = json!(120_000);
    row["body"]["event"] = json!("resolved");
    row["body"]["reason"] = json!("cleared");
    over["lanes"] = json!({"events": {"first": 3, "last": 3, "rows": [row]}});
    served.batch(&device, &over).ok();
    assert_eq!(served.get("/api/alerts", &reader).ok()["alerts"], json!([]));
    let all = served.get("/api/alerts?state=all", &reader).ok();
    let alert = &all["alerts"][0];
    assert_eq!(
        (&alert["state"], &alert["reason"], &alert["at"]),
        (&json!("resolved"), &json!("cleared"), &json!("2025-11-21T00:02:00Z"))
    );
}

#[test]
fn a_clock_that_is_set_right_dates_everything_anew() {
    let (served, reader, device) = farm();
    let mut later = batch("acme", "pi-7", "tower-1/ph", 5);
    let clock = json!({"seq": 3, "at": {"boot": 1, "uptime": 400_000, "wall": null}, "kind": "clock",
        "body": {"offset": MIDNIGHT + 86_400_000, "source": "hub", "error": null}});
    later["lanes"] = json!({"events": {"first": 3, "last": 3, "rows": [clock]}});
    served.batch(&device, &later).ok();
    let found = served.get("/api/data?sensor=tower-1/ph&from=0&limit=1", &reader).ok();
    assert_eq!(found["windows"][0]["start"], "2025-11-22T00:00:00Z");
    let alert = served.get("/api/alerts", &reader).ok()["alerts"][0].clone();
    assert_eq!((&alert["since"], &alert["at"]), (&json!("2025-11-22T00:00:30Z"), &json!("2025-11-22T00:01:00Z")));
    assert_eq!(served.get("/api/data/latest", &reader).ok()["readings"][0]["at"], "2025-11-22T00:01:01.5Z");
}

#[test]
fn how_the_devices_are() {
    let (served, reader, _) = farm();
    let health = served.get("/api/health", &reader).ok();
    assert_eq!((&health["status"], &health["client_id"]), (&json!("ok"), &json!("acme")));
    let device = &health["devices"][0];
    assert_eq!(device["lanes"]["windows"], json!({"confirmed": 5, "lost": 0}));
    assert_eq!(device["config"], json!({"version": null, "shown": 0, "said": null}));
    assert_eq!(device["stream"], format!("{:032x}", 1));
}

/// A deleted data folder leaves no trace on site: the hub shows when the device started over.
#[test]
fn a_device_that_started_over_shows_when_its_streams_ended() {
    let (served, reader, device) = farm();
    assert_eq!(served.get("/api/health", &reader).ok()["devices"][0]["earlier_streams"], json!([]));
    let mut fresh = batch("acme", "pi-7", "tower-1/ph", 2);
    fresh["stream"] = json!(format!("{:032x}", 2));
    served.batch(&device, &fresh).ok();
    let shown = served.get("/api/health", &reader).ok()["devices"][0].clone();
    assert_eq!(shown["stream"], format!("{:032x}", 2));
    let earlier = shown["earlier_streams"].as_array().unwrap();
    assert_eq!((earlier.len(), &earlier[0]["stream"]), (1, &json!(format!("{:032x}", 1))), "{shown}");
    assert!(earlier[0]["began"].is_string() && earlier[0]["last_heard"].is_string(), "{shown}");
    assert!(served.made.log().contains("its previous stream was last heard at 20"), "{}", served.made.log());
}

#[test]
fn questions_that_are_none() {
    let (served, reader, _) = farm();
    for (target, status, expected) in [
        ("/api/data", 400, "the parameters: the key sensor is missing"),
        (
            "/api/data?sensor=tower-1/ph&form=0",
            400,
            "the parameters: form: unknown key form; expected one of sensor, device",
        ),
        ("/api/data?sensor=tower-1/ph&limit=many", 400, "the parameters: limit: expected a whole number"),
        ("/api/data?sensor=tower-1/ph&exact=1", 400, "the parameters: exact: expected true or false"),
        ("/api/data?sensor=tower-1/ph&from=yesterday", 400, "from=yesterday: expected a time such as"),
        ("/api/data?sensor=tower-1/ph&grain=hour", 400, "grain=hour: expected minute or quarter"),
        ("/api/data?sensor=tower-1/ph&limit=0", 400, "limit=0: expected 1 to 5000"),
        ("/api/data?sensor=tower-1/ph&after=x", 400, "after=x: expected `next` of the previous page"),
        ("/api/data?sensor=tower-1/none", 404, "there is no sensor tower-1/none"),
        ("/api/data?sensor=tower-1/ph&device=pi-9", 404, "there is no device pi-9"),
        ("/api/alerts?state=closed", 400, "the parameters: state: unknown word closed; expected open or all"),
        ("/api/events?after=x", 400, "after=x: expected `next`"),
        ("/api/data/latest?after=x", 400, "after=x: expected `next`"),
        ("/api/health?x=1", 400, "the parameters: x: unknown key x"),
    ] {
        let (found, _, message) = served.get(target, &reader).refused();
        assert_eq!(found, status, "{target}: {message}");
        assert!(message.starts_with(expected), "{target}: {message}");
    }
}

#[test]
fn a_sensor_of_several_devices_wants_a_device() {
    let made = Made::new();
    let reader = made.tenant("acme");
    let (one, other) = (made.device("acme", "pi-7"), made.device("acme", "pi-8"));
    let served = made.serve();
    served.batch(&one, &batch("acme", "pi-7", "tower-1/ph", 1)).ok();
    served.batch(&other, &batch("acme", "pi-8", "tower-1/ph", 2)).ok();
    let (status, _, message) = served.get("/api/data?sensor=tower-1/ph&from=0", &reader).refused();
    assert_eq!(
        (status, message.as_str()),
        (400, "several devices have a sensor tower-1/ph: expected device=pi-7 or device=pi-8")
    );
    let found = served.get("/api/data?sensor=tower-1/ph&from=0&device=pi-8", &reader).ok();
    assert_eq!(found["windows"].as_array().unwrap().len(), 2);
}

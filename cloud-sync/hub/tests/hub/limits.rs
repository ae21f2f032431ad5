//! What one key may cost: a batch that multiplies work is refused, and the other tenants are served meanwhile.

use std::thread;

use serde_json::{Value as Json, json};

use crate::served::{Made, Served, batch};

struct Farms {
    served: Served,
    /// A device of `acme`.
    device: String,
    /// A device of another tenant.
    stranger: String,
}

fn farms() -> Farms {
    let made = Made::new();
    made.tenant("acme");
    made.tenant("globex");
    let (device, stranger) = (made.device("acme", "pi-7"), made.device("globex", "pi-1"));
    Farms { served: made.serve(), device, stranger }
}

fn at(boot: usize, uptime: usize) -> Json {
    json!({"boot": boot, "uptime": uptime, "wall": 1_763_683_200_000_i64 + boot as i64 * 86_400_000})
}

fn empty(stream: u32) -> Json {
    json!({"version": 1, "client": "acme", "device": "pi-7", "stream": format!("{stream:032x}"), "epoch": null, "lanes": {}})
}

/// A batch whose live values have a boot of their own each.
fn of_boots(stream: u32, boots: usize) -> Json {
    let value = |boot: usize| json!({"sensor": format!("zone/s{}", boot % 50), "quantity": "ph", "at": at(boot, 1), "value": 6.9, "quality": "good"});
    let mut batch = empty(stream);
    batch["live"] = (1..=boots).map(value).collect();
    batch
}

fn events(stream: u32, first: usize, count: usize) -> Json {
    let event = |seq: usize| json!({"seq": seq, "at": at(seq % 90, seq), "kind": "note", "body": {}});
    let last = first + count - 1;
    let mut batch = empty(stream);
    batch["lanes"] =
        json!({"events": {"first": first, "last": last, "rows": (first..=last).map(event).collect::<Vec<_>>()}});
    batch
}

#[test]
fn a_batch_of_thousands_of_boots_is_refused_and_others_are_served() {
    let Farms { served, device, stranger } = farms();
    for first in [1, 5001, 10_001] {
        served.batch(&device, &events(1, first, 5000)).ok();
    }
    let reply = thread::scope(|scope| {
        let attack = scope.spawn(|| served.batch(&device, &of_boots(2, 4_999)));
        for minutes in 1..5 {
            served.batch(&stranger, &batch("globex", "pi-1", "tower-1/ph", minutes)).ok();
        }
        attack.join().unwrap()
    });
    let (status, word, message) = reply.refused();
    assert_eq!((status, word.as_str()), (413, "too-large"), "{message}");
    assert_eq!(message, "4999 boots: expected at most 100 in one batch");
    // As many as a batch may have are taken.
    served.batch(&device, &of_boots(2, 100)).ok();
    let (status, _, message) = served.batch(&device, &of_boots(2, 101)).refused();
    assert_eq!((status, message.as_str()), (413, "101 boots: expected at most 100 in one batch"));
}

#[test]
fn gaps_count_as_rows() {
    let Farms { served, device, .. } = farms();
    let gap = |seq: usize| json!({"first": seq, "last": seq, "kind": "lost", "reason": "x"});
    let lane =
        |count: usize| json!({"first": 1, "last": count, "rows": [], "gaps": (1..=count).map(gap).collect::<Vec<_>>()});
    let mut many = empty(1);
    many["lanes"] = json!({"windows": lane(5001)});
    let (status, word, message) = served.batch(&device, &many).refused();
    assert_eq!((status, word.as_str()), (413, "too-large"));
    assert_eq!(message, "5001 rows: expected at most 5000 over all lanes, gaps and live values among them");
    many["lanes"] = json!({"windows": lane(5000)});
    assert_eq!(served.batch(&device, &many).ok()["confirmed"]["windows"], 5000);
}

#[test]
fn a_device_with_more_than_its_quota_is_told_the_limit_and_goes_on() {
    let made = Made::new();
    let (reader, device) = (made.tenant("acme"), made.device("acme", "pi-7"));
    let served = made.serve_with(&["--device-sensors", "2", "--device-rows", "1000"]);
    let limit = "quota: this hub keeps at most 2 sensors of a device";
    for (number, sensor) in ["tower-1/ph", "tower-1/ec", "tower-1/air"].into_iter().enumerate() {
        // Each from a database of its own, whose sequences begin at 1 again.
        let mut sent = batch("acme", "pi-7", sensor, 2);
        sent["stream"] = json!(format!("{:032x}", number + 1));
        let answer = served.batch(&device, &sent).ok();
        assert_eq!(answer["confirmed"]["windows"], 2, "{answer}");
        let poison = answer["poison"].as_array().map_or(0, Vec::len);
        assert_eq!(poison, if number == 2 { 2 } else { 0 }, "{answer}");
        if number == 2 {
            assert_eq!(answer["poison"][0]["reason"], limit);
        }
    }
    let alerts = served.get("/api/alerts", &reader).ok();
    let own = alerts["alerts"].as_array().unwrap().iter().find(|alert| alert["source"] == "hub").unwrap();
    assert_eq!((&own["rule"], &own["message"]), (&json!("device-quota"), &json!(limit)));
    assert_eq!(served.get("/api/data?sensor=tower-1/ph&from=0", &reader).ok()["windows"].as_array().unwrap().len(), 2);
    assert_eq!(served.get("/api/data?sensor=tower-1/air&from=0", &reader).status, 404);
}

//! Cursors of listings: they stay good, and tell nothing of other tenants.

use serde_json::{Value as Json, json};

use crate::served::{Made, Served, stderr};

/// How many rows the busy tenant gets between two of the quiet one's.
const BURSTS: [u64; 24] = [1, 5, 2, 9, 0, 3, 40, 1, 7, 2, 2, 11, 0, 6, 1, 30, 4, 8, 2, 1, 0, 5, 3, 2];

fn notes(served: &Served, (client, key): (&str, &str), seqs: std::ops::RangeInclusive<u64>) {
    let (first, last) = (*seqs.start(), *seqs.end());
    let row = |seq| json!({"seq": seq, "at": {"boot": 1, "uptime": seq, "wall": null}, "kind": "note", "body": {}});
    let rows: Vec<Json> = seqs.map(row).collect();
    let batch = json!({
        "version": 1, "client": client, "device": "pi-7", "stream": format!("{:032x}", 1), "epoch": null,
        "lanes": {"events": {"first": first, "last": last, "rows": rows}},
    });
    served.batch(key, &batch).ok();
}

/// The sequences of a tenant's events from a cursor on, page by page, and the cursors in between.
fn pages(served: &Served, reader: &str, from: &str) -> (Vec<u64>, Vec<u64>) {
    let (mut seqs, mut cursors, mut after) = (Vec::new(), Vec::new(), from.to_owned());
    loop {
        let page = served.get(&format!("/api/events?limit=1{after}"), reader).ok();
        seqs.extend(page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { return (seqs, cursors) };
        cursors.push(next.parse().unwrap());
        after = format!("&after={next}");
    }
}

/// A window of a boot of its own: the boot's number is the sequence.
fn boot(served: &Served, (client, key): (&str, &str), seq: u64) {
    let start = json!({"boot": seq, "uptime": 0, "wall": 1_763_683_200_000_u64 + seq * 3_600_000});
    let row = json!({
        "seq": seq, "sensor": "tower-1/ph", "quantity": "ph", "resolution": 0.01, "grain": "minute", "start": start,
        "revision": 0, "bad": 1, "count": 0,
    });
    let batch = json!({
        "version": 1, "client": client, "device": "pi-7", "stream": format!("{:032x}", 1), "epoch": null,
        "lanes": {"windows": {"first": seq, "last": seq, "rows": [row]}},
    });
    served.batch(key, &batch).ok();
}

/// The beginnings of a tenant's windows, one a page, and the cursors in between.
fn windows(served: &Served, reader: &str) -> (Vec<String>, Vec<String>) {
    let (mut starts, mut cursors, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = served.get(&format!("/api/data?sensor=tower-1/ph&from=0&limit=1{after}"), reader).ok();
        starts.extend(page["windows"].as_array().unwrap().iter().map(|window| window["start"].to_string()));
        let Some(next) = page["next"].as_str() else { return (starts, cursors) };
        cursors.push(next.to_owned());
        after = format!("&after={next}");
    }
}

/// The same of windows, whose pages begin within a boot.
#[test]
fn cursors_of_windows_do_not_tell_how_many_boots_another_tenant_has() {
    let made = Made::new();
    let (busy, quiet) = (made.tenant("busy"), made.tenant("quiet"));
    let (busy_key, quiet_key) = (made.device("busy", "pi-7"), made.device("quiet", "pi-7"));
    let served = made.serve();
    for seq in 1..=12 {
        (3 * seq - 2..=3 * seq).for_each(|seq| boot(&served, ("busy", &busy_key), seq));
        boot(&served, ("quiet", &quiet_key), seq);
    }
    let (starts, cursors) = windows(&served, &quiet);
    assert_eq!((starts.len(), cursors.len()), (12, 11), "each window once");
    assert!(starts.is_sorted(), "{starts:?}");
    let boots: Vec<u64> = cursors.iter().map(|cursor| cursor.split_once('.').unwrap().0.parse().unwrap()).collect();
    let near = boots.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 48).count();
    assert_eq!(near, 0, "{boots:?}: two are as far apart as their boots");
    let (_, others) = windows(&served, &busy);
    for strange in [others[3].as_str(), "4.0", "1", "x.0"] {
        let target = format!("/api/data?sensor=tower-1/ph&from=0&after={strange}");
        let (status, _, message) = served.get(&target, &quiet).refused();
        assert_eq!(status, 400, "{strange}: {message}");
        assert!(message.ends_with("or 0 for the first page"), "{message}");
    }
}

/// A quiet tenant, whose rows are stored between the bursts of a busy one.
#[test]
fn cursors_of_one_tenant_do_not_tell_how_many_rows_another_has() {
    let made = Made::new();
    let (busy, quiet) = (made.tenant("busy"), made.tenant("quiet"));
    let (busy_key, quiet_key) = (made.device("busy", "pi-7"), made.device("quiet", "pi-7"));
    let mut served = made.serve();
    let mut next = 1;
    for (seq, burst) in (1..).zip(BURSTS) {
        if burst > 0 {
            notes(&served, ("busy", &busy_key), next..=next + burst - 1);
        }
        next += burst;
        notes(&served, ("quiet", &quiet_key), seq..=seq);
    }
    let (seqs, cursors) = pages(&served, &quiet, "&after=0");
    let all: Vec<u64> = (1..=BURSTS.len() as u64).collect();
    assert_eq!(seqs, all, "each event once, in the order in which they were taken in");
    assert_eq!(pages(&served, &quiet, "").0, all, "no cursor is the first page");
    // A cursor that counts rows rises by the burst and one; these have nothing to do with either.
    let rises = cursors.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(0 < rises && rises < cursors.len() - 1, "{rises} of {cursors:?} rise");
    let most = BURSTS.iter().sum::<u64>() + BURSTS.len() as u64;
    let told = cursors.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= most).count();
    assert_eq!(told, 0, "{cursors:?}: two are as far apart as their rows");

    let (_, others) = pages(&served, &busy, "");
    let middle = cursors[11].to_string();
    for strange in [others[3].to_string(), "1".to_owned(), "17".to_owned(), u64::MAX.to_string(), "x".to_owned()] {
        let refused = served.get(&format!("/api/events?after={strange}"), &quiet);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        let (status, error, message) = refused.refused();
        assert_eq!((status, error.as_str()), (400, "bad-request"), "{message}");
        assert!(message.ends_with("or 0 for the first page"), "{message}");
    }
    assert_eq!(served.get(&format!("/api/alerts?after={middle}"), &quiet).refused().0, 400, "of another list");

    // Over a restart and a restore.
    let file = served.made.folder.path().join("hub.backup");
    let file = file.to_str().unwrap().to_owned();
    let done = served.made.run(&["backup", &file]);
    assert!(done.status.success(), "{}", stderr(&done));
    served.stop("-TERM");
    let mut served = served.kill_and_serve();
    assert_eq!(pages(&served, &quiet, &format!("&after={middle}")).0, all[12..], "after a restart");
    served.stop("-TERM");
    let done = served.made.run(&["restore", &file]);
    assert!(done.status.success(), "{}", stderr(&done));
    let served = served.kill_and_serve();
    assert_eq!(pages(&served, &quiet, &format!("&after={middle}")).0, all[12..], "after a restore");
}

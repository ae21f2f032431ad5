//! Enrolment by a one-time code, as a device does it.

use serde_json::{Value as Json, json};
use tilth_protocol::EnrolmentCode;

use crate::client::{Reply, Request};
use crate::served::{Made, Served, batch, stderr, stdout};

/// A device's key, as the device draws it.
fn key(digit: char) -> String {
    let many = |count: usize| digit.to_string().repeat(count);
    format!("dev_ak_{}_{}", many(12), many(64))
}

fn request(code: &EnrolmentCode, key: &str) -> Json {
    json!({
        "code": code.id(), "secret": code.secret(), "key_id": key[7..19],
        "key_hash": tilth_protocol::HexBytes(tilth_config::sha256(key.as_bytes())).to_string(),
    })
}

fn enroll(made: &Made, more: &[&str]) -> EnrolmentCode {
    let made = made.json(&[&["device", "enroll", "--client", "acme"], more].concat());
    EnrolmentCode::parse(made["code"].as_str().unwrap()).unwrap()
}

fn post(served: &Served, request: &Json) -> Reply {
    Request {
        method: "POST",
        target: "/api/v1/enrolment",
        key: None,
        headers: Vec::new(),
        body: request.to_string().into(),
    }
    .send(served.address)
}

fn exchange(served: &Served, code: &EnrolmentCode, key: &str) -> Reply {
    post(served, &request(code, key))
}

#[track_caller]
fn refused(reply: &Reply) -> (u16, String) {
    let (status, word, _) = reply.refused();
    (status, word)
}

#[test]
fn a_code_is_exchanged_for_the_key_that_the_device_drew() {
    let made = Made::new();
    let reader = made.tenant("acme");
    let code = enroll(&made, &["--device", "pi-7"]);
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(made.data()).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let kept = String::from_utf8_lossy(&kept).into_owned();
    assert!(
        kept.contains(code.id().as_str()) && !kept.contains(code.secret().reveal()),
        "only the hash of the secret is kept"
    );

    let signing_key = std::fs::read_to_string(made.data().join("hub.pub")).unwrap();
    let served = made.serve();
    let (first, second) = (key('a'), key('b'));
    let send = |key: &str| served.batch(key, &batch("acme", "pi-7", "tower-1/ph", 1)).status;
    assert_eq!(send(&first), 401);
    let answer = exchange(&served, &code, &first).ok();
    assert_eq!(answer, json!({"client_id": "acme", "device_id": "pi-7", "signing_key": signing_key.trim()}));
    // The answer may be lost: the same again is no second use. Another agent is refused, and told nothing.
    assert_eq!(exchange(&served, &code, &first).ok(), answer);
    assert_eq!(refused(&exchange(&served, &code, &second)), (409, "used-code".into()));
    assert_eq!((send(&second), send(&first)), (401, 200));
    assert_eq!(served.get("/api/data/latest", &reader).status, 200);
    let listed = served.made.json(&["device", "list"]);
    assert_eq!(
        (&listed["codes"][0]["key_id"], &listed["keys"][0]["key_id"]),
        (&json!("aaaaaaaaaaaa"), &json!("aaaaaaaaaaaa"))
    );
    assert!(!listed["codes"][0]["used"].is_null() && !listed["keys"][0]["last_used"].is_null(), "{listed}");
}

/// A code for a device that has a key: the old key is valid until the first use of the new one.
#[test]
fn keys_overlap_until_the_first_use_of_the_new_one() {
    let made = Made::new();
    made.tenant("acme");
    let old = made.device("acme", "pi-7");
    let code = enroll(&made, &["--device", "pi-7"]);
    let served = made.serve();
    let new = key('c');
    let send = |key: &str| served.batch(key, &batch("acme", "pi-7", "tower-1/ph", 1)).status;
    exchange(&served, &code, &new).ok();
    assert_eq!(send(&old), 200);
    let text = stdout(&served.made.run(&["device", "list"]));
    assert!(
        text.contains("2 of 2 keys valid") && text.contains("  key cccccccccccc  not used yet, added 20"),
        "{text}"
    );
    assert!(text.contains(&format!("  key {}  last used 20", &old[7..19])), "{text}");
    assert_eq!((send(&new), send(&old), send(&new)), (200, 401, 200));
    served.made.json(&["device", "revoke", "pi-7", "--client", "acme"]);
    assert_eq!(
        refused(&exchange(&served, &code, &new)),
        (410, "revoked-code".into()),
        "a revoked key does not come back"
    );
}

#[test]
fn each_refusal_has_its_own_word() {
    let made = Made::new();
    made.tenant("acme");
    let (open, replaced) = {
        let replaced = enroll(&made, &["--device", "pi-1"]);
        (enroll(&made, &["--device", "pi-1"]), replaced)
    };
    let (revoked, other) = (enroll(&made, &["--device", "pi-2"]), enroll(&made, &["--device", "pi-3"]));
    let done = made.run(&["device", "revoke", "pi-2", "--client", "acme", "--codes"]);
    assert_eq!(stdout(&done), "acme/pi-2: 1 enrolment code revoked\n");
    let taken = made.device("acme", "pi-4");
    let served = made.serve();
    let expired = |word: &str| (410, word.to_owned());
    assert_eq!(refused(&exchange(&served, &replaced, &key('a'))), expired("revoked-code"));
    assert_eq!(refused(&exchange(&served, &revoked, &key('a'))), expired("revoked-code"));
    // The secret of one code with the id of another, and an id that is none: the same answer.
    let mut mixed = request(&open, &key('a'));
    mixed["secret"] = json!(other.secret());
    let mut unknown = request(&open, &key('a'));
    unknown["code"] = json!("ZZZZZZZ");
    let (mixed, unknown) = (post(&served, &mixed), post(&served, &unknown));
    assert_eq!((refused(&mixed), mixed.text()), ((404, "unknown-code".into()), unknown.text()));
    assert_eq!(refused(&exchange(&served, &other, &taken)), (400, "bad-request".into()), "a key that exists");
    assert_eq!(exchange(&served, &other, &key('d')).status, 200);
    assert_eq!(exchange(&served, &open, &key('a')).status, 200);
    let text = stdout(&served.made.run(&["device", "list"]));
    assert!(text.contains(&format!("  enrolment code {}  revoked at 20", revoked.id())), "{text}");
}

#[test]
fn few_attempts_are_taken_with_a_code() {
    let made = Made::new();
    made.tenant("acme");
    let (code, other) = (enroll(&made, &["--device", "pi-1"]), enroll(&made, &["--device", "pi-2"]));
    let served = made.serve();
    let mut wrong = request(&code, &key('a'));
    wrong["secret"] = json!(other.secret());
    let answers: Vec<u16> = (0..12).map(|_| post(&served, &wrong).status).collect();
    assert!(answers[..5].iter().all(|status| *status == 404), "{answers:?}");
    assert!(answers.contains(&429), "{answers:?}");
    // Another code is not held up.
    assert_eq!(exchange(&served, &other, &key('a')).status, 200);
}

#[test]
fn a_code_names_the_ca_and_a_device() {
    let made = Made::new();
    made.tenant("acme");
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let text = format!("Certificate:\n  Version: 3\n{}", signed.cert.pem());
    let ca = made.folder.write("ca.pem", &text).to_str().unwrap().to_owned();
    let two = made.folder.write("two.pem", &text.repeat(2)).to_str().unwrap().to_owned();
    let none = made.folder.write("none.pem", "ca").to_str().unwrap().to_owned();
    for (arguments, code, expected) in [
        (&["--ca", two.as_str()][..], 1, "two.pem: has 2 certificates; expected one"),
        (&["--ca", &none], 1, "none.pem: has 0 certificates; expected one"),
        (&["--ca", "no.pem"], 1, "no.pem: "),
        (&["--expires", "8d"], 2, "expected a time from 1m to 7d"),
        (&["--expires", "59s"], 2, "expected a time from 1m to 7d"),
    ] {
        let done = made.run(&[&["device", "enroll", "--client", "acme"], arguments].concat());
        assert_eq!(done.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&done).contains(expected), "{}", stderr(&done));
    }
    made.device("acme", "pi-1");
    let shown = made.json(&["device", "enroll", "--client", "acme", "--ca", &ca, "--expires", "7d"]);
    assert_eq!((&shown["device_id"], &shown["new_device"]), (&json!("pi-2"), &json!(true)));
    let code = EnrolmentCode::parse(shown["code"].as_str().unwrap()).unwrap();
    assert!(code.names_ca(&tilth_config::sha256(signed.cert.der())));
    let bare = enroll(&made, &["--device", "pi-1"]);
    let text = stdout(&made.run(&["device", "enroll", "--client", "acme", "--device", "pi-1"]));
    assert!(text.contains("\n  sudo tilth-agent enroll --hub https://HUB:8443 --code -\n"), "{text}");
    let served = made.serve();
    let ca_of = |code: &EnrolmentCode| served.get(&format!("/api/v1/enrolment/ca?code={}", code.id()), "");
    assert_eq!(ca_of(&code).ok(), json!({"ca": signed.cert.pem().replace("\r\n", "\n")}));
    assert_eq!(refused(&ca_of(&bare)), (404, "unknown-code".into()));
}

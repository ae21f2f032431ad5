//! Enrolment, version 1, byte for byte. Never edit what stands here: a change of these bytes is another version, and another file.

use tilth_core::id::Id;
use tilth_protocol::{EnrolmentAnswer, EnrolmentCa, EnrolmentCode, EnrolmentRequest, ErrorCode, Failure, HexBytes};

const REQUEST: &str = concat!(
    r#"{"code":"000G40R","secret":"451HB0J90918B2V2","key_id":"0102030405ff","#,
    r#""key_hash":"abababababababababababababababababababababababababababababababab"}"#,
);
const ANSWER: &str = r#"{"client_id":"acme","device_id":"pi-7","signing_key":"ed25519 00ff"}"#;
const CA: &str = r#"{"ca":"-----BEGIN CERTIFICATE-----\n"}"#;
const CODES: [&str; 2] = ["000G-40R4-51HB-0J90-918B-2V2R", "000G-40R4-51HB-0J90-918B-2V2N-ENTQ-AXBN-ENTQ-AXB3"];

fn codes() -> [EnrolmentCode; 2] {
    let of = |ca: Option<&[u8; 32]>| {
        EnrolmentCode::from_random([0, 1, 2, 3, 4], [33, 67, 21, 130, 73, 2, 66, 133, 139, 98], ca)
    };
    [of(None), of(Some(&[0xab; 32]))]
}

#[test]
fn codes_are_frozen() {
    assert_eq!(codes().map(|code| code.reveal()), CODES.map(str::to_owned));
    for (code, text) in codes().iter().zip(CODES) {
        assert_eq!(EnrolmentCode::parse(text).as_ref(), Ok(code));
    }
}

#[test]
fn messages_are_frozen() {
    let [code, _] = codes();
    let request = EnrolmentRequest {
        code: code.id(),
        secret: code.secret(),
        key_id: HexBytes([1, 2, 3, 4, 5, 255]),
        key_hash: HexBytes([0xab; 32]),
    };
    assert_eq!(serde_json::to_string(&request).unwrap(), REQUEST);
    assert_eq!(serde_json::from_str::<EnrolmentRequest>(REQUEST).unwrap(), request);
    let id = |text| Id::new(text).unwrap();
    let answer =
        EnrolmentAnswer { client_id: id("acme"), device_id: id("pi-7"), signing_key: "ed25519 00ff".to_owned() };
    assert_eq!(serde_json::to_string(&answer).unwrap(), ANSWER);
    assert_eq!(serde_json::from_str::<EnrolmentAnswer>(ANSWER).unwrap(), answer);
    let ca = EnrolmentCa { ca: "-----BEGIN CERTIFICATE-----\n".to_owned() };
    assert_eq!(serde_json::to_string(&ca).unwrap(), CA);
    for (error, status, word) in [
        (ErrorCode::UnknownCode, 404, "unknown-code"),
        (ErrorCode::UsedCode, 409, "used-code"),
        (ErrorCode::ExpiredCode, 410, "expired-code"),
        (ErrorCode::RevokedCode, 410, "revoked-code"),
    ] {
        let text = serde_json::to_string(&Failure { error, message: String::new() }).unwrap();
        assert_eq!((error.status(), text), (status, format!(r#"{{"error":"{word}","message":""}}"#)));
    }
}

#[test]
fn a_request_in_another_form_is_refused() {
    for (from, to) in [
        ("000G40R", "000g40r"),
        ("000G40R", "000G40"),
        ("B2V2", "B2VU"),
        ("05ff", "05FF"),
        ("05ff", "05f"),
        ("abab\"", "\""),
    ] {
        let request = REQUEST.replacen(from, to, 1);
        assert!(request != REQUEST && serde_json::from_str::<EnrolmentRequest>(&request).is_err(), "{request}");
    }
}

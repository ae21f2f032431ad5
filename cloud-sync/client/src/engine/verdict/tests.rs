use super::*;
use crate::transport::TransportError;

const ANSWER: &str = r#"{"epoch":"00000000000000000000000000000001","confirmed":{"events":3,"raw":9},
    "poison":[{"lane":"raw","seq":1,"reason":"r"},{"lane":"windows","seq":7,"reason":"NaN"}],"config_version":4,"now":5}"#;

fn failure(code: ErrorCode) -> String {
    serde_json::to_string(&Failure { error: code, message: "m".to_owned() }).unwrap()
}

#[test]
fn a_reason_stays_on_its_line() {
    let answer = ANSWER.replace("NaN", &format!("\\u001b[2J\\nforged{}", "x".repeat(900)));
    let reply = Reply { status: 200, body: answer.clone().into_bytes(), ..Reply::default() };
    let verdict = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 });
    let Verdict::Accepted(accepted) = verdict else { panic!("{answer}") };
    let reason = &accepted.rejected[0].reason;
    assert!(reason.starts_with(" [2J forged") && reason.chars().count() == REASON_CHARS, "{reason:?}");
}

#[test]
fn every_answer_has_a_meaning() {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Accepted(_) => "accepted",
        Verdict::Rejected(_) => "rejected",
        Verdict::Conflict(_) => "conflict",
        Verdict::TooLarge(_) => "too large",
        Verdict::Unreadable(_) => "unreadable",
        Verdict::BackOff { .. } => "back off",
        Verdict::Slow(_) => "slow",
        Verdict::Unreachable(_) => "unreachable",
    };
    for (status, body, expected) in [
        (200, ANSWER.to_owned(), "accepted"),
        (200, ANSWER[..60].to_owned(), "back off"),
        (200, String::new(), "back off"),
        (200, "<html>Log in to FarmNet</html>".to_owned(), "back off"),
        (200, "[]".to_owned(), "back off"),
        (200, ANSWER.replace(":3", ":\"3\""), "back off"),
        (200, ANSWER.replace(":3", ":-3"), "back off"),
        (200, ANSWER.replace("0001", "xyz1"), "back off"),
        (204, String::new(), "back off"),
        (302, String::new(), "back off"),
        (400, failure(ErrorCode::BadRequest), "unreadable"),
        (422, "lanes: missing field".to_owned(), "unreadable"),
        (401, failure(ErrorCode::UnknownKey), "rejected"),
        (403, String::new(), "rejected"),
        (404, failure(ErrorCode::NotFound), "back off"),
        (408, String::new(), "slow"),
        (409, failure(ErrorCode::StreamConflict), "conflict"),
        (409, failure(ErrorCode::Internal), "back off"),
        (409, "<html>".to_owned(), "back off"),
        (413, String::new(), "too large"),
        (429, failure(ErrorCode::TooMany), "back off"),
        (500, failure(ErrorCode::Internal), "back off"),
        (503, "busy".to_owned(), "back off"),
        (700, String::new(), "back off"),
    ] {
        let reply = Reply { status, body: body.clone().into_bytes(), ..Reply::default() };
        let verdict = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 });
        assert_eq!(word(&verdict), expected, "{status} {body}");
    }
    for (kind, expected) in [
        (TransportErrorKind::NoConnection, "unreachable"),
        (TransportErrorKind::Untrusted, "back off"),
        (TransportErrorKind::NoTls, "unreachable"),
        (TransportErrorKind::TimedOut, "slow"),
        (TransportErrorKind::CutOff, "slow"),
        (TransportErrorKind::TooLong, "back off"),
        (TransportErrorKind::Garbled, "back off"),
    ] {
        let error = TransportError { peer: "https://hub:443".to_owned(), kind, detail: "d".to_owned() };
        let verdict = judge(&Exchange { outcome: Err(error), sent: 0, received: 0 });
        assert_eq!(word(&verdict), expected, "{kind:?}");
    }
}

#[test]
fn lanes_that_are_not_known_are_counted_and_left_out() {
    let reply = Reply { status: 200, body: ANSWER.into(), ..Reply::default() };
    let Verdict::Accepted(accepted) = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }) else {
        panic!("expected an answer");
    };
    assert_eq!(accepted.confirmed, BTreeMap::from([(Lane::Events, 3)]));
    assert_eq!(accepted.rejected, [RejectedRow { lane: Lane::Windows, seq: 7, reason: "NaN".to_owned() }]);
    assert_eq!((accepted.unknown, accepted.config_version), (2, Some(4)));
}

#[test]
fn a_key_that_is_sent_back_is_not_repeated() {
    let key = format!("dev_ak_0123456789ab_{}", "5e".repeat(32));
    for body in [format!("X-Device-Key: {key}"), failure(ErrorCode::UnknownKey).replace("key", &key)] {
        for status in [200, 401, 500] {
            let reply = Reply { status, body: body.clone().into_bytes(), ..Reply::default() };
            let verdict = format!("{:?}", judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }));
            assert!(!verdict.contains("5e5e"), "{verdict}");
        }
    }
}

#[test]
fn people_are_told_of_a_captive_portal() {
    let reply = Reply { status: 200, body: b" \r\n<!DOCTYPE html>".to_vec(), ..Reply::default() };
    let Verdict::BackOff { why, .. } = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }) else {
        panic!("expected a back-off");
    };
    assert!(why.contains("captive portal"), "{why}");
}

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
    let Verdict::Accepted(taken) = verdict else { panic!("{answer}") };
    let reason = &taken.rejected[0].reason;
    assert!(reason.starts_with(" [2J forged") && reason.chars().count() == REASON_CHARS, "{reason:?}");
}

#[test]
fn every_answer_has_a_meaning() {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Accepted(_) => "taken",
        Verdict::Rejected(_) => "refused",
        Verdict::Conflict(_) => "conflict",
        Verdict::TooLarge(_) => "too large",
        Verdict::Unreadable(_) => "unreadable",
        Verdict::Trouble { .. } => "trouble",
        Verdict::Slow(_) => "slow",
        Verdict::Unreachable(_) => "unreachable",
    };
    for (status, body, expected) in [
        (200, ANSWER.to_owned(), "taken"),
        (200, ANSWER[..60].to_owned(), "trouble"),
        (200, String::new(), "trouble"),
        (200, "<html>Log in to FarmNet</html>".to_owned(), "trouble"),
        (200, "[]".to_owned(), "trouble"),
        (200, ANSWER.replace(":3", ":\"3\""), "trouble"),
        (200, ANSWER.replace(":3", ":-3"), "trouble"),
        (200, ANSWER.replace("0001", "xyz1"), "trouble"),
        (204, String::new(), "trouble"),
        (302, String::new(), "trouble"),
        (400, failure(ErrorCode::BadRequest), "unreadable"),
        (422, "lanes: missing field".to_owned(), "unreadable"),
        (401, failure(ErrorCode::UnknownKey), "refused"),
        (403, String::new(), "refused"),
        (404, failure(ErrorCode::NotFound), "trouble"),
        (408, String::new(), "slow"),
        (409, failure(ErrorCode::StreamConflict), "conflict"),
        (409, failure(ErrorCode::Internal), "trouble"),
        (409, "<html>".to_owned(), "trouble"),
        (413, String::new(), "too large"),
        (429, failure(ErrorCode::TooMany), "trouble"),
        (500, failure(ErrorCode::Internal), "trouble"),
        (503, "busy".to_owned(), "trouble"),
        (700, String::new(), "trouble"),
    ] {
        let reply = Reply { status, body: body.clone().into_bytes(), ..Reply::default() };
        let verdict = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 });
        assert_eq!(word(&verdict), expected, "{status} {body}");
    }
    for (kind, expected) in [
        (TransportErrorKind::NoConnection, "unreachable"),
        (TransportErrorKind::Untrusted, "trouble"),
        (TransportErrorKind::NoTls, "unreachable"),
        (TransportErrorKind::TimedOut, "slow"),
        (TransportErrorKind::CutOff, "slow"),
        (TransportErrorKind::TooLong, "trouble"),
        (TransportErrorKind::Garbled, "trouble"),
    ] {
        let error = TransportError { peer: "https://hub:443".to_owned(), kind, detail: "d".to_owned() };
        let verdict = judge(&Exchange { outcome: Err(error), sent: 0, received: 0 });
        assert_eq!(word(&verdict), expected, "{kind:?}");
    }
}

#[test]
fn lanes_that_are_not_known_are_counted_and_left_out() {
    let reply = Reply { status: 200, body: ANSWER.into(), ..Reply::default() };
    let Verdict::Accepted(taken) = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }) else {
        panic!("expected an answer");
    };
    assert_eq!(taken.confirmed, BTreeMap::from([(Lane::Events, 3)]));
    assert_eq!(taken.rejected, [RejectedRow { lane: Lane::Windows, seq: 7, reason: "NaN".to_owned() }]);
    assert_eq!((taken.unknown, taken.config_version), (2, Some(4)));
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
    let Verdict::Trouble { why, .. } = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }) else {
        panic!("expected trouble");
    };
    assert!(why.contains("captive portal"), "{why}");
}

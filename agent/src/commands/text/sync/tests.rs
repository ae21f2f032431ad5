use super::*;

fn shown(text: &str) -> Vec<String> {
    sync(Some(&serde_json::from_str(text).unwrap()))
}

#[test]
fn what_is_wrong_is_said_in_words() {
    assert_eq!(sync(None), ["no hub configured"]);
    assert_eq!(
        shown(r#"{"hub":"https://h","now":5000,"trouble":"/etc/tilth/device.key: No such file"}"#),
        ["https://h: cannot start: /etc/tilth/device.key: No such file", "no bundle; running the files of config.d"]
    );
    assert_eq!(
        shown(
            r#"{"hub":"https://h","now":90000,"state":"refused","why":"the hub answered 401: not known","next_try":150000,
            "last_success":30000,"alerts":{"key-refused":"the hub answered 401"},
            "bundle":{"version":3,"hash":"0123456789"},"rejected":{"hash":"","version":4,"reason":"the bundle is not signed"},
            "config":{"state":"backing off","why":"no answer","next_try":91000,"last_success":80000},
            "ignored":["config.d/farm.toml"],"news":1}"#
        ),
        [
            "https://h: rejects this device: the hub answered 401: not known; next try in 1m",
            "the hub last confirmed rows 1m ago",
            "action needed: device key rejected: the hub answered 401",
            "the hub's bundle 3 is running (content 01234567)",
            "bundle 4 rejected: the bundle is not signed",
            "fetching a bundle fails: no answer; next try in 1s; last success 10s ago",
            "not used with their calibrations, because the hub configures this device: config.d/farm.toml",
        ]
    );
    assert_eq!(
        shown(
            r#"{"hub":"https://h","state":"idle","unavailable_reason":"the last good bundle is damaged (..); config.d is running"}"#
        )[2..],
        ["no bundle", "the last good bundle is damaged (..); config.d is running"]
    );
    let on_probation =
        |sensors: &str| shown(&format!(r#"{{"hub":"https://h","state":"idle","probation":{sensors}}}"#))[3].clone();
    assert_eq!(on_probation("[]"), "on probation: every sensor that was good before is good again");
    assert_eq!(
        on_probation(r#"["a/1","a/2","a/3","a/4","a/5","a/6"]"#),
        "on probation: not good again yet: a/1, a/2, a/3, a/4, a/5 and 1 more"
    );
    assert_eq!(
        shown(
            r#"{"hub":"https://h","state":"idle","rejected":{"hash":"","version":4,"reason":"reverted: a/1 is silent"}}"#
        )[3],
        "bundle 4 was reverted: a/1 is silent; tilth-agent retry tries it again"
    );
    assert_eq!(shown(r#"{"hub":"https://h","state":"idle"}"#)[0], "https://h: up to date");
}

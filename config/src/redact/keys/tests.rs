use super::*;

#[test]
fn keys_that_name_a_secret() {
    for key in [
        "token",
        "Token",
        "tokn",
        "toekn",
        "tokens",
        "access_token",
        "X-Auth-Token",
        "secret",
        "secert",
        "client_secret",
        "password",
        "PASSWORD",
        "pasword",
        "passwrod",
        "passwd",
        "paswd",
        "pass",
        "user_pass",
        "pwd",
        "Passwort",
        "api_key",
        "apiKey",
        "API-KEY",
        "key",
        "device_key",
        "auth",
        "Authorization",
        "authorisation",
        "authorizaton",
        "bearer",
        "credentials",
        "pin",
        "cookie",
        "psk",
        "wachtwoord",
        "private-key",
        "passphrase",
    ] {
        assert!(names_secret(key), "{key}");
    }
    for key in [
        "kind",
        "url",
        "topic",
        "max_per_hour",
        "signing_key",
        "key_file",
        "ca",
        "quantity",
        "input",
        "interval",
        "zone",
        "sensor",
        "message",
        "advice",
        "keep_firing_for",
        "across",
        "timezone",
        "port",
        "parity",
        "baud",
        "stop_bits",
        "stamp",
        "stuck_for",
        "missing_for",
        "points",
        "pair",
        "resolution",
        "calibration",
        "channels",
        "hosts",
        "author",
        "authority",
        "monkey",
        "passive",
    ] {
        assert!(!names_secret(key), "{key}");
    }
}

#[test]
fn names_that_people_give_hide_nothing() {
    let leads = |path: &str| {
        let mut keys = path.split('.').peekable();
        let mut within = KeyContext::Top;
        while let Some(key) = keys.next() {
            within = within.step(key, keys.peek().is_some());
        }
        within == KeyContext::Secret
    };
    for path in [
        "token",
        "auth.ntfy",
        "notifications.token",
        "notifications.phone.token",
        "notifications.token.password",
        "notifications.phone.token.value",
        "notifications.phone.headers.Authorization",
        "zones.a.notifications.x.token",
        "zones.a.notifications.token",
        "secrets.ntfy",
        "secrets.ntfy.value",
        "hub.key",
        "bus.broker.password",
        "bus.password",
        "agent.api_key",
    ] {
        assert!(leads(path), "{path}");
    }
    for path in [
        "rules.token-lost.above",
        "sensors.key-room/t.range",
        "zones.pin-1.rules.auth-lost.above",
        "schedules.pass.from",
        "features.new.page",
        "notifications.token-lost.url",
        "secrets.ntfy.hosts",
        "hub.key_file",
        "hub.signing_key",
    ] {
        assert!(!leads(path), "{path}");
    }
}

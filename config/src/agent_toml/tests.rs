use super::*;

#[test]
fn a_host_is_that_host_and_no_other() {
    let log = Diagnostics::default();
    let hosts = |texts: &[&str]| {
        let text = format!("[secrets.a]\nhosts = {texts:?}");
        let mut sources = crate::Sources::default();
        let (source, table) = crate::Document::agent_toml(&text).parse(&mut sources, &log);
        read(source, table, &sources, crate::Purpose::Replay, &log).secrets.into_values().next()
    };
    let allows = |texts: &[&str], url: &str| hosts(texts).expect("hosts").allows(url);
    for (host, url, expected) in [
        ("ntfy.example", "https://ntfy.example", true),
        ("ntfy.example", "https://NTFY.example/path", true),
        ("ntfy.example", "https://ntfy.example:8443/x", true),
        ("ntfy.example", "http://ntfy.example", false),
        ("ntfy.example", "http://ntfy.example:443", false),
        ("ntfy.example", "https://ntfy.example.evil.example", false),
        ("ntfy.example", "https://evil.example/ntfy.example", false),
        ("ntfy.example", "https://evil.example#ntfy.example", false),
        ("ntfy.example", "https://evil.example?ntfy.example", false),
        ("ntfy.example", "https://xntfy.example", false),
        ("ntfy.example", "https://ntfy.example.", false),
        ("ntfy.example", "https://a.ntfy.example", false),
        ("ntfy.example:8443", "https://ntfy.example:8443", true),
        ("ntfy.example:8443", "https://ntfy.example", false),
        ("ntfy.example:443", "https://ntfy.example", true),
        ("192.168.1.5:80", "http://192.168.1.5/x", true),
        ("192.168.1.5:80", "http://192.168.1.5:8080/x", false),
        ("192.168.1.5", "http://192.168.1.5", false),
        ("127.0.0.1", "http://127.0.0.1:8080", true),
        ("[2001:db8::1]", "https://[2001:DB8::1]:444", true),
        ("[2001:db8::1]:443", "https://[2001:db8::1]", true),
        ("[2001:db8::1]:443", "https://[2001:db8::2]", false),
    ] {
        assert_eq!(allows(&[host], url), expected, "{host} {url}");
    }
    assert!(allows(&["a.example", "b.example"], "https://b.example"));
    assert!(!log.has_errors());
    for wrong in
        ["https://ntfy.example", "ntfy.example/x", "user@ntfy.example", "*.example", "ntfy.example:0", "", "a b"]
    {
        assert_eq!(hosts(&[wrong]), None, "{wrong}");
    }
    assert_eq!(hosts(&[]), None);
    assert!(log.has_errors());
}

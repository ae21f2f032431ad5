use axum::http::HeaderValue;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn limits_count_by_address_or_by_the_first_half_of_one() {
    for (one, other, expected) in [
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("2001:db8::1", "2001:db8::ffff:1", true),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ("127.0.0.1", "::1", false),
    ] {
        assert_eq!(Network::of(ip(one)) == Network::of(ip(other)), expected, "{one} {other}");
    }
}

#[test]
fn ranges() {
    for (range, address, expected) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
    ] {
        assert_eq!(Proxies(vec![super::range(range).unwrap()]).contains(ip(address)), expected, "{range} {address}");
    }
    for wrong in ["", "nginx", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0", "::ffff:10.0.0.0/104"] {
        assert!(range(wrong).unwrap_err().starts_with("expected an address or a range"), "{wrong}");
    }
}

#[test]
fn the_client_is_read_from_the_right_and_from_trusted_proxies_alone() {
    let proxies = Proxies(vec![range("127.0.0.1").unwrap(), range("10.0.0.0/8").unwrap()]);
    for (peer, headers, expected) in [
        ("192.0.2.1", &[("x-forwarded-for", "198.51.100.1")][..], "192.0.2.1"),
        ("127.0.0.1", &[], "127.0.0.1"),
        ("127.0.0.1", &[("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
        ("::ffff:127.0.0.1", &[("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
        ("127.0.0.1", &[("x-forwarded-for", "6.6.6.6, 198.51.100.1")], "198.51.100.1"),
        ("127.0.0.1", &[("x-forwarded-for", "6.6.6.6, 198.51.100.1, 10.1.1.1")], "198.51.100.1"),
        ("127.0.0.1", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
        ("127.0.0.1", &[("x-forwarded-for", "198.51.100.1:4711")], "198.51.100.1"),
        ("127.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1"),
        ("127.0.0.1", &[("x-forwarded-for", "2001:db8::1")], "2001:db8::1"),
        ("127.0.0.1", &[("x-forwarded-for", "6.6.6.6, unknown")], "127.0.0.1"),
        ("127.0.0.1", &[("x-forwarded-for", "")], "127.0.0.1"),
        ("127.0.0.1", &[("x-forwarded-for", "10.1.1.1")], "10.1.1.1"),
        ("127.0.0.1", &[("forwarded", "for=198.51.100.1;proto=https")], "198.51.100.1"),
        ("127.0.0.1", &[("forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:80\";by=x")], "2001:db8::1"),
        ("127.0.0.1", &[("forwarded", "proto=https")], "127.0.0.1"),
        ("127.0.0.1", &[("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
    ] {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        assert_eq!(proxies.client(ip(peer), &map), ip(expected), "{peer} {headers:?}");
    }
}

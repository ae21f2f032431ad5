//! A real client against a small server on a real socket that misbehaves on purpose.

use std::io::Read;
use std::net::SocketAddr;

use tilth_protocol::KeyKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::transport::tls::{CertificateClock, client_config};

const SHORT: Duration = Duration::from_millis(400);

/// Longer than it takes on a busy machine, and shorter than the limits that hold where none are given; a peer that hangs does so beyond it.
const PATIENCE: Duration = Duration::from_secs(12);

fn key() -> Key {
    Key::from_random(KeyKind::Device, [0xab; 6], [0x5e; 32])
}

fn to(address: &str) -> Result<Https, AddressError> {
    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transport/https/ca.pem");
    let tls = client_config(Some(pem.as_ref()), CertificateClock::machine()).unwrap();
    Https::with_timeouts(address, Some(&Id::new("acme").unwrap()), Some(&key()), &tls, (SHORT, SHORT))
}

/// Reads one request: its head as text, its body as bytes.
async fn request(socket: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "the client hung up");
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    while bytes.len() < end + length {
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "the client hung up");
    }
    (head, bytes.split_off(end))
}

#[derive(Clone, Copy)]
enum Then {
    Close,
    Hang,
    Drip,
}

/// Serves one connection: reads a request, says `words`, and then does as told.
async fn serve(words: Vec<u8>, then: Then) -> (SocketAddr, JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let asked = request(&mut socket).await;
        let _ = socket.write_all(&words).await;
        match then {
            Then::Close => {}
            Then::Hang => tokio::time::sleep(SHORT * 3).await,
            Then::Drip => {
                while socket.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        asked
    });
    (address, task)
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_batch_goes_compressed_with_the_key_and_its_answer_comes_whole() {
    let words = http("429 Too Many", "retry-after: 7\r\netag: \"e\"\r\n", "{}");
    let (address, task) = serve(words, Then::Close).await;
    let body = vec![b'x'; 100_000];
    let exchange = to(&format!("http://{address}/tilth")).unwrap().post_batch(body.clone(), None).await;
    let reply = exchange.outcome.unwrap();
    assert_eq!((reply.status, reply.retry_after, reply.body), (429, Some(Span(7000)), b"{}".to_vec()));
    let (head, packed) = task.await.unwrap();
    assert!(head.starts_with("POST /tilth/api/v1/sync/batch HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("x-device-key: {}\r\n", key().reveal())), "{head}");
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, body);
    assert!((packed.len() as u64..2_000).contains(&exchange.sent), "{}", exchange.sent);
    assert!(exchange.received >= 2, "{}", exchange.received);
}

#[tokio::test]
async fn a_pull_states_what_is_held() {
    let (address, task) = serve(http("304 Not Modified", "", ""), Then::Close).await;
    let held = NewestBundle { version: 12, etag: Some("\"abc\"".to_owned()) };
    let exchange = to(&format!("http://{address}")).unwrap().get_bundle(&held).await;
    assert_eq!(exchange.outcome.unwrap().status, 304);
    let (head, _) = task.await.unwrap();
    assert!(head.starts_with("GET /api/config/bundle?client_id=acme&since_version=12 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("if-none-match: \"abc\"\r\n"), "{head}");
}

#[tokio::test]
async fn every_way_to_misbehave_has_its_name() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"epoch\":".to_vec();
    let endless = {
        let mut words = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        words.resize(MAX_ANSWER_BYTES + 1000, b'x');
        words
    };
    for (what, words, then, expected) in [
        ("half an answer, then closed", half.clone(), Then::Close, TransportErrorKind::CutOff),
        ("half an answer, then nothing", half.clone(), Then::Hang, TransportErrorKind::TimedOut),
        ("a byte now and then", half, Then::Drip, TransportErrorKind::TimedOut),
        (
            "half a head, a byte now and then",
            b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
            Then::Drip,
            TransportErrorKind::TimedOut,
        ),
        ("never an answer", Vec::new(), Then::Hang, TransportErrorKind::TimedOut),
        ("closed at once", Vec::new(), Then::Close, TransportErrorKind::CutOff),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), Then::Close, TransportErrorKind::Garbled),
        ("too much", endless, Then::Hang, TransportErrorKind::TooLong),
    ] {
        let (address, task) = serve(words, then).await;
        let begun = std::time::Instant::now();
        let exchange = to(&format!("http://{address}")).unwrap().post_batch(b"{}".to_vec(), None).await;
        let error = exchange.outcome.expect_err(what);
        assert_eq!(error.kind, expected, "{what}: {error}");
        assert_eq!(error.peer, format!("http://{address}"), "{what}");
        assert!(begun.elapsed() < SHORT * 3, "{what}: {:?}", begun.elapsed());
        assert!(!error.to_string().contains(key().reveal()), "{what}");
        task.abort();
    }
}

/// Each part of a request that a hub, or a proxy in between, can leave hanging.
#[tokio::test]
async fn a_peer_that_hangs_is_given_up_in_each_part() {
    // Here the connection and the whole request have the same time.
    const NO_TLS: &[TransportErrorKind] = &[TransportErrorKind::NoConnection, TransportErrorKind::TimedOut];
    #[derive(Debug, Clone, Copy)]
    enum Hangs {
        BeforeTls,
        WithinTls,
        OverTheBody,
        WithContinues,
        WithHeaders,
    }
    for (hangs, scheme, expected) in [
        (Hangs::BeforeTls, "https", NO_TLS),
        (Hangs::WithinTls, "https", NO_TLS),
        (Hangs::OverTheBody, "http", &[TransportErrorKind::TimedOut]),
        // Words before the request has left are none of an answer.
        (Hangs::WithContinues, "http", &[TransportErrorKind::TimedOut, TransportErrorKind::Garbled]),
        (Hangs::WithHeaders, "http", &[TransportErrorKind::Garbled]),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let drip: &[u8] = match hangs {
                Hangs::BeforeTls | Hangs::OverTheBody => return std::future::pending().await,
                Hangs::WithinTls => b"\x16\x03\x03\x40\x00",
                Hangs::WithContinues => b"HTTP/1.1 100 Continue\r\n\r\n",
                Hangs::WithHeaders => b"HTTP/1.1 200 OK\r\n",
            };
            let _ = socket.write_all(drip).await;
            let more: &[u8] = match hangs {
                Hangs::WithContinues => drip,
                Hangs::WithHeaders => b"x-more: of it\r\n",
                Hangs::BeforeTls | Hangs::OverTheBody | Hangs::WithinTls => b"\x00",
            };
            while socket.write_all(more).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        // More than the system takes in for a peer that reads nothing, and that does not pack.
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        });
        let body: Vec<u8> =
            if matches!(hangs, Hangs::OverTheBody) { noise.take(12 << 20).collect() } else { vec![b'x'] };
        let client = to(&format!("{scheme}://{address}")).unwrap();
        let ended = tokio::time::timeout(PATIENCE, client.post_batch(body, None)).await;
        let error = ended.unwrap_or_else(|_| panic!("{hangs:?} is waited for")).outcome.unwrap_err();
        assert!(expected.contains(&error.kind), "{hangs:?}: {error}");
        task.abort();
    }
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let exchange = to(&format!("http://{address}")).unwrap().post_batch(b"{}".to_vec(), None).await;
    assert_eq!((exchange.outcome.unwrap_err().kind, exchange.sent), (TransportErrorKind::NoConnection, 0));
}

#[tokio::test]
async fn what_does_not_speak_tls_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        tokio::time::sleep(SHORT).await;
    });
    let exchange = to(&format!("https://{address}")).unwrap().post_batch(b"{}".to_vec(), None).await;
    assert_eq!(exchange.outcome.unwrap_err().kind, TransportErrorKind::NoTls);
}

/// rustls, and with it the hub, answers an alert to words that are no TLS.
#[tokio::test]
async fn plain_http_to_a_server_of_https_says_so() {
    let (address, task) = serve(b"\x15\x03\x01\x00\x02\x02\x46".to_vec(), Then::Close).await;
    let exchange = to(&format!("http://{address}")).unwrap().post_batch(b"{}".to_vec(), None).await;
    let error = exchange.outcome.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Garbled);
    assert_eq!(
        error.to_string(),
        format!(
            "http://{address}: the answer cannot be read: invalid HTTP version parsed; it may want https, as hub.url then has \
             to say"
        )
    );
    task.abort();
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_the_key_goes_nowhere() {
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("location: http://{}/\r\n", trap.local_addr().unwrap());
    for status in ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let (address, _task) = serve(http(status, &location, ""), Then::Close).await;
        let exchange = to(&format!("http://{address}")).unwrap().post_batch(b"{}".to_vec(), None).await;
        assert_eq!(exchange.outcome.unwrap().status / 100, 3);
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), trap.accept()).await.is_err());
}

#[test]
fn plain_http_is_for_this_machine_only() {
    for (url, expected) in [
        ("https://hub.example", "ok"),
        ("https://10.0.0.7:8443/tilth", "ok"),
        ("http://127.0.0.1:8080", "ok"),
        ("http://[::1]:8080/", "ok"),
        ("http://localhost", "ok"),
        ("http://hub.example", "plain"),
        ("http://10.0.0.7", "plain"),
        ("http://localhost.example", "plain"),
        ("ftp://hub.example", "url"),
        ("hub.example", "url"),
        ("", "url"),
    ] {
        let found = match to(url) {
            Ok(_) => "ok",
            Err(AddressError::Url { .. }) => "url",
            Err(AddressError::Plain { .. }) => "plain",
            Err(AddressError::Client { detail, .. }) => panic!("{url}: {detail}"),
        };
        assert_eq!(found, expected, "{url}");
    }
}

#[test]
fn the_key_is_not_in_the_debug_form() {
    let https = to("https://hub.example").unwrap();
    assert!(!format!("{https:?}").contains("5e5e"), "{https:?}");
}

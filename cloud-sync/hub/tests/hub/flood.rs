//! Clients that open connections and stay silent, or ask without a key, keep no other client out.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

use crate::client::{Reply, Request};
use crate::served::{Made, Served, batch};

fn farm(options: &[&str]) -> (Served, String, String) {
    let made = Made::new();
    let (reader, device) = (made.tenant("acme"), made.device("acme", "pi-7"));
    (made.serve_with(options), reader, device)
}

/// A connection from another address of this machine.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// As many connections as the hub takes in all, and more, each of which begins like this.
fn flood(address: SocketAddr, beginning: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        // What does not fit waits at the client for good.
        let _ = stream.write(beginning);
        stream
    };
    (0..1100).map(open).collect()
}

#[test]
fn more_connections_than_there_are_places_keep_no_device_out() {
    let (served, _, device) = farm(&[]);
    let ask = "GET /api/v1/time?nonce=0123456789abcdef&client_id=acme&device_id=pi-7 HTTP/1.1\r\nhost: hub\r\n\r\n";
    let guess = "GET /api/health HTTP/1.1\r\nhost: hub\r\nX-Device-Key: guess\r\n\r\n";
    let key = format!("dev_rk_{}_{}", "0".repeat(12), "0".repeat(64));
    let stranger = format!("GET /api/health HTTP/1.1\r\nhost: hub\r\nX-Device-Key: {key}\r\n\r\n");
    for (kind, beginning) in [
        ("silent", String::new()),
        ("half a head", ask[..40].to_owned()),
        ("half a body", "POST /api/v1/sync/batch HTTP/1.1\r\nhost: hub\r\ncontent-length: 1000\r\n\r\n{".to_owned()),
        ("half a body of an unknown key", format!("{}content-length: 9\r\n\r\n", stranger.trim_end())),
        ("never reading", ask.repeat(500)),
        ("never reading refusals", guess.repeat(500)),
        ("half a handshake", "\x16\x03\x01\x02".to_owned()),
    ] {
        let held = flood(served.address, beginning.as_bytes());
        for minutes in 1..=3 {
            let body = batch("acme", "pi-7", "tower-1/ph", minutes).to_string();
            let request = Request::post("/api/v1/sync/batch", &device, body);
            for from in [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)] {
                let reply = request.send_over(connect_from(from, served.address));
                assert_eq!(reply.status, 200, "{kind}, from {from}: {}", reply.text());
            }
        }
        drop(held);
    }
}

/// Writes a byte a second until the hub ends the connection.
fn trickle(mut stream: TcpStream, bytes: &str) -> bool {
    stream.set_nonblocking(true).unwrap();
    for byte in bytes.bytes().cycle().take(60) {
        thread::sleep(Duration::from_secs(1));
        let written = stream.write(&[byte]);
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return true,
            _ => {}
        }
        if written.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
            return true;
        }
    }
    false
}

#[test]
fn whoever_takes_too_long_is_hung_up_on() {
    let (served, reader, _) = farm(&[]);
    let address = served.address;
    let head = "GET /api/health HTTP/1.1\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    thread::scope(|scope| {
        let silent = scope.spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.read(&mut [0; 64]).is_ok_and(|read| read == 0)
        });
        let slow = scope.spawn(move || trickle(TcpStream::connect(address).unwrap(), head));
        let after_one = scope.spawn(|| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /api/health HTTP/1.1\r\nhost: hub\r\nX-Device-Key: {reader}\r\n\r\n").unwrap();
            let read = stream.read(&mut [0; 4096]).unwrap();
            assert!(read > 0);
            trickle(stream, head)
        });
        let deaf = scope.spawn(|| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            let ask = format!("GET /api/health HTTP/1.1\r\nhost: hub\r\nX-Device-Key: {reader}\r\n\r\n").repeat(100);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(90) {
                match stream.write(ask.as_bytes()) {
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => return true,
                    Ok(_) => {}
                }
            }
            false
        });
        for (name, thread) in [("silent", silent), ("slow head", slow), ("slow second head", after_one), ("deaf", deaf)]
        {
            assert!(thread.join().unwrap(), "{name} was not hung up on");
        }
    });
}

fn status_for(served: &Served, key: &str, forwarded: &[(&str, &str)]) -> u16 {
    let mut request = Request::get("/api/health", key);
    request.headers = forwarded.to_vec();
    request.send(served.address).status
}

/// Asks with keys that are unknown until that is refused before it is looked at.
fn guess_until_refused(served: &Served, forwarded: &[(&str, &str)]) {
    let found = (0..200).map(|_| status_for(served, "guess", forwarded)).find(|status| *status == 429);
    assert_eq!(found, Some(429));
}

#[test]
fn guessing_holds_up_neither_the_device_beside_it_nor_another_address() {
    let (served, reader, device) = farm(&[]);
    assert_eq!(status_for(&served, &reader, &[]), 200);
    served.batch(&device, &batch("acme", "pi-7", "tower-1/ph", 1)).ok();
    guess_until_refused(&served, &[]);
    // Keys of the right form, too.
    let key = format!("dev_ak_{}_{}", "0".repeat(12), "0".repeat(64));
    assert_eq!(status_for(&served, &key, &[]), 429);
    let time = "/api/v1/time?nonce=0123456789abcdef&client_id=acme&device_id=pi-7";
    assert_eq!(served.get(time, "").status, 200, "a device that asks for the time has not guessed");
    let probe = Request { key: None, ..Request::get("/api/health", "") };
    for _ in 0..50 {
        assert_eq!(probe.send(served.address).status, 200, "a load balancer has not guessed");
    }
    assert_eq!(status_for(&served, &reader, &[]), 200);
    served.batch(&device, &batch("acme", "pi-7", "tower-1/ph", 2)).ok();
    let other = connect_from(Ipv4Addr::new(127, 0, 0, 2), served.address);
    assert_eq!(Request::get("/api/health", &key).send_over(other).status, 401);
}

#[test]
fn behind_a_proxy_the_limit_is_the_farms() {
    let (served, reader, _) = farm(&["--trusted-proxy", "127.0.0.1"]);
    let of = |address: &'static str| [("X-Forwarded-For", address)];
    guess_until_refused(&served, &of("203.0.113.9"));
    assert_eq!(status_for(&served, "guess", &of("198.51.100.7")), 401);
    // What the client wrote itself stands further left, and is not believed.
    assert_eq!(status_for(&served, "guess", &of("198.51.100.8, 203.0.113.9")), 429);
    assert_eq!(status_for(&served, "guess", &[("Forwarded", "for=203.0.113.9")]), 429);
    // One half of an IPv6 address is one customer's.
    guess_until_refused(&served, &of("2001:db8::1"));
    assert_eq!(status_for(&served, "guess", &of("2001:db8::2:1")), 429);
    assert_eq!(status_for(&served, "guess", &of("2001:db8:0:1::1")), 401);
    assert_eq!(status_for(&served, &reader, &of("203.0.113.9")), 200, "a key that is known is no guess");
    // From anywhere else the header says nothing.
    let over = |address: &'static str| {
        let mut request = Request::get("/api/health", "guess");
        request.headers = of(address).to_vec();
        request.send_over(connect_from(Ipv4Addr::new(127, 0, 0, 3), served.address)).status
    };
    assert!((0..200).any(|_| over("192.0.2.1") == 429));
    assert_eq!(over("192.0.2.2"), 429);
}

/// Guards against: a public id of a key, which stands in lists and logs, with which anybody could use its limit up.
#[test]
fn a_forged_secret_takes_nothing_from_the_limit_of_its_key() {
    let (served, reader, _) = farm(&["--trusted-proxy", "127.0.0.1"]);
    let forged = format!("{}{}", &reader[..reader.len() - 64], "0".repeat(64));
    // From some addresses, since each may guess only so often; together more than the key's own limit.
    for farm in 1..=6 {
        let address = format!("203.0.113.{farm}");
        let statuses = (0..60).map(|_| status_for(&served, &forged, &[("X-Forwarded-For", &address)]));
        assert!(statuses.filter(|status| *status == 401).count() >= 50);
    }
    assert_eq!(status_for(&served, &reader, &[]), 200);
}

#[test]
fn what_is_no_proxy_is_refused() {
    let made = Made::new();
    for wrong in ["nginx", "10.0.0.0/40", ""] {
        let done = made.run(&["serve", "--listen", "127.0.0.1:0", "--trusted-proxy", wrong]);
        assert_eq!(done.status.code(), Some(2));
        assert!(crate::served::stderr(&done).contains("expected an address or a range, such as 127.0.0.1"), "{wrong}");
    }
}

/// A proxy as nginx is one: it speaks to the hub from its own address and says whom it speaks for.
fn proxy(hub: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || forward(client, hub));
        }
    });
    address
}

fn forward(mut client: TcpStream, hub: SocketAddr) {
    let IpAddr::V4(from) = client.peer_addr().unwrap().ip() else { return };
    let Ok(mut upstream) = TcpStream::connect(hub) else { return };
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    head.truncate(head.len() - 2);
    head.extend_from_slice(format!("X-Forwarded-For: {from}\r\n\r\n").as_bytes());
    let _ = upstream.write_all(&head);
    let (mut back, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    let answer = thread::spawn(move || {
        let _ = std::io::copy(&mut to, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut upstream);
    let _ = answer.join();
}

#[test]
fn many_devices_get_through_one_proxy_while_an_address_behind_it_floods() {
    let (served, _, device) = farm(&["--trusted-proxy", "127.0.0.0/24"]);
    let address = proxy(served.address);
    let guesses = thread::spawn(move || {
        let guess =
            |_| Request::get("/api/health", "guess").send_over(connect_from(Ipv4Addr::new(127, 0, 1, 9), address));
        (0..100).map(guess).filter(|reply: &Reply| reply.status == 429).count()
    });
    for minutes in 1..=10 {
        let body = batch("acme", "pi-7", "tower-1/ph", minutes).to_string();
        let request = Request::post("/api/v1/sync/batch", &device, body);
        let reply = request.send_over(connect_from(Ipv4Addr::new(127, 0, 1, 7), address));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert!(guesses.join().unwrap() > 0, "the flood was refused at some point");
}

//! A receiver of notifications for tests, in a process of its own: a server as ntfy's, or a webhook that checks who sends.
//!
//! ```text
//! receiver ntfy|webhook FOLDER [PORT]
//! ```
//!
//! The server listens on the loopback and says where. In FOLDER are `topic` and `token`, or `secret`. Each request becomes a line of
//! JSON in `requests` there before it is answered. `next` says what the next request gets in place of what it deserves, and is
//! removed then: `429 20` with a `Retry-After`, `500`, `hang-up`, or `wait`, which answers once there is a file `go`.

mod http;
mod ntfy;
mod webhook;

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};

use http::{Answer, Request};

/// What one kind of receiver makes of a request: what it answers, and what it notes of it.
enum Role {
    Ntfy(ntfy::Server),
    Webhook(webhook::Verifier),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (role, folder, port) = match arguments[..] {
        [role, folder] => (role, folder, "0"),
        [role, folder, port] => (role, folder, port),
        _ => return usage(),
    };
    let folder = PathBuf::from(folder);
    let mut role = match role {
        "ntfy" => Role::Ntfy(ntfy::Server::new(&read(&folder, "topic"), &read(&folder, "token"))),
        "webhook" => Role::Webhook(webhook::Verifier::new(&read(&folder, "secret"), &folder.join("seen"))),
        _ => return usage(),
    };
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("listens on {}", listener.local_addr().expect("it has an address"));
    for stream in listener.incoming() {
        serve(&mut role, &folder, &stream.expect("a connection"));
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: receiver ntfy|webhook FOLDER [PORT]");
    ExitCode::from(2)
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("the test wrote it").trim().to_owned()
}

/// One request. A connection that brings none is closed: a probe of the port opens such a one.
fn serve(role: &mut Role, folder: &Path, stream: &TcpStream) {
    let Some(request) = http::read(stream) else { return };
    let order = fs::read_to_string(folder.join("next")).unwrap_or_default();
    let _ = fs::remove_file(folder.join("next"));
    let mut words = order.split_whitespace();
    let order = words.next();
    let (answer, mut note) = match (order.and_then(|word| word.parse().ok()), &mut *role) {
        (Some(status), _) => (http::refusal(status, words.next()), described(&request)),
        (None, Role::Ntfy(server)) => server.take(&request),
        (None, Role::Webhook(office)) => office.take(&request),
    };
    note.insert("status".to_owned(), json!(answer.status));
    note.insert("order".to_owned(), json!(order));
    let line = Value::Object(note).to_string() + "\n";
    let file = File::options().create(true).append(true).open(folder.join("requests"));
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the folder can be written");
    match order {
        Some("hang-up") => return,
        Some("wait") => {
            while !folder.join("go").exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        _ => {}
    }
    http::write(stream, &answer);
}

/// Note of a request that was not examined: enough to tell which one it was.
fn described(request: &Request) -> Map<String, Value> {
    let id = request.header("x-tilth-notification").unwrap_or_default();
    Map::from_iter([("id".to_owned(), json!(id))])
}

/// An answer with a body of JSON.
fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, retry_after: None, body: body.to_string() }
}

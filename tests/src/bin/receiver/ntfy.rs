//! What ntfy's server checks of a message that is published, and what it answers (docs.ntfy.sh/publish).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::answer;
use crate::http::{Answer, Request};

/// A longer message becomes an attachment, and this server takes none.
const MAX_MESSAGE: usize = 4096;

/// A topic or the name of a sequence.
const MAX_NAME: usize = 64;

pub(crate) struct Server {
    topic: String,
    token: String,
    published: u64,
}

/// What was published.
struct Message {
    topic: String,
    title: String,
    priority: String,
    tags: Vec<String>,
    click: String,
    sequence: String,
    message: String,
}

/// A refusal: HTTP status, ntfy's own code, its words.
type Refusal = (u16, u32, &'static str);

impl Server {
    /// A client with the token may publish to the topic; everything else is denied.
    pub(crate) fn new(topic: &str, token: &str) -> Server {
        Server { topic: topic.to_owned(), token: token.to_owned(), published: 0 }
    }

    pub(crate) fn take(&mut self, request: &Request) -> (Answer, Map<String, Value>) {
        let mut note = crate::described(request);
        match self.publish(request) {
            Ok((message, priority)) => {
                self.published += 1;
                let said = json!({
                    "id": format!("message{:05}", self.published), "time": 1_772_323_200, "expires": 1_772_366_400,
                    "event": "message", "topic": message.topic, "title": message.title, "message": message.message,
                    "priority": priority, "tags": message.tags, "click": message.click, "sequence_id": message.sequence,
                });
                note.insert("message".to_owned(), said.clone());
                (answer(200, &said), note)
            }
            Err((status, code, error)) => {
                note.insert("refused".to_owned(), json!(error));
                let body =
                    json!({ "code": code, "http": status, "error": error, "link": "https://ntfy.sh/docs/publish/" });
                (answer(status, &body), note)
            }
        }
    }

    fn publish(&self, request: &Request) -> Result<(Message, u8), Refusal> {
        let message = match (request.method.as_str(), request.path.trim_start_matches('/')) {
            ("POST" | "PUT", "") => from_json(&request.body)?,
            ("POST" | "PUT", topic) => from_headers(topic, request)?,
            _ => return Err((404, 40401, "page not found")),
        };
        if !is_name(&message.topic) {
            return Err((400, 40009, "invalid request: topic invalid"));
        }
        match request.header("authorization") {
            Some(given) if given == format!("Bearer {}", self.token) => {}
            Some(_) => return Err((401, 40101, "unauthorized")),
            None => return Err((403, 40301, "forbidden")),
        }
        if message.topic != self.topic {
            return Err((403, 40301, "forbidden"));
        }
        let priority = priority(&message.priority).ok_or((400, 40007, "invalid priority parameter"))?;
        if !message.sequence.is_empty() && !is_name(&message.sequence) {
            return Err((400, 40049, "invalid request: sequence ID invalid"));
        }
        Ok((message, priority))
    }
}

fn from_headers(topic: &str, request: &Request) -> Result<Message, Refusal> {
    let text = |names: &[&str]| request.any_header(names).map(decoded).unwrap_or_default();
    if request.body.len() > MAX_MESSAGE {
        return Err((413, 41301, "attachment too large, or bandwidth limit reached"));
    }
    let message = String::from_utf8(request.body.clone())
        .map_err(|_| (400, 40011, "invalid message: message must be UTF-8 encoded"))?;
    let tags = text(&["x-tags", "tags", "tag", "ta"]);
    Ok(Message {
        topic: topic.to_owned(),
        title: text(&["x-title", "title", "t"]),
        priority: text(&["x-priority", "priority", "prio", "p"]),
        tags: tags.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect(),
        click: text(&["x-click", "click"]),
        sequence: text(&["x-sequence-id", "sequence-id", "sid"]),
        message: if message.trim().is_empty() { "triggered".to_owned() } else { message.trim().to_owned() },
    })
}

fn from_json(body: &[u8]) -> Result<Message, Refusal> {
    let object: Value =
        serde_json::from_slice(body).map_err(|_| (400, 40017, "invalid request: request body must be message JSON"))?;
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let tags = object["tags"].as_array().cloned().unwrap_or_default();
    Ok(Message {
        topic: text("topic"),
        title: text("title"),
        priority: object["priority"].as_u64().map(|priority| priority.to_string()).unwrap_or_default(),
        tags: tags.iter().filter_map(|tag| Some(tag.as_str()?.to_owned())).collect(),
        click: text("click"),
        sequence: text("sequence_id"),
        message: text("message"),
    })
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn priority(word: &str) -> Option<u8> {
    match word.to_ascii_lowercase().as_str() {
        "" | "3" | "default" => Some(3),
        "1" | "min" => Some(1),
        "2" | "low" => Some(2),
        "4" | "high" => Some(4),
        "5" | "max" | "urgent" => Some(5),
        _ => None,
    }
}

/// A header's text: words as RFC 2047 encodes them in base 64, or what stands there.
fn decoded(value: &str) -> String {
    let decode = |word: &str| {
        let inner = word.strip_prefix("=?")?.strip_suffix("?=")?;
        let (charset, rest) = inner.split_once('?')?;
        let (encoding, text) = rest.split_once('?')?;
        let is_known = charset.eq_ignore_ascii_case("utf-8") && encoding.eq_ignore_ascii_case("b");
        String::from_utf8(STANDARD.decode(text).ok().filter(|_| is_known)?).ok()
    };
    let words: Option<String> = value.split(' ').map(decode).collect();
    words.unwrap_or_else(|| value.to_owned())
}

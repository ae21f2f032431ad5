//! What each route answers to each caller.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, header};
use http_body_util::BodyExt;
use tilth_config::{Document, Layer, Purpose, base, load_documents};
use tilth_core::alert::AlertId;
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::reading::{Quality, Raw};
use tilth_core::time::Uptime;
use tokio::sync::{broadcast, mpsc};
use tower_service::Service;

use super::*;
use crate::api::caller::Caller;
use crate::api::problem::MEDIA_TYPE;
use crate::api::state::Limits;
use crate::clock::{Clock, ClockMode};
use crate::configuration::{ConfigStatus, Retry};
use crate::decide::{DecideRequest, DecideState};
use crate::health::TaskHealth;
use crate::sense::released::Ports;
use crate::store::tests::farm::{Folder, booted, options};
use crate::store::thread::{self, InitialStore, Settings};
use crate::store::{BLOCK_INTERVAL, Policy};
use crate::sync::status::SyncStatus;

/// A router of an agent whose engine and configuration have stopped.
fn router_of(folder: &Folder) -> Router {
    router_with(folder, mpsc::channel(1).0, mpsc::channel(1).0)
}

fn router_with(folder: &Folder, retries: mpsc::Sender<Retry>, to_decide: mpsc::Sender<DecideRequest>) -> Router {
    let policy =
        Policy { keep_days: 1, has_hub: true, most_bytes: 1 << 30, least_free_bytes: 0, events_bytes: 1 << 20 };
    let settings = Settings {
        interval: BLOCK_INTERVAL,
        policy,
        options: options(),
        free_bytes: Box::new(|| None),
        report: Box::new(|_| ()),
    };
    let store = Box::new(booted(folder));
    let (_, store, _) = thread::start(|| InitialStore::Open(store), settings).unwrap();
    let clock = Clock::new(ClockMode::System);
    router(Arc::new(ApiState {
        device: Id::new("pi-7").unwrap(),
        boot: 1,
        clock: clock.clone(),
        started: Instant::now(),
        config: ConfigStatus::new(clock.clone(), "0".to_owned(), Local::new(None)),
        health: TaskHealth::new(clock),
        to_decide,
        retries,
        ports: Ports::default(),
        notify: mpsc::channel(1).0.downgrade(),
        live: broadcast::channel(1).0,
        store,
        database: "tilth.db".into(),
        policy,
        sync: SyncStatus::default(),
        limits: Limits::new(Instant::now()),
    }))
}

async fn ask(router: &Router, caller: Option<Caller>, (method, path, body): (Method, &str, &str)) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(caller) = caller {
        request = request.extension(caller);
    }
    let answer = router.clone().call(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = answer.status();
    let media_type = if status.is_success() { "application/json" } else { MEDIA_TYPE };
    assert_eq!(answer.headers()[header::CONTENT_TYPE], media_type, "{path}");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

const CHANGES: [(Method, &str, &str); 9] = [
    (Method::POST, "/api/v1/alerts/1/acknowledge", r#"{"for_s":60,"by":"anna"}"#),
    (Method::POST, "/api/v1/silences", r#"{"everything":true,"for_s":60,"by":"anna"}"#),
    (Method::DELETE, "/api/v1/silences/1", ""),
    (Method::POST, "/api/v1/notes", r#"{"text":"refilled the tank","by":"anna"}"#),
    (Method::POST, "/api/v1/actuators/acid-pump/switch", r#"{"on":true,"for_s":2,"by":"anna"}"#),
    (Method::POST, "/api/v1/holds", r#"{"zone":"tower-1","by":"anna"}"#),
    (Method::DELETE, "/api/v1/holds/tower-1?by=anna", ""),
    (Method::POST, "/api/v1/channels/phone/test", r#"{"by":"anna"}"#),
    (Method::POST, "/api/v1/calibrations", r#"{"sensor":"tank/ph","step":"mid","value":7,"by":"anna"}"#),
];

#[tokio::test]
async fn over_tcp_everything_is_read_and_nothing_is_changed() {
    let folder = Folder::new();
    let router = router_of(&folder);
    let tcp = Caller::Tcp(([192, 0, 2, 7], 4000).into());
    for change in CHANGES {
        let (status, said) = ask(&router, Some(tcp), change.clone()).await;
        assert!(status == 403 && said.contains("192.0.2.7:4000 may read and change nothing"), "{change:?}: {said}");
        let (status, said) = ask(&router, None, change.clone()).await;
        assert_eq!(status, 500, "{change:?}: {said}");
        let (status, said) = ask(&router, Some(Caller::Socket), change.clone()).await;
        assert!(status == 503 && said.contains("the engine does not answer"), "{change:?}: {said}");
    }
    let retry = |caller| ask(&router, Some(caller), (Method::POST, "/api/v1/configuration/retry", ""));
    assert_eq!(retry(tcp).await.0, 403);
    let (status, said) = retry(Caller::Socket).await;
    assert!(status == 503 && said.contains("the configuration does not answer"), "{said}");
    let release = |caller| {
        ask(&router, Some(caller), (Method::POST, "/api/v1/ports/release", r#"{"port":"/dev/null-not-there"}"#))
    };
    assert_eq!(release(tcp).await.0, 403);
    let (status, said) = release(Caller::Socket).await;
    assert!(status == 409 && said.contains("/dev/null-not-there: No such file"), "{said}");
    for caller in [tcp, Caller::Socket] {
        let (status, said) = ask(&router, Some(caller), (Method::GET, "/api/v1/status", "")).await;
        assert!(status == 200 && said.contains(r#""device":"pi-7""#), "{said}");
    }
}

const FARM: &str = "
[sensors.'room/level']
quantity = 'count'
resolution = 0.1
input = 'line:gateway/level'
[rules.level-high]
sensor = 'room/level'
above = 30
severity = 'warning'
";

/// Guards against: "no alert 1 is open" to a person whose acknowledgement is recorded, since the alert was over a moment later.
#[tokio::test]
async fn an_acknowledgement_is_answered_with_the_alert_as_it_was_then() {
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", FARM));
    documents.agent_toml =
        Some(Document::agent_toml("[device]\nid = 'pi-7'\n[bus.gateway]\nkind = 'line'\nport = 'p'\n"));
    let plan = Arc::new(load_documents(documents, Purpose::Run).plan.unwrap());
    let sensor = plan.sensor_ix("room/level").unwrap();
    let mut engine = Engine::new(plan, Start { boot: 1, at: Uptime(0), wall: None });
    engine.handle(Uptime(0), Input::Reserved { after: AlertId(0), through: AlertId(9) });
    let level = |engine: &mut Engine, at, value| {
        engine.handle(at, Input::Reading(Raw { sensor, at, value, quality: Quality::Good }));
        while engine.poll().is_some() {}
    };
    level(&mut engine, Uptime(1000), 31.0);

    let folder = Folder::new();
    let (to_decide, mut requests) = mpsc::channel(1);
    let router = router_with(&folder, mpsc::channel(1).0, to_decide);
    let decide = async {
        let context = DecideState::default();
        while let Some(request) = requests.recv().await {
            match request {
                DecideRequest::Input(input, answer) => {
                    engine.handle(Uptime(2000), input);
                    answer(&engine, &context);
                    level(&mut engine, Uptime(3000), 20.0);
                }
                DecideRequest::Query(query) => query(&engine, &context),
                _ => panic!("another request"),
            }
        }
    };
    let (method, path, body) = CHANGES[0].clone();
    let (status, said) = tokio::select! {
        answer = ask(&router, Some(Caller::Socket), (method, path, body)) => answer,
        () = decide => panic!("it ends with the router"),
    };
    assert!(status == 200 && said.contains(r#""state":"acknowledged""#), "{status} {said}");
}

/// Guards against: a retry that is said to have failed while the bundle is compiled and saved.
#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_a_bundle_that_is_compiled_and_the_minutes_limit_counts_it() {
    let folder = Folder::new();
    let (retries, mut retried) = mpsc::channel::<Retry>(1);
    let router = router_with(&folder, retries, mpsc::channel(1).0);
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(8)).await;
        while let Some(answer) = retried.recv().await {
            answer.send(Ok(7)).unwrap();
        }
    });
    let retry = || ask(&router, Some(Caller::Socket), (Method::POST, "/api/v1/configuration/retry", ""));
    let (status, said) = retry().await;
    assert!(status == 200 && said.contains(r#""bundle":7"#), "{said}");
    let mut answers = Vec::new();
    for _ in 0..300 {
        answers.push(retry().await.0);
    }
    assert_eq!((answers[0], answers[299]), (200, 429));
    let release = (Method::POST, "/api/v1/ports/release", r#"{"port":"/dev/null-not-there"}"#);
    assert_eq!(ask(&router, Some(Caller::Socket), release).await.0, 429);
}

#[tokio::test]
async fn what_cannot_be_answered_is_said_with_what_was_expected() {
    let folder = Folder::new();
    let router = router_of(&folder);
    let [ack, silences, _, notes, switch, ..] = CHANGES.map(|(_, path, _)| path);
    for (method, path, body, status, said) in [
        (Method::GET, "/api/v1/money", "", 404, "there is no /api/v1/money here; expected /api/v1/status, sensors, "),
        (
            Method::GET,
            "/api/v2/status",
            "",
            404,
            "the request is for version 2 of the API, and this agent (tilth-agent ",
        ),
        (Method::POST, "/api/v1/status", "", 405, "POST /api/v1/status: expected a method that the header Allow names"),
        (
            Method::GET,
            "/api/v1/alerts?al=true",
            "",
            400,
            "Failed to deserialize query string: al: unknown field `al`, expected `all`",
        ),
        (
            Method::GET,
            "/api/v1/stored/rows?table=money&from=1&through=2",
            "",
            400,
            "unknown variant `money`, expected one of `raw`, `minute`, `quarter`, `event`",
        ),
        (Method::GET, "/api/v1/stored?since=7d", "", 503, "the engine does not answer"),
        (Method::POST, "/api/v1/alerts/x/acknowledge", "{}", 400, "expected the number of an alert or a silence"),
        (Method::POST, "/api/v1/actuators/%ff/switch", "{}", 400, "or the name of an actuator, a zone or a channel"),
        (Method::DELETE, "/api/v1/holds/%ff?by=anna", "", 400, "or the name of an actuator, a zone or a channel"),
        (Method::POST, "/api/v1/channels/%ff/test", "{}", 400, "or the name of an actuator, a zone or a channel"),
        (
            Method::POST,
            ack,
            r#"{"for_s":-0.005,"by":"anna"}"#,
            400,
            "-5ms is no time to wait; expected more than nothing and at most 30d",
        ),
        (
            Method::POST,
            ack,
            r#"{"for_s":1e300,"by":"anna"}"#,
            400,
            " is no time to wait; expected more than nothing and at most 30d",
        ),
        (Method::POST, ack, r#"{"for_s":60}"#, 422, "missing field `by`"),
        (Method::POST, ack, r#"{"for_s":60,"by":" "}"#, 400, "expected the name of the person: --by NAME"),
        (
            Method::POST,
            silences,
            r#"{"zoen":"tank","for_s":60,"by":"anna"}"#,
            422,
            "unknown field `zoen`, expected one of `zone`, `rule`, ",
        ),
        (
            Method::POST,
            silences,
            r#"{"for_s":60,"by":"anna"}"#,
            400,
            r#"which alerts? expected zone, rule or sensor, or \"everything\": true to silence the whole farm"#,
        ),
        (Method::POST, notes, r#"{"text":" ","by":"anna"}"#, 400, "an empty note"),
        (Method::POST, switch, r#"{"on":false,"for_s":2,"by":"anna"}"#, 400, r#"for_s goes with \"on\": true"#),
        (Method::POST, switch, r#"{"for_s":2,"by":"anna"}"#, 422, "missing field `on`"),
        (Method::POST, notes, "refilled", 400, "Failed to parse the request body as JSON"),
    ] {
        let (found, text) = ask(&router, Some(Caller::Socket), (method, path, body)).await;
        assert!(found == status && text.contains(said), "{path} {body}: {found} {text}");
    }
}

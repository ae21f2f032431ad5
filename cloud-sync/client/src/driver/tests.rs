//! The shell on paused time with a transport that follows a script, and once with real sockets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tilth_core::id::Id;
use tilth_core::time::{Span, Stamp, WallTime};
use tilth_protocol::{Answer, Batch, Confirmed, Epoch, ErrorCode, Event as Row, Extent, Failure, Lane, Lanes, Stream};
use tokio::time::Instant;

use super::*;
use crate::engine::{LaneState, NewestBundle, ProblemKind, Setup, StateName, limits};
use crate::transport::{Exchange, Reply, TransportError, TransportErrorKind};

const STREAM: Stream = Stream(1);
const EPOCH: Epoch = Epoch(7);

/// What the hub does with a batch.
#[derive(Clone, Copy)]
enum Does {
    Takes,
    Fails,
    Conflicts,
    Never,
}

/// A hub that follows a script and then takes everything.
#[derive(Clone, Default)]
struct Script {
    steps: Arc<Mutex<VecDeque<Does>>>,
    got: Arc<Mutex<Vec<(Instant, Batch)>>>,
    pulls: Arc<Mutex<u32>>,
}

fn reply(status: u16, body: impl serde::Serialize) -> Exchange {
    let body = serde_json::to_vec(&body).unwrap();
    Exchange { outcome: Ok(Reply { status, body, ..Reply::default() }), sent: 10, received: 10 }
}

fn refusal(error: ErrorCode) -> Exchange {
    reply(error.status(), Failure { error, message: "because".to_owned() })
}

impl Transport for Script {
    async fn post_batch(&self, body: Vec<u8>, _: Option<Confirmed>) -> Exchange {
        let batch: Batch = serde_json::from_slice(&body).unwrap();
        let confirmed = batch.lanes.events.iter().map(|extent| (Lane::Events, extent.last)).collect();
        self.got.lock().unwrap().push((Instant::now(), batch));
        let step = self.steps.lock().unwrap().pop_front();
        match step.unwrap_or(Does::Takes) {
            Does::Takes => reply(
                200,
                Answer { epoch: EPOCH, confirmed, rejected: Vec::new(), config_version: None, now: WallTime(0) },
            ),
            Does::Fails => refusal(ErrorCode::Internal),
            Does::Conflicts => refusal(ErrorCode::StreamConflict),
            Does::Never => std::future::pending().await,
        }
    }

    async fn get_bundle(&self, _: &NewestBundle) -> Exchange {
        let mut pulls = self.pulls.lock().unwrap();
        *pulls += 1;
        Exchange {
            outcome: Ok(Reply { status: 200, body: format!("bundle {pulls}").into_bytes(), ..Reply::default() }),
            sent: 1,
            received: 6,
        }
    }
}

struct Farm {
    store: mpsc::Receiver<StoreRequest>,
    heads: watch::Sender<Heads>,
    reports: mpsc::Receiver<Report>,
    inputs: mpsc::Sender<SyncInput>,
    stop: oneshot::Sender<()>,
    sync: tokio::task::JoinHandle<Result<(), QueueClosed>>,
}

fn heads(stream: Stream, events: u64) -> Heads {
    Heads { stream, lanes: BTreeMap::from([(Lane::Events, events)]) }
}

fn outbox(stream: Stream, events: u64) -> Outbox {
    let lanes = BTreeMap::from([(Lane::Events, LaneState { confirmed: 0, head: events })]);
    Outbox { stream, epoch: Some(EPOCH), lanes }
}

fn engine(events: u64) -> SyncEngine {
    let id = |text| Id::new(text).unwrap();
    let intervals = limits::Intervals { live: None, ..limits::Intervals::default() };
    let setup = Setup { tenant: id("acme"), device: id("pi-7"), intervals, seed: 1 };
    SyncEngine::new(Uptime(0), setup, &outbox(STREAM, events), NewestBundle::default())
}

fn start(transport: impl Transport + Send + 'static, events: u64) -> Farm {
    let begun = Instant::now();
    start_with(transport, events, move || Uptime(i64::try_from(begun.elapsed().as_millis()).unwrap()))
}

/// Starts sync with queues of one place each, the harshest that there are.
fn start_with(transport: impl Transport + Send + 'static, events: u64, clock: impl Clock + Send + 'static) -> Farm {
    let (store_in, store) = mpsc::channel(1);
    let (heads_in, heads_out) = watch::channel(heads(STREAM, events));
    let (reports, reports_out) = mpsc::channel(1);
    let (inputs_in, inputs) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let queues = Queues { store: store_in, heads: heads_out, reports, inputs };
    let engine = engine(events);
    let sync = tokio::spawn(async move { run(engine, &transport, queues, clock, async { drop(stopped.await) }).await });
    Farm { store, heads: heads_in, reports: reports_out, inputs: inputs_in, stop, sync }
}

fn rows(request: &RowsRequest, stream: Stream) -> Rows {
    let at = Stamp { boot: 1, uptime: Uptime(0), wall: None };
    let row = |seq| Row { seq, at, kind: "note".to_owned(), body: serde_json::Map::new() };
    let extent = |wanted: &crate::engine::LaneRange| Extent {
        first: wanted.first,
        last: wanted.last,
        rows: (wanted.first..=wanted.last).map(row).collect(),
        gaps: Vec::new(),
    };
    let lanes = Lanes { events: request.lanes.first().map(extent), ..Lanes::default() };
    Rows { id: request.id, stream, lanes, live: Vec::new() }
}

impl Farm {
    /// The next request but requests for rows, which are answered.
    async fn request(&mut self, stream: Stream) -> StoreRequest {
        loop {
            match self.store.recv().await.expect("sync runs") {
                StoreRequest::Fetch { request, answer } => drop(answer.send(Ok(rows(&request, stream)))),
                request => return request,
            }
        }
    }

    /// The next report for which `pick` has an answer.
    async fn report<R>(&mut self, pick: impl Fn(&Report) -> Option<R>) -> R {
        loop {
            if let Some(found) = pick(&self.reports.recv().await.expect("sync runs")) {
                return found;
            }
        }
    }
}

/// Runs a test on paused time, where nothing sleeps for real.
fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

#[test]
fn rows_go_up_and_what_is_confirmed_comes_back() {
    paused(async {
        let hub = Script::default();
        let mut farm = start(hub.clone(), 3);
        let StoreRequest::Command(StoreCommand::Confirm { stream, confirmed }) = farm.request(STREAM).await else {
            panic!("expected a confirmation")
        };
        assert_eq!((stream, confirmed), (STREAM, BTreeMap::from([(Lane::Events, 3)])));
        farm.heads.send(heads(STREAM, 5)).unwrap();
        let StoreRequest::Command(StoreCommand::Confirm { confirmed, .. }) = farm.request(STREAM).await else {
            panic!("expected a confirmation")
        };
        assert_eq!(confirmed, BTreeMap::from([(Lane::Events, 5)]));
        let bundle = farm.report(|report| matches!(report, Report::Bundle(_)).then(|| report.clone())).await;
        assert_eq!(bundle, Report::Bundle(b"bundle 1".to_vec()));
        farm.stop.send(()).unwrap();
        assert_eq!(farm.sync.await.unwrap(), Ok(()));
    });
}

#[test]
fn a_hub_that_never_answers_is_given_up_and_tried_again() {
    paused(async {
        let hub = Script::default();
        hub.steps.lock().unwrap().extend([Does::Never, Does::Fails]);
        let mut farm = start(hub.clone(), 3);
        let StoreRequest::Command(StoreCommand::Confirm { .. }) = farm.request(STREAM).await else {
            panic!("expected a confirmation")
        };
        let times: Vec<Duration> = hub.got.lock().unwrap().iter().map(|(at, _)| at.elapsed()).collect();
        let given_up = times[0] - times[1];
        let least = Duration::from_secs(75 + 1);
        assert!(given_up >= least && given_up <= least + Duration::from_secs(2), "{given_up:?}");
        assert_eq!(times.len(), 3);
    });
}

#[test]
fn stopping_waits_for_nobody() {
    paused(async {
        let hub = Script::default();
        hub.steps.lock().unwrap().push_back(Does::Never);
        let mut farm = start(hub.clone(), 3);
        while hub.got.lock().unwrap().is_empty() {
            tokio::select! {
                request = farm.store.recv() => {
                    if let Some(StoreRequest::Fetch { request, answer }) = request { drop(answer.send(Ok(rows(&request, STREAM)))) }
                }
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
        let begun = Instant::now();
        farm.stop.send(()).unwrap();
        assert_eq!(farm.sync.await.unwrap(), Ok(()));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_stuck_store_does_not_silence_the_farm() {
    paused(async {
        let hub = Script::default();
        let farm = start(hub.clone(), 0);
        farm.heads.send(heads(STREAM, 2)).unwrap();
        // Neither the store's queue nor the events are read.
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(*hub.pulls.lock().unwrap() >= 5, "{}", hub.pulls.lock().unwrap());
        assert!(!farm.sync.is_finished());
    });
}

#[test]
fn a_conflict_asks_for_one_new_stream_and_goes_on_under_it() {
    paused(async {
        let hub = Script::default();
        hub.steps.lock().unwrap().push_back(Does::Conflicts);
        let mut farm = start(hub.clone(), 3);
        let StoreRequest::NewStream { answer, .. } = farm.request(STREAM).await else {
            panic!("expected a new stream")
        };
        let kind =
            farm.report(|report| if let Report::Problem(problem) = report { Some(problem.kind) } else { None }).await;
        assert_eq!(kind, ProblemKind::StreamConflict);
        // A slow store: the engine gives up waiting, the question stays, and is asked once only.
        let slow = tokio::time::timeout(Duration::from_secs(40), farm.request(STREAM)).await;
        assert!(slow.is_err() || matches!(slow, Ok(StoreRequest::Command(StoreCommand::Confirm { .. }))), "{slow:?}");
        farm.heads.send(heads(Stream(2), 4)).unwrap();
        answer.send(outbox(Stream(2), 3)).unwrap();
        let confirmed = loop {
            if let StoreRequest::Command(StoreCommand::Confirm { stream: Stream(2), confirmed }) =
                farm.request(Stream(2)).await
            {
                break confirmed;
            }
        };
        assert_eq!(confirmed, BTreeMap::from([(Lane::Events, 4)]), "rows that came meanwhile are not forgotten");
        assert_eq!(hub.got.lock().unwrap().last().unwrap().1.stream, Stream(2));
    });
}

#[test]
fn whoever_goes_away_ends_sync() {
    for (who, expected) in [
        ("store", QueueClosed::Store),
        ("reports", QueueClosed::Agent),
        ("inputs", QueueClosed::Agent),
        ("heads", QueueClosed::Store),
    ] {
        paused(async move {
            let farm = start(Script::default(), 3);
            let Farm { store, heads, reports, inputs, stop, sync } = farm;
            let mut parts = (Some(store), Some(heads), Some(reports), Some(inputs));
            match who {
                "store" => drop(parts.0.take()),
                "heads" => drop(parts.1.take()),
                "reports" => drop(parts.2.take()),
                _ => drop(parts.3.take()),
            }
            assert_eq!(sync.await.unwrap(), Err(expected), "{who}");
            drop((parts, stop));
        });
    }
}

#[test]
fn status_and_inputs_go_both_ways() {
    paused(async {
        let hub = Script::default();
        hub.steps.lock().unwrap().push_back(Does::Fails);
        let mut farm = start(hub.clone(), 0);
        let of = |state| {
            move |report: &Report| matches!(report, Report::Status(status) if status.state == state).then_some(())
        };
        farm.report(of(StateName::BackingOff)).await;
        farm.report(of(StateName::Idle)).await;
        let before = *hub.pulls.lock().unwrap();
        for _ in 0..3 {
            // The bundle was lost: it is to come again.
            farm.inputs.send(SyncInput::NewestBundle(NewestBundle::default())).await.unwrap();
            farm.report(|report| matches!(report, Report::Bundle(_)).then_some(())).await;
        }
        assert!(*hub.pulls.lock().unwrap() >= before + 3);
    });
}

/// A transport over a real socket to a server that misbehaves in every way in turn, and then behaves.
#[test]
fn over_real_sockets_every_way_to_misbehave_is_survived() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let body = format!(r#"{{"epoch":"{EPOCH}","confirmed":{{"events":3}},"now":1}}"#);
    let good = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let portal = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>".to_owned();
    let half = good[..good.len() - 10].to_owned();
    let answers = ["".to_owned(), half, portal, "\0\0\0\0 what?\r\n\r\n".to_owned(), good];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut bytes = vec![0; 64 << 10];
                let read = socket.read(&mut bytes).await.unwrap();
                assert!(bytes[..read].starts_with(b"POST /api/v1/sync/batch"), "{:?}", &bytes[..read.min(40)]);
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        let key = tilth_protocol::Key::from_random(tilth_protocol::KeyKind::Device, [1; 6], [2; 32]);
        let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transport/https/ca.pem");
        let tls = crate::transport::tls::client_config(
            Some(pem.as_ref()),
            crate::transport::tls::CertificateClock::machine(),
        )
        .unwrap();
        let client = Id::new("acme").unwrap();
        let https = crate::transport::https::Https::new(&format!("http://{address}"), &client, &key, &tls).unwrap();
        let mut farm = start_with(BatchesOnly(https), 3, Fast(Instant::now()));
        let StoreRequest::Command(StoreCommand::Confirm { confirmed, .. }) = farm.request(STREAM).await else {
            panic!("expected a confirmation")
        };
        assert_eq!(confirmed, BTreeMap::from([(Lane::Events, 3)]));
        server.await.unwrap();
        farm.stop.send(()).unwrap();
        assert_eq!(farm.sync.await.unwrap(), Ok(()));
    };
    runtime.block_on(test);
}

/// Configuration is for other tests.
struct BatchesOnly<T>(T);

impl<T: Transport> Transport for BatchesOnly<T> {
    async fn post_batch(&self, body: Vec<u8>, confirmed: Option<Confirmed>) -> Exchange {
        self.0.post_batch(body, confirmed).await
    }

    async fn get_bundle(&self, _: &NewestBundle) -> Exchange {
        let error =
            TransportError { peer: String::new(), kind: TransportErrorKind::NoConnection, detail: String::new() };
        Exchange { outcome: Err(error), sent: 0, received: 0 }
    }
}

/// A clock that runs twenty times as fast as the runtime's.
struct Fast(Instant);

impl Clock for Fast {
    fn now(&self) -> Uptime {
        Uptime(i64::try_from(self.0.elapsed().as_millis()).unwrap() * 20)
    }

    fn sleep(&self, now: Uptime, then: Uptime) -> Duration {
        let Span(wait) = then - now;
        Duration::from_millis(wait.max(0).unsigned_abs().div_ceil(20))
    }
}

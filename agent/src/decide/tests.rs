//! Timelines over the end of one process and the start of the next: what those that tell people are asked to do.

use tilth_config::{Document, Layer, Loaded, Merged, Purpose};
use tilth_core::id::SensorId;
use tilth_core::reading::{Quality, Raw};
use tilth_notify::message::{DeliveryStatus, Outcome};
use tokio::sync::{broadcast, oneshot};

use super::*;
use crate::clock::ClockMode;
use crate::store::tests::farm::{Folder, booted, options};
use crate::store::thread::{self, InitialStore, Settings, StoreHandle};
use crate::store::{AlertNumberRange, BLOCK_INTERVAL, Policy};

mod numbers;
mod outputs;

const FARM: &str = "
[sensors.'room/level']
quantity = 'count'
resolution = 0.1
input = 'line:gateway/level'
[rules.sensor-silent]
enabled = false
[notifications.phone]
kind = 'ntfy'
url = 'http://127.0.0.1:1'
topic = 'farm'
[escalation.default]
warning = { wait = '10m', channels = ['log'] }
critical = { wait = '10m', channels = ['phone'] }
";

const RULE: &str = "
[rules.level-high]
sensor = 'room/level'
above = 30
severity = 'warning'
cooldown = '0s'
message = 'level {value}'
";

/// One process, from its start to its end. Its run is named by the second at which it began.
struct Life {
    decide: Decide,
    clock: Clock,
    asked: mpsc::Receiver<notify::NotifyRequest>,
    store: StoreHandle,
    _folder: Folder,
}

impl Life {
    /// Goes on from what the life before kept.
    fn begin(at_s: i64, farm: &str, snapshot: Option<Vec<u8>>) -> Life {
        let checkpoint = snapshot.map(|bytes| serde_json::from_slice(&bytes).unwrap());
        Life::restored(at_s, farm, RestoredState { boot: 1, checkpoint, ..RestoredState::default() })
    }

    fn restored(at_s: i64, farm: &str, restored: RestoredState) -> Life {
        let clock = Clock::new(ClockMode::EventTime);
        clock.observe(WallTime(at_s * 1000));
        let folder = Folder::new();
        let settings = Settings {
            interval: BLOCK_INTERVAL,
            policy: Policy {
                keep_days: 1,
                has_hub: true,
                most_bytes: 1 << 30,
                least_free_bytes: 0,
                events_bytes: 1 << 20,
            },
            options: options(),
            free_bytes: Box::new(|| None),
            report: Box::new(|_| ()),
        };
        let (store_writer, store, _) = {
            let store = Box::new(booted(&folder));
            thread::start(|| InitialStore::Open(store), settings).unwrap()
        };
        let (notify, asked) = mpsc::channel(notify::REQUESTS);
        let handles = Handles {
            device: Id::new("pi").unwrap(),
            run: RunId::of(&format!("at{at_s}")),
            clock: clock.clone(),
            store_writer,
            outputs: crate::act::Outputs::new(),
            replaced: watch::channel(StoreReplaced::default()).1,
            notify,
            live: broadcast::channel(LIVE).0,
            recording: None,
        };
        let alerts = AlertNumberRange { after: 0, through: 100 };
        let restored = RestoredState { alerts, ..restored };
        Life { decide: begin(restored, configured(farm), handles), clock, asked, store, _folder: folder }
    }

    fn level(&mut self, at_s: i64, level: f64) {
        self.clock.observe(WallTime(at_s * 1000));
        let sensor = self.decide.engine.plan().sensor_ix("room/level").unwrap();
        let at = Uptime(at_s * 1000);
        self.decide.handle(Input::Reading(Raw { sensor, at, value: level, quality: Quality::Good }));
        self.decide.flush();
    }

    fn outcome(&mut self, channel: &str, notification: &str, status: DeliveryStatus) {
        let outcome =
            Outcome { notification: notification.to_owned(), status, attempts: 1, reason: None, instead: None };
        self.decide.note_delivery(&Delivery { channel: Id::new(channel).unwrap(), outcome });
    }

    /// What was asked for since the last time.
    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        let mut said = Vec::new();
        while let Ok(command) = self.asked.try_recv() {
            let names = |channels: &[Id]| channels.iter().map(Id::as_str).collect::<Vec<_>>().join(" ");
            let notify::NotifyRequest::Dispatch(request) = command else {
                panic!("expected no request for the state of channels")
            };
            said.push(match request {
                Request::Page(notification, channels) => {
                    format!(
                        "{}{} {}",
                        if notification.repeat { "repeat " } else { "page " },
                        notification.id,
                        names(&channels)
                    )
                }
                Request::Paged(AlertId(alert), channels) => format!("paged {alert} {}", names(&channels)),
                Request::Resolved(notification) => notification.id,
                Request::Channels(..) => "channels".to_owned(),
                other @ (Request::Acknowledged(_) | Request::Sirens(_)) => panic!("{other:?}"),
            });
        }
        assert_eq!(said, expected);
    }

    fn kept(&mut self) -> Vec<u8> {
        self.decide.stage_checkpoint();
        serde_json::to_vec(self.decide.commit.checkpoint.take().unwrap().as_ref()).unwrap()
    }

    #[track_caller]
    fn remembers(&mut self, told: &Value) {
        let kept: Value = serde_json::from_slice(&self.kept()).unwrap();
        assert_eq!(kept["told_by"], *told);
    }
}

fn configured(farm: &str) -> DecideConfig {
    configured_on(farm, None)
}

/// On a machine the agent watches itself as well.
fn configured_on(farm: &str, agent_toml: Option<&str>) -> DecideConfig {
    let mut documents = tilth_config::base();
    documents.layers.push(Document::toml(Layer::ConfigD, "farm.toml", farm));
    documents.agent_toml = agent_toml.map(Document::agent_toml);
    let purpose = if agent_toml.is_some() { Purpose::Run } else { Purpose::Replay };
    let loaded: Loaded = tilth_config::load_documents(documents, purpose);
    let merged = Merged::of(&loaded);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    DecideConfig { plan: Arc::new(plan), hash: String::new(), channels: loaded.channels, merged }
}

/// Escalated to the phone, and the log's answer alone is known.
fn escalated(farm: &str) -> Life {
    let mut life = Life::begin(0, farm, None);
    life.level(10, 31.0);
    life.outcome("log", "pi-1-1-at0", DeliveryStatus::Sent);
    life.level(700, 31.0);
    life.expect(&["channels", "page pi-1-1-at0 log", "page pi-1-2-at0 phone"]);
    life.remembers(&json!({ "1": { "log": 1, "phone": 0 } }));
    life
}

#[test]
fn a_start_that_ends_an_alert_tells_those_who_were_paged() {
    let farm = format!("{FARM}{RULE}");
    let kept = escalated(&farm).kept();
    let mut without_the_rule = Life::begin(800, FARM, Some(kept));
    without_the_rule.expect(&["channels", "paged 1 log phone", "pi-1-resolved-at800"]);
    without_the_rule.remembers(&json!({}));
}

#[test]
fn whoever_was_paged_in_an_earlier_life_is_told_that_it_is_over() {
    let farm = format!("{FARM}{RULE}");
    let kept = escalated(&farm).kept();
    let mut life = Life::begin(800, &farm, Some(kept));
    life.expect(&["channels", "paged 1 log phone", "repeat pi-1-2-at0 phone"]);
    life.outcome("phone", "pi-1-2-at0", DeliveryStatus::Sent);
    let kept = life.kept();
    let mut life = Life::begin(900, &farm, Some(kept));
    life.expect(&["channels", "paged 1 log phone"]);
    life.level(1000, 20.0);
    life.expect(&["pi-1-resolved-at900"]);
}

/// The wait of its level ended while the process was off.
#[test]
fn a_page_that_a_start_decides_on_is_no_repeat() {
    let farm = format!("{FARM}{RULE}");
    let mut life = escalated(&farm);
    life.outcome("phone", "pi-1-2-at0", DeliveryStatus::Sent);
    let kept = life.kept();
    let mut life = Life::begin(1400, &farm, Some(kept));
    life.expect(&["channels", "paged 1 log phone", "page pi-1-3-at1400 log"]);
}

#[test]
fn what_is_told_of_an_alert_that_is_over_is_not_remembered() {
    let farm = format!("{FARM}{RULE}");
    let mut life = escalated(&farm);
    life.level(800, 20.0);
    life.outcome("phone", "pi-1-2-at0", DeliveryStatus::Withdrawn);
    life.remembers(&json!({}));
    life.level(900, 31.0);
    life.remembers(&json!({ "2": { "log": 0 } }));
    let mut kept: Value = serde_json::from_slice(&life.kept()).unwrap();
    kept["told_by"]["1"] = json!({ "phone": 2 });
    let mut later = Life::begin(1000, &farm, Some(kept.to_string().into_bytes()));
    later.remembers(&json!({ "2": { "log": 0 } }));
}

/// Both runs went on from the same state, and neither knew of the other's alert.
#[test]
fn two_runs_from_one_state_give_their_pages_ids_of_their_own() {
    let farm = format!("{FARM}{RULE}");
    let kept = Life::begin(0, &farm, None).kept();
    for (at_s, page) in [(100, "page pi-1-1-at100 log"), (200, "page pi-1-1-at200 log")] {
        let mut life = Life::begin(at_s, &farm, Some(kept.clone()));
        life.level(at_s + 1, 31.0);
        life.expect(&["channels", page]);
    }
}

/// What a version before runs had names kept: its page is known by the id that it had.
#[test]
fn a_page_from_before_runs_had_names_is_repeated_under_its_old_id() {
    let farm = format!("{FARM}{RULE}");
    let mut kept: Value = serde_json::from_slice(&escalated(&farm).kept()).unwrap();
    kept.as_object_mut().unwrap().remove("paged_by");
    let mut life = Life::begin(800, &farm, Some(kept.to_string().into_bytes()));
    life.expect(&["channels", "paged 1 log phone", "repeat pi-1-2 phone"]);
}

/// Guards against: the first alert of a new configuration, told by the channels of the one before.
#[test]
fn channels_are_known_before_the_engine_speaks_by_the_plan_that_has_them() {
    let mut life = Life::begin(0, FARM, None);
    life.level(10, 31.0);
    life.expect(&["channels"]);
    life.decide.handle_request(DecideRequest::Plan(Box::new(configured(&format!("{FARM}{RULE}")))));
    life.expect(&["channels", "page pi-1-1-at0 log"]);
    // What fired by the plan of before, and that it is over by this one.
    life.decide.handle_request(DecideRequest::Plan(Box::new(configured(FARM))));
    life.expect(&["channels", "pi-1-resolved-at0"]);
}

#[test]
fn a_page_that_is_given_up_is_an_event_and_is_not_told_again_at_the_next_start() {
    let farm = format!("{FARM}{RULE}");
    let mut life = escalated(&farm);
    life.decide.commit.events.clear();
    life.outcome("phone", "pi-1-2-at0", DeliveryStatus::Failed);
    life.outcome("log", "pi-1-2-at0-instead-of-phone", DeliveryStatus::Sent);
    let events: Vec<_> = life.decide.commit.events.iter().map(|event| (event.kind.as_str(), &event.body)).collect();
    let [("undelivered", body)] = events[..] else { panic!("{events:?}") };
    assert_eq!(
        (&body["notification"], &body["alert"], &body["status"]),
        (&json!("pi-1-2-at0"), &json!(1), &json!("failed"))
    );
    life.remembers(&json!({ "1": { "log": 2, "phone": 2 } }));
    let kept = life.kept();
    Life::begin(800, &farm, Some(kept)).expect(&["channels", "paged 1 log phone"]);
}

/// However many wait, the channels of a configuration arrive: what comes after them goes to where they lead.
#[test]
fn channels_outlast_a_queue_that_is_full() {
    let mut life = Life::begin(0, FARM, None);
    for _ in 0..notify::REQUESTS {
        life.decide.send_to_channels(Request::Acknowledged(AlertId(1)));
    }
    life.decide.handle_request(DecideRequest::Plan(Box::new(configured(&format!("{FARM}{RULE}")))));
    for _ in 0..=MAX_UNSENT {
        life.decide.send_to_channels(Request::Acknowledged(AlertId(2)));
    }
    assert!(life.decide.context.lost_notifications > 0);
    let waits = life.decide.unsent.iter().filter(|request| matches!(request, Request::Channels(..))).count();
    assert_eq!(waits, 1);
}

/// A value above the rule's limit, stamped so many seconds after the beginning.
fn high(at_s: i64) -> SenseMessage {
    SenseMessage::Value(SensorValue {
        sensor: SensorId::new("room/level").unwrap(),
        number: 31.0,
        quality: Quality::Good,
        fault: None,
        arrived: Uptime(0),
        measured_at: None,
        stamp: Some(WallTime(at_s * 1000)),
        rejected: None,
    })
}

/// Guards against: a farm that is not watched as long as a few programs poll the API without pause.
#[tokio::test]
async fn clients_that_ask_without_pause_delay_no_value_and_no_deadline() {
    let farm = format!("{FARM}{}", RULE.replace("cooldown", "for = '1m'\ncooldown"));
    let Life { decide, clock, mut asked, _folder, .. } = Life::begin(0, &farm, None);
    let queue = Queue::new(1);
    let (requests, heard) = mpsc::channel(4);
    let (_outcomes, told) = mpsc::channel(1);
    tokio::spawn(decide.run(Vec::new(), Vec::new(), queue.clone(), heard, told, crate::notify::to_decide::channel().1));
    // The queue of commands is never empty meanwhile.
    let ask_often = async || {
        for _ in 0..100 {
            requests.send(DecideRequest::Ping(oneshot::channel().0)).await.unwrap();
        }
    };
    let look = async || {
        let (look, looked) = oneshot::channel();
        let count = |_: &Engine, context: &DecideState| look.send(context.readings.decided).unwrap();
        requests.send(DecideRequest::Query(Box::new(count))).await.unwrap();
        looked.await.unwrap()
    };
    ask_often().await;
    queue.push(high(1));
    ask_often().await;
    assert_eq!(look().await, 1, "expected the value to be decided on");
    ask_often().await;
    clock.observe(WallTime(90_000));
    ask_often().await;
    let mut pages = 0;
    while let Ok(command) = asked.try_recv() {
        pages += u32::from(matches!(command, notify::NotifyRequest::Dispatch(Request::Page(..))));
    }
    assert_eq!(pages, 1, "expected the page that was due after a minute");
}

/// Guards against: a modem that is unplugged for weeks, which stays unknown until the night in which its SMS are needed.
#[test]
fn a_modem_that_cannot_send_is_told_by_the_other_channels_until_it_can() {
    const MODEM: &str = "[notifications.sms]\nkind = 'modem'\nport = '/dev/ttyUSB2'\nnumbers = ['+4915112345678']\n";
    let farm = format!("{FARM}{MODEM}").replace("['phone']", "['sms', 'phone']");
    let mut life = Life::begin(0, FARM, None);
    let machine = "[device]\nid = 'pi'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n";
    life.decide.handle_request(DecideRequest::Plan(Box::new(configured_on(&farm, Some(machine)))));
    life.expect(&["channels", "channels"]);
    let at = |life: &mut Life, at_s: i64, problem: Option<&str>| {
        life.clock.observe(WallTime(at_s * 1000));
        let problems = ModemProblems::from([(Id::new("sms").unwrap(), problem.map(str::to_owned))]);
        life.decide.modems_changed(problems);
        life.decide.handle(Input::Tick);
    };
    at(&mut life, 10, None);
    at(&mut life, 20, Some("there is no such port"));
    at(&mut life, 100, Some("there is no SIM"));
    at(&mut life, 319, Some("there is no SIM"));
    life.expect(&[]);
    at(&mut life, 320, Some("there is no SIM"));
    life.expect(&["page pi-1-1-at0 phone"]);
    let key = life.decide.engine.alerts().next().unwrap().details.key;
    assert_eq!(key.to_string(), "notify channel-down notify/sms");
    assert_eq!(life.decide.explanation(&key).map(|it| it.why), Some("there is no SIM".to_owned()));
    at(&mut life, 400, None);
    life.expect(&["pi-1-resolved-at0"]);
    // A modem that restarts is no news.
    at(&mut life, 410, Some("the modem does not answer"));
    at(&mut life, 700, None);
    at(&mut life, 5000, None);
    life.expect(&[]);
}

/// Guards against: an alert that says that a value cannot be believed, and not that its thermometer is missing.
#[test]
fn values_that_stay_suspect_are_an_alert_that_says_why() {
    let mut life = Life::begin(0, &FARM.replace("resolution", "interval = '1m'\nresolution"), None);
    let why: Arc<str> = "ezo_ph at 0x63 is not compensated".into();
    for minute in 0..6 {
        life.clock.observe(WallTime(minute * 60_000));
        let sensor = SensorId::new("room/level").unwrap();
        life.decide.handle_value(&SensorValue::new(sensor, 6.0, Quality::Suspect, Some(Arc::clone(&why)), Uptime(0)));
    }
    life.expect(&["channels", "page pi-1-1-at0 log"]);
    let key = life.decide.engine.alerts().next().unwrap().details.key;
    assert_eq!(key.to_string(), "room sensor-fault room/level");
    assert_eq!(life.decide.explanation(&key).map(|it| it.why), Some(why.to_string()));
}

/// Guards against: pages, sockets and buses that wait until a long queue is decided on, or until the store has its part.
#[tokio::test]
async fn a_page_leaves_before_the_store_is_handed_its_event_and_before_the_next_burst() {
    let Life { mut decide, mut asked, _folder, .. } = Life::begin(0, &format!("{FARM}{RULE}"), None);
    decide.flush();
    let progress = decide.store_writer.progress();
    while progress.unwritten_from().is_some() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let values = 4 * BATCH as i64;
    let queue = Queue::new(values as usize);
    (1..=values).for_each(|second| queue.push(high(second)));
    let (requests, heard) = mpsc::channel(1);
    let (_outcomes, told) = mpsc::channel(1);
    tokio::spawn(decide.run(Vec::new(), Vec::new(), queue, heard, told, crate::notify::to_decide::channel().1));
    while !matches!(asked.recv().await, Some(notify::NotifyRequest::Dispatch(Request::Page(..)))) {}
    assert_eq!(progress.unwritten_from(), None, "the store was handed the event first");
    let (look, looked) = oneshot::channel();
    let count = |_: &Engine, context: &DecideState| look.send(context.readings.decided).unwrap();
    requests.send(DecideRequest::Query(Box::new(count))).await.unwrap();
    let decided = looked.await.unwrap();
    assert!(decided < values as u64, "all {values} values were decided on first");
    let (done, stopped) = oneshot::channel();
    requests.send(DecideRequest::Stop(done)).await.unwrap();
    stopped.await.unwrap();
}

#[test]
fn what_is_refused_is_a_diagnostic_with_a_name() {
    let mut life = Life::begin(0, FARM, None);
    for _ in 0..=tilth_core::site::MAX_SILENCES {
        life.decide.silence(Matcher::default(), Span::from_mins(60), "anna".to_owned());
    }
    let last = life.decide.commit.diagnostics.last().unwrap();
    assert_eq!((last.kind.as_str(), &last.body["reason"]), ("refused", &json!("too-many-silences")));
}

#[test]
fn values_that_were_left_out_are_said_once_a_minute() {
    let mut life = Life::begin(0, FARM, None);
    let said = |life: &mut Life, at_s: i64, dropped: u64, is_last: bool| {
        life.clock.observe(WallTime(at_s * 1000));
        life.decide.commit.events.clear();
        life.decide.report_drops(dropped, is_last);
        let events = life.decide.commit.events.iter().map(|event| (event.kind.clone(), event.body["values"].clone()));
        events.collect::<Vec<_>>()
    };
    let lost = |count: u64| vec![("lost".to_owned(), json!(count))];
    assert_eq!(said(&mut life, 1, 0, false), []);
    assert_eq!(said(&mut life, 2, 5, false), lost(5));
    assert_eq!(said(&mut life, 30, 9, false), [], "within the minute");
    assert_eq!(said(&mut life, 63, 12, false), lost(7));
    assert_eq!(said(&mut life, 64, 13, true), lost(1), "at the end");
    assert_eq!(said(&mut life, 200, 13, false), []);
}

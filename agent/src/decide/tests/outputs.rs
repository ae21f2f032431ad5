//! Bookings, orders and answers, with a real store.

use crate::store::{AlertNumberRange, EarlierState, LossAmount, LostHistory};
use std::time::Duration;

use tilth_core::interlock::{self, ActuatorState, Origin, Refusal, SwitchOrder, Wanted};
use tokio::time::timeout;

use super::*;
use crate::checkpoint::{Checkpoint, OutputsBefore};
use crate::decide::ActuateAnswer;

const DOSER: &str = "
[actuators.acid]
zone = 'room'
output = 'board:gateway/relay-1'
max_on = '3s'
dose_per_hour = '5s'
[rules.level-high]
sensor = 'room/level'
above = 30
actions = [{ actuator = 'acid', on = '2s' }]
";

/// A process whose board obeys at once and says so.
struct Board {
    life: Life,
    orders: mpsc::Receiver<SwitchOrder>,
}

impl Board {
    fn begin(at_s: i64, snapshot: Option<Vec<u8>>) -> Board {
        Board::of(at_s, &format!("{FARM}{DOSER}"), snapshot)
    }

    fn of(at_s: i64, farm: &str, snapshot: Option<Vec<u8>>) -> Board {
        Board::with(Life::begin(at_s, farm, snapshot))
    }

    fn with(mut life: Life) -> Board {
        let orders = life.decide.outputs.of_bus(&Id::new("gateway").unwrap());
        // Orders of the start had no bus yet, and are lost.
        while let Ok(outcome) = life.decide.order_outcomes.try_recv() {
            life.decide.handle(Input::Actuator(outcome));
        }
        // As the bus does when it has opened its port.
        life.decide.handle(Input::Bus { bus: Id::new("gateway").unwrap(), up: true });
        Board { life, orders }
    }

    /// Orders since the last call, each confirmed.
    fn obey(&mut self) -> Vec<String> {
        let mut obeyed = Vec::new();
        while let Ok(SwitchOrder { order, actuator, on, at_most, .. }) = self.orders.try_recv() {
            let span = at_most.map_or(String::new(), |span| format!(" {span}"));
            obeyed.push(format!("{actuator} {}{span}", if on { "on" } else { "off" }));
            self.life.decide.handle_order_outcome(interlock::ActuatorInput::Switched { order, on, why: None });
        }
        obeyed
    }

    fn command(&mut self, id: &str, wanted: Wanted) -> oneshot::Receiver<ActuateAnswer> {
        let (answer, answered) = oneshot::channel();
        let command = interlock::Command {
            id: Id::new(id).unwrap(),
            actuator: Id::new("acid").unwrap(),
            wanted,
            expires: self.life.clock.uptime() + Span::from_secs(5),
            by: Origin::Person("ann".to_owned()),
        };
        self.life.decide.handle_request(DecideRequest::Actuate { command: Box::new(command), answer });
        self.life.decide.flush();
        answered
    }

    /// Waits for the store's word and gives it to the engine.
    async fn booked(&mut self) {
        let outcome = timeout(Duration::from_secs(20), self.life.decide.order_outcomes.recv()).await.unwrap().unwrap();
        self.life.decide.handle(Input::Actuator(outcome));
    }

    fn hour(&self) -> (Span, ActuatorState) {
        let view = self.life.decide.engine.actuators().next().unwrap();
        (view.hour, view.state)
    }

    /// The checkpoint on the disk.
    fn stored(&self) -> Checkpoint {
        let (store, _) = crate::store::tests::farm::open(&self.life._folder);
        store.checkpoint().unwrap().unwrap().checkpoint
    }
}

async fn answer(answered: oneshot::Receiver<ActuateAnswer>) -> ActuateAnswer {
    timeout(Duration::from_secs(20), answered).await.unwrap().unwrap()
}

fn on(secs: i64) -> Wanted {
    Wanted::On(Some(Span::from_secs(secs)))
}

#[tokio::test]
async fn a_dose_is_on_the_disk_before_its_pump_runs() {
    let mut board = Board::begin(0, None);
    assert_eq!(board.obey(), ["acid off"]);
    let mut answered = board.command("one", on(2));
    assert_eq!(
        (board.obey(), board.hour()),
        (vec![], (Span::ZERO, ActuatorState::Booking)),
        "the store has not answered"
    );
    assert!(answered.try_recv().is_err(), "no answer before");
    board.booked().await;
    // The process may be killed from here on: the next one counts the dose.
    let mut next = Board::begin(1, Some(serde_json::to_vec(&board.stored()).unwrap()));
    assert_eq!(next.hour().0, Span::from_secs(2));
    assert_eq!(next.obey(), ["acid off"], "and switches off first");
    assert_eq!(board.obey(), ["acid on 2s"]);
    assert_eq!(answer(answered).await, Ok(()));
}

#[tokio::test]
async fn what_a_limit_forbids_is_answered_with_the_limit() {
    let mut board = Board::begin(0, None);
    board.obey();
    assert_eq!(answer(board.command("long", on(4))).await, Err(Refusal::MaxOn(Span::from_secs(3))));
    let answered = board.command("one", on(3));
    board.booked().await;
    assert_eq!(answer(answered).await, Ok(()));
    assert_eq!(answer(board.command("again", on(3))).await, Err(Refusal::On));
    assert_eq!(answer(board.command("off", Wanted::Off)).await, Ok(()));
    assert_eq!(board.obey(), ["acid on 3s", "acid off"]);
    let Err(Refusal::DosePerHour { wait: Some(_) }) = answer(board.command("more", on(3))).await else {
        panic!("5 s an hour, and 3 s were dosed")
    };
}

#[tokio::test]
async fn an_alert_doses_and_each_step_is_an_event() {
    let mut board = Board::begin(0, None);
    board.obey();
    board.life.level(10, 31.0);
    board.booked().await;
    assert_eq!(board.obey(), ["acid on 2s"]);
    board.life.clock.observe(WallTime(13_000));
    board.life.decide.handle(Input::Tick);
    assert_eq!(board.obey(), ["acid off"]);
    let events = board.life.decide.commit.events.iter().filter(|event| event.kind == "actuation");
    let said: Vec<&str> = events.map(|event| event.body["message"].as_str().unwrap()).collect();
    assert_eq!(said, ["acid on for 2 s, by rule level-high of room/level", "acid off: its time is over"]);
}

#[tokio::test]
async fn a_stop_switches_off_while_the_buses_still_run() {
    let mut board = Board::begin(0, None);
    board.obey();
    let answered = board.command("one", on(3));
    board.booked().await;
    drop(answered);
    board.obey();
    let (done, ordered) = oneshot::channel();
    board.life.decide.handle_request(DecideRequest::SwitchOff(done));
    ordered.await.unwrap();
    assert_eq!(board.obey(), ["acid off"]);
    timeout(Duration::from_secs(20), board.life.decide.outputs.taken()).await.unwrap();
}

#[tokio::test]
async fn an_order_that_nobody_takes_is_lost_and_counts() {
    let mut board = Board::begin(0, None);
    board.obey();
    board.orders.close();
    let answered = board.command("one", on(2));
    board.booked().await;
    assert_eq!(answer(answered).await, Ok(()));
    board.booked().await;
    assert!(matches!(board.hour(), (hour, ActuatorState::Stopping(Some(_))) if hour == Span::from_secs(2)));
}

/// A database that was away at the start knows of doses that this process does not.
#[tokio::test]
async fn doses_of_before_count_once_their_database_is_there() {
    let mut before = Board::begin(0, None);
    before.obey();
    let answered = before.command("one", on(3));
    before.booked().await;
    drop(answered);
    let known = OutputsBefore::of(&before.stored());
    let mut board = Board::begin(100, None);
    board.obey();
    board.life.decide.restore_outputs(&known);
    assert_eq!(board.hour().0, Span::from_secs(3));
}

/// Guards against: a dose on top of those that the database holds, which is opened by the booking of it.
#[tokio::test]
async fn nothing_is_dosed_before_a_database_says_what_was_dosed() {
    let restored = RestoredState { boot: 0, ..RestoredState::default() };
    let mut board = Board::with(Life::restored(0, &format!("{FARM}{DOSER}"), restored));
    board.obey();
    let answered = board.command("one", on(2));
    board.booked().await;
    assert_eq!((answer(answered).await, board.obey()), (Err(Refusal::NotBooked), vec![]));
    board.life.decide.engine.number_boot(2);
    let answered = board.command("two", on(2));
    board.booked().await;
    assert_eq!((answer(answered).await, board.obey()), (Ok(()), vec!["acid on 2s".to_owned()]));
}

#[tokio::test]
async fn doses_of_a_memory_that_cannot_be_read_are_unknown() {
    let restored = RestoredState { boot: 2, doses_unknown: true, ..RestoredState::default() };
    let mut board = Board::with(Life::restored(0, &format!("{FARM}{DOSER}"), restored));
    assert_eq!(answer(board.command("one", on(2))).await, Err(Refusal::DosesUnknown));
    let restored = RestoredState { boot: 0, ..RestoredState::default() };
    let mut board = Board::with(Life::restored(0, &format!("{FARM}{DOSER}"), restored));
    let alerts = AlertNumberRange { after: 0, through: 100 };
    let earlier = EarlierState { boot: 2, has_boots: true, site: None, outputs: None, alerts };
    let news = StoreReplaced { earlier: Some(earlier), lost: None };
    board.life.decide.replaced = watch::channel(news).1;
    board.life.decide.store_replaced();
    assert_eq!(answer(board.command("one", on(2))).await, Err(Refusal::DosesUnknown));
}

/// A board without sensors that is unplugged is told of, and once it is back.
#[test]
fn a_board_that_only_switches_relays_and_is_away_is_an_alert() {
    let farm = format!("{FARM}{DOSER}").replace("board:gateway/relay-1", "board:relays/relay-1");
    let machine =
        "[device]\nid = 'pi'\n[bus.gateway]\nkind = 'line'\nport = 'a'\n[bus.relays]\nkind = 'board'\nport = 'b'\n";
    let mut life = Life::begin(0, FARM, None);
    life.decide.handle_request(DecideRequest::Plan(Box::new(configured_on(&farm, Some(machine)))));
    life.expect(&["channels", "channels"]);
    let relays = Id::new("relays").unwrap();
    life.decide.bus_changed(&relays, Some("there is no such port"));
    for (at_s, expected) in [(59, None), (60, Some("page pi-1-1-at0 phone"))] {
        life.clock.observe(WallTime(at_s * 1000));
        life.decide.handle(Input::Tick);
        life.expect(expected.as_slice());
    }
    let key = life.decide.engine.alerts().next().unwrap().details.key;
    assert_eq!(life.decide.explanation(&key).map(|it| it.why), Some("there is no such port".to_owned()));
    life.decide.bus_changed(&relays, None);
    life.expect(&["pi-1-resolved-at0"]);
}

/// The farm as it runs: with its bus, so that the agent watches whether it may dose.
fn watched() -> DecideConfig {
    let farm = format!("{FARM}{DOSER}").replace("line:gateway/level", "board:gateway/0");
    let agent_toml = "[device]\nid = 'pi'\n[bus.gateway]\nkind = 'board'\nport = '/dev/ttyACM0'\n";
    configured_on(&farm, Some(agent_toml))
}

impl Board {
    fn is_stopped(&self) -> bool {
        self.life.decide.engine.alerts().any(|alert| alert.details.key.rule.as_str() == "dosing-stopped")
    }
}

#[tokio::test]
async fn a_booking_that_is_not_kept_is_an_alert_until_one_is() {
    let mut board = Board::begin(0, None);
    board.life.decide.configure(watched());
    board.obey();
    let answered = board.command("one", on(2));
    let outcome = timeout(Duration::from_secs(20), board.life.decide.order_outcomes.recv()).await.unwrap();
    let Some(interlock::ActuatorInput::Booked(order)) = outcome else { panic!("{outcome:?}") };
    assert!(!board.is_stopped());
    board.life.decide.handle(Input::Actuator(interlock::ActuatorInput::NotBooked(order)));
    assert_eq!(answer(answered).await, Err(Refusal::NotBooked));
    assert!(board.is_stopped() && board.obey().is_empty());
    let answered = board.command("two", on(2));
    board.booked().await;
    assert_eq!((answer(answered).await, board.is_stopped()), (Ok(()), false));
}

#[tokio::test]
async fn doses_of_a_lost_history_are_unknown_unless_a_kill_explains_it() {
    let mut board = Board::begin(0, None);
    board.life.decide.configure(watched());
    board.obey();
    let lost = |amount| {
        let (reason, from, until) = ("its log was cut".to_owned(), None, None);
        DecideRequest::LostHistory(Box::new(LostHistory { reason, from, until, amount }))
    };
    board.life.decide.handle_request(lost(LossAmount::PerhapsNone));
    assert!(!board.is_stopped());
    board.life.decide.handle_request(lost(LossAmount::PerhapsPart));
    assert_eq!(answer(board.command("one", on(2))).await, Err(Refusal::DosesUnknown));
    assert!(board.is_stopped());
    let answer = Box::new(|_: &Engine, _: &DecideState| ());
    let change = interlock::ActuatorInput::ReleaseDoses { zone: Id::new("room").unwrap(), by: "ann".to_owned() };
    board.life.decide.handle_request(DecideRequest::Input(Input::Actuator(change), answer));
    assert!(!board.is_stopped());
}

const HORN: &str = "
[actuators.horn]
zone = 'room'
output = 'board:gateway/relay-2'
max_on = '2m'
[notifications.siren]
kind = 'siren'
actuator = 'horn'
urgent = { on = '1m', off = '0s' }
[rules.level-high]
sensor = 'room/level'
above = 30
severity = 'urgent'
";

/// A horn whose board is up.
fn horn() -> Board {
    let farm = FARM.to_owned() + "urgent = { wait = '1h', channels = ['siren'] }" + HORN;
    let mut board = Board::of(0, &farm, None);
    board.bus(None);
    board.obey();
    board
}

impl Board {
    fn bus(&mut self, down: Option<&str>) {
        self.life.decide.bus_changed(&Id::new("gateway").unwrap(), down);
    }

    /// Time goes on to a second.
    fn pass(&mut self, at_s: i64) {
        self.life.clock.observe(WallTime(at_s * 1000));
        self.life.decide.handle(Input::Tick);
        self.life.decide.run_sirens();
    }

    /// What a page by the siren is answered at this moment.
    fn page(&mut self) -> Option<Result<(), String>> {
        let (answer, mut answered) = oneshot::channel();
        let channel = Id::new("siren").unwrap();
        self.life.decide.handle_channel_request(crate::notify::to_decide::ChannelRequest::Siren {
            channel,
            is_test: false,
            answer,
        });
        answered.try_recv().ok()
    }
}

/// Guards against: one turn of `max_on`, and silence for the rest of the night.
#[tokio::test]
async fn a_siren_without_a_pause_is_renewed_at_its_max_on_until_somebody_takes_the_alert_on() {
    let mut board = horn();
    board.life.level(10, 31.0);
    assert_eq!((board.page(), board.obey()), (None, vec!["horn on 2m".to_owned()]));
    assert_eq!(board.page(), Some(Ok(())));
    let mut orders = Vec::new();
    for second in 11..=740 {
        board.pass(second);
        orders.extend(board.obey());
    }
    assert_eq!(orders, ["horn off", "horn on 2m"].repeat(6));
    let alert = board.life.decide.engine.alerts().next().unwrap().details.alert.unwrap();
    board.life.decide.handle(Input::Acknowledge { alert, span: Span::from_mins(60), by: "ann".to_owned() });
    assert_eq!(board.obey(), ["horn off"]);
    board.pass(3000);
    assert_eq!(board.obey(), Vec::<String>::new());
}

/// Guards against: a board that is away, and pages that count as delivered.
#[tokio::test]
async fn a_siren_whose_board_is_away_is_no_delivery_and_sounds_as_soon_as_the_board_is_back() {
    let mut board = horn();
    board.life.level(10, 31.0);
    board.obey();
    board.bus(Some("no such port"));
    let why = "its board is away: no such port";
    assert_eq!((board.page(), board.obey()), (Some(Err(why.to_owned())), vec!["horn off".to_owned()]));
    let Some(notify::NotifyRequest::Dispatch(Request::Sirens(said))) =
        std::iter::from_fn(|| board.life.asked.try_recv().ok()).last()
    else {
        panic!("status is told")
    };
    assert_eq!(said.values().next().unwrap().problem.as_deref(), Some(why));
    for second in 11..600 {
        board.pass(second);
    }
    assert_eq!(board.obey(), Vec::<String>::new(), "nothing is ordered of a board that is away");
    let refused = board.life.decide.commit.events.iter().filter(|event| event.kind == "actuation").count();
    assert!(refused < 5, "{refused} events of one absence");
    board.bus(None);
    assert_eq!(board.obey().last().map(String::as_str), Some("horn on 2m"));
    assert_eq!(board.page(), Some(Ok(())));
}

/// A configuration without the siren ends its sound, and its name starts from scratch.
#[tokio::test]
async fn a_siren_that_a_configuration_takes_away_falls_silent() {
    let mut board = horn();
    board.life.level(10, 31.0);
    assert_eq!(board.obey(), ["horn on 2m"]);
    let (horn, rest) = HORN.split_once("[notifications.siren]").unwrap();
    let farm = FARM.to_owned() + horn + &rest[rest.find("[rules").unwrap()..];
    board.life.decide.configure(configured(&farm));
    assert_eq!(board.obey(), ["horn off"]);
    assert_eq!(board.page(), None);
}

//! Boards with Tilth's firmware: finds the board of a bus by its id, on whichever port, and takes its readings.
//!
//! Each bus has two loops. One opens the bus's own port again and again, asks which board is there, and gives the connection to
//! the bus that the board belongs to. The other one holds the conversation with the bus's board over the connection it was given.

mod channel_types;
mod channels;
mod clock;
mod connection;
pub(crate) mod pulses;
mod registry;
mod relays;
mod sequence;
mod session;
mod settings;
mod settings_queue;
mod texts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tilth_core::interlock::SwitchOrder;
use tilth_core::quantity::Quantity;
use tilth_core::time::{Span, Uptime};
use tilth_wire::{BoardId, ChannelKind};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::bus::health::BoardHealth;
use super::bus::{BusConfig, BusContext, MissingValues};
use super::endpoint::Endpoint;
use super::queue::SenseMessage;
use super::released::Ports;
use super::sensor_value::SensorValue;
use super::store_ack::{AckRequest, StoreProgress};
use crate::console::counted;
use crate::random;
use channel_types::ChannelType;
use channels::Channels;
use connection::{CHUNK, Connection, connect, send};
use registry::PortEvent;
use session::{Effect, Input, Session, Topic};
use settings_queue::Setting;

pub(crate) use connection::{Identity, message_ends};
pub(crate) use registry::BoardRegistry;
pub(crate) use texts::board_kind;

/// Speed of boards with Tilth's firmware.
pub(crate) const BAUD: u32 = 115_200;

/// Between two tries of a port without a board: a board that is plugged in is found within 5 s, its bootloader included.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Seconds for which a board that was just written is listened to before it is asked: the bootloader of a Mega 2560, which waits for a
/// second or more, takes any byte for a programmer and waits on.
const BOOTLOADER_S: u32 = 8;

/// Between two looks at the board's silence, the agent's heartbeats and repeated commands; always of the machine's time.
const SECOND: Duration = Duration::from_secs(1);

/// Most log lines of one topic that one board causes within [`LOG_SPAN`]: a board that restarts without end, or says something else each time,
/// must not wear the card out.
const MAX_LOG_LINES: u32 = 30;
const LOG_SPAN: Span = Span::from_mins(10);

/// Reads the board of a bus for ever.
pub(crate) async fn run(endpoint: Endpoint, configured: Option<BoardId>, registry: BoardRegistry, context: BusContext) {
    let events = registry.add_bus(&context.id, configured, Instant::now());
    let board = Board::new(registry.clone(), context.clone());
    tokio::join!(keep_port(endpoint, registry, context), board.serve(events));
}

/// Opens the connection of a board that may just boot, and asks which board is there; one without an id gets one.
///
/// # Errors
/// Why there is no board, in the words of a technician.
pub(crate) async fn ask(endpoint: &Endpoint) -> Result<Identity, String> {
    Ok(connect(endpoint, || None, |_| (), &Ports::default(), BOOTLOADER_S).await?.0.identity)
}

impl Identity {
    /// Id of the board, 16 hexadecimal digits.
    pub(crate) fn id(&self) -> String {
        texts::id(self.board)
    }

    /// Version of its firmware.
    pub(crate) fn version(&self) -> String {
        self.firmware.map(|part| part.to_string()).join(".")
    }

    /// What each channel measures, by number: the kind as `agent.toml` names it, and the quantity, where that does not depend on what is
    /// wired to it. None where the channel is off or this version does not know it.
    pub(crate) fn channels(&self) -> impl ExactSizeIterator<Item = Option<(&'static str, Option<Quantity>)>> {
        let kind = |of: &ChannelType| of.map(|(kind, _)| kind).filter(|kind| *kind != ChannelKind::Off);
        self.channels.iter().map(move |of| kind(of).map(|kind| (texts::kind_name(kind), texts::quantity(kind))))
    }
}

/// Opens the port of a bus for ever, and gives each connection to the bus of its board.
async fn keep_port(endpoint: Endpoint, registry: BoardRegistry, context: BusContext) {
    let bus = &context.id;
    let failed = |why: String| registry.send(bus, PortEvent::Failed(why));
    loop {
        match connect(&endpoint, || registry.configured_board(bus), failed, &context.ports, 0).await {
            Ok((connection, closed)) => match registry.bus_of(bus, connection.identity.board, Instant::now()) {
                Ok((assigned, replaced)) => {
                    if let Some(before) = replaced {
                        warn!(bus = %assigned, "{}", texts::replaces(connection.identity.board, before));
                    }
                    registry.send(&assigned, PortEvent::Connected(connection));
                    // Ends with the connection.
                    let _ = closed.await;
                }
                Err(why) => failed(format!("{}: {why}", endpoint.name())),
            },
            Err(why) => failed(why),
        }
        sleep(TRY_AGAIN).await;
    }
}

/// Limit of the log lines that a board causes about one topic.
#[derive(Debug, Default)]
struct LogLimit {
    since: Uptime,
    lines: u32,
    left_out: u64,
}

impl LogLimit {
    /// One more line is to be logged: how many were left out since the one before; `None` where this one is left out, too.
    fn take(&mut self, now: Uptime) -> Option<u64> {
        if now - self.since >= LOG_SPAN {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines >= MAX_LOG_LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// How many lines were left out, once the span is over in which a later line could have said so.
    fn take_overdue(&mut self, now: Uptime) -> u64 {
        if now - self.since >= LOG_SPAN { std::mem::take(&mut self.left_out) } else { 0 }
    }
}

/// The board of a bus.
struct Board {
    context: BusContext,
    registry: BoardRegistry,
    session: Option<Session>,
    channels: Channels,
    /// What the configuration says of the board.
    settings: Vec<Setting>,
    /// What decide was told of sensors without values.
    missing: Option<MissingValues>,
    /// How far the store has the readings of the board, and what it dropped of them.
    store_progress: watch::Sender<StoreProgress>,
    seconds: Interval,
    /// Limits of the log lines about its state, and about lost readings.
    of_state: LogLimit,
    of_losses: LogLimit,
}

impl Board {
    fn new(registry: BoardRegistry, context: BusContext) -> Board {
        let mut seconds = interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Board {
            context,
            registry,
            session: None,
            channels: Channels::default(),
            settings: Vec::new(),
            missing: None,
            store_progress: watch::Sender::default(),
            seconds,
            of_state: LogLimit::default(),
            of_losses: LogLimit::default(),
        }
    }

    /// Takes connections as they arrive, for ever.
    async fn serve(mut self, mut events: mpsc::Receiver<PortEvent>) {
        self.apply_config();
        let mut orders = self.context.outputs.of_bus(&self.context.id);
        let mut next = None;
        loop {
            let event = match next.take() {
                Some(connection) => PortEvent::Connected(connection),
                None => tokio::select! {
                    Some(event) = events.recv() => event,
                    Some(order) = orders.recv() => {
                        self.order_without_connection(order).await;
                        continue;
                    }
                    _ = self.seconds.tick(), if !events.is_closed() => {
                        self.log_left_out();
                        continue;
                    }
                    else => return,
                },
            };
            match event {
                PortEvent::Failed(why) => self.context.down(&why),
                PortEvent::Connected(connection) => {
                    self.registry.set_connected(&self.context.id, true, Instant::now());
                    let ended = self.talk(connection, &mut events, &mut orders).await;
                    self.registry.set_connected(&self.context.id, false, Instant::now());
                    match ended {
                        Ended::Newer(connection) => next = Some(connection),
                        Ended::Lost(why) => self.context.down(&why),
                    }
                }
            }
        }
    }

    fn apply_config(&mut self) {
        let BusConfig { sensors, actuators, channels, .. } = self.context.config.borrow_and_update().clone();
        self.channels.set_sensors(&sensors);
        self.settings = settings::settings(&channels, &actuators);
        self.channels.configured = channels;
        self.report_missing();
    }

    /// Talks to the board until the connection is lost, or a newer one to the same board is there.
    async fn talk(
        &mut self,
        mut connection: Connection,
        events: &mut mpsc::Receiver<PortEvent>,
        orders: &mut mpsc::Receiver<SwitchOrder>,
    ) -> Ended {
        let board = connection.identity.board;
        if self.session.as_ref().is_none_or(|session| session.id != board) {
            self.store_progress = watch::Sender::default();
            self.session =
                Some(Session::new(board, self.registry.position(board), u32::from_le_bytes(random::bytes())));
        }
        let mut acknowledged = self.store_progress.subscribe();
        // What the store acknowledged while there was no connection.
        acknowledged.mark_changed();
        let mut bytes = [0; CHUNK];
        self.apply_config();
        self.handle(&mut connection, Input::Settings(self.settings.clone())).await;
        let mut ended = self.handle(&mut connection, Input::Opened).await;
        loop {
            if let Some(ended) = ended {
                return ended;
            }
            let queue = &self.context.queue;
            ended = tokio::select! {
                biased;
                Some(order) = orders.recv() => self.handle(&mut connection, Input::Order(order)).await,
                // Only reading waits for a full queue, which loses nothing: the board keeps what is not read.
                read = async { queue.ready().await; connection.stream.read(&mut bytes).await } => match read {
                    Ok(read) => {
                        self.context.health.lock().bytes += read as u64;
                        self.handle(&mut connection, Input::Bytes(&bytes[..read])).await
                    }
                    Err(error) => Some(Ended::Lost(connection.endpoint.reason(&error))),
                },
                Ok(()) = acknowledged.changed() => {
                    let news = *acknowledged.borrow_and_update();
                    self.handle(&mut connection, Input::Stored(news)).await
                }
                _ = self.seconds.tick() => {
                    self.log_left_out();
                    self.handle(&mut connection, Input::Second).await
                }
                Some(event) = events.recv() => match event {
                    PortEvent::Connected(connection) => Some(Ended::Newer(connection)),
                    // The board is reached all the same.
                    PortEvent::Failed(_) => None,
                },
                Ok(()) = self.context.config.changed() => {
                    self.apply_config();
                    self.handle(&mut connection, Input::Settings(self.settings.clone())).await
                }
            };
        }
    }

    /// Gives the session what happened and does what follows; answers why the connection is of no more use.
    async fn handle(&mut self, connection: &mut Connection, input: Input<'_>) -> Option<Ended> {
        let now = self.context.clock.uptime();
        let is_input = matches!(input, Input::Bytes(_));
        self.session.as_mut()?.handle(now, input);
        let lost = self.carry_out(now, Some(connection)).await;
        self.count(connection, is_input.then_some(now));
        lost.map(Ended::Lost)
    }

    /// Takes an order while there is no connection: a board that was connected before gets it once it is back, one that never was does not.
    async fn order_without_connection(&mut self, order: SwitchOrder) {
        let Some(session) = &mut self.session else {
            return self.context.outputs.report(relays::not_sent(&order));
        };
        let now = self.context.clock.uptime();
        session.handle(now, Input::Opened);
        session.handle(now, Input::Order(order));
        self.carry_out(now, None).await;
    }

    /// Carries out every effect of the session; answers why the connection is of no more use. Without one, or once it failed, messages
    /// are not sent, but values are handed on with their ack requests: an ack without its values would confirm readings that were never stored.
    async fn carry_out(&mut self, now: Uptime, mut connection: Option<&mut Connection>) -> Option<String> {
        let (mut values, mut lost) = (Vec::new(), None);
        while let Some(effect) = self.session.as_mut()?.poll() {
            match (effect, &mut connection) {
                (Effect::Send(message), Some(connection)) if lost.is_none() => {
                    lost = send(&mut connection.stream, &message)
                        .await
                        .err()
                        .map(|error| connection.endpoint.reason(&error));
                }
                (Effect::OtherBoard, Some(connection)) => {
                    lost = Some(format!("{}: another board answers", connection.endpoint.name()));
                }
                (Effect::Down(why), Some(connection)) => {
                    self.context.down(&format!("{}: {why}", connection.endpoint.name()));
                    lost = lost.or(connection.stream.check().err().map(|error| connection.endpoint.reason(&error)));
                }
                (Effect::Send(_) | Effect::OtherBoard | Effect::Down(_), _) => {}
                (Effect::Reading(reading), _) => {
                    let before = values.len();
                    values.extend(self.channels.values(reading, now));
                    self.context.health.lock().messages.matched += u64::from(values.len() > before);
                }
                (Effect::RequestAck(through, position), _) => {
                    self.registry.set_position(position.clone());
                    self.push(std::mem::take(&mut values), AckRequest::new(through, position, &self.store_progress));
                }
                (Effect::Outcome(outcome), _) => self.context.outputs.report(outcome),
                (Effect::Connected, _) => self.on_connected(),
                (Effect::Log(topic, line), _) if self.may_log(topic) => warn!(bus = %self.context.id, "{line}"),
                (Effect::Log(..), _) => {}
                (Effect::RefusalsChanged, _) => self.report_missing(),
            }
        }
        lost
    }

    /// Whether the board may cause one more log line about this; says how many were left out before it.
    fn may_log(&mut self, topic: Topic) -> bool {
        let limit = match topic {
            Topic::Danger => return true,
            Topic::Loss => &mut self.of_losses,
            Topic::State => &mut self.of_state,
        };
        let taken = limit.take(self.context.clock.uptime());
        self.say_left_out(taken.unwrap_or(0));
        taken.is_some()
    }

    /// Says how many lines were left out of a board that has fallen silent since.
    fn log_left_out(&mut self) {
        let now = self.context.clock.uptime();
        let left_out = self.of_state.take_overdue(now) + self.of_losses.take_overdue(now);
        self.say_left_out(left_out);
    }

    fn say_left_out(&self, left_out: u64) {
        if left_out > 0 {
            let (bus, lines) = (&self.context.id, counted(left_out, "line"));
            warn!(%bus, "{lines} about its board left out, more than {MAX_LOG_LINES} in {LOG_SPAN}; status has its restarts and losses");
        }
    }

    /// Hands on the values of readings, which the board keeps until they are stored.
    fn push(&self, values: Vec<SensorValue>, ack: AckRequest) {
        let mut health = self.context.health.lock();
        for value in &values {
            health.messages.set_fault(&value.sensor, value.fault.as_ref());
        }
        drop(health);
        self.context.queue.push(SenseMessage::BoardValues { values, ack });
    }

    /// The board said who it is: the bus is up, and its channels are known.
    fn on_connected(&mut self) {
        let may_log = self.may_log(Topic::State);
        let Some(session) = &self.session else { return };
        let Some(identity) = &session.identity else { return };
        let kind = board_kind(identity.kind);
        if may_log {
            info!(bus = %self.context.id, "board {}, {kind}, firmware {}", identity.id(), identity.version());
        }
        let (bus, BoardId(board)) = (self.context.id.clone(), session.id);
        self.context.queue.push(SenseMessage::Board { bus, board });
        if self.context.health.get().state.name() != "up" {
            self.context.up();
        }
        self.report_missing();
    }

    /// Tells decide which sensors get no values, when that changes.
    fn report_missing(&mut self) {
        let Some(session) = &self.session else { return };
        let Some(identity) = &session.identity else { return };
        self.channels.set_board(&identity.channels, session.settings.refused());
        let missing = self.channels.missing();
        if self.missing.as_ref() != Some(&missing) {
            for (sensor, why) in &missing {
                if self.may_log(Topic::State) {
                    warn!(%sensor, "{why}");
                }
            }
            self.missing = Some(missing.clone());
            self.context.missing(Arc::new(missing));
        }
    }

    fn count(&self, connection: &Connection, arrived: Option<Uptime>) {
        let Some(session) = &self.session else { return };
        let counts = &session.counts;
        let mut health = self.context.health.lock();
        let messages = &mut health.messages;
        let is_frame = counts.frames > messages.received;
        messages.received = counts.frames;
        messages.ignored.clone_from(&counts.ignored);
        if is_frame {
            health.last_input = arrived.or(health.last_input);
        }
        health.board = board_health(session, connection, self.registry.replaced(&self.context.id));
    }
}

fn board_health(session: &Session, connection: &Connection, replaced: Option<BoardId>) -> Option<BoardHealth> {
    let (identity, counts) = (session.identity.as_ref()?, &session.counts);
    let heartbeat = session.heartbeat;
    let refused = session.settings.refused().map(|(setting, reason)| texts::refused(&setting, reason));
    Some(BoardHealth {
        id: texts::id(session.id),
        kind: board_kind(identity.kind).to_owned(),
        firmware: identity.version(),
        port: connection.endpoint.name().to_owned(),
        last_start: texts::reset(identity.reset).to_owned(),
        restarts: counts.restarts,
        readings: counts.readings,
        lost: counts.lost,
        held: heartbeat.map_or(0, |heartbeat| heartbeat.next.wrapping_sub(heartbeat.oldest)),
        bad_frames: heartbeat.map_or(0, |heartbeat| heartbeat.bad_frames),
        refused: refused.chain(session.relays.shortened()).collect(),
        unanswered: session.settings.unanswered(),
        instead_of: replaced.map(texts::id),
    })
}

/// Why a connection is left.
enum Ended {
    /// A newer one to the same board is there.
    Newer(Connection),
    Lost(String),
}

#[cfg(test)]
mod tests;

//! The task of a bus whose board is at the other end of a TCP connection.

use tilth_config::{Input as Config, InputSettings, Stamping};
use tilth_core::actuator::Output;
use tilth_core::id::{Id, SensorId};
use tilth_wire::{BoardKind, Decoder, FromBoard, Heartbeat, Hello, MAX_FRAME, Reading, ResetCause, Sample, ToBoard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::act::Outputs;
use crate::clock::{Clock, ClockMode};
use crate::sense::bus::{BusConfig, HealthHandle};
use crate::sense::queue::Queue;

/// The board's end of the connection.
struct Peer {
    stream: TcpStream,
    decoder: Decoder<{ MAX_FRAME - 1 }>,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Peer {
        Peer { stream: listener.accept().await.unwrap().0, decoder: Decoder::new() }
    }

    async fn send(&mut self, message: &FromBoard<'_>) {
        self.stream.write_all(&frame(message)).await.unwrap();
    }

    async fn receive(&mut self) -> ToBoard {
        loop {
            let byte = self.stream.read_u8().await.unwrap();
            if let Some(Ok(frame)) = self.decoder.push(byte)
                && !frame.is_empty()
            {
                return ToBoard::decode(frame).unwrap();
            }
        }
    }

    async fn receive_switch(&mut self) -> u32 {
        loop {
            if let ToBoard::Switch(switch) = self.receive().await {
                return switch.on_for;
            }
        }
    }
}

fn frame(message: &FromBoard<'_>) -> Vec<u8> {
    let mut frame = [0; MAX_FRAME];
    message.encode(&mut frame).unwrap().to_vec()
}

fn hello() -> FromBoard<'static> {
    FromBoard::Hello(Hello {
        protocol: 1,
        kind: BoardKind::Uno,
        firmware: [0, 1, 0],
        id: Some(BoardId([1; 8])),
        reset: ResetCause::PowerOn,
        at: 0,
        next: 0,
        relays: 2,
        channels: &[1, 0],
    })
}

fn off(order: u64) -> SwitchOrder {
    let output = Output::Board { bus: Id::new("gateway").unwrap(), channel: Id::new("relay-1").unwrap() };
    let actuator = Id::new("pump").unwrap();
    SwitchOrder { order, actuator, output, normally_energised: false, on: false, at_most: None }
}

/// A bus with a sensor on channel 0 of its board, where the board's connection is found, and the listener that the board accepts it from.
async fn bus() -> (BusContext, Endpoint, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap().to_string());
    let id = Id::new("gateway").unwrap();
    let input = Some(Config::Board { bus: id.clone(), channel: 0 });
    let (stamp, quantity) = (Stamping::Arrival, Quantity::Count);
    let sensor = InputSettings { input, bus: Some(id.clone()), interval: None, stamp, quantity, unit: None };
    let sensors = vec![(SensorId::new("tower-1/level").unwrap(), sensor)];
    let context = BusContext {
        id,
        config: watch::channel(BusConfig { sensors, ..BusConfig::default() }).1,
        health: HealthHandle::default(),
        clock: Clock::new(ClockMode::Scaled(1)),
        queue: Queue::new(1),
        outputs: Outputs::new().0,
        ports: Ports::default(),
    };
    (context, endpoint, listener)
}

/// Guards against: a pump that runs on while another bus keeps the queue of values full.
#[tokio::test]
async fn a_full_queue_of_values_holds_up_no_order() {
    let (context, endpoint, listener) = bus().await;
    let (queue, outputs) = (context.queue.clone(), context.outputs.clone());
    let board = async {
        let mut peer = Peer::accept(&listener).await;
        while !matches!(queue.try_next(), Some(SenseMessage::Bus { down: None, .. })) {
            if matches!(peer.receive().await, ToBoard::Identify) {
                peer.send(&hello()).await;
            }
        }
        (0..1000)
            .for_each(|n| queue.push(SenseMessage::Unmatched { bus: Id::new("other").unwrap(), why: n.to_string() }));
        for order in 1..=3 {
            outputs.send(off(order));
            assert_eq!(peer.receive_switch().await, 0);
        }
    };
    let task = run(endpoint, None, BoardRegistry::default(), context);
    tokio::select! {
        () = task => panic!("the task of a bus ended"),
        done = timeout(Duration::from_secs(60), board) => done.expect("expected the board to receive every order"),
    }
}

/// Guards against: readings that are confirmed to the board and were never stored, because the connection failed after them.
#[tokio::test]
async fn readings_are_handed_on_with_their_acknowledgement_though_the_connection_fails_after_them() {
    let (context, endpoint, listener) = bus().await;
    let queue = context.queue.clone();
    let handshake = async {
        let mut peer = Peer::accept(&listener).await;
        peer.send(&hello()).await;
        peer
    };
    let ports = Ports::default();
    let (found, peer) = tokio::join!(connect(&endpoint, || None, |_| (), &ports, 1), handshake);
    let mut board = Board::new(BoardRegistry::default(), context);
    board.session = Some(Session::new(BoardId([1; 8]), None, 0));
    board.apply_config();
    let mut connection = found.unwrap().0;
    board.handle(&mut connection, Input::Opened).await;
    board.handle(&mut connection, Input::Bytes(&frame(&hello()))).await;
    // Closing with bytes that are not read resets the connection: the answer to a Heartbeat cannot be sent.
    peer.stream.peek(&mut [0]).await.unwrap();
    drop(peer);
    while connection.stream.read(&mut [0; CHUNK]).await.is_ok() {}
    let reading = Reading { seq: 0, at: 0, channel: 0, sample: Sample::Value(21) };
    let heartbeat = Heartbeat { at: 0, next: 1, oldest: 0, lost: 0, bad_frames: 0, on: 0 };
    let bytes = [frame(&FromBoard::Reading(reading)), frame(&FromBoard::Heartbeat(heartbeat))].concat();
    let ended = board.handle(&mut connection, Input::Bytes(&bytes)).await;
    assert!(matches!(ended, Some(Ended::Lost(_))), "expected the answer to the Heartbeat to fail");
    let held = std::iter::from_fn(|| queue.try_next()).filter_map(|message| match message {
        SenseMessage::BoardValues { values, .. } => Some(values.iter().map(|value| value.number).collect::<Vec<f64>>()),
        _ => None,
    });
    assert_eq!(held.collect::<Vec<_>>(), [[21.0]]);
}

/// Guards against: a card that is worn out by a broken board whose every Hello is of another start.
#[test]
fn a_board_that_greets_without_end_has_some_lines_in_the_log_and_the_rest_counted() {
    let (mut limit, at) = (LogLimit::default(), |ms: i64| Uptime(3_600_000 + ms));
    let taken: Vec<Option<u64>> = (0..1000).map(|n| limit.take(at(n * 100))).collect();
    assert_eq!(taken.iter().flatten().count(), MAX_LOG_LINES as usize);
    assert!(taken[..MAX_LOG_LINES as usize].iter().all(|left_out| *left_out == Some(0)), "{taken:?}");
    assert_eq!(limit.take_overdue(at(LOG_SPAN.0 - 1)), 0, "expected a later line to say them");
    assert_eq!(limit.take(at(LOG_SPAN.0)), Some(1000 - u64::from(MAX_LOG_LINES)));
    assert_eq!(limit.take(at(LOG_SPAN.0)), Some(0), "expected them to be said once");
    for _ in 0..100 {
        limit.take(at(LOG_SPAN.0));
    }
    let silent = [0, 1].map(|ms| limit.take_overdue(at(2 * LOG_SPAN.0 + ms)));
    assert_eq!(silent, [100 + 2 - u64::from(MAX_LOG_LINES), 0], "expected those of a board that fell silent, once");
}

/// Guards against: a pump that runs though it is off, or readings that are lost, and no line says so for ten minutes of noise.
#[tokio::test]
async fn a_board_that_greets_without_end_hides_no_danger_and_no_loss() {
    let mut board = Board::new(BoardRegistry::default(), bus().await.0);
    let topics = [Topic::State, Topic::Loss, Topic::Danger];
    let mut logged = |topic: Topic| (0..100).filter(|_| board.may_log(topic)).count();
    assert_eq!(topics.map(&mut logged), [MAX_LOG_LINES as usize, MAX_LOG_LINES as usize, 100]);
}

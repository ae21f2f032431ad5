//! The task of a bus whose board is at the other end of a TCP connection.

use tilth_core::actuator::Output;
use tilth_core::id::Id;
use tilth_wire::{BoardKind, Decoder, FromBoard, Hello, MAX_FRAME, ResetCause, ToBoard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::act::Outputs;
use crate::clock::{Clock, ClockMode};
use crate::sense::bus::{BusInputs, HealthHandle};
use crate::sense::queue::Queue;

/// The board's end of the line.
struct Peer {
    stream: TcpStream,
    decoder: Decoder<{ MAX_FRAME - 1 }>,
}

impl Peer {
    async fn say(&mut self, message: &FromBoard<'_>) {
        let mut frame = [0; MAX_FRAME];
        self.stream.write_all(message.encode(&mut frame).unwrap()).await.unwrap();
    }

    async fn hear(&mut self) -> ToBoard {
        loop {
            let byte = self.stream.read_u8().await.unwrap();
            if let Some(Ok(frame)) = self.decoder.push(byte)
                && !frame.is_empty()
            {
                return ToBoard::decode(frame).unwrap();
            }
        }
    }

    async fn hear_switch(&mut self) -> u32 {
        loop {
            if let ToBoard::Switch(switch) = self.hear().await {
                return switch.on_for;
            }
        }
    }
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
        channels: &[],
    })
}

fn off(order: u64) -> Switch {
    let output = Output::Board { bus: Id::new("gateway").unwrap(), channel: Id::new("relay-1").unwrap() };
    let actuator = Id::new("pump").unwrap();
    Switch { order, actuator, output, normally_energised: false, on: false, at_most: None }
}

/// Guards against: a pump that runs on while another bus keeps the queue of values full.
#[tokio::test]
async fn a_full_queue_of_values_holds_up_no_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Place::Tcp(listener.local_addr().unwrap().to_string());
    let (_inputs, inputs) = watch::channel(BusInputs::default());
    let (queue, (outputs, _outcomes)) = (Queue::new(1), Outputs::new());
    let context = BusContext {
        id: Id::new("gateway").unwrap(),
        inputs,
        health: HealthHandle::default(),
        clock: Clock::new(ClockMode::Scaled(1)),
        queue: queue.clone(),
        outputs: outputs.clone(),
        ports: Ports::default(),
    };
    let board = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Peer { stream, decoder: Decoder::new() };
        while !matches!(queue.try_next(), Some(SenseMessage::Bus { down: None, .. })) {
            if matches!(peer.hear().await, ToBoard::Identify) {
                peer.say(&hello()).await;
            }
        }
        (0..1000)
            .for_each(|n| queue.push(SenseMessage::Unmatched { bus: Id::new("other").unwrap(), why: n.to_string() }));
        for order in 1..=3 {
            outputs.send(off(order));
            assert_eq!(peer.hear_switch().await, 0);
        }
    };
    let task = run(place, None, Owners::default(), context);
    tokio::select! {
        () = task => panic!("the task of a bus ended"),
        done = timeout(Duration::from_secs(60), board) => done.expect("expected the board to hear every order"),
    }
}

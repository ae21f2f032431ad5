//! The connection to a board: a serial port or a TCP connection, opened and asked which board is there.

use std::io;
use std::time::Duration;

use tilth_wire::{BoardId, BoardKind, DecodeError, Decoder, FromBoard, Hello, MAX_FRAME, ResetCause, ToBoard};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::channel_types::ChannelType;
use super::texts;
use crate::random;
use crate::sense::endpoint::{ByteStream, Endpoint};
use crate::sense::port::Port;
use crate::sense::released::Ports;

/// How often a board is asked who it is, and how often before the port is opened again: an Uno's bootloader takes two seconds.
const ASK_AGAIN: Duration = Duration::from_secs(1);
const QUESTIONS: u32 = 6;

/// Bytes read at once; at 115,200 Bd a tenth of a second is 1,200.
pub(super) const CHUNK: usize = 2048;

/// A connection that is open. Dropping it lets its port be opened again.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: ByteStream,
    /// What was opened.
    pub(super) endpoint: Endpoint,
    /// The board that said who it is.
    pub(super) identity: Identity,
    /// Learns, at the other end, that the connection is closed.
    _closed: oneshot::Sender<()>,
}

/// What a board says of itself in a Hello.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    pub(super) board: BoardId,
    /// Why the board last booted.
    pub(super) reset: ResetCause,
    pub(crate) kind: BoardKind,
    /// Version of its firmware: major, minor, patch.
    pub(super) firmware: [u8; 3],
    pub(crate) relays: u8,
    pub(super) channels: Vec<ChannelType>,
}

impl Identity {
    /// What a board with this id says.
    pub(super) fn of(board: BoardId, hello: &Hello<'_>) -> Identity {
        let Hello { reset, kind, firmware, relays, .. } = *hello;
        Identity { board, reset, kind, firmware, relays, channels: hello.channels().collect() }
    }
}

/// Opens a connection, listens for so many seconds and then asks which board is there; one without an id gets `new_id`, or a random one.
/// Returns the connection, and a receiver that ends when it is dropped.
///
/// # Errors
/// Why there is no board, in the words of a technician.
pub(super) async fn connect(
    endpoint: &Endpoint,
    new_id: impl Fn() -> Option<BoardId>,
    hangs: impl Fn(String),
    ports: &Ports,
    listens: u32,
) -> Result<(Connection, oneshot::Receiver<()>), String> {
    let mut stream = endpoint.open(Port::open_without_reset, hangs, ports).await?;
    let identity = identify(&mut stream, new_id, listens).await.map_err(|why| format!("{}: {why}", endpoint.name()))?;
    let (closed, is_closed) = oneshot::channel();
    Ok((Connection { stream, endpoint: endpoint.clone(), identity, _closed: closed }, is_closed))
}

/// Answers for each byte that comes whether it ends a message of a board with Tilth's firmware.
pub(crate) fn message_ends() -> impl FnMut(u8) -> bool {
    let mut decoder: Decoder<{ MAX_FRAME - 1 }> = Decoder::new();
    move |byte| {
        let message = decoder.push(byte).map(|frame| frame.map(FromBoard::decode));
        matches!(message, Some(Ok(Ok(_) | Err(DecodeError::Version(_)))))
    }
}

/// Sends a message, with a zero before it, which ends any noise.
///
/// # Errors
/// When the connection is gone, or takes no bytes for seconds.
pub(super) async fn send(stream: &mut ByteStream, message: &ToBoard) -> io::Result<()> {
    let mut buffer = [0; MAX_FRAME];
    let frame = message.encode(&mut buffer).map_err(io::Error::other)?;
    stream.write(&[&[0], frame].concat()).await
}

/// Listens for so many seconds, then asks, until a board says who it is. A board that has just booted says so by itself.
async fn identify(
    stream: &mut ByteStream,
    new_id: impl Fn() -> Option<BoardId>,
    listens: u32,
) -> Result<Identity, String> {
    let mut decoder: Decoder<{ MAX_FRAME - 1 }> = Decoder::new();
    let (mut bytes, mut bad_frames, mut came) = ([0; CHUNK], 0, 0);
    for second in 0..listens + QUESTIONS {
        if second >= listens {
            send(stream, &ToBoard::Identify).await.map_err(|error| error.to_string())?;
        }
        let until = Instant::now() + ASK_AGAIN;
        while let Ok(read) = timeout_at(until, stream.read(&mut bytes)).await {
            let read = read.map_err(|error| error.to_string())?;
            came += read;
            for byte in &bytes[..read] {
                match decoder.push(*byte).map(|frame| frame.map(FromBoard::decode)) {
                    Some(Ok(Ok(FromBoard::Hello(hello)))) => match hello.id {
                        Some(board) => return Ok(Identity::of(board, &hello)),
                        None => {
                            let id = new_id().unwrap_or_else(|| BoardId(random::bytes()));
                            send(stream, &ToBoard::SetId(id)).await.map_err(|error| error.to_string())?;
                        }
                    },
                    Some(Ok(Err(DecodeError::Version(version)))) => return Err(texts::version(version)),
                    Some(Err(_)) => bad_frames += 1,
                    Some(Ok(_)) | None => {}
                }
            }
        }
    }
    Err(match (came, bad_frames) {
        (0, _) => "no board answers; does it have power, and Tilth's firmware?".to_owned(),
        (_, 0) => "bytes come and no frame; is it a board with Tilth's firmware, and its speed the one in agent.toml?"
            .to_owned(),
        _ => format!("{bad_frames} frames came and none was whole; is the speed in agent.toml that of the board?"),
    })
}

//! The connections: bounded in number, in the length of what is asked, and in patience. Nothing here is waited for by decide.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::to_raw_value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::address::Taken;
use super::answers::Office;
use super::words::{Answer, MAX_LINE, Request, VERSION, Version};
use crate::output::tell;

/// People and programs that ask at once.
const MAX_CONNECTIONS: usize = 32;

/// Who asks nothing for so long is hung up on.
const IDLE: Duration = Duration::from_secs(60);

/// Who takes nothing for so long is hung up on. Until then a slow reader of `tail` misses lines, and is told how many.
const STUCK: Duration = Duration::from_secs(10);

/// Between two looks at whether the socket's file is still there.
const LOOK: Duration = Duration::from_secs(10);

/// How often the bytes written are noted.
const METER: Duration = Duration::from_secs(60);

/// Serves until it is dropped, and with it every connection and the socket.
pub(crate) async fn run(mut taken: Taken, office: Arc<Office>) {
    let mut connections = JoinSet::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut meter = interval(METER);
    meter.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = taken.listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    let office = Arc::clone(&office);
                    connections.spawn(async move { converse(stream, &office).await });
                }
                Ok((stream, _)) => turn_away(&stream),
                // Out of descriptors, perhaps: there will be some again.
                Err(_) => sleep(Duration::from_secs(1)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = meter.tick() => office.meter(),
            _ = look.tick() => {
                if taken.take_again_if_gone() {
                    tell("tilth-agent: the control socket was deleted and is there again");
                }
            }
        }
    }
}

fn turn_away(stream: &UnixStream) {
    let failed = Answer::Failed(format!("{MAX_CONNECTIONS} others are asking; try again"));
    if let Ok(mut line) = serde_json::to_vec(&failed) {
        line.push(b'\n');
        let _ = stream.try_write(&line);
    }
}

/// Answers until the other side hangs up.
async fn converse(stream: UnixStream, office: &Office) -> io::Result<()> {
    let (read, write) = stream.into_split();
    let (mut reader, mut writer) = (BufReader::new(read), Writer(write));
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = MAX_LINE as u64 + 1;
        let Ok(read) = timeout(IDLE, (&mut reader).take(most).read_until(b'\n', &mut line)).await else {
            return writer.failed(format!("nothing was asked for {} s", IDLE.as_secs())).await;
        };
        if read? == 0 {
            return Ok(());
        }
        if line.len() > MAX_LINE {
            return writer.failed(format!("a request is longer than {MAX_LINE} bytes")).await;
        }
        match read_request(&line) {
            Err(reason) => writer.failed(reason).await?,
            Ok(Request::Tail { text }) => return tail(office, text, &mut reader, &mut writer).await,
            Ok(request) => match office.answer(request).await {
                Ok(lines) => {
                    writer.write_all(&lines).await?;
                    writer.write(&Answer::Done {}).await?;
                }
                Err(refusal) => writer.failed(refusal.0).await?,
            },
        }
    }
}

fn read_request(line: &[u8]) -> Result<Request, String> {
    let wrong = |error: serde_json::Error| format!("no request: {error}");
    let Version { v } = serde_json::from_slice(line).map_err(wrong)?;
    if v != VERSION {
        let here = env!("CARGO_PKG_VERSION");
        return Err(format!("version {v} of requests is not known here; this agent ({here}) knows version {VERSION}"));
    }
    serde_json::from_slice(line).map_err(wrong)
}

/// Sends what happens until either side ends.
async fn tail(
    office: &Office,
    text: bool,
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut Writer,
) -> io::Result<()> {
    let mut live = office.live.subscribe();
    let connected = office.connected();
    let first = if text {
        Answer::Text(format!("connected to {} (tilth-agent {}); Ctrl-C ends", connected.device, connected.version))
    } else {
        Answer::Row(to_raw_value(&connected)?)
    };
    writer.write(&first).await?;
    let mut more = [0; 64];
    loop {
        tokio::select! {
            heard = live.recv() => match heard {
                Ok(line) if text => writer.write(&Answer::Text(line.text.clone())).await?,
                Ok(line) => writer.write_row(&line.json).await?,
                Err(RecvError::Lagged(lines)) => writer.write(&Answer::Missed(lines)).await?,
                Err(RecvError::Closed) => return writer.failed("the agent stops".to_owned()).await,
            },
            // Nothing more is asked; this is how a hang-up is noticed while nothing happens.
            read = reader.read(&mut more) => if read? == 0 { return Ok(()) },
        }
    }
}

struct Writer(OwnedWriteHalf);

impl Writer {
    async fn failed(&mut self, reason: String) -> io::Result<()> {
        self.write(&Answer::Failed(reason)).await
    }

    async fn write(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        self.send(&line).await
    }

    async fn write_all(&mut self, answers: &[Answer]) -> io::Result<()> {
        let mut lines = Vec::new();
        for answer in answers {
            serde_json::to_writer(&mut lines, answer)?;
            lines.push(b'\n');
        }
        self.send(&lines).await
    }

    /// A row that is JSON already.
    async fn write_row(&mut self, row: &str) -> io::Result<()> {
        self.send(format!("{{\"row\":{row}}}\n").as_bytes()).await
    }

    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = timeout(STUCK, self.0.write(bytes)).await.map_err(io::Error::from)??;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

//! The connections: bounded in number, in the length of what is asked, and in patience. Nothing here is waited for by decide.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::to_raw_value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::rows::{Answer, MAX_LINE, Request, VERSION, Version};
use super::socket::Taken;
use super::state::Office;
use crate::output::tell;

/// Connections at once. One more makes room: the one that has asked nothing, or taken nothing, for longest is hung up on, and
/// never one that waits for its first answer.
const MAX_CONNECTIONS: usize = 32;

/// Connections that watch what happens, which have no end: whoever asks for something finds room beside them.
pub(crate) const MAX_WATCHERS: usize = 24;

/// How long one more connection waits for room while all others wait for their first answers, which take milliseconds; and
/// between two looks whether there is room.
const ROOM: Duration = Duration::from_secs(2);
const ROOM_AGAIN: Duration = Duration::from_millis(10);

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
    let (mut connections, mut held) = (JoinSet::new(), Vec::<Held>::new());
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut meter = interval(METER);
    meter.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = taken.listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if !find_room(&mut held).await {
                        turn_away(&stream);
                        continue;
                    }
                    let (office, state) = (Arc::clone(&office), Arc::new(State::new()));
                    let of_task = Arc::clone(&state);
                    let task = connections.spawn(async move { converse(stream, &office, &of_task).await });
                    held.push(Held { state, task });
                }
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

/// A connection, seen from outside.
struct Held {
    state: Arc<State>,
    task: AbortHandle,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// The other end has nothing asked.
    Waits,
    /// The other end has yet to take what was answered.
    Writes,
    /// The connection watches: it is sent what happens.
    Watches,
    /// The first request of the connection is being answered.
    Answers,
    /// A later request of the connection is being answered.
    AnswersAgain,
}

#[derive(Debug)]
struct State(Mutex<(Doing, Instant)>);

impl State {
    fn new() -> State {
        State(Mutex::new((Doing::Waits, Instant::now())))
    }

    fn set(&self, doing: Doing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (doing, Instant::now());
    }

    fn get(&self) -> (Doing, Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for one more connection; waits for it as long as each of the others waits for its first answer, at most [`ROOM`].
async fn find_room(held: &mut Vec<Held>) -> bool {
    let began = Instant::now();
    loop {
        held.retain(|held| !held.task.is_finished());
        if held.len() < MAX_CONNECTIONS || make_room(held) {
            return true;
        }
        if began.elapsed() >= ROOM {
            return false;
        }
        sleep(ROOM_AGAIN).await;
    }
}

/// Hangs up on whoever has done nothing for longest, else on whoever was answered before; says whether there was one.
fn make_room(held: &mut Vec<Held>) -> bool {
    let states = held.iter().enumerate().map(|(place, held)| (held.state.get(), place));
    let rank = |doing| match doing {
        Doing::Waits | Doing::Writes => Some(0),
        // Whoever asks without an end has been answered.
        Doing::AnswersAgain => Some(1),
        Doing::Watches | Doing::Answers => None,
    };
    let idle = states.filter_map(|((doing, since), place)| Some((rank(doing)?, since, place)));
    let Some((_, _, place)) = idle.min() else { return false };
    held.swap_remove(place).task.abort();
    true
}

fn turn_away(stream: &UnixStream) {
    let failed = Answer::Failed(format!("{MAX_CONNECTIONS} others are asking; try again"));
    if let Ok(mut line) = serde_json::to_vec(&failed) {
        line.push(b'\n');
        let _ = stream.try_write(&line);
    }
}

/// Answers until the other side hangs up.
async fn converse(stream: UnixStream, office: &Office, state: &State) -> io::Result<()> {
    let (read, write) = stream.into_split();
    let (mut reader, mut writer) = (BufReader::new(read), Writer(write));
    let (mut line, mut doing) = (Vec::new(), Doing::Answers);
    loop {
        line.clear();
        state.set(Doing::Waits);
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
        state.set(doing);
        doing = Doing::AnswersAgain;
        let answered = match read_request(&line) {
            Err(reason) => Err(reason),
            Ok(Request::Tail { text }) => return tail(office, text, &mut reader, &mut writer, state).await,
            Ok(request) => office.answer(request).await.map_err(|refusal| refusal.0),
        };
        state.set(Doing::Writes);
        match answered {
            Ok(lines) => {
                writer.write_all(&lines).await?;
                writer.write(&Answer::Done(office.asked_at())).await?;
            }
            Err(reason) => writer.failed(reason).await?,
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
    state: &State,
) -> io::Result<()> {
    let Ok(_watching) = office.watchers.try_acquire() else {
        return writer.failed(format!("{MAX_WATCHERS} others watch already")).await;
    };
    state.set(Doing::Watches);
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

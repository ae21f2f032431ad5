//! The line between board and agent: carries bytes both ways and hears them, and can be cut, disturbed and spoken on.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tilth_tests::random::Random;
use tilth_wire::{MAX_FRAME, ToBoard};

use super::heard::Heard;

/// What the line does with the bytes of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Joined,
    /// Loses them, as a cable that is cut.
    Cut,
    /// Hangs up on the agent, as a serial server that lost its cable to the network.
    HungUp,
}

/// One end of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Board,
    Agent,
}

/// A line to a board; it lasts as long as the process.
pub(super) struct Line {
    /// Port at which the agent finds the line, on the loopback.
    pub(super) port: u16,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    board: TcpStream,
    agent: Option<TcpStream>,
    state: State,
    noise: Option<Noise>,
    /// Bytes of noise that board and agent heard.
    noisy: [u64; 2],
    heard: Heard,
}

/// Noise on the line: damages one byte in so many.
struct Noise {
    random: Random,
    one_in: u64,
}

impl Line {
    /// A line to the board whose serial line is a port of the loopback.
    pub(super) fn to(board: u16) -> io::Result<Line> {
        let board = TcpStream::connect(("127.0.0.1", board))?;
        board.set_nodelay(true)?;
        let from_board = board.try_clone()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (state, heard) = (State::Joined, Heard::default());
        let shared = Shared { board, agent: None, state, noise: None, noisy: [0; 2], heard };
        let shared = Arc::new(Mutex::new(shared));
        let (of_board, of_agents) = (Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || pump(from_board, Side::Agent, &of_board));
        thread::spawn(move || serve(&listener, &of_agents));
        Ok(Line { port, shared })
    }

    /// Cuts the line, or joins it again.
    pub(super) fn set(&self, state: State) {
        let mut shared = self.shared();
        shared.state = state;
        if state == State::HungUp
            && let Some(agent) = shared.agent.take()
        {
            let _ = agent.shutdown(Shutdown::Both);
        }
    }

    /// Damages one byte in so many from now on, in both directions.
    pub(super) fn set_noise(&self, one_in: u64, random: Random) {
        self.shared().noise = Some(Noise { random, one_in });
    }

    /// Ends the noise, and what it has left of a frame with a zero.
    pub(super) fn end_noise(&self) -> io::Result<()> {
        self.shared().noise = None;
        [Side::Board, Side::Agent].into_iter().try_for_each(|side| self.hiss(side, &[0]))
    }

    /// Bytes of noise that a side heard.
    pub(super) fn noisy(&self, side: Side) -> u64 {
        self.shared().noisy[side as usize]
    }

    /// Says something to the board past the agent, once.
    pub(super) fn say(&self, message: &ToBoard) -> io::Result<()> {
        let mut buffer = [0; MAX_FRAME];
        let frame = message.encode(&mut buffer).map_err(io::Error::other)?;
        self.shared().board.write_all(&[&[0], frame].concat())
    }

    /// A side receives bytes that the other did not send.
    pub(super) fn hiss(&self, side: Side, bytes: &[u8]) -> io::Result<()> {
        let mut shared = self.shared();
        shared.noisy[side as usize] += bytes.len() as u64;
        shared.write(side, bytes)
    }

    /// Looks at what was said.
    pub(super) fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.shared().heard)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Shared {
    fn write(&mut self, side: Side, bytes: &[u8]) -> io::Result<()> {
        match (side, &mut self.agent) {
            (Side::Board, _) => self.board.write_all(bytes),
            // An agent that goes is one of the things that happen.
            (Side::Agent, Some(agent)) => agent.write_all(bytes).or(Ok(())),
            (Side::Agent, None) => Ok(()),
        }
    }

    /// Carries bytes to a side.
    fn carry(&mut self, side: Side, bytes: &[u8]) -> io::Result<()> {
        match side {
            Side::Board => self.heard.take_from_agent(bytes),
            Side::Agent => self.heard.take_from_board(bytes),
        }
        if self.state != State::Joined {
            return Ok(());
        }
        let mut damaged = 0;
        let bytes = match &mut self.noise {
            Some(noise) => bytes.iter().flat_map(|byte| noise.damage(*byte, &mut damaged)).collect(),
            None => bytes.to_vec(),
        };
        self.noisy[side as usize] += damaged;
        self.write(side, &bytes)
    }
}

impl Noise {
    /// What becomes of a byte: mostly itself.
    fn damage(&mut self, byte: u8, damaged: &mut u64) -> Vec<u8> {
        if !self.random.one_in(self.one_in) {
            return vec![byte];
        }
        *damaged += 1;
        match self.random.below(3) {
            0 => Vec::new(),
            1 => vec![byte ^ 1 << self.random.below(8)],
            _ => (0..1 + self.random.below(19)).map(|_| self.random.bits() as u8).chain([byte]).collect(),
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one agent at a time, the newest.
fn serve(listener: &TcpListener, shared: &Arc<Mutex<Shared>>) {
    for agent in listener.incoming().map_while(Result::ok) {
        let mut held = lock(shared);
        let Ok(from_agent) = agent.try_clone() else { continue };
        if held.state == State::HungUp {
            continue;
        }
        let _ = agent.set_nodelay(true);
        held.agent = Some(agent);
        let shared = Arc::clone(shared);
        thread::spawn(move || pump(from_agent, Side::Board, &shared));
    }
}

/// Carries what comes from one end to the other side, until the end is gone.
fn pump(mut from: TcpStream, to: Side, shared: &Mutex<Shared>) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if lock(shared).carry(to, &bytes[..read]).is_err() {
            break;
        }
    }
}

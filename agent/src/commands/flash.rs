//! `tilth-agent flash`: writes a signed firmware image to a board, and is done once the board says that it runs it.
//!
//! ```text
//! image, manifest --> signature, board, versions --> which board is there --> agent leaves the port --> avrdude writes, reads back --> Hello
//!                                                `-> a Pico: the drive of its boot ROM
//! ```
//!
//! No byte goes to the board before the image is known to be signed. The first page of the flash, where the chip starts, is an endless
//! loop until all others are written: a board that is cut off does nothing and its relays are off.

mod avrdude;
mod image;
mod pico;

use std::path::Path;

use anyhow::{Context, bail};
use hyper::Method;
use tilth_config::{Parity, Serial};
use tilth_wire::BoardKind;

use self::avrdude::Programmer;
use self::image::{Image, SignedImage};
use super::client::{Client, request};
use super::port::{self, Held};
use crate::api::rows::StatusRow;
use crate::cli;
use crate::console::Console;
use crate::exit::Exit;
use crate::sense::board::{self, Identity};
use crate::sense::bus::health::BoardHealth;
use crate::sense::endpoint::Endpoint;
use crate::sense::port::device_at;

struct Model {
    name: &'static str,
    chip: &'static str,
    ending: &'static str,
}

/// A kind of board whose bootloader avrdude speaks to.
struct Arduino {
    model: Model,
    kind: BoardKind,
    /// Protocol of the stock bootloader, as avrdude names it.
    programmer: &'static str,
    baud: u32,
    /// Bytes of a page of flash.
    page: u32,
}

const UNO: Arduino = Arduino {
    model: Model { name: "uno", chip: "atmega328p", ending: "hex" },
    kind: BoardKind::Uno,
    programmer: "arduino",
    baud: 115_200,
    page: 128,
};

const MEGA_2560: Arduino = Arduino {
    model: Model { name: "mega2560", chip: "atmega2560", ending: "hex" },
    kind: BoardKind::Mega2560,
    programmer: "wiring",
    baud: 115_200,
    page: 256,
};

pub(crate) fn flash(wanted: &cli::Flash) -> anyhow::Result<Exit> {
    let mut console = Console::new();
    let mut say = |text: String| {
        console.line(text)?;
        console.flush()
    };
    let arduino = match wanted.board {
        cli::BoardModel::Uno => &UNO,
        cli::BoardModel::Mega2560 => &MEGA_2560,
        cli::BoardModel::Pico => return pico::flash(wanted, say),
    };
    let signed = SignedImage::read(wanted, &arduino.model)?;
    say(signed.title(&arduino.model))?;
    let image = Image::split(&signed, arduino.page)?;
    let client = Client::find(&wanted.agent)?;
    let status = client.as_ref().map(|_| status(&wanted.agent)).transpose()?;
    let port = port_of(wanted, status.as_ref())?;
    let before = board_before(&port, status.as_ref(), &mut say)?;
    check_kind(&port, before.as_ref(), arduino)?;
    let held = match client {
        Some(client) => {
            let held = port::release(client, &port)?;
            say(format!("the agent leaves {port} alone until this ends"))?;
            Some(held)
        }
        None => {
            say("no agent runs here: the port is free".to_owned())?;
            None
        }
    };
    let programmer = Programmer { arduino, port: &port, baud: wanted.baud.unwrap_or(arduino.baud) };
    say(format!("writing {} bytes and reading them back; this takes up to a minute", image.bytes))?;
    write(&programmer, &image, held.as_ref())?;
    say("written; waiting for the board to start".to_owned())?;
    let id = check_started(&port, before.as_ref(), arduino, &signed.firmware)?;
    drop(held);
    let instead = before.map_or(String::new(), |before| format!(" in place of {}", before.firmware));
    say(format!("done: board {id} runs firmware {}{instead}", signed.firmware))?;
    Ok(Exit::Done)
}

fn status(agent: &cli::AgentAddress) -> anyhow::Result<StatusRow> {
    Client::connect(agent)?.row(request(Method::GET, "/api/v1/status")?)
}

/// Path of the port: the given one, or that of a bus, which the running agent knows.
fn port_of(wanted: &cli::Flash, status: Option<&StatusRow>) -> anyhow::Result<String> {
    let Some(port) = &wanted.port else {
        bail!("which port? expected its path, such as /dev/ttyACM0, or the name of a bus")
    };
    if port.contains('/') || Path::new(port).exists() {
        let path = std::path::absolute(port).context("the port")?;
        return Ok(path.display().to_string());
    }
    let Some(status) = status else {
        bail!(
            "{port}: no such port, and no agent runs that may know a bus of that name; expected a path such as /dev/ttyACM0"
        );
    };
    let bus = status.buses.iter().find(|bus| bus.bus == *port);
    let names = || status.buses.iter().map(|bus| bus.bus.as_str()).collect::<Vec<_>>().join(", ");
    let bus = bus.with_context(|| format!("{port}: neither a port nor a bus; buses of the agent: {}", names()))?;
    // A board may be found at the port of another bus.
    let found = bus.board.as_ref().map(|board| board.port.clone());
    Ok(found.unwrap_or_else(|| bus.port.clone()))
}

/// The board that is at the port now: as the running agent knows it, or else as the board says. None where another program is on it.
fn board_before(
    port: &str,
    status: Option<&StatusRow>,
    say: &mut impl FnMut(String) -> anyhow::Result<()>,
) -> anyhow::Result<Option<BoardHealth>> {
    if let Some(status) = status {
        let device = |path: &str| device_at(Path::new(path)).ok();
        let is_there = |path: &str| path == port || device(path).is_some_and(|there| Some(there) == device(port));
        let mut boards = status.buses.iter().filter(|bus| bus.state == "up").filter_map(|bus| bus.board.as_ref());
        if let Some(board) = boards.find(|board| is_there(&board.port)) {
            return Ok(Some(board.clone()));
        }
        if status.buses.iter().any(|bus| bus.kind == "board" && is_there(&bus.port)) {
            // The agent has asked there again and again.
            return Ok(None);
        }
    }
    say(format!("asking {port} which board is there; without Tilth's firmware on it this takes 14 s"))?;
    let before = |board: Identity| BoardHealth {
        id: board.id(),
        kind: board::board_kind(board.kind).to_owned(),
        firmware: board.version(),
        ..BoardHealth::default()
    };
    Ok(ask(port)?.ok().map(before))
}

fn check_kind(port: &str, before: Option<&BoardHealth>, arduino: &Arduino) -> anyhow::Result<()> {
    let expected = board::board_kind(arduino.kind);
    match before {
        Some(BoardHealth { id, kind, .. }) if kind != expected => {
            bail!(
                "{port}: board {id} there is of kind {kind}, and the image is for an {expected}; nothing was written to it: is PORT right?"
            )
        }
        _ => Ok(()),
    }
}

/// Writes all pages but the first, and then, from the bootloader's start, the first one.
fn write(programmer: &Programmer<'_>, image: &Image, held: Option<&Held>) -> anyhow::Result<()> {
    // avrdude holds the connection too: the agent takes the port back once both have ended, whichever is killed.
    let connection = || held.map(|held| held.connection.try_clone()).transpose().context("the agent's connection");
    programmer.write(&[avrdude::ENDLESS_LOOP, &image.body.operation()], connection()?)?;
    programmer.write(&[&image.first_page.operation()], connection()?)
}

/// Waits until the board says that it runs the firmware; returns its id.
fn check_started(
    port: &str,
    before: Option<&BoardHealth>,
    arduino: &Arduino,
    expected: &str,
) -> anyhow::Result<String> {
    let board = ask(port)?.map_err(|why| {
        anyhow::anyhow!("the firmware is written and was read back, but: {why}\nunplug the board for a moment, and run the same command again")
    })?;
    let (id, kind, firmware) = (board.id(), board.kind, board.version());
    if (kind, firmware.as_str()) != (arduino.kind, expected) {
        bail!(
            "the board says that it is an {} with firmware {firmware}; expected an {} with {expected}: is another board behind this port?",
            board::board_kind(kind),
            board::board_kind(arduino.kind),
        );
    }
    match before {
        Some(before) if before.id != id => bail!(
            "the firmware is written, but board {} was there before and {id} is now: was another board plugged in meanwhile? A board that lost \
             its id keeps the new one; `[bus.NAME] board` may state it",
            before.id
        ),
        _ => Ok(id),
    }
}

/// Asks which board is at a port; or why there is no answer.
fn ask(port: &str) -> anyhow::Result<Result<Identity, String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let serial = Serial { port: port.to_owned(), baud: board::BAUD, parity: Parity::None, stop_bits: 1 };
    Ok(runtime.block_on(board::ask(&Endpoint::Serial(serial))))
}

//! `tilth-agent flash`: writes a signed firmware image to a board, and is done once the board says that it runs it.
//!
//! ```text
//! image, manifest --> signature, board, versions --> agent leaves the port --> avrdude writes, reads back --> Hello
//! ```
//!
//! No byte goes to the board before the image is known to be signed. The first page of the flash, where the chip starts, is an endless
//! loop until all others are written: a board that is cut off does nothing and its relays are off.

mod avrdude;
mod image;

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, bail};
use hyper::Method;
use tilth_config::{Parity, Serial};
use tilth_wire::BoardKind;

use self::avrdude::Programmer;
use self::image::Image;
use super::client::{Client, Events, post, request};
use crate::api::rows::{Answer, ReleasePort, StatusRow};
use crate::cli;
use crate::exit::Exit;
use crate::output::Output;
use crate::sense::board;

/// A kind of board, as its bootloader is spoken to.
struct Model {
    name: &'static str,
    kind: BoardKind,
    /// Chip, as avrdude and manifests name it.
    chip: &'static str,
    /// Protocol of the stock bootloader, as avrdude names it.
    programmer: &'static str,
    baud: u32,
    /// Bytes of a page of flash.
    page: u32,
}

const UNO: Model =
    Model { name: "uno", kind: BoardKind::Uno, chip: "atmega328p", programmer: "arduino", baud: 115_200, page: 128 };

const MEGA_2560: Model = Model {
    name: "mega2560",
    kind: BoardKind::Mega2560,
    chip: "atmega2560",
    programmer: "wiring",
    baud: 115_200,
    page: 256,
};

/// A Pico's bootloader is a drive that files are copied to.
const PICO: &str = "a Raspberry Pi Pico takes its firmware as a file:
  1. hold the button BOOTSEL and plug the board in: a drive RPI-RP2 appears
  2. copy /usr/share/tilth/firmware/pico.uf2 to the drive; the board restarts and the drive is gone
  3. plug the board into the agent's machine; `tilth-agent status` shows its firmware within 5 s";

/// Speed at which boards with Tilth's firmware talk.
const TALK_BAUD: u32 = 115_200;

/// Writes a board's firmware.
pub(crate) fn flash(wanted: &cli::Flash) -> anyhow::Result<Exit> {
    let mut output = Output::new();
    let mut say = |text: String| {
        output.line(text)?;
        output.flush()
    };
    let model = match wanted.board {
        cli::BoardModel::Uno => &UNO,
        cli::BoardModel::Mega2560 => &MEGA_2560,
        cli::BoardModel::Pico => {
            say(PICO.to_owned())?;
            return Ok(Exit::Done);
        }
    };
    let image = Image::read(wanted, model)?;
    say(format!("{}: firmware {} for {}, signed by the trusted key", image.path, image.firmware, model.name))?;
    let client = Client::find(&wanted.agent())?;
    let port = port_of(wanted, client.is_some())?;
    let held = match client {
        Some(client) => {
            let held = release(client, &port)?;
            say(format!("the agent leaves {port} alone until this ends"))?;
            Some(held)
        }
        None => {
            say("no agent runs here: the port is free".to_owned())?;
            None
        }
    };
    let programmer = Programmer { model, port: &port, baud: wanted.baud.unwrap_or(model.baud) };
    say(format!("writing {} bytes and reading them back; this takes up to a minute", image.bytes))?;
    write(&programmer, &image, held.as_ref())?;
    say("written; waiting for the board to start".to_owned())?;
    let id = check_started(&port, model, &image)?;
    drop(held);
    say(format!("done: board {id} runs firmware {}", image.firmware))?;
    Ok(Exit::Done)
}

/// Path of the port: the given one, or that of a bus, which the running agent knows.
fn port_of(wanted: &cli::Flash, has_agent: bool) -> anyhow::Result<String> {
    let Some(port) = &wanted.port else {
        bail!("which port? expected its path, such as /dev/ttyACM0, or the name of a bus")
    };
    if port.contains('/') || Path::new(port).exists() {
        let path = std::path::absolute(port).context("the port")?;
        return Ok(path.display().to_string());
    }
    if !has_agent {
        bail!(
            "{port}: no such port, and no agent runs that may know a bus of that name; expected a path such as /dev/ttyACM0"
        );
    }
    let answer = Client::connect(&wanted.agent())?.send(request(Method::GET, "/api/v1/status")?)?;
    let Answer { rows, .. } = answer;
    let status: StatusRow =
        serde_json::from_str(rows.first().context("the agent's answer")?.get()).context("status")?;
    let bus = status.buses.iter().find(|bus| bus.bus.as_str() == port);
    let names = || status.buses.iter().map(|bus| bus.bus.to_string()).collect::<Vec<_>>().join(", ");
    let bus = bus.with_context(|| format!("{port}: neither a port nor a bus; buses of the agent: {}", names()))?;
    // A board may be found at the port of another bus.
    let found = bus.board.as_ref().map(|board| board.port.clone());
    Ok(found.unwrap_or_else(|| bus.port.clone()))
}

/// A port that the agent leaves alone while this lives.
struct Held {
    _events: Events,
    connection: OwnedFd,
}

/// Asks the agent to leave a port alone.
fn release(client: Client, port: &str) -> anyhow::Result<Held> {
    let connection = client.connection()?;
    let mut events = client.watch(post("/api/v1/ports/release", &ReleasePort { port: port.to_owned() })?)?;
    events.next()?;
    Ok(Held { _events: events, connection })
}

/// Writes all pages but the first, and then, from the bootloader's start, the first one.
fn write(programmer: &Programmer<'_>, image: &Image, held: Option<&Held>) -> anyhow::Result<()> {
    // avrdude holds the connection too: the agent takes the port back once both have ended, whichever is killed.
    let connection = || held.map(|held| held.connection.try_clone()).transpose().context("the agent's connection");
    programmer.write(&[avrdude::ENDLESS_LOOP, &image.body.operation()], connection()?)?;
    programmer.write(&[&image.first_page.operation()], connection()?)
}

/// Waits until the board says that it runs the image; returns its id.
fn check_started(port: &str, model: &Model, image: &Image) -> anyhow::Result<String> {
    let serial = Serial { port: port.to_owned(), baud: TALK_BAUD, parity: Parity::None, stop_bits: 1 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let asked = runtime.block_on(board::ask(serial));
    let (id, kind, firmware) = asked.map_err(|why| {
        anyhow::anyhow!("the firmware is written and was read back, but: {why}\nunplug the board for a moment, and run the same command again")
    })?;
    if (kind, &firmware) != (model.kind, &image.firmware) {
        bail!(
            "the board says that it is an {} with firmware {firmware}; expected an {} with {}: is another board behind this port?",
            board::board_kind(kind),
            board::board_kind(model.kind),
            image.firmware
        );
    }
    Ok(id)
}

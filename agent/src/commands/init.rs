//! `tilth-agent init`: the first configuration of a device, from five answers.

mod answers;
mod files;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::Access;
use tilth_config::{Diagnostic, Document, Layer, Level, Purpose, base, load_documents};
use tilth_core::id::Id;

use self::answers::{Answers, Hub};
pub(super) use self::files::HEAD;
use super::listen::{self, Listened};
use super::port;
use crate::cli;
use crate::console::{Console, counted, listed, tell};
use crate::durable;
use crate::exit::{Exit, Refused};

/// File in `config.d`.
const FILE: &str = "farm.toml";

/// Asks or takes flags, listens to the port, and writes the files. What exists stays as it is.
pub(crate) fn init(wanted: &cli::Init) -> anyhow::Result<Exit> {
    let folder = &wanted.config.folder;
    let denied = || format!("{}; sudo tilth-agent init may write there", folder.display());
    let there = already_there(folder).with_context(denied)?;
    if !there.is_empty() {
        tell(format_args!(
            "tilth-agent: nothing was written, for there is {} already. To go on with it: edit it, then tilth-agent check. To start \
             over: move it elsewhere, then tilth-agent init",
            listed(there.iter().map(|path| path.display()), 4)
        ));
        return Ok(Exit::Failed);
    }
    // Before a person answers, and waits for a port.
    may_write(folder).with_context(denied)?;
    let answers = answers::of(wanted)?;
    let listened = answers.port.as_ref().map(|port| listen_to(port, wanted));
    let agent_toml = files::agent_toml(&answers, listened.as_ref());
    let farm = files::farm(&answers, listened.as_ref());
    if let Some(found) = wrong(&agent_toml, &farm) {
        return Err(Refused(format!("nothing was written, for check would refuse it: {found}")).into());
    }
    // Listening takes a while.
    anyhow::ensure!(
        already_there(folder).with_context(denied)?.is_empty(),
        "nothing was written: another tilth-agent init was faster"
    );
    write_both(folder, &agent_toml, &farm).with_context(denied)?;
    say(wanted, &answers, listened.as_ref())?;
    Ok(Exit::Done)
}

/// Files of a configuration that exist.
fn already_there(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut there = Vec::new();
    for entry in found(fs::read_dir(folder.join("config.d")))?.into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            there.push(path);
        }
    }
    // A link to nothing is something as well.
    let agent_toml = folder.join("agent.toml");
    there.extend(found(fs::symlink_metadata(&agent_toml))?.map(|_| agent_toml));
    there.sort();
    Ok(there)
}

fn found<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        looked => looked.map(Some),
    }
}

/// Tries whether files can be made in the folder and in `config.d`, or the folders themselves.
fn may_write(folder: &Path) -> io::Result<()> {
    for wanted in [folder, &folder.join("config.d")] {
        let exists = wanted.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        rustix::fs::access(exists, Access::WRITE_OK | Access::EXEC_OK)?;
    }
    Ok(())
}

/// What the port says; where it says nothing, a bus that waits for it.
fn listen_to(port: &str, wanted: &cli::Init) -> Listened {
    let call = cli::Listen {
        port: port.to_owned(),
        baud: cli::Baud::Auto,
        time: wanted.time,
        bus: Id::new(files::BUS).expect("a name in the form of an id"),
        zone: wanted.zone.clone(),
        agent: cli::AgentOptions { address: wanted.agent.clone(), json: false },
    };
    tell(format_args!("listening to {port}; this takes up to a minute"));
    listen::files(&call).unwrap_or_else(|why| {
        tell(format_args!(
            "{why:#}\nwritten without its sensors: once it speaks, tilth-agent listen {port} shows them"
        ));
        let port = port::lasting_name(port);
        port::caution(&port).into_iter().for_each(tell);
        Listened { bus: files::silent_bus(&port), sensors: String::new(), known: 0, unknown: Vec::new() }
    })
}

/// The first error that `check` would find.
fn wrong(agent_toml: &str, farm: &str) -> Option<Diagnostic> {
    let mut documents = base();
    documents.agent_toml = Some(Document::agent_toml(agent_toml));
    documents.layers.push(Document::toml(Layer::ConfigD, &format!("config.d/{FILE}"), farm));
    let found = load_documents(documents, Purpose::Run).diagnostics;
    found.into_iter().find(|found| found.level == Level::Error)
}

/// Writes both files, or none, for every user to read whatever the umask is. A power cut in between leaves `farm.toml`, whole.
fn write_both(folder: &Path, agent_toml: &str, farm: &str) -> io::Result<()> {
    let config_d = folder.join("config.d");
    for folder in [folder, &config_d] {
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
    }
    let files = [(&config_d, FILE, farm), (&folder.to_owned(), "agent.toml", agent_toml)];
    let write = || {
        for (folder, name, text) in files {
            durable::write_new(folder, name, text.as_bytes())?.set_permissions(Permissions::from_mode(0o644))?;
        }
        files.iter().try_for_each(|(folder, name, _)| durable::rename_new(folder, name))
    };
    write().inspect_err(|_| {
        for (folder, name, _) in files {
            let _ = fs::remove_file(durable::new_path(folder, name));
            let _ = fs::remove_file(folder.join(name));
        }
    })
}

/// What was written, what is left to a person, and the next three commands.
fn say(wanted: &cli::Init, answers: &Answers, listened: Option<&Listened>) -> anyhow::Result<()> {
    let folder = &wanted.config.folder;
    let mut console = Console::new();
    let known = listened.map_or(0, |listened| listened.known as u64);
    let sensors = if known == 0 { "the Pi's own temperature".to_owned() } else { counted(known, "sensor") };
    let [agent_toml, farm] = [folder.join("agent.toml"), folder.join("config.d").join(FILE)];
    console.line(format_args!("wrote {} and {} with {sensors}", agent_toml.display(), farm.display()))?;
    let unknown = listened.map(|listened| &listened.unknown).filter(|unknown| !unknown.is_empty());
    if let Some(unknown) = unknown {
        console.line(format_args!("say in {} what these measure: {}", farm.display(), listed(unknown, 8)))?;
    }
    if let Some(Hub { url, client }) = &answers.hub {
        let name = &answers.name;
        console.line(format_args!(
            "enrol at the hub with the code that tilth-hub device enroll --client {client} --device {name} prints there: {} --hub {url} --code -",
            if wanted.is_of_service() {
                "sudo tilth-agent enroll".to_owned()
            } else {
                format!("tilth-agent enroll --config {}", folder.display())
            }
        ))?;
    }
    console.line("next:")?;
    let next = next(wanted);
    next.iter().try_for_each(|command| console.line(format_args!("  {command}")))?;
    console.flush()
}

fn next(wanted: &cli::Init) -> [String; 3] {
    if wanted.is_of_service() {
        return ["tilth-agent check", "sudo systemctl start tilth-agent", "tilth-agent sensors"].map(str::to_owned);
    }
    let (config, agent) = (format!(" --config {}", wanted.config.folder.display()), wanted.agent.typed());
    [
        format!("tilth-agent check{config}"),
        format!("tilth-agent run{config}{agent}"),
        format!("tilth-agent sensors{agent}"),
    ]
}

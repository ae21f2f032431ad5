//! `tilth-agent schema`: the JSON Schema of a configuration's files.

use tilth_config::schema;

use crate::cli;
use crate::console::Console;
use crate::exit::Exit;

pub(crate) fn run(wanted: &cli::Schema) -> anyhow::Result<Exit> {
    let schema = match (wanted.namespace.as_deref(), wanted.file.as_str()) {
        (Some(name), _) => schema::of_namespace(name).unwrap_or_default(),
        (None, "agent.toml") => schema::of_agent_toml(),
        (None, _) => schema::of_config(),
    };
    let mut console = Console::new();
    console.line(format_args!("{schema:#}"))?;
    console.flush()?;
    Ok(Exit::Done)
}

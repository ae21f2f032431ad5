//! `tilth-agent schema`: the JSON Schema of a configuration's files.

use tilth_config::schema;

use crate::cli;
use crate::exit::Exit;
use crate::output::Output;

pub(crate) fn run(wanted: &cli::Schema) -> anyhow::Result<Exit> {
    let schema = match (wanted.namespace.as_deref(), wanted.file.as_str()) {
        (Some(name), _) => schema::of_namespace(name).unwrap_or_default(),
        (None, "agent.toml") => schema::of_agent_toml(),
        (None, _) => schema::of_config(),
    };
    let mut output = Output::new();
    output.line(format_args!("{schema:#}"))?;
    output.flush()?;
    Ok(Exit::Done)
}

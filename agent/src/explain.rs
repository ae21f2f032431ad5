//! `tilth-agent explain`: where the values of a configuration come from.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal};

use serde::Serialize;
use tilth_config::{Explained, InZone, Loaded, Origin, Purpose, Said, Written, redact};

use crate::cli;
use crate::configuration::in_force::InForce;
use crate::exit::Exit;
use crate::findings;
use crate::output::{Output, tell};

/// Explains a path, or lists what there is to explain. A configuration with errors is explained as far as it goes.
pub(crate) fn run(wanted: &cli::Explain) -> anyhow::Result<Exit> {
    let InForce { loaded, bundle, lost } = InForce::find(&wanted.config.folder, &wanted.data, Purpose::Replay);
    if let Some(ruling) = &bundle {
        tell(format_args!("tilth-agent: {}", ruling.words(&wanted.data)));
    }
    if loaded.has_errors() {
        findings::shown(&loaded, io::stderr().is_terminal()).for_each(tell);
    } else if let Some(lost) = &lost {
        tell(lost);
    }
    let mut output = Output::new();
    let known = match &wanted.path {
        Some(path) => explain(&loaded, path, wanted.json, &mut output)?,
        None => list(&loaded, wanted.json, &mut output)?,
    };
    output.flush()?;
    Ok(if known && !loaded.has_errors() { Exit::Done } else { Exit::Refused })
}

/// Every value at and under a path; tells whether there is any.
fn explain(loaded: &Loaded, path: &str, json: bool, output: &mut Output) -> anyhow::Result<bool> {
    match tilth_config::explain(loaded, path) {
        Ok(values) if json => values.iter().try_for_each(|value| output.json(value))?,
        Ok(values) => values.iter().try_for_each(|value| output.line(Told(value)))?,
        Err(unknown) => {
            tell(format_args!("tilth-agent: {unknown}"));
            return Ok(false);
        }
    }
    Ok(true)
}

/// A path and how much is under it.
#[derive(Debug, Serialize)]
struct Listed {
    path: String,
    entries: usize,
    values: usize,
}

/// The paths at the top, and the zones.
fn list(loaded: &Loaded, json: bool, output: &mut Output) -> anyhow::Result<bool> {
    let listed: Vec<Listed> = tilth_config::top_paths(loaded).into_iter().map(|path| count(loaded, path)).collect();
    if json {
        listed.iter().try_for_each(|listed| output.json(listed))?;
    } else {
        let width = listed.iter().map(|listed| listed.path.len()).max().unwrap_or(0);
        for Listed { path, entries, values } in &listed {
            let path = redact::text(path);
            output.line(format_args!("{path:<width$}  entries {entries}, values {values}"))?;
        }
    }
    Ok(true)
}

fn count(loaded: &Loaded, path: String) -> Listed {
    let values = tilth_config::explain(loaded, &path).unwrap_or_default();
    let entries: BTreeSet<&str> =
        values.iter().filter_map(|value| Some(first_key(value.path.strip_prefix(&path)?))).collect();
    Listed { entries: entries.len(), values: values.len(), path }
}

/// The first key of the rest of a path, such as `."tower-1/ph".range`.
fn first_key(rest: &str) -> &str {
    let rest = rest.trim_start_matches('.');
    match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some((key, _)) => key,
        None => rest.split('.').next().unwrap_or(rest),
    }
}

/// A value, its origin, and on lines of their own what it overrides.
struct Told<'a>(&'a Explained);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told(Explained { path, value, origin, overridden, zones }) = self;
        match value {
            Some(value) => write!(f, "{path} = {value}  ")?,
            None => write!(f, "{path} is deleted  ")?,
        }
        match origin {
            Origin::Written(written) | Origin::Inherited(written) => fmt_place(written, path, f)?,
            Origin::BuiltIn => f.write_str("built in")?,
        }
        for Said { value, written } in overridden {
            match value {
                Some(value) => write!(f, "\n    over {value}  ")?,
                None => f.write_str("\n    over its deletion  ")?,
            }
            fmt_place(written, path, f)?;
        }
        for InZone { zone, said: Said { value, written } } in zones {
            match value {
                Some(value) => write!(f, "\n    in zones.{zone}: {value}  ")?,
                None => write!(f, "\n    in zones.{zone}: deleted  ")?,
            }
            fmt_place(written, &written.at, f)?;
        }
        Ok(())
    }
}

/// `config.d/tower.toml:12 (config.d)`, and the key there where it is another than `path`.
fn fmt_place(written: &Written, path: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Written { at, layer, version, file, position } = written;
    f.write_str(file)?;
    if let Some(position) = position {
        write!(f, ":{}", position.line)?;
    }
    write!(f, " ({layer}")?;
    if let Some(version) = version {
        write!(f, " version {version}")?;
    }
    if at != path {
        write!(f, ", {at}")?;
    }
    f.write_str(")")
}

//! Findings of a configuration as text: with the offending line on a terminal, as one plain line in a pipe.

use std::fmt::{self, Display};

use miette::{LabeledSpan, MietteDiagnostic, MietteHandlerOpts, NamedSource, Report, ReportHandler, Severity};
use serde::{Deserialize, Serialize};
use tilth_config::{Diagnostic, Level, Loaded, Sources};

use crate::console::counted;

/// Lines shown around the offending one.
const CONTEXT_LINES: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) errors: u64,
    pub(crate) warnings: u64,
}

impl Counts {
    pub(crate) fn of(loaded: &Loaded) -> Counts {
        let of = |level| loaded.diagnostics.iter().filter(|diagnostic| diagnostic.level == level).count() as u64;
        Counts { errors: of(Level::Error), warnings: of(Level::Warning) }
    }
}

/// `2 errors, 1 warning`.
impl Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", counted(self.errors, "error"), counted(self.warnings, "warning"))
    }
}

/// Why a configuration is rejected: its findings, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Problems {
    /// How many of the lines are errors.
    pub(crate) errors: u64,
    #[serde(rename = "problems")]
    pub(crate) lines: Vec<String>,
}

impl Problems {
    pub(crate) fn of(loaded: &Loaded) -> Problems {
        Problems { errors: Counts::of(loaded).errors, lines: shown(loaded, false).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn error(line: String) -> Problems {
        Problems { errors: 1, lines: vec![line] }
    }
}

/// Every finding, as text for a terminal or for anything else.
pub(crate) fn shown(loaded: &Loaded, on_terminal: bool) -> impl Iterator<Item = String> {
    let handler = on_terminal.then(|| MietteHandlerOpts::new().context_lines(CONTEXT_LINES).build());
    loaded.diagnostics.iter().map(move |diagnostic| match &handler {
        Some(handler) => framed(diagnostic, &loaded.sources, handler),
        None => diagnostic.to_string(),
    })
}

/// A finding with its line, as `handler` draws it, and a blank line after it.
fn framed(diagnostic: &Diagnostic, sources: &Sources, handler: &dyn ReportHandler) -> String {
    let Diagnostic { level, file, position, path, message, help } = diagnostic;
    let severity = match level {
        Level::Error => Severity::Error,
        Level::Warning => Severity::Warning,
    };
    let place = position.as_ref().zip(sources.shown(file));
    // The frame names the file; without one the headline does.
    let file_name = if place.is_none() { format!("{file}: ") } else { String::new() };
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let mut finding = MietteDiagnostic::new(format!("{file_name}{path}{message}")).with_severity(severity);
    finding.help.clone_from(help);
    let report = match place {
        Some((position, text)) => {
            let finding = finding.with_label(LabeledSpan::new_with_span(None, position.span.clone()));
            Report::new(finding).with_source_code(NamedSource::new(file, text))
        }
        None => Report::new(finding),
    };
    let drawn = fmt::from_fn(|f| handler.debug(report.as_ref(), f)).to_string();
    format!("{}\n", drawn.trim_matches('\n'))
}

#[cfg(test)]
mod tests;

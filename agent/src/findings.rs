//! Findings of a configuration as text: with the offending line on a terminal, as one plain line in a pipe.

use std::fmt::{self, Display};

use annotate_snippets::{Annotation, AnnotationKind, Group, Renderer, Snippet};
use serde::{Deserialize, Serialize};
use tilth_config::{Diagnostic, Level, Loaded, Position, Sources};

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
    let colours = std::env::var_os("NO_COLOR").is_none();
    let renderer = on_terminal.then(|| if colours { Renderer::styled() } else { Renderer::plain() });
    loaded.diagnostics.iter().map(move |diagnostic| match &renderer {
        Some(renderer) => framed(diagnostic, &loaded.sources, renderer),
        None => diagnostic.to_string(),
    })
}

/// A finding with its line, as `renderer` draws it, and a blank line after it.
fn framed(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let Diagnostic { level, file, position, path, message, help } = diagnostic;
    let level = match level {
        Level::Error => annotate_snippets::Level::ERROR,
        Level::Warning => annotate_snippets::Level::WARNING,
    };
    let place = position.as_ref().zip(sources.shown(file));
    // The frame names the file; without one the headline does.
    let file_name = if place.is_none() { format!("{file}: ") } else { String::new() };
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let excerpt = place.map(|(position, text)| excerpt(file, position, &text));
    let help = help.as_ref().map(|help| annotate_snippets::Level::HELP.message(help));
    let finding =
        Group::with_title(level.primary_title(format!("{file_name}{path}{message}"))).elements(excerpt).elements(help);
    format!("{}\n", renderer.render(&[finding]))
}

/// The line in which `position` begins, marked from there to its end at most, between the lines around it.
fn excerpt<'a>(file: &'a str, position: &Position, text: &str) -> Snippet<'a, Annotation<'a>> {
    let (before, after) = text.split_at(position.span.start);
    let start = before.rmatch_indices('\n').nth(CONTEXT_LINES).map_or(0, |(at, _)| at + 1);
    let line_end = after.find('\n').unwrap_or(after.len());
    let end = after.match_indices('\n').nth(CONTEXT_LINES).map_or(after.len(), |(at, _)| at);
    let marked = position.span.len().min(line_end);
    let before = &before[start..];
    Snippet::source(format!("{before}{}", &after[..end]))
        .path(file)
        .line_start(position.line - before.matches('\n').count())
        .fold(false)
        .annotation(AnnotationKind::Primary.span(before.len()..before.len() + marked))
}

#[cfg(test)]
mod tests;

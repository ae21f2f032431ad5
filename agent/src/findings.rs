//! Findings of a configuration as text: with the offending line on a terminal, as one plain line in a pipe.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Renderer, Snippet, normalize_untrusted_str};
use serde::{Deserialize, Serialize};
use tilth_config::{Diagnostic, Level, Loaded, Sources};

use crate::console::counted;

/// Lines shown around the offending one.
const CONTEXT_LINES: usize = 1;

/// Columns of an excerpt: a mark under a line that the terminal breaks would point at nothing, and a serial console has no more.
const COLUMNS: usize = 80;

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
    let has_colours = has_colours(std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref());
    let renderer = if has_colours { Renderer::styled() } else { Renderer::plain() };
    let renderer = on_terminal.then(|| renderer.term_width(COLUMNS));
    loaded.diagnostics.iter().map(move |diagnostic| match &renderer {
        Some(renderer) => framed(diagnostic, &loaded.sources, renderer),
        None => diagnostic.to_string(),
    })
}

/// Whether a terminal is written to in colours: `NO_COLOR` asks for none unless it is empty (no-color.org), and a dumb one shows none.
fn has_colours(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb")
}

/// A finding with its line, as `renderer` draws it, and a blank line after it.
fn framed(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let Diagnostic { level, file, position, path, message, help } = diagnostic;
    let level = match level {
        Level::Error => annotate_snippets::Level::ERROR,
        Level::Warning => annotate_snippets::Level::WARNING,
    };
    let place = position.as_ref().zip(sources.shown(file));
    let excerpt = place.and_then(|(position, text)| excerpt(file, &position.span, &text));
    // The frame names the file; without one the headline does.
    let file_name = if excerpt.is_none() { format!("{file}: ") } else { String::new() };
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let help = help.as_deref().map(|help| annotate_snippets::Level::HELP.message(normalize_untrusted_str(help)));
    let finding =
        Group::with_title(level.primary_title(format!("{file_name}{path}{message}"))).elements(excerpt).elements(help);
    format!("{}\n", renderer.render(&[finding]))
}

/// The line in which `span` begins, marked from there to its end at most, between the lines around it; none where the text has no such
/// place: names of two files that are not UTF-8 may be shown alike.
fn excerpt<'a>(file: &'a str, span: &Range<usize>, text: &str) -> Option<Snippet<'a, Annotation<'a>>> {
    let (before, after) = text.split_at_checked(span.start)?;
    let (earlier, before) = before.split_at(before.rmatch_indices('\n').nth(CONTEXT_LINES).map_or(0, |(at, _)| at + 1));
    let end = after.match_indices('\n').nth(CONTEXT_LINES).map_or(after.len(), |(at, _)| at + 1);
    let line = after.lines().next().unwrap_or_default();
    let (marked, behind) = after[..end].split_at(line.get(..span.len()).unwrap_or(line).len());
    let (before, marked) = (printable(before), printable(marked));
    let span = before.len()..before.len() + marked.len();
    let snippet = Snippet::source(before + &marked + &printable(behind)).path(file).fold(false);
    let snippet = snippet.line_start(1 + earlier.matches('\n').count());
    Some(snippet.annotation(AnnotationKind::Primary.span(span)))
}

/// A text without the control characters that `annotate-snippets` lets through and some terminals obey (U+0080 to U+009F).
fn printable(text: &str) -> String {
    text.replace(|letter: char| matches!(letter, '\u{80}'..='\u{9f}'), "\u{fffd}")
}

#[cfg(test)]
mod tests;

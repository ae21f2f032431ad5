//! What is wrong with a configuration, shown: the offending line on a terminal, one plain line in a pipe.

use std::fmt::{self, Display};

use miette::{LabeledSpan, MietteError, MietteHandlerOpts, ReportHandler, SourceCode, SpanContents};
use tilth_config::{Diagnostic, Level, Loaded, Sources};

use crate::output::counted;

/// Lines shown around the offending one.
const CONTEXT_LINES: usize = 1;

/// How many findings of each level there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    /// How many of the lines are errors.
    pub(crate) errors: u64,
    pub(crate) lines: Vec<String>,
}

impl Problems {
    pub(crate) fn of(loaded: &Loaded) -> Problems {
        Problems { errors: Counts::of(loaded).errors, lines: shown(loaded, false).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// One error, in words.
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
    let source = sources.shown(&diagnostic.file).map(|text| Text { file: &diagnostic.file, text });
    let finding = Finding { diagnostic, source };
    let drawn = Drawn { finding: &finding, handler }.to_string();
    format!("{}\n", drawn.trim_matches('\n'))
}

struct Drawn<'a> {
    finding: &'a Finding<'a>,
    handler: &'a dyn ReportHandler,
}

impl Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handler.debug(self.finding, f)
    }
}

/// A diagnostic of the configuration as miette knows them.
#[derive(Debug)]
struct Finding<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<Text<'a>>,
}

/// The frame names the file; without one the headline does.
impl Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { file, path, message, position, .. } = self.diagnostic;
        if position.is_none() || self.source.is_none() {
            write!(f, "{file}: ")?;
        }
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(message)
    }
}

impl std::error::Error for Finding<'_> {}

impl miette::Diagnostic for Finding<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.level {
            Level::Error => miette::Severity::Error,
            Level::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.diagnostic.position.as_ref()?;
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.position.as_ref()?.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

/// The text of a file as it may be shown, with its name.
#[derive(Debug)]
struct Text<'a> {
    file: &'a str,
    text: String,
}

impl SourceCode for Text<'_> {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let lines = self.text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.file.to_owned(),
            lines.data(),
            *lines.span(),
            lines.line(),
            lines.column(),
            lines.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests;

//! What is wrong with a configuration, where it stands, and what was expected there.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::source::{Place, Position, SourceId, Sources};
use crate::suggest;

/// More findings than this are counted and not kept: nobody reads them, and a farm's Pi must not run out of memory over a
/// broken file.
const MAX_FINDINGS: usize = 1000;

/// Looking for the name that was meant goes through all names; a configuration with more wrong ones than this has another
/// problem than spelling.
const MAX_SUGGESTIONS: u32 = 20;

/// Whether a configuration with this in it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It cannot.
    Error,
    /// It can, and somebody should look.
    Warning,
}

/// One thing that is wrong, to be shown to a person or, as one JSON object, to a program.
///
/// Displays as `FILE:LINE:COLUMN: LEVEL: PATH: MESSAGE; HELP`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub level: Level,
    /// The file: its path inside the folder of the configuration, or `base/..` for what is shipped.
    pub file: String,
    /// Where in the file; none for what concerns the whole file.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// The key, such as `rules.ph-high.clear`; empty where it belongs to none.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What was expected, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What is wrong with one value, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    message: Cow<'static, str>,
    help: Option<String>,
    /// A part of the value, where the problem is with that part.
    part: Option<Place>,
    /// Seen only by comparing several documents: not worth saying while one of them could not be read.
    across: bool,
}

/// Where something is wrong, how bad it is, and what.
type Finding = (Place, Level, Cow<'static, str>);

/// The key, and help.
type Detail = (String, Option<String>);

/// Everything found so far. Several at once is the rule, so checks take it by reference and go on.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// One finding for each place and message: a zone that repeats a check of the whole device adds nothing.
    findings: RefCell<BTreeMap<Finding, Detail>>,
    broken: RefCell<BTreeSet<SourceId>>,
    errors: Cell<bool>,
    dropped: Cell<usize>,
    suggestions: Cell<u32>,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(position) = &self.position {
            write!(f, ":{}:{}", position.line, position.column)?;
        }
        write!(f, ": {}: ", self.level.name())?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Problem {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Problem {
        Problem { message: message.into(), help: None, part: None, across: false }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn in_part(mut self, part: Place) -> Problem {
        self.part = self.part.or(Some(part));
        self
    }

    pub(crate) fn across_documents(mut self) -> Problem {
        self.across = true;
        self
    }
}

impl Log {
    pub(crate) fn error(&self, place: Place, path: &str, problem: Problem) {
        self.put(Level::Error, place, path, problem);
    }

    pub(crate) fn warning(&self, place: Place, path: &str, problem: Problem) {
        self.put(Level::Warning, place, path, problem);
    }

    /// A document that could not be read whole. What else seems wrong in it may only follow from that, and is not said.
    pub(crate) fn broken(&self, place: Place, problem: Problem) {
        self.keep(Level::Error, place, "", problem);
        self.broken.borrow_mut().insert(place.source);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors.get()
    }

    fn put(&self, level: Level, place: Place, path: &str, problem: Problem) {
        let place = problem.part.unwrap_or(place);
        let broken = self.broken.borrow();
        if broken.contains(&place.source) || (problem.across && !broken.is_empty()) {
            return;
        }
        drop(broken);
        self.keep(level, place, path, problem);
    }

    fn keep(&self, level: Level, place: Place, path: &str, problem: Problem) {
        if level == Level::Error {
            self.errors.set(true);
        }
        let mut findings = self.findings.borrow_mut();
        let key = (place, level, problem.message);
        if findings.contains_key(&key) {
            return;
        }
        if findings.len() >= MAX_FINDINGS {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        findings.insert(key, (path.to_owned(), problem.help));
    }

    /// The known name that comes nearest to one that is not known, as help.
    pub(crate) fn did_you_mean<'a>(&self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
        if self.suggestions.get() >= MAX_SUGGESTIONS {
            return None;
        }
        self.suggestions.set(self.suggestions.get() + 1);
        suggest::nearest(name, known).map(|nearest| format!("did you mean {nearest:?}?"))
    }

    /// All findings by file, line and column.
    pub(crate) fn finish(self, sources: &Sources) -> Vec<Diagnostic> {
        let dropped = self.dropped.get();
        let findings = self.findings.into_inner();
        let last = findings.keys().next_back().map(|(place, ..)| place.source);
        let mut diagnostics: Vec<Diagnostic> = findings
            .into_iter()
            .map(|((place, level, message), (path, help))| Diagnostic {
                level,
                file: sources.get(place.source).file.clone(),
                position: sources.position(place),
                path,
                message: message.into_owned(),
                help,
            })
            .collect();
        diagnostics.sort_by(|a, b| order(a).cmp(&order(b)));
        if let (Some(last), true) = (last, dropped > 0) {
            diagnostics.push(Diagnostic {
                level: Level::Error,
                file: sources.get(last).file.clone(),
                position: None,
                path: String::new(),
                message: format!("{dropped} more problems are not shown"),
                help: None,
            });
        }
        diagnostics
    }
}

fn order(diagnostic: &Diagnostic) -> (&str, Option<(usize, usize)>, &str) {
    let at = diagnostic.position.as_ref().map(|position| (position.line, position.column));
    (&diagnostic.file, at, &diagnostic.path)
}

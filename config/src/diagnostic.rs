//! Findings: what is wrong with a configuration, where, and what was expected.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::redact;
use crate::source::{Place, Position, SourceId, Sources};
use crate::suggest;

/// Upper limit of findings kept; more are counted. A person reads no more, and a Pi must not run out of memory over a broken file. Errors
/// are kept before warnings.
const MAX_FINDINGS: usize = 1000;

/// Looking for the name that was meant goes through all names; a configuration with more wrong ones than this has another
/// problem than spelling.
const MAX_SUGGESTIONS: u32 = 20;

/// Whether a configuration with this in it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, and somebody should look.
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
    /// Place in the file; none for what concerns the whole file.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// The key, such as `rules.ph-high.clear`; empty where it belongs to none.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// Expected value, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A finding about one value, before its place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    message: Cow<'static, str>,
    help: Option<String>,
    /// A part of the value, where the problem is with that part.
    part: Option<Place>,
    reach: Reach,
}

/// Texts that a problem depends on. A problem is dropped while one of them has syntax errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// One value.
    Value,
    /// Several values, of which the one that is at fault stands in this document.
    Document,
    /// Several documents.
    Documents,
}

/// Findings by place and message, with the key, help, and whether the text itself is broken there. A zone that repeats a check of
/// the whole device adds none.
type Findings = BTreeMap<(Place, Cow<'static, str>), (String, Option<String>, bool)>;

/// Everything found so far. Several at once is the rule, so checks take it by reference and go on.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    errors: RefCell<Findings>,
    warnings: RefCell<Findings>,
    broken: RefCell<BTreeSet<SourceId>>,
    /// Unreadable parts of texts.
    unreadable: RefCell<Vec<Place>>,
    /// How many were not kept, and the worst of them.
    dropped: Cell<Option<(Level, usize)>>,
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

impl Diagnostic {
    /// A warning about a whole file.
    #[must_use]
    pub fn warning(file: &str, message: String, help: &str) -> Diagnostic {
        Diagnostic {
            level: Level::Warning,
            file: file.to_owned(),
            position: None,
            path: String::new(),
            message,
            help: Some(help.to_owned()),
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
        Problem { message: message.into(), help: None, part: None, reach: Reach::Value }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    #[cfg(test)]
    pub(crate) fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    pub(crate) fn in_part(mut self, part: Place) -> Problem {
        self.part = self.part.or(Some(part));
        self
    }

    pub(crate) fn across_documents(mut self) -> Problem {
        self.reach = Reach::Documents;
        self
    }

    pub(crate) fn across_values(mut self) -> Problem {
        self.reach = Reach::Document;
        self
    }
}

impl Diagnostics {
    pub(crate) fn error(&self, place: Place, path: &str, problem: Problem) {
        self.put(Level::Error, place, path, problem);
    }

    pub(crate) fn warning(&self, place: Place, path: &str, problem: Problem) {
        self.put(Level::Warning, place, path, problem);
    }

    /// A document that could not be read. What else seems wrong in it may only follow from that, and is not said.
    pub(crate) fn broken(&self, place: Place, problem: Problem) {
        self.broken_within(place.source.at(0..usize::MAX), place, problem);
    }

    /// A document that could not be read whole: what stands elsewhere in it is as good as ever.
    pub(crate) fn broken_within(&self, unreadable: Place, place: Place, problem: Problem) {
        self.keep(Level::Error, place, "", problem, true);
        self.broken.borrow_mut().insert(place.source);
        self.unreadable.borrow_mut().push(unreadable);
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    fn put(&self, level: Level, place: Place, path: &str, problem: Problem) {
        let place = problem.part.unwrap_or(place);
        let broken = self.broken.borrow();
        let doubtful = match problem.reach {
            Reach::Value => false,
            Reach::Document => broken.contains(&place.source),
            Reach::Documents => !broken.is_empty(),
        };
        if doubtful || self.unreadable.borrow().iter().any(|unreadable| unreadable.holds(place)) {
            return;
        }
        drop(broken);
        self.keep(level, place, path, problem, false);
    }

    fn keep(&self, level: Level, place: Place, path: &str, problem: Problem, of_text: bool) {
        let (mut errors, mut warnings) = (self.errors.borrow_mut(), self.warnings.borrow_mut());
        let full = errors.len() + warnings.len() >= MAX_FINDINGS;
        let findings = match level {
            Level::Error => &mut *errors,
            Level::Warning => &mut *warnings,
        };
        let key = (place, problem.message);
        if findings.contains_key(&key) {
            return;
        }
        let detail = (path.to_owned(), problem.help, of_text);
        if !full {
            findings.insert(key, detail);
        } else if level == Level::Error && warnings.pop_last().is_some() {
            errors.insert(key, detail);
            self.drop_one(Level::Warning);
        } else {
            self.drop_one(level);
        }
    }

    fn drop_one(&self, level: Level) {
        let (worst, count) = self.dropped.get().unwrap_or((level, 0));
        self.dropped.set(Some((worst.min(level), count + 1)));
    }

    /// The known name that comes nearest to one that is not known, as help.
    pub(crate) fn did_you_mean<'a>(&self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
        if self.suggestions.get() >= MAX_SUGGESTIONS {
            return None;
        }
        self.suggestions.set(self.suggestions.get() + 1);
        suggest::nearest(name, known).map(|nearest| format!("did you mean {nearest:?}?"))
    }

    /// All findings by file, line and column; in a file those of the text itself come first.
    pub(crate) fn finish(self, sources: &Sources) -> Vec<Diagnostic> {
        let findings = [(Level::Error, self.errors.into_inner()), (Level::Warning, self.warnings.into_inner())];
        let last = findings.iter().filter_map(|(_, findings)| findings.keys().next_back()).max();
        let last = last.map(|(place, _)| place.source);
        let findings =
            findings.into_iter().flat_map(|(level, findings)| findings.into_iter().map(move |it| (level, it)));
        let mut found: Vec<(bool, Diagnostic)> = findings
            .map(|(level, ((place, message), (path, help, of_text)))| {
                let file = sources.get(place.source).file.clone();
                let position = sources.position(place);
                // A message that quotes a document shows no secret of it, also where the document is broken.
                let shown = |text: &str| redact::text(text).into_owned();
                let (path, message, help) = (shown(&path), shown(&message), help.as_deref().map(shown));
                (of_text, Diagnostic { level, file, position, path, message, help })
            })
            .collect();
        found.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut diagnostics: Vec<Diagnostic> = found.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        if let (Some(last), Some((level, count))) = (last, self.dropped.get()) {
            let message = match count {
                1 => "1 more problem is not shown".to_owned(),
                count => format!("{count} more problems are not shown"),
            };
            diagnostics.push(Diagnostic {
                level,
                file: sources.get(last).file.clone(),
                position: None,
                path: String::new(),
                message,
                help: None,
            });
        }
        diagnostics
    }
}

fn order((of_text, diagnostic): &(bool, Diagnostic)) -> (&str, bool, Option<(usize, usize)>, &str) {
    let at = diagnostic.position.as_ref().map(|position| (position.line, position.column));
    (&diagnostic.file, !of_text, at, &diagnostic.path)
}

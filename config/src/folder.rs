//! The folder of a configuration: `agent.toml` and `config.d/*.toml`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base;
use crate::diagnostic::{Level, Problem};
use crate::document::{Document, Documents, Text};
use crate::plain_file;
use crate::source::Layer;

/// Ten thousand sensors or rules with all their keys are 3 MiB; a larger file is none of ours.
const MAX_FILE: u64 = 4 << 20;

/// All files together, so that a Pi has memory left to run what they say.
const MAX_TOTAL: u64 = 16 << 20;

/// Upper limit of files; a folder with more is not one of a configuration.
const MAX_FILES: usize = 1000;

/// Upper limit of misplaced files that are named.
const MAX_NOTED: usize = 20;

/// A finding about the folder itself.
#[derive(Debug)]
pub(crate) struct FolderFinding {
    pub(crate) level: Level,
    pub(crate) file: String,
    pub(crate) problem: Problem,
}

/// The names in a folder.
#[derive(Debug, Default)]
struct Names {
    /// The files to read, in the order of their names.
    toml: Vec<PathBuf>,
    /// All other entries.
    others: Vec<PathBuf>,
}

/// Reads the folder, the shipped documents first. What cannot be read is a document that says why.
pub(crate) fn read(dir: &Path) -> (Documents, Vec<FolderFinding>) {
    let mut documents = Documents { layers: base::documents().collect(), agent_toml: None };
    let beside = match names(dir) {
        Ok(names) => names,
        Err(error) => {
            documents.layers.push(unreadable(dir.display().to_string(), &error));
            return (documents, Vec::new());
        }
    };
    let notes = match names_or_none(&dir.join("config.d")) {
        Ok(names) => {
            documents.layers.extend(read_all(&dir.join("config.d"), &names.toml));
            notes(dir, &beside, &names)
        }
        Err(error) => {
            documents.layers.push(unreadable("config.d".to_owned(), &error));
            Vec::new()
        }
    };
    let agent_toml = dir.join("agent.toml");
    // Any other trouble than that it is not there is the file's, and said of it.
    let missing = fs::metadata(&agent_toml).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    documents.agent_toml = (!missing).then(|| {
        let text = read_file(&agent_toml, MAX_FILE).unwrap_or_else(Text::Unreadable);
        Document { layer: None, ..document("agent.toml".to_owned(), text) }
    });
    (documents, notes)
}

/// Says that nothing is read, and what is not read though it was probably meant to be.
fn notes(dir: &Path, beside: &Names, within: &Names) -> Vec<FolderFinding> {
    if !beside.others.iter().any(|name| name == Path::new("config.d"))
        && let Some(parent) = fs::canonicalize(dir).ok().filter(|dir| dir.ends_with("config.d"))
    {
        let given = if dir.ends_with("config.d") { dir.parent() } else { parent.parent() };
        let given = given.filter(|given| *given != Path::new("")).unwrap_or(Path::new("."));
        let problem = Problem::new(format!("{} was given", dir.display())).help(format!("give {}", given.display()));
        return vec![FolderFinding { level: Level::Error, file: "config.d".to_owned(), problem }];
    }
    let mut notes = Vec::new();
    if within.toml.is_empty() {
        let folder = dir.join("config.d");
        let problem = Problem::new(format!("no .toml file in {}", folder.display())).help("expected at least one");
        notes.push(FolderFinding { level: Level::Error, file: "config.d".to_owned(), problem });
    }
    let ignored = |file: String, why: &'static str| {
        let problem = Problem::new("this file is ignored").help(why);
        FolderFinding { level: Level::Warning, file, problem }
    };
    let misplaced = beside.toml.iter().filter(|name| *name != Path::new("agent.toml"));
    notes.extend(misplaced.take(MAX_NOTED).map(|name| ignored(shown(name), "it belongs in config.d")));
    let misnamed = within.others.iter().filter(|name| within.toml.is_empty() || is_nearly_toml(name));
    notes.extend(
        misnamed
            .take(MAX_NOTED)
            .map(|name| ignored(format!("config.d/{}", shown(name)), "a file's name must end in .toml")),
    );
    notes
}

/// Whether a name ends as editors and file managers of other systems write `.toml`.
fn is_nearly_toml(name: &Path) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    [".toml", ".tml", ".toml.txt"].into_iter().any(|end| name.ends_with(end))
}

fn unreadable(file: String, error: &io::Error) -> Document {
    document(file, Text::Unreadable(format!("cannot be read: {error}")))
}

/// Names in a folder; empty where the folder is missing.
fn names_or_none(folder: &Path) -> io::Result<Names> {
    match names(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Names::default()),
        names => names,
    }
}

fn names(folder: &Path) -> io::Result<Names> {
    let mut names = Names::default();
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        // What begins with a dot is an editor's.
        let hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        if hidden {
            continue;
        }
        match name.extension().is_some_and(|extension| extension == "toml") {
            true => names.toml.push(name),
            false => names.others.push(name),
        }
    }
    names.toml.sort();
    names.others.sort();
    Ok(names)
}

fn read_all(folder: &Path, names: &[PathBuf]) -> Vec<Document> {
    let mut left = MAX_TOTAL;
    let read = names.iter().take(MAX_FILES).map(|name| {
        let text = read_file(&folder.join(name), MAX_FILE.min(left)).unwrap_or_else(Text::Unreadable);
        if let Text::Toml(bytes) = &text {
            left -= bytes.len() as u64;
        }
        document(format!("config.d/{}", shown(name)), text)
    });
    let mut documents: Vec<Document> = read.collect();
    if names.len() > MAX_FILES {
        let problem = format!("holds {} files; expected at most {MAX_FILES}", names.len());
        documents.push(document("config.d".to_owned(), Text::Unreadable(problem)));
    }
    documents
}

/// A file's name as findings show it: a terminal obeys control characters.
fn shown(name: &Path) -> String {
    name.to_string_lossy().replace(char::is_control, "\u{fffd}")
}

fn document(file: String, text: Text) -> Document {
    Document { file, layer: Some(Layer::ConfigD), version: None, text }
}

fn read_file(path: &Path, most: u64) -> Result<Text, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    match plain_file::read(path, most) {
        Ok(bytes) => Ok(Text::Toml(bytes)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let limits = format!("{} MiB a file and {} MiB in all", MAX_FILE >> 20, MAX_TOTAL >> 20);
            Err(format!("is too large; expected at most {limits}"))
        }
        Err(error) => Err(cannot(error)),
    }
}

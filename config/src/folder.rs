//! The folder of a configuration: `agent.toml` and `config.d/*.toml`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::base;
use crate::document::{Document, Documents, Text};
use crate::source::Layer;

/// Ten thousand sensors or rules with all their keys are 3 MiB; a larger file is none of ours.
const MAX_FILE: u64 = 4 << 20;

/// All files together, so that a Pi has memory left to run what they say.
const MAX_TOTAL: u64 = 16 << 20;

/// More files are a wrong folder.
const MAX_FILES: usize = 1000;

/// Reads the folder, the shipped documents first. What cannot be read is a document that says why.
pub(crate) fn read(dir: &Path) -> Documents {
    let mut documents = Documents { layers: base::documents().collect(), site: None };
    if let Err(error) = fs::read_dir(dir) {
        documents.layers.push(unreadable(dir.display().to_string(), &error));
        return documents;
    }
    match names(&dir.join("config.d")) {
        Ok(names) => documents.layers.extend(read_all(&dir.join("config.d"), &names)),
        Err(error) => documents.layers.push(unreadable("config.d".to_owned(), &error)),
    }
    let site = dir.join("agent.toml");
    // Any other trouble than that it is not there is the file's, and said of it.
    let missing = fs::metadata(&site).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    documents.site = (!missing).then(|| {
        let text = read_file(&site, MAX_FILE).unwrap_or_else(Text::Unreadable);
        Document { layer: None, ..document("agent.toml".to_owned(), text) }
    });
    documents
}

fn unreadable(file: String, error: &io::Error) -> Document {
    document(file, Text::Unreadable(format!("cannot be read: {error}")))
}

/// The files to read, in the order of their names; none where there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = PathBuf::from(entry?.file_name());
        // What begins with a dot is an editor's.
        let hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        if !hidden && name.extension().is_some_and(|extension| extension == "toml") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_all(folder: &Path, names: &[PathBuf]) -> Vec<Document> {
    let mut left = MAX_TOTAL;
    let read = names.iter().take(MAX_FILES).map(|name| {
        let text = read_file(&folder.join(name), MAX_FILE.min(left)).unwrap_or_else(Text::Unreadable);
        if let Text::Toml(bytes) = &text {
            left -= bytes.len() as u64;
        }
        document(format!("config.d/{}", name.display()), text)
    });
    let mut documents: Vec<Document> = read.collect();
    if names.len() > MAX_FILES {
        let problem = format!("holds {} files; expected at most {MAX_FILES}", names.len());
        documents.push(document("config.d".to_owned(), Text::Unreadable(problem)));
    }
    documents
}

fn document(file: String, text: Text) -> Document {
    Document { file, layer: Some(Layer::ConfigD), version: None, text }
}

fn read_file(path: &Path, most: u64) -> Result<Text, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for ever.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("cannot be read: not a file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > most {
        let limits = format!("{} MiB a file and {} MiB in all", MAX_FILE >> 20, MAX_TOTAL >> 20);
        return Err(format!("is too large; expected at most {limits}"));
    }
    Ok(Text::Toml(bytes))
}

//! Only ordinary files are read, and anything else is named without a wait.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tilth_config::plain_file;

#[test]
fn what_is_no_ordinary_file_is_named_at_once() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("plain-file-{}", std::process::id()));
    fs::create_dir_all(folder.join("folder")).unwrap();
    let at = |name: &str| folder.join(name);
    fs::write(at("file"), "text").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("binary"), [0xff, 0xfe]).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    symlink("/dev/zero", at("endless")).unwrap();
    symlink(at("pipe"), at("link-to-pipe")).unwrap();
    symlink(at("file"), at("link-to-file")).unwrap();
    symlink(at("loop"), at("loop")).unwrap();
    for (name, expected) in [
        ("file", Ok("text")),
        ("empty", Ok("")),
        ("link-to-file", Ok("text")),
        ("binary", Err("not text; expected UTF-8")),
        ("folder", Err("a folder is there; expected a file")),
        ("pipe", Err("a named pipe is there; expected a file")),
        ("link-to-pipe", Err("a named pipe is there; expected a file")),
        ("socket", Err("a socket is there; expected a file")),
        ("endless", Err("a device is there; expected a file")),
        ("gone", Err("No such file or directory (os error 2)")),
        ("loop", Err("Too many levels of symbolic links (os error 40)")),
    ] {
        let found = plain_file::read_text(&at(name), 4).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{name}");
    }
    let large = plain_file::read(&at("file"), 3).unwrap_err();
    assert_eq!(large.to_string(), "too large; expected at most 3 bytes");
    fs::remove_dir_all(folder).unwrap();
}

//! A named pipe, a folder or a device in place of a file: nothing waits for it, and it is named with what was expected.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::served::{Made, stderr};

/// What lies at a path instead of a file, and what is said of it.
const THINGS: [(&str, &str); 3] = [
    ("pipe", "a named pipe is there; expected a file"),
    ("folder", "a folder is there; expected a file"),
    ("zero", "a device is there; expected a file"),
];

fn put(thing: &str, path: &Path) {
    let _ = fs::remove_file(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match thing {
        "pipe" => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        "folder" => fs::create_dir_all(path).unwrap(),
        _ => symlink("/dev/zero", path).unwrap(),
    }
}

#[test]
fn each_file_that_the_hub_reads() {
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let serve_tls = [&serve[..], &["--tls-cert", "tls.pem", "--tls-key", "tls.key"]].concat();
    let config = |from: &'static str| vec!["config", "put", from, "--client", "acme", "--device", "pi-7"];
    for (thing, said) in THINGS {
        for (file, arguments) in [
            ("hub/hub.key", serve.to_vec()),
            ("hub/hub.db", serve.to_vec()),
            ("hub/hub.db", vec!["tenant", "list"]),
            ("tls.pem", serve_tls.clone()),
            ("tls.key", serve_tls.clone()),
            ("farm.toml", config("farm.toml")),
            ("farm.json", config("farm.json")),
            ("farm/config.d/a.toml", config("farm")),
            ("farm/agent.toml", config("farm")),
        ] {
            let made = Made::new();
            made.tenant("acme");
            made.device("acme", "pi-7");
            let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            made.folder.write("tls.pem", &signed.cert.pem());
            made.folder.write("tls.key", &signed.signing_key.serialize_pem());
            made.folder.write("farm/config.d/b.toml", "");
            // A folder is what may be put.
            if thing == "folder" && file.starts_with("farm.") {
                continue;
            }
            put(thing, &made.folder.path().join(file));
            let done = made.command(&arguments).current_dir(made.folder.path()).output().unwrap();
            let (name, error) = (file.rsplit('/').next().unwrap(), stderr(&done));
            assert!(!done.status.success(), "{file} {thing}");
            assert!(error.contains(name) && error.contains(said), "{file} {thing}: {error}");
        }
    }
}

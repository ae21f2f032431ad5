//! The folder of a configuration on a disk, with what disks and people do to it.

use std::fs;
use std::path::{Path, PathBuf};

use tilth_config::{Purpose, load};

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tilth-config-{}-{test}", std::process::id()));
        fs::create_dir_all(path.join("config.d")).expect("a folder for the test");
        Folder(path)
    }

    fn put(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(file), text).expect("a file for the test");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is under the system's folder for such things; what stays there is cleared by the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is said, with the folder's own path as `DIR`.
fn said(dir: &Path) -> Vec<String> {
    let loaded = load(dir, Purpose::Replay);
    let here = dir.display().to_string();
    loaded.diagnostics.iter().map(|found| found.to_string().replace(&here, "DIR")).collect()
}

const SENSOR: &str = "[sensors.'a/ph']\nquantity = 'ph'\n";

#[test]
fn files_merge_in_the_order_of_their_names() {
    let folder = Folder::new("order");
    folder.put("config.d/20-later.toml", "[sensors.'a/ph']\nrange = [3, 10]\n");
    folder.put("config.d/10-first.toml", format!("{SENSOR}range = [2, 12]\n"));
    folder.put("config.d/.hidden.toml", "no TOML at all");
    folder.put("config.d/notes.txt", "no TOML at all");
    folder.put("config.d/30-old.toml.bak", "no TOML at all");
    let loaded = load(&folder.0, Purpose::Replay);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert_eq!(loaded.plan.unwrap().sensors()[0].range, Some((3.0, 10.0)));
    let files: Vec<&str> = loaded.sources.iter().map(|source| source.file.as_str()).collect();
    assert_eq!(files[files.len() - 2..], ["config.d/10-first.toml", "config.d/20-later.toml"]);
}

#[test]
fn what_cannot_be_read_is_said_with_its_reason() {
    let folder = Folder::new("unreadable");
    assert_eq!(said(&folder.0.join("nowhere")), ["DIR: error: cannot be read: No such file or directory (os error 2)"]);
    folder.put("agent.toml", "");
    assert_eq!(said(&folder.0.join("agent.toml")), ["DIR: error: cannot be read: Not a directory (os error 20)"]);

    fs::create_dir(folder.0.join("config.d/folder.toml")).unwrap();
    folder.put("config.d/large.toml", vec![b'#'; (4 << 20) + 1]);
    folder.put("config.d/sensor.toml", format!("{SENSOR}range = 3\n"));
    std::os::unix::fs::symlink("nowhere", folder.0.join("config.d/gone.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.0.join("config.d/endless.toml")).unwrap();
    assert_eq!(
        said(&folder.0),
        [
            "config.d/endless.toml: error: cannot be read: not a file",
            "config.d/folder.toml: error: cannot be read: not a file",
            "config.d/gone.toml: error: cannot be read: No such file or directory (os error 2)",
            "config.d/large.toml: error: is too large; expected at most 4 MiB a file and 16 MiB in all",
            "config.d/sensor.toml:3:9: error: sensors.\"a/ph\".range: expected two numbers such as [5.5, 6.8], found 3",
        ]
    );
}

#[test]
fn files_have_a_limit_in_size_and_number() {
    let folder = Folder::new("limits");
    for file in 0..5 {
        folder.put(&format!("config.d/{file}.toml"), vec![b'#'; 4 << 20]);
    }
    assert_eq!(
        said(&folder.0),
        ["config.d/4.toml: error: is too large; expected at most 4 MiB a file and 16 MiB in all"]
    );
    for file in 0..5 {
        folder.put(&format!("config.d/{file}.toml"), SENSOR);
    }
    for file in 5..1001 {
        folder.put(&format!("config.d/{file}.toml"), "");
    }
    assert_eq!(said(&folder.0), ["config.d: error: holds 1001 files; expected at most 1000"]);
}

#[test]
fn a_folder_without_anything_is_an_empty_farm() {
    let folder = Folder::new("empty");
    fs::remove_dir(folder.0.join("config.d")).unwrap();
    assert_eq!(said(&folder.0), ["config.d: warning: no sensor is configured, so nothing is watched"]);
}

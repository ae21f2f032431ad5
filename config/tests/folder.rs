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
        // The folder is under the system's temporary folder, which the system clears.
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
    assert_eq!(
        said(&folder.0),
        ["config.d/20-later.toml:2:9: warning: sensors.\"a/ph\".range: [3, 10] replaces [2, 12] of \
          config.d/10-first.toml:3; of two files with one setting, the later by name wins"]
    );
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
            "config.d/endless.toml: error: cannot be read: a device is there; expected a file",
            "config.d/folder.toml: error: cannot be read: a folder is there; expected a file",
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
fn a_folder_without_anything_is_a_wrong_folder() {
    let folder = Folder::new("empty");
    let nothing = "config.d: error: no .toml file in DIR/config.d; expected at least one";
    assert_eq!(said(&folder.0), [nothing]);
    fs::remove_dir(folder.0.join("config.d")).unwrap();
    assert_eq!(said(&folder.0), [nothing]);
    for purpose in [Purpose::Run, Purpose::Check, Purpose::Replay] {
        assert!(load(&folder.0, purpose).has_errors(), "{purpose:?}");
    }
}

#[test]
fn files_in_the_wrong_place_are_named() {
    let folder = Folder::new("misplaced");
    folder.put("agent.toml", "device.id = 'pi-7'");
    folder.put("tower.toml", SENSOR);
    folder.put("config.d/tower.toml.txt", SENSOR);
    folder.put("config.d/notes", "");
    let ignored = [
        "config.d/notes: warning: this file is ignored; a file's name must end in .toml",
        "config.d/tower.toml.txt: warning: this file is ignored; a file's name must end in .toml",
        "tower.toml: warning: this file is ignored; it belongs in config.d",
    ];
    let nothing = "config.d: error: no .toml file in DIR/config.d; expected at least one";
    assert_eq!(said(&folder.0), [nothing, ignored[0], ignored[1], ignored[2]]);
    // If there is something to read, a file that was probably not meant to be read is left alone.
    folder.put("config.d/a.toml", SENSOR);
    assert_eq!(said(&folder.0), ignored[1..]);
}

#[test]
fn the_inner_folder_is_not_the_folder() {
    let folder = Folder::new("inner");
    folder.put("config.d/a.toml", SENSOR);
    let said: Vec<String> = said(&folder.0).into_iter().chain(said(&folder.0.join("config.d"))).collect();
    let here = folder.0.display();
    assert_eq!(said, [format!("config.d: error: DIR was given; give {here}")]);
}

#[test]
fn a_farm_without_a_sensor_is_refused() {
    let folder = Folder::new("no-sensor");
    folder.put("config.d/a.toml", "agent.timezone = 'UTC'");
    let refused = "config.d: error: no sensor is configured, so nothing is watched; expected one at least, such as \
                   [sensors.\"tower-1/ph\"] with quantity = \"ph\"";
    assert_eq!(said(&folder.0), [refused]);
}

#[test]
fn a_file_is_named_without_control_characters() {
    let folder = Folder::new("name");
    folder.put("config.d/\u{1b}[31m.toml", "x = 1\n");
    let said = said(&folder.0);
    let expected = "config.d/\u{fffd}[31m.toml:1:1: error: x: unknown key";
    assert!(said.iter().any(|line| line.starts_with(expected)), "{said:?}");
}

#[test]
fn a_farm_whose_sensors_are_all_off_is_said_to_be_unwatched() {
    let folder = Folder::new("all-off");
    folder.put("config.d/a.toml", "[sensors.'a/ph']\nquantity = 'ph'\nenabled = false\n");
    let said = said(&folder.0);
    let expected =
        "config.d/a.toml:1:10: warning: sensors.\"a/ph\": every sensor has enabled = false, so nothing is watched";
    assert!(said.iter().any(|line| line == expected), "{said:?}");
}

#[test]
fn a_copied_file_tells_itself_in_a_few_lines() {
    let folder = Folder::new("copied");
    let file = |offset: usize| -> String {
        let rules = (0..30).map(|ix| format!("[rules.r{ix}]\nsensor = 'a/ph'\nabove = {}\n", 6 + (ix + offset) % 7));
        rules.collect()
    };
    folder.put("config.d/1.toml", format!("{SENSOR}{}", file(0)));
    folder.put("config.d/2.toml", format!("{SENSOR}{}", file(1)));
    let said = said(&folder.0);
    assert_eq!(said.len(), 21, "{said:?}");
    assert_eq!(
        said[0],
        "config.d/2.toml:5:9: warning: rules.r0.above: 7 replaces 6 of config.d/1.toml:5; of two files with one \
         setting, the later by name wins"
    );
    assert!(said.iter().any(|said| said.ends_with("10 more settings are replaced from here on")), "{said:?}");
    // The same again is no replacement.
    folder.put("config.d/2.toml", format!("{SENSOR}{}", file(0)));
    assert_eq!(self::said(&folder.0), Vec::<String>::new());
}

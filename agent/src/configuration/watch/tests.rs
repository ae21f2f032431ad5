use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Says when a change was noticed.
fn watch(folder: &Path) -> Receiver<()> {
    let (folder, mut seen) = (folder.to_owned(), versions(folder));
    let (noticed, notices) = channel();
    std::thread::spawn(move || {
        while noticed.send(()).is_ok() {
            seen = wait_for_change(&folder, &seen);
        }
    });
    notices.recv().unwrap();
    notices
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tilth-watch-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_folder_that_is_not_there_is_looked_for() {
    let folder = folder("missing");
    let notices = watch(&folder);
    assert!(notices.recv_timeout(2 * POLL_INTERVAL).is_err());
    for file in ["agent.toml", "config.d/a.toml", "config.d/b.toml"] {
        fs::create_dir_all(folder.join("config.d")).unwrap();
        fs::write(folder.join(file), "").unwrap();
        notices.recv_timeout(PATIENCE).unwrap();
        while notices.recv_timeout(POLL_INTERVAL + 2 * SETTLE).is_ok() {}
    }
    fs::remove_dir_all(&folder).unwrap();
    notices.recv_timeout(PATIENCE).unwrap();
}

/// Guards against: a `config.d` of which no later change takes effect, for it came a moment after the old one went.
#[test]
fn a_folder_that_comes_while_a_change_settles_is_watched() {
    let folder = folder("late");
    let inner = folder.join("config.d");
    fs::create_dir_all(&inner).unwrap();
    let notices = watch(&folder);
    fs::remove_dir(&inner).unwrap();
    std::thread::sleep(SETTLE / 2);
    fs::create_dir(&inner).unwrap();
    notices.recv_timeout(PATIENCE).unwrap();
    while notices.recv_timeout(POLL_INTERVAL + 2 * SETTLE).is_ok() {}
    fs::write(inner.join("a.toml"), "").unwrap();
    notices.recv_timeout(PATIENCE).unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_changed_before_it_was_watched_is_noticed() {
    let folder = folder("before");
    fs::create_dir_all(&folder).unwrap();
    let before = versions(&folder);
    fs::write(folder.join("agent.toml"), "").unwrap();
    assert_eq!(wait_for_change(&folder, &before), versions(&folder));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_else_lies_in_the_folder_is_no_change() {
    let folder = folder("beside");
    fs::create_dir_all(&folder).unwrap();
    let notices = watch(&folder);
    fs::write(folder.join("log"), "").unwrap();
    assert!(notices.recv_timeout(POLL_INTERVAL + 4 * SETTLE).is_err());
    fs::write(folder.join("agent.toml"), "").unwrap();
    notices.recv_timeout(PATIENCE).unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_never_comes_to_rest_is_noticed_all_the_same() {
    let folder = folder("restless");
    fs::create_dir_all(&folder).unwrap();
    let notices = watch(&folder);
    let began = Instant::now();
    while notices.try_recv().is_err() {
        assert!(began.elapsed() < PATIENCE);
        fs::write(folder.join("agent.toml"), "").unwrap();
        std::thread::sleep(SETTLE / 10);
    }
    assert!(began.elapsed() >= LONGEST, "a change is read when it is complete");
    fs::remove_dir_all(&folder).unwrap();
}

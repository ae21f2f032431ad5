use std::io::Read;

use flate2::read::GzDecoder;

use super::*;

#[test]
fn secrets_and_keys_are_blanked_out_wherever_they_stand() {
    let secrets = [b"tk_abcdef".to_vec(), b"tk_abc".to_vec()];
    let blanked = |text: &str| String::from_utf8(blank_out(text.as_bytes().to_vec(), &secrets)).unwrap();
    assert_eq!(blanked("a tk_abcdef, tk_abc and tk_ab"), "a [blanked out], [blanked out] and tk_ab");
    assert_eq!(blanked("key dev_ak_0123456789ab_QUOKKA: 401"), "key [blanked out]: 401");
    assert_eq!(blanked("dev_ak_"), "[blanked out]");
    assert_eq!(blanked(""), "");
}

#[test]
fn a_command_that_fails_or_is_not_there_is_in_the_archive_with_how_it_ended() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let text = |command: &[&str]| String::from_utf8(run(&words(command))).unwrap();
    assert_eq!(
        text(&["sh", "-c", "echo out; echo err >&2; exit 3"]),
        "$ sh -c echo out; echo err >&2; exit 3\nout\nerr\n\n[exit status: 3]\n"
    );
    assert!(text(&["no-such-program"]).contains("no-such-program"));
    let files = [("status.txt".to_owned(), b"up".to_vec()), ("system/log.txt".to_owned(), vec![b'x'; 100_000])];
    let packed = archive(&files, Timestamp::UNIX_EPOCH).unwrap();
    let mut unpacked = tar::Archive::new(GzDecoder::new(packed.as_slice()));
    let found: Vec<(String, usize)> = unpacked
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = Vec::new();
            entry.read_to_end(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text.len())
        })
        .collect();
    assert_eq!(found, [("tilth-diag/status.txt".to_owned(), 2), ("tilth-diag/system/log.txt".to_owned(), 100_000)]);
}

/// Guards against: "no secrets" of an archive that holds one which this user could not read.
#[test]
fn secrets_of_both_places_are_read_and_those_that_cannot_be_are_counted() {
    let folder = std::env::temp_dir().join(format!("tilth-diag-{}", std::process::id()));
    let [secrets, credentials] = ["secrets", "credentials"].map(|name| folder.join(name));
    fs::create_dir_all(secrets.join("closed")).unwrap();
    fs::create_dir_all(&credentials).unwrap();
    for (place, name, value) in
        [(&secrets, "ntfy", "tk_file\n"), (&credentials, "ntfy", "tk_unused"), (&credentials, "sms", "tk_unit\n")]
    {
        fs::write(place.join(name), value).unwrap();
    }
    let read = |folders: &[&PathBuf]| {
        let folders: Vec<PathBuf> = folders.iter().map(|folder| (*folder).clone()).collect();
        let found = Secrets::in_folders(["ntfy", "sms", "missing"].map(OsString::from).into(), &folders);
        let values: Vec<String> =
            found.values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        (values.join(" "), found.unread())
    };
    // Root reads every file: a folder stands for one that this user cannot read.
    let one = "1 secret could not be read, so it is not blanked out: run with sudo";
    assert_eq!(read(&[&secrets, &credentials]), ("tk_file tk_unit".to_owned(), Some(one.to_owned())));
    fs::remove_dir(secrets.join("closed")).unwrap();
    assert_eq!(read(&[&secrets, &credentials]), ("tk_file tk_unit".to_owned(), None));
    // What is there and no folder that can be listed.
    assert_eq!(
        read(&[&secrets, &credentials.join("sms")]).1,
        Some("2 secrets could not be read, so they are not blanked out: run with sudo".to_owned())
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_archive_that_cannot_be_written_leaves_no_file() {
    assert_eq!(write_new(Path::new("/dev/full"), b"x").map_err(|error| error.kind()), Err(ErrorKind::AlreadyExists));
    let path = std::env::temp_dir().join(format!("tilth-diag-{}.tar.gz", std::process::id()));
    write_new(&path, b"whole").unwrap();
    assert_eq!(write_new(&path, b"other").map_err(|error| error.kind()), Err(ErrorKind::AlreadyExists));
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    fs::remove_file(path).unwrap();
}

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

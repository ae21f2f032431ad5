//! `completions`.

use std::process::Stdio;

use crate::farm::Farm;

#[test]
fn completions_are_printed_for_each_shell_as_long_as_somebody_reads_them() {
    let farm = Farm::empty("completions");
    for shell in ["bash", "zsh", "fish"] {
        let ran = farm.run(&["completions", shell]);
        assert!(ran.code == Some(0) && ran.err.is_empty() && ran.out.contains("calibrate"), "{shell}: {ran:?}");
        // As into a `head` that has seen enough.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = farm.command(&["completions", shell]);
        let ended = command.stdout(writer).stderr(Stdio::piped()).output().expect("the program starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), said.as_ref()), (Some(0), ""), "{shell}");
    }
}

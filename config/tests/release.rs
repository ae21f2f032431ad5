//! The files of a release, checked as `docs/install.md` says: by the shell, with what a Debian has.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = include_str!("../../docs/install.md");

/// Two commands of the page, each with what it prints when all is well.
fn steps() -> [(&'static str, &'static str); 2] {
    ["openssl pkeyutl", "sha256sum --check"].map(|begin| {
        let at = PAGE.find(&format!("$ {begin}")).unwrap() + 2;
        let mut lines = PAGE[at..].lines();
        (lines.next().unwrap(), lines.next().unwrap())
    })
}

/// Name of the package on the page.
fn package() -> &'static str {
    steps()[1].1.strip_suffix(": OK").unwrap()
}

/// A folder with a package, a list of sums, and what `tilth-sign` made: key and signatures.
struct Release(PathBuf);

impl Release {
    fn new(name: &str) -> Release {
        let folder = std::env::temp_dir().join(format!("tilth-release-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let release = Release(folder);
        release.sign(&["key", "release.key"]);
        fs::write(release.at(package()), "what is installed").unwrap();
        release.run(&format!("sha256sum {} >SHA256SUMS", package()));
        fs::write(release.at("other.deb"), "is in the list and not here").unwrap();
        release.run("sha256sum other.deb >>SHA256SUMS && rm other.deb");
        release.sign(&["sums", "release.key", "SHA256SUMS"]);
        release
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn sign(&self, words: &[&str]) {
        let signer = Path::new(env!("CARGO_BIN_EXE_tilth-sign"));
        let done = Command::new(signer).args(words).current_dir(&self.0).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Whether a command of the shell succeeded, and what it said.
    fn run(&self, command: &str) -> (bool, String) {
        let done = Command::new("sh").args(["-c", command]).current_dir(&self.0).env("LC_ALL", "C").output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Index of the first step of the page that fails; `None` where both print what the page shows.
    fn failed(&self) -> Option<usize> {
        steps().iter().position(|(command, shown)| {
            let (is_well, said) = self.run(command);
            assert_eq!(is_well, said.trim_end() == *shown, "{command}: {said}");
            !is_well
        })
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// False where this machine cannot run the page's first step.
fn has_openssl() -> bool {
    let help = Command::new("openssl").args(["pkeyutl", "-help"]).output();
    let has = help.is_ok_and(|help| String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).contains("-rawin"));
    if !has {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "openssl 3 is not here");
        eprintln!("skipped: openssl 3 is not here");
    }
    has
}

/// Guards against: a first installation that nobody can check, or whose check anything passes.
#[test]
fn the_commands_of_the_page_take_what_was_signed_and_nothing_else() {
    if !has_openssl() {
        return;
    }
    let release = Release::new("page");
    assert_eq!(release.failed(), None);
    let (sums, signature) =
        (fs::read(release.at("SHA256SUMS")).unwrap(), fs::read(release.at("SHA256SUMS.sig")).unwrap());

    fs::write(release.at(package()), "something else").unwrap();
    assert_eq!(release.failed(), Some(1), "a package that was replaced");

    release.run(&format!("sha256sum {} >SHA256SUMS", package()));
    assert_eq!(release.failed(), Some(0), "a list that was replaced with it");

    fs::write(release.at("SHA256SUMS"), &sums).unwrap();
    fs::write(release.at("SHA256SUMS.sig"), &signature[..63]).unwrap();
    assert_eq!(release.failed(), Some(0), "a signature that was cut");

    let other = Release::new("other");
    fs::copy(other.at("SHA256SUMS.sig"), release.at("SHA256SUMS.sig")).unwrap();
    assert_eq!(release.failed(), Some(0), "the signature of another key");
}

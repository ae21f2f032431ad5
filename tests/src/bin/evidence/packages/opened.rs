//! One package, unpacked into a folder, and everything that is looked for in it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use tilth_config::bundle::SigningKey;
use tilth_config::firmware::Manifest;
use tilth_tests::agent::Folder;
use tilth_tests::workspace;

use super::{Built, SEED};

/// Highest exposure of a service, as `systemd-analyze security` counts it.
const EXPOSURE: f64 = 2.0;

/// What every package has: path, where `NAME` is its name and `*` any text, and mode.
const FILES: [(&str, u32); 13] = [
    ("usr/bin/NAME", 0o755),
    ("usr/lib/systemd/system/NAME.service", 0o644),
    ("usr/lib/sysusers.d/NAME.conf", 0o644),
    ("usr/lib/tmpfiles.d/NAME.conf", 0o644),
    ("usr/share/bash-completion/completions/NAME", 0o644),
    ("usr/share/zsh/vendor-completions/_NAME", 0o644),
    ("usr/share/fish/vendor_completions.d/NAME.fish", 0o644),
    ("usr/share/man/man1/NAME*.1.gz", 0o644),
    ("usr/share/doc/NAME/changelog.gz", 0o644),
    ("usr/share/doc/NAME/changelog.Debian.gz", 0o644),
    ("usr/share/doc/NAME/sbom.cdx.json.gz", 0o644),
    ("usr/share/doc/NAME/copyright", 0o644),
    ("usr/share/doc/NAME/*.md", 0o644),
];

/// What the agent's has beside them.
const AGENT_FILES: [(&str, u32); 9] = [
    ("usr/lib/systemd/system/multi-user.target.d/tilth-update.conf", 0o644),
    ("usr/lib/systemd/system/tilth-update.service", 0o644),
    ("usr/lib/udev/rules.d/60-tilth.rules", 0o644),
    ("usr/lib/tilth/firmware.pub", 0o644),
    ("usr/share/tilth/firmware/uno.hex", 0o644),
    ("usr/share/tilth/firmware/uno-all.hex", 0o644),
    ("usr/share/tilth/firmware/mega2560.hex", 0o644),
    ("usr/share/tilth/firmware/pico.uf2", 0o644),
    ("usr/share/tilth/firmware/*.manifest", 0o644),
];

/// Folders that the packages make at their installation: path, mode, owner, group.
const AGENT_FOLDERS: [&str; 4] = [
    "d /etc/tilth 0750 root tilth",
    "d /etc/tilth/config.d 0750 root tilth",
    "d /etc/tilth/secrets 0700 tilth tilth",
    "d /var/lib/tilth 0750 tilth tilth",
];
const HUB_FOLDERS: [&str; 2] =
    ["d /etc/tilth-hub 0750 root tilth-hub", "d /var/lib/tilth-hub 0700 tilth-hub tilth-hub"];

/// A package.
pub(super) struct Opened {
    /// `tilth-agent` or `tilth-hub`.
    name: String,
    /// Debian's name of its machine.
    debian: String,
    file: PathBuf,
    /// The folder with its files, as they would lie in /.
    root: PathBuf,
    /// The folder with its scripts.
    control: PathBuf,
}

/// A file of a package.
struct Entry {
    /// Path below /.
    path: String,
    mode: u32,
    /// Bytes, those within a compressed file.
    bytes: Vec<u8>,
}

impl Opened {
    /// Unpacks the package of a program.
    pub(super) fn open(program: &str, debian: &str, built: &Built, folder: &Folder) -> anyhow::Result<Opened> {
        let name = format!("tilth-{program}");
        let begin = format!("{name}_");
        let end = format!("_{debian}.deb");
        let mut files = fs::read_dir(&built.packages)?.filter_map(Result::ok).map(|entry| entry.path());
        let is_it = |file: &PathBuf| {
            file.file_name()
                .is_some_and(|it| it.to_string_lossy().starts_with(&begin) && it.to_string_lossy().ends_with(&end))
        };
        let file = files.find(is_it).with_context(|| format!("no {begin}..{end} in {}", built.packages.display()))?;
        let root = folder.path().join(format!("{name}-{debian}"));
        let control = root.with_extension("control");
        said(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&root))?;
        said(Command::new("dpkg-deb").arg("--control").arg(&file).arg(&control))?;
        Ok(Opened { name, debian: debian.to_owned(), file, root, control })
    }

    /// The saboteur: the folder of keys and secrets can be read by everybody.
    pub(super) fn open_key_folder(&self) -> anyhow::Result<()> {
        let folders = self.root.join("usr/lib/tmpfiles.d").join(format!("{}.conf", self.name));
        let text = fs::read_to_string(&folders)?.replace(" 0700 ", " 0755 ");
        Ok(fs::write(folders, text)?)
    }

    /// Looks for everything; its figures. What falls short is added.
    pub(super) fn look_through(&self, built: &Built, short: &mut Vec<String>) -> anyhow::Result<String> {
        let mut files = entries(&self.root)?;
        let mut problems = self.unexpected(&files);
        problems.extend(self.folders()?);
        files.extend(entries(&self.control)?);
        problems.extend(files.iter().flat_map(|file| self.leaks(file, built)));
        let crates = self.crates(&files, &mut problems)?;
        let images = self.images()?;
        let exposure = self.exposure()?;
        if exposure > EXPOSURE {
            problems.push(format!("exposure of the service {exposure}, expected at most {EXPOSURE}"));
        }
        let (errors, warnings) = self.lintian()?;
        problems.extend(errors);
        short.extend(problems.into_iter().map(|problem| format!("{} for {}: {problem}", self.name, self.debian)));
        let (packed, unpacked) =
            (fs::metadata(&self.file)?.len(), files.iter().map(|file| file.bytes.len()).sum::<usize>());
        Ok(format!(
            "{} for {}: {packed} bytes, {unpacked} unpacked, {} files, {crates} crates in its bill of materials, {images} signed images, \
             exposure {exposure}, lintian warns {warnings} times",
            self.name,
            self.debian,
            files.len()
        ))
    }

    /// Files that should not be there or have another mode, and files that are missing.
    fn unexpected(&self, files: &[Entry]) -> Vec<String> {
        let expected = FILES.iter().chain(self.is_agent().then_some(&AGENT_FILES).into_iter().flatten());
        let expected: Vec<(String, u32)> =
            expected.map(|(path, mode)| (path.replace("NAME", &self.name), *mode)).collect();
        let mut problems = Vec::new();
        for file in files {
            match expected.iter().find(|(pattern, _)| fits(&file.path, pattern)) {
                None => problems.push(format!("{} should not be there", file.path)),
                Some((_, mode)) if *mode != file.mode => {
                    problems.push(format!("{} has mode {:o}, expected {mode:o}", file.path, file.mode));
                }
                Some(_) => {}
            }
        }
        let missing = expected.iter().filter(|(pattern, _)| !files.iter().any(|file| fits(&file.path, pattern)));
        problems.extend(missing.map(|(pattern, _)| format!("{pattern} is missing")));
        problems
    }

    /// Folders that the package would make otherwise than expected.
    fn folders(&self) -> anyhow::Result<Option<String>> {
        let text = fs::read_to_string(self.root.join("usr/lib/tmpfiles.d").join(format!("{}.conf", self.name)))?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let found: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let expected = if self.is_agent() { &AGENT_FOLDERS[..] } else { &HUB_FOLDERS[..] };
        Ok((found != expected).then(|| format!("makes the folders {found:?}, expected {expected:?}")))
    }

    /// Secrets in a file, and folders of the machine that built it.
    fn leaks(&self, file: &Entry, built: &Built) -> Vec<String> {
        let holds = |text: &str| memory_has(&file.bytes, text.as_bytes());
        let mut problems = Vec::new();
        if holds(&built.secret) || has_key(&file.bytes) {
            problems.push(format!("{} holds a secret", file.path));
        }
        let is_program = file.path == format!("usr/bin/{}", self.name);
        if built.ships || !is_program {
            let named = built.folders.iter().filter(|folder| holds(folder));
            problems.extend(named.map(|folder| format!("{} names {folder}", file.path)));
        }
        problems
    }

    /// How many crates the bill of materials names; those of the program that it does not name fall short.
    fn crates(&self, files: &[Entry], problems: &mut Vec<String>) -> anyhow::Result<usize> {
        let bill = files.iter().find(|file| file.path.ends_with("sbom.cdx.json.gz")).context("no bill of materials")?;
        let bill: Value = serde_json::from_slice(&bill.bytes)?;
        ensure!(bill["bomFormat"] == "CycloneDX", "the bill of materials is no CycloneDX");
        let components = bill["components"].as_array().context("a bill of materials has components")?;
        let named: BTreeSet<String> =
            components.iter().map(|it| format!("{} v{}", text(&it["name"]), text(&it["version"]))).collect();
        let tree = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target"];
        let tree =
            said(Command::new("cargo").args(tree).args([self.triple(), "-p", &self.name]).current_dir(workspace()))?;
        // The program itself, then every crate: name, version, and perhaps its folder.
        let of_program = tree.lines().skip(1).map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
        let missing: BTreeSet<String> = of_program.filter(|it| !named.contains(it)).collect();
        problems.extend(missing.iter().map(|it| format!("the bill of materials does not name {it}")));
        Ok(named.len())
    }

    /// Checks each manifest of an image by the key that the package brings along; how many there are.
    fn images(&self) -> anyhow::Result<usize> {
        if !self.is_agent() {
            return Ok(0);
        }
        let folder = self.root.join("usr/share/tilth/firmware");
        let mut checked = 0;
        for entry in fs::read_dir(&folder)? {
            let image = entry?.path();
            if image.extension().is_some_and(|ending| ending != "manifest") {
                let manifest = fs::read(image.with_extension("manifest"))?;
                Manifest::verify(&manifest, &fs::read(&image)?, SigningKey::from_seed(&SEED).trusted())
                    .with_context(|| image.display().to_string())?;
                checked += 1;
            }
        }
        Ok(checked)
    }

    /// How exposed the service is, from 0 to 10.
    fn exposure(&self) -> anyhow::Result<f64> {
        let unit = self.root.join("usr/lib/systemd/system").join(format!("{}.service", self.name));
        let table = said(Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(unit))?;
        let number =
            table.lines().find_map(|line| line.split_once("exposure level for ")?.1.split(' ').nth(1)?.parse().ok());
        number.with_context(|| format!("systemd-analyze told no exposure: {table}"))
    }

    /// Errors that lintian finds, and the number of its warnings.
    fn lintian(&self) -> anyhow::Result<(Vec<String>, usize)> {
        let mut lintian = Command::new("lintian");
        lintian.args(["--allow-root", "--no-cfg", "--fail-on", "none", "--tag-display-limit", "0"]).arg(&self.file);
        let found = said(&mut lintian)?;
        let errors = found.lines().filter(|line| line.starts_with("E: ")).map(|line| format!("lintian: {line}"));
        Ok((errors.collect(), found.lines().filter(|line| line.starts_with("W: ")).count()))
    }

    fn is_agent(&self) -> bool {
        self.name == "tilth-agent"
    }

    /// Rust's name of the machine.
    fn triple(&self) -> &'static str {
        match self.debian.as_str() {
            "arm64" => "aarch64-unknown-linux-gnu",
            "armhf" => "armv7-unknown-linux-gnueabihf",
            _ => "x86_64-unknown-linux-gnu",
        }
    }
}

/// The files below a folder.
fn entries(root: &Path) -> anyhow::Result<Vec<Entry>> {
    let list = said(Command::new("find").args([".", "-type", "f", "-printf", "%P\\n"]).current_dir(root))?;
    list.lines().map(|path| entry(root, path)).collect()
}

fn entry(root: &Path, path: &str) -> anyhow::Result<Entry> {
    let file = root.join(path);
    let mode = fs::metadata(&file)?.permissions().mode() & 0o7777;
    let bytes = if path.ends_with(".gz") {
        let unpacked = Command::new("gzip").arg("--decompress").arg("--stdout").arg(&file).output()?;
        ensure!(unpacked.status.success(), "{path} is no gzip file");
        unpacked.stdout
    } else {
        fs::read(&file)?
    };
    Ok(Entry { path: path.to_owned(), mode, bytes })
}

/// Whether a path fits a pattern with at most one `*`.
fn fits(path: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => path == pattern,
        Some((begin, end)) => path.len() >= begin.len() + end.len() && path.starts_with(begin) && path.ends_with(end),
    }
}

/// Whether bytes hold a key of a device or a key that signs: the word before it, and hex digits.
fn has_key(bytes: &[u8]) -> bool {
    let follows = |word: &[u8], digits: usize| {
        bytes
            .windows(word.len() + digits)
            .any(|at| at.starts_with(word) && at[word.len()..].iter().all(u8::is_ascii_hexdigit))
    };
    follows(b"dev_ak_", 12) || follows(b"ed25519-secret ", 64)
}

fn memory_has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|at| at == part)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a program prints; an error where it fails.
pub(crate) fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| command.get_program().display().to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ended with {}: {errors}", command.get_program().display(), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

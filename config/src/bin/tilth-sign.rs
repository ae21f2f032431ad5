//! Signs what is released: makes a key, writes the manifest of a firmware image beside it, and seals and opens lists of sums.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use ring::rand::{SecureRandom, SystemRandom};
use tilth_config::bundle::{SigningKey, TrustedKey};
use tilth_config::firmware::{MAX_IMAGE, Manifest};
use tilth_config::plain_file;
use tilth_config::release::{MAX_SUMS, open_sums, seal_sums, sign_sums};

const USAGE: &str = "usage:
  tilth-sign key FILE      makes a signing key: FILE, to be kept secret, FILE.pub, which devices trust, and FILE.pem, the same for openssl
  tilth-sign image KEY IMAGE BOARD CHIP FIRMWARE PROTOCOL
                           writes IMAGE.manifest (uno.manifest for uno.hex), signed with the key in the file KEY
  tilth-sign sums KEY FILE writes FILE.signed: the list of sums in FILE, signed; and FILE.sig, the signature alone, for openssl
  tilth-sign open TRUSTED FILE
                           prints the list in FILE, if the key in the file TRUSTED signed it";

/// Largest file of a key, in bytes.
const MAX_KEY: u64 = 4096;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["key", file] => make_key(file),
        ["image", key, image, ref stated @ ..] => sign(key, image, stated),
        ["sums", key, file] => write_signatures(key, file),
        ["open", trusted, file] => print_sums(trusted, file),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("tilth-sign: {why}");
            ExitCode::FAILURE
        }
    }
}

fn make_key(file: &str) -> Result<(), String> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| "the system has no random bytes")?;
    let key = SigningKey::from_seed(&seed);
    let public = key.trusted();
    write_new(file, 0o600, &SigningKey::text_of_seed(&seed))?;
    write_new(&format!("{file}.pub"), 0o644, &format!("{public}\n"))?;
    write_new(&format!("{file}.pem"), 0o644, &public.to_pem())
}

fn write_new(file: &str, mode: u32, text: &str) -> Result<(), String> {
    let opened = File::options().write(true).create_new(true).mode(mode).open(file);
    opened.and_then(|mut open| open.write_all(text.as_bytes())).map_err(|error| format!("{file}: {error}"))
}

fn sign(key: &str, image: &str, stated: &[&str]) -> Result<(), String> {
    let &[board, chip, firmware, protocol] = stated else { return Err(USAGE.to_owned()) };
    let protocol = protocol.parse().map_err(|_| format!("protocol \"{protocol}\": expected a number up to 255"))?;
    let key = read_key(key)?;
    let bytes = read(image, MAX_IMAGE)?;
    let manifest = Manifest { board: board.to_owned(), chip: chip.to_owned(), firmware: firmware.to_owned(), protocol };
    let file = Path::new(image).with_extension("manifest");
    fs::write(&file, manifest.seal(&bytes, &key)).map_err(|error| format!("{}: {error}", file.display()))
}

fn write_signatures(key: &str, file: &str) -> Result<(), String> {
    let (sums, key) = (read(file, MAX_SUMS)?, read_key(key)?);
    let write = |file: String, bytes: &[u8]| fs::write(&file, bytes).map_err(|error| format!("{file}: {error}"));
    write(format!("{file}.signed"), &seal_sums(&sums, &key))?;
    write(format!("{file}.sig"), &sign_sums(&sums, &key))
}

fn print_sums(trusted: &str, file: &str) -> Result<(), String> {
    let key = String::from_utf8_lossy(&read(trusted, MAX_KEY)?).into_owned();
    let key = TrustedKey::parse(&key).map_err(|error| format!("{trusted}: {error}"))?;
    let sealed = read(file, MAX_SUMS)?;
    let sums = open_sums(&sealed, &key).map_err(|error| format!("{file}: {error}"))?;
    io::stdout().write_all(sums).map_err(|error| error.to_string())
}

fn read(file: &str, most: u64) -> Result<Vec<u8>, String> {
    plain_file::read(Path::new(file), most).map_err(|error| format!("{file}: {error}"))
}

/// Reads a signing key that only its owner may read.
fn read_key(file: &str) -> Result<SigningKey, String> {
    let open = plain_file::open(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
    if let Some(mode) = plain_file::open_to_others(&open).map_err(|error| format!("{file}: {error}"))? {
        return Err(format!("{file}: other users may read it (mode {mode:03o}); expected 600"));
    }
    let text = plain_file::read_open(open, MAX_KEY).map_err(|error| format!("{file}: {error}"))?;
    SigningKey::parse(&String::from_utf8_lossy(&text)).map_err(|error| format!("{file}: {error}"))
}

//! A firmware image whose manifest the trusted key signed; that of an Arduino is in Intel's hex format.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use tilth_config::firmware::{MAX_IMAGE, MAX_MANIFEST, Manifest};
use tilth_config::plain_file;
use tilth_wire::version;

use super::Model;
use crate::cli;
use crate::commands::trusted_key;
use crate::random;

/// Folder of the images that the package brings.
const IMAGES: &str = "/usr/share/tilth/firmware";

/// Last record of a hex file.
const END: &str = ":00000001FF\n";

/// An image that the trusted key signed for a model.
pub(super) struct SignedImage {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) firmware: String,
}

/// An image for avrdude.
pub(super) struct Image {
    /// Bytes of flash.
    pub(super) bytes: usize,
    /// The page at which the chip starts.
    pub(super) first_page: HexFile,
    /// All other pages.
    pub(super) body: HexFile,
}

/// A hex file for avrdude; dropped, it is deleted.
pub(super) struct HexFile {
    path: PathBuf,
}

impl SignedImage {
    /// Reads the image of a model, the given one or that of the package, with the manifest beside it.
    ///
    /// # Errors
    /// A file that cannot be read, an image that is not signed by the trusted key, and one for another board or agent.
    pub(super) fn read(wanted: &cli::Flash, model: &Model) -> anyhow::Result<SignedImage> {
        let ours = || Path::new(IMAGES).join(model.name).with_extension(model.ending);
        let path = wanted.image.clone().unwrap_or_else(ours);
        let manifest_path = path.with_extension("manifest");
        let bytes = plain_file::read(&path, MAX_IMAGE).with_context(|| path.display().to_string())?;
        let manifest = plain_file::read(&manifest_path, MAX_MANIFEST).with_context(|| {
            format!("the image is not signed: {}; nothing was written to the board", manifest_path.display())
        })?;
        let key = trusted_key(&wanted.trusted_key)?;
        let manifest = Manifest::verify(&manifest, &bytes, &key)
            .with_context(|| format!("{}: nothing was written to the board", path.display()))?;
        check(&manifest, model).with_context(|| format!("{}: nothing was written to the board", path.display()))?;
        Ok(SignedImage { path, bytes, firmware: manifest.firmware })
    }

    /// What the image is, as people are told before it is written.
    pub(super) fn title(&self, model: &Model) -> String {
        format!("{}: firmware {} for {}, signed by the trusted key", self.path.display(), self.firmware, model.name)
    }
}

impl Image {
    /// Splits a hex file behind the first page, of so many bytes.
    ///
    /// # Errors
    /// What is no hex file, and a folder for temporary files that takes none.
    pub(super) fn split(signed: &SignedImage, page: u32) -> anyhow::Result<Image> {
        let path = || signed.path.display().to_string();
        let text = str::from_utf8(&signed.bytes).map_err(|_| anyhow!("{}: no hex file", path()))?;
        let (bytes, first_page, body) = split(text, page).with_context(path)?;
        Ok(Image { bytes, first_page: HexFile::write(&first_page)?, body: HexFile::write(&body)? })
    }
}

impl HexFile {
    fn write(text: &str) -> anyhow::Result<HexFile> {
        let path = std::env::temp_dir().join(format!("tilth-{}.hex", hex::encode(random::bytes::<8>())));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| path.display().to_string())?;
        Ok(HexFile { path })
    }

    /// avrdude's argument that writes the file.
    pub(super) fn operation(&self) -> String {
        format!("flash:w:{}:i", self.path.display())
    }
}

impl Drop for HexFile {
    fn drop(&mut self) {
        let _: io::Result<()> = std::fs::remove_file(&self.path);
    }
}

fn check(manifest: &Manifest, model: &Model) -> anyhow::Result<()> {
    let Manifest { board, chip, protocol, .. } = manifest;
    if (board.as_str(), chip.as_str()) != (model.name, model.chip) {
        bail!("the image is for {board} ({chip}), and the board is to be {} ({})", model.name, model.chip);
    }
    if !(version::MIN..=version::CURRENT).contains(protocol) {
        let (min, current) = (version::MIN, version::CURRENT);
        bail!(
            "the image speaks protocol {protocol}, and this agent {min} to {current}: expected agent and image of one release"
        );
    }
    Ok(())
}

/// Bytes of flash of a hex file, the records of the first page, and all others; each part ends as a hex file does.
///
/// # Errors
/// Where a line is no record, or nothing is in the first page.
fn split(text: &str, page: u32) -> anyhow::Result<(usize, String, String)> {
    let (mut first_page, mut body, mut bytes) = (String::new(), String::new(), 0);
    // Addresses of records count from here: Intel Hexadecimal Object File Format Specification, records 02 and 04.
    let mut base = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let (address, kind, data) = record(line).with_context(|| format!("line {number}: no record of a hex file"))?;
        let number = || u32::from_str_radix(data, 16).ok();
        match kind {
            "02" => base = number().with_context(|| format!("line with a base: {line}"))? << 4,
            "04" => base = number().with_context(|| format!("line with a base: {line}"))? << 16,
            "00" => bytes += data.len() / 2,
            "01" => break,
            _ => {}
        }
        let is_first = kind == "00" && base + address < page;
        let part = if is_first { &mut first_page } else { &mut body };
        part.push_str(line);
        part.push('\n');
    }
    if first_page.is_empty() || body.is_empty() {
        bail!("the image does not begin at address 0, or has one page only");
    }
    Ok((bytes, first_page + END, body + END))
}

/// Address, type and data of a record.
fn record(line: &str) -> Option<(u32, &str, &str)> {
    let digits = line.trim_end().strip_prefix(':')?;
    let address = u32::from_str_radix(digits.get(2..6)?, 16).ok()?;
    Some((address, digits.get(6..8)?, digits.get(8..digits.len().checked_sub(2)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::flash::{MEGA_2560, UNO};

    #[test]
    fn the_first_page_is_written_apart_from_the_others() {
        let image = ":01007000AA00\n:01008000BB00\n:020000020800F4\n:01000000CC00\n:020000040001F9\n:01001000DD00\n:00000001FF\n";
        let (bytes, first_page, body) = split(image, 128).unwrap();
        assert_eq!(bytes, 4);
        assert_eq!(first_page, ":01007000AA00\n:00000001FF\n");
        assert_eq!(body.lines().count(), 6, "{body}");
        assert!(body.starts_with(":01008000BB00\n:020000020800F4\n:01000000CC00\n"), "{body}");
        assert_eq!(split(image, 256).unwrap().1.lines().count(), 3);
        for text in ["", "hello\n", ":10\n", ":01008000BB00\n", ":01000000AA00\n:00000001FF\n"] {
            assert!(split(text, 128).is_err(), "{text}");
        }
    }

    #[test]
    fn an_image_is_for_one_kind_of_board_and_protocols_that_the_agent_speaks() {
        let of = |board: &str, chip: &str, protocol| {
            let (board, chip, firmware) = (board.to_owned(), chip.to_owned(), "0.1.0".to_owned());
            Manifest { board, chip, firmware, protocol }
        };
        let uno = of("uno", "atmega328p", version::CURRENT);
        assert!(check(&uno, &UNO.model).is_ok());
        assert!(
            check(&uno, &MEGA_2560.model).unwrap_err().to_string().starts_with("the image is for uno (atmega328p)")
        );
        assert!(check(&of("uno", "atmega328", 1), &UNO.model).is_err());
        let newer = check(&of("uno", "atmega328p", version::CURRENT + 1), &UNO.model).unwrap_err().to_string();
        assert!(newer.contains("expected agent and image of one release"), "{newer}");
    }
}

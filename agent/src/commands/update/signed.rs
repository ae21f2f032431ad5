//! The package on a stick: chosen from a signed list of sums, and checked by it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use tilth_config::bundle::TrustedKey;
use tilth_config::release::{MAX_SUMS, open_sums};
use tilth_config::{plain_file, sha256};

use super::package::NAME;

/// Signed list of sums beside the packages.
const SUMS: &str = "SHA256SUMS.signed";

/// Largest package, in bytes; the agent's has 5 MB.
const MAX_PACKAGE: u64 = 256 << 20;

/// Reads the package at a path, or the one of this architecture in a folder: the very bytes that the trusted key signed.
///
/// # Errors
/// A list that the key did not sign, a package that is not in it or has another sum, and what cannot be read.
pub(super) fn read(path: &Path, key: &TrustedKey, architecture: &str) -> anyhow::Result<Vec<u8>> {
    let is_folder = path.is_dir();
    let folder = if is_folder { path } else { path.parent().unwrap_or(Path::new("")) };
    let named = (!is_folder).then(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let sums = folder.join(SUMS);
    let sealed =
        plain_file::read(&sums, MAX_SUMS).with_context(|| format!("no signed list of sums: {}", sums.display()))?;
    let list = open_sums(&sealed, key).with_context(|| sums.display().to_string())?;
    let list = str::from_utf8(list).with_context(|| sums.display().to_string())?;
    let (sum, name) = chosen(list, named.as_deref(), architecture).with_context(|| sums.display().to_string())?;
    let package = folder.join(name);
    let bytes = plain_file::read(&package, MAX_PACKAGE).with_context(|| package.display().to_string())?;
    let found = hex::encode(sha256(&bytes));
    ensure!(
        found == sum,
        "{}: not the package that was signed: its SHA-256 is {found}, expected {sum}",
        package.display()
    );
    Ok(bytes)
}

/// Sum and name of the package in a list: the named one, or the agent's of an architecture.
fn chosen<'a>(list: &'a str, named: Option<&str>, architecture: &str) -> anyhow::Result<(&'a str, &'a str)> {
    let (begin, end) = (format!("{NAME}_"), format!("_{architecture}.deb"));
    let is_it = |name: &str| match named {
        Some(named) => name == named,
        None => name.starts_with(&begin) && name.ends_with(&end) && !name.contains('/'),
    };
    let mut found = list.lines().filter_map(|line| line.split_once("  ")).filter(|(_, name)| is_it(name));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => bail!("the list has no {}", named.map_or(format!("{begin}..{end}"), str::to_owned)),
        (Some(_), Some(_)) => bail!("the list has several {begin}..{end}: name the package instead of the folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "aa  tilth-agent_0.2.0-1_amd64.deb\nbb  tilth-agent_0.2.0-1_arm64.deb\ncc  tilth-hub_0.2.0-1_arm64.deb\n\
                        dd  tilth-agent_0.2.0-1_arm64.cdx.json\nee  tilth-agent_../../x_arm64.deb\n";

    #[test]
    fn the_package_of_this_architecture_is_chosen_or_the_named_one() {
        let several = format!("{LIST}ff  tilth-agent_0.3.0-1_arm64.deb\n");
        for (list, named, architecture, expected) in [
            (LIST, None, "arm64", "bb  tilth-agent_0.2.0-1_arm64.deb"),
            (LIST, Some("tilth-agent_0.2.0-1_amd64.deb"), "arm64", "aa  tilth-agent_0.2.0-1_amd64.deb"),
            (LIST, None, "armhf", "the list has no tilth-agent_.._armhf.deb"),
            (LIST, Some("other.deb"), "arm64", "the list has no other.deb"),
            (
                &several,
                None,
                "arm64",
                "the list has several tilth-agent_.._arm64.deb: name the package instead of the folder",
            ),
            ("", None, "arm64", "the list has no tilth-agent_.._arm64.deb"),
        ] {
            let found = chosen(list, named, architecture);
            assert_eq!(found.map_or_else(|error| error.to_string(), |(sum, name)| format!("{sum}  {name}")), expected);
        }
    }
}

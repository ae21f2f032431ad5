//! Secrets: documents name them and never contain them. Values are files, mode 0600, in `secrets` beside `config.d`; or systemd
//! credentials.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tilth_config::{SecretName, plain_file};

/// Longest secret, in bytes.
const MAX_BYTES: u64 = 4096;

/// Value of a secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The places where secrets are kept.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
    credentials: Option<PathBuf>,
}

/// Why a secret has no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No such file.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read, can be read by others, or holds no usable secret: a sentence that names it.
    #[error("{0}")]
    Unusable(String),
}

impl Secrets {
    /// The folder `secrets` in a folder, then the credentials of the systemd unit.
    pub fn of(config: &Path) -> Secrets {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Secrets { folder: config.join("secrets"), credentials }
    }

    /// When the file of a secret was written, in seconds since 1970 and nanoseconds; none for a credential, whose file systemd writes at each start.
    pub fn written(&self, name: &SecretName) -> Option<(i64, i64)> {
        let file = fs::metadata(self.folder.join(name.as_str())).ok()?;
        Some((file.mtime(), file.mtime_nsec()))
    }

    /// The value of a secret; the file goes before the credential.
    pub fn get(&self, name: &SecretName) -> Result<Secret, SecretError> {
        let path = self.folder.join(name.as_str());
        match (read(&path, true), &self.credentials) {
            (Err(SecretError::Missing(_)), Some(credentials)) => {
                // Folder that systemd made readable to this program alone.
                match read(&credentials.join(name.as_str()), false) {
                    Err(SecretError::Missing(_)) => Err(SecretError::Missing(path)),
                    found => found,
                }
            }
            (found, _) => found,
        }
    }
}

fn read(path: &Path, check_mode: bool) -> Result<Secret, SecretError> {
    let unusable = |why: &str| SecretError::Unusable(format!("{} {why}", path.display()));
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => SecretError::Missing(path.to_owned()),
        io::ErrorKind::FileTooLarge => unusable("is longer than 4096 bytes"),
        _ => SecretError::Unusable(format!("{}: {error}", path.display())),
    };
    let file = plain_file::open(path).map_err(fail)?;
    if let Some(mode) = plain_file::open_to_others(&file).map_err(fail)?.filter(|_| check_mode) {
        return Err(unusable(&format!("has mode {mode:04o}, so others can read it; expected 0600")));
    }
    let bytes = plain_file::read_open(file, MAX_BYTES).map_err(fail)?;
    let text = String::from_utf8(bytes).map_err(|_| unusable("is not text"))?;
    match text.trim() {
        "" => Err(unusable("is empty")),
        text if text.contains(char::is_control) => Err(unusable("is more than one line")),
        text => Ok(Secret(text.to_owned())),
    }
}

impl Secret {
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// The value itself, for where it is used.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn write(path: &Path, text: &[u8], mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_a_file_that_nobody_else_can_read() {
        let config = std::env::temp_dir().join(format!("tilth-secret-{}", std::process::id()));
        let (folder, credentials) = (config.join("secrets"), config.join("credentials"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&credentials).unwrap();
        write(&folder.join("phone"), b"tk_1\n", 0o600);
        write(&folder.join("open"), b"x", 0o640);
        write(&folder.join("empty"), b"\n", 0o600);
        write(&folder.join("two"), b"a\nb\n", 0o600);
        write(&folder.join("large"), &[b'x'; 5000], 0o600);
        write(&folder.join("bytes"), b"\xff", 0o400);
        write(&credentials.join("unit"), b"tk_2", 0o444);
        let secrets = Secrets { folder, credentials: Some(credentials) };
        let get = |name: &str| secrets.get(&SecretName::new(name).unwrap());
        assert_eq!(get("phone").unwrap().expose(), "tk_1");
        assert_eq!(get("unit").unwrap().expose(), "tk_2");
        for (name, why) in [
            ("open", "has mode 0640, so others can read it; expected 0600"),
            ("empty", "is empty"),
            ("two", "is more than one line"),
            ("large", "is longer than 4096 bytes"),
            ("bytes", "is not text"),
        ] {
            let said = get(name).unwrap_err().to_string();
            assert!(said.ends_with(&format!("secrets/{name} {why}")), "{said}");
        }
        let said = get("absent").unwrap_err().to_string();
        assert!(said.starts_with("there is no ") && said.ends_with("secrets/absent"), "{said}");
        assert_eq!(format!("{:?}", get("phone").unwrap()), "Secret(..)");
        let written = |name: &str| secrets.written(&SecretName::new(name).unwrap());
        assert!(written("phone") > Some((0, 0)) && written("unit").is_none() && written("absent").is_none());
        fs::remove_dir_all(config).unwrap();
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", "../key", "a/b", ".hidden", "a b", &"a".repeat(65)] {
            assert_eq!(SecretName::new(name), None, "{name:?}");
        }
    }
}

//! Names of secrets: what may be shown of a secret.

use super::is_token;

/// The name of a secret, as `secret:NAME` writes it. Its value is in no document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// Checks and keeps a name; none for what could be anything but a file's name.
    #[must_use]
    pub fn new(name: &str) -> Option<SecretName> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(fine);
        // What is in the form of a token is the secret itself: a name is shown.
        (is_name && !is_token(name)).then(|| SecretName(name.to_owned()))
    }

    /// The name, without `secret:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

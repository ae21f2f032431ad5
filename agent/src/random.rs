//! Random values: the id of a run, and alert numbers where none are reserved on the disk.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use tilth_core::id::Id;

/// Letters of a run's name: none that is taken for another.
const LETTERS: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

/// Letters of a run's name: 40 bits, so that the runs of a device's whole life have names of their own.
const RUN_LETTERS: usize = 8;

/// Names one run of the agent. It is part of the id of every notification that this run decides on, so that no id comes a second time for
/// something else, even after all state of earlier runs is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RunId(String);

impl RunId {
    pub(crate) fn random() -> RunId {
        let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
        RunId(bytes::<RUN_LETTERS>().into_iter().map(letter).collect())
    }

    #[cfg(test)]
    pub(crate) fn of(name: &str) -> RunId {
        RunId(name.to_owned())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Id of a command whose sender gave none.
pub(crate) fn command() -> Id {
    Id::new(&RunId::random().0).expect("letters and digits")
}

/// Number of the next alert when those of before are forgotten: six digits, short enough to be typed, and above what is known to be in use.
pub(crate) fn alert_number(above: u64) -> u64 {
    let least = 100_000.max(above.saturating_mul(2));
    least + u64::from(u32::from_le_bytes(bytes())) % 900_000
}

/// At most 32 random bytes; where the machine gives none, such as no earlier process of this machine has had.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let now = format!("{boot} {} {:?}", std::process::id(), crate::clock::machine_uptime());
        bytes.copy_from_slice(&tilth_config::sha256(now.as_bytes())[..N]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_names_of_their_own() {
        let runs: std::collections::BTreeSet<String> = (0..1000).map(|_| RunId::random().to_string()).collect();
        assert_eq!(runs.len(), 1000);
        assert!(runs.iter().all(|run| run.len() == 8 && run.bytes().all(|byte| LETTERS.contains(&byte))));
    }

    #[test]
    fn numbers_have_six_digits_and_are_above_what_is_known() {
        assert!((0..1000).all(|_| (100_000..1_000_000).contains(&alert_number(0))));
        assert!((0..1000).all(|_| alert_number(700_000) >= 1_400_000));
    }
}

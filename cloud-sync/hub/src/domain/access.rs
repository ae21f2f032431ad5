//! Keys and enrolment codes: generation, hash and comparison. No other file handles a secret.

use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use tilth_protocol::{CodeSecret, EnrolmentCode, Epoch, Key, KeyKind};

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    Ok(bytes)
}

/// A new key.
pub(crate) fn draw(kind: KeyKind) -> anyhow::Result<Key> {
    Ok(Key::from_random(kind, random()?, random()?))
}

/// A new epoch.
pub(crate) fn draw_epoch() -> anyhow::Result<Epoch> {
    Ok(Epoch(u128::from_be_bytes(random()?)))
}

/// Hash of a key for the database. A key has 256 random bits, so one round of SHA-256 is enough.
pub(crate) fn hash(key: &Key) -> Vec<u8> {
    tilth_config::sha256(key.reveal().as_bytes()).to_vec()
}

/// Constant-time comparison of a key with a stored hash.
pub(crate) fn fits(key: &Key, kept: &[u8]) -> bool {
    hash(key).ct_eq(kept).into()
}

/// A new enrolment code; `ca` is the SHA-256 of the CA certificate that it names.
pub(crate) fn draw_code(ca: Option<&[u8; 32]>) -> anyhow::Result<EnrolmentCode> {
    Ok(EnrolmentCode::from_random(random()?, random()?, ca))
}

/// Hash of a code's secret for the database. The secret has 80 random bits and a week at most, so one round of SHA-256 is enough.
pub(crate) fn hash_secret(secret: &CodeSecret) -> Vec<u8> {
    tilth_config::sha256(secret.reveal().as_bytes()).to_vec()
}

/// Constant-time comparison of a code's secret with a stored hash.
pub(crate) fn secret_fits(secret: &CodeSecret, kept: &[u8]) -> bool {
    hash_secret(secret).ct_eq(kept).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_fits_its_own_hash_alone() {
        let (one, other) = (draw_code(None).unwrap().secret(), draw_code(None).unwrap().secret());
        assert!(secret_fits(&one, &hash_secret(&one)));
        assert!(!secret_fits(&one, &hash_secret(&other)));
        assert!(!secret_fits(&one, &[]));
    }

    #[test]
    fn a_key_fits_its_own_hash_alone() {
        let (one, other) = (draw(KeyKind::Device).unwrap(), draw(KeyKind::Device).unwrap());
        assert!(fits(&one, &hash(&one)));
        assert!(!fits(&one, &hash(&other)));
        assert!(!fits(&one, &[]));
        assert_ne!(draw_epoch().unwrap(), draw_epoch().unwrap());
    }
}

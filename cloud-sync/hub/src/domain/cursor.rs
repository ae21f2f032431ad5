//! Cursors of listings: ids of rows, encrypted per tenant, so that they tell nothing of other tenants' rows. Pure.

use ring::hmac;
use tilth_config::bundle::SigningKey;
use tilth_core::id::Id;

/// Feistel rounds. Four make a random permutation; the others are margin.
const ROUNDS: u8 = 8;

/// Upper limit of ids, a trillion rows. One in 16 million of other numbers passes as a cursor.
const END_OF_IDS: u64 = 1 << 40;

/// A listing whose ids count over all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Events,
    Alerts,
    /// Windows, whose pages begin within a boot.
    Windows,
}

impl Listing {
    const fn name(self) -> &'static str {
        match self {
            Listing::Events => "events",
            Listing::Alerts => "alerts",
            Listing::Windows => "windows",
        }
    }
}

/// A keyed permutation of 64-bit numbers, another for each tenant and listing.
#[derive(Debug)]
pub(crate) struct Cursors(hmac::Key);

impl Cursors {
    /// The same for a tenant after a restart and after a restore, which keeps the key.
    pub(crate) fn new(key: &SigningKey, tenant: &Id, listing: Listing) -> Cursors {
        let secret = key.derive(&format!("tilth-cursor 1\n{}\n{tenant}\n", listing.name()));
        Cursors(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// The cursor after the row of an id, from 1. Never 0.
    pub(crate) fn after(&self, id: i64) -> u64 {
        match self.permute(id.unsigned_abs()) {
            0 => self.permute(0),
            cursor => cursor,
        }
    }

    /// The id of a cursor; none for a number that is not a cursor of this tenant and listing.
    pub(crate) fn id(&self, cursor: u64) -> Option<i64> {
        let id = match self.restore(cursor) {
            0 => self.restore(0),
            id => id,
        };
        i64::try_from(id).ok().filter(|_| cursor != 0 && id < END_OF_IDS)
    }

    fn permute(&self, number: u64) -> u64 {
        let halves = (0..ROUNDS).fold(split(number), |(left, right), round| (right, left ^ self.round(round, right)));
        join(halves)
    }

    fn restore(&self, number: u64) -> u64 {
        let rounds = (0..ROUNDS).rev();
        join(rounds.fold(split(number), |(left, right), round| (right ^ self.round(round, left), left)))
    }

    fn round(&self, round: u8, half: u32) -> u32 {
        let [a, b, c, d] = half.to_be_bytes();
        let tag = hmac::sign(&self.0, &[round, a, b, c, d]);
        tag.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
    }
}

const fn split(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

fn join((left, right): (u32, u32)) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests;

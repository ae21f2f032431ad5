//! Takes the time of day from the hub where the machine's clock is not synchronised. The answer is signed, for one request, by the
//! key that signs bundles. The request carries no device key, and dates of certificates are not checked; see `docs/sync-protocol.md`.

use std::time::Duration;

use anyhow::{Context, bail};
use ring::rand::{SecureRandom, SystemRandom};
use tilth_config::bundle::SignedTime;
use tilth_core::time::{Span, WallTime};
use tracing::{info, warn};

use super::link;
use crate::clock::{Anchor, Clock, ClockMode, Trust};
use crate::configuration::{ConfigStatus, Enrolment};

/// Retry interval until the hub has answered: no row has a date before.
const RETRY: Duration = Duration::from_secs(30);

/// Interval of requests once the time is set, since a clock drifts by a second or two a day.
const REFRESH: Duration = Duration::from_secs(6 * 3600);

/// Upper limit of the uncertainty of an answer, half of the time that it took.
const MAX_UNCERTAINTY: Span = Span::from_secs(20);

/// Asks for as long as the machine's own clock is not synchronised.
pub(super) async fn keep_clock_set(enrolment: Enrolment, clock: Clock, config: ConfigStatus) {
    let mut logged = None;
    loop {
        let is_synchronised = clock.anchor().is_some_and(|anchor| anchor.trust == Trust::Synchronised);
        if clock.mode() != ClockMode::System || is_synchronised {
            tokio::time::sleep(REFRESH).await;
            continue;
        }
        match request_time(&enrolment, &clock).await {
            Ok(anchor) => {
                clock.trust(anchor);
                let now = WallTime(anchor.offset_ms.saturating_add(clock.uptime().0));
                let now = config.local().second(now);
                info!(target: "sync", "clock set by the hub to {now}");
                logged = None;
                tokio::time::sleep(REFRESH).await;
            }
            Err(error) => {
                let why = format!("{error:#}");
                if logged.as_ref() != Some(&why) {
                    warn!(target: "sync", "no time from the hub: {why}; will retry");
                    logged = Some(why);
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// One request. The hub stamped its answer between request and arrival: the middle is taken.
async fn request_time(enrolment: &Enrolment, clock: &Clock) -> anyhow::Result<Anchor> {
    let (https, trusted) = link::for_time(enrolment).await?;
    let nonce = nonce().context("no randomness")?;
    let before = clock.uptime();
    let reply = https.get_time(&enrolment.device, &nonce).await.outcome?;
    let after = clock.uptime();
    if reply.status != 200 {
        bail!("the hub answered {}", reply.status);
    }
    let signed: SignedTime = serde_json::from_slice(&reply.body).context("expected a signed time")?;
    let now = signed.verify(&nonce, &enrolment.tenant, &enrolment.device, &trusted)?;
    let error = Span((after - before).0 / 2);
    if error > MAX_UNCERTAINTY {
        bail!("the answer took {} s", (after - before).as_secs_f64());
    }
    let middle = before + error;
    Ok(Anchor { offset_ms: now.0.saturating_sub(middle.0), trust: Trust::Stated, error: Some(error) })
}

/// A number for one question, drawn for each, so that an old answer does not fit.
fn nonce() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

//! The hub's word for the time of day, where nobody else has set the clock: signed, for one question, by the key that signs
//! bundles. It is asked without the device's key, and with certificates that hold on any day; see `docs/sync-protocol.md`.

use std::time::Duration;

use anyhow::{Context, bail};
use ring::rand::{SecureRandom, SystemRandom};
use tilth_config::bundle::SignedTime;
use tilth_core::time::{Span, WallTime};
use tracing::{info, warn};

use super::link;
use crate::clock::{Anchor, Clock, Source, Trust};
use crate::configuration::{ConfigStatus, Enrolment};

/// Until the hub has answered it is asked this often: nothing on the farm has a date before.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// A clock that was told the time drifts by a second or two a day.
const ASK_LATER: Duration = Duration::from_secs(6 * 3600);

/// An answer that took longer says too little.
const MOST_UNCERTAIN: Span = Span::from_secs(20);

/// Asks for as long as the machine's own clock is not synchronised.
pub(super) async fn keep(enrolment: Enrolment, clock: Clock, config: ConfigStatus) {
    let mut said = None;
    loop {
        let is_synchronised = clock.anchor().is_some_and(|anchor| anchor.trust == Trust::Synchronised);
        if clock.source() != Source::System || is_synchronised {
            tokio::time::sleep(ASK_LATER).await;
            continue;
        }
        match ask(&enrolment, &clock).await {
            Ok(anchor) => {
                clock.trust(anchor);
                let now = WallTime(anchor.offset_ms.saturating_add(clock.uptime().0));
                let now = config.local().second(now);
                info!(target: "sync", "the hub says that it is {now}");
                said = None;
                tokio::time::sleep(ASK_LATER).await;
            }
            Err(error) => {
                let why = format!("{error:#}");
                if said.as_ref() != Some(&why) {
                    warn!(target: "sync", "the hub does not tell the time: {why}");
                    said = Some(why);
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}

/// One question. The answer was true at some instant between asking and hearing: the middle is taken.
async fn ask(enrolment: &Enrolment, clock: &Clock) -> anyhow::Result<Anchor> {
    let (https, trusted) = link::undated(enrolment).await?;
    let nonce = nonce().context("no randomness")?;
    let before = clock.uptime();
    let reply = https.get_time(&enrolment.device, &nonce).await.outcome?;
    let after = clock.uptime();
    if reply.status != 200 {
        bail!("the hub answered {}", reply.status);
    }
    let signed: SignedTime = serde_json::from_slice(&reply.body).context("expected a signed time")?;
    let now = signed.verify(&nonce, &enrolment.client, &enrolment.device, &trusted)?;
    let error = Span((after - before).0 / 2);
    if error > MOST_UNCERTAIN {
        bail!("the answer took {} s", (after - before).as_secs_f64());
    }
    let middle = before + error;
    Ok(Anchor { offset_ms: now.0.saturating_sub(middle.0), trust: Trust::Told, error: Some(error) })
}

/// Drawn anew for each question, so that an old answer does not fit.
fn nonce() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

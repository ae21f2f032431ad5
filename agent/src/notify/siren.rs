//! Pages of a siren: decide, which drives it, says whether it is audible.

use std::time::Duration;

use tilth_core::id::Id;
use tilth_notify::message::{Failure, Message, Retry};
use tilth_notify::notification::Kind;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::to_decide::ChannelRequest;

/// How long a siren may take to be audible: a board that was just plugged in is found within it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Delivers a message: done once the siren is audible. A test is a short sound; what is over is silent. A page that fails is given up
/// at once, so that another channel tells of it, for the siren sounds by itself as soon as it can.
pub(super) fn send(
    channel: &Id,
    message: &Message,
    to_decide: &mpsc::Sender<ChannelRequest>,
) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
    let is_any = |kind: fn(&Kind) -> bool| message.items.iter().any(|item| kind(&item.notification.kind));
    let is_page = is_any(|kind| matches!(kind, Kind::Page(_)));
    let is_audible = is_page || is_any(|kind| *kind == Kind::Test);
    let (channel, to_decide) = (channel.clone(), to_decide.clone());
    async move {
        if !is_audible {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let result = timeout(TIMEOUT, async {
            to_decide.send(ChannelRequest::Siren { channel, is_test: !is_page, answer }).await.ok()?;
            answered.await.ok()
        });
        let unanswered = || Err(format!("nothing confirmed within {} s that the siren is on", TIMEOUT.as_secs()));
        let result = result.await.ok().flatten().unwrap_or_else(unanswered);
        result.map_err(|reason| Failure { reason, retry: Retry::Never, retry_after: None, may_have_arrived: false })
    }
}

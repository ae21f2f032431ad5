//! The kinds of channel: what each sends is one file here. Pure, up to the request.

pub mod modem;
mod ntfy;
pub mod siren;
mod webhook;

use tilth_config::{Channel, Target};
use tilth_core::time::WallTime;

use crate::http::Request;
use crate::message::Message;
use crate::secret::Secret;

/// The request that sends a message; none where the channel has no server, or no secret where it needs one.
pub(crate) fn request(
    channel: &Channel,
    secret: Option<&Secret>,
    message: &Message,
    now: Option<WallTime>,
) -> Option<Request> {
    match &channel.target {
        Target::Log | Target::Modem { .. } | Target::Siren { .. } => None,
        Target::Ntfy { url, topic } => Some(ntfy::request(url, topic, secret, message)),
        Target::Webhook { url } => Some(webhook::request(url, secret?, message, now)),
    }
}

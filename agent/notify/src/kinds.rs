//! The kinds of channel that post to a server: what each sends is one file here. Pure, up to the request.

mod ntfy;
mod webhook;

use tilth_config::{Channel, Target};
use tilth_core::time::WallTime;

use crate::http::Request;
use crate::queue::Parcel;
use crate::secret::Secret;

/// The request that tells a parcel; none where the channel has no server, or no secret where it needs one.
pub(crate) fn request(
    channel: &Channel,
    secret: Option<&Secret>,
    parcel: &Parcel,
    now: Option<WallTime>,
) -> Option<Request> {
    match &channel.target {
        Target::Log => None,
        Target::Ntfy { url, topic } => Some(ntfy::request(url, topic, secret, parcel)),
        Target::Webhook { url } => Some(webhook::request(url, secret?, parcel, now)),
    }
}

//! Messages of a channel, and their results.

use std::sync::Arc;

use tilth_core::id::Id;
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};

use crate::notification::Notification;

/// Most attempts at a notification that the server rejects by itself (such as 400), within three minutes: a receiver that
/// restarts accepts it later, one that cannot read it never will.
pub const REFUSED_TRIES: u32 = 6;

/// One message of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// One notification, or those of a digest, the most severe first. Never empty.
    pub items: Vec<Item>,
    /// Earlier notifications that were given up since the last message.
    pub undelivered: u32,
}

/// A notification in a queue or a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Notification to deliver.
    pub notification: Arc<Notification>,
    /// Earlier pages of the same alert that were never sent by themselves.
    pub earlier: u32,
    /// May have arrived before.
    pub repeat: bool,
    /// Attempts, the current one included.
    pub attempts: u32,
    pub(crate) since: Uptime,
    pub(crate) order: u64,
    pub(crate) withdrawn: bool,
    /// Times that the server refused this notification.
    pub(crate) refusals: u32,
    /// Earliest next attempt, after a refusal.
    pub(crate) not_before: Uptime,
}

/// The result of an attempt at a notification, or of giving it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Id of the notification.
    pub notification: String,
    /// State of the delivery.
    pub status: DeliveryStatus,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// Channel that sends it in place of this one.
    pub instead: Option<Id>,
}

/// State of the delivery of a notification by one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// Delivered, by itself or in a digest.
    Sent,
    /// An attempt failed; another follows.
    Retrying,
    /// Cannot be delivered.
    Failed,
    /// Waited longer than the expiry.
    Expired,
    /// A later page of the same alert is sent in its place.
    Replaced,
    /// The alert was acknowledged or resolved before the delivery.
    Withdrawn,
    /// The queue was full, and this was the least severe.
    Dropped,
}

impl Outcome {
    /// Result of a notification on one channel; no other channel sends it instead.
    #[must_use]
    pub fn new(notification: &Notification, status: DeliveryStatus, attempts: u32, reason: Option<String>) -> Outcome {
        Outcome { notification: notification.id.clone(), status, attempts, reason, instead: None }
    }
}

impl Message {
    /// A message with one notification, beside every queue.
    #[must_use]
    pub fn of(notification: Notification, now: Uptime) -> Message {
        let item = Item {
            earlier: 0,
            repeat: notification.repeat,
            attempts: 1,
            since: now,
            order: 0,
            withdrawn: false,
            refusals: 0,
            not_before: now,
            notification: Arc::new(notification),
        };
        Message { items: vec![item], undelivered: 0 }
    }

    /// Severity of the worst notification.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.items.iter().map(|item| item.notification.details.severity).max().unwrap_or(Severity::Urgent)
    }

    /// Id: the notification's own; of a digest, one that is made of the ids of all its notifications.
    pub fn id(&self) -> String {
        match self.items.as_slice() {
            [] => String::new(),
            [item] => item.notification.id.clone(),
            [first, ..] => {
                let ids: String = self.items.iter().map(|item| format!("{}\n", item.notification.id)).collect();
                let name = hex::encode(&tilth_config::sha256(ids.as_bytes())[..4]);
                format!("{}-digest-{name}", first.notification.id)
            }
        }
    }
}

impl DeliveryStatus {
    /// The word in the store and in `status`.
    pub const fn name(self) -> &'static str {
        match self {
            DeliveryStatus::Sent => "sent",
            DeliveryStatus::Retrying => "retrying",
            DeliveryStatus::Failed => "failed",
            DeliveryStatus::Expired => "expired",
            DeliveryStatus::Replaced => "replaced",
            DeliveryStatus::Withdrawn => "withdrawn",
            DeliveryStatus::Dropped => "dropped",
        }
    }

    /// Whether the channel gave it up without anything in its place.
    pub const fn is_given_up(self) -> bool {
        matches!(self, DeliveryStatus::Failed | DeliveryStatus::Expired | DeliveryStatus::Dropped)
    }

    /// Whether this state is the last.
    pub const fn is_final(self) -> bool {
        !matches!(self, DeliveryStatus::Retrying)
    }
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Reason, for `status` and the log.
    pub reason: String,
    /// Whether to try again.
    pub retry: Retry,
    /// Wait that the server asks for, or that the fault needs.
    pub retry_after: Option<Span>,
    /// The message may have arrived, and only the answer was lost.
    pub may_have_arrived: bool,
}

/// Whether a failed message is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The channel failed: everything that waits is tried until its expiry.
    UntilExpired,
    /// The server refused this notification: [`REFUSED_TRIES`] attempts, beside all others.
    Few,
    /// The server never accepts this message. Notifications of a digest are tried in smaller ones.
    Never,
}

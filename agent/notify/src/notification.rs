//! What people are told, the same for every channel.

#[cfg(test)]
pub(crate) mod samples;

use tilth_core::alert::AlertId;
use tilth_core::effect::{AlertDetails, Page, Reason};
use tilth_core::escalate::Cause;
use tilth_core::id::{Id, SensorId};
use tilth_core::local::Local;
use tilth_core::plan::{AlertKey, Plan, Severity};
use tilth_core::quantity::Quantity;
use tilth_core::time::Stamp;

/// One thing that people are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Id, the same on every channel and at every attempt, so that a receiver recognises a repeat.
    pub id: String,
    /// Why people are told.
    pub kind: Kind,
    /// The alert that it is about.
    pub details: AlertDetails,
    /// Time zone of the times that people read.
    pub local: Local,
    /// Unit of value and limit; empty where there is none.
    pub unit: String,
    /// Whether value and limit are shown; not those of a contact, which are 1 and 0.
    pub is_measured: bool,
    /// The cause, where the agent knows more than the rule.
    pub why: Option<String>,
    /// May have arrived before: the process or the connection ended between sending and knowing.
    pub repeat: bool,
    /// Channels that may send it in place of others: of its level, then of the other levels of its policy.
    pub others: Vec<Id>,
    /// The channels that gave it up, where it is sent in their place.
    pub instead: Option<Instead>,
}

/// The channels in whose place a notification is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Instead {
    /// Channels that gave it up, in that order.
    pub of: Vec<Id>,
    /// Why the last of them gave it up.
    pub reason: String,
    /// Id of the notification there.
    pub notification: String,
}

/// Part of the id of a notification that is sent in place of a channel, before the channel's name.
pub const INSTEAD_OF: &str = "-instead-of-";

/// Why people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody has to act.
    Page(Cause),
    /// The alert is over.
    Resolved(Reason),
    /// No alert: a person tries the channel.
    Test,
}

impl Notification {
    /// A page; `repeat` where it may have been sent before the process ended.
    #[must_use]
    pub fn page(id: String, page: &Page, plan: &Plan, repeat: bool) -> Notification {
        Notification { repeat, ..Notification::of(id, Kind::Page(page.cause), page.details.clone(), plan) }
    }

    /// Tells that an alert is over.
    #[must_use]
    pub fn resolved(id: String, reason: Reason, details: &AlertDetails, plan: &Plan) -> Notification {
        Notification::of(id, Kind::Resolved(reason), details.clone(), plan)
    }

    /// Tells that a person tries a channel.
    #[must_use]
    pub fn test(id: String, channel: &Id, by: &str, at: Stamp, local: Local) -> Option<Notification> {
        let sensor = SensorId::new(&format!("channel/{channel}")).ok()?;
        let key = AlertKey { zone: sensor.zone(), rule: Id::new("notify-test").ok()?, sensor };
        let details = AlertDetails {
            at,
            alert: None,
            key,
            severity: Severity::Preventive,
            value: None,
            limit: None,
            since: at,
            reading_at: None,
            pages: 0,
            message: format!("channel {channel} works; {by} asked for this"),
            advice: None,
        };
        Some(Notification {
            id,
            kind: Kind::Test,
            details,
            local,
            unit: String::new(),
            is_measured: false,
            why: None,
            repeat: false,
            others: Vec::new(),
            instead: None,
        })
    }

    fn of(id: String, kind: Kind, details: AlertDetails, plan: &Plan) -> Notification {
        let sensor = plan.sensor_ix(details.key.sensor.as_str()).map(|ix| plan.sensor(ix));
        let is_measured = sensor.is_none_or(|sensor| sensor.quantity != Quantity::Contact);
        let rule = plan.rule(&details.key);
        let of_sensor = sensor.map_or("", |sensor| sensor.quantity.unit());
        let is_rate = rule.is_some_and(|rule| rule.condition.name().starts_with("rate_"));
        let unit = if is_rate { format!("{of_sensor} per minute") } else { of_sensor.to_owned() };
        let unit = unit.trim_start().to_owned();
        let others = rule.map_or(Vec::new(), |rule| rule.escalation.channels_from(details.severity));
        let local = plan.local().clone();
        Notification { id, kind, local, unit, is_measured, why: None, details, repeat: false, others, instead: None }
    }

    /// The same for another channel, in place of those that gave it up. The id differs, so that a receiver that has the page
    /// already hears that it did not arrive everywhere.
    pub fn instead_of(&self, tried: Vec<Id>, reason: &str) -> Notification {
        let notification = self.instead.as_ref().map_or(&self.id, |instead| &instead.notification).clone();
        let last = tried.last().map_or("", Id::as_str);
        let id = format!("{notification}{INSTEAD_OF}{last}");
        let instead = Instead { of: tried, reason: reason.to_owned(), notification };
        Notification { id, instead: Some(instead), ..self.clone() }
    }

    /// Whether somebody has to act.
    pub fn is_page(&self) -> bool {
        matches!(self.kind, Kind::Page(_))
    }

    /// The alert it is about.
    pub fn alert(&self) -> Option<AlertId> {
        self.details.alert
    }

    /// Order of sending: pages before what is over, the most severe first.
    pub fn rank(&self) -> Option<Severity> {
        match self.kind {
            Kind::Page(_) => Some(self.details.severity),
            Kind::Resolved(_) | Kind::Test => None,
        }
    }
}

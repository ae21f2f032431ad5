//! What people are told, before it is told to anybody in particular.

use tilth_core::alert::AlertId;
use tilth_core::effect::{Page, Reason, Report};
use tilth_core::escalate::Cause;
use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::plan::{Plan, Severity};
use tilth_core::quantity::Quantity;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The same wherever and however often it is sent, so that a receiver knows what it has.
    pub id: String,
    /// Why people are told.
    pub kind: Kind,
    /// About what.
    pub report: Report,
    /// The clock by which people read its times.
    pub local: Local,
    /// The unit of its value and limit; empty where there is none.
    pub unit: String,
    /// Its value and limit say something to people. Not those of a contact, which are 1 and 0.
    pub is_measured: bool,
    /// What is wrong, where the agent knows more of it than the rule.
    pub why: Option<String>,
    /// It may have been told before: the process or the connection ended between sending and knowing.
    pub repeat: bool,
    /// Channels that may tell it where those that are asked cannot: of its level, then of the other levels of its policy.
    pub others: Vec<Id>,
    /// It is told in place of channels that could not.
    pub instead: Option<Instead>,
}

/// In place of whom a notice is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Instead {
    /// The channels that gave it up, the last one last.
    pub of: Vec<Id>,
    /// Why the last one did.
    pub reason: String,
    /// The id that the notice had there.
    pub notice: String,
}

/// Stands in the id of a notice that is told in place of a channel, before the channel's name.
pub const INSTEAD_OF: &str = "-instead-of-";

/// Why people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They should do something.
    Page(Cause),
    /// They need not any more.
    Resolved(Reason),
}

impl Notice {
    /// Of a page. `repeat` when the store cannot say whether it was sent before the process ended.
    #[must_use]
    pub fn page(id: String, page: &Page, plan: &Plan, repeat: bool) -> Notice {
        Notice { repeat, ..Notice::of(id, Kind::Page(page.cause), page.report.clone(), plan) }
    }

    /// Of an alert that is over.
    #[must_use]
    pub fn resolved(id: String, reason: Reason, report: &Report, plan: &Plan) -> Notice {
        Notice::of(id, Kind::Resolved(reason), report.clone(), plan)
    }

    fn of(id: String, kind: Kind, report: Report, plan: &Plan) -> Notice {
        let sensor = plan.sensor_ix(report.key.sensor.as_str()).map(|ix| plan.sensor(ix));
        let is_measured = sensor.is_none_or(|sensor| sensor.quantity != Quantity::Contact);
        let rule = plan.rule(&report.key);
        let of_sensor = sensor.map_or("", |sensor| sensor.quantity.unit());
        let is_rate = rule.is_some_and(|rule| rule.condition.name().starts_with("rate_"));
        let unit = if is_rate { format!("{of_sensor} per minute") } else { of_sensor.to_owned() };
        let unit = unit.trim_start().to_owned();
        let others = rule.map_or(Vec::new(), |rule| rule.escalation.channels_from(report.severity));
        let local = plan.local().clone();
        Notice { id, kind, local, unit, is_measured, why: None, report, repeat: false, others, instead: None }
    }

    /// The same for another channel, in place of those that gave it up. It has an id of its own, for a receiver that has the
    /// page from elsewhere is to hear that it did not come everywhere.
    pub fn instead_of(&self, tried: Vec<Id>, reason: &str) -> Notice {
        let notice = self.instead.as_ref().map_or(&self.id, |instead| &instead.notice).clone();
        let last = tried.last().map_or("", Id::as_str);
        let id = format!("{notice}{INSTEAD_OF}{last}");
        let instead = Instead { of: tried, reason: reason.to_owned(), notice };
        Notice { id, instead: Some(instead), ..self.clone() }
    }

    /// Whether people are to do something.
    pub fn is_page(&self) -> bool {
        matches!(self.kind, Kind::Page(_))
    }

    /// The alert it is about.
    pub fn alert(&self) -> Option<AlertId> {
        self.report.alert
    }

    /// How much it matters that it is told soon: pages before what is over, the worst first.
    pub fn rank(&self) -> Option<Severity> {
        match self.kind {
            Kind::Page(_) => Some(self.report.severity),
            Kind::Resolved(_) => None,
        }
    }
}

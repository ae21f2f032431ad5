//! What people are told, before it is told to anybody in particular.

use tilth_core::alert::AlertId;
use tilth_core::effect::{Page, Reason, Report};
use tilth_core::escalate::Cause;
use tilth_core::id::Id;
use tilth_core::plan::{AlertKey, Plan, Severity};
use tilth_core::quantity::Quantity;

use crate::chance::Run;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    /// `DEVICE-ALERT-PAGE-RUN`: the same wherever and however often it is sent, so that a receiver knows what it has. RUN names
    /// the run of the agent that decided on it.
    pub(crate) id: String,
    /// Why people are told.
    pub(crate) kind: Kind,
    /// About what.
    pub(crate) report: Report,
    /// The unit of its value and limit; empty where there is none.
    pub(crate) unit: String,
    /// Its value and limit say something to people. Not those of a contact, which are 1 and 0.
    pub(crate) is_measured: bool,
    /// What is wrong, where the agent knows more of it than the rule.
    pub(crate) why: Option<String>,
    /// It may have been told before: the process or the connection ended between sending and knowing.
    pub(crate) repeat: bool,
}

/// Why people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They should do something.
    Page(Cause),
    /// They need not any more.
    Resolved(Reason),
}

impl Notice {
    /// Of a page. `repeat` when the store cannot say whether it was sent before the process ended.
    /// `run` is the one that decided on it; none of one that was decided on before runs had names.
    pub(crate) fn page(device: &Id, run: Option<&Run>, page: &Page, plan: &Plan, repeat: bool) -> Notice {
        let run = run.map_or(String::new(), |run| format!("-{run}"));
        let id = format!("{device}-{}{run}", page.id);
        Notice { repeat, ..Notice::of(id, Kind::Page(page.cause), page.report.clone(), plan) }
    }

    /// Of an alert that is over; nothing for one that never fired, of which nobody was told.
    pub(crate) fn resolved(device: &Id, run: &Run, reason: Reason, report: &Report, plan: &Plan) -> Option<Notice> {
        let id = format!("{device}-{}-resolved-{run}", report.alert?);
        Some(Notice::of(id, Kind::Resolved(reason), report.clone(), plan))
    }

    fn of(id: String, kind: Kind, report: Report, plan: &Plan) -> Notice {
        let sensor = plan.sensor_ix(report.key.sensor.as_str()).map(|ix| plan.sensor(ix));
        let is_measured = sensor.is_none_or(|sensor| sensor.quantity != Quantity::Contact);
        Notice { id, kind, unit: unit(&report.key, plan), is_measured, why: None, report, repeat: false }
    }

    /// The alert it is about.
    pub(crate) fn alert(&self) -> Option<AlertId> {
        self.report.alert
    }

    /// How much it matters that it is told soon: pages before what is over, the worst first.
    pub(crate) fn rank(&self) -> Option<Severity> {
        match self.kind {
            Kind::Page(_) => Some(self.report.severity),
            Kind::Resolved(_) => None,
        }
    }
}

/// What stands behind an alert's value and limit.
fn unit(key: &AlertKey, plan: &Plan) -> String {
    let sensor = plan.sensor_ix(key.sensor.as_str()).map(|ix| plan.sensor(ix));
    let unit = sensor.map_or("", |sensor| sensor.quantity.unit());
    let is_rate = plan.rules().any(|rule| rule.key == *key && rule.condition.name().starts_with("rate_"));
    if is_rate { format!("{unit} per minute").trim_start().to_owned() } else { unit.to_owned() }
}

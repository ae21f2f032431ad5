//! What a replay came to: counted as it goes, so that a year takes no more memory than a day.

use std::collections::BTreeMap;

use tilth_core::alert::AlertId;
use tilth_core::effect::{Effect, Page, Report, SensorEvent, Transition};
use tilth_core::id::{Id, SensorId};
use tilth_core::judge::Fault;
use tilth_core::plan::{AlertKey, Plan, Severity};
use tilth_core::reading::{Quality, Reading};
use tilth_core::time::{Span, WallTime};

/// Alerts kept one by one for the page; of more than this nobody reads a table, and the sums go on counting.
const MAX_ALERTS: usize = 2000;

/// Everything counted so far.
#[derive(Debug)]
pub(crate) struct Tally {
    /// By name, those that never fired too.
    pub(crate) rules: BTreeMap<Id, RuleTally>,
    /// In the order of the plan.
    pub(crate) sensors: Vec<SensorTally>,
    /// The first alerts, in the order in which they fired.
    pub(crate) alerts: Vec<PastAlert>,
    /// Those that fire now, by their number.
    open: BTreeMap<AlertId, PastAlert>,
}

/// The alerts of all rules of one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RuleTally {
    pub(crate) fired: u64,
    pub(crate) longest: Span,
    pub(crate) total: Span,
    pub(crate) notifications: u64,
}

/// The readings of one sensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SensorTally {
    pub(crate) id: SensorId,
    /// Judged.
    pub(crate) readings: u64,
    pub(crate) missing: u64,
    /// Older than the newest: stored, and nothing was decided on them.
    pub(crate) late: u64,
    pub(crate) not_believed: u64,
    /// How often each fault was noticed, in the order of [`FAULTS`].
    pub(crate) faults: [u64; 4],
    /// What is wrong with it now.
    pub(crate) fault: Option<Fault>,
}

/// Every kind of fault.
pub(crate) const FAULTS: [Fault; 4] = [Fault::Range, Fault::Reported, Fault::Stuck, Fault::Stale];

/// One alert that fired.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PastAlert {
    pub(crate) id: AlertId,
    pub(crate) key: AlertKey,
    /// The worst it was.
    pub(crate) severity: Severity,
    pub(crate) since: Option<WallTime>,
    pub(crate) fired: Option<WallTime>,
    pub(crate) resolved: Option<WallTime>,
    /// What it said when it fired.
    pub(crate) message: String,
    pub(crate) notifications: u64,
    /// Its place in the list of alerts, if it has one.
    place: Option<usize>,
}

impl PastAlert {
    /// How long it fired, or has fired by `now`.
    pub(crate) fn lasted(&self, now: WallTime) -> Span {
        self.fired.map_or(Span::ZERO, |fired| self.resolved.unwrap_or(now) - fired)
    }
}

impl SensorTally {
    /// Whether the recording has anything of it.
    pub(crate) fn appeared(&self) -> bool {
        self.readings + self.missing > 0
    }
}

impl Tally {
    pub(crate) fn new(plan: &Plan) -> Tally {
        let sensor = |id: &SensorId| SensorTally {
            id: id.clone(),
            readings: 0,
            missing: 0,
            late: 0,
            not_believed: 0,
            faults: [0; 4],
            fault: None,
        };
        Tally {
            rules: plan.rules().map(|rule| (rule.key.rule.clone(), RuleTally::default())).collect(),
            sensors: plan.sensors().iter().map(|known| sensor(&known.id)).collect(),
            alerts: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, effect: &Effect) {
        match effect {
            Effect::Reading(reading) => self.add_reading(reading),
            Effect::Missing(sensor) => self.sensors[sensor.0 as usize].missing += 1,
            Effect::Alert(transition, report) => self.add_transition(transition, report),
            Effect::Page(page) => self.add_page(page),
            Effect::Sensor(event) => self.add_health(event),
            Effect::Window(_)
            | Effect::Schedule(_)
            | Effect::Site
            | Effect::Refused(_)
            | Effect::Unwindowed(..)
            | Effect::Planned(_) => {}
        }
    }

    fn add_reading(&mut self, reading: &Reading) {
        let sensor = &mut self.sensors[reading.sensor.0 as usize];
        sensor.readings += 1;
        sensor.late += u64::from(reading.late);
        sensor.not_believed += u64::from(matches!(reading.quality, Quality::Suspect | Quality::Fault | Quality::Stale));
    }

    fn add_health(&mut self, event: &SensorEvent) {
        let sensor = &mut self.sensors[event.sensor.0 as usize];
        sensor.fault = event.fault;
        if let Some(place) = event.fault.and_then(|fault| FAULTS.iter().position(|known| *known == fault)) {
            sensor.faults[place] += 1;
        }
    }

    fn add_transition(&mut self, transition: &Transition, report: &Report) {
        let Some(id) = report.alert else { return };
        match transition {
            Transition::Firing => self.fire(id, report),
            Transition::Escalated => {
                if let Some(alert) = self.open.get_mut(&id) {
                    alert.severity = alert.severity.max(report.severity);
                }
            }
            Transition::Resolved(_) => {
                if let Some(alert) = self.open.remove(&id) {
                    self.close(PastAlert { resolved: report.at.wall, ..alert });
                }
            }
            Transition::Pending | Transition::Acknowledged { .. } => {}
        }
    }

    fn add_page(&mut self, page: &Page) {
        self.rules.entry(page.report.key.rule.clone()).or_default().notifications += 1;
        if let Some(alert) = self.open.get_mut(&page.id.alert) {
            alert.notifications += 1;
        }
    }

    fn fire(&mut self, id: AlertId, report: &Report) {
        self.rules.entry(report.key.rule.clone()).or_default().fired += 1;
        let place = (self.alerts.len() < MAX_ALERTS).then_some(self.alerts.len());
        let alert = PastAlert {
            id,
            key: report.key.clone(),
            severity: report.severity,
            since: report.since.wall,
            fired: report.at.wall,
            resolved: None,
            message: report.message.clone(),
            notifications: 0,
            place,
        };
        if place.is_some() {
            self.alerts.push(alert.clone());
        }
        self.open.insert(id, alert);
    }

    /// Books an alert that is over, or that is left when the recording ends.
    fn close(&mut self, alert: PastAlert) {
        let lasted = alert.resolved.map_or(Span::ZERO, |resolved| alert.lasted(resolved));
        self.book(&alert.key.rule, lasted);
        if let Some(place) = alert.place {
            self.alerts[place] = alert;
        }
    }

    fn book(&mut self, rule: &Id, lasted: Span) {
        let rule = self.rules.entry(rule.clone()).or_default();
        rule.longest = rule.longest.max(lasted);
        rule.total = Span(rule.total.0 + lasted.0);
    }

    /// The recording ends here: what still fires has fired until now.
    pub(crate) fn finish(&mut self, now: WallTime) {
        for alert in self.open.values() {
            if let Some(place) = alert.place {
                self.alerts[place] = alert.clone();
            }
        }
        let lasted: Vec<(Id, Span)> =
            self.open.values().map(|alert| (alert.key.rule.clone(), alert.lasted(now))).collect();
        for (rule, lasted) in lasted {
            self.book(&rule, lasted);
        }
    }

    /// What still fires, in the order in which it fired.
    pub(crate) fn open(&self) -> impl ExactSizeIterator<Item = &PastAlert> {
        self.open.values()
    }

    /// How many alerts fired.
    pub(crate) fn fired(&self) -> u64 {
        self.rules.values().map(|rule| rule.fired).sum()
    }

    /// One figure of all sensors.
    pub(crate) fn of_sensors(&self, figure: impl Fn(&SensorTally) -> u64) -> u64 {
        self.sensors.iter().map(figure).sum()
    }
}

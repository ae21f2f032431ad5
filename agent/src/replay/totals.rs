//! Totals of a replay, counted as it goes, so that a year takes no more memory than a day.

use std::collections::BTreeMap;

use tilth_core::alert::AlertId;
use tilth_core::effect::{AlertDetails, Effect, Page, SensorEvent, Transition};
use tilth_core::id::{Id, SensorId};
use tilth_core::judge::Fault;
use tilth_core::plan::{AlertKey, Plan, Severity};
use tilth_core::reading::{Quality, Reading};
use tilth_core::time::{Span, Uptime, WallTime};

/// Alerts kept one by one for the page; a longer table would not be read, and the sums go on counting.
const MAX_ALERTS: usize = 2000;

#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rules: BTreeMap<Id, RuleTotals>,
    /// In the order of the plan.
    pub(crate) sensors: Vec<SensorTotals>,
    /// The first alerts, in the order in which they fired.
    pub(crate) alerts: Vec<PastAlert>,
    /// Alerts that fire now, by number, of all sensors.
    pub(crate) open: BTreeMap<AlertId, PastAlert>,
    /// The first reading that was not believed: its index in `sensors`, and when the engine saw it.
    pub(crate) first_doubt: Option<(usize, Uptime)>,
    /// Notifications of alerts that fired before the first reading of their sensor.
    pub(crate) unheard_notifications: u64,
}

/// The alerts of all rules of one name, of sensors that had a reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RuleTotals {
    pub(crate) fired: u64,
    /// Alerts of sensors without a reading: the recording does not show whether anything was wrong.
    pub(crate) unheard: u64,
    pub(crate) longest: Span,
    pub(crate) total: Span,
    pub(crate) notifications: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SensorTotals {
    pub(crate) id: SensorId,
    /// Whether the recording has anything of it, so far.
    pub(crate) heard: bool,
    pub(crate) readings: u64,
    pub(crate) missing: u64,
    /// Older than the newest: stored, and nothing was decided on them.
    pub(crate) late: u64,
    pub(crate) not_believed: u64,
    /// How often each fault was noticed, in the order of [`FAULTS`].
    faults: [u64; FAULTS.len()],
    /// What is wrong with it now.
    pub(crate) fault: Option<Fault>,
    /// Alerts that fired before its first reading.
    pub(crate) unheard: u64,
}

impl SensorTotals {
    pub(crate) fn faults(&self) -> impl Iterator<Item = (Fault, u64)> {
        FAULTS.into_iter().zip(self.faults).filter(|(_, count)| *count > 0)
    }

    /// `range 3, stale 1`.
    pub(crate) fn faults_in_words(&self) -> String {
        self.faults().map(|(fault, count)| format!("{fault} {count}")).collect::<Vec<_>>().join(", ")
    }
}

const FAULTS: [Fault; 5] = [Fault::Range, Fault::Reported, Fault::Stuck, Fault::Suspect, Fault::Stale];

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PastAlert {
    pub(crate) id: AlertId,
    pub(crate) key: AlertKey,
    /// The worst it was.
    pub(crate) severity: Severity,
    pub(crate) since: Option<WallTime>,
    pub(crate) fired: Option<WallTime>,
    pub(crate) resolved: Option<WallTime>,
    /// Message of the alert when it fired.
    pub(crate) message: String,
    pub(crate) notifications: u64,
    /// Whether its sensor had spoken before it fired.
    heard: bool,
    /// Index in the list of alerts; none beyond [`MAX_ALERTS`].
    index: Option<usize>,
}

impl PastAlert {
    /// How long it fired, or has fired by `now`.
    pub(crate) fn lasted(&self, now: WallTime) -> Span {
        self.fired.map_or(Span::ZERO, |fired| self.resolved.unwrap_or(now) - fired)
    }
}

impl Totals {
    pub(crate) fn new(plan: &Plan) -> Totals {
        let sensor = |id: &SensorId| SensorTotals {
            id: id.clone(),
            heard: false,
            readings: 0,
            missing: 0,
            late: 0,
            not_believed: 0,
            faults: [0; FAULTS.len()],
            fault: None,
            unheard: 0,
        };
        Totals {
            rules: plan.rules().map(|rule| (rule.key.rule.clone(), RuleTotals::default())).collect(),
            sensors: plan.sensors().iter().map(|known| sensor(&known.id)).collect(),
            ..Totals::default()
        }
    }

    pub(crate) fn add(&mut self, effect: &Effect) {
        match effect {
            Effect::Reading(reading) => self.add_reading(reading),
            Effect::NoValue(sensor) => self.sensors[sensor.0 as usize].missing += 1,
            Effect::Alert(transition, details) => self.add_transition(transition, details),
            Effect::Page(page) => self.add_page(page),
            Effect::Sensor(event) => self.add_health(event),
            _ => {}
        }
    }

    fn add_reading(&mut self, reading: &Reading) {
        let index = reading.sensor.0 as usize;
        let sensor = &mut self.sensors[index];
        sensor.readings += 1;
        sensor.late += u64::from(reading.late);
        if matches!(reading.quality, Quality::Suspect | Quality::Fault | Quality::Stale) {
            sensor.not_believed += 1;
            self.first_doubt.get_or_insert((index, reading.at));
        }
    }

    fn add_health(&mut self, event: &SensorEvent) {
        let sensor = &mut self.sensors[event.sensor.0 as usize];
        sensor.fault = event.fault;
        if let Some(index) = event.fault.and_then(|fault| FAULTS.iter().position(|known| *known == fault)) {
            sensor.faults[index] += 1;
        }
    }

    fn add_transition(&mut self, transition: &Transition, details: &AlertDetails) {
        let Some(id) = details.alert else { return };
        match transition {
            Transition::Firing => self.fire(id, details),
            Transition::Escalated => {
                if let Some(alert) = self.open.get_mut(&id) {
                    alert.severity = alert.severity.max(details.severity);
                }
            }
            Transition::Resolved(_) => {
                if let Some(alert) = self.open.remove(&id) {
                    self.close(PastAlert { resolved: details.at.wall, ..alert }, details.at.wall);
                }
            }
            Transition::Pending | Transition::Acknowledged { .. } => {}
        }
    }

    fn add_page(&mut self, page: &Page) {
        let alert = self.open.get_mut(&page.id.alert);
        if alert.as_ref().is_some_and(|alert| !alert.heard) {
            self.unheard_notifications += 1;
            return;
        }
        self.rules.entry(page.details.key.rule.clone()).or_default().notifications += 1;
        if let Some(alert) = alert {
            alert.notifications += 1;
        }
    }

    fn fire(&mut self, id: AlertId, details: &AlertDetails) {
        let sensor = self.index(&details.key.sensor).map(|index| &mut self.sensors[index]);
        let unheard = sensor.filter(|sensor| !sensor.heard);
        let heard = unheard.is_none();
        let rule = self.rules.entry(details.key.rule.clone()).or_default();
        match unheard {
            Some(sensor) => (sensor.unheard, rule.unheard) = (sensor.unheard + 1, rule.unheard + 1),
            None => rule.fired += 1,
        }
        let index = (heard && self.alerts.len() < MAX_ALERTS).then_some(self.alerts.len());
        let alert = PastAlert {
            id,
            key: details.key.clone(),
            severity: details.severity,
            since: details.since.wall,
            fired: details.at.wall,
            resolved: None,
            message: details.message.clone(),
            notifications: 0,
            heard,
            index,
        };
        if index.is_some() {
            self.alerts.push(alert.clone());
        }
        self.open.insert(id, alert);
    }

    /// Books an alert that is over, or that is left when the recording ends.
    fn close(&mut self, alert: PastAlert, now: Option<WallTime>) {
        if alert.heard {
            let rule = self.rules.entry(alert.key.rule.clone()).or_default();
            let lasted = now.map_or(Span::ZERO, |now| alert.lasted(now));
            rule.longest = rule.longest.max(lasted);
            rule.total = Span(rule.total.0 + lasted.0);
        }
        if let Some(index) = alert.index {
            self.alerts[index] = alert;
        }
    }

    /// The recording ends here: what still fires has fired until now.
    pub(crate) fn finish(&mut self, now: WallTime) {
        for alert in self.open.clone().into_values() {
            self.close(alert, Some(now));
        }
    }

    /// The index of a sensor in `sensors`: they are in the order of the plan, which is that of their ids.
    fn index(&self, id: &SensorId) -> Option<usize> {
        self.sensors.binary_search_by(|sensor| sensor.id.cmp(id)).ok()
    }

    /// Whether people are better not shown a transition: its sensor has not spoken, or had not when the alert fired. The
    /// recording cannot tell then whether anything was wrong.
    pub(crate) fn is_unheard(&self, effect: &Effect) -> bool {
        let details = match effect {
            Effect::Alert(_, details) => details,
            Effect::Page(page) => &page.details,
            _ => return false,
        };
        match details.alert.and_then(|id| self.open.get(&id)) {
            Some(alert) => !alert.heard,
            None => self.index(&details.key.sensor).is_some_and(|index| !self.sensors[index].heard),
        }
    }

    /// What still fires, in the order in which it fired; of sensors that had spoken by then.
    pub(crate) fn heard_open(&self) -> impl Iterator<Item = &PastAlert> {
        self.open.values().filter(|alert| alert.heard)
    }

    /// How many alerts fired, of sensors that had spoken.
    pub(crate) fn fired(&self) -> u64 {
        self.rules.values().map(|rule| rule.fired).sum()
    }

    /// How often people were told of those.
    pub(crate) fn notifications(&self) -> u64 {
        self.rules.values().map(|rule| rule.notifications).sum()
    }

    pub(crate) fn of_sensors(&self, figure: impl Fn(&SensorTotals) -> u64) -> u64 {
        self.sensors.iter().map(figure).sum()
    }
}

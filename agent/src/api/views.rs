//! Rows made of the engine's views; the only place.

use serde_json::value::RawValue;
use tilth_core::alert::AlertId;
use tilth_core::effect::AlertDetails;
use tilth_core::engine::{AlertState, AlertView, Engine, Inhibition, ScheduleView, SensorView, SilenceView};
use tilth_core::id::SensorId;
use tilth_core::interlock::{self, ActuatorView, HeldBy, HoldView};
use tilth_core::reading::Quality;
use tilth_core::rules::DisplayValue;
use tilth_core::sensor::Sensor;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_core::value::{Steps, Value};

use super::rows::{ActuatorRow, AlertCounts, AlertRow, Digits, HoldRow, ScheduleRow, SensorRow, SilenceRow};
use crate::clock::Clock;
use crate::decide::{DecideState, explanation, why_unmatched};
use crate::transition::between;

/// RFC 3339 in UTC.
pub(super) fn wall(at: Option<WallTime>) -> Option<String> {
    at.map(|at| at.to_string())
}

pub(super) fn sensors(engine: &Engine, context: &DecideState, clock: &Clock) -> Vec<SensorRow> {
    let (plan, now) = (engine.plan(), now(engine, clock).uptime);
    let row = |view: SensorView| {
        let sensor = plan.sensor(view.sensor);
        let newest = view.newest;
        let (state, why) = state_of(engine, context, (sensor, newest), now).unzip();
        let (why, view) = (why.flatten(), &view);
        SensorRow {
            sensor: sensor.id.clone(),
            zone: sensor.zone.clone(),
            quantity: sensor.quantity.name().to_owned(),
            unit: sensor.quantity.unit().to_owned(),
            value: newest.and_then(|(value, _)| digits(Some(DisplayValue::Value(value)))),
            quality: view.quality.map(|quality| quality.name().to_owned()),
            at: newest.and_then(|(_, at)| wall(at.wall)),
            age_s: newest.map(|(_, at)| (now - at.uptime).as_secs_f64()),
            why: why.or_else(|| why_of_sensor(engine, context, view)),
            state,
        }
    };
    engine.sensors().map(row).collect()
}

/// State of the bus, hub or dosing that a sensor stands for, and its reason; none of a sensor that measures something.
fn state_of(
    engine: &Engine,
    context: &DecideState,
    (sensor, newest): (&Sensor, Option<(Value, Stamp)>),
    now: Uptime,
) -> Option<(String, Option<String>)> {
    let Some(bus) = &sensor.state_of_bus else {
        let (value, _) = newest?;
        let words = [(SensorId::hub_accepts(), ["refuses", "accepts"]), (SensorId::doses(), ["stopped", "allowed"])];
        let (_, words) = words.into_iter().find(|(id, _)| *id == sensor.id)?;
        return Some((words[usize::from(value.steps != Steps(0))].to_owned(), None));
    };
    if let Some(reason) = context.buses.get(bus)? {
        return Some(("down".to_owned(), Some(reason.clone())));
    }
    if let Some(why) = why_unmatched(engine, context, &sensor.id) {
        return Some(("up".to_owned(), Some(format!("lines come, and none has a value: {why}"))));
    }
    let silent = engine.bus_silent_since(bus).map(|since| {
        let span = Span((now - since.uptime).0.max(0) / 1000 * 1000).in_words();
        ("silent".to_owned(), Some(format!("no value from it for {span}")))
    });
    silent.or_else(|| Some(("up".to_owned(), None)))
}

/// Reason why a sensor has no good value.
fn why_of_sensor(engine: &Engine, context: &DecideState, view: &SensorView) -> Option<String> {
    let sensor = engine.plan().sensor(view.sensor);
    let fault = context.faults.get(&sensor.id).map(ToString::to_string);
    if let Some(why) = fault.or_else(|| engine.doubt(view.sensor)) {
        return Some(why);
    }
    if !matches!(view.quality, None | Some(Quality::Stale)) {
        return None;
    }
    let bus = sensor.bus.as_ref()?;
    match (context.buses.get(bus)?, context.missing.get(bus)) {
        (Some(_), _) => Some(format!("bus {bus} is down")),
        (None, Some(missing)) => missing.get(&sensor.id).map(ToString::to_string),
        (None, None) => view.quality.is_none().then(|| format!("no line has come from bus {bus}")),
    }
}

/// Time on the clock; the engine's own is that of its last input.
pub(super) fn now(engine: &Engine, clock: &Clock) -> Stamp {
    let Stamp { boot, uptime, wall } = engine.now();
    let since = (clock.uptime() - uptime).max(Span::ZERO);
    Stamp { boot, uptime: uptime + since, wall: wall.map(|WallTime(ms)| WallTime(ms.saturating_add(since.0))) }
}

/// Open alerts by number; with `all` pending ones too.
pub(super) fn alerts(engine: &Engine, context: &DecideState, clock: &Clock, all: bool) -> Vec<AlertRow> {
    let mut alerts: Vec<AlertRow> = engine
        .alerts()
        .filter(|view| all || !matches!(view.state, AlertState::Pending(_)))
        .map(|view| alert(&view, engine, context, now(engine, clock)))
        .collect();
    alerts.sort_by_key(|row| row.alert.unwrap_or(u64::MAX));
    alerts
}

fn alert(view: &AlertView, engine: &Engine, context: &DecideState, now: Stamp) -> AlertRow {
    let AlertView { state, silenced_until, inhibition, details } = view;
    let AlertDetails { key, severity, value, limit, since, reading_at, pages, message, advice, .. } = details;
    let (state, until) = match state {
        AlertState::Pending(until) => ("pending", *until),
        AlertState::Firing => ("firing", None),
        AlertState::Acknowledged(until) => ("acknowledged", Some(*until)),
    };
    let explanation = explanation(engine, context, key);
    let person = details.alert.filter(|_| until.is_some()).and_then(|alert| context.acknowledged_by.get(&alert));
    AlertRow {
        alert: details.alert.map(|AlertId(id)| id),
        zone: key.zone.clone(),
        rule: key.rule.clone(),
        sensor: key.sensor.clone(),
        state: state.to_owned(),
        severity: severity.name().to_owned(),
        value: digits(*value),
        limit: digits(*limit),
        since: wall(since.wall),
        for_s: between(*since, now).map_or(0.0, Span::as_secs_f64),
        reading_ts: reading_at.and_then(|at| at.wall).map(|WallTime(ms)| ms),
        until: until.and_then(|until| wall(until.wall)),
        left_s: until.map(|until| (until.uptime - now.uptime).as_secs_f64()),
        by: person.cloned(),
        silenced_until: silenced_until.and_then(|until| wall(until.wall)),
        silenced: silenced_until.is_some(),
        inhibited: inhibition.is_some(),
        inhibited_by: inhibition.and_then(|inhibition| inhibited_by(inhibition, engine, &key.sensor, now)),
        pages: *pages,
        message: message.clone(),
        advice: explanation.as_ref().and_then(|it| it.advice).or(advice.as_deref()).map(str::to_owned),
        why: explanation.map(|it| it.why).or_else(|| why_unmatched(engine, context, &key.sensor)),
    }
}

/// State of the bus that inhibits an alert of this sensor, in words.
fn inhibited_by(inhibition: Inhibition, engine: &Engine, sensor: &SensorId, now: Stamp) -> Option<String> {
    let known = engine.plan().sensor(engine.plan().sensor_ix(sensor.as_str())?);
    let bus = known.bus.as_ref().or(known.state_of_bus.as_ref())?;
    Some(match inhibition {
        Inhibition::Down => format!("bus {bus} is down"),
        Inhibition::Silent(since) => {
            let silent = Span((now.uptime - since.uptime).0 / 1000 * 1000).in_words();
            format!("no sensor of bus {bus} has spoken for {silent}")
        }
        Inhibition::Back(until) => {
            let left = Span((until.uptime - now.uptime).0 / 1000 * 1000).in_words();
            format!("bus {bus} is back, and {sensor} has another {left} to speak")
        }
        Inhibition::Undecided => format!("perhaps bus {bus} is silent, which is not known yet"),
    })
}

pub(super) fn silences(engine: &Engine, clock: &Clock) -> Vec<SilenceRow> {
    engine.silences().map(|view| silence(view, now(engine, clock).uptime)).collect()
}

pub(super) fn silence(view: SilenceView, now: Uptime) -> SilenceRow {
    let SilenceView { number, of, by, until } = view;
    let left_s = (until.uptime - now).as_secs_f64();
    SilenceRow { silence: number, zone: of.zone, rule: of.rule, sensor: of.sensor, by, until: wall(until.wall), left_s }
}

pub(super) fn actuators(engine: &Engine, clock: &Clock) -> Vec<ActuatorRow> {
    let now = now(engine, clock).uptime;
    engine.actuators().map(|view| actuator(view, now)).collect()
}

fn actuator(view: ActuatorView, now: Uptime) -> ActuatorRow {
    let ActuatorView { actuator, state, hour, day, min_off_left, held_by, unknown } = view;
    let (state, until) = match state {
        interlock::ActuatorState::Off => ("off", None),
        interlock::ActuatorState::Booking => ("booking", None),
        interlock::ActuatorState::On(until) => ("on", until),
        interlock::ActuatorState::Stopping(until) => ("stopping", until),
    };
    let seconds = |span: Option<Span>| span.map(Span::as_secs_f64);
    ActuatorRow {
        output: actuator.output.to_string(),
        enabled: actuator.enabled,
        state: state.to_owned(),
        left_s: until.map(|until| (until - now).max(Span::ZERO).as_secs_f64()),
        hour_s: hour.as_secs_f64(),
        dose_per_hour_s: seconds(actuator.dose_per_hour),
        day_s: day.as_secs_f64(),
        dose_per_day_s: seconds(actuator.dose_per_day),
        max_on_s: seconds(actuator.max_on),
        must_rest_s: seconds(min_off_left),
        held: !held_by.is_empty(),
        held_by: held_by.iter().map(ToString::to_string).collect(),
        doses_unknown: unknown,
        actuator: actuator.id,
        zone: actuator.zone,
    }
}

pub(super) fn holds(engine: &Engine, clock: &Clock) -> Vec<HoldRow> {
    let now = now(engine, clock);
    let hold = |HoldView { zone, by, until }: HoldView| {
        let left = until.map(|until| until - now.uptime);
        let until = left.and_then(|left| Some(WallTime(now.wall?.0.saturating_add(left.0))));
        let (by, switch) = match by {
            HeldBy::LostHistory => (None, None),
            HeldBy::Person(name) => (Some(name), None),
            HeldBy::Switch { ref sensor, .. } => (Some(by.to_string()), Some(sensor.clone())),
        };
        let (until, left_s) = (wall(until), left.map(Span::as_secs_f64));
        HoldRow { zone, by, switch, still_held_by: Vec::new(), until, left_s }
    };
    engine.holds().map(hold).collect()
}

pub(super) fn schedules(engine: &Engine) -> Vec<ScheduleRow> {
    let row = |view: ScheduleView| {
        let ScheduleView { schedule, zones, open, is_trusted, until } = view;
        ScheduleRow {
            schedule: schedule.id.clone(),
            zones: zones.into_iter().collect(),
            state: if open { "open" } else { "closed" }.to_owned(),
            trusted: is_trusted,
            until: wall(until),
            from: schedule.from.strftime("%H:%M").to_string(),
            to: schedule.to.strftime("%H:%M").to_string(),
            timezone: schedule.zone.iana_name().map(str::to_owned),
        }
    };
    engine.schedules().into_iter().map(row).collect()
}

pub(super) fn counts(engine: &Engine) -> AlertCounts {
    let mut counts = AlertCounts { silences: engine.silences().count() as u64, ..AlertCounts::default() };
    for view in engine.alerts() {
        if matches!(view.state, AlertState::Pending(_)) {
            counts.pending += 1;
            continue;
        }
        counts.open += 1;
        counts.acknowledged += u64::from(matches!(view.state, AlertState::Acknowledged(_)));
        counts.silenced += u64::from(view.silenced_until.is_some());
        counts.inhibited += u64::from(view.inhibition.is_some());
    }
    counts
}

/// A figure as a number in JSON, with the digits that people are shown.
pub(super) fn digits(figure: Option<DisplayValue>) -> Digits {
    RawValue::from_string(figure?.digits()?).ok()
}

//! Handlers about actuators: what each does, switching one, holding a zone.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use tilth_core::engine::{Engine, Input};
use tilth_core::id::Id;
use tilth_core::interlock::{self, Origin, Refusal, Wanted};
use tilth_core::time::Span;

use super::caller::MayChange;
use super::changes::{MAX_NAMED, name, span};
use super::handlers::{Answered, Api, Body, InPath, Parameters};
use super::problem::Problem;
use super::rows::{Actuate, ActuatorRow, Hold, HoldRow, Person};
use super::views;
use crate::clock::Clock;
use crate::console::listed;
use crate::decide::{DecideRequest, DecideState};
use crate::random;

/// A command that is not carried out within this time never is; shorter than the wait for its answer.
const EXPIRES: Span = Span(2500);

pub(super) async fn actuators(State(api): Api) -> Answered<ActuatorRow> {
    api.answer(api.query(|engine, _, clock| views::actuators(engine, clock)).await?)
}

pub(super) async fn holds(State(api): Api) -> Answered<HoldRow> {
    api.answer(api.query(|engine, _, clock| views::holds(engine, clock)).await?)
}

/// Switches an actuator; answers with the actuator as it is then, or why it was not switched.
pub(super) async fn actuate(
    State(api): Api,
    _: MayChange,
    actuator: InPath<String>,
    body: Body<Actuate>,
) -> Answered<ActuatorRow> {
    let (Path(actuator), Json(Actuate { on, for_s, by, command })) = (actuator?, body?);
    let wanted = match (on, for_s) {
        (true, for_s) => Wanted::On(for_s.map(span).transpose()?),
        (false, None) => Wanted::Off,
        (false, Some(_)) => return Err(Problem::bad_request("for_s goes with \"on\": true")),
    };
    let (by, expires) = (Origin::Person(name(&by)?), api.clock.uptime() + EXPIRES);
    let id = command.unwrap_or_else(random::command);
    let wanted_of = actuator.clone();
    let found = api.query(move |engine, _, _| find(engine, &wanted_of)).await??;
    let command = Box::new(interlock::Command { id, actuator: found, wanted, expires, by });
    match api.change(|answer| DecideRequest::Actuate { command, answer }).await? {
        Ok(()) => {
            let rows = api.query(|engine, _, clock| views::actuators(engine, clock)).await?;
            api.answer(rows.into_iter().filter(|row| row.actuator.as_str() == actuator).collect())
        }
        Err(refusal) => Err(refused(&actuator, &refusal)),
    }
}

/// Stops and locks the actuators of a zone; answers with the hold.
pub(super) async fn hold(State(api): Api, _: MayChange, body: Body<Hold>) -> Answered<HoldRow> {
    let Json(Hold { zone, for_s, by }) = body?;
    let (span, by) = (for_s.map(span).transpose()?, name(&by)?);
    let wanted = zone.clone();
    api.query(move |engine, _, _| check_zone(engine, &wanted)).await??;
    let change = interlock::ActuatorInput::Hold { zone: zone.clone(), span, by };
    let holds = |engine: &Engine, _: &DecideState, clock: &Clock| views::holds(engine, clock);
    let rows = api.change_and_query(Input::Actuator(change), holds).await?;
    let is_own = |row: &HoldRow| row.zone == zone && row.by.is_some() && row.switch.is_none();
    api.answer(rows.into_iter().filter(is_own).collect())
}

/// Ends the hold of a zone, or lets it dose again whose doses of before are unknown; answers with the hold as it was.
pub(super) async fn end_hold(
    State(api): Api,
    _: MayChange,
    zone: InPath<String>,
    parameters: Parameters<Person>,
) -> Answered<HoldRow> {
    let (Path(zone), Query(Person { by })) = (zone?, parameters?);
    let by = name(&by)?;
    let holds = api.query(|engine, _, clock| views::holds(engine, clock)).await?;
    let mut holds = holds.into_iter().filter(|row| row.zone.as_str() == zone);
    let Some(mut row) = holds.next() else {
        return Err(Problem::not_found(format!("zone {zone} is not on hold")));
    };
    if let Some(switch) = &row.switch {
        let how =
            "turn it off there; a switch that is broken is repaired, or its hold_while taken out of the configuration";
        return Err(Problem::conflict(format!("the switch {switch} holds zone {zone}: {how}")));
    }
    let zone = row.zone.clone();
    let change = match row.by {
        Some(_) => interlock::ActuatorInput::EndHold { zone, by },
        None => interlock::ActuatorInput::ReleaseDoses { zone, by },
    };
    api.change_and_query(Input::Actuator(change), |_, _, _| ()).await?;
    row.still_held_by = holds.filter_map(|other| other.by).collect();
    api.answer(vec![row])
}

pub(super) fn find(engine: &Engine, wanted: &str) -> Result<Id, Problem> {
    let actuators = engine.plan().actuators();
    if let Some((id, _)) = actuators.get_key_value(wanted) {
        return Ok(id.clone());
    }
    let known = actuators.keys().map(Id::as_str);
    let known = if actuators.is_empty() { "none is configured".to_owned() } else { listed(known, MAX_NAMED) };
    Err(Problem::not_found(format!("there is no actuator {wanted}; actuators: {known}")))
}

/// A hold of a zone without an actuator would be a misspelt one.
fn check_zone(engine: &Engine, zone: &Id) -> Result<(), Problem> {
    let zones: std::collections::BTreeSet<&str> =
        engine.plan().actuators().values().map(|actuator| actuator.zone.as_str()).collect();
    if zones.contains(zone.as_str()) {
        return Ok(());
    }
    let known = if zones.is_empty() { "none".to_owned() } else { listed(zones, MAX_NAMED) };
    Err(Problem::not_found(format!("no actuator is in zone {zone}; zones with actuators: {known}")))
}

fn refused(actuator: &str, refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::NoSuchActuator => StatusCode::NOT_FOUND,
        Refusal::NoTime => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    };
    Problem::new(status, format!("{actuator} stays off: {refusal}"))
}

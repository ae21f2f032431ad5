//! What becomes of a step, and of its event, as timelines of the person, the task of the bus and decide.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;

use super::*;

/// A person who asks for a step, and what the task of the bus and decide get of it.
fn asked() -> (
    impl Future<Output = Result<CalibrationStatus, String>>,
    mpsc::Receiver<CalibrationRequest>,
    mpsc::Receiver<DecideRequest>,
) {
    let ((requests, bus), (to_decide, decide)) = (mpsc::channel(1), mpsc::channel(1));
    let sensor = SensorId::new("tank/ph").unwrap();
    let wanted = Calibrate { sensor, step: CalibrationStep::Mid, value: Some(7.0), by: "anna".to_owned() };
    (ask(requests, wanted, to_decide), bus, decide)
}

const KEPT: CalibrationStatus = CalibrationStatus { points: Some(1), slope: Some([99.5, 100.5]) };

async fn event_of(decide: &mut mpsc::Receiver<DecideRequest>) -> Value {
    let Some(DecideRequest::StoreEvent("calibration", body)) = decide.recv().await else { panic!("no event") };
    body
}

fn taken() -> Value {
    json!({
        "sensor": "tank/ph", "step": "mid", "value": 7.0, "by": "anna",
        "points": 1, "slope_percent": [99.5, 100.5], "failed": null,
    })
}

#[tokio::test]
async fn a_step_that_is_taken_is_an_event() {
    let (person, mut bus, mut decide) = asked();
    let circuit = async {
        let request = bus.recv().await.unwrap();
        request.begun.send(()).unwrap();
        request.answer.send(Ok(KEPT)).unwrap();
        event_of(&mut decide).await
    };
    assert_eq!(tokio::join!(person, circuit), (Ok(KEPT), taken()));
}

/// Guards against: a point that the circuit has taken, and nothing that says who did it.
#[tokio::test]
async fn a_step_that_was_begun_is_an_event_also_when_the_person_hangs_up() {
    let (person, mut bus, mut decide) = asked();
    let mut person = Box::pin(person);
    let request = tokio::select! {
        _ = &mut person => panic!("ended"),
        request = bus.recv() => request.unwrap(),
    };
    request.begun.send(()).unwrap();
    drop(person);
    yield_now().await;
    request.answer.send(Ok(KEPT)).unwrap();
    assert_eq!(event_of(&mut decide).await, taken());
}

/// Guards against: an event that says a step failed which the circuit takes a second later.
#[tokio::test(start_paused = true)]
async fn an_event_says_how_a_step_ended_that_took_longer_than_the_person_waits() {
    let (person, mut bus, mut decide) = asked();
    let circuit = async {
        let request = bus.recv().await.unwrap();
        request.begun.send(()).unwrap();
        sleep(LONG_PATIENCE + Duration::from_secs(8)).await;
        request.answer.send(Ok(KEPT)).unwrap();
        event_of(&mut decide).await
    };
    let (said, event) = tokio::join!(person, circuit);
    assert!(said.is_err_and(|why| why.starts_with("no answer in 12 s, though the step has begun; ")));
    assert_eq!(event, taken());
}

/// Guards against: a step that is taken when the bus is back, minutes after the person was told that it is not.
#[tokio::test(start_paused = true)]
async fn a_step_that_has_not_begun_in_time_does_not_begin() {
    let (person, mut bus, mut decide) = asked();
    let circuit = async {
        let request = bus.recv().await.unwrap();
        sleep(LONG_PATIENCE + Duration::from_secs(1)).await;
        assert!(request.begun.send(()).is_err(), "expected the handler to wait no longer");
        request.answer.send(Err("not begun".to_owned())).unwrap();
        event_of(&mut decide).await["failed"].clone()
    };
    let (said, failed) = tokio::join!(person, circuit);
    assert!(said.is_err_and(|why| why.starts_with("no answer in 12 s, so the step will not be taken; ")));
    assert_eq!(failed, "not begun");
}

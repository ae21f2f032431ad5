use tilth_config::bundle::SigningKey;
use tilth_sync::engine::SyncProblem;

use super::*;
use crate::clock::{Clock, ClockMode};

#[tokio::test]
async fn problems_of_sync_are_shown_until_they_are_over() {
    let (to_decide, mut sent) = mpsc::channel(64);
    let (bundles, _received) = mpsc::channel(1);
    let (inputs, _inputs_out) = mpsc::channel(1);
    let status = SyncStatus::default();
    let mut reports = ReportReceiver {
        trusted: watch::channel(*SigningKey::from_seed(&[7; 32]).trusted()).1,
        bundles,
        to_decide,
        inputs,
        health: TaskHealth::new(Clock::new(ClockMode::EventTime)),
        status: status.clone(),
        last: LastReported::default(),
    };
    let problems = || json!(status.borrow().problems);
    let problem = SyncProblem { kind: ProblemKind::KeyRejected, reason: "401".to_owned() };
    reports.handle(Report::Problem(problem)).await;
    let first = sent.recv().await;
    assert!(matches!(first, Some(DecideRequest::Hub { accepts: false })), "rules on hub/accepts see it");
    let Some(DecideRequest::StoreDiagnostic("sync", body)) = sent.recv().await else {
        panic!("no diagnostic was stored")
    };
    assert_eq!((&body["alert"], &body["over"]), (&json!("key-refused"), &json!(false)));
    assert_eq!(problems(), json!({ "key-refused": "401" }));
    reports.handle(Report::ProblemOver(ProblemKind::KeyRejected)).await;
    assert_eq!(problems(), json!({}));
}

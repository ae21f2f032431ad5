use tilth_config::bundle::SigningKey;
use tilth_sync::engine::LocalAlert;

use super::*;
use crate::clock::{Clock, Source};

#[tokio::test]
async fn troubles_of_sync_are_shown_until_they_are_over() {
    let (commands, mut heard) = mpsc::channel(64);
    let (bundles, _received) = mpsc::channel(1);
    let (orders, _ordered) = mpsc::channel(1);
    let status = SyncStatus::of("http://127.0.0.1:1");
    let mut events = Events {
        trusted: watch::channel(*SigningKey::from_seed(&[7; 32]).trusted()).1,
        bundles,
        commands,
        orders,
        health: SharedMarks::new(Clock::new(Source::Input)),
        status: status.clone(),
        said: Said::default(),
    };
    let alerts = || {
        let shown = status.json(crate::configuration::BundleStatus::default()).expect("there is a hub");
        serde_json::from_str::<serde_json::Value>(shown.get()).expect("JSON")["alerts"].clone()
    };
    let alert = LocalAlert { kind: AlertKind::KeyRefused, reason: "401".to_owned() };
    events.hear(Report::LocalAlert(alert)).await;
    let first = heard.recv().await;
    assert!(matches!(first, Some(Command::Hub { accepts: false })), "people are told by an alert");
    let Some(Command::Diagnose("sync", body)) = heard.recv().await else { panic!("no word of it") };
    assert_eq!((&body["alert"], &body["over"]), (&json!("key-refused"), &json!(false)));
    assert_eq!(alerts(), json!({ "key-refused": "401" }));
    events.hear(Report::AllClear(AlertKind::KeyRefused)).await;
    assert_eq!(alerts(), json!({}));
}

//! A change of plan in the middle of a recording.

use tilth_config::{Document, Layer, base, load_documents};
use tilth_core::engine::Start;
use tilth_core::reading::{Quality, Raw};
use tilth_core::time::Uptime;

use super::*;

fn plan_of(sensors: &[&str]) -> Arc<Plan> {
    let text: String = sensors
        .iter()
        .map(|id| format!("[sensors.'{id}']\nquantity = 'ph'\ninterval = '1s'\nstale_after = '30s'\n"))
        .collect();
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "farm.toml", &text));
    Arc::new(load_documents(documents, Purpose::Replay).plan.unwrap())
}

/// A sensor falls silent, and before that is noticed it is configured away: what is said of it is said of it, and not of
/// the one that takes its place, or of none.
#[test]
fn what_was_due_under_the_plan_of_before_is_counted_in_that_plan() {
    let before = plan_of(&["z/a", "z/b"]);
    let engine = Engine::new(Arc::clone(&before), Start { boot: 1, at: Uptime(0), wall: None });
    let mut session = Session { engine, plan: Arc::clone(&before), widths: Widths::of(&before) };
    let sensor = before.sensor_ix("z/b").unwrap();
    let reading = Raw { sensor, at: Uptime(0), value: 6.0, quality: Quality::Good };
    session.engine.handle(Uptime(0), Input::Reading(reading));
    while session.poll().is_some() {}
    session.engine.handle(Uptime(100_000), Input::Plan(plan_of(&["z/a"])));
    let mut said = Vec::new();
    while let Some((effect, plan)) = session.poll() {
        if let Effect::Sensor(event) = effect {
            said.push(plan.sensor(event.sensor).id.to_string());
        }
    }
    assert_eq!(said, ["z/b"]);
    assert_eq!(session.plan.sensor_ix("z/b"), None);
}

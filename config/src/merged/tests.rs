use super::*;
use crate::base;

const FARM: &str = "
    [agent]
    timezone = 'Europe/Amsterdam'
    [schedules.day]
    from = '05:00'
    [sensors.'a/ph']
    quantity = 'ph'
    input = 'line:gateway/ph'
    [sensors.'b/ph']
    quantity = 'ph'
    input = 'line:gateway/ph2'
    calibration = { offset = 0.2 }
    [rules.ph-high]
    above = 6.6
    clear = 6.5
    during = 'day'
    [zones.b.rules.ph-low]
    enabled = false
    ";

#[test]
fn it_does_not_tell_where_channels_lead() {
    let channels = "
        [notifications.phone]
        kind = 'ntfy'
        url = 'https://ntfy.example:8443/path'
        topic = 'farm-8c1d'
        [notifications.office]
        kind = 'webhook'
        url = 'https://hooks.example/services/T1/B2/Xyz'
        secret = 'secret:office'
        [zones.b.notifications.phone]
        topic = 'other-8c1d'
        ";
    let agent_toml = "[device]\nid = 'pi-1' # the 'password' is hunter2\n[bus.gateway]\nkind = 'line'\nport = '/dev/tty#1' # hunter2\n";
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &format!("{FARM}{channels}")));
    let loaded =
        load_documents(Documents { agent_toml: Some(Document::agent_toml(agent_toml)), ..documents }, Purpose::Run);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let text = serde_json::to_string(&Merged::of(&loaded)).unwrap();
    for secret in ["8c1d", "path", "services", "Xyz", "hunter2"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let again = serde_json::from_str::<Merged>(&text).unwrap().load("recording", Purpose::Run);
    assert!(!again.has_errors(), "{:?}", again.diagnostics);
    assert_eq!(format!("{:?}", again.plan), format!("{:?}", loaded.plan));
    assert_eq!(again.agent_toml, loaded.agent_toml);
}

/// Guards against: a new kind of channel with keys whose privacy is not stated.
#[test]
fn every_text_of_a_channel_states_who_may_see_it() {
    for table in CHANNEL.all() {
        for key in table.keys() {
            let privacy = key.value.form().map(|form| form.privacy);
            assert_ne!(privacy, Some(Privacy::Unstated), "{} of {}", key.name, table.path);
        }
    }
}

/// What a plan depends on, after it was written down and read again.
#[test]
fn it_gives_the_same_plan_again() {
    let agent_toml = "[device]\nid = 'pi-1'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n";
    let documents = || {
        let mut documents = base();
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", FARM));
        Documents { agent_toml: Some(Document::agent_toml(agent_toml)), ..documents }
    };
    let loaded = load_documents(documents(), Purpose::Run);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let text = serde_json::to_string(&Merged::of(&loaded)).unwrap();
    let merged: Merged = serde_json::from_str(&text).unwrap();
    let again = merged.load("recording", Purpose::Run);
    assert!(!again.has_errors(), "{:?}", again.diagnostics);
    assert!(loaded.plan.as_ref().is_some_and(|plan| plan.sensor_ix("bus/gateway").is_some()));
    assert_eq!(format!("{:?}", again.plan), format!("{:?}", loaded.plan));
}

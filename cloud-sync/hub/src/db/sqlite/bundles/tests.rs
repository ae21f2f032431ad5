use serde_json::{Value as Json, json};
use tilth_config::bundle::{ContentHash, MAX_VERSION};
use tilth_core::id::Id;

use super::*;
use crate::db::context::{Actor, TenantContext};
use crate::db::sqlite::tests::in_memory;
use crate::domain::configs::MOST_AHEAD;

#[test]
fn versions_rise_whatever_is_shown() {
    let connection = in_memory();
    let key = SigningKey::from_seed(&[1; 32]);
    let now = WallTime(1_000);
    let tenant = devices::add_tenant(&connection, &Id::new("acme").unwrap(), now).unwrap().unwrap();
    let id = devices::add(&connection, tenant, &Id::new("pi-7").unwrap(), now).unwrap().unwrap();
    let names = (Id::new("acme").unwrap(), Id::new("pi-7").unwrap());
    let actor = Actor { who: "k1".to_owned(), origin: "local".to_owned() };
    let tenant = TenantContext::open(tenant, names.0.clone(), actor);
    let context = DeviceContext::of(tenant, id, names.1.clone());
    let device = || devices::get(&connection, id).unwrap();
    let put = |content: Json| {
        let (newest, shown) = (newest(&connection, id).unwrap(), device().shown_version);
        if let Some(newest) = newest.as_ref().filter(|newest| configs::is_in_place(newest, shown, &content)) {
            return (newest.version, false);
        }
        let version = configs::next_version(newest.map_or(0, |newest| newest.version), shown).unwrap();
        let signed = configs::sign(&key, (&names.0, &names.1), version, &content, now).unwrap();
        add(&connection, id, &signed).unwrap();
        (version, true)
    };
    let ask = |version, hash: Option<&str>| {
        let shown = HeldConfig { version, hash: hash.map(str::to_owned) };
        let found = answer(&connection, &context, &shown, &key, now).unwrap();
        found.map(|(reply, bundle)| (reply, bundle.version, bundle.hash))
    };
    let (one, two) = (json!({"rules": {}}), json!({"rules": {"a": {}}}));
    let hash = ContentHash::of(&two).to_string();
    assert_eq!(ask(0, None), None);
    assert_eq!(
        (put(one.clone()), put(one), put(two.clone()), put(two.clone())),
        ((1, true), (1, false), (2, true), (2, false))
    );
    assert_eq!(ask(0, None), Some((Reply::Send, 2, hash.clone())));
    assert_eq!(ask(9, Some(&hash)), Some((Reply::Renew, 10, hash.clone())));
    assert_eq!(ask(10, Some(&hash)), Some((Reply::Unchanged, 10, hash.clone())));
    assert_eq!(ask(20, None).map(|found| found.1), Some(21));
    assert_eq!(put(two), (21, false));

    // Not so far that no version would be left.
    let far = |version| answer(&connection, &context, &HeldConfig { version, hash: None }, &key, now).map(|_| ());
    assert!(matches!(far(21 + MOST_AHEAD + 1), Err(DbError::Configuration(ConfigError::Ahead { issued: 21, .. }))));
    assert!(matches!(far(MAX_VERSION), Err(DbError::Configuration(ConfigError::Ahead { issued: 21, .. }))));
    assert_eq!((device().shown_version, put(json!({"rules": {"b": {}}}))), (20, (22, true)));
    far(22 + MOST_AHEAD).unwrap();
}

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Purpose, load_documents};

/// Keys are sorted, numbers as short as they can be written.
const GOLDEN: &str = r#"tilth-bundle 1
key 56475aa75463474c
signature 26268765b27b5168d551d778acd8e5f71d6ec6c6950268a2523b72d298fad9086b26637ea0d0fe29dcb86f0cf5f199892eb266350c6b7da86bd687e004d4530e
length 307

{"format":1,"version":7,"client":"acme","device":"pi-7","issued":1763683200000,"content_hash":"36cf3d1a730aca347ec831fd830deec001c66bbda47505d7789a81640b859766","content":{"sensors":{"tower-1/ph":{"input":"line:gateway/ph","quantity":"ph","resolution":0.01}},"zones":{"tower-1":{"rules":{"ph-high":null}}}}}"#;

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed(&std::array::from_fn(|at| at as u8))
}

fn content() -> Json {
    json!({
        "sensors": {"tower-1/ph": {"quantity": "ph", "input": "line:gateway/ph", "resolution": 0.01}},
        "zones": {"tower-1": {"rules": {"ph-high": null}}},
    })
}

fn sealed(version: u64, content: &Json, key: &SigningKey) -> Vec<u8> {
    let (client, device) = (id("acme"), id("pi-7"));
    seal(&Draft { version, client: &client, device: &device, issued: WallTime(1_763_683_200_000), content }, key)
}

fn read(bytes: &[u8]) -> Result<Bundle, BundleError> {
    verify(bytes, key().trusted(), &id("acme"), &id("pi-7"))
}

#[test]
fn the_bytes_of_format_1_are_frozen() {
    let bytes = sealed(7, &content(), &key());
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), GOLDEN);
    let bundle = read(&bytes).unwrap();
    assert_eq!((bundle.version, bundle.issued), (7, WallTime(1_763_683_200_000)));
    assert_eq!(bundle.content, content());
    assert_eq!(bundle.hash, ContentHash::of(&content()));
    assert_eq!(bundle.hash.to_string().parse(), Ok(bundle.hash));
}

#[test]
fn what_is_no_bundle_for_this_device_is_refused() {
    let bytes = sealed(7, &content(), &key());
    let text = String::from_utf8(bytes.clone()).unwrap();
    let signature = text.lines().nth(2).unwrap();
    let payload = text.lines().nth(5).unwrap();
    let stranger = SigningKey::from_seed(&[9; 32]);
    let forged = String::from_utf8(sealed(7, &content(), &stranger)).unwrap();
    let renamed = forged.replace(&stranger.trusted().id().to_string(), &key().trusted().id().to_string());
    for (bytes, expected) in [
        ("", "not a bundle; expected it to begin with \"tilth-bundle 1\""),
        ("<html>\n", "not a bundle; expected it to begin with \"tilth-bundle 1\""),
        (&text.replace("bundle 1", "bundle 2"), "a bundle of format 2; this program reads format 1"),
        (&text.replace(&format!("{signature}\n"), ""), "the bundle is not signed"),
        (&text.replace(signature, "signature none"), "the bundle is not signed"),
        (
            &text.replace(signature, "signature 00"),
            "the bundle's head is damaged: expected a line signature and 128 hex digits",
        ),
        (&text.replace("key ", "kee "), "the bundle's head is damaged: expected a line key and 16 hex digits"),
        (
            &text[..text.len() - 1],
            &format!("the bundle is truncated: {} of {} bytes of its payload", payload.len() - 1, payload.len()),
        ),
        (&format!("{text}\n"), "the bundle has 1 bytes after its end"),
        (&text.replace("0.01", "0.02"), "the bundle's signature is wrong"),
        (&renamed, "the bundle's signature is wrong"),
        (
            &forged,
            &format!(
                "the bundle is signed by the key {}; this device trusts {}",
                stranger.trusted().id(),
                key().trusted().id()
            ),
        ),
    ] {
        assert_eq!(read(bytes.as_bytes()).unwrap_err().to_string(), expected);
    }
    let other = verify(&bytes, key().trusted(), &id("acme"), &id("pi-8"));
    assert_eq!(other.unwrap_err().to_string(), "the bundle is for acme/pi-7");
    let other = verify(&bytes, key().trusted(), &id("acme-2"), &id("pi-7"));
    assert_eq!(other.unwrap_err().to_string(), "the bundle is for acme/pi-7");
}

#[test]
fn each_way_that_two_bundles_stand_to_each_other() {
    let bundle = read(&sealed(7, &content(), &key())).unwrap();
    let (same, other) = (bundle.hash, ContentHash::of(&json!({})));
    for (running, expected) in [
        (None, BundleOrder::Newer),
        (Some((6, other)), BundleOrder::Newer),
        (Some((6, same)), BundleOrder::SameContent),
        (Some((7, same)), BundleOrder::Active),
        (Some((7, other)), BundleOrder::Older),
        (Some((8, same)), BundleOrder::Older),
        (Some((8, other)), BundleOrder::Older),
    ] {
        assert_eq!(bundle.against(running), expected, "{running:?}");
    }
}

#[test]
fn a_content_compiles_as_the_files_that_it_came_from() {
    let files = [
        (
            "config.d/a.toml",
            "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\nresolution = 0.01\n",
        ),
        ("config.d/b.toml", "[rules.ph-high]\nsensor = \"tower-1/ph\"\nabove = 6.8\nfor = \"5m\"\n"),
        ("config.d/c.toml", "[rules.ph-high]\nabove = 6.9\n[zones.tower-1.rules.ph-high]\nabove = 7.0\n"),
    ];
    let mut documents = base();
    documents.layers.extend(files.map(|(file, text)| Document::toml(Layer::ConfigD, file, text)));
    let from_files = load_documents(documents, Purpose::Replay);
    let content = content_of(&from_files);
    assert_eq!(content["rules"]["ph-high"], json!({"sensor": "tower-1/ph", "above": 6.9, "for": "5m"}));
    assert_eq!(content["zones"]["tower-1"]["rules"]["ph-high"], json!({"above": 7.0}));
    assert_eq!(content["escalation"], Json::Null, "the base is not part of it");

    let bundle = read(&sealed(1, &content, &key())).unwrap();
    let from_bundle = load_documents(bundle.documents(), Purpose::Replay);
    assert_eq!(from_bundle.diagnostics, [], "{:?}", from_files.diagnostics);
    assert!(from_bundle.plan.is_some());
    assert_eq!(format!("{:?}", from_bundle.plan), format!("{:?}", from_files.plan));
}

fn content_of(loaded: &Loaded) -> Json {
    super::content(loaded)
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn any_change_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = sealed(7, &content(), &key());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn any_beginning_is_refused(length in any::<prop::sample::Index>()) {
        let bytes = sealed(7, &content(), &key());
        prop_assert!(read(&bytes[..length.index(bytes.len())]).is_err());
    }
}

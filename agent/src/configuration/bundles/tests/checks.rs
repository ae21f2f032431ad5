//! Bundles that are applied, rejected, or only renumbered.

use super::*;

/// The bundle may be what mends it; what is wrong on site must not have it refused for good.
#[test]
fn a_bundle_goes_with_the_agent_toml_of_before_where_that_is_broken_now() {
    run(async {
        let folder = folder();
        let agent_toml = fs::read_to_string(folder.join("agent.toml")).unwrap();
        fs::write(folder.join("agent.toml"), agent_toml.replace("port", "prot")).unwrap();
        let mut bench = bench(folder);
        let (five, six) = (bench.seal(5, "30"), bench.seal(6, "31"));
        let (said, planned) = bench.take(&five).await;
        assert!(said.is_some_and(|said| said.contains("bus.gateway.prot")) && !planned, "none before was good");

        fs::write(bench.folder.join("agent.toml"), &agent_toml).unwrap();
        assert_eq!(bench.take(&six).await, (Some("applied 6: ".to_owned()), true));
        fs::write(bench.folder.join("agent.toml"), agent_toml.replace("port", "prot")).unwrap();
        let seven = bench.seal(7, "32");
        assert_eq!(bench.take(&seven).await, (Some("applied 7: ".to_owned()), true));
        assert_eq!(bench.good(), Some(seven));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn what_cannot_be_used_leaves_the_last_good_one_and_says_why() {
    run(async {
        let mut bench = bench(folder());
        let five = bench.seal(5, "30");
        assert_eq!(bench.take(&five).await, (Some("applied 5: ".to_owned()), true));
        assert_eq!(bench.good().as_deref(), Some(&*five));
        assert!(bench.held.version == 5 && bench.held.etag.is_some());
        bench.settles().await;
        assert!(bench.inputs.recv().await.is_some());

        let six = bench.seal(6, "31");
        let other = SigningKey::from_seed(&[8; 32]);
        let text = String::from_utf8(six.clone()).unwrap();
        let signature = text.lines().find(|line| line.starts_with("signature ")).unwrap();
        for (bytes, expected) in [
            (text.replace(&format!("{signature}\n"), "").into_bytes(), "refused 6: the bundle is not signed"),
            (sealed(&other, "pi", 6, "31"), "refused 6: the bundle is signed by the key"),
            (text.replace("31", "99").into_bytes(), "refused 6: the bundle's signature is wrong"),
            (six[..six.len() - 1].to_vec(), "refused null: the bundle is truncated"),
            (bench.seal(4, "31"), "refused 4: version 4 is not above the running version 5"),
            (bench.seal(5, "31"), "refused 5: version 5 is not above the running version 5"),
            (sealed(&bench.key, "pi-2", 6, "31"), "refused 6: the bundle is for acme/pi-2"),
            (bench.seal(6, "much"), "refused 6: it has errors: bundle 6: error: rules.hot.above"),
            (b"<html>".to_vec(), "refused null: not a bundle"),
            (Vec::new(), "refused null: not a bundle"),
        ] {
            let (said, planned) = bench.take(&bytes).await;
            assert!(said.as_ref().is_some_and(|said| said.starts_with(expected)), "{expected}: {said:?}");
            assert!(!planned, "{expected}");
            assert_eq!(bench.good().as_deref(), Some(&*five), "{expected}");
            let shown = bench.shown();
            assert_eq!(shown["bundle"]["version"], 5);
            assert!(expected.contains(&shown["rejected"]["reason"].as_str().unwrap()[..10]), "{shown}");
            assert_eq!(bench.state()["trial"], Value::Null, "{expected}");
            // The rejection is remembered, also over a restart.
            assert_eq!(bench.take(&bytes).await, (None, false), "{expected}");
            bench = bench.again().await;
            assert_eq!(bench.take(&bytes).await, (None, false), "{expected}");
            assert!(bench.shown()["rejected"]["reason"].is_string());
        }

        assert_eq!(bench.take(&six).await, (Some("applied 6: ".to_owned()), true));
        assert_eq!(bench.shown()["rejected"], Value::Null);
        assert_eq!(bench.shown()["ignored"], json!(["config.d/site.toml"]));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn the_same_content_starts_nothing_anew() {
    run(async {
        let mut bench = bench(folder());
        let (one, two) = (bench.seal(1, "30"), bench.seal(2, "30"));
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        assert_eq!(bench.take(&one).await, (None, false));
        assert_eq!(bench.take(&two).await, (Some("same-content 2: ".to_owned()), false));
        assert_eq!(bench.good().as_deref(), Some(&*two));
        assert_eq!(bench.held.version, 2);
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn a_bundle_that_the_agent_does_not_outlive_is_given_up() {
    run(async {
        let mut bench = bench(folder());
        let one = bench.seal(1, "30");
        for _ in 0..MAX_ATTEMPTS {
            let _answered = bench.send(&one).await;
            // The process ends before an answer.
            while !matches!(bench.requests.recv().await.unwrap(), DecideRequest::Barrier(_)) {}
            assert_eq!(bench.good(), None);
            bench = bench.again().await;
        }
        let (said, planned) = bench.take(&one).await;
        assert_eq!((said.as_deref(), planned), (Some("refused 1: the agent ended 3 times while applying it"), false));
        let two = bench.seal(2, "31");
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

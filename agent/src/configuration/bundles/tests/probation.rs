//! Bundles on probation.

use tilth_core::time::Span;

use super::*;

/// A device whose hub and its key `agent.toml` names, and under whose bundle 1 the sensor is good.
pub(super) async fn proven() -> (Bench, Vec<u8>) {
    let folder = folder();
    let hub = "[hub]\nurl = 'http://127.0.0.1:1'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'\n";
    let agent_toml = fs::read_to_string(folder.join("agent.toml")).unwrap();
    fs::write(folder.join("agent.toml"), agent_toml + hub).unwrap();
    let mut bench = bench(folder.clone());
    fs::write(folder.join("hub.pub"), bench.key.trusted().to_string()).unwrap();
    let one = bench.seal(1, "30");
    assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
    bench.settles().await;
    (bench, one)
}

/// Guards against: a rejected bundle that is downloaded with every pull, on a link that is paid by the byte.
#[test]
fn the_hub_need_not_send_a_rejected_bundle_again() {
    run(async {
        let (mut bench, _) = proven().await;
        let (before, two) = (bench.held.clone(), bench.seal(2, "much"));
        assert!(bench.take(&two).await.0.is_some_and(|said| said.starts_with("refused 2: ")));
        let content = bench.state()["refused"]["content"].as_str().unwrap().to_owned();
        let shown = NewestBundle { version: 2, etag: Some(format!("\"{content}\"")) };
        assert_eq!(bench.held, shown);
        bench = bench.again().await;
        assert_eq!(bench.held, shown, "nor after a restart");
        let again = bench.retry().await.unwrap_err();
        assert!(again.starts_with("rejected again: "), "{again}");
        assert_eq!(bench.take(&bench.seal(3, "31")).await, (Some("applied 3: ".to_owned()), true));
        assert_eq!(bench.held.version, 3);
        assert_ne!(bench.held.etag, before.etag);
        // What may not be the hub's at all is never shown as known.
        let forged = sealed(&SigningKey::from_seed(&[8; 32]), "pi", 900, "31");
        assert!(bench.take(&forged).await.0.is_some_and(|said| said.starts_with("refused 900")));
        assert_eq!(bench.again().await.held.version, 3);
    });
}

const SILENT: &str = "refused 2: reverted: room/temp has had no value for 30s";

/// Every edge beyond `on probation` of the chart above this module.
#[test]
fn a_bundle_passes_its_probation_or_the_one_before_returns_until_another_comes_or_a_person_says_retry() {
    run(async {
        let (mut bench, one) = proven().await;
        let two = bench.seal(2, "31");
        bench.silences = true;
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        assert_eq!((bench.good(), bench.state()["probation"]["version"].clone()), (Some(two.clone()), json!(2)));
        assert_eq!(bench.said().await, SILENT);
        bench.settles().await;
        assert_eq!(bench.good(), Some(one.clone()));
        assert_eq!(bench.shown()["bundle"]["version"], 1);
        // The hub is shown that this version is known, and does not send it again.
        let content = bench.state()["refused"]["reverted"]["content"].as_str().unwrap().to_owned();
        assert_eq!(bench.held, NewestBundle { version: 2, etag: Some(format!("\"{content}\"")) });
        assert_eq!(bench.take(&two).await, (None, false), "it is not tried again");
        bench = bench.again().await;
        assert_eq!(bench.held, NewestBundle { version: 2, etag: Some(format!("\"{content}\"")) });
        assert_eq!(bench.take(&two).await, (None, false), "nor after a restart");

        assert_eq!(bench.retry().await, Ok(2));
        assert_eq!((bench.good(), bench.shown()["rejected"].clone()), (Some(two), Value::Null));
        bench.settles().await;
        bench.until(|bench| !bench.folder.join("bundle.before").exists()).await;
        assert_eq!(bench.retry().await, Err("no bundle is rejected".to_owned()));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn a_bundle_that_comes_within_a_probation_returns_to_the_one_before_both() {
    run(async {
        let (mut bench, one) = proven().await;
        let (two, three, four) = (bench.seal(2, "31"), bench.seal(3, "31"), bench.seal(4, "32"));
        bench.silences = true;
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        assert_eq!(bench.take(&three).await, (Some("same-content 3: ".to_owned()), false));
        assert_eq!(bench.take(&four).await, (Some("applied 4: ".to_owned()), true));
        assert_eq!(bench.said().await, SILENT.replace("refused 2", "refused 4"));
        bench.settles().await;
        assert_eq!(bench.good(), Some(one));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// Guards against: an agent that crashes, is started again, crashes ..
#[test]
fn a_probation_goes_on_after_an_end_that_nobody_noted_and_not_after_a_crash_or_too_many() {
    run(async {
        for (ends, expected) in [
            (vec![None, Some("told to stop"), Some("told to stop"), Some("told to stop")], None),
            (vec![Some("decide: it panicked")], Some("the agent ended within its probation: decide: it panicked")),
            (vec![None, None, None], Some("the agent ended 3 times within its probation")),
        ] {
            let (mut bench, one) = proven().await;
            let two = bench.seal(2, "31");
            assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
            for end in ends {
                assert_eq!(bench.good().as_ref(), Some(&two));
                bench.end().await;
                if let Some(why) = end {
                    let why = Some(why).filter(|why| *why != "told to stop");
                    BundleFiles::new(&bench.folder).save_end(why).unwrap();
                }
                bench = bench.again().await;
            }
            match expected {
                Some(reason) => {
                    assert_eq!(bench.said().await, format!("refused 2: reverted: {reason}"));
                    bench.settles().await;
                    assert_eq!(bench.good(), Some(one));
                    assert_eq!(bench.shown()["bundle"]["version"], 1);
                }
                None => {
                    assert_eq!(bench.shown()["bundle"]["version"], 2);
                    assert_eq!(bench.state()["probation"]["times"], 2);
                }
            }
            fs::remove_dir_all(&bench.folder).unwrap();
        }
    });
}

/// Guards against: a bundle without readings that stays for good since the disk was read-only when it was to be reverted.
#[test]
fn a_bundle_that_failed_does_not_pass_because_reverting_it_failed_at_first() {
    run(async {
        let (mut bench, one) = proven().await;
        let two = bench.seal(2, "31");
        bench.silences = true;
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        let in_the_way = bench.folder.join("bundle.reverted");
        fs::create_dir_all(in_the_way.join("full")).unwrap();
        bench
            .until(|bench| {
                bench.shown()["pending_reason"].as_str().is_some_and(|why| why.contains("reverting it failed"))
            })
            .await;
        // The sensor speaks again, for longer than it takes to pass.
        bench.has_sensor = true;
        let later = bench.clock.uptime() + Span::from_secs(90);
        bench.until(|bench| bench.clock.uptime() > later).await;
        assert_eq!(bench.state()["probation"]["version"], 2);
        fs::remove_dir_all(in_the_way).unwrap();
        assert_eq!(bench.said().await, SILENT);
        bench.settles().await;
        assert_eq!(bench.good(), Some(one));
    });
}

/// Guards against: a good bundle that is reverted for a technician's mistake in `agent.toml`, which stays.
#[test]
fn a_bundle_is_not_reverted_for_files_that_changed_after_it() {
    run(async {
        let (mut bench, _) = proven().await;
        let two = bench.seal(2, "31");
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        bench.until(|bench| bench.shown()["probation"] == json!([])).await;
        bench.edit("port = 'p'", "port = 'p'\nbaud = 9600").await;
        bench.has_sensor = false;
        bench.settles().await;
        assert_eq!((bench.good(), &bench.shown()["rejected"]), (Some(two), &Value::Null));
        let last = bench.diagnostics.last().unwrap();
        assert_eq!(
            (&last["state"], &last["reason"]),
            (&json!("warning"), &json!(SILENT.split_once("reverted: ").unwrap().1))
        );
    });
}

/// Guards against: sensors that nobody judges, and a `retry` that knows of no rejected bundle, since the state could not be read at the
/// start.
#[test]
fn a_state_that_can_be_read_again_resumes_a_probation_and_has_what_was_rejected() {
    run(async {
        let (mut bench, _) = proven().await;
        let two = bench.seal(2, "31");
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        bench.end().await;
        bench = bench_of(bench.folder.clone(), None);
        bench.until(|bench| bench.shown()["probation"] == json!(["room/temp"])).await;
        assert_eq!(bench.state()["probation"]["times"], 2);

        bench.plan(Arc::new(Plan::new(Vec::new(), Vec::new()).unwrap()));
        assert_eq!(bench.said().await, SILENT);
        bench.settles().await;
        bench.end().await;
        let (state, aside) = (bench.folder.join("bundle.state"), bench.folder.join("aside"));
        fs::rename(&state, &aside).unwrap();
        std::os::unix::fs::symlink(".", &state).unwrap();
        bench = bench_of(bench.folder.clone(), None);
        let unreadable = "bundle.state is damaged: a folder is there; expected a file";
        assert_eq!(bench.retry().await, Err(unreadable.to_owned()));
        fs::rename(&aside, &state).unwrap();
        assert_eq!(bench.retry().await, Ok(2));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// Guards against: a bundle that is reported as reverted though it never ran.
#[test]
fn a_probation_that_was_saved_before_its_bundle_is_forgotten() {
    run(async {
        let (mut bench, one) = proven().await;
        bench.end().await;
        let mut state = bench.state();
        state["probation"] = json!({
            "hash": "2", "trusted": "", "version": 2, "content": "2", "times": 1, "sensors": {},
        });
        fs::write(bench.folder.join("bundle.state"), state.to_string()).unwrap();
        bench = bench.again().await;
        bench.settles().await;
        assert_eq!((bench.good(), &bench.shown()["rejected"]), (Some(one), &Value::Null));
    });
}

/// Guards against: an agent that runs one bundle while its disk has another one for the next start.
#[test]
fn a_bundle_that_stays_since_nothing_before_it_can_be_used_is_on_the_disk_too() {
    run(async {
        let (mut bench, _) = proven().await;
        let two = bench.seal(2, "31");
        bench.silences = true;
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        fs::write(bench.folder.join("bundle.before"), "damaged").unwrap();
        fs::write(bench.folder.join("agent.toml"), "[device").unwrap();
        bench.settles().await;
        assert_eq!((bench.good(), &bench.shown()["rejected"]), (Some(two), &Value::Null));
    });
}

/// Guards against: an `agent.toml` that is cut short and takes effect at once, since it is as long as the one before the bundle.
#[test]
fn changed_files_are_compared_with_those_that_a_bundle_began_with() {
    run(async {
        let (mut bench, _) = proven().await;
        let path = bench.folder.join("agent.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{before}[bus.spare]\nkind = 'line'\nport = 'q'\n")).unwrap();
        assert_eq!(bench.take(&bench.seal(2, "31")).await, (Some("applied 2: ".to_owned()), true));
        fs::write(path, before).unwrap();
        bench.changes.send(std::time::Instant::now()).await.unwrap();
        bench.until(|bench| !bench.diagnostics.is_empty()).await;
        assert_eq!(bench.diagnostics[0]["state"], "waiting", "{:?}", bench.diagnostics);
    });
}

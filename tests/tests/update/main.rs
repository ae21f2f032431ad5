//! `tilth-agent update` with the real dpkg in a root of its own: a signed package is installed and stays, or the old version returns with its
//! data, whenever the power is cut.

mod bench;

use tilth_config::bundle::SigningKey;
use tilth_tests::random::Random;

use self::bench::{Bench, KEY, NEW, OLD, Package};

/// Seed of the delays before power cuts.
const SEED: u64 = 10;

#[test]
fn a_signed_package_is_installed_and_stays_and_an_older_one_only_when_it_is_asked_for() {
    let mut bench = Bench::new("update-good");
    bench.mark("before");
    let stick = bench.stick("stick", &[Package::works(NEW)], &KEY);
    let run = bench.update(&[stick.as_str()]);
    assert_eq!(run.code, Some(0), "{}{}\n{}", run.out, run.err, bench.log());
    let said = format!("updated from {OLD} to {NEW}: everything works as before");
    assert!(
        run.out.contains("waiting until everything works as before") && run.out.ends_with(&format!("{said}\n")),
        "{}",
        run.out
    );
    assert_eq!(bench.installed(), format!("install ok installed {NEW}"));
    assert_eq!(bench.running(), NEW);
    assert_eq!(bench.marks(), ["before"]);
    bench.until("the agent has noted the update", |bench| bench.notes().contains(&said));
    assert_eq!(bench.left(), ["state.json"]);
    let status = bench.update(&["--status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(
        [&status["state"], &status["from"], &status["to"], &status["message"]],
        ["updated", OLD, NEW, said.as_str()]
    );
    let again = bench.update(&[stick.as_str()]);
    assert_eq!((again.code, again.err.trim()), (Some(0), "tilth-agent: version 2.0-1 is installed already"));
    let older = bench.stick("older", &[Package::works(OLD)], &KEY);
    let refused = bench.update(&[older.as_str()]);
    let said = "version 1.0-1 is older than 2.0-1, which is installed; --allow-downgrade installs it all the same";
    assert!(refused.code == Some(1) && refused.err.contains(said), "{}", refused.err);
    let file = format!("{older}/tilth-agent_1.0-1_{}.deb", bench.architecture);
    let run = bench.update(&[file.as_str(), "--allow-downgrade"]);
    assert_eq!(run.code, Some(0), "{}{}\n{}", run.out, run.err, bench.log());
    assert_eq!((bench.running(), bench.marks()), (OLD.to_owned(), vec!["before".to_owned()]));
}

/// Guards against: a package that nobody signed, or that cannot run here, being installed.
#[test]
fn what_is_not_right_changes_nothing() {
    let mut bench = Bench::new("update-refused");
    let process = bench.process();
    bench.while_locked(|bench| {
        let run = bench.update(&["no-such-stick"]);
        assert!(run.code == Some(1) && run.err.contains("an update is under way"), "{}", run.err);
    });
    let stranger = SigningKey::from_seed(&[9; 32]);
    let unsigned = bench.stick("unsigned", &[Package::works(NEW)], &KEY);
    std::fs::remove_file(format!("{unsigned}/SHA256SUMS.signed")).unwrap();
    let changed = bench.stick("changed", &[Package::works(NEW)], &KEY);
    bench.damage(&changed);
    let elsewhere = Package { architecture: "m68k", ..Package::works(NEW) };
    let other = Package { name: "tilth-hub", ..Package::works(NEW) };
    let broken = Package { script: Some("exit 3"), ..Package::works(NEW) };
    let older = Package { script: Some("echo '{\"layout\":1}'"), ..Package::works(NEW) };
    let hangs = Package { script: Some("sleep 1000"), ..Package::works(NEW) };
    let file = |folder: &str, package: &Package| format!("{folder}/{}", package.file(&bench.architecture));
    let cases = [
        (unsigned, "no signed list of sums"),
        (bench.stick("stranger", &[Package::works(NEW)], &stranger), "the list of sums is signed by the key"),
        (changed, "not the package that was signed: its SHA-256 is"),
        (
            file(&bench.stick("elsewhere", std::slice::from_ref(&elsewhere), &KEY), &elsewhere),
            "the package is for m68k",
        ),
        (
            file(&bench.stick("other", std::slice::from_ref(&other), &KEY), &other),
            "the package is tilth-hub; expected tilth-agent",
        ),
        (
            bench.stick("broken", &[broken], &KEY),
            "the package tilth-agent 2.0-1 cannot be installed: its program does not start here: tilth-agent: exit status: 3",
        ),
        (
            bench.stick("hangs", &[hangs], &KEY),
            "the package tilth-agent 2.0-1 cannot be installed: its program does not start here: no answer within 3 s: run the same command again",
        ),
        (bench.stick("layout", &[older], &KEY), "version 2.0-1 cannot open the database: it knows layouts up to 1"),
        (bench.stick("empty", &[], &KEY), "the list has no tilth-agent_"),
    ];
    for (path, expected) in cases {
        let run = bench.update(&[path.as_str()]);
        assert!(run.code == Some(1) && run.err.contains(expected), "{path}: {}; expected {expected}", run.err);
        assert!(run.err.contains("nothing was changed"), "{}", run.err);
        assert_eq!(bench.installed(), format!("install ok installed {OLD}"));
        assert!(bench.left().is_empty(), "{path} leaves {:?}", bench.left());
    }
    assert_eq!(bench.process(), process, "the agent was restarted");
}

#[test]
fn a_version_that_does_not_run_is_taken_back() {
    let mut bench = Bench::new("update-dead");
    bench.mark("before");
    let stick = bench.stick("stick", &[Package::dies()], &KEY);
    let run = bench.update(&[stick.as_str()]);
    assert_eq!(run.code, Some(1), "{}{}\n{}", run.out, run.err, bench.log());
    assert!(run.out.contains("update to 2.0-1 failed, 1.0-1 is back: it has not answered for"), "{}", run.out);
    assert_eq!((bench.installed(), bench.running()), (format!("install ok installed {OLD}"), OLD.to_owned()));
    assert_eq!(bench.marks(), ["before"]);
    bench.until("the agent has noted it", |bench| bench.notes().contains("1.0-1 is back"));
}

/// Guards against: an old version in front of a database that it cannot open.
#[test]
fn the_old_version_returns_with_its_data_where_the_new_one_changed_their_layout() {
    let mut bench = Bench::new("update-layout");
    bench.mark("before");
    let stick = bench.stick("stick", &[Package::changes_layout()], &KEY);
    let run = bench.update(&[stick.as_str()]);
    assert_eq!(run.code, Some(1), "{}{}\n{}", run.out, run.err, bench.log());
    assert!(run.out.contains("1.0-1 is back: it has not answered for"), "{}", run.out);
    assert!(bench.changed_layout(), "the new version did not change the layout");
    assert_eq!((bench.running(), bench.marks()), (OLD.to_owned(), vec!["before".to_owned()]));
}

/// Guards against: the new version's last script, which starts it, being run once more over the database that was put back; and other packages
/// being configured where they cannot see the system.
#[test]
fn the_old_version_returns_with_its_data_where_the_installation_was_cut_off_in_a_script() {
    let mut bench = Bench::new("update-script");
    bench.mark("before");
    let stick = bench.stick("stick", &[Package::changes_layout()], &KEY);
    bench.begin(&[&stick]);
    bench.until("the new version ran", Bench::changed_layout);
    bench.until_state("proving");
    bench.cut_power();
    bench.cut_in_script();
    bench.unpack_other();
    bench.boot();
    assert_eq!(bench.ended(), OLD);
    assert_eq!((bench.running(), bench.marks()), (OLD.to_owned(), vec!["before".to_owned()]), "{}", bench.log());
    assert_eq!(bench.state_of("other"), "install ok unpacked 1.0");
}

/// Guards against: a version that nobody tried being praised, and a farm that nobody watches after it.
#[test]
fn an_agent_that_does_not_answer_is_not_updated_and_without_one_there_is_no_trial() {
    let mut bench = Bench::new("update-silent");
    let stick = bench.stick("stick", &[Package::works(NEW)], &KEY);
    let hangs = bench.hang_agent();
    let run = bench.update(&[stick.as_str()]);
    assert!(run.code == Some(1) && run.err.contains("the agent runs and does not answer"), "{}", run.err);
    assert_eq!(bench.installed(), format!("install ok installed {OLD}"));
    drop(hangs);
    bench.systemctl("stop");
    let run = bench.update(&[stick.as_str()]);
    assert_eq!(run.code, Some(0), "{}{}\n{}", run.out, run.err, bench.log());
    let said = "updated from 1.0-1 to 2.0-1: no agent ran, so it was not tried; it takes the configuration as 1.0-1 does; the agent stays stopped: ";
    assert!(run.out.contains(said), "{}", run.out);
    bench.unpack_other();
    let older = bench.stick("older", &[Package::works(OLD)], &KEY);
    let run = bench.update(&[older.as_str(), "--allow-downgrade"]);
    assert!(
        run.code == Some(1) && run.err.contains("the package other is unpacked: sudo dpkg --configure -a"),
        "{}",
        run.err
    );
}

/// Guards against: pumps that an update switches on under the hands of whoever has stopped the agent, and a farm that the next boot leaves alone.
#[test]
fn a_service_that_is_stopped_or_disabled_is_so_afterwards_too() {
    let mut bench = Bench::new("update-service");
    let good = bench.stick("good", &[Package::works(NEW)], &KEY);
    let back = bench.stick("back", &[Package::works(OLD)], &KEY);
    let dies = bench.stick("dies", &[Package::dies()], &KEY);
    let refuses = bench.stick("refuses", &[Package::refuses()], &KEY);
    let stopped = "; the agent stays stopped: sudo systemctl start tilth-agent";
    let disabled = "; the service stays disabled: it does not start at boot";
    bench.systemctl("disable");
    for (stick, code, said) in [
        (&dies, 1, "update to 2.0-1 failed, 1.0-1 is back: it has not answered for"),
        (&good, 0, "updated from 1.0-1 to 2.0-1: everything works as before"),
        (&back, 0, "updated from 2.0-1 to 1.0-1: everything works as before"),
    ] {
        let run = bench.update(&[stick.as_str(), "--allow-downgrade"]);
        assert!(run.code == Some(code) && run.out.contains(said), "{}{}\n{}", run.out, run.err, bench.log());
        assert!(run.out.ends_with(&format!("{disabled}\n")), "{}", run.out);
        assert_eq!(bench.service(), "disabled active", "{}", bench.log());
        // One that was just started is asked by the next update, which does not wait for long.
        bench.works();
    }
    let starts = bench.starts();
    bench.systemctl("stop");
    for (verb, service, note) in [
        ("disable", "disabled inactive", format!("{stopped}{disabled}")),
        ("enable", "enabled inactive", stopped.to_owned()),
    ] {
        bench.systemctl(verb);
        for (stick, code, said) in [
            (
                &refuses,
                1,
                "1.0-1 is back: it does not take the configuration, which 1.0-1 takes: tilth-agent: exit status: 2: error: unknown key 'bus'",
            ),
            (
                &good,
                0,
                "updated from 1.0-1 to 2.0-1: no agent ran, so it was not tried; it takes the configuration as 1.0-1 does",
            ),
            (
                &back,
                0,
                "updated from 2.0-1 to 1.0-1: no agent ran, so it was not tried; it takes the configuration as 2.0-1 does",
            ),
        ] {
            let run = bench.update(&[stick.as_str(), "--allow-downgrade"]);
            assert_eq!(run.code, Some(code), "{}{}\n{}", run.out, run.err, bench.log());
            assert!(run.out.ends_with(&format!("{said}{note}\n")), "{}", run.out);
            assert_eq!((bench.service(), bench.starts()), (service.to_owned(), starts), "{}", bench.log());
        }
    }
    // After a power cut an agent that is enabled runs, and one that is not where it ran before.
    for (verb, service) in [("enable", "enabled active"), ("start", "enabled active"), ("disable", "disabled active")] {
        bench.systemctl(verb);
        let stick = if bench.installed().ends_with(OLD) { &good } else { &back };
        bench.begin(&[stick, "--allow-downgrade"]);
        bench.until_state("installing");
        bench.cut_power();
        bench.boot();
        let version = bench.ended();
        bench.until("the service is as it was", |bench| bench.service() == service);
        assert_eq!((bench.installed(), bench.running()), (format!("install ok installed {version}"), version));
    }
}

/// Guards against: an update that is neither begun nor over, and what became of the last one told once more.
#[test]
fn a_power_cut_while_it_is_prepared_leaves_nothing_begun_and_one_after_that_an_update_that_goes_on() {
    let mut bench = Bench::new("update-begin");
    let good = bench.stick("good", &[Package::works(NEW)], &KEY);
    let back = bench.stick("back", &[Package::works(OLD)], &KEY);
    assert_eq!(bench.update(&[good.as_str()]).code, Some(0), "{}", bench.log());
    let last = "updated from 1.0-1 to 2.0-1: everything works as before";
    let noted = |bench: &Bench| bench.notes().matches(last).count();
    bench.until("the agent has noted the update", |bench| noted(bench) == 1);
    for (renamed, version, said) in [
        (1, NEW, last),
        (
            2,
            NEW,
            "update to 1.0-1 was not begun, 2.0-1 stays: the command was cut off before it could begin; run it again",
        ),
        (3, OLD, "updated from 2.0-1 to 1.0-1: everything works as before"),
    ] {
        bench.cut_after(renamed, &[&back, "--allow-downgrade"]);
        bench.boot();
        bench.until(said, |bench| bench.status() == said);
        bench.until("the unit is done", |bench| !bench.left().contains(&"tilth-agent".to_owned()));
        assert_eq!(bench.installed(), format!("install ok installed {version}"), "{renamed}: {}", bench.log());
        bench.mark(&format!("after {renamed}"));
        assert_eq!((bench.running(), noted(&bench)), (version.to_owned(), 1), "{renamed}: {}", bench.log());
    }
}

/// Guards against: a package or a database in pieces, and nobody who watches.
#[test]
fn a_power_cut_at_any_time_leaves_a_running_agent_with_its_data() {
    let mut bench = Bench::new("update-cuts");
    let mut random = Random::new(SEED);
    let good = bench.stick("good", &[Package::works(NEW)], &KEY);
    let back = bench.stick("back", &[Package::works(OLD)], &KEY);
    let layout = bench.stick("layout", &[Package::changes_layout()], &KEY);
    let mut marks = Vec::new();
    let mut ended = Vec::new();
    for (stick, state, latest_ms) in [
        (&good, "staged", 30),
        (&back, "installing", 30),
        (&good, "installing", 300),
        (&back, "installing", 600),
        (&good, "proving", 500),
        (&back, "proving", 500),
        (&layout, "staged", 200),
        (&layout, "installing", 600),
        (&layout, "proving", 2000),
        (&layout, "returning", 50),
        (&layout, "returning", 400),
        (&layout, "returning", 900),
    ] {
        let mark = format!("mark {}", marks.len());
        bench.mark(&mark);
        marks.push(mark);
        bench.begin(&[stick, "--allow-downgrade"]);
        bench.until_state(state);
        std::thread::sleep(std::time::Duration::from_millis(random.below(latest_ms)));
        bench.cut_power();
        bench.boot();
        let version = bench.ended();
        let installed = bench.installed();
        assert_eq!(installed, format!("install ok installed {version}"), "{state} of {stick}: {}", bench.log());
        assert_eq!(bench.running(), version, "{state} of {stick}: {}", bench.log());
        assert_eq!(bench.marks(), marks, "{state} of {stick}: {}", bench.log());
        ended.push((state, version));
    }
    println!("{ended:?}");
    let versions = [OLD, NEW].map(|version| ended.iter().filter(|(_, ended)| ended == version).count());
    assert!(versions.iter().all(|count| *count > 0), "expected both versions: {ended:?}");
}

/// Guards against: a new version that takes the machine down, again and again.
#[test]
fn a_trial_that_is_cut_off_three_times_is_over() {
    let mut bench = Bench::new("update-loop");
    let stick = bench.stick("stick", &[Package::works(NEW)], &KEY);
    bench.begin(&[&stick]);
    for cuts in 0..3 {
        bench.until_cuts(cuts);
        bench.cut_power();
        bench.boot();
    }
    assert_eq!(bench.ended(), OLD);
    let said = bench.update(&["--status"]).out;
    assert_eq!(said.trim(), "update to 2.0-1 failed, 1.0-1 is back: the trial was cut off 3 times");
    assert_eq!(bench.running(), OLD);
}

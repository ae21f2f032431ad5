//! A disk that refuses to save a bundle.

use super::*;

/// Guards against: a good bundle that is refused for ever, since it was counted as tried whenever it could not be written.
#[test]
fn a_bundle_that_cannot_be_kept_waits_and_is_not_refused() {
    run(async {
        for obstacle in ["bundle.good.new", "bundle.state.new"] {
            let mut bench = bench(folder());
            let one = bench.seal(1, "30");
            // A folder in its place: also root cannot write there.
            fs::create_dir(bench.folder.join(obstacle)).unwrap();
            bench.waits(&one, "bundle 1 waits: saving it failed, will retry: Is a directory").await;
            bench = bench.again().await;
            bench.waits(&one, "bundle 1 waits: saving it failed, will retry: Is a directory").await;
            fs::remove_dir(bench.folder.join(obstacle)).unwrap();
            assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
            assert_eq!(bench.good().as_deref(), Some(&*one));
            assert_eq!(bench.shown()["pending_reason"], Value::Null);
            fs::remove_dir_all(&bench.folder).unwrap();
        }
    });
}

/// Guards against: `retry` that says a bundle is active while it waits for the disk, and is then never tried again; a restart after it
/// that has forgotten the rejection.
#[test]
fn a_bundle_that_cannot_be_kept_at_retry_stays_rejected() {
    run(async {
        // The last one is in the way after the trial was saved.
        for obstacle in ["bundle.state.new", "bundle.good.new", "bundle.before.new"] {
            let (mut bench, _) = super::probation::proven().await;
            let two = bench.seal(2, "31");
            bench.silences = true;
            assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
            bench.said().await;
            bench.settles().await;
            fs::create_dir(bench.folder.join(obstacle)).unwrap();
            let expected = "it stays rejected, for saving it failed: Is a directory (os error 21)";
            assert_eq!(bench.retry().await, Err(expected.to_owned()), "{obstacle}");
            for start in ["before a restart", "after it"] {
                assert_eq!(bench.take(&two).await, (None, false), "{obstacle}, {start}: the hub may send it again");
                let shown = bench.shown();
                let rejected = (shown["rejected"]["version"].clone(), shown["pending_reason"].clone());
                assert_eq!(rejected, (json!(2), Value::Null), "{obstacle}, {start}");
                bench = bench.again().await;
            }
            fs::remove_dir(bench.folder.join(obstacle)).unwrap();
            assert_eq!(bench.retry().await, Ok(2));
            assert_eq!((bench.good(), bench.shown()["rejected"].clone()), (Some(two), Value::Null));
            fs::remove_dir_all(&bench.folder).unwrap();
        }
    });
}

#[test]
fn a_bundle_in_force_is_kept_once_the_disk_takes_it() {
    run(async {
        let mut bench = bench(folder());
        let one = bench.seal(1, "30");
        let good = bench.folder.join("bundle.good");
        fs::create_dir(&good).unwrap();
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        let shown = bench.shown();
        assert_eq!(shown["bundle"]["version"], 1);
        assert!(
            shown["pending_reason"].as_str().is_some_and(|said| said.starts_with("bundle 1 applied; saving it failed"))
        );
        fs::remove_dir(&good).unwrap();
        tokio::time::pause();
        tokio::time::sleep(SAVE_AGAIN * 2).await;
        assert_eq!(bench.good().as_deref(), Some(&*one));
        assert_eq!(bench.shown()["pending_reason"], Value::Null);
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

const SMALL_DISK: &str = "TILTH_BUNDLES_TEST_SMALL_DISK";

/// The other process, in a world of its own where the folder is a small disk: full, then read-only, then well.
#[test]
fn lives_on_a_small_disk() {
    let Some(folder) = std::env::var_os(SMALL_DISK).map(PathBuf::from) else { return };
    let remount = |mode: &str| {
        let done = process::Command::new("mount").args(["-o", &format!("remount,{mode}")]).arg(&folder).status();
        assert!(done.unwrap().success(), "{mode}");
    };
    run(async {
        configure(&folder);
        let mut bench = bench(folder.clone());
        let (one, two) = (bench.seal(1, "30"), bench.seal(2, "31"));
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        let ballast = folder.join("ballast");
        assert!(fs::write(&ballast, vec![1; 8 << 20]).is_err(), "full");
        bench.waits(&two, "bundle 2 waits: saving it failed, will retry: No space left on device").await;
        fs::remove_file(&ballast).unwrap();
        remount("ro");
        bench = bench.again().await;
        bench.waits(&two, "bundle 2 waits: saving it failed, will retry: Read-only file system").await;
        remount("rw");
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        assert_eq!(bench.good().as_deref(), Some(&*two));
    });
    println!("small disk: passed");
}

/// Needs to mount; where that is not allowed it says so and is done: folders in the way of a file are tried everywhere.
#[test]
fn a_disk_that_is_full_or_read_only_refuses_no_bundle() {
    let folder = folder();
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" && \
        exec \"$2\" configuration::bundles::tests::disk::lives_on_a_small_disk --exact --nocapture";
    let done = process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "--user", "sh", "-c", script, "sh"])
        .args([&folder, &std::env::current_exe().unwrap()])
        .env(SMALL_DISK, &folder)
        .output();
    match done {
        Ok(output) => {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let began = out.contains("running 1 test");
            assert!(!began || out.contains("small disk: passed"), "{out}\n{err}");
            println!("{}", if began { "tried" } else { "not tried: it may not mount here" });
        }
        Err(error) => println!("not tried: {error}"),
    }
    fs::remove_dir_all(&folder).unwrap();
}

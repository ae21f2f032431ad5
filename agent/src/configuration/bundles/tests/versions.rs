//! Versions never go down, whichever file is lost.

use super::*;

/// Guards against: a rejected or older bundle that is taken after all, for what was remembered could not be read at the start.
#[test]
fn what_is_remembered_and_cannot_be_read_is_not_replaced_and_rules_once_it_can() {
    run(async {
        let folder = folder();
        // Not a folder of this name: it is replaced at once.
        std::os::unix::fs::symlink(".", folder.join("bundle.state")).unwrap();
        let mut bench = bench_of(folder.clone(), None);
        let (four, six) = (bench.seal(4, "30"), bench.seal(6, "31"));
        for _ in 0..2 {
            let held = NewestBundle { version: 0, etag: None };
            assert_eq!(bench.hear(&four).await, (None, false, Some(held)), "so that it comes again");
            let waits = bench.shown()["pending_reason"].clone();
            assert_eq!(waits, "a bundle waits: bundle.state is damaged: a folder is there; expected a file");
        }
        fs::write(folder.join("readable"), r#"{"highest":5,"refused":null}"#).unwrap();
        fs::rename(folder.join("readable"), folder.join("bundle.state")).unwrap();
        let said = "refused 4: version 4 is below version 5, which was running before";
        assert_eq!(bench.take(&four).await, (Some(said.to_owned()), false));
        assert_eq!(bench.take(&six).await, (Some("applied 6: ".to_owned()), true));
        assert_eq!(bench.shown()["pending_reason"], Value::Null);
        fs::remove_dir_all(&folder).unwrap();
    });
}

/// Guards against: an old bundle that somebody sends again, and that is taken because the one after it was lost.
#[test]
fn versions_do_not_go_down_where_the_last_good_one_is_lost() {
    run(async {
        let mut bench = bench(folder());
        let (four, five) = (bench.seal(4, "30"), bench.seal(5, "31"));
        assert_eq!(bench.take(&five).await, (Some("applied 5: ".to_owned()), true));
        // Either of the two files is enough.
        fs::remove_file(bench.folder.join("bundle.state")).unwrap();
        bench = bench.again().await;
        assert_eq!(bench.take(&five).await, (None, false));
        assert_eq!(bench.state()["highest"], 5);
        fs::remove_file(bench.folder.join("bundle.good")).unwrap();
        bench = bench.again().await;

        assert_eq!(bench.held, NewestBundle { version: 5, etag: None });
        let said = "refused 4: version 4 is below version 5, which was running before";
        assert_eq!(bench.take(&four).await, (Some(said.to_owned()), false));
        bench = bench.again().await;
        assert_eq!(bench.take(&bench.seal(3, "29")).await.0.as_deref().map(|said| &said[..9]), Some("refused 3"));
        assert_eq!(bench.take(&five).await, (Some("applied 5: ".to_owned()), true));
        assert!(bench.held.etag.is_some());
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// The highest version was active when the disk failed, and the agent started again with an older one.
#[test]
fn the_highest_version_comes_again_over_an_older_one() {
    run(async {
        let mut bench = bench(folder());
        let (one, two, three) = (bench.seal(1, "30"), bench.seal(2, "30"), bench.seal(3, "31"));
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        assert_eq!(bench.take(&three).await, (Some("applied 3: ".to_owned()), true));
        fs::write(bench.folder.join("bundle.good"), &one).unwrap();
        bench = bench.again().await;
        assert_eq!(bench.held, NewestBundle { version: 3, etag: None });
        assert_eq!(bench.take(&one).await, (None, false));
        let said = "refused 2: version 2 is below version 3, which was running before";
        assert_eq!(bench.take(&two).await, (Some(said.to_owned()), false));
        assert_eq!(bench.take(&three).await, (Some("applied 3: ".to_owned()), true));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

//! The thread with a real store: it commits by the caller's clock, answers, and goes on after problems.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tilth_protocol::{GapKind, Lane};

use super::*;
use crate::store::Found;
use crate::store::handle::LAST_WAIT;
use crate::store::questions::Unanswered;
use crate::store::tests::farm::{Farm, Folder, booted, note, open, options};
use crate::store::tests::law;

const POLICY: Policy =
    Policy { keep_days: 7, has_hub: true, most_bytes: u64::MAX, least_free_bytes: 0, events_bytes: u64::MAX };

struct Bench {
    folder: Folder,
    store_writer: StoreWriter,
    handle: StoreHandle,
    thread: JoinHandle<()>,
    news: Arc<Mutex<Vec<String>>>,
}

fn bench(most_pages: Option<u32>) -> Bench {
    let folder = Folder::new();
    let options = Options { most_pages, ..options() };
    let (mut store, _) = Store::open(&folder.database(), &options).unwrap();
    store.begin_boot("boot-a", 0).unwrap();
    let news = Arc::new(Mutex::new(Vec::new()));
    let settings = settings(options, Arc::clone(&news));
    let (store_writer, handle, thread) = start(|| InitialStore::Open(Box::new(store)), settings).unwrap();
    Bench { folder, store_writer, handle, thread, news }
}

fn settings(options: Options, heard: Arc<Mutex<Vec<String>>>) -> Settings {
    let word = move |news: StoreReport<'_>| {
        heard.lock().unwrap().push(match news {
            StoreReport::Committed(_, lanes) => format!("rows {}", lanes.of(Lane::Events).committed),
            StoreReport::WriteFailed(error) => error.to_string(),
            StoreReport::OpenedLate(earlier, _) => format!("boot {}, known {}", earlier.boot, earlier.has_boots),
            StoreReport::Recovered => "recovered".to_owned(),
            StoreReport::Dropped(losses) => format!("dropped {}", losses.iter().count()),
            StoreReport::DropsRecorded(losses) => {
                let said =
                    losses.iter().map(|(cause, lost)| format!("{:?} {}", lost.counts().collect::<Vec<_>>(), cause));
                said.collect::<Vec<_>>().join("; ")
            }
            StoreReport::DeletesOldest(what, reason) => format!("{what}: {reason}"),
            StoreReport::FileReplaced => "file replaced".to_owned(),
            StoreReport::Replaced(opened) => format!("replaced: {}", matches!(opened.found, Found::Damaged { .. })),
        });
    };
    Settings {
        interval: Span::from_secs(10),
        policy: POLICY,
        options,
        free_bytes: Box::new(|| None),
        report: Box::new(word),
    }
}

/// The thread's part without a thread.
fn thread_of(store: Store, news: &Arc<Mutex<Vec<String>>>) -> StoreThread {
    let (jobs, received) = mpsc::sync_channel(QUEUE);
    let progress = StoreWriter::new(jobs, Span::from_secs(10)).progress();
    let (initial, settings) = (InitialStore::Open(Box::new(store)), settings(options(), Arc::clone(news)));
    StoreThread::new(initial, settings, received, progress, ReadAccess::default())
}

fn ask<T: Send + 'static>(handle: &StoreHandle, question: impl FnOnce(&mut Store) -> T + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    handle.change(move |store| answer.send(question(store)).unwrap()).unwrap();
    answered.recv_timeout(Duration::from_secs(20)).unwrap()
}

fn readings(store: &mut Store) -> usize {
    store.reader().readings_after(0).unwrap().len()
}

/// Commits what waits; says whether it is on the disk.
fn flush(store_writer: &StoreWriter) -> bool {
    let (answer, answered) = mpsc::channel();
    store_writer.flush(move |done| answer.send(done).unwrap()).unwrap();
    answered.recv_timeout(Duration::from_secs(20)).unwrap()
}

/// How many readings are stored, once there are as many as expected; a question may come before the commit it asks about.
fn settled(handle: &StoreHandle, expected: usize) -> usize {
    let mut tries = (0..500).map(|_| {
        let found = ask(handle, readings);
        if found < expected {
            std::thread::sleep(Duration::from_millis(10));
        }
        found
    });
    tries.find(|found| *found >= expected).unwrap_or(0)
}

#[test]
fn readings_wait_for_their_block_and_events_do_not() {
    let (mut bench, mut farm) = (bench(None), Farm::new(1));
    for second in 0..25 {
        farm.read(0, f64::from(second), Span(0));
        bench.store_writer.record(farm.take());
        // Blocks of the seconds 0 to 10 and 11 to 21.
        let expected = [0, 11, 22][usize::from(second >= 10) + usize::from(second >= 21)];
        assert_eq!(settled(&bench.handle, expected), expected, "after {second} s");
        farm.wait(Span::from_secs(1));
    }
    let mut commit = farm.take();
    commit.events.push(note(farm.now, "now"));
    bench.store_writer.record(commit);
    assert_eq!(settled(&bench.handle, 25), 25);
    assert!(flush(&bench.store_writer));
    assert!(bench.news.lock().unwrap().contains(&"rows 1".to_owned()));
    bench.store_writer.stop();
    bench.thread.join().unwrap();
}

#[test]
fn stopping_commits_what_waits() {
    let (mut bench, mut farm) = (bench(None), Farm::new(3));
    for _ in 0..5 {
        (0..3).for_each(|sensor| farm.read(sensor, 20.0, Span(0)));
        bench.store_writer.record(farm.take());
    }
    bench.handle.change(|store| assert!(!store.confirm(Lane::Events, 1))).unwrap();
    bench.store_writer.stop();
    bench.thread.join().unwrap();
    assert_eq!(open(&bench.folder).0.reader().readings_after(0).unwrap().len(), 15);
}

/// A store that is slow, or stands still: recording does not wait, and nothing is lost below the limits.
#[test]
fn recording_never_waits_for_the_store() {
    let (mut bench, mut farm) = (bench(None), Farm::new(1));
    let (let_go, held) = mpsc::channel::<()>();
    bench.handle.change(move |_| held.recv().unwrap_or_default()).unwrap();
    let began = std::time::Instant::now();
    for n in 0..4 * QUEUE {
        farm.wait(Span(100));
        farm.read(0, n as f64 % 50.0, Span(0));
        bench.store_writer.record(farm.take());
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(bench.handle.change(|_| ()), Err(Unanswered::Busy)));
    let_go.send(()).unwrap();
    bench.store_writer.stop();
    bench.thread.join().unwrap();
    assert_eq!(open(&bench.folder).0.reader().readings_after(0).unwrap().len(), 4 * QUEUE);
}

/// Full, and on again by itself when there is room; said once each.
#[test]
fn a_problem_is_said_once_and_recording_resumes() {
    let (mut bench, mut farm) = (bench(Some(360)), Farm::new(8));
    let mut minutes = 0;
    // Each minute is a commit of its own: how many go together would be the scheduler's to say.
    while flush(&bench.store_writer) {
        assert!(minutes < 3000);
        minute(&mut bench, &mut farm, &mut minutes);
    }
    for _ in 0..5 {
        minute(&mut bench, &mut farm, &mut minutes);
        assert!(!flush(&bench.store_writer), "dosing hears that nothing is booked");
    }
    ask(&bench.handle, |store| store.reader().0.pragma_update(None, "max_page_count", 10_000).unwrap());
    minute(&mut bench, &mut farm, &mut minutes);
    let committed = ask(&bench.handle, |store| store.lanes().of(Lane::Events).committed);
    bench.store_writer.stop();
    bench.thread.join().unwrap();
    let news = bench.news.lock().unwrap();
    let problems = |word: &str| news.iter().filter(|news| *news == word).count();
    assert_eq!((problems("the disk is full"), problems("recovered")), (1, 1), "{committed} {news:?}");
    assert_eq!(open(&bench.folder).0.lanes().of(Lane::Events).committed, minutes);
    drop(booted(&bench.folder));
}

fn minute(bench: &mut Bench, farm: &mut Farm, minutes: &mut u64) {
    let sensors = farm.calibrated.plan.sensors().len() as u32;
    (0..sensors).for_each(|sensor| farm.read(sensor, 20.0, Span(0)));
    farm.wait(Span::from_mins(1));
    let mut commit = farm.take();
    commit.events.push(note(farm.now, &"a minute ".repeat(20)));
    *minutes += 1;
    bench.store_writer.record(commit);
}

#[test]
fn stopping_does_not_wait_for_a_disk_that_hangs() {
    let (mut bench, mut farm, mut minutes) = (bench(None), Farm::new(1), 0);
    let progress = bench.store_writer.progress();
    minute(&mut bench, &mut farm, &mut minutes);
    assert!(flush(&bench.store_writer));
    assert_eq!(progress.unwritten_from(), None);
    let written = farm.now;
    let ((begin, begun), (let_go, held)) = (mpsc::channel(), mpsc::channel::<()>());
    let hang = move |_: &mut Store| {
        begin.send(()).unwrap();
        held.recv().unwrap_or_default();
    };
    bench.handle.change(hang).unwrap();
    begun.recv().unwrap();
    while bench.handle.change(|_| ()).is_ok() {}
    minute(&mut bench, &mut farm, &mut minutes);
    let began = Instant::now();
    bench.store_writer.stop();
    assert!(began.elapsed() < LAST_WAIT + Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(progress.unwritten_from() > Some(written), "{:?}", progress.unwritten_from());
    drop(let_go);
    drop(bench.handle);
    bench.thread.join().unwrap();
}

/// A file that breaks under a running store: what waits goes into a new one, in the same boot.
#[test]
fn a_database_that_breaks_is_replaced_and_recording_goes_on() {
    let (mut bench, mut farm, mut minutes) = (bench(None), Farm::new(2), 0);
    minute(&mut bench, &mut farm, &mut minutes);
    assert!(flush(&bench.store_writer));
    let database = bench.folder.database();
    let (boot, stream) = ask(&bench.handle, move |store| {
        let connection = &store.reader().0;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let length = std::fs::metadata(&database).unwrap().len() as usize;
        std::fs::write(&database, vec![b'x'; length]).unwrap();
        connection.execute_batch("PRAGMA shrink_memory").unwrap();
        (store.boot.number, store.stream())
    });
    minute(&mut bench, &mut farm, &mut minutes);
    let mut tries = 0;
    while !bench.news.lock().unwrap().contains(&"replaced: true".to_owned()) && tries < 500 {
        tries += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    let found =
        ask(&bench.handle, |store| (store.boot.number, store.stream(), store.lanes().of(Lane::Events).committed));
    assert_eq!((found.0, found.2), (boot, 1), "{:?}", bench.news.lock().unwrap());
    assert_ne!(found.1, stream);
    bench.store_writer.stop();
    bench.thread.join().unwrap();
}

/// Guards against: a database without the boot, the clock and the open alerts of the run that writes to it.
#[test]
fn a_database_in_the_place_of_another_is_reported_though_its_first_transaction_failed() {
    let (mut bench, mut farm, mut minutes) = (bench(None), Farm::new(1), 0);
    minute(&mut bench, &mut farm, &mut minutes);
    assert!(flush(&bench.store_writer));
    let other = Folder::new();
    drop(booted(&other));
    let ((begin, begun), (let_go, held)) = (mpsc::channel(), mpsc::channel::<()>());
    let wait = move |_: &mut Store| {
        begin.send(()).unwrap();
        held.recv().unwrap_or_default();
    };
    bench.handle.change(wait).unwrap();
    begun.recv().unwrap();
    let database = bench.folder.database();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", database.display()));
    }
    std::fs::copy(other.database(), &database).unwrap();
    let another_program = rusqlite::Connection::open(&database).unwrap();
    let fails = "CREATE TRIGGER fails BEFORE INSERT ON boot BEGIN SELECT RAISE(ABORT, 'not yet'); END";
    another_program.execute_batch(fails).unwrap();
    let_go.send(()).unwrap();
    for _ in 0..2 {
        minute(&mut bench, &mut farm, &mut minutes);
        assert!(!flush(&bench.store_writer), "{:?}", bench.news.lock().unwrap());
    }
    another_program.execute_batch("DROP TRIGGER fails").unwrap();
    minute(&mut bench, &mut farm, &mut minutes);
    assert!(flush(&bench.store_writer));
    let news = bench.news.lock().unwrap().clone();
    assert_eq!(news.iter().filter(|news| *news == "replaced: false").count(), 1, "{news:?}");
    bench.store_writer.stop();
    bench.thread.join().unwrap();
}

/// Guards against: windows given up because the store had fallen behind, under a reason that names the disk.
#[test]
fn what_is_given_up_because_the_store_fell_behind_says_so() {
    let (mut bench, mut farm) = (bench(None), Farm::new(100));
    let ((begin, begun), (let_go, held)) = (mpsc::channel(), mpsc::channel::<()>());
    let hang = move |_: &mut Store| {
        begin.send(()).unwrap();
        held.recv().unwrap_or_default();
    };
    bench.handle.change(hang).unwrap();
    begun.recv().unwrap();
    while bench.handle.change(|_| ()).is_ok() {}
    for _ in 0..150 {
        (0..100).for_each(|sensor| farm.read(sensor, 20.0, Span(0)));
        farm.wait(Span::from_mins(1));
        bench.store_writer.record(farm.take());
    }
    let_go.send(()).unwrap();
    bench.store_writer.stop();
    bench.thread.join().unwrap();
    let (store, _) = open(&bench.folder);
    let given_up = store.reader().recorded_losses(10).unwrap();
    let windows = given_up.iter().find(|lost| lost.what == "windows").unwrap();
    assert_eq!(windows.reason, "the store did not keep up");
    assert!(windows.count > 5000, "{given_up:?}");
    let told = law::windows(store.reader(), 0);
    assert_eq!(told.in_gaps(GapKind::Lost), windows.count);
    assert!(told.gaps.iter().all(|gap| gap.reason == "dropped: the store did not keep up"), "{:?}", told.gaps);
    let events = law::events(store.reader(), Lane::Events, 0);
    let said = events.rows.values().find(|event| event.kind == "lost").unwrap();
    assert_eq!(said.body["windows"].as_u64(), Some(windows.count), "{said:?}");
    assert_eq!(said.body["reason"], "the store did not keep up");
    let news = bench.news.lock().unwrap();
    assert!(news.iter().any(|news| news.contains("the store did not keep up")), "{news:?}");
    law::holds(&store);
}

/// The same, and this time it is the disk.
#[test]
fn what_is_given_up_because_the_disk_was_full_says_so() {
    let (mut bench, mut farm, mut minutes) = (bench(Some(400)), Farm::new(100), 0);
    while flush(&bench.store_writer) {
        minute(&mut bench, &mut farm, &mut minutes);
    }
    for _ in 0..130 {
        minute(&mut bench, &mut farm, &mut minutes);
    }
    assert!(!flush(&bench.store_writer));
    assert!(bench.news.lock().unwrap().contains(&"dropped 1".to_owned()), "said while it lasts");
    ask(&bench.handle, |store| store.reader().0.pragma_update(None, "max_page_count", 100_000).unwrap());
    bench.store_writer.stop();
    bench.thread.join().unwrap();
    let (store, _) = open(&bench.folder);
    let given_up = store.reader().recorded_losses(10).unwrap();
    assert!(given_up.iter().any(|lost| lost.what == "windows" && lost.count > 1000), "{given_up:?}");
    assert!(given_up.iter().all(|lost| lost.reason == "the disk was full"), "{given_up:?}");
}

/// Guards against: numbers that are given out again under the same stream, where the hub has other rows. A disk on USB whose supply dips
/// loses what it said that it had; what `history.last` says may be from before.
#[test]
fn a_database_that_has_lost_rows_when_it_is_opened_again_goes_on_under_a_new_stream() {
    for (end_lost, committed) in [(None, 3), (Some(0), 2), (Some(300), 1)] {
        let (folder, mut farm) = (Folder::new(), Farm::new(1));
        let mut commit = |store: &mut Store| {
            let mut commit = farm.take();
            commit.events.push(note(farm.now, "looked after the pumps"));
            store.commit(&commit).unwrap();
        };
        let mut store = booted(&folder);
        commit(&mut store);
        store.note_known(None, true);
        commit(&mut store);
        let before = folder.copy();
        commit(&mut store);
        let (known, stream) = (store.known(None, true), store.stream());
        let news = Arc::new(Mutex::new(Vec::new()));
        let mut thread = thread_of(store, &news);
        // As `open` closes one that can no longer be written.
        thread.store = None;
        (thread.closed, thread.stream) = (Some(Closed { known, is_gone: false }), Some(stream));
        if let Some(end) = end_lost {
            let [from, to] = [&before, &folder].map(|folder| folder.path().join("tilth.db-wal"));
            std::fs::copy(before.database(), folder.database()).unwrap();
            let mut log = std::fs::read(from).unwrap();
            log.truncate(log.len() - end);
            std::fs::write(to, log).unwrap();
        }
        thread.open().unwrap();
        let store = thread.store.as_ref().unwrap();
        assert_eq!(store.lanes().of(Lane::Events).committed, committed);
        assert_eq!(store.stream() != stream, end_lost.is_some());
        let expected = if end_lost.is_some() { vec!["replaced: false"] } else { Vec::new() };
        assert_eq!(
            (news.lock().unwrap().clone(), thread.closed.is_none()),
            (expected.iter().map(ToString::to_string).collect(), true)
        );
    }
}

/// Guards against: a loss that is said of a database that only could not be written for a while: its log is gone since it was closed in
/// order, and a boot that began on a disk that took nothing has no row.
#[test]
fn a_database_that_lost_nothing_says_nothing_when_it_is_opened_again_and_again() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    store.note_known(None, true);
    (store.boot.number, store.boot_unwritten) = (2, true);
    let (stream, news) = (store.stream(), Arc::new(Mutex::new(Vec::new())));
    let mut thread = thread_of(store, &news);
    thread.boot.number = 2;
    let another_program = rusqlite::Connection::open(folder.database()).unwrap();
    let fails = "CREATE TRIGGER fails BEFORE INSERT ON boot BEGIN SELECT RAISE(ABORT, 'not yet'); END";
    another_program.execute_batch(fails).unwrap();
    thread.must_reopen = true;
    for _ in 0..3 {
        thread.open().unwrap_err();
        assert!(thread.must_reopen);
    }
    another_program.execute_batch("DROP TRIGGER fails").unwrap();
    drop(another_program);
    for _ in 0..2 {
        thread.open().unwrap();
    }
    let store = thread.store.as_ref().unwrap();
    assert_eq!((store.stream(), store.boot_unwritten, news.lock().unwrap().len()), (stream, false, 0));
}

/// Guards against: a loss that a start on a read-only disk has seen, forgotten once the disk takes something.
#[test]
fn a_loss_that_a_start_has_seen_gets_its_stream_once_the_disk_takes_one() {
    let (folder, mut farm) = (Folder::new(), Farm::new(1));
    let mut store = booted(&folder);
    let before = folder.copy();
    let mut commit = farm.take();
    commit.events.push(note(farm.now, "looked after the pumps"));
    store.commit(&commit).unwrap();
    store.note_known(None, false);
    drop(store);
    let known = std::fs::read(folder.path().join("history.last")).unwrap();
    let mut store = booted(&before);
    let (stream, news) = (store.stream(), Arc::new(Mutex::new(Vec::new())));
    store.owes_stream = true;
    std::fs::write(before.path().join("history.last"), known).unwrap();
    let mut thread = thread_of(store, &news);
    thread.open().unwrap();
    let is_another = thread.store.as_ref().unwrap().stream() != stream;
    assert_eq!((is_another, news.lock().unwrap().clone()), (true, vec!["replaced: false".to_owned()]));
}

/// Guards against: a farm that records nothing until a person moves a file, where damage shows only after the first look.
#[test]
fn damage_that_shows_while_a_database_is_judged_is_damage() {
    let folder = Folder::new();
    let store = booted(&folder);
    store.note_known(None, false);
    // A large file is not checked as a whole.
    let large = "CREATE TABLE filler (bytes BLOB); INSERT INTO filler VALUES (zeroblob(9000000)); PRAGMA wal_checkpoint(TRUNCATE)";
    store.reader().0.execute_batch(large).unwrap();
    let page: u64 = {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'boot'";
        store.reader().0.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    drop(store);
    let mut bytes = std::fs::read(folder.database()).unwrap();
    let from = (page as usize - 1) * options().page_size as usize;
    bytes[from..from + 100].fill(0xff);
    std::fs::write(folder.database(), bytes).unwrap();
    let (_, opened) = open(&folder);
    assert!(matches!(opened.found, Found::Damaged { .. }), "{opened:?}");
}

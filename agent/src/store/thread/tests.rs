//! The thread with a real store: it commits by the caller's clock, answers, and goes on after trouble.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tilth_protocol::Lane;

use super::*;
use crate::store::Found;
use crate::store::outbox::Confirmation;
use crate::store::tests::farm::{Farm, Folder, booted, note, open, options};

const POLICY: Policy = Policy { keep_days: 7, most_bytes: u64::MAX, least_free_bytes: 0, events_bytes: u64::MAX };

struct Bench {
    folder: Folder,
    recorder: Recorder,
    desk: Desk,
    thread: JoinHandle<()>,
    news: Arc<Mutex<Vec<String>>>,
}

fn bench(most_pages: Option<u32>) -> Bench {
    let folder = Folder::new();
    let options = Options { most_pages, ..options() };
    let (mut store, _) = Store::open(&folder.database(), &options).unwrap();
    store.begin_boot("boot-a", 0).unwrap();
    let news = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&news);
    let word = move |news: News<'_>| {
        heard.lock().unwrap().push(match news {
            News::Rows(_, lanes) => format!("rows {}", lanes.of(Lane::Events).committed),
            News::Trouble(error) => error.to_string(),
            News::Begun(boot, known, _) => format!("boot {boot}, known {}", known.is_known),
            News::Recovered => "recovered".to_owned(),
            News::Anew(opened) => format!("anew: {}", matches!(opened.found, Found::Damaged { .. })),
        });
    };
    let settings = Settings {
        interval: Span::from_secs(10),
        policy: POLICY,
        options,
        free_bytes: Box::new(|| None),
        news: Box::new(word),
    };
    let (recorder, desk, thread) = start(Ground::Open(Box::new(store)), settings).unwrap();
    Bench { folder, recorder, desk, thread, news }
}

fn ask<T: Send + 'static>(desk: &Desk, question: impl FnOnce(&mut Store) -> T + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    desk.ask(move |store| answer.send(question(store)).unwrap()).unwrap();
    answered.recv_timeout(Duration::from_secs(20)).unwrap()
}

fn readings(store: &mut Store) -> usize {
    store.reader().readings_after(0).unwrap().len()
}

/// Commits what waits; says whether it is on the disk.
fn flush(desk: &Desk) -> bool {
    let (answer, answered) = mpsc::channel();
    desk.flush(move |done| answer.send(done).unwrap()).unwrap();
    answered.recv_timeout(Duration::from_secs(20)).unwrap()
}

/// How many readings are stored, once there are as many as expected; a question may come before the commit it asks about.
fn settled(desk: &Desk, expected: usize) -> usize {
    let mut tries = (0..500).map(|_| {
        let found = ask(desk, readings);
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
        bench.recorder.record(farm.take());
        // Blocks of the seconds 0 to 10 and 11 to 21.
        let expected = [0, 11, 22][usize::from(second >= 10) + usize::from(second >= 21)];
        assert_eq!(settled(&bench.desk, expected), expected, "after {second} s");
        farm.wait(Span::from_secs(1));
    }
    let mut commit = farm.take();
    commit.events.push(note(farm.now, "now"));
    bench.recorder.record(commit);
    assert_eq!(settled(&bench.desk, 25), 25);
    assert!(flush(&bench.desk));
    assert!(bench.news.lock().unwrap().contains(&"rows 1".to_owned()));
    bench.recorder.stop();
    bench.thread.join().unwrap();
}

#[test]
fn stopping_commits_what_waits() {
    let (mut bench, mut farm) = (bench(None), Farm::new(3));
    for _ in 0..5 {
        (0..3).for_each(|sensor| farm.read(sensor, 20.0, Span(0)));
        bench.recorder.record(farm.take());
    }
    bench.desk.ask(|store| assert_eq!(store.confirm(Lane::Events, 1), Confirmation::Ignored)).unwrap();
    bench.recorder.stop();
    bench.thread.join().unwrap();
    assert_eq!(open(&bench.folder).0.reader().readings_after(0).unwrap().len(), 15);
}

/// A store that is slow, or stands still: recording does not wait, and nothing is lost below the limits.
#[test]
fn recording_never_waits_for_the_store() {
    let (mut bench, mut farm) = (bench(None), Farm::new(1));
    let (let_go, held) = mpsc::channel::<()>();
    bench.desk.ask(move |_| held.recv().unwrap_or_default()).unwrap();
    let began = std::time::Instant::now();
    for n in 0..4 * QUEUE {
        farm.wait(Span(100));
        farm.read(0, n as f64 % 50.0, Span(0));
        bench.recorder.record(farm.take());
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(bench.desk.ask(|_| ()), Err(Refused));
    let_go.send(()).unwrap();
    bench.recorder.stop();
    bench.thread.join().unwrap();
    assert_eq!(open(&bench.folder).0.reader().readings_after(0).unwrap().len(), 4 * QUEUE);
}

/// Full, and on again by itself when there is room; said once each.
#[test]
fn trouble_is_said_once_and_recording_resumes() {
    let (mut bench, mut farm) = (bench(Some(360)), Farm::new(8));
    let mut minutes = 0;
    // Each minute is a commit of its own: how many go together would be the scheduler's to say.
    while flush(&bench.desk) {
        assert!(minutes < 3000);
        minute(&mut bench, &mut farm, &mut minutes);
    }
    for _ in 0..5 {
        minute(&mut bench, &mut farm, &mut minutes);
        assert!(!flush(&bench.desk), "dosing hears that nothing is booked");
    }
    ask(&bench.desk, |store| store.reader().0.pragma_update(None, "max_page_count", 10_000).unwrap());
    minute(&mut bench, &mut farm, &mut minutes);
    let committed = ask(&bench.desk, |store| store.lanes().of(Lane::Events).committed);
    bench.recorder.stop();
    bench.thread.join().unwrap();
    let news = bench.news.lock().unwrap();
    let troubles = |word: &str| news.iter().filter(|news| *news == word).count();
    assert_eq!((troubles("the disk is full"), troubles("recovered")), (1, 1), "{committed} {news:?}");
    assert_eq!(open(&bench.folder).0.lanes().of(Lane::Events).committed, minutes);
    drop(booted(&bench.folder));
}

fn minute(bench: &mut Bench, farm: &mut Farm, minutes: &mut u64) {
    let sensors = farm.watched.plan.sensors().len() as u32;
    (0..sensors).for_each(|sensor| farm.read(sensor, 20.0, Span(0)));
    farm.wait(Span::from_mins(1));
    let mut commit = farm.take();
    commit.events.push(note(farm.now, &"a minute ".repeat(20)));
    *minutes += 1;
    bench.recorder.record(commit);
}

#[test]
fn stopping_does_not_wait_for_a_disk_that_hangs() {
    let (mut bench, mut farm, mut minutes) = (bench(None), Farm::new(1), 0);
    let progress = bench.recorder.progress();
    minute(&mut bench, &mut farm, &mut minutes);
    assert!(flush(&bench.desk));
    assert_eq!(progress.unwritten_from(), None);
    let written = farm.now;
    let (let_go, held) = mpsc::channel::<()>();
    bench.desk.ask(move |_| held.recv().unwrap_or_default()).unwrap();
    while bench.desk.ask(|_| ()).is_ok() {}
    minute(&mut bench, &mut farm, &mut minutes);
    let began = Instant::now();
    bench.recorder.stop();
    assert!(began.elapsed() < LAST_WAIT + Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(progress.unwritten_from() > Some(written), "{:?}", progress.unwritten_from());
    drop(let_go);
    drop(bench.desk);
    bench.thread.join().unwrap();
}

/// A file that breaks under a running store: what waits goes into a new one, in the same boot.
#[test]
fn a_database_that_breaks_is_replaced_and_recording_goes_on() {
    let (mut bench, mut farm, mut minutes) = (bench(None), Farm::new(2), 0);
    minute(&mut bench, &mut farm, &mut minutes);
    assert!(flush(&bench.desk));
    let database = bench.folder.database();
    let (boot, stream) = ask(&bench.desk, move |store| {
        let connection = &store.reader().0;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let length = std::fs::metadata(&database).unwrap().len() as usize;
        std::fs::write(&database, vec![b'x'; length]).unwrap();
        connection.execute_batch("PRAGMA shrink_memory").unwrap();
        (store.boot(), store.stream())
    });
    minute(&mut bench, &mut farm, &mut minutes);
    let mut tries = 0;
    while !bench.news.lock().unwrap().contains(&"anew: true".to_owned()) && tries < 500 {
        tries += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    let found = ask(&bench.desk, |store| (store.boot(), store.stream(), store.lanes().of(Lane::Events).committed));
    assert_eq!((found.0, found.2), (boot, 1), "{:?}", bench.news.lock().unwrap());
    assert_ne!(found.1, stream);
    bench.recorder.stop();
    bench.thread.join().unwrap();
}

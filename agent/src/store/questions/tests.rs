//! Questions beside commits, on the real file: neither waits for the other, in every state of the file.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tilth_core::time::{Span, Uptime};
use tilth_protocol::Lane;

use super::*;
use crate::store::tests::farm::{Farm, Folder, booted, calibrated, note, open, options};
use crate::store::thread::{self as store_thread, InitialStore, Settings, StoreReport, StoreWriter};
use crate::store::{BLOCK_INTERVAL, Commit, Limit, Policy, Store};

/// A store on its threads.
struct Bench {
    store_writer: StoreWriter,
    handle: StoreHandle,
    storing: JoinHandle<()>,
    replaced: mpsc::Receiver<()>,
}

fn bench(store: Store) -> Bench {
    let (says, replaced) = mpsc::channel();
    let settings = Settings {
        interval: BLOCK_INTERVAL,
        policy: Policy {
            keep_days: 7,
            has_hub: true,
            most_bytes: u64::MAX,
            least_free_bytes: 0,
            events_bytes: u64::MAX,
        },
        options: options(),
        free_bytes: Box::new(|| None),
        report: Box::new(move |news| {
            if let StoreReport::Replaced(_) = news {
                let _ = says.send(());
            }
        }),
    };
    let (store_writer, handle, storing) =
        store_thread::start(|| InitialStore::Open(Box::new(store)), settings).unwrap();
    Bench { store_writer, handle, storing, replaced }
}

impl Bench {
    /// Commits a note; says whether it is on the disk.
    fn note(&mut self, at: i64) -> bool {
        let mut commit = Commit::new(Uptime(at), calibrated(1));
        commit.events.push(note(Uptime(at), "a note"));
        self.store_writer.record(commit);
        let (answer, answered) = mpsc::channel();
        self.store_writer.flush(move |is_written| answer.send(is_written).unwrap()).unwrap();
        answered.recv().unwrap()
    }

    /// Asks on a thread of its own, until there is an answer: a crowded machine may be late.
    fn asked<T: Send + 'static>(&self, question: fn(&StoreReader) -> Result<T, StoreError>) -> JoinHandle<T> {
        let handle = self.handle.clone();
        thread::spawn(move || {
            loop {
                match run(handle.read(move |reader, _| question(reader))) {
                    Ok(answer) => return answer,
                    Err(error) => {
                        println!("asks again: {error}");
                        thread::sleep(Duration::from_millis(10));
                    }
                }
            }
        })
    }

    fn ask<T: Send + 'static>(&self, question: fn(&StoreReader) -> Result<T, StoreError>) -> T {
        self.asked(question).join().unwrap()
    }

    /// A question that counts the events when it begins and, when it is let go, once more.
    fn long_question(&self) -> LongQuestion {
        // A question is answered once the thread that reads is there: this one is asked again until then.
        self.ask(events);
        let ((counted, counts), (let_go, held)) = (mpsc::channel(), mpsc::channel::<()>());
        let handle = self.handle.clone();
        let asker = thread::spawn(move || {
            let _ = run(handle.read(move |reader, _| {
                counted.send(events(reader)?).unwrap();
                held.recv().unwrap_or_default();
                counted.send(events(reader)?).unwrap();
                Ok(())
            }));
        });
        let first = counts.recv().unwrap();
        LongQuestion { first, counts, let_go, asker }
    }

    fn stop(self) {
        self.store_writer.stop();
        self.storing.join().unwrap();
    }
}

struct LongQuestion {
    first: usize,
    counts: mpsc::Receiver<usize>,
    let_go: mpsc::Sender<()>,
    asker: JoinHandle<()>,
}

impl LongQuestion {
    /// Ends it; says how many events it saw at its end.
    fn end(self) -> usize {
        drop(self.let_go);
        self.asker.join().unwrap();
        self.counts.recv().unwrap()
    }
}

fn run<T>(asking: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(asking)
}

const LIMIT: Limit = Limit { rows: 1000, bytes: 1 << 20, until: None };

fn events(reader: &StoreReader) -> Result<usize, StoreError> {
    Ok(reader.events(Lane::Events, 1..=u64::MAX, LIMIT)?.map_or(0, |extent| extent.rows.len()))
}

#[test]
fn commits_go_on_beside_a_long_question_which_sees_one_instant() {
    let folder = Folder::new();
    let mut bench = bench(booted(&folder));
    assert!(bench.note(1));
    let long = bench.long_question();
    for at in 2..200 {
        assert!(bench.note(at), "commit {at}");
    }
    assert_eq!((long.first, long.end()), (1, 1));
    assert_eq!(bench.ask(events), 199);
    bench.stop();
    assert!(!folder.path().join("tilth.db-wal").exists(), "a clean end leaves no log");
}

#[test]
fn questions_are_answered_while_a_commit_hangs() {
    let folder = Folder::new();
    let mut bench = bench(booted(&folder));
    assert!(bench.note(1));
    let ((begin, begun), (let_go, held)) = (mpsc::channel(), mpsc::channel::<()>());
    let commit_that_hangs = move |store: &mut Store| {
        store.reader.0.execute_batch("BEGIN IMMEDIATE; UPDATE event SET kind = 'changed'").unwrap();
        begin.send(()).unwrap();
        held.recv().unwrap_or_default();
        store.reader.0.execute_batch("COMMIT").unwrap();
    };
    bench.handle.change(commit_that_hangs).unwrap();
    begun.recv().unwrap();
    let kinds = |reader: &StoreReader| {
        let kind = reader.0.query_row("SELECT kind FROM event", [], |row| row.get::<_, String>(0));
        Ok(kind?)
    };
    assert_eq!(bench.ask(kinds), "note", "as it was committed last");
    assert_eq!(bench.ask(events), 1);
    drop(let_go);
    assert!(bench.note(2));
    assert_eq!(bench.ask(kinds), "changed");
    bench.stop();
}

/// Guards against: an answer from a file that is read without locks while it is opened for writing.
#[test]
fn in_a_file_that_can_only_be_read_the_thread_of_the_store_answers() {
    let folder = Folder::new();
    let mut writing = bench(booted(&folder));
    assert!(writing.note(1));
    writing.stop();
    let (store, _) = open::read_only(&folder.database(), &options()).unwrap();
    let bench = bench(store);
    assert_eq!(bench.ask(events), 1);
    let answered_by = bench.ask(|_| Ok(thread::current().name().map(str::to_owned)));
    assert_eq!(answered_by.as_deref(), Some("store"));
    bench.stop();
}

#[test]
fn without_a_database_a_question_hears_so() {
    let folder = Folder::new();
    let running = crate::store::CurrentBoot::uncounted(folder.path().join("no\0name"), "boot-a".to_owned());
    let error = StoreError::Unreachable("no disk".to_owned());
    let settings = Settings {
        interval: BLOCK_INTERVAL,
        policy: Policy {
            keep_days: 7,
            has_hub: true,
            most_bytes: u64::MAX,
            least_free_bytes: 0,
            events_bytes: u64::MAX,
        },
        options: options(),
        free_bytes: Box::new(|| None),
        report: Box::new(|_| ()),
    };
    let (store_writer, handle, storing) =
        store_thread::start(|| InitialStore::NotOpen(running, error), settings).unwrap();
    let answer = run(handle.read(|reader, _| events(reader)));
    assert!(matches!(answer, Err(Unanswered::NoDatabase)), "{answer:?}");
    store_writer.stop();
    storing.join().unwrap();
}

/// Another database is put in the place of the one in use while a question reads that one.
#[test]
fn questions_follow_a_database_that_was_replaced() {
    let (folder, other) = (Folder::new(), Folder::new());
    let mut bench = bench(booted(&folder));
    assert!(bench.note(1));
    let stream = bench.ask(StoreReader::stream);
    drop(booted(&other));
    let long = bench.long_question();
    std::fs::remove_file(folder.path().join("tilth.db-wal")).unwrap();
    std::fs::rename(other.database(), folder.database()).unwrap();
    assert!(bench.note(2), "in the new one");
    bench.replaced.recv().unwrap();
    assert_eq!((long.first, long.end()), (1, 1), "it ends in the file that it began in");
    assert_ne!(bench.ask(StoreReader::stream), stream);
    assert_eq!(bench.ask(events), 1);
    bench.stop();
    let (store, _) = open(&folder);
    assert_eq!(store.lanes().of(Lane::Events).committed, 1);
}

#[test]
fn with_too_many_questions_the_store_is_busy() {
    let folder = Folder::new();
    let bench = bench(booted(&folder));
    let long = bench.long_question();
    let waiting = || bench.handle.put(Box::new(|_| ()));
    let taken = (0..).take_while(|_| waiting().is_ok()).count();
    assert_eq!(taken, QUEUE);
    assert!(matches!(waiting(), Err(Unanswered::Busy)));
    long.end();
    assert_eq!(bench.ask(events), 0);
    bench.stop();
}

/// An hour of minutes, and what is left of them where time runs out: never a hole, and said.
#[test]
fn an_answer_that_was_cut_says_where() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(2));
    for minute in 0..60 {
        for sensor in [0, 1] {
            farm.read(sensor, f64::from(minute), Span(0));
        }
        farm.wait(Span::from_mins(1));
        let mut commit = farm.take();
        commit.events.push(note(farm.now, "a minute"));
        store.commit(&commit).unwrap();
    }
    let (reader, over) = (store.reader(), Instant::now());
    let late = Limit { until: Some(over), ..LIMIT };
    let extent = reader.events(Lane::Events, 1..=60, late).unwrap().unwrap();
    assert_eq!((extent.first, extent.last, extent.gaps.len()), (1, 1, 0), "what was not read is not called lost");
    let extent = reader.windows(1..=100, late).unwrap().unwrap();
    assert_eq!((extent.first, extent.last, extent.gaps.len()), (1, 1, 0));
}

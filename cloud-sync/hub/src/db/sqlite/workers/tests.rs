use super::*;

fn start(limits: QueueLimits) -> Workers {
    Workers::start("test", vec![Connection::open_in_memory().unwrap()], limits, 1_000_000).unwrap()
}

fn tenant(number: &str) -> Owner {
    Owner::Tenant(crate::db::records::TenantId(number.parse().unwrap()))
}

#[tokio::test]
async fn a_tenant_that_floods_waits_behind_itself() {
    let workers = start(QueueLimits { shared: 4, each: 3, most: 6 });
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let slow = workers.run(Owner::Hub, move |_| {
        begun.send(()).unwrap();
        released.recv().unwrap();
    });
    let mut slow = Box::pin(slow);
    assert!(polled(slow.as_mut()).is_none());
    has_begun.recv().unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    let job = |name: &'static str| {
        let done = Arc::clone(&done);
        move |_: &mut Connection| done.lock().unwrap().push(name)
    };
    let (flooding, one, other, late) = (tenant("1"), tenant("2"), tenant("3"), tenant("4"));
    let mut waiting = Vec::new();
    for (owner, name, has_room) in [
        (flooding, "flood 1", true),
        (flooding, "flood 2", true),
        (flooding, "flood 3", true),
        (flooding, "flood 4", false),
        (one, "one", true),
        // The shared places are taken, and each tenant has one of its own.
        (one, "one more", false),
        (other, "other", true),
        (flooding, "flood 5", false),
        (late, "late", true),
        (tenant("5"), "too late", false),
    ] {
        let mut run = Box::pin(workers.run(owner, job(name)));
        match polled(run.as_mut()) {
            None if has_room => waiting.push(run),
            None => panic!("{name} was taken"),
            Some(refused) => assert!(!has_room && matches!(refused, Err(DbError::Busy)), "{name}"),
        }
    }
    release.send(()).unwrap();
    slow.await.unwrap();
    for run in waiting {
        run.await.unwrap();
    }
    assert_eq!(*done.lock().unwrap(), ["flood 1", "one", "other", "late", "flood 2", "flood 3"]);
    workers.stop(Instant::now() + Duration::from_secs(5));
}

#[tokio::test]
async fn a_job_that_takes_too_many_steps_is_given_up_and_the_next_one_runs() {
    let workers = start(QueueLimits { shared: 8, each: 8, most: 8 });
    let count = |most: u64| {
        move |connection: &mut Connection| -> Result<u64, DbError> {
            let count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                 SELECT count(*) FROM n";
            Ok(connection.query_row(count, [most], |row| row.get(0))?)
        }
    };
    let costly = workers.run(Owner::Hub, count(100_000_000)).await.unwrap();
    assert!(matches!(costly, Err(DbError::TooCostly)), "{costly:?}");
    assert_eq!(workers.run(Owner::Hub, count(100)).await.unwrap().unwrap(), 100);
    workers.stop(Instant::now() + Duration::from_secs(5));
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_caller_that_leaves_stops_nothing() {
    let workers = start(QueueLimits { shared: 1, each: 1, most: 1 });
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (done, is_done) = std::sync::mpsc::channel();
    let slow = workers.run(Owner::Hub, move |_| {
        begun.send(()).unwrap();
        released.recv().unwrap();
        done.send("slow").unwrap();
    });
    let mut slow = Box::pin(slow);
    assert!(polled(slow.as_mut()).is_none());
    has_begun.recv().unwrap();
    let mut waiting = Box::pin(workers.run(Owner::Hub, |_| 7));
    assert!(polled(waiting.as_mut()).is_none());
    assert!(matches!(workers.run(Owner::Hub, |_| ()).await, Err(DbError::Busy)));
    drop(slow);
    release.send(()).unwrap();
    assert_eq!(waiting.await.unwrap(), 7);
    assert_eq!(is_done.recv(), Ok("slow"));
    workers.stop(Instant::now() + Duration::from_secs(5));
}

/// Polls once.
fn polled<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn a_stop_waits_for_what_is_queued_but_not_for_ever() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let workers = start(QueueLimits { shared: 8, each: 8, most: 8 });
    let job = |_: &mut Connection| thread::sleep(Duration::from_secs(2));
    assert!(runtime.block_on(async { polled(Box::pin(workers.run(Owner::Hub, job)).as_mut()) }).is_none());
    let begun = Instant::now();
    workers.stop(begun + Duration::from_millis(100));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

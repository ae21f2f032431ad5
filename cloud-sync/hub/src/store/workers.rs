//! Threads that own a connection each and take jobs from one bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// How often a stop looks whether a thread is done.
const LOOK: Duration = Duration::from_millis(5);

/// Some threads and the queue in front of them. A full queue refuses.
#[derive(Debug)]
pub(super) struct Workers {
    jobs: SyncSender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start(name: &str, connections: Vec<Connection>, waiting: usize) -> Workers {
        let (jobs, queue) = sync_channel(waiting);
        let queue = Arc::new(Mutex::new(queue));
        let threads = connections.into_iter().enumerate().map(|(number, connection)| {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name(format!("{name}-{number}"));
            thread.spawn(move || work(connection, &queue)).expect("a thread can be started when a hub starts")
        });
        Workers { jobs, threads: threads.collect() }
    }

    /// Runs a job on one of the threads. A caller that goes away does not stop it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |connection: &mut Connection| {
            // Nobody may be waiting any more.
            let _ = answer.send(job(connection));
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Stopping,
        })?;
        answered.await.map_err(|_| StoreError::Stopping)
    }

    pub(super) fn stop(self, until: Instant) {
        drop(self.jobs);
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(LOOK);
            }
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

fn work(mut connection: Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        // Held while waiting: the others wait for the lock instead of for a job.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&mut connection),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_caller_that_leaves_stops_nothing() {
        let workers = Workers::start("test", vec![memory()], 1);
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (done, is_done) = std::sync::mpsc::channel();
        let slow = workers.run(move |_| {
            begun.send(()).unwrap();
            released.recv().unwrap();
            done.send("slow").unwrap();
        });
        let mut slow = Box::pin(slow);
        assert!(polled(slow.as_mut()).is_none());
        has_begun.recv().unwrap();
        let mut waiting = Box::pin(workers.run(|_| 7));
        assert!(polled(waiting.as_mut()).is_none());
        assert!(matches!(workers.run(|_| ()).await, Err(StoreError::Busy)));
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
        let workers = Workers::start("test", vec![memory()], 8);
        let job = |_: &mut Connection| thread::sleep(Duration::from_secs(2));
        assert!(runtime.block_on(async { polled(Box::pin(workers.run(job)).as_mut()) }).is_none());
        let begun = Instant::now();
        workers.stop(begun + Duration::from_millis(100));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

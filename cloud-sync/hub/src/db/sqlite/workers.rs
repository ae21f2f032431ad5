//! Threads with a connection each, and their bounded queue, in which tenants take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::DbError;
use super::rows::TenantId;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Time between two checks of a stop.
const STOP_POLL: Duration = Duration::from_millis(5);

/// Steps of SQLite's virtual machine between two counts.
const STEPS_PER_CALL: u32 = 10_000;

/// Owner of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// The hub itself, such as for the look-up of a key.
    Hub,
    Tenant(TenantId),
}

/// Maximum number of waiting jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueLimits {
    /// Jobs of all owners together.
    pub(super) shared: usize,
    /// Jobs of one owner.
    pub(super) each: usize,
    /// Jobs of all owners, with the one that each may have beyond `shared`.
    pub(super) most: usize,
}

/// Threads and their queue. A full queue rejects jobs.
pub(super) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each connection. A job that takes more than `max_steps` of SQLite's virtual machine fails with
    /// [`DbError::TooCostly`].
    pub(super) fn start(
        name: &str,
        connections: Vec<Connection>,
        limits: QueueLimits,
        max_steps: u64,
    ) -> Result<Workers, DbError> {
        let queue = Arc::new(Queue { limits, waiting: Mutex::default(), changed: Condvar::new() });
        let mut threads = Vec::new();
        for (number, mut connection) in connections.into_iter().enumerate() {
            let steps = limit_steps(&mut connection, max_steps)?;
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name(format!("{name}-{number}"));
            let thread = thread.spawn(move || work(connection, &queue, &steps));
            threads.push(thread.expect("a thread can be started when a hub starts"));
        }
        Ok(Workers { queue, threads })
    }

    /// Runs a job on one of the threads. A caller that goes away does not stop it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        owner: Owner,
        job: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, DbError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |connection: &mut Connection| {
            // The caller may be gone.
            let _ = answer.send(job(connection));
        });
        self.queue.push(owner, job)?;
        answered.await.map_err(|_| DbError::Stopping)
    }

    pub(super) fn stop(self, until: Instant) {
        self.queue.close();
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(STOP_POLL);
            }
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        }
    }
}

/// Counts the steps of a connection, and interrupts it above the limit. The count is reset for each job.
fn limit_steps(connection: &mut Connection, max_steps: u64) -> Result<Arc<AtomicU64>, DbError> {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let stride = u64::from(STEPS_PER_CALL);
    let is_too_much = move || counted.fetch_add(stride, Ordering::Relaxed) + stride > max_steps;
    connection.progress_handler(STEPS_PER_CALL as i32, Some(is_too_much))?;
    Ok(steps)
}

fn work(mut connection: Connection, queue: &Queue, steps: &AtomicU64) {
    while let Some(job) = queue.next() {
        steps.store(0, Ordering::Relaxed);
        job(&mut connection);
    }
}

/// Waiting jobs by owner. Owners take turns, so that one that floods delays only itself.
struct Queue {
    limits: QueueLimits,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: HashMap<Owner, VecDeque<Job>>,
    /// Owners with jobs, the next one first.
    turns: VecDeque<Owner>,
    count: usize,
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, owner: Owner, job: Job) -> Result<(), DbError> {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(DbError::Stopping);
        }
        let own = waiting.jobs.get(&owner).map_or(0, VecDeque::len);
        let QueueLimits { shared, each, most } = self.limits;
        let has_room = if own == 0 { waiting.count < most } else { waiting.count < shared && own < each };
        if !has_room {
            return Err(DbError::Busy);
        }
        waiting.jobs.entry(owner).or_default().push_back(job);
        if own == 0 {
            waiting.turns.push_back(owner);
        }
        waiting.count += 1;
        self.changed.notify_one();
        Ok(())
    }

    /// The next job, once there is one; none when the queue is closed and empty.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.pop() {
                return Some(job);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Job> {
        let owner = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&owner)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.jobs.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        self.count -= 1;
        job
    }
}

#[cfg(test)]
mod tests;

//! Restarts a task that ends or panics, at most once a second. In a build that aborts on a panic systemd restarts the process.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

/// A task that fails at once is not begun more often than this.
pub(crate) const MIN_RUN: Duration = Duration::from_secs(1);

/// Runs the task that `make` makes, again and again; tells `ended` each time why it ended. Dropping the future stops the task.
pub(crate) async fn keep_running<F>(mut make: impl FnMut() -> F, mut ended: impl FnMut(&str)) -> !
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let earliest = Instant::now() + MIN_RUN;
        let mut task = JoinSet::new();
        task.spawn(make());
        match task.join_next().await {
            Some(Err(error)) => ended(&panic_text(error)),
            Some(Ok(())) | None => ended("ended, though it should not"),
        }
        sleep_until(earliest).await;
    }
}

fn panic_text(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "was cancelled".to_owned() };
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn what_ends_or_panics_is_begun_again_but_not_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let said = RefCell::new(Vec::new());
            let mut runs = 0;
            let forever = keep_running(
                || {
                    runs += 1;
                    let run = runs;
                    async move {
                        match run {
                            1 => panic!("run {run}"),
                            2 => {}
                            3 => tokio::time::sleep(Duration::from_secs(10)).await,
                            _ => std::future::pending().await,
                        }
                    }
                },
                |why| said.borrow_mut().push((start.elapsed().as_secs(), why.to_owned())),
            );
            assert!(tokio::time::timeout(Duration::from_secs(60), forever).await.is_err());
            let ended = "ended, though it should not".to_owned();
            assert_eq!(said.into_inner(), [(0, "panicked: run 1".to_owned()), (1, ended.clone()), (12, ended)]);
            assert_eq!(runs, 4);
        });
    }
}

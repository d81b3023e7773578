//! The threads that hash, and the queue before them.
//!
//! Hashing takes a core for a quarter of a second. On threads of its own, which give way to all others, as many sign-ins as
//! there may be take the time of sign-ins alone: neither a thread of the runtime nor one for blocking work waits here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use slipway_telemetry::{IntCounterVec, Metrics, MetricsError};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;

use crate::error::AuthError;

/// How far the threads step back behind others (nice(2)).
const NICENESS: i32 = 10;

/// How much is hashed at a time, and how much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashingSettings {
    pub(crate) threads: usize,
    /// How many may wait, those included that are about to.
    pub(crate) queue: usize,
    /// How long each may wait.
    pub(crate) patience: Duration,
}

/// Counts what became of passwords that were to be hashed: `auth_hashing_total`.
#[derive(Clone)]
pub(crate) struct HashingOutcomes(IntCounterVec);

impl HashingOutcomes {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let name = "auth_hashing_total";
        let counter =
            metrics.counter(name, "What became of passwords that were to be hashed.", &["outcome"])?;
        for outcome in ["done", "refused", "abandoned"] {
            counter.with_label_values(&[outcome]).inc_by(0);
        }
        Ok(Self(counter))
    }

    fn count(&self, outcome: &str) {
        self.0.with_label_values(&[outcome]).inc();
    }
}

/// Threads that hash, in the order in which they were asked. They end with the last clone.
#[derive(Clone)]
pub(super) struct HashingPool {
    queue: mpsc::Sender<Job>,
    patience: Duration,
    outcomes: HashingOutcomes,
}

/// A place in the queue. Dropping it gives it back.
pub(crate) struct Turn {
    place: OwnedPermit<Job>,
    patience: Duration,
    outcomes: HashingOutcomes,
}

struct Job {
    /// Fails where nobody waits for the work any more: it is skipped then.
    begin: oneshot::Sender<()>,
    work: Box<dyn FnOnce() + Send>,
}

impl HashingPool {
    pub(super) fn start(settings: HashingSettings, outcomes: HashingOutcomes) -> Result<Self, AuthError> {
        let (queue, jobs) = mpsc::channel(settings.queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..settings.threads {
            let (jobs, outcomes) = (Arc::clone(&jobs), outcomes.clone());
            thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || work(&jobs, &outcomes))
                .map_err(AuthError::HashingThreads)?;
        }
        Ok(Self { queue, patience: settings.patience, outcomes })
    }

    /// Takes a place in the queue, or refuses at once where it is full.
    pub(super) fn turn(&self) -> Result<Turn, AuthError> {
        if let Ok(place) = self.queue.clone().try_reserve_owned() {
            Ok(Turn { place, patience: self.patience, outcomes: self.outcomes.clone() })
        } else {
            self.outcomes.count("refused");
            Err(AuthError::Overloaded)
        }
    }
}

impl Turn {
    /// Has a thread do the work, once it is its turn; refuses where that takes too long. What nobody waits for any
    /// more is not begun.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let (begin, turn_came) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || drop(answer.send(work())));
        self.place.send(Job { begin, work });
        if tokio::time::timeout(self.patience, turn_came).await.is_err() {
            self.outcomes.count("refused");
            return Err(AuthError::Overloaded);
        }
        answered.await.map_err(|_| AuthError::HashingFailed)
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, outcomes: &HashingOutcomes) {
    if let Err(fault) = rustix::process::nice(NICENESS) {
        tracing::debug!(error = %fault, "a hashing thread keeps its priority");
    }
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = next else { return };
        if job.begin.send(()).is_err() {
            outcomes.count("abandoned");
            continue;
        }
        // Whoever waits learns of a panic by the answer that does not come; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(job.work));
        outcomes.count("done");
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::mpsc as blocking;
    use std::task::{Context, Waker};

    use super::*;

    const LONG: Duration = Duration::from_mins(2);

    fn start(queue: usize, patience: Duration) -> (HashingPool, Metrics) {
        let metrics = Metrics::new("auth").unwrap();
        let settings = HashingSettings { threads: 1, queue, patience };
        (HashingPool::start(settings, HashingOutcomes::new(&metrics).unwrap()).unwrap(), metrics)
    }

    /// Keeps the only thread busy until the sender is dropped.
    async fn hold(pool: &HashingPool) -> blocking::Sender<()> {
        let (release, held) = blocking::channel::<()>();
        let (begin, turn_came) = oneshot::channel();
        let work = Box::new(move || {
            let _ = held.recv();
        });
        pool.turn().unwrap().place.send(Job { begin, work });
        turn_came.await.unwrap();
        release
    }

    fn poll_once<F: Future>(future: Pin<&mut F>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_place_that_is_given_back_is_free() {
        let (pool, metrics) = start(2, LONG);
        let _release = hold(&pool).await;
        let (first, second) = (pool.turn().unwrap(), pool.turn().unwrap());
        assert!(matches!(pool.turn().err(), Some(AuthError::Overloaded)));
        drop(first);
        let _third = pool.turn().unwrap();
        assert!(pool.turn().is_err());
        drop(second);
        let refused = r#"auth_hashing_total{outcome="refused",service="auth"} 2"#;
        assert!(metrics.render().unwrap().contains(refused));
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_refused_and_the_work_is_not_begun() {
        let (pool, metrics) = start(2, Duration::from_millis(1));
        let release = hold(&pool).await;
        let (done, order) = blocking::channel();
        let waited = pool.turn().unwrap().run(move || done.send(())).await;
        assert!(matches!(waited.err(), Some(AuthError::Overloaded)));
        drop(release);
        assert!(order.recv().is_err(), "it was dropped");
        let skipped = r#"auth_hashing_total{outcome="abandoned",service="auth"} 1"#;
        let counted = async {
            while !metrics.render().unwrap().contains(skipped) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, counted).await.unwrap();
    }

    #[tokio::test]
    async fn work_is_done_in_the_order_of_asking_and_none_for_whoever_has_gone() {
        let (pool, _metrics) = start(4, LONG);
        let release = hold(&pool).await;
        let (done, order) = blocking::channel();
        let ask = |name: &'static str| {
            let done = done.clone();
            pool.turn().unwrap().run(move || done.send(name).unwrap())
        };
        let (mut first, mut third) = (pin!(ask("first")), pin!(ask("third")));
        assert!(!poll_once(first.as_mut()));
        {
            let second = pin!(ask("second"));
            assert!(!poll_once(second));
        }
        assert!(!poll_once(third.as_mut()));
        drop(release);
        first.await.unwrap();
        third.await.unwrap();
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["first", "third"]);
    }

    #[tokio::test]
    async fn a_thread_outlives_work_that_panics() {
        let (pool, _metrics) = start(1, LONG);
        let failed = pool.turn().unwrap().run(|| panic!("as a fault of ours would")).await;
        assert!(matches!(failed.err(), Some(AuthError::HashingFailed)));
        assert_eq!(pool.turn().unwrap().run(|| 7).await.unwrap(), 7);
    }
}

//! The threads that sign access tokens.
//!
//! A signature takes a processor for milliseconds. As many threads as there are processors, each with the next request at hand, keep
//! them at work; more would only take turns, and be done with all at the same late moment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::{io, thread};

use slipway_jwt::{AccessIssuer, Grant, IssuedAccess, KeyError};
use tokio::sync::{Notify, oneshot};

use crate::error::AuthError;

/// How far the threads step back behind others (nice(2)), so that what is to be signed next gets as far as here meanwhile.
/// Those that hash step back further.
const NICENESS: i32 = 5;

/// With so many signatures left for each thread there is time to fetch what is to be signed next.
const LEFT_PER_THREAD: usize = 4;

/// Threads that sign, in the order in which they were asked. They end with the last clone.
#[derive(Clone)]
pub(crate) struct Signers {
    queue: mpsc::Sender<Job>,
    backlog: Arc<Backlog>,
}

/// What is left to be signed.
struct Backlog {
    left: AtomicUsize,
    /// More is fetched only where less than this is left.
    enough: usize,
    fell: Notify,
}

struct Job {
    grant: Grant,
    answer: oneshot::Sender<Result<IssuedAccess, KeyError>>,
}

impl Signers {
    pub(crate) fn start(issuer: &Arc<AccessIssuer>) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let enough = threads * LEFT_PER_THREAD;
        let backlog = Arc::new(Backlog { left: AtomicUsize::new(0), enough, fell: Notify::new() });
        let (queue, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let (jobs, issuer, backlog) = (Arc::clone(&jobs), Arc::clone(issuer), Arc::clone(&backlog));
            let work = move || work(&jobs, &issuer, &backlog);
            thread::Builder::new().name(format!("signing-{number}")).spawn(work)?;
        }
        Ok(Self { queue, backlog })
    }

    pub(super) async fn sign(&self, grant: Grant) -> Result<IssuedAccess, AuthError> {
        let (answer, answered) = oneshot::channel();
        self.backlog.left.fetch_add(1, Ordering::Relaxed);
        self.queue.send(Job { grant, answer }).map_err(|_| AuthError::SigningFailed)?;
        Ok(answered.await.map_err(|_| AuthError::SigningFailed)??)
    }

    /// Waits while there is enough to be signed. For one at a time.
    pub(super) async fn want_more(&self) {
        while self.backlog.left.load(Ordering::Relaxed) >= self.backlog.enough {
            self.backlog.fell.notified().await;
        }
    }
}

impl Backlog {
    fn take_one(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == self.enough {
            self.fell.notify_one();
        }
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, issuer: &AccessIssuer, backlog: &Backlog) {
    if let Err(fault) = rustix::process::nice(NICENESS) {
        tracing::debug!(error = %fault, "a signing thread keeps its priority");
    }
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { grant, answer }) = next else { return };
        if !answer.is_closed() {
            // Whoever waits learns of a panic by the answer that does not come; the thread goes on.
            if let Ok(signed) = catch_unwind(AssertUnwindSafe(|| issuer.issue(grant))) {
                let _ = answer.send(signed);
            }
        }
        backlog.take_one();
    }
}

//! The threads that sign access tokens.
//!
//! A signature takes a processor for milliseconds. As many threads as there are processors, each with the next request at hand, keep
//! them at work; more would only take turns, and be done with all at the same late moment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::{io, thread};

use slipway_jwt::{AccessIssuer, Grant, IssuedAccess, KeyError};
use tokio::sync::oneshot;

use crate::error::AuthError;

/// How far the threads step back behind others (nice(2)), so that what is to be signed next gets as far as here meanwhile.
/// Those that hash step back further.
const NICENESS: i32 = 5;

/// Threads that sign, in the order in which they were asked. They end with the last clone.
#[derive(Clone)]
pub(super) struct Signers(mpsc::Sender<Job>);

struct Job {
    grant: Grant,
    answer: oneshot::Sender<Result<IssuedAccess, KeyError>>,
}

impl Signers {
    pub(super) fn start(issuer: &Arc<AccessIssuer>) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (jobs, issuer) = (Arc::clone(&jobs), Arc::clone(issuer));
            thread::Builder::new().name(format!("signing-{number}")).spawn(move || work(&jobs, &issuer))?;
        }
        Ok(Self(queue))
    }

    pub(super) async fn sign(&self, grant: Grant) -> Result<IssuedAccess, AuthError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Job { grant, answer }).map_err(|_| AuthError::SigningFailed)?;
        Ok(answered.await.map_err(|_| AuthError::SigningFailed)??)
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, issuer: &AccessIssuer) {
    if let Err(fault) = rustix::process::nice(NICENESS) {
        tracing::debug!(error = %fault, "a signing thread keeps its priority");
    }
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { grant, answer }) = next else { return };
        if answer.is_closed() {
            continue;
        }
        // Whoever waits learns of a panic by the answer that does not come; the thread goes on.
        if let Ok(signed) = catch_unwind(AssertUnwindSafe(|| issuer.issue(grant))) {
            let _ = answer.send(signed);
        }
    }
}

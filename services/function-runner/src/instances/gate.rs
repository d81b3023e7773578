//! Lets a bounded number in at a time, owners in turn: many of one owner's never put another's behind them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_kernel::UserId;
use tokio::sync::oneshot;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate(Arc<Mutex<State>>);

struct State {
    free: usize,
    waiting: HashMap<UserId, VecDeque<oneshot::Sender<Turn>>>,
    /// The owners who wait, each once; the first is next.
    owners: VecDeque<UserId>,
}

/// The right to be inside, until it is dropped.
pub(super) struct Turn {
    /// None once another has it.
    gate: Option<Gate>,
}

impl Gate {
    /// Makes a gate that lets `most` in at a time.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: most, waiting: HashMap::new(), owners: VecDeque::new() })))
    }

    /// Waits for a turn of `owner`. May be cancelled.
    pub(super) async fn enter(&self, owner: UserId) -> Turn {
        let turn = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Turn { gate: Some(self.clone()) };
            }
            let (sender, turn) = oneshot::channel();
            let state = &mut *state;
            let queue = state.waiting.entry(owner).or_default();
            if queue.is_empty() {
                state.owners.push_back(owner);
            }
            queue.push_back(sender);
            turn
        };
        // The sender stays in the queue until it sends, and the gate, which is borrowed here, has the queue.
        turn.await.unwrap_or(Turn { gate: None })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_on(self) {
        loop {
            let Some(next) = self.state().next_or_free() else { return };
            match next.send(Turn { gate: Some(self.clone()) }) {
                Ok(()) => return,
                // Nobody waits for it any more.
                Err(mut unwanted) => unwanted.gate = None,
            }
        }
    }
}

impl State {
    /// Returns who is next; where nobody waits, notes that one more may come in.
    fn next_or_free(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(owner) = self.owners.pop_front() {
            let Some(queue) = self.waiting.get_mut(&owner) else { continue };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&owner);
            } else {
                self.owners.push_back(owner);
            }
            if next.is_some() {
                return next;
            }
        }
        self.free += 1;
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn owners_take_turns_however_many_one_sends() {
        let gate = Gate::new(1);
        let (many, one) = (UserId::generate(), UserId::generate());
        let inside = gate.enter(many).await;
        let mut of_many: Vec<_> = (0..100).map(|_| Box::pin(gate.enter(many))).collect();
        assert!(of_many.iter_mut().all(|enter| enter.now_or_never().is_none()));
        let mut of_one = Box::pin(gate.enter(one));
        assert!((&mut of_one).now_or_never().is_none());
        drop(inside);
        let first = (&mut of_many[0]).now_or_never().unwrap();
        drop(first);
        assert!((&mut of_one).now_or_never().is_some(), "the other owner is second, not last");
    }

    #[tokio::test]
    async fn no_more_are_inside_than_may_be_and_who_leaves_the_queue_takes_no_turn() {
        let gate = Gate::new(2);
        let owner = UserId::generate();
        let (first, second) = (gate.enter(owner).await, gate.enter(owner).await);
        let mut gone = Box::pin(gate.enter(owner));
        let mut received = Box::pin(gate.enter(owner));
        let mut last = Box::pin(gate.enter(owner));
        for enter in [&mut gone, &mut received, &mut last] {
            assert!(enter.now_or_never().is_none());
        }
        drop(gone);
        drop(first);
        drop(received);
        let third = (&mut last).now_or_never().expect("a turn that was sent to nobody is passed on");
        let mut fourth = Box::pin(gate.enter(owner));
        assert!((&mut fourth).now_or_never().is_none(), "two are inside");
        drop((second, third));
        assert!((&mut fourth).now_or_never().is_some());
    }
}

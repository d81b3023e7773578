//! The calls on their way: those that wait for the program, and those that it works on.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use slipway_bridge::protocol::InvokeHead;
use tokio::sync::Notify;

/// A call that the program has not taken yet.
pub(crate) struct Invocation {
    pub(crate) call: u32,
    pub(crate) head: InvokeHead,
    pub(crate) body: Vec<u8>,
    /// When the call came, in milliseconds since 1970.
    pub(crate) came_ms: u64,
}

/// The bridge bounds how many there are.
#[derive(Default)]
pub(crate) struct Calls {
    waiting: RefCell<VecDeque<Invocation>>,
    arrived: Notify,
    /// The number of each call that was taken, by the execution's id.
    taken: RefCell<HashMap<String, u32>>,
}

impl Calls {
    pub(crate) fn push(&self, invocation: Invocation) {
        self.waiting.borrow_mut().push_back(invocation);
        self.arrived.notify_one();
    }

    /// Waits for a call and takes it. May be cancelled.
    pub(crate) async fn take(&self) -> Invocation {
        loop {
            let first = self.waiting.borrow_mut().pop_front();
            if let Some(invocation) = first {
                let id = invocation.head.execution_id.clone();
                self.taken.borrow_mut().insert(id, invocation.call);
                return invocation;
            }
            self.arrived.notified().await;
        }
    }

    /// Returns the number of a call that was taken; each is finished once.
    pub(crate) fn finish(&self, execution_id: &str) -> Option<u32> {
        self.taken.borrow_mut().remove(execution_id)
    }
}

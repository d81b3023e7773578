use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// Work that is under way: for each thing once, whoever waits for it, and for so many things at a time.
pub(super) struct Flights<K, T>(Mutex<HashMap<K, Shared<T>>>);

struct Shared<T> {
    waiting: usize,
    landed: Arc<OnceCell<T>>,
}

/// A place on a flight. The last one to leave ends it.
pub(super) struct Flight<'a, K: Copy + Eq + Hash, T> {
    flights: &'a Flights<K, T>,
    key: K,
    landed: Arc<OnceCell<T>>,
}

impl<K: Copy + Eq + Hash, T: Clone> Flights<K, T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Joins the flight for `key`, or begins it unless there are `most` or more; `None` then.
    pub(super) fn join(&self, key: K, most: usize) -> Option<Flight<'_, K, T>> {
        let mut flights = self.lock();
        let is_full = flights.len() >= most;
        let shared = match flights.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if is_full => return None,
            Entry::Vacant(entry) => entry.insert(Shared { waiting: 0, landed: Arc::default() }),
        };
        shared.waiting += 1;
        Some(Flight { flights: self, key, landed: Arc::clone(&shared.landed) })
    }
}

impl<K, T> Flights<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Shared<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Flight<'_, K, T> {
    /// Returns what the work comes to. One of those who wait does it; where it hangs up, the next one does.
    pub(super) async fn land(&self, work: impl Future<Output = T>) -> T {
        self.landed.get_or_init(|| work).await.clone()
    }
}

impl<K: Copy + Eq + Hash, T> Drop for Flight<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if let Entry::Occupied(mut entry) = flights.entry(self.key) {
            entry.get_mut().waiting -= 1;
            if entry.get().waiting == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_for_one_thing_is_done_once_for_all_who_wait() {
        let flights = Flights::<u8, usize>::new();
        let (done, go) = (AtomicUsize::new(0), Notify::new());
        let wait = async || {
            let flight = flights.join(1, 1).unwrap();
            let work = async {
                go.notified().await;
                done.fetch_add(1, Ordering::SeqCst)
            };
            flight.land(work).await
        };
        let others = async {
            tokio::task::yield_now().await;
            assert!(flights.join(2, 1).is_none(), "there is room for one");
            go.notify_one();
        };
        let (first, second, ()) = tokio::join!(wait(), wait(), others);
        assert_eq!((first, second, done.load(Ordering::SeqCst)), (0, 0, 1));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn where_one_hangs_up_the_next_does_the_work() {
        let flights = Flights::<u8, &str>::new();
        let mut first = Box::pin(async { flights.join(1, 1).unwrap().land(std::future::pending()).await });
        assert!(futures_util::poll!(&mut first).is_pending());
        let flight = flights.join(1, 1).unwrap();
        drop(first);
        assert_eq!(flight.land(async { "done" }).await, "done");
        drop(flight);
        assert!(flights.lock().is_empty());
    }
}

//! How many requests are under way: in all, and of each account. An account that sends all of its requests at once would have
//! everybody else's wait behind them: some begin at once, the others one by one, and what is over a bound is refused before
//! it costs more than the look at its token.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slipway_kernel::UserId;

/// How many requests of an account begin at once where none has been answered yet.
const AT_ONCE: usize = 16;
/// From the begin of one that is beyond those to that of the next.
const APART: Duration = Duration::from_micros(250);

/// The requests under way at this gateway. Clones count together.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<Counts>);

struct Counts {
    most: usize,
    most_of_account: usize,
    all: AtomicUsize,
    accounts: Mutex<HashMap<UserId, Account>>,
}

/// What an account has under way.
struct Account {
    count: usize,
    /// How many may begin at once. Each answer makes it one more, as long as there are half as many under way: who is
    /// answered fast need not wait.
    window: usize,
    /// When the last one that had to wait begins.
    last_begins: Option<Instant>,
}

/// The place of one request, until it is dropped.
pub(crate) struct Place {
    of: InFlight,
    account: Option<UserId>,
    is_socket: bool,
    /// Where the request has to wait for its begin.
    pub(crate) begins: Option<Instant>,
}

/// Says that as many requests are under way as may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMany {
    /// Of one account.
    #[error("{0} requests of this account are under way, and no more may be: wait until one has ended")]
    OfAccount(usize),
    /// In all.
    #[error("the platform is answering as many requests as it can; try again shortly")]
    InAll,
}

impl InFlight {
    pub(crate) fn new(most: usize, most_of_account: usize) -> Self {
        Self(Arc::new(Counts { most, most_of_account, all: AtomicUsize::new(0), accounts: Mutex::default() }))
    }

    /// Takes a place for a request. A WebSocket costs little while it is open: it takes one of its account alone.
    pub(crate) fn enter(&self, account: Option<UserId>, is_socket: bool) -> Result<Place, TooMany> {
        let counts = &self.0;
        if !is_socket && counts.all.fetch_add(1, Ordering::Relaxed) >= counts.most {
            counts.all.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany::InAll);
        }
        // From here on it gives back what it took.
        let mut place = Place { of: self.clone(), account: None, is_socket, begins: None };
        if let Some(account) = account {
            let mut accounts = self.lock();
            let known = accounts.entry(account).or_default();
            if known.count >= counts.most_of_account {
                drop(accounts);
                return Err(TooMany::OfAccount(counts.most_of_account));
            }
            if known.count >= known.window && !is_socket {
                place.begins = Some(known.next_begin(Instant::now()));
            }
            known.count += 1;
            place.account = Some(account);
        }
        Ok(place)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Account>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Account {
    fn default() -> Self {
        Self { count: 0, window: AT_ONCE, last_begins: None }
    }
}

impl Account {
    fn next_begin(&mut self, now: Instant) -> Instant {
        let begins = self.last_begins.map_or(now, |last| (last + APART).max(now));
        self.last_begins = Some(begins);
        begins
    }

    fn answered(&mut self) {
        self.count -= 1;
        self.window = (self.window + 1).min(2 * self.count).max(AT_ONCE);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_socket {
            self.of.0.all.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(account) = self.account
            && let Entry::Occupied(mut known) = self.of.lock().entry(account)
        {
            known.get_mut().answered();
            if known.get().count == 0 {
                known.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_so_many_places_and_what_has_ended_is_forgotten() {
        let requests = InFlight::new(100, 2);
        let (ada, eve) = (Some(UserId::generate()), Some(UserId::generate()));
        let (first, second) = (requests.enter(ada, false).unwrap(), requests.enter(ada, true).unwrap());
        assert_eq!(requests.enter(ada, false).err(), Some(TooMany::OfAccount(2)));
        let other = requests.enter(eve, false).unwrap();
        drop(first);
        let third = requests.enter(ada, false).unwrap();
        assert_eq!(requests.lock()[&ada.unwrap()].count, 2);
        drop((second, third, other));
        assert!(requests.lock().is_empty());
        assert_eq!(requests.0.all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_burst_of_one_account_begins_one_by_one_until_it_is_answered() {
        let requests = InFlight::new(1_000, 1_000);
        let ada = Some(UserId::generate());
        let burst = |count| -> Vec<_> { (0..count).map(|_| requests.enter(ada, false).unwrap()).collect() };
        let mut places = burst(AT_ONCE + 3);
        assert!(places[..AT_ONCE].iter().all(|place| place.begins.is_none()));
        let begins: Vec<_> = places[AT_ONCE..].iter().filter_map(|place| place.begins).collect();
        assert!(begins.len() == 3 && begins.windows(2).all(|pair| pair[1] >= pair[0] + APART));
        assert!(requests.enter(ada, true).unwrap().begins.is_none(), "a WebSocket waits");
        assert!(requests.enter(Some(UserId::generate()), false).unwrap().begins.is_none(), "another waits");
        // As one is answered the next comes: soon nobody waits.
        for _ in 0..8 {
            places.remove(0);
            places.extend(burst(1));
        }
        assert!(places.last().unwrap().begins.is_none());
        // Who has few under way has no more at once than anybody.
        places.truncate(1);
        assert_eq!(burst(AT_ONCE).iter().filter(|place| place.begins.is_some()).count(), 1);
    }

    #[test]
    fn there_are_so_many_places_in_all_and_sockets_take_none_of_them() {
        let requests = InFlight::new(2, 100);
        let sockets = [requests.enter(None, true).unwrap(), requests.enter(None, true).unwrap()];
        let first = requests.enter(None, false).unwrap();
        let _second = requests.enter(Some(UserId::generate()), false).unwrap();
        assert_eq!(requests.enter(None, false).err(), Some(TooMany::InAll));
        drop((first, sockets));
        assert!(requests.enter(None, false).is_ok());
    }
}

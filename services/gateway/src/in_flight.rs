//! How many requests are under way: in all, and of each account. An account that sends all of its requests at once would have
//! everybody else's wait behind them: some begin at once, the others one by one, and what is over a bound is refused before
//! it costs more than the look at its token.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slipway_kernel::UserId;

/// How many requests an account may have under way that all began at once.
const AT_ONCE: u32 = 64;
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
    /// When the next request would begin if all began one by one. Each that is answered makes it that much earlier, so that
    /// who has as few under way as may begin at once never waits (GCRA, ITU-T I.371).
    due: Instant,
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
            let now = Instant::now();
            let known = accounts.entry(account).or_insert(Account { count: 0, due: now });
            if known.count >= counts.most_of_account {
                drop(accounts);
                return Err(TooMany::OfAccount(counts.most_of_account));
            }
            if !is_socket {
                place.begins = known.begin(now);
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

impl Account {
    /// Begins a request; returns when, if that is later than now.
    fn begin(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due.max(now);
        self.due = due + APART;
        due.checked_sub(AT_ONCE * APART).filter(|begins| *begins >= now)
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
            let account = known.get_mut();
            account.count -= 1;
            if !self.is_socket {
                account.due = account.due.checked_sub(APART).unwrap_or(account.due);
            }
            if account.count == 0 {
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
    fn of_a_burst_of_one_account_some_begin_at_once_and_the_others_one_by_one() {
        let now = Instant::now();
        let mut account = Account { count: 0, due: now };
        let begins: Vec<_> = (0..AT_ONCE + 3).map(|_| account.begin(now)).collect();
        let (at_once, later) = begins.split_at(AT_ONCE as usize);
        assert!(at_once.iter().all(Option::is_none));
        assert_eq!(later, [0, 1, 2].map(|number| Some(now + number * APART)));
        // After some time as many begin at once again.
        let later = now + 2 * AT_ONCE * APART;
        assert!((0..AT_ONCE).all(|_| account.begin(later).is_none()));
        assert!(account.begin(later).is_some());
    }

    #[test]
    fn who_has_few_requests_under_way_never_waits() {
        let requests = InFlight::new(1_000, 1_000);
        let ada = Some(UserId::generate());
        let mut places: Vec<_> = (0..AT_ONCE).map(|_| requests.enter(ada, false).unwrap()).collect();
        for _ in 0..10 * AT_ONCE {
            places.remove(0);
            places.push(requests.enter(ada, false).unwrap());
        }
        assert!(places.iter().all(|place| place.begins.is_none()));
        let _socket = requests.enter(ada, true).unwrap();
        let _other = requests.enter(Some(UserId::generate()), false).unwrap();
        places.truncate(1);
        assert!((1..AT_ONCE).all(|_| requests.enter(ada, false).unwrap().begins.is_none()));
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

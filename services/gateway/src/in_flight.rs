//! How many requests are under way: in all, and of each account. An account that sends all of its requests at once would have
//! everybody else's wait behind them; what is over a bound is refused before it costs more than the look at its token.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_kernel::UserId;

/// The requests under way at this gateway. Clones count together.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<Counts>);

struct Counts {
    most: usize,
    most_of_account: usize,
    all: AtomicUsize,
    accounts: Mutex<HashMap<UserId, usize>>,
}

/// The place of one request, until it is dropped.
pub(crate) struct Place {
    of: InFlight,
    account: Option<UserId>,
    is_socket: bool,
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
        let mut place = Place { of: self.clone(), account: None, is_socket };
        if let Some(account) = account {
            let mut accounts = self.lock();
            let count = accounts.entry(account).or_default();
            if *count >= counts.most_of_account {
                drop(accounts);
                return Err(TooMany::OfAccount(counts.most_of_account));
            }
            *count += 1;
            place.account = Some(account);
        }
        Ok(place)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_socket {
            self.of.0.all.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(account) = self.account
            && let Entry::Occupied(mut count) = self.of.lock().entry(account)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
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
        assert_eq!(requests.lock()[&ada.unwrap()], 2);
        drop((second, third, other));
        assert!(requests.lock().is_empty());
        assert_eq!(requests.0.all.load(Ordering::Relaxed), 0);
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

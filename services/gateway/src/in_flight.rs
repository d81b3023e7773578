//! How many requests of each account are under way. One that sends all of its requests at once would have everybody
//! else's wait behind them; what is over the bound is refused before it costs more than the look at its token.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_kernel::UserId;

/// The requests under way at this gateway. Clones count together.
#[derive(Clone)]
pub(crate) struct InFlight {
    /// The most of one account.
    most: usize,
    accounts: Arc<Mutex<HashMap<UserId, usize>>>,
}

/// The place of one request, until it is dropped.
pub(crate) struct Place {
    of: InFlight,
    account: UserId,
}

/// Says that as many requests of an account are under way as may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} requests of this account are under way, and no more may be: wait until one has ended")]
pub(crate) struct TooMany(usize);

impl InFlight {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, accounts: Arc::default() }
    }

    /// Takes a place for a request of an account.
    pub(crate) fn enter(&self, account: UserId) -> Result<Place, TooMany> {
        let mut accounts = self.lock();
        let count = accounts.entry(account).or_default();
        if *count >= self.most {
            return Err(TooMany(self.most));
        }
        *count += 1;
        Ok(Place { of: self.clone(), account })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.of.lock().entry(self.account) {
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
        let requests = InFlight::new(2);
        let (ada, eve) = (UserId::generate(), UserId::generate());
        let (first, second) = (requests.enter(ada).unwrap(), requests.enter(ada).unwrap());
        assert_eq!(requests.enter(ada).err(), Some(TooMany(2)));
        let other = requests.enter(eve).unwrap();
        drop(first);
        let third = requests.enter(ada).unwrap();
        assert_eq!(requests.lock()[&ada], 2);
        drop((second, third, other));
        assert!(requests.lock().is_empty());
    }
}

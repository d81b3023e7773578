//! How many requests are under way: in all, and of each account. An account that sends all of its requests at once would have
//! everybody else's wait behind them. So some of an account's begin at once, another as one of those ends, and beside that
//! one after the other; what is over a bound is refused in the same order, as a refusal takes time too (ADR 26).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slipway_kernel::UserId;
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout_at};

/// How many requests of an account have a turn at a time: they begin without waiting.
const TURNS: usize = 32;
/// From the begin of one that waited for a turn in vain to that of the next.
const APART: Duration = Duration::from_millis(1);
/// How many times as many may have come as may be under way: who comes later is refused at once, as waiting has a bound too.
const COME: usize = 4;

/// The requests under way at this gateway. Clones count together.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<Counts>);

struct Counts {
    most: usize,
    most_of_account: usize,
    apart: Duration,
    all: AtomicUsize,
    accounts: Mutex<HashMap<UserId, Account>>,
}

/// What an account has under way, and what waits to be.
#[derive(Default)]
struct Account {
    places: usize,
    under_way: usize,
    turns: usize,
    /// The turns that were passed on, once any request had to wait for one.
    passed_on: Option<Arc<Semaphore>>,
    /// When the last begins of those that wait. One that needs its time no more gives it back when it ends, so that this is
    /// never further off than all that have a place would take.
    last_begins: Option<Instant>,
}

/// How a request of an account begins.
enum Begin {
    Now,
    /// With the turn of another that ends, and then without one.
    WithTurn(Arc<Semaphore>, Instant),
    At(Instant),
}

/// The place of one request, until it is dropped.
pub(crate) struct Place {
    of: InFlight,
    account: Option<UserId>,
    is_socket: bool,
    turn: Turn,
    is_under_way: bool,
}

/// What a request has of its account's turns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// None: it is a WebSocket, or began at its time.
    Without,
    /// One that was free.
    Free,
    /// A time to begin at, as long as it waits.
    Awaited,
    /// One that another passed on, before that time.
    PassedOn,
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
        Self::with_begins(most, most_of_account, APART)
    }

    fn with_begins(most: usize, most_of_account: usize, apart: Duration) -> Self {
        let (all, accounts) = (AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(Counts { most, most_of_account, apart, all, accounts }))
    }

    /// Takes a place for a request once it may begin. A WebSocket costs little while it is open: it takes one of its account
    /// alone, and waits for nothing.
    pub(crate) async fn enter(&self, account: Option<UserId>, is_socket: bool) -> Result<Place, TooMany> {
        let counts = &self.0;
        if !is_socket && counts.all.fetch_add(1, Ordering::Relaxed) >= counts.most {
            counts.all.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany::InAll);
        }
        // From here on it gives back what it took.
        let mut place =
            Place { of: self.clone(), account: None, is_socket, turn: Turn::Without, is_under_way: false };
        let Some(account) = account else { return Ok(place) };
        let most = counts.most_of_account;
        let begin = {
            let mut accounts = self.lock();
            let known = accounts.entry(account).or_default();
            known.places += 1;
            place.account = Some(account);
            if known.places > most.saturating_mul(COME) {
                return Err(TooMany::OfAccount(most));
            }
            let begin = if is_socket { Begin::Now } else { known.begin(counts) };
            place.turn = match begin {
                Begin::Now if is_socket => Turn::Without,
                Begin::Now => Turn::Free,
                Begin::WithTurn(..) | Begin::At(_) => Turn::Awaited,
            };
            if matches!(begin, Begin::Now) {
                place.is_under_way = known.take(most);
            }
            begin
        };
        match begin {
            Begin::Now => {}
            Begin::WithTurn(turns, latest) => {
                place.turn = match timeout_at(latest.into(), turns.acquire()).await {
                    Ok(Ok(turn)) => {
                        turn.forget();
                        Turn::PassedOn
                    }
                    _ => Turn::Without,
                };
            }
            Begin::At(time) => {
                sleep_until(time.into()).await;
                place.turn = Turn::Without;
            }
        }
        if !place.is_under_way {
            place.is_under_way = self.lock().get_mut(&account).is_some_and(|known| known.take(most));
        }
        if place.is_under_way { Ok(place) } else { Err(TooMany::OfAccount(most)) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Account>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Tells how the request begins whose place is the last.
    fn begin(&mut self, counts: &Counts) -> Begin {
        if self.turns < TURNS {
            self.turns += 1;
            return Begin::Now;
        }
        let now = Instant::now();
        let begins = self.last_begins.map_or(now, |last| now.max(last)) + counts.apart;
        self.last_begins = Some(begins);
        if self.places > counts.most_of_account {
            return Begin::At(begins);
        }
        let passed_on = self.passed_on.get_or_insert_with(|| Arc::new(Semaphore::new(0)));
        Begin::WithTurn(Arc::clone(passed_on), begins)
    }

    /// Has a request under way, where there is room for it.
    fn take(&mut self, most: usize) -> bool {
        let has_room = self.under_way < most;
        self.under_way += usize::from(has_room);
        has_room
    }

    /// Passes a turn on. Once any waited, all others wait too, until there is nothing of the account any more.
    fn end_turn(&mut self) {
        match &self.passed_on {
            Some(turns) => turns.add_permits(1),
            None => self.turns -= 1,
        }
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
            account.places -= 1;
            account.under_way -= usize::from(self.is_under_way);
            if matches!(self.turn, Turn::Free | Turn::PassedOn) {
                account.end_turn();
            }
            if matches!(self.turn, Turn::Awaited | Turn::PassedOn) {
                account.last_begins = account.last_begins.and_then(|last| last.checked_sub(self.of.0.apart));
            }
            if account.places == 0 {
                known.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// What comes of a request that need not wait.
    fn enter(requests: &InFlight, account: Option<UserId>, is_socket: bool) -> Result<Place, TooMany> {
        requests.enter(account, is_socket).now_or_never().expect("it begins at once")
    }

    #[test]
    fn an_account_has_so_many_places_and_what_has_ended_is_forgotten() {
        let requests = InFlight::new(100, 2);
        let (ada, eve) = (Some(UserId::generate()), Some(UserId::generate()));
        let (first, second) = (enter(&requests, ada, false).unwrap(), enter(&requests, ada, true).unwrap());
        assert_eq!(enter(&requests, ada, false).err(), Some(TooMany::OfAccount(2)));
        let other = enter(&requests, eve, false).unwrap();
        drop(first);
        let third = enter(&requests, ada, false).unwrap();
        assert_eq!(requests.lock()[&ada.unwrap()].under_way, 2);
        drop((second, third, other));
        assert!(requests.lock().is_empty());
        assert_eq!(requests.0.all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn there_are_so_many_places_in_all_and_sockets_take_none_of_them() {
        let requests = InFlight::new(2, 100);
        let sockets = [enter(&requests, None, true).unwrap(), enter(&requests, None, true).unwrap()];
        let first = enter(&requests, None, false).unwrap();
        let _second = enter(&requests, Some(UserId::generate()), false).unwrap();
        assert_eq!(enter(&requests, None, false).err(), Some(TooMany::InAll));
        drop((first, sockets));
        assert!(enter(&requests, None, false).is_ok());
    }

    #[tokio::test]
    async fn a_request_without_a_turn_begins_when_another_ends() {
        let requests = InFlight::with_begins(1_000, 1_000, Duration::from_hours(1));
        let id = UserId::generate();
        let ada = Some(id);
        let mut places: Vec<_> = (0..TURNS).map(|_| enter(&requests, ada, false).unwrap()).collect();
        let _socket = enter(&requests, ada, true).unwrap();
        let _other = enter(&requests, Some(UserId::generate()), false).unwrap();

        let mut waiting = Box::pin(requests.enter(ada, false));
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut given_up = Box::pin(requests.enter(ada, false));
        assert!(given_up.as_mut().now_or_never().is_none());
        places.truncate(TURNS - 2);
        drop(given_up);
        places.push(waiting.now_or_never().expect("it has the turn of one that ended").unwrap());
        places.push(enter(&requests, ada, false).unwrap());
        assert!(requests.enter(ada, false).now_or_never().is_none(), "there are no more turns than before");

        for _ in 0..10 * TURNS {
            places.pop();
            places.push(requests.enter(ada, false).await.unwrap());
        }
        let last = requests.lock()[&id].last_begins.unwrap();
        let places = u32::try_from(TURNS).unwrap();
        assert!(
            last <= Instant::now() + places * Duration::from_hours(1),
            "times that nobody needs are given back"
        );
    }

    #[tokio::test]
    async fn else_they_begin_or_are_refused_one_after_the_other() {
        let apart = Duration::from_millis(1);
        let requests = InFlight::with_begins(1_000, TURNS + 2, apart);
        let ada = Some(UserId::generate());
        let places: Vec<_> = (0..TURNS).map(|_| enter(&requests, ada, false).unwrap()).collect();
        let begun = Instant::now();
        let others = futures_util::future::join_all((0..4).map(|_| requests.enter(ada, false))).await;
        assert!(begun.elapsed() >= 4 * apart);
        let refused: Vec<_> = others.iter().map(|other| other.as_ref().err()).collect();
        let too_many = Some(&TooMany::OfAccount(TURNS + 2));
        assert_eq!(refused, [None, None, too_many, too_many]);
        drop((places, others));
        assert!(requests.lock().is_empty());
        assert_eq!(requests.0.all.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let requests = InFlight::with_begins(1_000, TURNS, Duration::from_hours(1));
        let ada = Some(UserId::generate());
        let _places: Vec<_> = (0..TURNS).map(|_| enter(&requests, ada, false).unwrap()).collect();
        let mut waiting: Vec<_> =
            (TURNS..COME * TURNS).map(|_| Box::pin(requests.enter(ada, false))).collect();
        assert!(waiting.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()));
        assert_eq!(enter(&requests, ada, false).err(), Some(TooMany::OfAccount(TURNS)));
        drop(waiting);
        assert!(requests.enter(ada, false).now_or_never().is_none(), "there is room for one more");
    }
}

//! The replicas of a service: which of them is asked next, which is left alone for a while, and what may be asked twice.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::uri::Authority;

use crate::series::ServiceSeries;

/// So many failures one after the other open a replica's circuit.
const FAILURES: u32 = 5;
/// How long a replica with an open circuit is left alone; then one request tries it.
const PAUSE: Duration = Duration::from_secs(1);
/// A replica is slow that takes so many times as long as the best one, and so many microseconds longer.
const SLOWER: u64 = 3;
const SLOW_FROM: u64 = 50_000;
/// An answer's part in the average.
const WEIGHT: u64 = 4;
/// A request that is sent a second time takes as much as so many requests put in: retries stay a tenth of the load.
const RETRY_COSTS: u32 = 10;
/// What is kept of what requests put in: ten retries.
const MOST_CREDIT: u32 = 10 * RETRY_COSTS;

/// The replicas of one service.
pub(crate) struct Replicas {
    all: Box<[Arc<Replica>]>,
    /// Where the look for the one with the least to do begins: of equals each has its turn.
    next: AtomicUsize,
    credit: AtomicU32,
    series: ServiceSeries,
}

/// Tells replicas apart, those of former tables of routes too.
pub(crate) type ReplicaId = u64;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

struct Replica {
    id: ReplicaId,
    authority: Authority,
    under_way: AtomicUsize,
    /// How long it takes to answer, in microseconds: an average in which the last answers count most.
    latency: AtomicU64,
    circuit: Mutex<Circuit>,
    series: ServiceSeries,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    First,
    Usual,
    Last,
}

#[derive(Default)]
struct Circuit {
    failures: u32,
    /// When it was last asked although it is slow, or found to be so.
    probed_at: Option<Instant>,
    /// Until when it is open; once that has passed, until when the one request has that tries it.
    open_until: Option<Instant>,
}

/// A request's place at a replica, until it is dropped.
pub(crate) struct Turn {
    replica: Arc<Replica>,
    since: Instant,
}

/// Says that the circuits of all replicas are open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the replicas answers: they are tried again in a moment")]
pub(crate) struct NoReplica;

impl Replicas {
    pub(crate) fn new(authorities: impl IntoIterator<Item = Authority>, series: ServiceSeries) -> Self {
        let replica = |authority| {
            let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
            Arc::new(Replica {
                id,
                authority,
                under_way: AtomicUsize::new(0),
                latency: AtomicU64::new(0),
                circuit: Mutex::default(),
                series: series.clone(),
            })
        };
        Self {
            all: authorities.into_iter().map(replica).collect(),
            next: AtomicUsize::new(0),
            credit: AtomicU32::new(MOST_CREDIT),
            series,
        }
    }

    /// Chooses the replica with the fewest requests under way, of those whose circuit lets one through.
    pub(crate) fn choose(&self, now: Instant) -> Result<Turn, NoReplica> {
        let _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |credit| {
            (credit < MOST_CREDIT).then_some(credit + 1)
        });
        self.choose_but(None, now)
    }

    /// Chooses as [`Self::choose`] does, and one whose circuit is open where all are.
    pub(crate) fn choose_be_it_open(&self, now: Instant) -> Result<Turn, NoReplica> {
        self.choose(now).or_else(|fault| {
            let start = self.next.fetch_add(1, Ordering::Relaxed);
            let chosen = self.all.get(start % self.all.len().max(1)).ok_or(fault)?;
            Ok(Turn::new(chosen, now))
        })
    }

    /// Tells whether there is another where one fails.
    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Chooses another replica than the one that failed, where there is one and the budget allows a second try.
    pub(crate) fn choose_again(&self, failed: &Turn, now: Instant) -> Option<Turn> {
        if !self.are_several() || !self.allows_retry() {
            return None;
        }
        self.choose_but(Some(&failed.replica), now).ok()
    }

    /// Pays for a second try, where the budget has it.
    pub(crate) fn allows_retry(&self) -> bool {
        let paid = |credit: u32| credit.checked_sub(RETRY_COSTS);
        let is_paid = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid).is_ok();
        self.series.retries.inc_by(is_paid.into());
        is_paid
    }

    fn choose_but(&self, failed: Option<&Arc<Replica>>, now: Instant) -> Result<Turn, NoReplica> {
        let chosen = match &self.all[..] {
            [only] => Some(only).filter(|_| failed.is_none() && only.lets_through(now)),
            several => self.least_busy(several, failed, now),
        };
        let chosen = chosen.ok_or(NoReplica)?;
        Ok(Turn::new(chosen, now))
    }

    fn least_busy<'a>(
        &self,
        all: &'a [Arc<Replica>],
        failed: Option<&Arc<Replica>>,
        now: Instant,
    ) -> Option<&'a Arc<Replica>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut candidates: Vec<&Arc<Replica>> = (0..all.len())
            .map(|offset| &all[(start.wrapping_add(offset)) % all.len()])
            .filter(|replica| failed.is_none_or(|failed| !Arc::ptr_eq(failed, replica)))
            .collect();
        let best = candidates.iter().map(|replica| replica.latency.load(Ordering::Relaxed)).min();
        candidates.sort_by_cached_key(|replica| {
            (replica.rank(best.unwrap_or_default(), now), replica.under_way.load(Ordering::Relaxed))
        });
        candidates.into_iter().find(|replica| replica.lets_through(now))
    }
}

impl Replica {
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether it is asked before others or after them, where it is so much slower than the best: first once in a
    /// while, to find out whether it still is, and else last.
    fn rank(&self, best: u64, now: Instant) -> Rank {
        if self.latency.load(Ordering::Relaxed) <= best.saturating_mul(SLOWER) + SLOW_FROM {
            return Rank::Usual;
        }
        let mut circuit = self.circuit();
        let is_due = circuit.probed_at.is_some_and(|at| now.saturating_duration_since(at) >= PAUSE);
        if is_due || circuit.probed_at.is_none() {
            circuit.probed_at = Some(now);
        }
        if is_due { Rank::First } else { Rank::Last }
    }

    /// Tells whether a request may go here. Where the pause is over, one may, and the next after another pause.
    fn lets_through(&self, now: Instant) -> bool {
        let mut circuit = self.circuit();
        match circuit.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                circuit.open_until = Some(now + PAUSE);
                true
            }
            None => true,
        }
    }
}

impl Turn {
    fn new(replica: &Arc<Replica>, now: Instant) -> Self {
        replica.under_way.fetch_add(1, Ordering::Relaxed);
        Self { replica: Arc::clone(replica), since: now }
    }

    /// Returns where to send the request.
    pub(crate) fn authority(&self) -> &Authority {
        &self.replica.authority
    }

    /// Tells which replica it is.
    pub(crate) fn replica(&self) -> ReplicaId {
        self.replica.id
    }

    /// Notes that the replica answered as one that works.
    pub(crate) fn succeeded(&self, now: Instant) {
        let took = now.saturating_duration_since(self.since).as_micros();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        let mix = |before: u64| Some(before - before / WEIGHT + took / WEIGHT);
        let _ = self.replica.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, mix);
        let mut circuit = self.replica.circuit();
        (circuit.failures, circuit.open_until) = (0, None);
    }

    /// Notes that the replica could not be reached, broke off, was late, or failed by itself.
    pub(crate) fn failed(&self, now: Instant) {
        let mut circuit = self.replica.circuit();
        circuit.failures = circuit.failures.saturating_add(1);
        if circuit.failures >= FAILURES {
            if circuit.failures == FAILURES {
                self.replica.series.circuits.inc();
                tracing::warn!(replica = %self.replica.authority, "the circuit of a replica opens: it failed {FAILURES} times");
            }
            circuit.open_until = Some(now + PAUSE);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.replica.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Families;

    fn replicas(count: u8) -> Replicas {
        let series = Families::of_nobody().of_service("site");
        Replicas::new((0..count).map(|last| format!("10.0.0.{last}:80").parse().unwrap()), series)
    }

    fn host(turn: &Turn) -> &str {
        turn.authority().host()
    }

    #[test]
    fn the_replica_with_the_least_to_do_is_next_and_equals_take_turns() {
        let (three, now) = (replicas(3), Instant::now());
        let turns: Vec<_> = (0..3).map(|_| three.choose(now).unwrap()).collect();
        let mut hosts: Vec<_> = turns.iter().map(host).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, ["10.0.0.0", "10.0.0.1", "10.0.0.2"]);
        drop(turns);
        let busy: Vec<_> = (0..6).map(|_| three.choose(now).unwrap()).collect();
        assert!(three.all.iter().all(|replica| replica.under_way.load(Ordering::Relaxed) == 2));
        drop(busy);
        assert!(three.all.iter().all(|replica| replica.under_way.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_replica_that_fails_is_left_alone_and_tried_by_one_request_after_a_pause() {
        let (one, now) = (replicas(1), Instant::now());
        for _ in 0..FAILURES {
            one.choose(now).unwrap().failed(now);
        }
        assert_eq!(one.choose(now).err(), Some(NoReplica));
        let later = now + PAUSE;
        let trying = one.choose(later).unwrap();
        assert_eq!(one.choose(later).err(), Some(NoReplica), "one at a time");
        trying.failed(later);
        assert_eq!(one.choose(later + PAUSE / 2).err(), Some(NoReplica));
        let again = one.choose(later + PAUSE).unwrap();
        again.succeeded(later);
        assert!(one.choose(later + PAUSE).is_ok());
    }

    #[test]
    fn a_replica_that_became_slow_is_asked_once_in_a_while_until_it_is_as_fast_again() {
        let (two, mut now) = (replicas(2), Instant::now());
        let mut slow_takes = Duration::from_secs(1);
        let mut ask = |count: usize, slow_takes: Duration| {
            let mut slow = 0;
            for _ in 0..count {
                let turn = two.choose(now).unwrap();
                let is_slow = host(&turn) == "10.0.0.0";
                slow += usize::from(is_slow);
                turn.succeeded(now + if is_slow { slow_takes } else { Duration::from_millis(1) });
                now += Duration::from_millis(10);
            }
            slow
        };
        assert_eq!(ask(10, slow_takes).min(2), 1, "it is found out by one answer");
        assert!((4..=6).contains(&ask(500, slow_takes)), "once a second");
        slow_takes = Duration::from_millis(1);
        ask(1_500, slow_takes);
        assert_eq!(ask(100, slow_takes), 50);
    }

    #[test]
    fn a_failure_between_answers_opens_nothing() {
        let (one, now) = (replicas(1), Instant::now());
        for _ in 0..10 * FAILURES {
            let turn = one.choose(now).unwrap();
            turn.failed(now);
            turn.succeeded(now);
        }
        assert!(one.choose(now).is_ok());
    }

    #[test]
    fn a_second_try_goes_elsewhere_and_no_more_of_them_than_a_tenth() {
        let (two, now) = (replicas(2), Instant::now());
        let mut retried = 0;
        for _ in 0..1_000 {
            let turn = two.choose(now).unwrap();
            if let Some(other) = two.choose_again(&turn, now) {
                assert_ne!(host(&turn), host(&other));
                retried += 1;
            }
        }
        assert!((100..=110).contains(&retried), "{retried}");
        let alone = replicas(1);
        assert!(alone.choose_again(&alone.choose(now).unwrap(), now).is_none());
    }
}

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use slipway_kernel::{DeploymentId, InstanceId, UserId};
use tokio::sync::oneshot;

use super::ledger::{Room, Seat};
use super::member::Member;
use super::pool::{Acquired, Action, Grant, Limits, Place, Pools};
use super::queues::Waiting;
use super::{Busy, Full, Shortage, StartFailure};
use crate::domain::{Revision, Version};

mod activation;
mod concurrency;
mod fairness;
mod upkeep;

/// Stands for an instance.
#[derive(Debug)]
struct Fake {
    about: About,
    free: usize,
}

/// Stands for a slot of one, and says which.
type Slot = About;

#[derive(Debug, Clone)]
struct About {
    id: InstanceId,
    version: Arc<Version>,
    seat: Seat,
    open: Rc<Cell<bool>>,
    stopped: Rc<Cell<bool>>,
}

impl Fake {
    fn new(version: &Arc<Version>, seat: Seat) -> Self {
        let about = About {
            id: InstanceId::generate(),
            version: Arc::clone(version),
            seat,
            open: Rc::new(Cell::new(true)),
            stopped: Rc::default(),
        };
        Self { about, free: version.concurrency() as usize }
    }
}

impl Member for Fake {
    type Slot = Slot;

    fn id(&self) -> InstanceId {
        self.about.id
    }

    fn version(&self) -> &Arc<Version> {
        &self.about.version
    }

    fn is_open(&self) -> bool {
        self.about.open.get()
    }

    fn lend(&mut self) -> Option<Slot> {
        self.free = self.free.checked_sub(1)?;
        Some(self.about.clone())
    }

    fn take_back(&mut self, slot: Slot) {
        assert_eq!(slot.id, self.about.id);
        self.free += 1;
    }

    fn is_full(&self) -> bool {
        self.free == 0
    }

    fn is_idle(&self) -> bool {
        self.free == self.about.version.concurrency() as usize
    }

    fn stop(&self) {
        self.about.stopped.set(true);
    }
}

/// Pools with a host on which starts and removals happen when the test says so.
struct Host {
    pools: Pools<Fake>,
    starting: Vec<(Arc<Version>, Seat)>,
    leaving: Vec<Fake>,
    now: Instant,
}

impl Host {
    /// A host whose owners may each have all of it.
    fn with(instances: usize, memory_mb: u64, waiting: usize) -> Self {
        let room = Room { instances, memory_mb };
        Self::of(room, room, Waiting { per_function: waiting, per_owner: 10_000, in_all: 10_000 })
    }

    fn of(host: Room, owner: Room, waiting: Waiting) -> Self {
        let pools = Pools::new(Limits { host, owner, waiting });
        Self { pools, starting: Vec::new(), leaving: Vec::new(), now: Instant::now() }
    }

    fn take(&mut self, actions: Vec<Action<Fake>>) {
        for action in actions {
            match action {
                Action::Start(version, seat) => self.starting.push((version, seat)),
                Action::Retire(member) => self.leaving.push(member),
            }
        }
    }

    fn acquire(&mut self, version: &Arc<Version>) -> Acquired<Slot> {
        self.now += Duration::from_millis(1);
        let (acquired, actions) = self.pools.acquire(version, self.now);
        self.take(actions);
        acquired
    }

    fn wait(&mut self, version: &Arc<Version>) -> Caller {
        match self.acquire(version) {
            Acquired::Waits(place, granted) => Caller { place, granted },
            Acquired::Ready(_) => panic!("an instance was ready"),
            Acquired::Refused(busy) => panic!("{busy}"),
        }
    }

    fn give_up(&mut self, caller: &Caller) {
        self.pools.give_up(caller.place);
    }

    fn ready(&mut self, version: &Arc<Version>) -> Slot {
        match self.acquire(version) {
            Acquired::Ready(slot) => slot,
            Acquired::Waits(..) => panic!("no instance was ready"),
            Acquired::Refused(busy) => panic!("{busy}"),
        }
    }

    fn release(&mut self, slot: Slot) {
        self.now += Duration::from_millis(1);
        let (id, function_id) = (slot.id, slot.version.function_id);
        if let Ok(actions) = self.pools.release(id, function_id, slot, self.now) {
            self.take(actions);
        }
    }

    /// Lets go of a slot without giving it back.
    fn lose(&mut self, slot: &Slot) {
        let actions = self.pools.lose(slot.id, slot.version.function_id, self.now);
        self.take(actions);
    }

    /// Lets the oldest start succeed.
    fn start(&mut self) {
        let (version, seat) = self.starting.remove(0);
        let actions = self.pools.started(Fake::new(&version, seat), self.now);
        self.take(actions);
    }

    fn fail_start(&mut self) {
        let (version, seat) = self.starting.remove(0);
        self.pools.leave(seat);
        let actions = self.pools.start_failed(&version, StartFailure::Platform("no".into()), self.now);
        self.take(actions);
        let actions = self.pools.free(seat, self.now);
        self.take(actions);
    }

    /// Lets the oldest removal come to its end.
    fn remove(&mut self) {
        let seat = self.leaving.remove(0).about.seat;
        let actions = self.pools.free(seat, self.now);
        self.take(actions);
    }

    /// Lets time pass, after which what was idle for all of it goes.
    fn idle_for(&mut self, time: Duration) {
        self.now += time;
        let actions = self.pools.maintain(time, self.now);
        self.take(actions);
    }

    fn activate(&mut self, version: &Arc<Version>) {
        let actions = self.pools.activate(version, self.now);
        self.take(actions);
    }
}

/// A caller in a queue.
struct Caller {
    place: Place,
    granted: oneshot::Receiver<Grant<Slot>>,
}

fn version(change: impl FnOnce(&mut Version)) -> Arc<Version> {
    let mut version = Version::sample();
    change(&mut version);
    Arc::new(version)
}

fn any() -> Arc<Version> {
    version(|_| {})
}

fn next_of(before: &Arc<Version>) -> Arc<Version> {
    Arc::new(Version {
        number: before.number + 1,
        deployment_id: DeploymentId::generate(),
        revision: Revision(before.revision.0 + 1),
        ..(**before).clone()
    })
}

fn granted(caller: &mut Caller) -> Option<Slot> {
    caller.granted.try_recv().ok().and_then(Result::ok).map(|granted| granted.slot)
}

#[test]
fn the_newest_ready_instance_is_taken_first() {
    let mut host = Host::with(10, 10_000, 10);
    let version = any();
    let mut waiting = [host.wait(&version), host.wait(&version)];
    host.start();
    host.start();
    let [first, second] = waiting.each_mut().map(|receiver| granted(receiver).unwrap());
    let newest = Rc::clone(&second.open);
    host.release(first);
    host.release(second);
    assert!(Rc::ptr_eq(&host.ready(&version).open, &newest));
}

#[test]
fn one_instance_starts_for_each_caller_up_to_the_functions_limit() {
    let mut host = Host::with(10, 10_000, 10);
    let version = version(|version| version.config.max_instances = 2);
    let mut waiting: Vec<_> = (0..3).map(|_| host.wait(&version)).collect();
    assert_eq!(host.starting.len(), 2);
    host.start();
    let member = granted(&mut waiting[0]).unwrap();
    host.release(member);
    assert!(granted(&mut waiting[1]).is_some(), "callers are served in their order");
}

#[test]
fn past_the_queues_end_a_call_is_refused() {
    let mut host = Host::with(1, 10_000, 1);
    let version = any();
    let _waiting = host.wait(&version);
    let refused = Busy::QueueFull(Full::Function(1), Shortage::OwnerInstances(1));
    assert!(matches!(host.acquire(&version), Acquired::Refused(busy) if busy == refused));
}

#[test]
fn a_caller_who_has_left_is_passed_over_and_takes_no_place_in_the_queue() {
    let mut host = Host::with(1, 10_000, 1);
    let version = any();
    let gone = host.wait(&version);
    host.give_up(&gone);
    let mut waiting = host.wait(&version);
    host.start();
    assert!(granted(&mut waiting).is_some());
}

#[test]
fn a_start_that_fails_is_told_to_the_caller_who_waits_longest_and_the_next_is_tried() {
    let mut host = Host::with(1, 10_000, 10);
    let version = any();
    let (mut first, mut second) = (host.wait(&version), host.wait(&version));
    host.fail_start();
    assert!(matches!(first.granted.try_recv(), Ok(Err(StartFailure::Platform(_)))));
    host.start();
    assert!(granted(&mut second).is_some());
}

#[test]
fn a_closed_instance_is_never_lent() {
    let mut host = Host::with(10, 10_000, 10);
    let version = any();
    let mut waiting = host.wait(&version);
    host.start();
    let member = granted(&mut waiting).unwrap();
    let open = Rc::clone(&member.open);
    host.release(member);
    open.set(false);
    let _waiting = host.wait(&version);
    assert_eq!((host.leaving.len(), host.starting.len()), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever happens in whatever order: the host is never overfull, no seat is lost, and when everything has
    /// settled nobody is left waiting.
    #[test]
    fn no_order_of_events_overfills_the_host_or_forgets_a_caller(events in prop::collection::vec((0_u8..7, 0_usize..4), 1..120)) {
        let room = |instances, memory_mb| Room { instances, memory_mb };
        let mut host = Host::of(room(3, 400), room(2, 300), Waiting { per_function: 20, per_owner: 30, in_all: 40 });
        let owners = [UserId::generate(), UserId::generate()];
        let mut versions: Vec<_> = (0..4_u32)
            .map(|n| version(|version| {
                version.owner = owners[n as usize % 2];
                version.config.memory_mb = 64 * (n + 1);
                version.config.max_instances = 2;
                version.config.min_instances = n % 2;
                version.config.concurrency = 1 + n;
            }))
            .collect();
        let (mut waiting, mut busy) = (Vec::new(), Vec::new());
        for (event, n) in events {
            match event {
                0 | 1 => match host.acquire(&Arc::clone(&versions[n])) {
                    Acquired::Ready(member) => busy.push(member),
                    Acquired::Waits(place, granted) => waiting.push(Caller { place, granted }),
                    Acquired::Refused(_) => {}
                },
                2 if !host.starting.is_empty() => if n == 0 { host.fail_start() } else { host.start() },
                3 if !busy.is_empty() => { let member = busy.swap_remove(n % busy.len()); host.release(member); }
                4 if !host.leaving.is_empty() => host.remove(),
                6 if !busy.is_empty() => { let lost: Slot = busy.swap_remove(n % busy.len()); host.lose(&lost); }
                5 => { versions[n] = next_of(&versions[n]); host.activate(&Arc::clone(&versions[n])); }
                _ => {}
            }
            waiting.retain_mut(|caller: &mut Caller| match caller.granted.try_recv() {
                Ok(Ok(granted)) => { busy.push(granted.slot); false }
                Ok(Err(_)) => false,
                Err(oneshot::error::TryRecvError::Empty) => true,
                Err(oneshot::error::TryRecvError::Closed) => panic!("a caller was forgotten"),
            });
            prop_assert!(host.pools.seats(None) <= 3);
        }
        for _ in 0..500 {
            while let Some(member) = busy.pop() { host.release(member); }
            if !host.starting.is_empty() { host.start(); }
            if !host.leaving.is_empty() { host.remove(); }
            waiting.retain_mut(|caller: &mut Caller| match caller.granted.try_recv() {
                Ok(Ok(granted)) => { busy.push(granted.slot); false }
                Ok(Err(_)) => false,
                Err(_) => true,
            });
        }
        prop_assert_eq!(waiting.len(), 0);
        let actions = host.pools.close();
        host.take(actions);
        while !host.starting.is_empty() { host.start(); }
        while !host.leaving.is_empty() { host.remove(); }
        prop_assert_eq!(host.pools.seats(None), 0);
    }
}

#[test]
fn room_is_what_instances_leave_of_number_and_memory() {
    let function = version(|version| version.config.memory_mb = 256);
    let mut host = Host::with(3, 600, 10);
    assert_eq!((host.pools.room_for(128), host.pools.room_for(512)), (3, 1));
    let _waiting = host.wait(&function);
    assert_eq!((host.pools.room_for(128), host.pools.room_for(512)), (2, 0));
    host.fail_start();
    assert_eq!(host.pools.room_for(128), 3);
}

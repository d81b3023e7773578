use super::*;

#[test]
fn a_function_larger_than_the_host_is_refused_and_says_so() {
    let mut host = Host::with(10, 100, 10);
    let busy = host.acquire(&any());
    assert!(matches!(busy, Acquired::Refused(Busy::TooLarge { host_mb: 100 })));
}

#[test]
fn where_nothing_fits_the_longest_idle_instance_makes_room() {
    let mut host = Host::with(2, 10_000, 10);
    let versions = [any(), any(), any()];
    for version in &versions[..2] {
        let mut waiting = host.wait(version);
        host.start();
        host.release(granted(&mut waiting).unwrap());
    }
    let mut waiting = host.wait(&versions[2]);
    assert_eq!(host.starting.len(), 0, "nothing starts before there is room");
    assert_eq!(host.leaving.len(), 1);
    assert_eq!(host.leaving[0].about.version, versions[0]);
    host.remove();
    host.start();
    assert!(granted(&mut waiting).is_some());
}

#[test]
fn idle_instances_are_not_given_up_where_that_makes_no_room() {
    let mut host = Host::with(10, 300, 10);
    let (busy, idle) =
        (version(|version| version.config.memory_mb = 200), version(|version| version.config.memory_mb = 50));
    let mut waiting = [host.wait(&busy), host.wait(&idle)];
    host.start();
    host.start();
    let [_busy, idle] = waiting.each_mut().map(|receiver| granted(receiver).unwrap());
    host.release(idle);
    let _waiting = host.wait(&version(|version| version.config.memory_mb = 150));
    assert_eq!((host.leaving.len(), host.starting.len()), (0, 0));
}

#[test]
fn a_busy_owner_makes_room_for_one_who_has_nothing() {
    let mut host = Host::with(1, 10_000, 10);
    let (busy, starved) = (any(), any());
    let mut first = host.wait(&busy);
    host.start();
    let member = granted(&mut first).unwrap();
    let mut more = host.wait(&busy);
    let mut other = host.wait(&starved);
    host.release(member);
    assert!(granted(&mut more).is_none(), "its own queue is longer and comes second");
    host.remove();
    host.start();
    assert!(granted(&mut other).is_some());
}

const WAITING: Waiting = Waiting { per_function: 100, per_owner: 150, in_all: 10_000 };

fn room(instances: usize, memory_mb: u64) -> Room {
    Room { instances, memory_mb }
}

/// Another function of the same owner.
fn beside(other: &Arc<Version>) -> Arc<Version> {
    version(|version| version.owner = other.owner)
}

#[test]
fn an_owner_gets_no_more_of_the_host_than_one_owner_may_have() {
    for (owner, shortage) in
        [(room(2, 10_000), Shortage::OwnerInstances(2)), (room(10, 256), Shortage::OwnerMemory(256))]
    {
        let mut host = Host::of(room(10, 10_000), owner, WAITING);
        let first = any();
        let second = beside(&first);
        let _waiting = [host.wait(&first), host.wait(&first)];
        let third = host.wait(&second);
        assert_eq!(host.starting.len(), 2);
        assert_eq!(host.pools.shortage(third.place), shortage);
        let _other = host.wait(&any());
        assert_eq!(host.starting.len(), 3, "another owner is not concerned");
    }
}

#[test]
fn a_function_larger_than_one_owners_share_is_refused_and_says_so() {
    let mut host = Host::of(room(10, 1_000), room(10, 100), WAITING);
    let busy = host.acquire(&any());
    assert!(matches!(busy, Acquired::Refused(Busy::TooLargeForOwner { owner_mb: 100 })));
}

#[test]
fn an_owner_whose_share_is_full_makes_room_of_its_own_for_a_function_that_has_none() {
    let mut host = Host::of(room(10, 10_000), room(1, 10_000), WAITING);
    let busy = any();
    let mut first = host.wait(&busy);
    host.start();
    let member = granted(&mut first).unwrap();
    let mut more = host.wait(&busy);
    let mut starved = host.wait(&beside(&busy));
    host.release(member);
    assert!(granted(&mut more).is_none());
    host.remove();
    host.start();
    assert!(granted(&mut starved).is_some());
}

#[test]
fn the_calls_of_an_owner_that_wait_are_bounded_over_all_its_functions() {
    let mut host = Host::of(room(1, 10_000), room(1, 10_000), WAITING);
    let first = any();
    let second = beside(&first);
    let _first: Vec<_> = (0..100).map(|_| host.wait(&first)).collect();
    let _second: Vec<_> = (0..50).map(|_| host.wait(&second)).collect();
    let refused = Busy::QueueFull(Full::Owner(150), Shortage::OwnerInstances(1));
    assert!(matches!(host.acquire(&second), Acquired::Refused(busy) if busy == refused));
    assert_eq!(
        refused.to_string(),
        "150 calls of its owner's functions wait already, and the functions of its owner have the 1 instances that \
         one owner may have"
    );
    assert!(matches!(host.acquire(&any()), Acquired::Waits(..)), "another owner may wait");
}

#[test]
fn owners_share_a_crowded_host_evenly_and_nothing_is_taken_back_in_turn() {
    let mut host = Host::with(4, 10_000, 1_000);
    let (greedy, late) = (any(), any());
    let mut callers: Vec<_> = (0..20).map(|_| host.wait(&greedy)).collect();
    for _ in 0..4 {
        host.start();
    }
    let mut busy: Vec<_> = callers.iter_mut().filter_map(granted).collect();
    callers.extend((0..20).map(|_| host.wait(&late)));
    let mut removed = 0;
    for _ in 0..100 {
        if let Some(member) = busy.pop() {
            host.release(member);
        }
        while !host.leaving.is_empty() {
            removed += 1;
            host.remove();
        }
        while !host.starting.is_empty() {
            host.start();
        }
        busy.extend(callers.iter_mut().filter_map(granted));
        let of_late = host.pools.seats(Some(late.function_id));
        let waits = callers.iter_mut().any(|caller| caller.granted.try_recv().is_err());
        assert!(of_late <= 2 || !waits, "{of_late} of 4");
    }
    assert!(removed <= 4, "{removed} instances were given up for 20 callers each");
}

#[test]
fn an_owner_makes_no_room_for_one_whose_own_share_is_full() {
    let mut host = Host::of(room(10, 1_000), room(10, 500), WAITING);
    let large = version(|version| version.config.memory_mb = 400);
    let small = version(|version| version.config.memory_mb = 100);
    let mut first = host.wait(&large);
    let _second = host.wait(&large);
    let mut others: Vec<_> = (0..4).map(|_| host.wait(&small)).collect();
    for _ in 0..5 {
        host.start();
    }
    assert!(granted(&mut first).is_some());
    let member = granted(&mut others[0]).unwrap();
    host.release(member);
    assert_eq!(host.leaving.len(), 0, "it would help nobody");
}

#[test]
fn a_thousand_callers_of_one_function_take_no_more_than_its_instances() {
    let mut host = Host::with(100, 100_000, 1_000);
    let version = any();
    let mut callers: Vec<_> = (0..1_000).map(|_| host.wait(&version)).collect();
    assert_eq!(host.starting.len(), 10);
    for _ in 0..10 {
        host.start();
    }
    let mut served = 0;
    while served < callers.len() {
        let member = granted(&mut callers[served]).expect("in the order of their coming");
        served += 1;
        host.release(member);
    }
    assert_eq!((host.starting.len(), host.pools.seats(None)), (0, 10));
}

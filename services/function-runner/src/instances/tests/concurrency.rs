use super::*;

fn several(concurrency: u32) -> Arc<Version> {
    version(|version| version.config.concurrency = concurrency)
}

/// Has one instance started, whose slots are all lent.
fn full(host: &mut Host, version: &Arc<Version>) -> Vec<Slot> {
    let mut callers: Vec<_> = (0..version.concurrency()).map(|_| host.wait(version)).collect();
    assert_eq!(host.starting.len(), 1, "one start serves as many callers as it has slots");
    host.start();
    callers.iter_mut().map(|caller| granted(caller).unwrap()).collect()
}

#[test]
fn one_instance_serves_as_many_calls_at_a_time_as_it_may_and_the_next_waits_for_another() {
    let mut host = Host::with(10, 10_000, 10);
    let version = several(3);
    let mut slots = full(&mut host, &version);
    assert!(slots.iter().all(|slot| slot.id == slots[0].id));
    let mut fourth = host.wait(&version);
    assert_eq!(host.pools.seats(None), 2);
    host.release(slots.remove(0));
    assert_eq!(granted(&mut fourth).unwrap().id, slots[0].id, "a slot that comes back serves who waits");
}

#[test]
fn the_most_instances_are_counted_and_not_their_slots() {
    let mut host = Host::with(10, 10_000, 100);
    let version = version(|version| {
        version.config.concurrency = 5;
        version.config.max_instances = 2;
    });
    let mut callers: Vec<_> = (0..20).map(|_| host.wait(&version)).collect();
    assert_eq!(host.starting.len(), 2);
    host.start();
    host.start();
    assert_eq!(callers.iter_mut().filter_map(granted).count(), 10);
    assert_eq!((host.starting.len(), host.pools.seats(None)), (0, 2));
}

#[test]
fn an_instance_is_not_idle_while_one_of_its_calls_runs() {
    let mut host = Host::with(10, 10_000, 10);
    let version = several(2);
    let mut slots = full(&mut host, &version);
    host.release(slots.remove(0));
    host.idle_for(Duration::from_hours(1));
    assert_eq!(host.leaving.len(), 0);
    host.release(slots.remove(0));
    host.idle_for(Duration::from_hours(1));
    assert_eq!(host.leaving.len(), 1);
}

#[test]
fn an_instance_with_a_call_under_way_makes_no_room() {
    let mut host = Host::with(1, 10_000, 10);
    let version = several(2);
    let mut slots = full(&mut host, &version);
    host.release(slots.remove(0));
    let mut other = host.wait(&any());
    assert_eq!(host.leaving.len(), 0);
    host.release(slots.remove(0));
    assert_eq!(host.leaving.len(), 1, "now it is idle, and the other has none");
    host.remove();
    host.start();
    assert!(granted(&mut other).is_some());
}

#[test]
fn an_old_versions_instance_takes_no_call_and_goes_with_its_last_one() {
    let mut host = Host::with(10, 10_000, 10);
    let old = several(2);
    let mut slots = full(&mut host, &old);
    host.release(slots.remove(0));
    let new = next_of(&old);
    host.activate(&new);
    let _waits_for_the_new_one = host.wait(&new);
    assert_eq!(host.leaving.len(), 0);
    host.release(slots.remove(0));
    assert_eq!(host.leaving.len(), 1);
}

#[test]
fn who_ends_an_instance_ends_its_other_calls_once() {
    let mut host = Host::with(10, 10_000, 10);
    let version = version(|version| {
        version.config.concurrency = 3;
        version.config.max_instances = 1;
    });
    let slots = full(&mut host, &version);
    host.lose(&slots[0]);
    assert!(slots[1].stopped.get());
    assert_eq!(host.leaving.len(), 1);
    host.lose(&slots[1]);
    host.release(slots[2].clone());
    assert_eq!(host.leaving.len(), 1, "it is removed once");
    host.remove();
    assert_eq!(host.pools.seats(None), 0);
}

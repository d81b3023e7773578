use super::*;

#[test]
fn a_new_version_takes_the_calls_and_instances_of_the_old_one_go() {
    let mut host = Host::with(10, 10_000, 10);
    let old = version(|version| version.config.max_instances = 2);
    let mut waiting = [host.wait(&old), host.wait(&old)];
    host.start();
    host.start();
    let [busy, idle] = waiting.each_mut().map(|receiver| granted(receiver).unwrap());
    host.release(idle);
    let new = next_of(&old);
    host.activate(&new);
    assert_eq!(host.leaving.len(), 1, "the idle one goes at once");
    let mut waiting = host.wait(&old);
    assert_eq!(host.starting[0].0, new, "a caller who still knows the old version gets the new one");
    host.release(busy);
    assert_eq!(host.leaving.len(), 2, "the busy one goes when its call has ended");
    host.start();
    assert_eq!(granted(&mut waiting).unwrap().version, new);
}

#[test]
fn a_version_that_comes_back_is_not_undone_by_a_caller_who_knows_the_one_between() {
    let mut host = Host::with(10, 10_000, 10);
    let old = any();
    let mut waiting = host.wait(&old);
    host.start();
    let busy = granted(&mut waiting).unwrap();
    let new = next_of(&old);
    host.activate(&new);
    let back = Arc::new(Version { revision: Revision(new.revision.0 + 1), ..(*old).clone() });
    host.activate(&back);
    host.release(busy);
    assert_eq!(host.leaving.len(), 0, "its version is the active one again");
    assert!(matches!(host.acquire(&new), Acquired::Ready(slot) if slot.version.number == old.number));
}

#[test]
fn a_changed_configuration_replaces_instances_as_a_new_version_does() {
    let mut host = Host::with(10, 10_000, 10);
    let old = any();
    let mut waiting = host.wait(&old);
    host.start();
    host.release(granted(&mut waiting).unwrap());
    let mut changed = (*old).clone();
    changed.config.env.insert("KEY".into(), "value".into());
    host.activate(&Arc::new(changed));
    assert_eq!(host.leaving.len(), 1);
}

#[test]
fn a_checked_instance_is_the_first_of_its_version() {
    let mut host = Host::with(10, 10_000, 10);
    let version = any();
    let (seat, actions) = host.pools.seat_for_check(&version);
    host.take(actions);
    let checked = Fake::new(&version, seat.unwrap().unwrap());
    let actions = host.pools.keep_checked(checked, host.now);
    host.take(actions);
    host.activate(&version);
    host.ready(&version);
    assert_eq!(host.starting.len(), 0);
}

#[test]
fn a_checked_instance_that_is_never_activated_goes_with_the_idle() {
    let mut host = Host::with(10, 10_000, 10);
    let version = any();
    let (seat, _) = host.pools.seat_for_check(&version);
    let checked = Fake::new(&version, seat.unwrap().unwrap());
    let actions = host.pools.keep_checked(checked, host.now);
    host.take(actions);
    host.idle_for(Duration::from_secs(1));
    assert_eq!(host.leaving.len(), 1);
}

#[test]
fn a_removed_function_tells_its_callers() {
    let mut host = Host::with(10, 10_000, 10);
    let version = any();
    let mut waiting = host.wait(&version);
    let actions = host.pools.remove_function(version.function_id);
    host.take(actions);
    assert!(matches!(waiting.granted.try_recv(), Ok(Err(StartFailure::Removed))));
    host.start();
    assert_eq!(host.leaving.len(), 1, "an instance that comes too late goes");
}

#[test]
fn what_becomes_of_an_old_version_is_not_told_to_callers_of_the_new_one() {
    let mut host = Host::with(10, 10_000, 10);
    let old = any();
    let mut caller = host.wait(&old);
    host.activate(&next_of(&old));
    host.fail_start();
    assert!(matches!(caller.granted.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
    host.start();
    assert!(granted(&mut caller).is_some());
}

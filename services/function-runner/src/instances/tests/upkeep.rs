use super::*;

fn kept(instances: u32) -> Arc<Version> {
    version(|version| version.config.min_instances = instances)
}

impl Host {
    /// Has a ready instance end by itself.
    fn kill_one(&mut self, version: &Arc<Version>) {
        let member = self.ready(version);
        member.open.set(false);
        self.release(member);
    }
}

#[test]
fn the_instances_that_are_kept_start_before_anyone_calls_and_stay() {
    let mut host = Host::with(10, 10_000, 10);
    let version = kept(2);
    host.activate(&version);
    assert_eq!(host.starting.len(), 2);
    host.start();
    host.start();
    host.idle_for(Duration::from_hours(1));
    assert_eq!(host.leaving.len(), 0);
    host.ready(&version);
}

#[test]
fn what_is_idle_beside_the_kept_ones_goes() {
    let mut host = Host::with(10, 10_000, 10);
    let version = kept(1);
    let mut waiting = [host.wait(&version), host.wait(&version)];
    host.start();
    host.start();
    for member in waiting.each_mut().map(|caller| granted(caller).unwrap()) {
        host.release(member);
    }
    host.idle_for(Duration::from_hours(1));
    assert_eq!(host.leaving.len(), 1);
}

#[test]
fn a_kept_instance_that_died_is_replaced() {
    let mut host = Host::with(10, 10_000, 10);
    let version = kept(1);
    host.activate(&version);
    host.start();
    host.kill_one(&version);
    host.idle_for(Duration::from_secs(1));
    assert_eq!(host.starting.len(), 1);
}

#[test]
fn kept_instances_that_crash_at_once_are_not_started_without_end() {
    let mut host = Host::with(10, 10_000, 10);
    host.activate(&kept(1));
    let mut starts = 0;
    for _ in 0..600 {
        while !host.starting.is_empty() {
            starts += 1;
            host.fail_start();
        }
        host.idle_for(Duration::from_secs(1));
    }
    assert!((5..=15).contains(&starts), "{starts} in ten minutes");
}

#[test]
fn a_caller_is_not_kept_waiting_by_instances_that_crashed() {
    let mut host = Host::with(10, 10_000, 10);
    let version = kept(1);
    host.activate(&version);
    host.fail_start();
    host.fail_start();
    assert_eq!(host.starting.len(), 0, "the next is not due yet");
    let _caller = host.wait(&version);
    assert_eq!(host.starting.len(), 1);
}

#[test]
fn kept_instances_of_an_owner_with_more_make_room_for_a_caller_and_are_not_taken_back() {
    let mut host = Host::with(3, 10_000, 10);
    host.activate(&kept(3));
    for _ in 0..3 {
        host.start();
    }
    let other = any();
    let mut caller = host.wait(&other);
    assert_eq!(host.leaving.len(), 1);
    host.remove();
    host.start();
    let member = granted(&mut caller).expect("its instance");
    host.idle_for(Duration::from_secs(1));
    assert_eq!((host.starting.len(), host.leaving.len()), (0, 0), "the host is full");
    host.release(member);
}

#[test]
fn of_calls_one_at_a_time_no_spare_is_made() {
    let mut host = Host::with(10, 10_000, 10);
    let version = any();
    let mut caller = host.wait(&version);
    host.start();
    let mut member = granted(&mut caller).unwrap();
    for _ in 0..5 {
        host.release(member);
        member = host.ready(&version);
    }
    assert_eq!(host.starting.len(), 0);
}

#[test]
fn where_calls_overlap_the_next_caller_finds_a_spare() {
    let mut host = Host::with(10, 10_000, 10);
    let version = any();
    let mut callers = [host.wait(&version), host.wait(&version)];
    host.start();
    host.start();
    let _busy = callers.each_mut().map(|caller| granted(caller).unwrap());
    assert_eq!(host.starting.len(), 1, "both are busy, so a third is prepared");
    host.start();
    host.ready(&version);
}

#[test]
fn a_spare_takes_nobodys_room() {
    let mut host = Host::with(3, 10_000, 10);
    let (idle, shared) = (any(), any());
    let mut caller = host.wait(&idle);
    host.start();
    host.release(granted(&mut caller).unwrap());
    let mut callers = [host.wait(&shared), host.wait(&shared)];
    host.start();
    host.start();
    assert!(callers.iter_mut().all(|caller| granted(caller).is_some()));
    assert_eq!((host.starting.len(), host.leaving.len()), (0, 0));
    host.ready(&idle);
}

#[test]
fn nothing_starts_once_the_pools_are_closed() {
    let mut host = Host::with(10, 10_000, 10);
    let version = kept(1);
    host.activate(&version);
    host.start();
    let actions = host.pools.close();
    host.take(actions);
    host.remove();
    host.activate(&version);
    host.idle_for(Duration::from_secs(1));
    let mut late = host.wait(&version);
    assert!(matches!(late.granted.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    assert_eq!(host.starting.len(), 0);
}

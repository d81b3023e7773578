use chrono::TimeDelta;
use slipway_db::{Begin, IdempotencyKey, StoredAnswer, abandon, begin, finish, purge_expired};
use slipway_kernel::{Clock as _, UserId};
use slipway_testkit::{TestDatabase, fixed_clock};

use crate::MIGRATIONS;

fn key_of(caller: UserId, key: &str, body: &str) -> IdempotencyKey {
    IdempotencyKey::new(caller.as_uuid(), "thing.create", key, body.as_bytes()).unwrap()
}

#[test]
fn the_same_key_and_body_replays_the_first_answer_for_a_day() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let (connection, clock) = (&mut test.superuser(), fixed_clock());
    let key = key_of(UserId::generate(), "k", "body");
    let answer = StoredAnswer { status: 201, body: b"{}".to_vec() };

    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::Claimed);
    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::InUse);
    finish(connection, &key, &answer).unwrap();
    clock.advance(TimeDelta::hours(23));
    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::Replay(answer));

    clock.advance(TimeDelta::hours(1));
    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::Claimed);
    clock.advance(TimeDelta::hours(24));
    let later = key_of(UserId::generate(), "k", "body");
    clock.advance(-TimeDelta::hours(1));
    begin(connection, &later, clock.now()).unwrap();
    clock.advance(TimeDelta::hours(24));
    let purged = [1, 1, 1].map(|limit| purge_expired(connection, clock.now(), limit).unwrap());
    assert_eq!(purged, [1, 1, 0]);
}

#[test]
fn another_body_is_refused_and_another_caller_is_another_key() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let (connection, clock) = (&mut test.superuser(), fixed_clock());
    let caller = UserId::generate();
    assert_eq!(begin(connection, &key_of(caller, "k", "one"), clock.now()).unwrap(), Begin::Claimed);
    assert_eq!(begin(connection, &key_of(caller, "k", "two"), clock.now()).unwrap(), Begin::Reused);
    let other = key_of(UserId::generate(), "k", "two");
    assert_eq!(begin(connection, &other, clock.now()).unwrap(), Begin::Claimed);
}

#[test]
fn a_key_is_free_again_after_a_failure_or_a_death() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let (connection, clock) = (&mut test.superuser(), fixed_clock());
    let key = key_of(UserId::generate(), "k", "body");
    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::Claimed);
    abandon(connection, &key).unwrap();
    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::Claimed);
    clock.advance(TimeDelta::minutes(19));
    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::InUse);
    clock.advance(TimeDelta::minutes(1));
    assert_eq!(begin(connection, &key, clock.now()).unwrap(), Begin::Claimed);
}

#[test]
fn of_many_requests_at_once_one_claims_the_key() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let key = key_of(UserId::generate(), "k", "body");
    let now = fixed_clock().now();
    let claims = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| begin(&mut test.superuser(), &key, now).unwrap())).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .filter(|begun| *begun == Begin::Claimed)
            .count()
    });
    assert_eq!(claims, 1);
}

#[test]
fn keys_that_are_empty_long_or_unprintable_are_refused() {
    let caller = UserId::generate().as_uuid();
    for key in ["", "a b", "\u{7f}", "ключ", &"k".repeat(256)] {
        assert!(IdempotencyKey::new(caller, "thing.create", key, b"").is_err(), "{key}");
    }
}

//! What transactions that meet do to each other. Where one has to wait, the test sees that it does.

use std::sync::mpsc;
use std::thread;

use chrono::TimeDelta;
use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use slipway_kernel::Clock as _;
use slipway_models::auth::{UserStatus, UserType};
use slipway_testkit::{TestDatabase, fixed_clock};

use super::access_revocations::{self, AccessRevocation};
use super::{people, users};
use crate::app::MIGRATIONS;
use crate::domain::Standing;
use crate::service::tests::{insert_user, insert_user_named};

const ADMIN: Standing = Standing { user_type: UserType::Admin, status: UserStatus::Active };

#[test]
fn the_purge_leaves_a_revocation_that_is_raised_while_it_waits_for_it() {
    let database = TestDatabase::create("auth", MIGRATIONS);
    let (mut raising, mut purging) = (database.superuser(), database.superuser());
    let now = fixed_clock().now();
    let user_id = insert_user(&mut raising);
    let old = AccessRevocation { user_id, generation: 1, revoked_at: now - TimeDelta::days(2) };
    access_revocations::insert(&mut raising, &old).unwrap();

    raising.batch_execute("BEGIN").unwrap();
    let raised = AccessRevocation { generation: 2, revoked_at: now, ..old };
    access_revocations::insert(&mut raising, &raised).unwrap();
    let before = now - TimeDelta::days(1);
    let purge = thread::spawn(move || access_revocations::delete_before(&mut purging, before, 500));
    database.wait_until_one_waits();
    raising.batch_execute("COMMIT").unwrap();

    assert_eq!(purge.join().unwrap().unwrap(), 0);
    let kept = access_revocations::list(&mut raising, now - TimeDelta::days(3)).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.generation).collect::<Vec<_>>(), [2]);
}

/// The first has waited since before the other account became an admin's: the rows that it waits for are not those that
/// the second waits for.
#[test]
fn two_admins_who_act_on_each_other_wait_for_each_other_and_neither_is_cut_off() {
    let database = TestDatabase::create("auth", MIGRATIONS);
    let [mut promoting, mut first, mut second] = [(); 3].map(|()| database.superuser());
    // In the order of their ids, in which admins are locked.
    let promoted = insert_user_named(&mut promoting, "ada");
    let admin = insert_user_named(&mut promoting, "bea");
    people::update_standing(&mut promoting, admin, ADMIN).unwrap();
    let (locked, seen) = mpsc::channel();
    let (go_on, told) = mpsc::channel();

    promoting.batch_execute("BEGIN").unwrap();
    people::lock_admins(&mut promoting).unwrap();
    people::update_standing(&mut promoting, promoted, ADMIN).unwrap();
    let first = thread::spawn(move || {
        first.transaction(|connection| {
            locked.send(people::lock_admins(connection)?).unwrap();
            told.recv().unwrap();
            users::lock_credentials(connection, promoted)
        })
    });
    database.wait_until_one_waits();
    promoting.batch_execute("COMMIT").unwrap();
    let admins = seen.recv().unwrap();
    let second = thread::spawn(move || {
        second.transaction(|connection| {
            people::lock_admins(connection)?;
            users::lock_credentials(connection, admin)
        })
    });
    database.wait_until_one_waits();
    go_on.send(()).unwrap();

    for done in [first, second] {
        assert!(done.join().unwrap().unwrap().is_some());
    }
    assert_eq!(admins, [promoted, admin], "who became one meanwhile is one");
}

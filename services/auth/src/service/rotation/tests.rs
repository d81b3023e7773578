//! Random interleavings of what the holders of a family's tokens and its owner do, against a model in memory.

use std::cell::RefCell;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection as _, PgConnection};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use slipway_jwt::SecretKey;
use slipway_kernel::{Clock as _, UserId};
use slipway_testkit::{TestDatabase, fixed_clock};

use super::*;
use crate::app::MIGRATIONS;
use crate::service::tests::insert_user;
use crate::service::tokens::RefreshTokens;

/// One transaction, which is rolled back, holds so many interleavings: 10,000 in all.
const TOGETHER: usize = 50;
const BATCHES: u32 = 200;
const MOST_STEPS: usize = 12;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Shows a token of the family, counted from the newest.
    Refresh(usize),
    /// Shows a token that never was one.
    Guess,
    /// Ends the session.
    LogOut,
    /// Ends all sessions of the user.
    LogOutAll,
    /// Revokes the user's access tokens; the family lives on.
    RevokeAccess,
    /// Lets time pass.
    Wait(TimeDelta),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The token of this place in the family.
    Next(usize),
    Again(usize),
    Expired,
    Reused,
}

/// A family as it should be.
#[derive(Default)]
struct Model {
    /// When each token was used.
    used_at: Vec<Option<DateTime<Utc>>>,
    has_ended: bool,
    expires_at: DateTime<Utc>,
}

impl Model {
    fn refresh(&mut self, place: usize, now: DateTime<Utc>) -> Outcome {
        if self.has_ended || now >= self.expires_at {
            return Outcome::Expired;
        }
        match self.used_at[place] {
            None => {
                self.used_at[place] = Some(now);
                self.used_at.push(None);
                Outcome::Next(place + 1)
            }
            Some(at) if now < at + TimeDelta::seconds(10) && self.used_at[place + 1].is_none() => {
                Outcome::Again(place + 1)
            }
            Some(_) => {
                self.has_ended = true;
                Outcome::Reused
            }
        }
    }
}

/// A family in the database, its model, and the tokens that its holders know.
struct Family<'a> {
    connection: &'a mut PgConnection,
    tokens: &'a RefreshTokens,
    user: UserId,
    session: Session,
    known: Vec<KnownToken>,
    model: Model,
    generation: i64,
    now: DateTime<Utc>,
}

impl<'a> Family<'a> {
    fn start(connection: &'a mut PgConnection, tokens: &'a RefreshTokens, user: UserId) -> Self {
        let now = fixed_clock().now();
        let session = Session::start(user, now);
        let first = tokens.first().unwrap();
        store::sessions::insert(connection, &session, b"sealed").unwrap();
        store::refresh_tokens::insert(connection, &first.digest, session.id, now).unwrap();
        let generation = store::users::find(connection, user).unwrap().unwrap().token_generation;
        let model = Model { used_at: vec![None], has_ended: false, expires_at: session.expires_at };
        Self { connection, tokens, user, session, known: vec![first], model, generation, now }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let ended = match step {
            Step::Refresh(back) => return self.refresh(self.known.len() - 1 - back % self.known.len()),
            Step::Guess => return self.guess(),
            Step::Wait(time) => {
                self.now += time;
                return Ok(());
            }
            Step::LogOut => {
                self.model.has_ended = true;
                Revocations::end_session(self.connection, self.user, self.session.id, self.now)
            }
            Step::LogOutAll => {
                self.model.has_ended = true;
                Revocations::end_sessions_of_user(self.connection, self.user, None, self.now)
            }
            Step::RevokeAccess => {
                self.generation += 1;
                Revocations::revoke_access_of_user(self.connection, self.user, self.now)
            }
        };
        ended.map(drop).map_err(|fault| TestCaseError::fail(fault.to_string()))
    }

    fn refresh(&mut self, place: usize) -> Result<(), TestCaseError> {
        let expected = self.model.refresh(place, self.now);
        let rotation = rotate(self.connection, self.tokens, &self.known[place], self.now);
        let (granted, outcome) = match rotation {
            Rotation::Next(granted) => (Some(granted), Outcome::Next(place + 1)),
            Rotation::Again(granted) => (Some(granted), Outcome::Again(place + 1)),
            Rotation::Expired => (None, Outcome::Expired),
            Rotation::Reused(..) => (None, Outcome::Reused),
        };
        prop_assert_eq!(outcome, expected);
        let Some(granted) = granted else { return Ok(()) };
        prop_assert_eq!(granted.user.token_generation, self.generation);
        prop_assert_eq!(granted.session.id, self.session.id);
        if let Outcome::Next(_) = outcome {
            self.known.push(self.tokens.read(granted.refresh.expose()).unwrap());
        }
        prop_assert_eq!(granted.refresh.expose(), self.known[place + 1].token.expose());
        Ok(())
    }

    fn guess(&mut self) -> Result<(), TestCaseError> {
        let guess = self.tokens.first().unwrap();
        let rotation = rotate(self.connection, self.tokens, &guess, self.now);
        prop_assert!(matches!(rotation, Rotation::Expired));
        Ok(())
    }

    /// Whatever has happened: once a family is revoked, none of its tokens gives anything.
    fn check(&mut self) -> Result<(), TestCaseError> {
        if self.model.has_ended {
            for place in 0..self.known.len() {
                self.refresh(place)?;
            }
        }
        Ok(())
    }
}

/// Shows a token, as [`crate::service::Sessions::refresh`] does.
fn rotate(
    connection: &mut PgConnection,
    tokens: &RefreshTokens,
    shown: &KnownToken,
    now: DateTime<Utc>,
) -> Rotation {
    let successor = || tokens.successor(&shown.token);
    match use_up(connection, &shown.digest, successor(), now).unwrap() {
        Some(granted) => Rotation::Next(Box::new(granted)),
        None => settle(connection, &shown.digest, successor(), now).unwrap(),
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Refresh(0)),
        6 => (1_usize..4).prop_map(Step::Refresh),
        1 => Just(Step::Guess),
        1 => Just(Step::LogOut),
        1 => Just(Step::LogOutAll),
        1 => Just(Step::RevokeAccess),
        3 => (1_i64..12).prop_map(|seconds| Step::Wait(TimeDelta::seconds(seconds))),
        1 => (1_i64..31).prop_map(|days| Step::Wait(TimeDelta::days(days))),
    ]
}

#[test]
fn in_ten_thousand_interleavings_no_revoked_family_yields_a_token() {
    let database = TestDatabase::create("auth", MIGRATIONS);
    let mut connection = PgConnection::establish(database.url().expose()).unwrap();
    let user = insert_user(&mut connection);
    let directory = tempfile::tempdir().unwrap();
    let key = Arc::new(SecretKey::load_or_create(directory.path(), "auth").unwrap());
    let (connection, tokens) = (RefCell::new(connection), RefreshTokens::new(key));

    let interleaving = prop::collection::vec(step(), 1..=MOST_STEPS);
    let batch = prop::collection::vec(interleaving, TOGETHER);
    let config = Config { cases: BATCHES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&batch, |batch| {
        let mut outcome = Ok(());
        connection.borrow_mut().test_transaction(|connection| {
            outcome = batch.iter().try_for_each(|steps| {
                let mut family = Family::start(connection, &tokens, user);
                steps.iter().try_for_each(|step| family.take(*step))?;
                family.check()
            });
            Ok::<_, diesel::result::Error>(())
        });
        outcome
    });
    outcome.unwrap();
}

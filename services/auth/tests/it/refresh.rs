use chrono::TimeDelta;
use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use serde_json::Value;
use slipway_testkit::TestDatabase;

use crate::harness::{TestAuth, problem};
use crate::login::commit_once_awaited;

#[tokio::test]
async fn a_token_gives_the_next_and_the_session_goes_on() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    auth.clock.advance(TimeDelta::days(1));
    let answer = auth.refresh(&first["refresh_token"]).await;
    assert_eq!(answer.status(), 200);
    let second: Value = answer.json().await.unwrap();
    assert_eq!(second["session_id"], first["session_id"]);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    // Absolute: a day of the thirty is gone.
    assert_eq!(second["refresh_expires_in"], 29 * 24 * 3_600);
}

#[tokio::test]
async fn an_answer_that_was_lost_can_be_asked_for_again_for_ten_seconds() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    let lost: Value = auth.refresh(&first["refresh_token"]).await.json().await.unwrap();
    auth.clock.advance(TimeDelta::seconds(9));
    let again: Value = auth.refresh(&first["refresh_token"]).await.json().await.unwrap();
    assert_eq!(again["refresh_token"], lost["refresh_token"]);

    auth.clock.advance(TimeDelta::seconds(2));
    let answer = auth.refresh(&first["refresh_token"]).await;
    assert_eq!(problem(answer).await, (401, "refresh_reused".to_owned(), vec![]));
}

#[tokio::test]
async fn a_stolen_token_ends_the_whole_family() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    let second: Value = auth.refresh(&first["refresh_token"]).await.json().await.unwrap();
    let third: Value = auth.refresh(&second["refresh_token"]).await.json().await.unwrap();
    // Within the ten seconds, but its successor is used.
    assert_eq!(problem(auth.refresh(&first["refresh_token"]).await).await.1, "refresh_reused");
    assert_eq!(problem(auth.refresh(&third["refresh_token"]).await).await.1, "refresh_expired");
}

#[tokio::test]
async fn a_hundred_parallel_refreshes_make_one_successor() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    let attempts = (0..100).map(|_| auth.refresh(&first["refresh_token"]));
    let mut successors = Vec::new();
    for answer in futures_util::future::join_all(attempts).await {
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        successors.push(body["refresh_token"].as_str().unwrap().to_owned());
    }
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(count(&auth, "refresh_tokens"), 2, "the first and its successor");
    let answer = auth.refresh(&Value::from(successors.remove(0))).await;
    assert_eq!(answer.status(), 200, "the family lives");
}

#[tokio::test]
async fn refreshes_of_the_same_time_give_each_session_its_own() {
    let auth = TestAuth::start().await;
    let mut sessions = vec![auth.signed_in().await];
    for _ in 0..29 {
        sessions.push(auth.login("ada@example.org").await);
    }
    for _ in 0..2 {
        let all = sessions.iter().map(|tokens| auth.refresh(&tokens["refresh_token"]));
        let mut next: Vec<Value> = Vec::new();
        for (answer, before) in futures_util::future::join_all(all).await.into_iter().zip(&sessions) {
            assert_eq!(answer.status(), 200);
            let tokens: Value = answer.json().await.unwrap();
            assert_eq!(tokens["session_id"], before["session_id"]);
            next.push(tokens);
        }
        sessions = next;
    }
    assert_eq!((count(&auth, "refresh_tokens"), count(&auth, "access_tokens")), (90, 90));
}

#[tokio::test]
async fn a_session_that_is_held_holds_up_its_own_refresh_alone() {
    let auth = TestAuth::start().await;
    let (held, free) = (auth.signed_in().await, auth.login("ada@example.org").await);
    let mut other = auth.database.superuser();
    let id = held["session_id"].as_str().unwrap();
    other.batch_execute(&format!("BEGIN; SELECT FROM sessions WHERE id = '{id}' FOR UPDATE")).unwrap();
    let refresh = auth.refresh(&held["refresh_token"]);
    let others = async {
        let answer = auth.refresh(&free["refresh_token"]).await;
        assert_eq!(answer.status(), 200, "not held");
        other.batch_execute("COMMIT").unwrap();
    };
    let (answer, ()) = futures_util::future::join(refresh, others).await;
    assert_eq!(answer.status(), 200, "and in its turn this one");
}

#[tokio::test]
async fn a_session_that_ends_while_a_refresh_waits_for_it_gives_nothing() {
    let auth = TestAuth::start().await;
    let first = auth.signed_in().await;
    let mut other = auth.database.superuser();
    other.batch_execute("BEGIN; UPDATE sessions SET revoked_at = now()").unwrap();
    let refresh = auth.refresh(&first["refresh_token"]);
    let answered = commit_once_awaited(&auth, &mut other, refresh).await;
    assert_eq!(problem(answered).await, (401, "refresh_expired".to_owned(), vec![]));
    assert_eq!((count(&auth, "refresh_tokens"), count(&auth, "access_tokens")), (1, 1));
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_however_often_it_is_refreshed() {
    let auth = TestAuth::start().await;
    let mut tokens = auth.signed_in().await;
    for _ in 0..3 {
        auth.clock.advance(TimeDelta::days(9));
        tokens = auth.refresh(&tokens["refresh_token"]).await.json().await.unwrap();
    }
    auth.clock.advance(TimeDelta::days(3));
    assert_eq!(problem(auth.refresh(&tokens["refresh_token"]).await).await.1, "refresh_expired");
}

#[tokio::test]
async fn sessions_that_ended_are_deleted_with_their_tokens_and_no_others() {
    let database = TestDatabase::create("auth", slipway_auth::MIGRATIONS);
    let ended = "INSERT INTO users VALUES (gen_random_uuid(), 'ada', 'ada@example.org', NULL, NULL, '', 'regular',
            'active', false, now(), NULL);
        INSERT INTO sessions SELECT gen_random_uuid(), id, '2025-12-01', '2025-12-31', NULL
            FROM users, generate_series(1, 1200);
        INSERT INTO sessions SELECT gen_random_uuid(), id, '2026-01-01', '2026-01-31', '2026-01-08' FROM users;
        INSERT INTO refresh_tokens SELECT id::text::bytea, id, created_at FROM sessions;
        INSERT INTO access_revocations SELECT id, 1, '2026-01-09 11:59Z' FROM users;
        INSERT INTO sessions SELECT gen_random_uuid(), id, '2026-01-01', '2026-01-31', NULL FROM users;
        INSERT INTO refresh_tokens SELECT 'live', id, created_at FROM sessions WHERE revoked_at IS NULL
            AND expires_at > '2026-01-30';
        INSERT INTO access_tokens SELECT gen_random_uuid(), 'live', '2026-01-09 10:00Z', '2026-01-09 11:00Z'
            FROM generate_series(1, 3);
        INSERT INTO access_tokens VALUES (gen_random_uuid(), 'live', '2026-01-10 11:00Z', '2026-01-10 12:00Z')";
    database.superuser().batch_execute(ended).unwrap();
    let auth = TestAuth::start_on(database, &[]).await;
    let purged = async {
        while count(&auth, "sessions") != 1 || count(&auth, "access_revocations") != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), purged).await.unwrap();
    assert_eq!(count(&auth, "refresh_tokens"), 1);
    assert_eq!(count(&auth, "access_tokens"), 1);
}

fn count(auth: &TestAuth, table: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    diesel::sql_query(format!("SELECT count(*) AS count FROM {table}"))
        .get_result::<Count>(&mut auth.database.superuser())
        .unwrap()
        .count
}

#[tokio::test]
async fn a_text_that_never_was_a_token_is_refused() {
    let auth = TestAuth::start().await;
    for text in ["", "x", "AAAA", &"A".repeat(43), &"A".repeat(100_000), "\u{0}"] {
        let answer = auth.refresh(&Value::from(text)).await;
        assert_eq!(problem(answer).await, (401, "refresh_expired".to_owned(), vec![]), "{text:.20}");
    }
}

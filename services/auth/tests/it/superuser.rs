use diesel::RunQueryDsl as _;
use diesel::sql_types::BigInt;
use serde_json::json;

use crate::harness::{PASSWORD, TestAuth};

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn admins(auth: &TestAuth) -> i64 {
    diesel::sql_query("SELECT count(*) AS count FROM users WHERE user_type = 'admin'")
        .get_result::<Count>(&mut auth.database.superuser())
        .unwrap()
        .count
}

#[tokio::test]
async fn the_first_superuser_can_sign_in_by_name() {
    let auth =
        TestAuth::start_with(&[("ADMIN_USERNAME", "root-ada"), ("ADMIN_EMAIL", "ada@example.org")]).await;
    let login = json!({"username": "root-ada", "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/login", login).await.status(), 200);
    assert_eq!(admins(&auth), 1);
}

#[tokio::test]
async fn an_account_that_is_no_admins_does_not_pass_for_the_superuser() {
    let database = slipway_testkit::TestDatabase::create("auth", slipway_auth::MIGRATIONS);
    diesel::sql_query(
        "INSERT INTO users VALUES (gen_random_uuid(), 'ada', 'ada@example.org', NULL, NULL, '', 'regular', 'active',
            false, now(), NULL)",
    )
    .execute(&mut database.superuser())
    .unwrap();
    let fault = TestAuth::try_start_on(database, &[("ADMIN_EMAIL", "ada@example.org")]).await.err().unwrap();
    assert_eq!(
        fault.to_string(),
        "the first superuser (ADMIN_USERNAME, ADMIN_EMAIL): there is an account with this address"
    );
}

#[tokio::test]
async fn a_second_start_makes_no_second_superuser() {
    let database = slipway_testkit::TestDatabase::create("auth", slipway_auth::MIGRATIONS);
    let url = database.url();
    let first = TestAuth::start_on(database, &[]).await;
    let again = [("AUTH_DATABASE_URL", url.expose()), ("ADMIN_USERNAME", "another")];
    let second = TestAuth::start_with(&again).await;
    let login = json!({"username": "another", "password": PASSWORD});
    assert_eq!(second.post("/api/v1/auth/login", login).await.status(), 401);
    assert_eq!(admins(&first), 1);
}

//! Accounts that admins make, reset and delete.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use futures_util::future::join;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use slipway_kernel::UserId;
use slipway_testkit::TestSmtp;

use crate::harness::{PASSWORD, claims, problem};
use crate::letters;
use crate::team::Team;
use crate::trail::{Trail, count, eventually};

const ADA: &str = "ada@example.org";
const NEW: &str = "Another horse battery";

async fn reset_password(team: &Team, user: &str) -> Response {
    team.send(Method::POST, &format!("admin/users/{user}/reset-password"), None).await
}

async fn choose(team: &Team, token: &str, password: &str) -> u16 {
    let body = json!({"token": token, "new_password": password});
    team.auth.post("/api/v1/auth/password/reset", body).await.status().as_u16()
}

async fn made(answer: Response) -> Value {
    assert_eq!(answer.status(), 201);
    answer.json::<Value>().await.unwrap()["user"].clone()
}

/// Waits for the one row of an action.
async fn audited(team: &Team, action: &str, target: &str) -> Value {
    let trail = Trail::of(&team.auth);
    let mut rows = Vec::new();
    eventually("it is on the log", async || {
        rows = trail.list(&format!("?action={action}")).await;
        !rows.is_empty()
    })
    .await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["actor"]["id"], &rows[0]["target"]["id"]), (&json!(team.superuser), &json!(target)));
    rows[0].clone()
}

#[tokio::test]
async fn an_admin_makes_an_account_that_can_be_used_at_once() {
    let team = Team::start(&[("AUTH_REGISTRATION", "closed")]).await;
    let account = json!({
        "email": "Ada@example.org", "password": PASSWORD, "username": "ada", "user_type": "qvp",
    });

    let user = made(team.create(account.clone()).await).await;

    assert_eq!((&user["email"], &user["user_type"]), (&json!(ADA), &json!("qvp")));
    assert_eq!((&user["status"], &user["email_verified"]), (&json!("active"), &json!(false)));
    let tokens = team.auth.login(ADA).await;
    assert_eq!(claims(&tokens)["user_type"], "qvp");
    assert_eq!(problem(team.create(account.clone()).await).await.1, "email_taken");
    let other = json!({"email": "other@example.org", "password": PASSWORD, "username": "ada"});
    assert_eq!(problem(team.create(other).await).await.1, "username_taken");
    let row = audited(&team, "auth.user_create", user["id"].as_str().unwrap()).await;
    assert_eq!(row["details"]["user_type"], "qvp");
}

#[tokio::test]
async fn what_is_wrong_with_an_account_that_an_admin_makes_is_named() {
    let team = Team::start(&[]).await;
    for (body, code, pointer) in [
        (json!({"email": "ada", "password": PASSWORD}), "validation_failed", "/email"),
        (json!({"email": ADA, "password": "Mouse!1"}), "weak_password", "/password"),
        (json!({"email": ADA, "password": PASSWORD, "handle": "root"}), "validation_failed", "/handle"),
        (json!({"email": ADA, "password": PASSWORD, "user_type": "x"}), "validation_failed", "/user_type"),
    ] {
        let refused = problem(team.create(body.clone()).await).await;
        assert_eq!(refused, (422, code.to_owned(), vec![pointer.to_owned()]), "{body}");
    }
    let refused = problem(team.create(json!({"email": ADA})).await).await;
    assert_eq!((refused.0, &*refused.1), (409, "no_letters"), "nobody could choose its password");
}

#[tokio::test]
async fn an_account_without_a_password_gets_one_by_a_letter() {
    let smtp = TestSmtp::start_new();
    let team = Team::of(letters::start(&smtp, &[("AUTH_EMAIL_VERIFICATION", "true")]).await).await;

    made(team.create(json!({"email": ADA})).await).await;

    let letter = smtp.letter_to(ADA, 1).await;
    assert_eq!(letter.subject, "An account was made for you");
    assert_eq!(choose(&team, &letter.token(), NEW).await, 204);
    assert_eq!(choose(&team, &letter.token(), NEW).await, 422, "it works once");
    let login = json!({"email": ADA, "password": NEW});
    assert_eq!(team.auth.post("/api/v1/auth/login", login).await.status(), 200, "its address is shown too");

    let eve = json!({"email": "eve@example.org", "password": PASSWORD});
    made(team.create(eve).await).await;
    assert_eq!(problem(team.sign_in("eve@example.org").await).await.1, "email_unverified");
    assert_eq!(smtp.letter_to("eve@example.org", 1).await.subject, "Show that this address is yours");
}

#[tokio::test]
async fn a_reset_by_an_admin_takes_the_password_away_and_ends_all_sessions() {
    let smtp = TestSmtp::start_new();
    let team = Team::of(letters::start(&smtp, &[]).await).await;
    let user = team.register(ADA).await;
    let tokens = team.auth.login(ADA).await;

    assert_eq!(reset_password(&team, &user).await.status(), 202);

    let feed = team.feed().await;
    assert_eq!(feed["revoked"][0]["session_id"], tokens["session_id"]);
    assert_eq!(feed["users"][0]["user_id"], user);
    assert_eq!(problem(team.auth.refresh(&tokens["refresh_token"]).await).await.1, "refresh_expired");
    assert_eq!(problem(team.sign_in(ADA).await).await.1, "invalid_credentials");
    let letter = smtp.letter_to(ADA, 1).await;
    assert_eq!(letter.subject, "Your password was reset");
    assert_eq!(choose(&team, &letter.token(), NEW).await, 204);
    let login = json!({"email": ADA, "password": NEW});
    assert_eq!(team.auth.post("/api/v1/auth/login", login).await.status(), 200);
    audited(&team, "auth.user_reset_password", &user).await;
}

#[tokio::test]
async fn a_reset_that_could_lock_everybody_out_is_refused() {
    let smtp = TestSmtp::start_new();
    let team = Team::of(letters::start(&smtp, &[]).await).await;
    let own = team.superuser.to_string();
    assert_eq!(problem(reset_password(&team, &own).await).await.1, "last_admin");
    assert_eq!(reset_password(&team, &UserId::generate().to_string()).await.status(), 404);

    let silent = Team::start(&[]).await;
    let user = silent.register(ADA).await;
    let refused = problem(reset_password(&silent, &user).await).await;
    assert_eq!((refused.0, &*refused.1), (409, "no_letters"));
    assert_eq!(silent.sign_in(ADA).await.status(), 200);
}

#[tokio::test]
async fn a_deleted_account_leaves_its_rows_on_the_log_and_nothing_else() {
    let team = Team::start(&[]).await;
    let user = team.register(ADA).await;
    let tokens = team.auth.login(ADA).await;
    let profile = team.auth.request(Method::PUT, "/api/v1/profile").json(&json!({"phone": "+49301234567"}));
    assert_eq!(team.auth.as_owner(profile, &tokens).send().await.unwrap().status(), 200);

    assert_eq!(team.delete(&user).await.status(), 204);

    let feed = team.feed().await;
    assert_eq!(feed["users"][0]["user_id"], user, "gateways refuse its tokens");
    assert_eq!(feed["users"][0]["generation"], 1);
    assert_eq!(problem(team.auth.refresh(&tokens["refresh_token"]).await).await.1, "refresh_expired");
    assert_eq!(problem(team.sign_in(ADA).await).await.1, "invalid_credentials");
    assert_eq!(team.send(Method::GET, &format!("users/{user}"), None).await.status(), 404);
    assert_eq!(team.delete(&user).await.status(), 404);
    let tables = ["sessions", "refresh_tokens", "access_tokens", "profiles", "link_tokens"];
    assert_eq!(tables.map(|table| count(&team.auth.database, table)), [0; 5]);
    assert_eq!(count(&team.auth.database, "users"), 1, "the superuser's");
    let row = audited(&team, "auth.user_delete", &user).await;
    assert_eq!(row["details"]["handle"], "ada");
    let logins = Trail::of(&team.auth).list(&format!("?actor={user}&action=auth.login")).await;
    assert_eq!(logins.len(), 1, "what was done before is still on it");
}

#[tokio::test]
async fn services_hear_who_was_deleted_in_that_order_and_where_they_left_off() {
    let team = Team::start(&[]).await;
    let service = team.auth.callers.service("functions");
    let heard = async |after: i64| {
        let path = format!("/internal/deleted-users?after={after}");
        let answer: Value = team.auth.get_as(&path, &service).await.json().await.unwrap();
        answer["users"].as_array().unwrap().clone()
    };
    let [ada, bob, eve] = team.three().await;
    assert_eq!(heard(0).await, Vec::<Value>::new());

    for user in [&eve, &ada] {
        assert_eq!(team.delete(user).await.status(), 204);
    }

    let all = heard(0).await;
    assert_eq!(all.iter().map(|user| &user["user_id"]).collect::<Vec<_>>(), [&json!(eve), &json!(ada)]);
    assert_eq!(heard(all[0]["position"].as_i64().unwrap()).await, all[1..]);
    let last = all[1]["position"].as_i64().unwrap();
    assert_eq!(team.delete(&bob).await.status(), 204);
    assert_eq!(heard(last).await[0]["user_id"], bob);
}

#[tokio::test]
async fn who_was_deleted_before_that_was_noted_is_taken_from_the_log() {
    let team = Team::start(&[]).await;
    let user = team.register(ADA).await;
    assert_eq!(team.delete(&user).await.status(), 204);
    audited(&team, "auth.user_delete", &user).await;
    let mut owner = PgConnection::establish(team.auth.database.owner_url().expose()).unwrap();

    owner
        .batch_execute(concat!(
            include_str!("../../migrations/2026-11-26-400001_note_deleted_users/down.sql"),
            include_str!("../../migrations/2026-11-26-400001_note_deleted_users/up.sql")
        ))
        .unwrap();

    let service = team.auth.callers.service("functions");
    let heard: Value = team.auth.get_as("/internal/deleted-users", &service).await.json().await.unwrap();
    assert_eq!(heard["users"].as_array().unwrap().len(), 1);
    assert_eq!(heard["users"][0]["user_id"], user);
}

#[tokio::test]
async fn the_handle_of_a_deleted_account_is_never_given_to_another() {
    let team = Team::start(&[]).await;
    for expected in ["ada", "ada-2", "ada-3"] {
        let user = team.auth.register(ADA).await["user"].clone();
        assert_eq!(user["handle"], expected);
        assert_eq!(team.delete(user["id"].as_str().unwrap()).await.status(), 204);
    }
}

#[tokio::test]
async fn of_two_admins_who_delete_each_other_at_once_one_is_left() {
    let team = Team::start(&[]).await;
    let own = team.superuser.to_string();
    let refused = problem(team.delete(&own).await).await;
    assert_eq!((refused.0, &*refused.1), (409, "last_admin"));
    let account = json!({"email": ADA, "password": PASSWORD, "user_type": "admin"});
    let other = made(team.create(account).await).await["id"].as_str().unwrap().to_owned();

    let (one, two) = join(team.delete(&own), team.delete(&other)).await;

    let mut statuses = [one.status().as_u16(), two.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    assert_eq!(count(&team.auth.database, "users"), 1);
}

#[tokio::test]
async fn whoever_signs_in_while_the_account_is_deleted_is_let_in_or_not_and_nothing_fails() {
    let team = Team::start(&[]).await;
    for _ in 0..5 {
        let user = team.register(ADA).await;
        let tokens = team.auth.login(ADA).await;
        let refresh = team.auth.refresh(&tokens["refresh_token"]);
        let (deleted, (login, refreshed)) = join(team.delete(&user), join(team.sign_in(ADA), refresh)).await;
        assert_eq!(deleted.status(), 204);
        for answer in [login, refreshed] {
            assert!([200, 401].contains(&answer.status().as_u16()), "{}", answer.status());
        }
        assert_eq!(count(&team.auth.database, "sessions"), 0);
    }
}

#[tokio::test]
async fn an_admin_and_a_link_that_change_a_password_at_once_do_not_wait_for_each_other_in_a_circle() {
    let smtp = TestSmtp::start_new();
    let team = Team::of(letters::start(&smtp, &[]).await).await;
    let user = team.register(ADA).await;
    for round in 1..=10 {
        let forgot = team.auth.post("/api/v1/auth/password/forgot", json!({"email": ADA})).await;
        assert_eq!(forgot.status(), 202);
        let token = smtp.letter_to(ADA, 2 * round - 1).await.token();
        let (reset, chosen) = join(reset_password(&team, &user), choose(&team, &token, NEW)).await;
        assert_eq!(reset.status(), 202);
        assert!([204, 422].contains(&chosen), "{chosen}");
        smtp.letter_to(ADA, 2 * round).await;
    }
}

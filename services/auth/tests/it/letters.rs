//! Registration, verification and recovery by real mail.

use chrono::TimeDelta;
use diesel::RunQueryDsl as _;
use reqwest::Response;
use serde_json::{Value, json};
use slipway_testkit::TestSmtp;

use crate::harness::{PASSWORD, TestAuth, auth_hash, kdf, problem};
use crate::trail::{Trail, count, dump, eventually};

const ADA: &str = "ada@example.org";
const NEW: &str = "Another horse battery";

pub(crate) async fn start(smtp: &TestSmtp, more: &[(&str, &str)]) -> TestAuth {
    let url = smtp.url();
    let mut settings = vec![
        ("SMTP_URL", url.as_str()),
        ("MAIL_FROM", "Slipway <slipway@example.org>"),
        ("PUBLIC_URL", "https://slipway.example.org"),
    ];
    settings.extend_from_slice(more);
    TestAuth::start_with(&settings).await
}

async fn start_verifying(smtp: &TestSmtp) -> TestAuth {
    start(smtp, &[("AUTH_EMAIL_VERIFICATION", "true")]).await
}

async fn register(auth: &TestAuth, email: &str) -> Response {
    auth.post("/api/v1/auth/register", json!({"email": email, "password": PASSWORD})).await
}

async fn login(auth: &TestAuth, password: &str) -> (u16, Value) {
    let answer = auth.post("/api/v1/auth/login", json!({"email": ADA, "password": password})).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn verify(auth: &TestAuth, token: &str) -> Response {
    auth.post("/api/v1/auth/email/verify", json!({"token": token})).await
}

async fn forgot(auth: &TestAuth, email: &str) -> Value {
    let answer = auth.post("/api/v1/auth/password/forgot", json!({"email": email})).await;
    assert_eq!(answer.status(), 202);
    answer.json().await.unwrap()
}

async fn reset(auth: &TestAuth, token: &str, password: &str) -> Response {
    auth.post("/api/v1/auth/password/reset", json!({"token": token, "new_password": password})).await
}

fn invalid_link() -> (u16, String, Vec<String>) {
    (422, "invalid_link".to_owned(), vec!["/token".to_owned()])
}

#[tokio::test]
async fn an_account_can_be_used_once_its_address_is_shown_to_be_its_holders() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    assert_eq!(register(&auth, ADA).await.status(), 202);
    assert_eq!(login(&auth, "Wrong horse battery").await.1["code"], "invalid_credentials");
    let (status, refused) = login(&auth, PASSWORD).await;
    assert_eq!((status, &refused["code"]), (403, &json!("email_unverified")));

    let letter = smtp.letter_to(ADA, 1).await;
    assert_eq!(letter.from, "Slipway <slipway@example.org>");
    assert_eq!(letter.subject, "Show that this address is yours");
    let link = format!("https://slipway.example.org/verify-email#token={}", letter.token());
    assert!(letter.text.contains(&link) && letter.html.contains(&link), "{}", letter.html);

    assert_eq!(verify(&auth, &letter.token()).await.status(), 204);
    assert_eq!(problem(verify(&auth, &letter.token()).await).await, invalid_link(), "it works once");
    let (status, tokens) = login(&auth, PASSWORD).await;
    assert_eq!(status, 200);
    let me = auth.request(reqwest::Method::GET, "/api/v1/users/me");
    let me: Value = auth.as_owner(me, &tokens).send().await.unwrap().json().await.unwrap();
    assert_eq!(me["email_verified"], true);
}

#[tokio::test]
async fn nobody_learns_by_registering_whether_an_address_is_known() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    let new = register(&auth, ADA).await;
    let first = smtp.letter_to(ADA, 1).await;
    let known = register(&auth, "ADA@example.org").await;
    assert_eq!((new.status(), known.status()), (202.try_into().unwrap(), 202.try_into().unwrap()));
    assert_eq!(new.text().await.unwrap(), known.text().await.unwrap());

    let second = smtp.letter_to(ADA, 2).await;
    assert_eq!(second.subject, "You have an account already");
    assert!(!second.text.contains("#token="), "{}", second.text);
    assert_eq!(count(&auth.database, "users"), 2, "the superuser's and one");
    assert_eq!(verify(&auth, &first.token()).await.status(), 204, "the first letter's link still works");
}

#[tokio::test]
async fn a_user_name_that_is_taken_is_told_whether_the_address_is_known_or_not() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    register(&auth, ADA).await;
    for email in [ADA, "eve@example.org"] {
        let body = json!({"email": email, "password": PASSWORD, "username": "admin"});
        let answer = auth.post("/api/v1/auth/register", body).await;
        assert_eq!(problem(answer).await, (409, "username_taken".to_owned(), vec![]), "{email}");
    }
}

#[tokio::test]
async fn twenty_registrations_of_one_address_at_once_are_all_told_the_same() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    let attempts = (0..20).map(|_| register(&auth, ADA));
    for answer in futures_util::future::join_all(attempts).await {
        assert_eq!(answer.status(), 202);
    }
    assert_eq!(count(&auth.database, "users"), 2, "the superuser's and one");
}

#[tokio::test]
async fn the_first_superuser_needs_no_letter() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    let login = json!({"username": "admin", "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/login", login).await.status(), 200);
}

#[tokio::test]
async fn a_forgotten_password_is_chosen_anew_by_a_link_and_all_sessions_end() {
    let smtp = TestSmtp::start_new();
    let auth = start(&smtp, &[]).await;
    let (first, second) = (auth.signed_in().await, auth.login(ADA).await);
    let known = forgot(&auth, " Ada@example.org").await;
    assert_eq!(forgot(&auth, "nobody@example.org").await, known);
    let token = smtp.letter_to(ADA, 1).await.token();

    let weak = reset(&auth, &token, "mytest").await;
    assert_eq!(problem(weak).await.1, "weak_password");
    assert_eq!(reset(&auth, &token, NEW).await.status(), 204, "a refused one did not use it up");

    assert_eq!(problem(reset(&auth, &token, NEW).await).await, invalid_link());
    assert_eq!(login(&auth, PASSWORD).await.0, 401);
    let (status, tokens) = login(&auth, NEW).await;
    assert_eq!(status, 200);
    for ended in [&first, &second] {
        assert_eq!(problem(auth.refresh(&ended["refresh_token"]).await).await.1, "refresh_expired");
    }
    let generation = |tokens: &Value| crate::harness::claims(tokens)["gen"].as_i64().unwrap_or_default();
    assert!(generation(&tokens) > generation(&first), "older access tokens are refused");
    assert!(smtp.letters_to("nobody@example.org").is_empty());
    eventually("no letter waits", async || count(&auth.database, "letters") == 0).await;
}

#[tokio::test]
async fn a_reset_shows_that_the_address_is_ones_own_and_may_make_a_blind_account() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    register(&auth, ADA).await;
    smtp.letter_to(ADA, 1).await;
    forgot(&auth, ADA).await;
    let token = smtp.letter_to(ADA, 2).await.token();
    let body = json!({"token": token, "new_auth_hash": auth_hash(1), "new_kdf": kdf()});
    assert_eq!(auth.post("/api/v1/auth/password/reset", body).await.status(), 204);
    let login = json!({"email": ADA, "auth_hash": auth_hash(1)});
    assert_eq!(auth.post("/api/v1/auth/login", login).await.status(), 200);
}

#[tokio::test]
async fn a_link_works_for_its_time_and_purpose_and_a_newer_one_takes_its_place() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    register(&auth, ADA).await;
    let verification = smtp.letter_to(ADA, 1).await.token();
    forgot(&auth, ADA).await;
    let older = smtp.letter_to(ADA, 2).await.token();
    assert_eq!(problem(verify(&auth, &older).await).await, invalid_link());
    assert_eq!(problem(reset(&auth, &verification, NEW).await).await, invalid_link());
    for none in ["", "x", &"A".repeat(43), "\u{0}"] {
        assert_eq!(problem(reset(&auth, none, NEW).await).await, invalid_link(), "{none:?}");
    }

    forgot(&auth, ADA).await;
    let newer = smtp.letter_to(ADA, 3).await.token();
    assert_eq!(problem(reset(&auth, &older, NEW).await).await, invalid_link());
    auth.clock.advance(TimeDelta::minutes(61));
    assert_eq!(problem(reset(&auth, &newer, NEW).await).await, invalid_link(), "after an hour");
    auth.clock.advance(TimeDelta::hours(22));
    assert_eq!(verify(&auth, &verification).await.status(), 204, "within 24 hours");

    register(&auth, "eve@example.org").await;
    let late = smtp.letter_to("eve@example.org", 1).await.token();
    auth.clock.advance(TimeDelta::hours(24) + TimeDelta::seconds(1));
    assert_eq!(problem(verify(&auth, &late).await).await, invalid_link(), "after 24 hours");
}

#[tokio::test]
async fn a_change_of_password_voids_the_link_to_choose_another() {
    let smtp = TestSmtp::start_new();
    let auth = start(&smtp, &[]).await;
    let own = auth.signed_in().await;
    forgot(&auth, ADA).await;
    let token = smtp.letter_to(ADA, 1).await.token();
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let change = auth.request(reqwest::Method::PUT, "/api/v1/auth/password").json(&body);
    assert_eq!(auth.as_owner(change, &own).send().await.unwrap().status(), 204);
    assert_eq!(problem(reset(&auth, &token, PASSWORD).await).await, invalid_link());
}

#[tokio::test]
async fn of_resets_at_once_by_one_link_one_counts() {
    let smtp = TestSmtp::start_new();
    let auth = start(&smtp, &[]).await;
    auth.register(ADA).await;
    forgot(&auth, ADA).await;
    let token = smtp.letter_to(ADA, 1).await.token();
    let passwords: Vec<String> = (0..5).map(|number| format!("{NEW} {number}")).collect();
    let answers =
        futures_util::future::join_all(passwords.iter().map(|password| reset(&auth, &token, password))).await;
    let mut chosen = Vec::new();
    for (password, answer) in passwords.iter().zip(answers) {
        match answer.status().as_u16() {
            204 => chosen.push(password),
            422 => {}
            other => panic!("answered {other}"),
        }
    }
    let [only] = chosen[..] else { panic!("{chosen:?}") };
    assert_eq!(login(&auth, only).await.0, 200);
}

#[tokio::test]
async fn letters_wait_for_a_server_that_is_away_and_no_dump_gives_a_link() {
    let mut smtp = TestSmtp::start_new();
    let auth = start(&smtp, &[]).await;
    auth.register(ADA).await;
    smtp.stop();
    forgot(&auth, ADA).await;
    // Claimed for ten minutes, and tried again after ten seconds once that has failed.
    let is_put_off = || dump(&auth.database, "letters").contains(":00:10");
    eventually("the letter was tried", async || is_put_off()).await;
    let waiting = dump(&auth.database, "letters");
    assert!(!waiting.contains("example.org") && !waiting.contains("token"), "{waiting}");

    smtp.start();
    auth.clock.advance(TimeDelta::seconds(10));
    let token = smtp.letter_to(ADA, 1).await.token();
    assert!(!dump(&auth.database, "link_tokens").contains(&token));
    eventually("it is forgotten", async || count(&auth.database, "letters") == 0).await;
    assert_eq!(reset(&auth, &token, NEW).await.status(), 204);
}

#[tokio::test]
async fn a_letter_that_the_server_refuses_is_given_up() {
    let smtp = TestSmtp::start_new();
    let auth = start(&smtp, &[]).await;
    for email in ["refused@example.org", ADA] {
        auth.register(email).await;
        forgot(&auth, email).await;
    }
    smtp.letter_to(ADA, 1).await;
    eventually("no letter waits", async || count(&auth.database, "letters") == 0).await;
    assert!(smtp.letters_to("refused@example.org").is_empty());
}

#[tokio::test]
async fn where_an_admin_approves_an_account_waits_and_where_registration_is_closed_there_is_none() {
    let auth = TestAuth::start_with(&[("AUTH_REGISTRATION", "approval")]).await;
    let made: Value = register(&auth, ADA).await.json().await.unwrap();
    assert_eq!((&made["user"]["status"], &made["user"]["is_active"]), (&json!("pending"), &json!(false)));
    assert_eq!(login(&auth, "Wrong horse battery").await.1["code"], "invalid_credentials");
    let (status, refused) = login(&auth, PASSWORD).await;
    assert_eq!((status, &refused["code"]), (403, &json!("account_pending")));

    let auth = TestAuth::start_with(&[("AUTH_REGISTRATION", "closed")]).await;
    for email in [ADA, "admin@slipway.invalid"] {
        let answer = register(&auth, email).await;
        assert_eq!(problem(answer).await, (403, "registration_closed".to_owned(), vec![]));
    }
    assert_eq!(count(&auth.database, "users"), 1, "the superuser's");
}

#[tokio::test]
async fn without_mail_a_forgotten_password_is_answered_the_same_and_nothing_waits() {
    let auth = TestAuth::start().await;
    auth.register(ADA).await;
    assert_eq!(forgot(&auth, ADA).await, forgot(&auth, "nobody@example.org").await);
    assert_eq!(count(&auth.database, "letters"), 0);
    let answer = auth.post("/api/v1/auth/password/forgot", json!({"email": "nobody"})).await;
    assert_eq!(problem(answer).await, (422, "validation_failed".to_owned(), vec!["/email".to_owned()]));
}

#[tokio::test]
async fn links_that_are_used_and_asked_for_are_accounted_for() {
    let smtp = TestSmtp::start_new();
    let auth = start_verifying(&smtp).await;
    register(&auth, ADA).await;
    let verification = smtp.letter_to(ADA, 1).await.token();
    verify(&auth, &verification).await;
    register(&auth, ADA).await;
    smtp.letter_to(ADA, 2).await;
    forgot(&auth, ADA).await;
    let token = smtp.letter_to(ADA, 3).await.token();
    reset(&auth, &token, NEW).await;
    let trail = Trail::of(&auth);
    trail.reaches(6).await;
    let rows = trail.list("").await;
    let actions: Vec<_> = rows.iter().rev().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "auth.superuser_create",
            "auth.register",
            "auth.email_verify",
            "auth.register_known",
            "auth.password_forgot",
            "auth.password_reset"
        ]
    );
    let text = serde_json::to_string(&rows).unwrap();
    assert!(!text.contains(&token) && !text.contains(ADA) && !text.contains("horse"), "{text}");
}

#[tokio::test]
async fn links_that_are_over_and_letters_that_nobody_sends_are_purged() {
    let database = slipway_testkit::TestDatabase::create("auth", slipway_auth::MIGRATIONS);
    for statement in [
        "INSERT INTO users VALUES (gen_random_uuid(), 'x', 'x@example.org', NULL, NULL, '', 'regular', 'active',
            false, now(), NULL)",
        "INSERT INTO link_tokens SELECT id, 'verify_email', '\\x01', '2026-01-08' FROM users",
        "INSERT INTO link_tokens SELECT id, 'reset_password', '\\x02', '2026-01-10 11:00' FROM users",
        "INSERT INTO letters VALUES (gen_random_uuid(), '\\x01', '2026-01-08', 0, '2026-01-08')",
        "INSERT INTO letters VALUES (gen_random_uuid(), '\\x02', '2026-01-10 11:00', 0, '2026-01-10 11:00')",
    ] {
        diesel::sql_query(statement).execute(&mut database.superuser()).unwrap();
    }
    let auth = TestAuth::start_on(database, &[]).await;
    let rows = || (count(&auth.database, "link_tokens"), count(&auth.database, "letters"));
    eventually("the old ones are gone", async || rows() == (1, 1)).await;
    assert!(dump(&auth.database, "link_tokens").contains("reset_password"));
    assert!(dump(&auth.database, "letters").contains("x02"));
}

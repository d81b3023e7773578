use futures_util::future::join;
use reqwest::Method;
use serde_json::{Value, json};
use slipway_kernel::UserId;
use slipway_models::auth::UserType;

use crate::harness::{PASSWORD, claims, problem};
use crate::team::Team;
use crate::trail::{Trail, eventually};

#[tokio::test]
async fn a_change_of_type_revokes_the_tokens_that_state_the_old_one_and_is_audited() {
    let team = Team::start(&[]).await;
    let user = team.register("ada@example.org").await;
    let tokens = team.auth.login("ada@example.org").await;

    let answer = team.change(&user, json!({"user_type": "qvp"})).await;

    assert_eq!(answer.status(), 200);
    let changed: Value = answer.json().await.unwrap();
    assert_eq!((&changed["user_type"], &changed["status"]), (&json!("qvp"), &json!("active")));
    let feed = team.feed().await;
    assert_eq!(feed["users"][0]["user_id"], user, "gateways refuse what states the old type");
    assert_eq!(feed["revoked"], json!([]), "the session lives on");
    let renewed: Value = team.auth.refresh(&tokens["refresh_token"]).await.json().await.unwrap();
    assert_eq!(claims(&renewed)["user_type"], "qvp");
    let trail = Trail::of(&team.auth);
    let mut rows = Vec::new();
    eventually("the change is on the log", async || {
        rows = trail.list("?action=auth.user_change").await;
        !rows.is_empty()
    })
    .await;
    assert_eq!(rows[0]["actor"]["id"], team.superuser.to_string());
    assert_eq!(rows[0]["target"]["id"], user);
    assert_eq!(rows[0]["details"]["user_type"], "qvp");
}

#[tokio::test]
async fn a_disabled_account_loses_its_sessions_until_it_is_let_in_again() {
    let team = Team::start(&[]).await;
    let user = team.register("ada@example.org").await;
    let tokens = team.auth.login("ada@example.org").await;

    assert_eq!(team.change(&user, json!({"is_active": false})).await.status(), 200);

    assert_eq!(team.feed().await["revoked"][0]["session_id"], tokens["session_id"]);
    let refused = team.auth.refresh(&tokens["refresh_token"]).await;
    assert_eq!(problem(refused).await.1, "refresh_expired");
    assert_eq!(problem(team.sign_in("ada@example.org").await).await.1, "account_disabled");

    assert_eq!(team.change(&user, json!({"is_active": true})).await.status(), 200);
    assert_eq!(team.sign_in("ada@example.org").await.status(), 200);
}

#[tokio::test]
async fn the_last_active_admin_stays_one() {
    let team = Team::start(&[]).await;
    let own = team.superuser.to_string();
    for change in [json!({"user_type": "regular"}), json!({"is_active": false})] {
        let refused = problem(team.change(&own, change).await).await;
        assert_eq!(refused, (409, "last_admin".to_owned(), vec![]));
    }
    let other = team.register("ada@example.org").await;
    assert_eq!(team.change(&other, json!({"user_type": "admin", "is_active": false})).await.status(), 200);
    let refused = problem(team.change(&own, json!({"user_type": "qvp"})).await).await;
    assert_eq!(refused.1, "last_admin", "one who is disabled runs nothing");
    assert_eq!(team.change(&other, json!({"is_active": true})).await.status(), 200);
    assert_eq!(team.change(&own, json!({"user_type": "qvp"})).await.status(), 200);
}

#[tokio::test]
async fn of_two_admins_who_demote_each_other_at_once_one_is_left() {
    let team = Team::start(&[]).await;
    let (own, other) = (team.superuser.to_string(), team.register("ada@example.org").await);
    for _ in 0..20 {
        for user in [&own, &other] {
            assert_eq!(team.change(user, json!({"user_type": "admin"})).await.status(), 200);
        }
        let demotion = json!({"user_type": "regular"});
        let (one, two) = join(team.change(&own, demotion.clone()), team.change(&other, demotion)).await;
        let mut statuses = [one.status().as_u16(), two.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
}

#[tokio::test]
async fn a_pending_account_is_approved_or_rejected_once() {
    let team = Team::start(&[("AUTH_REGISTRATION", "approval")]).await;
    let (ada, bob) = (team.register("ada@example.org").await, team.register("bob@example.org").await);
    assert_eq!(team.handles("admin/users?status=pending").await, ["bob", "ada"]);
    let early = problem(team.change(&ada, json!({"is_active": true})).await).await;
    assert_eq!((early.0, &*early.1), (409, "account_pending"));

    assert_eq!(team.decide(&ada, "approve").await.status(), 200);
    assert_eq!(team.decide(&bob, "reject").await.status(), 200);

    assert_eq!(team.sign_in("ada@example.org").await.status(), 200);
    assert_eq!(problem(team.sign_in("bob@example.org").await).await.1, "account_disabled");
    for (user, decision) in [(&ada, "reject"), (&ada, "approve"), (&bob, "approve")] {
        assert_eq!(problem(team.decide(user, decision).await).await.1, "not_pending");
    }
}

#[tokio::test]
async fn accounts_are_listed_by_pages_and_found_by_any_of_their_names() {
    let team = Team::start(&[]).await;
    for name in ["ada", "bob_x", "bobyx", "cleo"] {
        team.register(&format!("{name}@example.org")).await;
    }
    let first = team.get("admin/users?limit=3").await;
    let next = first["next_cursor"].as_str().unwrap();
    let rest = team.handles(&format!("admin/users?limit=3&cursor={next}")).await;
    assert_eq!(team.handles("admin/users?limit=3").await, ["cleo", "bobyx", "bob-x"]);
    assert_eq!(rest, ["ada", "admin"]);
    assert_eq!(team.handles("admin/users?query=BOB_X").await, ["bob-x"], "_ is no wildcard");
    assert_eq!(team.handles("admin/users?query=%25").await, [""; 0]);
    assert_eq!(team.handles("admin/users?query=%00").await, [""; 0]);
    assert_eq!(team.handles("admin/users?user_type=admin").await, ["admin"]);
    assert_eq!(team.handles("admin/users?query=admin&status=disabled").await, [""; 0]);
    assert_eq!(team.send(Method::GET, "admin/users?status=asleep", None).await.status(), 400);
}

#[tokio::test]
async fn a_lookup_finds_active_people_by_how_a_name_begins_and_tells_no_address() {
    let team = Team::start(&[]).await;
    let account = json!({"email": "ada@example.org", "password": PASSWORD, "full_name": "Countess Lovelace"});
    assert_eq!(team.auth.post("/api/v1/auth/register", account).await.status(), 201);
    let disabled = team.register("adam@example.org").await;
    team.change(&disabled, json!({"is_active": false})).await;

    for query in ["ada", "ADA", "coun"] {
        let found = team.get(&format!("users/lookup?query={query}")).await;
        let mut found = found["items"].as_array().unwrap().clone();
        assert_eq!(found.len(), 1, "{query}");
        found[0].as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!(found[0], json!({"handle": "ada", "full_name": "Countess Lovelace"}));
    }
    for query in ["lovelace", "%25%25%25", "a_a"] {
        assert_eq!(team.handles(&format!("users/lookup?query={query}")).await, [""; 0], "{query}");
    }
    for query in ["?query=ad", "?query=", "", "?query=ada%00"] {
        assert_eq!(team.send(Method::GET, &format!("users/lookup{query}"), None).await.status(), 400);
    }
}

#[tokio::test]
async fn people_see_what_they_may_do() {
    let team = Team::start(&[]).await;
    let qvp = team.auth.callers.person(UserType::Qvp).authorization;
    let own: Value = team.auth.get_as("/api/v1/users/me/permissions", &qvp).await.json().await.unwrap();
    let seen = ["view_dashboard", "view_servers", "view_images", "build_images", "push_images"];
    assert_eq!((&own["user_type"], &own["permissions"]), (&json!("qvp"), &json!(seen)));
    assert!(own["apps"].is_array());
}

#[tokio::test]
async fn what_is_not_there_or_not_known_is_said() {
    let team = Team::start(&[]).await;
    let nobody = UserId::generate().to_string();
    assert_eq!(team.change(&nobody, json!({"is_active": true})).await.status(), 404);
    assert_eq!(team.send(Method::GET, &format!("users/{nobody}"), None).await.status(), 404);
    let wrong = problem(team.change(&nobody, json!({"user_type": "root"})).await).await;
    assert_eq!((wrong.0, wrong.2), (422, vec!["/user_type".to_owned()]));
    let unknown = problem(team.change(&nobody, json!({"email": "x@example.org"})).await).await;
    assert_eq!((unknown.0, unknown.2), (422, vec!["/email".to_owned()]));
    let own = team.get(&format!("users/{}", team.superuser)).await;
    assert_eq!(own["handle"], "admin");
}

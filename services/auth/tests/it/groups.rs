//! Groups, and which apps people and groups are granted.

use futures_util::future::{join, join_all};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use slipway_kernel::{GroupId, SessionId, UserId};
use slipway_models::auth::UserType;

use crate::harness::{TestAuth, claims, problem};
use crate::team::Team;
use crate::trail::{Trail, count, eventually};

const ALL: [&str; 5] = ["functions", "vault", "documents", "tasks", "workspace"];

/// Asks as a person.
async fn send(auth: &TestAuth, user: &str, method: Method, path: &str, body: Option<Value>) -> Response {
    let caller = auth.callers.session(user.parse().unwrap(), SessionId::generate(), UserType::Regular);
    let mut request = auth.request(method, &format!("/api/v1/{path}"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.header("authorization", caller.authorization).send().await.unwrap()
}

async fn create(auth: &TestAuth, owner: &str) -> String {
    let answer = send(auth, owner, Method::POST, "groups", Some(json!({"name": "Research"}))).await;
    assert_eq!(answer.status(), 201);
    answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
}

async fn put_member(auth: &TestAuth, asker: &str, group: &str, user: &str, role: &str) -> Response {
    let path = format!("groups/{group}/members/{user}");
    send(auth, asker, Method::PUT, &path, Some(json!({"role": role}))).await
}

async fn remove_member(auth: &TestAuth, asker: &str, group: &str, user: &str) -> Response {
    send(auth, asker, Method::DELETE, &format!("groups/{group}/members/{user}"), None).await
}

/// What an admin does to grants and groups.
impl Team {
    async fn put_apps(&self, of: &str, apps: Value) -> Value {
        let answer = self.send(Method::PUT, &format!("{of}/apps"), Some(json!({"apps": apps}))).await;
        assert_eq!(answer.status(), 200, "{of}");
        answer.json().await.unwrap()
    }

    async fn take_in(&self, group: &str, user: &str, role: &str) -> u16 {
        let path = format!("groups/{group}/members/{user}");
        self.send(Method::PUT, &path, Some(json!({"role": role}))).await.status().as_u16()
    }

    /// The generation from which on gateways take a user's tokens.
    async fn generation(&self, user: &str) -> i64 {
        let feed = self.feed().await;
        let users = feed["users"].as_array().unwrap();
        let raised = users.iter().find(|raised| raised["user_id"] == user);
        raised.map_or(0, |raised| raised["generation"].as_i64().unwrap())
    }
}

/// Refreshes, and reads the apps and the generation of the new token.
async fn renewed(auth: &TestAuth, tokens: &mut Value) -> (Value, i64) {
    let answer = auth.refresh(&tokens["refresh_token"]).await;
    assert_eq!(answer.status(), 200, "the session lives on");
    *tokens = answer.json().await.unwrap();
    let claims = claims(tokens);
    (claims["apps"].clone(), claims["gen"].as_i64().unwrap())
}

#[tokio::test]
async fn a_group_is_seen_by_who_belongs_to_it_and_named_by_its_owners() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let [ada, bob, eve] = team.three().await;
    let group = create(auth, &ada).await;
    assert_eq!(put_member(auth, &ada, &group, &bob, "member").await.status(), 200);
    let path = format!("groups/{group}");
    let name = || Some(json!({"name": "Science"}));

    let seen: Value = send(auth, &bob, Method::GET, &path, None).await.json().await.unwrap();
    assert_eq!(
        (&seen["name"], &seen["role"], &seen["apps"]),
        (&json!("Research"), &json!("member"), &Value::Null)
    );
    assert_eq!(send(auth, &bob, Method::PATCH, &path, name()).await.status(), 403);
    assert_eq!(send(auth, &bob, Method::DELETE, &path, None).await.status(), 403);
    assert_eq!(put_member(auth, &bob, &group, &eve, "member").await.status(), 403);
    assert_eq!(remove_member(auth, &bob, &group, &ada).await.status(), 403);

    assert_eq!(send(auth, &eve, Method::GET, &path, None).await.status(), 404);
    assert_eq!(send(auth, &eve, Method::GET, &format!("{path}/members"), None).await.status(), 404);
    assert_eq!(send(auth, &eve, Method::GET, &format!("{path}/apps"), None).await.status(), 404);
    assert_eq!(send(auth, &eve, Method::PATCH, &path, name()).await.status(), 404);
    assert_eq!(send(auth, &eve, Method::DELETE, &path, None).await.status(), 404);
    assert_eq!(put_member(auth, &eve, &group, &eve, "owner").await.status(), 404);
    assert_eq!(remove_member(auth, &eve, &group, &bob).await.status(), 404);
    let list: Value = send(auth, &eve, Method::GET, "groups", None).await.json().await.unwrap();
    assert_eq!(list["items"], json!([]));

    assert_eq!(send(auth, &ada, Method::PATCH, &path, name()).await.status(), 200);
    let all = team.get("groups").await;
    assert_eq!((&all["items"][0]["name"], &all["items"][0]["role"]), (&json!("Science"), &Value::Null));
    assert_eq!(send(auth, &ada, Method::DELETE, &path, None).await.status(), 204);
    assert_eq!(send(auth, &ada, Method::GET, &path, None).await.status(), 404);
    assert_eq!(count(&auth.database, "group_members"), 0);
}

#[tokio::test]
async fn groups_and_members_are_listed_by_pages() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let people = team.three().await;
    let mut groups = Vec::new();
    for _ in 0..3 {
        groups.push(create(auth, &people[0]).await);
    }
    for person in &people[1..] {
        assert_eq!(put_member(auth, &people[0], &groups[0], person, "member").await.status(), 200);
    }
    for (path, key, mut expected) in [
        ("groups".to_owned(), "/id", groups.iter().rev().cloned().collect::<Vec<_>>()),
        (format!("groups/{}/members", groups[0]), "/user/id", people.to_vec()),
    ] {
        let mut cursor = String::new();
        for is_last in [false, true] {
            let page = format!("{path}?limit=2{cursor}");
            let page: Value = send(auth, &people[0], Method::GET, &page, None).await.json().await.unwrap();
            for item in page["items"].as_array().unwrap() {
                assert_eq!(item.pointer(key).unwrap(), &*expected.remove(0));
            }
            assert_eq!(page["next_cursor"].is_null(), is_last, "{page}");
            cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
        }
        assert_eq!(expected, [""; 0]);
    }
}

#[tokio::test]
async fn nobody_makes_groups_without_end() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let ada = team.register("ada@example.org").await;
    for _ in 0..99 {
        create(auth, &ada).await;
    }
    let make = || send(auth, &ada, Method::POST, "groups", Some(json!({"name": "One more"})));
    let mut statuses: Vec<u16> =
        join_all([make(), make(), make()]).await.iter().map(|answer| answer.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422, 422]);
    assert_eq!(problem(make().await).await.1, "too_many_groups");

    let bob = team.register("bob@example.org").await;
    let groups = send(auth, &ada, Method::GET, "groups?limit=1", None).await.json::<Value>().await.unwrap();
    let group = groups["items"][0]["id"].as_str().unwrap();
    assert_eq!(put_member(auth, &ada, group, &bob, "owner").await.status(), 200);
    assert_eq!(remove_member(auth, &ada, group, &ada).await.status(), 204);
    assert_eq!(problem(make().await).await.1, "too_many_groups", "another's group is still of their making");
    assert_eq!(send(auth, &bob, Method::POST, "groups", Some(json!({"name": "His"}))).await.status(), 201);
}

#[tokio::test]
async fn a_request_that_is_sent_again_under_its_key_makes_nothing_anew() {
    let team = Team::start(&[]).await;
    let ada = team.register("ada@example.org").await;
    let group = async |name: &str| {
        let caller =
            team.auth.callers.session(ada.parse().unwrap(), SessionId::generate(), UserType::Regular);
        let request = team.auth.request(Method::POST, "/api/v1/groups").json(&json!({"name": name}));
        let request = request.header("authorization", caller.authorization).header("idempotency-key", "once");
        request.send().await.unwrap()
    };
    let first = group("Research").await;
    assert_eq!((first.status().as_u16(), first.headers().contains_key("idempotency-replayed")), (201, false));
    let first: Value = first.json().await.unwrap();

    let again = group("Research").await;
    assert_eq!((again.status().as_u16(), again.headers().contains_key("idempotency-replayed")), (201, true));
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    assert_eq!(problem(group("Science").await).await.1, "idempotency_key_reused");
}

#[tokio::test]
async fn a_group_keeps_an_owner_until_the_last_ones_account_is_deleted() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let [ada, bob, _] = team.three().await;
    let group = create(auth, &ada).await;
    let last = (409, "last_owner".to_owned(), vec![]);
    assert_eq!(problem(remove_member(auth, &ada, &group, &ada).await).await, last);
    assert_eq!(problem(put_member(auth, &ada, &group, &ada, "member").await).await, last);
    assert_eq!(put_member(auth, &ada, &group, &bob, "owner").await.status(), 200);
    assert_eq!(
        remove_member(auth, &ada, &group, &ada).await.status(),
        204,
        "whoever belongs to it may leave"
    );

    assert_eq!(team.delete(&bob).await.status(), 204);

    let members = team.get(&format!("groups/{group}/members")).await;
    assert_eq!(members["items"], json!([]));
    assert_eq!(team.take_in(&group, &ada, "owner").await, 200, "who manages people gives it another");
}

#[tokio::test]
async fn of_two_owners_who_leave_at_once_one_stays() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let [ada, bob, _] = team.three().await;
    for _ in 0..10 {
        let group = create(auth, &ada).await;
        assert_eq!(put_member(auth, &ada, &group, &bob, "owner").await.status(), 200);
        let left =
            join(remove_member(auth, &ada, &group, &ada), remove_member(auth, &bob, &group, &bob)).await;
        let mut statuses = [left.0.status().as_u16(), left.1.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
    }
}

#[tokio::test]
async fn changes_of_one_group_at_once_all_end_well() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let [ada, bob, eve] = team.three().await;
    for _ in 0..5 {
        let group = create(auth, &ada).await;
        let apps = Some(json!({"apps": ["vault"]}));
        let (path, apps_path) = (format!("groups/{group}"), format!("groups/{group}/apps"));
        let own_path = format!("admin/users/{bob}/apps");
        let superuser = team.superuser.to_string();
        let members = join_all([
            put_member(auth, &ada, &group, &bob, "member"),
            put_member(auth, &ada, &group, &superuser, "member"),
            put_member(auth, &ada, &group, &bob, "owner"),
            put_member(auth, &ada, &group, &eve, "member"),
        ]);
        let grants = join(
            team.send(Method::PUT, &apps_path, apps),
            team.send(Method::PUT, &own_path, Some(json!({"apps": null}))),
        );
        let (members, (granted, deleted)) =
            join(members, join(grants, team.send(Method::DELETE, &path, None))).await;
        for answer in members {
            assert!([200, 403, 404].contains(&answer.status().as_u16()), "{}", answer.status());
        }
        assert!([200, 404].contains(&granted.0.status().as_u16()), "{}", granted.0.status());
        assert_eq!(
            (granted.1.status(), deleted.status()),
            (200.try_into().unwrap(), 204.try_into().unwrap())
        );
        assert_eq!(count(&auth.database, "group_members"), 0);
    }
}

#[tokio::test]
async fn tokens_state_what_is_granted_and_older_ones_are_revoked() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let user = team.register("ada@example.org").await;
    let mut tokens = auth.login("ada@example.org").await;
    assert_eq!(claims(&tokens)["apps"], json!(ALL), "who has no grant stated has all");
    let own = format!("admin/users/{user}");
    let group = create(auth, &team.superuser.to_string()).await;
    let other = create(auth, &team.superuser.to_string()).await;
    for group in [&group, &other] {
        assert_eq!(team.take_in(group, &user, "member").await, 200);
    }
    assert_eq!(team.generation(&user).await, 0, "these groups state nothing");

    let mut generation = 0;
    for (of, apps, expected) in [
        (format!("groups/{group}"), json!(["vault"]), json!(["vault"])),
        (format!("groups/{other}"), json!(["tasks", "functions"]), json!(["functions", "vault", "tasks"])),
        (own.clone(), json!(["documents"]), json!(["documents"])),
        (own.clone(), json!([]), json!([])),
        (own.clone(), Value::Null, json!(["functions", "vault", "tasks"])),
        (format!("groups/{other}"), Value::Null, json!(["vault"])),
        (format!("groups/{group}"), Value::Null, json!(ALL)),
    ] {
        team.put_apps(&of, apps.clone()).await;
        generation += 1;
        assert_eq!(team.generation(&user).await, generation, "{of} {apps}");
        assert_eq!(renewed(auth, &mut tokens).await, (expected.clone(), generation), "{of} {apps}");
        assert_eq!(team.get(&format!("{own}/apps")).await["effective"], expected);
        team.put_apps(&of, apps).await;
        assert_eq!(team.generation(&user).await, generation, "the same again changes nothing");
    }
    let login = auth.login("ada@example.org").await;
    assert_eq!(claims(&login)["apps"], json!(ALL));
}

#[tokio::test]
async fn no_token_that_gateways_take_states_what_was_granted_before() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let user = team.register("ada@example.org").await;
    let group = create(auth, &team.superuser.to_string()).await;
    assert_eq!(team.take_in(&group, &user, "member").await, 200);
    let of = format!("groups/{group}");
    for apps in [json!(["vault"]), json!(["tasks"])].iter().cycle().take(20) {
        let sign_ins = (0..8).map(|_| auth.login("ada@example.org"));
        let (_, signed_in) = join(team.put_apps(&of, apps.clone()), join_all(sign_ins)).await;
        let generation = team.generation(&user).await;
        for claims in signed_in.iter().map(claims) {
            let is_taken = claims["gen"].as_i64().unwrap() >= generation;
            assert!(!is_taken || claims["apps"] == *apps, "{claims}, since {apps} is granted");
        }
    }
}

#[tokio::test]
async fn coming_to_a_group_that_states_apps_and_going_from_it_revokes_tokens_too() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let [ada, bob, _] = team.three().await;
    let mut tokens = auth.login("ada@example.org").await;
    let group = create(auth, &bob).await;
    team.put_apps(&format!("groups/{group}"), json!(["vault"])).await;
    assert_eq!(team.generation(&bob).await, 1);

    assert_eq!(team.take_in(&group, &ada, "member").await, 200);
    assert_eq!((renewed(auth, &mut tokens).await, team.generation(&ada).await), ((json!(["vault"]), 1), 1));
    assert_eq!(team.take_in(&group, &ada, "owner").await, 200);
    assert_eq!(team.generation(&ada).await, 1, "what she may use is the same");
    let away = format!("groups/{group}/members/{ada}");
    assert_eq!(team.send(Method::DELETE, &away, None).await.status(), 204);
    assert_eq!((renewed(auth, &mut tokens).await, team.generation(&ada).await), ((json!(ALL), 2), 2));
    assert_eq!(team.send(Method::DELETE, &away, None).await.status(), 404);

    assert_eq!(team.take_in(&group, &ada, "member").await, 200);
    team.put_apps(&format!("admin/users/{ada}"), json!(["tasks"])).await;
    let generation = team.generation(&ada).await;
    assert_eq!(team.send(Method::DELETE, &format!("groups/{group}"), None).await.status(), 204);
    assert_eq!(team.generation(&bob).await, 2);
    assert_eq!(team.generation(&ada).await, generation, "what is stated for her alone counts");
}

#[tokio::test]
async fn owners_grant_nothing_neither_by_apps_nor_by_who_belongs_to_the_group() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let [ada, bob, eve] = team.three().await;
    let group = create(auth, &ada).await;
    assert_eq!(put_member(auth, &ada, &group, &bob, "member").await.status(), 200);
    let apps = Some(json!({"apps": ["vault"]}));
    let path = format!("groups/{group}");
    assert_eq!(send(auth, &ada, Method::PUT, &format!("{path}/apps"), apps.clone()).await.status(), 403);
    let own = format!("admin/users/{ada}/apps");
    assert_eq!(send(auth, &ada, Method::PUT, &own, apps).await.status(), 403);

    team.put_apps(&path, json!(["vault"])).await;

    assert_eq!(put_member(auth, &ada, &group, &eve, "member").await.status(), 403);
    assert_eq!(remove_member(auth, &ada, &group, &bob).await.status(), 403);
    assert_eq!(remove_member(auth, &bob, &group, &bob).await.status(), 403, "leaving would grant all again");
    assert_eq!(send(auth, &ada, Method::DELETE, &path, None).await.status(), 403);
    let name = Some(json!({"name": "Science"}));
    assert_eq!(send(auth, &ada, Method::PATCH, &path, name).await.status(), 200);
}

#[tokio::test]
async fn what_is_not_there_or_not_known_is_said_of_groups_too() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let ada = team.register("ada@example.org").await;
    let disabled = team.register("eve@example.org").await;
    team.change(&disabled, json!({"is_active": false})).await;
    let group = create(auth, &ada).await;
    let nobody = UserId::generate().to_string();
    for user in [&nobody, &disabled] {
        assert_eq!(put_member(auth, &ada, &group, user, "member").await.status(), 404);
    }
    assert_eq!(remove_member(auth, &ada, &group, &nobody).await.status(), 404);
    let nothing = format!("groups/{}", GroupId::generate());
    for path in [format!("{nothing}/apps"), format!("admin/users/{nobody}/apps")] {
        assert_eq!(team.send(Method::GET, &path, None).await.status(), 404, "{path}");
        assert_eq!(team.send(Method::PUT, &path, Some(json!({"apps": []}))).await.status(), 404, "{path}");
    }
    let apps = format!("admin/users/{ada}/apps");
    for (method, path, body, pointer) in [
        (Method::POST, "groups", json!({"name": ""}), "/name"),
        (Method::POST, "groups", json!({"name": "x", "apps": []}), "/apps"),
        (Method::PATCH, &*format!("groups/{group}"), json!({"apps": []}), "/apps"),
        (Method::PUT, &*format!("groups/{group}/members/{ada}"), json!({"role": "root"}), "/role"),
        (Method::PUT, &*apps, json!({"apps": ["root"]}), "/apps/0"),
        (Method::PUT, &*apps, json!({}), ""),
    ] {
        let refused = problem(team.send(method, path, Some(body.clone())).await).await;
        assert_eq!((refused.0, &refused.2[..]), (422, &[pointer.to_owned()][..]), "{path} {body}");
    }
}

#[tokio::test]
async fn every_change_of_groups_and_grants_is_accounted_for() {
    let team = Team::start(&[]).await;
    let auth = &team.auth;
    let [ada, bob, _] = team.three().await;
    let group = create(auth, &ada).await;
    let path = format!("groups/{group}");
    send(auth, &ada, Method::PATCH, &path, Some(json!({"name": "Science"}))).await;
    put_member(auth, &ada, &group, &bob, "member").await;
    put_member(auth, &ada, &group, &bob, "member").await;
    remove_member(auth, &ada, &group, &bob).await;
    team.put_apps(&path, json!(["vault"])).await;
    team.put_apps(&path, json!(["vault"])).await;
    team.send(Method::DELETE, &path, None).await;
    team.put_apps(&format!("admin/users/{ada}"), json!([])).await;
    let trail = Trail::of(auth);
    let mut rows = Vec::new();
    eventually("all is on the log", async || {
        rows = trail.list("").await;
        rows[0]["action"] == "auth.user_apps"
    })
    .await;
    let actions: Vec<_> = rows[..7].iter().rev().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "group.create",
            "group.change",
            "group.member_put",
            "group.member_remove",
            "group.apps",
            "group.delete",
            "auth.user_apps"
        ]
    );
    assert_eq!(rows[4]["actor"]["id"], ada, "{}", rows[4]);
    assert_eq!((&rows[4]["target"]["id"], &rows[4]["details"]["role"]), (&json!(group), &json!("member")));
    assert_eq!(rows[0]["details"], json!({"apps": [], "old_apps": null}));
}

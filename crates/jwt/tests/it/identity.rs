use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use slipway_jwt::{
    Identity, IdentitySigner, IdentityVerifier, ServiceName, SignedIdentities, Subject, TokenError,
    TrustedKeys, UserIdentity,
};
use slipway_kernel::{FixedClock, SessionId, UserId};
use slipway_models::auth::UserType;
use tempfile::TempDir;

use crate::platform::sign;

struct Services {
    keys: TempDir,
    clock: Arc<FixedClock>,
    gateway: IdentitySigner,
    auth: IdentityVerifier,
}

impl Services {
    fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        // The verifier is there first: it finds the gateway's key once it is made.
        let trusted = Arc::new(TrustedKeys::load(keys.path()).unwrap());
        let auth = IdentityVerifier::new(name("auth"), trusted, clock.clone());
        let gateway = signer(keys.path(), "gateway", &clock);
        Self { keys, clock, gateway, auth }
    }

    /// What the gateway signs for a user it did not sign for before.
    fn word_for(&self, user: &UserIdentity, audience: &str) -> Arc<str> {
        self.gateway.for_user(&SignedIdentities::default(), &name(audience), || user.clone()).unwrap()
    }
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn signer(keys: &Path, service: &str, clock: &Arc<FixedClock>) -> IdentitySigner {
    IdentitySigner::load_or_create(keys, name(service), clock.clone()).unwrap()
}

fn user() -> UserIdentity {
    UserIdentity {
        user_id: UserId::generate(),
        session_id: SessionId::generate(),
        handle: "ada".into(),
        user_type: UserType::Qvp,
        apps: ["functions".to_owned()].into(),
    }
}

#[test]
fn a_user_is_known_by_the_word_of_the_gateway() {
    let services = Services::new();
    let user = user();
    let token = services.word_for(&user, "auth");

    for _ in 0..2 {
        let identity = services.auth.verify(&token).unwrap();
        assert_eq!(*identity, Identity { issuer: name("gateway"), subject: Subject::User(user.clone()) });
    }
}

#[test]
fn a_service_speaks_for_itself() {
    let services = Services::new();
    let token = services.gateway.for_service(&name("auth")).unwrap();
    let identity = services.auth.verify(&token).unwrap();
    assert_eq!(identity.subject, Subject::Service(name("gateway")));
}

#[test]
fn an_identity_is_used_again_for_half_a_minute_by_the_same_caller_and_for_the_same_service() {
    let services = Services::new();
    let (user, signed) = (user(), SignedIdentities::default());
    let sign =
        |signed, audience| services.gateway.for_user(signed, &name(audience), || user.clone()).unwrap();
    let first = sign(&signed, "auth");

    services.clock.advance(TimeDelta::seconds(29));
    assert_eq!(sign(&signed, "auth"), first);
    services.clock.advance(TimeDelta::seconds(1));
    let second = sign(&signed, "auth");
    assert_ne!(second, first);

    assert_ne!(sign(&signed, "functions"), second);
    services.clock.advance(TimeDelta::seconds(1));
    assert_eq!(sign(&signed, "auth"), second);
    assert_ne!(sign(&SignedIdentities::default(), "auth"), second);
}

#[test]
fn an_identity_ends_after_a_minute_though_it_was_verified_before() {
    let services = Services::new();
    let token = services.word_for(&user(), "auth");
    services.auth.verify(&token).unwrap();
    services.clock.advance(TimeDelta::seconds(65));
    assert_eq!(services.auth.verify(&token), Err(TokenError::Expired));
}

#[test]
fn an_identity_for_another_service_is_refused() {
    let services = Services::new();
    let token = services.word_for(&user(), "functions");
    assert_eq!(services.auth.verify(&token), Err(TokenError::Claims));
}

#[test]
fn a_service_other_than_the_gateway_cannot_speak_for_a_user_or_for_another_service() {
    let services = Services::new();
    let own = signer(services.keys.path(), "task", &services.clock).for_service(&name("auth")).unwrap();
    services.clock.advance(TimeDelta::seconds(2));
    services.auth.verify(&own).unwrap();

    let pem = std::fs::read(services.keys.path().join("task.identity.pem")).unwrap();
    let key = EncodingKey::from_ed_pem(&pem).unwrap();
    let kid = jsonwebtoken::decode_header(&*own).unwrap().kid.unwrap();
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid }).to_string();
    let now = (DateTime::UNIX_EPOCH + TimeDelta::days(20_000)).timestamp();
    let times = json!({ "exp": now + 60, "iat": now, "nbf": now, "aud": "auth" });
    let forge = |claims: serde_json::Value| {
        let mut all = times.clone();
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        sign(&header, &all.to_string(), Algorithm::EdDSA, &key)
    };

    let id = UserId::generate();
    let user = json!({ "typ": "identity", "iss": "task", "sub": id, "sid": id, "handle": "ada", "user_type": "admin", "apps": [] });
    let mut as_gateway = user.clone();
    as_gateway["iss"] = json!("gateway");
    for claims in [
        user,
        as_gateway,
        json!({ "typ": "service", "iss": "task", "sub": "gateway" }),
        json!({ "typ": "service", "iss": "gateway", "sub": "gateway" }),
        json!({ "typ": "access", "iss": "task", "sub": "task" }),
        json!({ "typ": "service", "iss": "task", "sub": "task", "exp": now + 3600 }),
    ] {
        assert_eq!(services.auth.verify(&forge(claims.clone())), Err(TokenError::Claims), "{claims}");
    }
    assert!(services.auth.verify(&forge(json!({ "typ": "service", "iss": "task", "sub": "task" }))).is_ok());
}

#[test]
fn a_key_that_is_not_published_is_refused() {
    let services = Services::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = signer(elsewhere.path(), "gateway", &services.clock);
    let token = stranger.for_user(&SignedIdentities::default(), &name("auth"), user).unwrap();
    assert_eq!(services.auth.verify(&token), Err(TokenError::UnknownKey));
}

#[test]
fn a_name_that_could_be_a_path_is_no_service() {
    for text in ["", "../auth", "Auth", "a/b", "a.b", "-a", "1a", &"a".repeat(33)] {
        assert!(text.parse::<ServiceName>().is_err(), "{text}");
    }
}

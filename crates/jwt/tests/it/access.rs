use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use slipway_jwt::{Grant, Jwks, TokenError};
use slipway_models::auth::{RevokedSessionBody, RevokedUserBody};

use crate::platform::{Platform, forge, grant, sign};

#[test]
fn a_token_verifies_and_says_what_was_granted() {
    let platform = Platform::new();
    let grant = grant();
    let issued = platform.issuer.issue(grant.clone()).unwrap();

    for _ in 0..2 {
        let verified = platform.verifier.verify(&issued.token).unwrap();
        let claims = &verified.claims;
        assert_eq!((claims.sub, claims.sid), (grant.user_id, grant.session_id));
        assert_eq!((&claims.email, claims.user_type), (&grant.email, grant.user_type));
        assert_eq!((&claims.apps, &claims.handle), (&grant.apps, &grant.handle));
        assert_eq!(claims.expires_at(), issued.expires_at);
    }
}

#[test]
fn a_key_set_survives_its_journey_as_json() {
    let platform = Platform::new();
    let json = serde_json::to_string(&platform.issuer.jwks()).unwrap();
    let jwks: Jwks = serde_json::from_str(&json).unwrap();
    assert_eq!(jwks, platform.issuer.jwks());
    assert!(!json.contains("\"d\""), "no private half");
}

#[test]
fn a_token_is_good_for_an_hour_and_not_longer_though_it_was_verified_before() {
    let platform = Platform::new();
    let token = platform.issuer.issue(grant()).unwrap().token;
    platform.verifier.verify(&token).unwrap();

    platform.clock.advance(TimeDelta::seconds(3600 - 1));
    platform.verifier.verify(&token).unwrap();
    platform.clock.advance(TimeDelta::seconds(1));
    assert_eq!(platform.verifier.verify(&token), Err(TokenError::Expired));
    assert_eq!(TokenError::Expired.code().as_str(), "token_expired");
}

#[test]
fn a_token_of_the_future_is_refused() {
    let platform = Platform::new();
    let token = platform.issuer.issue(grant()).unwrap().token;
    platform.clock.advance(TimeDelta::seconds(-6));
    assert_eq!(platform.verifier.verify(&token), Err(TokenError::NotYetValid));
}

#[test]
fn a_revoked_session_ends_its_tokens_at_once_though_they_were_verified_before() {
    let platform = Platform::new();
    let (ended, other) = (grant(), grant());
    let issued = platform.issuer.issue(ended.clone()).unwrap();
    let another = platform.issuer.issue(other).unwrap();
    platform.verifier.verify(&issued.token).unwrap();

    let session = RevokedSessionBody { session_id: ended.session_id, expires_at: issued.expires_at };
    platform.revoked.revoke_sessions([session], issued.expires_at - TimeDelta::minutes(30));

    assert_eq!(platform.verifier.verify(&issued.token), Err(TokenError::Revoked));
    assert!(platform.verifier.verify(&another.token).is_ok());
}

#[test]
fn a_user_whose_tokens_are_revoked_goes_on_with_the_next_generation_whatever_its_second() {
    let platform = Platform::new();
    let of = |generation, user_id| Grant { generation, user_id, ..grant() };
    let user_id = grant().user_id;
    let issue = |grant: Grant| platform.issuer.issue(grant).unwrap();
    let (first, second) = (issue(of(0, user_id)), issue(of(1, user_id)));
    let other = issue(grant());
    platform.verifier.verify(&first.token).unwrap();

    let user = RevokedUserBody { user_id, generation: 1, expires_at: first.expires_at };
    platform.revoked.revoke_users([user], first.expires_at - TimeDelta::minutes(30));
    // An older word that comes late takes nothing back.
    let late = RevokedUserBody { generation: 0, ..user };
    platform.revoked.revoke_users([late], first.expires_at - TimeDelta::minutes(30));

    assert_eq!(platform.verifier.verify(&first.token), Err(TokenError::Revoked));
    assert!(
        platform.verifier.verify(&second.token).is_ok(),
        "of the same second, and of the next generation"
    );
    assert!(platform.verifier.verify(&other.token).is_ok());
}

#[test]
fn a_token_from_before_there_were_generations_is_of_the_first() {
    let platform = Platform::new();
    let mut claims = platform.claims();
    claims.as_object_mut().unwrap().remove("gen").unwrap();
    let token = forge(&platform.header(), &claims);
    assert_eq!(platform.verifier.verify(&token).unwrap().claims.generation, 0);
}

#[test]
fn a_key_that_is_gone_ends_its_tokens_though_they_were_verified_before() {
    let platform = Platform::new();
    let token = platform.issuer.issue(grant()).unwrap().token;
    platform.verifier.verify(&token).unwrap();

    platform.verifier.replace_keys(&Jwks::default()).unwrap();
    assert_eq!(platform.verifier.verify(&token), Err(TokenError::UnknownKey));

    platform.verifier.replace_keys(&platform.issuer.jwks()).unwrap();
    assert!(platform.verifier.verify(&token).is_ok());
}

#[test]
fn every_other_algorithm_is_refused() {
    let platform = Platform::new();
    let claims = platform.claims();
    for algorithm in ["none", "None", "", "HS256", "RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256"] {
        let mut header = platform.header();
        header["alg"] = json!(algorithm);
        let token = forge(&header, &claims);
        assert_eq!(platform.verifier.verify(&token), Err(TokenError::Header), "{algorithm}");
    }
}

#[test]
fn a_token_signed_with_the_public_key_as_a_shared_secret_is_refused() {
    let platform = Platform::new();
    let key = &platform.issuer.jwks().keys[0];
    let public = serde_json::to_vec(key).unwrap();
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": key.kid }).to_string();
    let claims = platform.claims().to_string();
    for secret in [public.as_slice(), key.n.as_bytes()] {
        let token = sign(&header, &claims, Algorithm::HS256, &EncodingKey::from_secret(secret));
        assert_eq!(platform.verifier.verify(&token), Err(TokenError::Header));
    }
}

#[test]
fn a_signature_of_another_algorithm_under_the_right_name_is_refused() {
    let platform = Platform::new();
    let pem = std::fs::read(platform.keys.path().join("access-0.pem")).unwrap();
    let key = EncodingKey::from_rsa_pem(&pem).unwrap();
    let (header, claims) = (platform.header().to_string(), platform.claims().to_string());
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let token = sign(&header, &claims, algorithm, &key);
        assert_eq!(platform.verifier.verify(&token), Err(TokenError::Signature));
    }
}

#[test]
fn a_header_with_more_than_the_platform_writes_is_refused() {
    let platform = Platform::new();
    let claims = platform.claims();
    let key = serde_json::to_value(&platform.issuer.jwks().keys[0]).unwrap();
    for (member, value) in [
        ("jwk", key),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let mut header = platform.header();
        header[member] = value;
        let token = forge(&header, &claims);
        assert_eq!(platform.verifier.verify(&token), Err(TokenError::Header), "{member}");
    }
}

#[test]
fn a_key_that_is_missing_unknown_or_named_twice_is_refused() {
    let platform = Platform::new();
    let claims = platform.claims();
    let kid = platform.kid();

    let token = forge(&json!({ "alg": "RS256", "typ": "JWT" }), &claims);
    assert_eq!(platform.verifier.verify(&token), Err(TokenError::Header));
    let token = forge(&json!({ "alg": "RS256", "kid": "../../dev/null" }), &claims);
    assert_eq!(platform.verifier.verify(&token), Err(TokenError::UnknownKey));
    let twice = format!(r#"{{"alg":"RS256","kid":"{kid}","kid":"{kid}"}}"#);
    let token = forge(&twice, &claims);
    assert_eq!(platform.verifier.verify(&token), Err(TokenError::Header));
}

#[test]
fn claims_that_are_missing_wrong_or_of_another_type_are_refused() {
    let platform = Platform::new();
    let good = platform.claims();
    for name in ["iss", "aud", "exp", "iat", "nbf", "sub", "sid", "jti", "typ", "handle"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        let token = forge(&platform.header(), &claims);
        assert_eq!(platform.verifier.verify(&token), Err(TokenError::Claims), "without {name}");
    }
    let exp = good["exp"].as_i64().unwrap();
    for (name, value) in [
        ("exp", json!(exp.to_string())),
        ("exp", Value::Null),
        ("exp", json!(1.0e300)),
        ("exp", json!(exp + 3600)),
        ("exp", json!(i64::MAX)),
        ("iat", json!(i64::MIN)),
        ("iss", json!("elsewhere")),
        ("iss", json!(["slipway", "elsewhere"])),
        ("aud", json!("vault")),
        ("aud", json!(["slipway-api"])),
        ("typ", json!("identity")),
        ("typ", json!("refresh")),
        ("sub", json!("root")),
        ("user_type", json!("superuser")),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        let token = forge(&platform.header(), &claims);
        assert_eq!(platform.verifier.verify(&token), Err(TokenError::Claims), "{name}: {value}");
    }
}

#[test]
fn a_claim_that_is_stated_twice_is_refused() {
    let platform = Platform::new();
    let claims = platform.claims().to_string();
    let twice = claims.replacen('{', r#"{"user_type":"admin","#, 1);
    let token = forge(&platform.header(), &twice);
    assert_eq!(platform.verifier.verify(&token), Err(TokenError::Claims));
}

#[test]
fn what_is_no_token_is_refused() {
    let platform = Platform::new();
    let token = platform.issuer.issue(grant()).unwrap().token;
    let (message, signature) = token.rsplit_once('.').unwrap();
    for (text, fault) in [
        ("", TokenError::Malformed),
        ("..", TokenError::Header),
        ("a.b.c", TokenError::Malformed),
        (message, TokenError::Malformed),
        (&format!("{message}."), TokenError::Signature),
        (&format!("{message}.{signature}="), TokenError::Malformed),
        (&format!("{message}.{signature}.{signature}"), TokenError::Malformed),
        (&format!(" {token}"), TokenError::Malformed),
        (&"a".repeat(8193), TokenError::TooLong),
    ] {
        assert_eq!(platform.verifier.verify(text), Err(fault), "{text}");
    }
}

#[test]
fn no_mutation_of_a_token_verifies() {
    let platform = Platform::new();
    let token = platform.issuer.issue(grant()).unwrap().token;
    platform.verifier.verify(&token).unwrap();
    proptest!(|(position in 0..token.len(), byte in proptest::char::range('\0', '\u{7f}'), cut in 0..3_u8)| {
        let mut mutated = token.clone();
        let end = position + 1;
        match cut {
            0 => mutated.replace_range(position..end, ""),
            1 => mutated.insert(position, byte),
            _ => mutated.replace_range(position..end, byte.encode_utf8(&mut [0; 4])),
        }
        prop_assume!(mutated != token);
        prop_assert!(platform.verifier.verify(&mutated).is_err());
    });
}

//! Access tokens that are not what they say (RFC 8725): each is 401, wherever it is shown, and reaches no service.

use std::sync::atomic::Ordering;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::Method;
use serde_json::{Value, json};

use crate::echo::values;
use crate::harness::{TestGateway, access_key, access_key_file, eventually, issuer, problem};
use crate::raw;

/// The parts of a good token, to make bad ones of.
struct Parts {
    good: String,
    header: Value,
    claims: Value,
    ours: EncodingKey,
    theirs: EncodingKey,
}

type Attacks = Vec<(String, String)>;

impl Parts {
    fn of(gateway: &TestGateway) -> Self {
        let good = gateway.sign_in().token;
        let part = |index| {
            let encoded = good.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
        };
        let key = |which| EncodingKey::from_rsa_pem(access_key_file(which)).unwrap();
        Self { header: part(0), claims: part(1), ours: key(0), theirs: key(1), good }
    }

    fn header(&self, changes: &Value) -> String {
        changed(&self.header, changes)
    }

    fn claims(&self, changes: &Value) -> String {
        changed(&self.claims, changes)
    }

    /// Signs as the platform does, be it what the platform would not sign.
    fn signed(&self, header: &str, claims: &str) -> String {
        sign(header, claims, Algorithm::RS256, &self.ours)
    }
}

/// Returns an object with other members; `null` takes one away.
fn changed(object: &Value, changes: &Value) -> String {
    let mut object = object.as_object().unwrap().clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(object.remove(name)),
            value => drop(object.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(object).to_string()
}

fn message(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

pub(crate) fn sign(header: &str, claims: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = message(header, claims);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// Shows each token in a header to each kind of route, and in the cookie to those that take cookies.
async fn all_are_refused(gateway: &TestGateway, attacks: &Attacks) {
    let mut faults = Vec::new();
    for (name, token) in attacks {
        for path in ["/api/v1/functions", "/api/v1/users/me", "/f/ada/hello"] {
            let by_header =
                gateway.request(Method::GET, path).header("authorization", format!("Bearer {token}"));
            let cookie = format!("__Host-slipway_access={token}");
            let by_cookie = gateway.request(Method::GET, path).header("cookie", cookie);
            let shown = if path.starts_with("/f/") { vec![by_header] } else { vec![by_header, by_cookie] };
            for request in shown {
                let answer = request.send().await.unwrap();
                if answer.status() != 401 || !answer.headers().contains_key("www-authenticate") {
                    faults.push(format!("{name} at {path}: {}", answer.status()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_forged_here_is_good_where_nothing_is_wrong_with_it() {
    let gateway = TestGateway::start().await;
    let parts = Parts::of(&gateway);
    let token = parts.signed(&parts.header.to_string(), &parts.claims.to_string());
    for token in [&token, &parts.good] {
        assert_eq!(gateway.get("/api/v1/functions", token).await.status(), 200);
    }
}

#[tokio::test]
async fn no_other_algorithm_is_taken_and_no_public_key_for_a_secret() {
    let gateway = TestGateway::start().await;
    let parts = Parts::of(&gateway);
    let claims = parts.claims.to_string();
    let (signed, signature) = parts.good.rsplit_once('.').unwrap();
    let mut attacks = Attacks::new();
    for name in
        ["none", "None", "NONE", "nOnE", "", "HS256", "RS384", "PS256", "ES256", "EdDSA", "rs256", "RS256 "]
    {
        let message = message(&parts.header(&json!({ "alg": name })), &claims);
        attacks.push((format!("alg {name:?} without a signature"), format!("{message}.")));
        attacks.push((format!("alg {name:?} with another's signature"), format!("{message}.{signature}")));
        attacks.push((format!("alg {name:?} without its part"), message));
    }
    let signed_none = signed.split_once('.').unwrap().1;
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    attacks.push(("alg none alone".to_owned(), format!("{none}.{signed_none}.")));
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let said = format!("{algorithm:?}");
        let honest = sign(&parts.header(&json!({ "alg": said })), &claims, algorithm, &parts.ours);
        attacks.push((format!("{said} that says so"), honest));
        let hidden = sign(&parts.header.to_string(), &claims, algorithm, &parts.ours);
        attacks.push((format!("{said} under the name of RS256"), hidden));
    }
    for (name, secret) in public_forms() {
        let key = EncodingKey::from_secret(&secret);
        for alg in ["HS256", "RS256"] {
            let header = parts.header(&json!({ "alg": alg }));
            attacks
                .push((format!("{alg} keyed with {name}"), sign(&header, &claims, Algorithm::HS256, &key)));
        }
    }
    all_are_refused(&gateway, &attacks).await;
}

/// Returns the public key in all forms that somebody could take for a secret.
fn public_forms() -> Vec<(&'static str, Vec<u8>)> {
    let private = pem::parse(access_key_file(0)).unwrap();
    let pair = KeyPair::from_pkcs8(private.contents()).unwrap();
    let public = pair.public_key();
    let spki: PublicKeyX509Der<'_> = public.as_der().unwrap();
    let pem = |label: &str, der: &[u8]| pem::encode(&pem::Pem::new(label, der));
    let spki_pem = pem("PUBLIC KEY", spki.as_ref());
    let jwk = &access_key(0).jwks().keys[0].clone();
    vec![
        ("the PEM", spki_pem.clone().into()),
        ("the PEM with LF", spki_pem.replace("\r\n", "\n").into()),
        ("the PEM without its last line end", spki_pem.replace("\r\n", "\n").trim_end().into()),
        ("the DER", spki.as_ref().to_vec()),
        ("the PKCS#1 PEM", pem("RSA PUBLIC KEY", public.as_ref()).into()),
        ("the PKCS#1 DER", public.as_ref().to_vec()),
        ("the JWK", serde_json::to_vec(jwk).unwrap()),
        ("the modulus as text", jwk.n.clone().into()),
        ("the modulus", URL_SAFE_NO_PAD.decode(&jwk.n).unwrap()),
        ("the name of the key", jwk.kid.clone().into()),
        ("nothing", Vec::new()),
    ]
}

#[tokio::test]
async fn no_token_brings_its_own_key() {
    let gateway = TestGateway::start().await;
    let parts = Parts::of(&gateway);
    let claims = parts.claims.to_string();
    let theirs = access_key(1).jwks().keys[0].clone();
    let jwk = serde_json::to_value(&theirs).unwrap();
    let long = "k".repeat(5000);
    let mut attacks = Attacks::new();
    for (name, changes) in [
        ("jwk", json!({ "jwk": jwk })),
        ("jwk, and its kid", json!({ "jwk": jwk, "kid": theirs.kid })),
        ("jku", json!({ "jku": "https://evil.example/jwks.json" })),
        ("jku here", json!({ "jku": format!("http://{}/api/v1/auth/jwks.json", gateway.address) })),
        ("x5u", json!({ "x5u": "https://evil.example/cert.pem" })),
        ("x5c", json!({ "x5c": ["AAAA"] })),
        ("crit", json!({ "crit": ["exp"] })),
        ("crit of nothing", json!({ "crit": [] })),
        ("b64", json!({ "b64": false, "crit": ["b64"] })),
        ("zip", json!({ "zip": "DEF" })),
        ("cty", json!({ "cty": "JWT" })),
        ("enc", json!({ "enc": "A256GCM" })),
        ("no kid", json!({ "kid": null })),
        ("a kid of nothing", json!({ "kid": "" })),
        ("a kid that is a number", json!({ "kid": 0 })),
        ("a kid that is a list", json!({ "kid": [parts.header["kid"]] })),
        ("a kid that is an object", json!({ "kid": { "kid": parts.header["kid"] } })),
        ("a path for a kid", json!({ "kid": "../../../../../../dev/null" })),
        ("a file for a kid", json!({ "kid": "file:///etc/passwd" })),
        ("a command for a kid", json!({ "kid": "|/usr/bin/true" })),
        ("SQL for a kid", json!({ "kid": "x' UNION SELECT 'AA' -- " })),
        ("NUL in a kid", json!({ "kid": format!("{}\0", parts.header["kid"].as_str().unwrap()) })),
        ("a long kid", json!({ "kid": long })),
        ("another key's kid", json!({ "kid": theirs.kid })),
    ] {
        let header = parts.header(&changes);
        attacks.push((name.to_owned(), sign(&header, &claims, Algorithm::RS256, &parts.theirs)));
        let empty = EncodingKey::from_secret(b"");
        attacks.push((format!("{name}, no secret"), sign(&header, &claims, Algorithm::HS256, &empty)));
        attacks.push((format!("{name}, our own signature"), parts.signed(&header, &claims)));
    }
    let header = parts.header.to_string();
    attacks.push(("our kid".to_owned(), sign(&header, &claims, Algorithm::RS256, &parts.theirs)));
    for (name, member) in [("kid", r#"{"kid":"x","#), ("alg", r#"{"alg":"none","#), ("typ", r#"{"typ":"x","#)]
    {
        attacks.push((format!("{name} twice"), parts.signed(&header.replacen('{', member, 1), &claims)));
    }
    for header in ["", "{}", "[]", "null", "\"RS256\"", "{\"alg\":", "\u{feff}{}", &"[".repeat(4000)] {
        attacks.push((format!("the header {header:.20}"), parts.signed(header, &claims)));
    }
    all_are_refused(&gateway, &attacks).await;
}

#[tokio::test]
async fn claims_are_all_there_ours_and_of_their_time() {
    let gateway = TestGateway::start().await;
    let parts = Parts::of(&gateway);
    let header = parts.header.to_string();
    let now = parts.claims["iat"].as_i64().unwrap();
    let mut attacks = Attacks::new();
    for name in [
        "iss",
        "aud",
        "exp",
        "iat",
        "nbf",
        "sub",
        "sid",
        "jti",
        "typ",
        "handle",
        "user_type",
        "apps",
        "email",
    ] {
        let claims = parts.claims(&json!({ name: null }));
        attacks.push((format!("without {name}"), parts.signed(&header, &claims)));
        let claims = parts.claims.to_string();
        let twice = claims.replacen('{', &format!("{{\"{name}\":{},", parts.claims[name]), 1);
        attacks.push((format!("{name} twice"), parts.signed(&header, &twice)));
    }
    for changes in [
        json!({ "exp": now - 1, "iat": now - 3601, "nbf": now - 3601 }),
        json!({ "exp": now, "iat": now - 3600, "nbf": now - 3600 }),
        json!({ "exp": now - 1 }),
        json!({ "exp": 0 }),
        json!({ "exp": -1 }),
        json!({ "exp": (now + 3600).to_string() }),
        json!({ "exp": 3.7e9 }),
        json!({ "exp": 1.0e300 }),
        json!({ "exp": i64::MAX }),
        json!({ "exp": u64::MAX }),
        json!({ "exp": true }),
        json!({ "exp": [now + 3600] }),
        json!({ "exp": now + 3601 }),
        json!({ "nbf": now + 3600 }),
        json!({ "nbf": now + 6 }),
        json!({ "nbf": now.to_string() }),
        json!({ "iat": now + 6 }),
        json!({ "iat": i64::MIN }),
        json!({ "iss": "evil" }),
        json!({ "iss": ["slipway"] }),
        json!({ "iss": "" }),
        json!({ "aud": "vault" }),
        json!({ "aud": "functions" }),
        json!({ "aud": ["slipway-api"] }),
        json!({ "aud": ["slipway-api", "evil"] }),
        json!({ "aud": "" }),
        json!({ "typ": "refresh" }),
        json!({ "typ": "identity" }),
        json!({ "typ": "ACCESS" }),
        json!({ "typ": 1 }),
        json!({ "sub": "root" }),
        json!({ "sub": 1 }),
        json!({ "user_type": "god" }),
        json!({ "apps": "functions" }),
    ] {
        attacks.push((changes.to_string(), parts.signed(&header, &parts.claims(&changes))));
    }
    let nested = parts.signed(&header, &parts.good);
    attacks.push(("a token in a token".to_owned(), parts.signed(&header, &nested)));
    attacks.push(("a good token in a token".to_owned(), nested));
    for claims in ["", "{}", "[]", "null", "{\"exp\":", &"[".repeat(4000), &"{\"a\":".repeat(1000)] {
        attacks.push((format!("the claims {claims:.20}"), parts.signed(&header, claims)));
    }
    all_are_refused(&gateway, &attacks).await;
}

#[tokio::test]
async fn a_token_has_one_spelling() {
    let gateway = TestGateway::start().await;
    let parts = Parts::of(&gateway);
    let good = parts.good.as_str();
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let other = gateway.sign_in().token;
    let (_, others) = other.rsplit_once('.').unwrap();
    // Of its last character four bits count: the others are another spelling of the same bytes.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (flipped, short): (Vec<u8>, _) = (
        {
            let mut b = bytes.clone();
            b[0] ^= 1;
            b
        },
        &bytes[..bytes.len() - 1],
    );
    let standard = STANDARD.encode(&bytes);
    let rows: Vec<(&str, String)> = vec![
        ("no signature", format!("{header}.{claims}.")),
        ("no part for it", format!("{header}.{claims}")),
        ("the header alone", header.to_owned()),
        ("two dots", "..".to_owned()),
        ("dots alone", ".".repeat(5000)),
        ("another's signature", format!("{header}.{claims}.{others}")),
        ("another bit", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(flipped))),
        ("a shorter signature", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(short))),
        (
            "a longer signature",
            format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([&bytes[..], &[0]].concat())),
        ),
        ("a signature of zeros", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 512]))),
        ("a signature of ones", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([255; 512]))),
        ("padding", format!("{header}.{claims}.{}", URL_SAFE.encode(&bytes))),
        ("padding of the header", format!("{header}=.{claims}.{signature}")),
        ("the other alphabet", format!("{header}.{claims}.{}", standard.trim_end_matches('='))),
        ("other last bits", format!("{header}.{claims}.{}{next}", &signature[..signature.len() - 1])),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{header}.{claims}.{claims}.{claims}.{signature}")),
        ("a dot before", format!(".{good}")),
        ("a dot after", format!("{good}.")),
        ("twice", format!("{good}{good}")),
        ("a space within", format!("{header}. {claims}.{signature}")),
        ("a tab within", format!("{header}.{claims}\t.{signature}")),
        ("a scheme before", format!("Bearer {good}")),
        ("a quote around", format!("\"{good}\"")),
        ("a comma after", format!("{good},{good}")),
        ("over the bound", "a".repeat(8193)),
        ("100 KB", format!("{header}.{}.{signature}", "A".repeat(100_000))),
    ];
    let attacks = rows.into_iter().map(|(name, token)| (name.to_owned(), token)).collect();
    all_are_refused(&gateway, &attacks).await;
}

#[tokio::test]
async fn a_token_of_a_megabyte_is_refused_before_it_is_one() {
    let gateway = TestGateway::start().await;
    let request = format!(
        "GET /api/v1/functions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
        "a".repeat(1024 * 1024)
    );
    let answer = raw::refused(gateway.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(gateway.services.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn tokens_of_the_platforms_own_that_are_no_access_tokens_are_refused() {
    let gateway = TestGateway::start().await;
    let caller = gateway.sign_in();
    let echoed: Value = gateway.get("/api/v1/functions", &caller.token).await.json().await.unwrap();
    let identity = values(&echoed, "authorization")[0].strip_prefix("Bearer ").unwrap();
    assert_eq!(
        problem(gateway.get("/api/v1/functions", identity).await).await,
        (401, "token_invalid".to_owned())
    );

    let stranger = crate::harness::sign_in(&issuer(access_key(1), &gateway.clock));
    assert_eq!(gateway.get("/api/v1/functions", &stranger.token).await.status(), 401);

    gateway.services.revoked.lock().unwrap().push(caller.session);
    eventually(async || gateway.get("/api/v1/functions", &caller.token).await.status() == 401).await;
    let cookie = format!("__Host-slipway_access={}", caller.token);
    for path in ["/api/v1/functions", "/api/v1/users/me", "/f/ada/hello"] {
        let answer = gateway.get(path, &caller.token).await;
        assert_eq!(problem(answer).await, (401, "token_revoked".to_owned()), "{path}");
    }
    let by_cookie = gateway.request(Method::GET, "/api/v1/users/me").header("cookie", cookie);
    assert_eq!(problem(by_cookie.send().await.unwrap()).await, (401, "token_revoked".to_owned()));
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use chrono::TimeDelta;
use slipway_jwt::{IdentitySigner, KeyError, Rotation, SigningKeys, TrustedKeys};
use slipway_kernel::{Clock as _, FixedClock, SystemClock};

use crate::platform::{Platform, write_private};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn processes_that_start_together_end_with_one_key_that_only_the_owner_reads() {
    let keys = tempfile::tempdir().unwrap();
    let start = || SigningKeys::load_or_create(keys.path()).unwrap().jwks().clone();
    let (one, two) = thread::scope(|scope| {
        let other = scope.spawn(start);
        (start(), other.join().unwrap())
    });
    assert_eq!(one, two);
    assert_eq!(mode(&keys.path().join("access-0.pem")), 0o600);
    assert_eq!(fs::read_dir(keys.path()).unwrap().count(), 1, "nothing else is left");
    assert_eq!(start(), one);
}

#[test]
fn services_that_start_together_end_with_one_identity() {
    let keys = tempfile::tempdir().unwrap();
    let start = || {
        IdentitySigner::load_or_create(keys.path(), "auth".parse().unwrap(), Arc::new(SystemClock)).map(drop)
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| start().unwrap());
        }
    });
    TrustedKeys::load(keys.path()).unwrap();
    assert_eq!(mode(&keys.path().join("auth.identity.pem")), 0o600);
    assert_eq!(mode(&keys.path().join("auth.identity.pub.pem")), 0o644);
    assert_eq!(fs::read_dir(keys.path()).unwrap().count(), 2, "nothing else is left");
}

/// Makes a key as old as that at the clock's time.
fn age(path: &Path, clock: &FixedClock, age: TimeDelta) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified((clock.now() - age).into()).unwrap();
}

#[test]
fn a_new_key_is_shown_at_once_signs_two_minutes_later_and_the_old_one_still_verifies() {
    let platform = Platform::new();
    let directory = platform.keys.path();
    age(&directory.join("access-0.pem"), &platform.clock, TimeDelta::days(1));
    let old = platform.issuer.issue(crate::platform::grant()).unwrap().token;
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();

    let Rotation::Made(made) = SigningKeys::rotate(directory, platform.clock.now()).unwrap() else {
        panic!("none was made");
    };
    assert_eq!(mode(&made.path), 0o600);
    age(&made.path, &platform.clock, TimeDelta::zero());
    assert!(!platform.issuer.keys().are_those_in(directory).unwrap());
    platform.issuer.replace_keys(SigningKeys::load(directory).unwrap());
    assert!(platform.issuer.keys().are_those_in(directory).unwrap());
    let jwks = platform.issuer.jwks();
    assert_eq!(jwks.keys.len(), 2);
    platform.verifier.replace_keys(&jwks).unwrap();
    let issue = || platform.issuer.issue(crate::platform::grant()).unwrap().token;
    assert_eq!(kid(&issue()), jwks.keys[0].kid);

    let again = SigningKeys::rotate(directory, platform.clock.now()).unwrap();
    assert!(matches!(again, Rotation::Waits(_)), "asking twice makes no second one");
    platform.clock.advance(TimeDelta::seconds(119));
    assert_eq!(kid(&issue()), jwks.keys[0].kid);
    platform.clock.advance(TimeDelta::seconds(1));
    let new = issue();
    assert_eq!(kid(&new), jwks.keys[1].kid);
    platform.verifier.verify(&new).unwrap();
    platform.verifier.verify(&old).unwrap();

    platform.clock.advance(TimeDelta::minutes(74));
    assert!(SigningKeys::prune(directory, platform.clock.now()).unwrap().is_empty());
    platform.clock.advance(TimeDelta::minutes(1));
    let pruned = SigningKeys::prune(directory, platform.clock.now()).unwrap();
    assert_eq!(
        pruned.iter().map(|file| file.path.clone()).collect::<Vec<_>>(),
        [directory.join("access-0.pem")]
    );
    assert_eq!(SigningKeys::load(directory).unwrap().jwks().keys, jwks.keys[1..]);
    assert!(SigningKeys::prune(directory, platform.clock.now()).unwrap().is_empty(), "one is always left");
}

#[test]
fn a_key_that_the_script_makes_is_the_last_by_name() {
    let platform = Platform::new();
    let made =
        std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/generate-jwt-keys"))
            .arg(platform.keys.path())
            .output()
            .expect("the script runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let keys = SigningKeys::load_or_create(platform.keys.path()).unwrap();
    assert_eq!(keys.jwks().keys.len(), 2);
    assert_eq!(keys.jwks().keys[0].kid, platform.kid());
}

#[test]
fn a_clock_that_is_behind_makes_no_key_that_would_never_sign() {
    let platform = Platform::new();
    let later = platform.keys.path().join("access-99991231T235959Z.pem");
    fs::copy(platform.keys.path().join("access-0.pem"), &later).unwrap();
    age(&later, &platform.clock, TimeDelta::days(1));
    let fault = SigningKeys::rotate(platform.keys.path(), platform.clock.now()).unwrap_err();
    assert!(matches!(fault, KeyError::NameTaken { .. }), "{fault}");
}

#[test]
fn a_private_key_that_others_may_read_is_refused() {
    let platform = Platform::new();
    let path = platform.keys.path().join("access-0.pem");
    for open in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let fault = SigningKeys::load_or_create(platform.keys.path()).err().unwrap();
        assert!(matches!(fault, KeyError::Permissions { mode, .. } if mode == open), "{fault}");
    }
}

#[test]
fn a_public_key_that_others_may_write_is_refused() {
    let keys = tempfile::tempdir().unwrap();
    IdentitySigner::load_or_create(keys.path(), "auth".parse().unwrap(), Arc::new(SystemClock))
        .map(drop)
        .unwrap();
    let path = keys.path().join("auth.identity.pub.pem");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(TrustedKeys::load(keys.path()).err(), Some(KeyError::Permissions { mode: 0o666, .. })));
}

#[test]
fn a_file_that_is_no_key_is_refused_by_name_and_not_shown() {
    for content in ["", "hunter2", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"] {
        let keys = tempfile::tempdir().unwrap();
        write_private(&keys.path().join("access-bad.pem"), content);
        let fault = SigningKeys::load_or_create(keys.path()).err().unwrap().to_string();
        assert!(
            fault.ends_with("access-bad.pem is not an RSA key of 4096 bits or more in PKCS#8 PEM"),
            "{fault}"
        );
    }
}

#[test]
fn an_rsa_key_with_too_few_bits_is_refused() {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let text = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
    write_private(&keys.path().join("access-0.pem"), &text);
    assert!(matches!(SigningKeys::load_or_create(keys.path()), Err(KeyError::NotAKey { .. })));
}

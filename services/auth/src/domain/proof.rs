//! What proves who somebody is: a password, or what the client of a blind account derived from it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slipway_models::passwords::{Kdf, KdfAlgorithm};
use zeroize::Zeroizing;

use super::{FieldFaults, Password, PasswordPolicy};

const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// What a client takes where nothing else is asked for, and the least that is (OWASP's floor for PBKDF2-SHA-256).
const USUAL_ITERATIONS: u32 = 600_000;
const ITERATIONS: RangeInclusive<u32> = USUAL_ITERATIONS..=10_000_000;

/// What a client derived from the password of a blind account: 32 bytes, in base64 on the wire. It is wiped from memory
/// when it is dropped, and never printed.
#[derive(Clone)]
pub(crate) struct AuthHash(Zeroizing<[u8; HASH_BYTES]>);

impl FromStr for AuthHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let mut bytes = Zeroizing::new([0; HASH_BYTES]);
        let decoded = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
        if decoded.len() != HASH_BYTES {
            return Err("must be 32 bytes in base64");
        }
        bytes.copy_from_slice(&decoded);
        Ok(Self(bytes))
    }
}

impl AuthHash {
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0[..]
    }
}

impl fmt::Debug for AuthHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthHash(…)")
    }
}

/// How the client of a blind account derives: PBKDF2-SHA-256, with these parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientKdf {
    pub(crate) iterations: u32,
    pub(crate) salt: [u8; SALT_BYTES],
}

impl ClientKdf {
    /// Makes what an unknown account is said to have, of bytes that are always the same for one address.
    pub(crate) fn made_up(digest: [u8; 32]) -> Self {
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&digest[..SALT_BYTES]);
        Self { iterations: USUAL_ITERATIONS, salt }
    }

    /// All salts have one length: by theirs no account can be told from what is made up.
    fn check(kdf: &Kdf) -> Result<Self, &'static str> {
        let KdfAlgorithm::Pbkdf2Sha256 = kdf.algorithm;
        if !ITERATIONS.contains(&kdf.iterations) {
            return Err("must iterate 600000 to 10000000 times");
        }
        let salt = STANDARD.decode(&kdf.salt).ok().and_then(|salt| salt.try_into().ok());
        let salt = salt.ok_or("must have a salt of 16 bytes in base64")?;
        Ok(Self { iterations: kdf.iterations, salt })
    }
}

impl From<ClientKdf> for Kdf {
    fn from(kdf: ClientKdf) -> Self {
        let (algorithm, salt) = (KdfAlgorithm::Pbkdf2Sha256, STANDARD.encode(kdf.salt));
        Self { algorithm, iterations: kdf.iterations, salt }
    }
}

/// What a request shows to prove whose account it is.
#[derive(Debug)]
pub(crate) enum Proof {
    Password(Password),
    AuthHash(AuthHash),
}

/// What shall prove it from now on.
#[derive(Debug)]
pub(crate) enum NewProof {
    Password(Password),
    Blind(AuthHash, ClientKdf),
}

/// The fields of a request that hold a proof, as they came.
pub(crate) struct GivenProof {
    pub(crate) password: Option<String>,
    pub(crate) auth_hash: Option<String>,
    pub(crate) kdf: Option<Kdf>,
}

/// Where these fields are in the request.
pub(crate) struct ProofPointers {
    password: &'static str,
    auth_hash: &'static str,
    kdf: &'static str,
    /// What is said where not exactly one of the first two is there.
    one_of_two: &'static str,
}

impl ProofPointers {
    pub(crate) const PLAIN: Self = Self {
        password: "/password",
        auth_hash: "/auth_hash",
        kdf: "/kdf",
        one_of_two: "must hold either password or auth_hash",
    };
    pub(crate) const CURRENT: Self = Self {
        password: "/current_password",
        auth_hash: "/current_auth_hash",
        kdf: "",
        one_of_two: "must hold either current_password or current_auth_hash",
    };
    pub(crate) const NEW: Self = Self {
        password: "/new_password",
        auth_hash: "/new_auth_hash",
        kdf: "/new_kdf",
        one_of_two: "must hold either new_password or new_auth_hash",
    };
}

impl Proof {
    /// Reads what a request shows; whether it is right is another question.
    pub(crate) fn read(
        password: Option<String>,
        auth_hash: Option<&str>,
        pointers: &ProofPointers,
        faults: &mut FieldFaults,
    ) -> Option<Self> {
        match (password, auth_hash) {
            (Some(password), None) => Some(Self::Password(Password::unchecked(password))),
            (None, Some(hash)) => faults.keep(pointers.auth_hash, hash.parse()).map(Self::AuthHash),
            (None, None) | (Some(_), Some(_)) => {
                faults.add("", pointers.one_of_two);
                None
            }
        }
    }
}

impl NewProof {
    /// Checks what a request gives. A password has to keep the policy; of what was derived from one nobody can tell.
    pub(crate) fn check(
        given: GivenProof,
        pointers: &ProofPointers,
        policy: &PasswordPolicy,
        faults: &mut FieldFaults,
    ) -> Option<Self> {
        match (given.password, given.auth_hash, given.kdf) {
            (Some(password), None, None) => {
                let checked = Password::parse(&password, policy);
                checked.map_err(|broken| faults.weaken(pointers.password, &broken)).map(Self::Password).ok()
            }
            (None, Some(hash), Some(kdf)) => {
                let hash = faults.keep(pointers.auth_hash, hash.parse());
                let kdf = faults.keep(pointers.kdf, ClientKdf::check(&kdf));
                Some(Self::Blind(hash?, kdf?))
            }
            (Some(_), None, Some(_)) => {
                faults.add(pointers.kdf, "belongs to a derived hash, not to a password");
                None
            }
            (None, Some(_), None) => {
                faults.add(pointers.kdf, "must say how the hash was derived");
                None
            }
            (None, None, _) | (Some(_), Some(_), _) => {
                faults.add("", pointers.one_of_two);
                None
            }
        }
    }

    /// Returns how the client derives, for a blind account.
    pub(crate) fn kdf(&self) -> Option<ClientKdf> {
        match self {
            Self::Password(_) => None,
            Self::Blind(_, kdf) => Some(*kdf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const SALT: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

    fn kdf(iterations: u32, salt: &str) -> Kdf {
        Kdf { algorithm: KdfAlgorithm::Pbkdf2Sha256, iterations, salt: salt.to_owned() }
    }

    fn pointers(password: Option<&str>, auth_hash: Option<&str>, kdf: Option<Kdf>) -> Vec<String> {
        let mut faults = FieldFaults::default();
        let (password, auth_hash) = (password.map(str::to_owned), auth_hash.map(str::to_owned));
        let given = GivenProof { password, auth_hash, kdf };
        let checked = NewProof::check(given, &ProofPointers::NEW, &PasswordPolicy::default(), &mut faults);
        assert_eq!(checked.is_some(), faults.fields.is_empty());
        faults.fields.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_new_proof_is_a_password_or_a_hash_with_its_kdf_and_nothing_between() {
        let password = Some("Correct horse battery");
        assert!(pointers(password, None, None).is_empty());
        assert!(pointers(None, Some(HASH), Some(kdf(600_000, SALT))).is_empty());
        assert_eq!(pointers(None, None, None), [""]);
        assert_eq!(pointers(None, None, Some(kdf(600_000, SALT))), [""]);
        assert_eq!(pointers(password, Some(HASH), Some(kdf(600_000, SALT))), [""]);
        assert_eq!(pointers(password, None, Some(kdf(600_000, SALT))), ["/new_kdf"]);
        assert_eq!(pointers(None, Some(HASH), None), ["/new_kdf"]);
    }

    #[test]
    fn a_hash_has_32_bytes_and_a_kdf_iterates_often_enough_over_a_salt_of_16() {
        for hash in ["", "AAAA", &HASH[..43], "!", &format!("AAAA{HASH}")] {
            assert_eq!(pointers(None, Some(hash), Some(kdf(600_000, SALT))), ["/new_auth_hash"], "{hash}");
        }
        for (iterations, salt) in
            [(599_999, SALT), (10_000_001, SALT), (0, SALT), (600_000, ""), (600_000, HASH)]
        {
            assert_eq!(
                pointers(None, Some(HASH), Some(kdf(iterations, salt))),
                ["/new_kdf"],
                "{iterations} {salt}"
            );
        }
    }
}

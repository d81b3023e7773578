//! The two ways to hash: bcrypt for passwords, Argon2id for what the clients of blind accounts derive from theirs.

use argon2::password_hash::{Error as HashFault, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::Comparison;
use crate::error::AuthError;

/// OWASP's floor: 19 MiB, twice, on one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// What begins a hash of each kind.
const BCRYPT: &str = "$2";
const ARGON2: &str = "$argon2id$";

/// A keyed digest of what a client sent. By its kind the way to hash is chosen, and not by the account: a wrong proof of
/// one kind takes the same time whatever there is to compare it with.
pub(super) enum Digested {
    /// In base64: bcrypt reads 72 bytes and stops at NUL; these are 43 bytes without it.
    Password(Zeroizing<String>),
    AuthHash(Zeroizing<[u8; 32]>),
}

impl Digested {
    pub(super) fn password(digest: [u8; 32]) -> Self {
        Self::Password(Zeroizing::new(STANDARD_NO_PAD.encode(digest)))
    }

    pub(super) fn auth_hash(digest: [u8; 32]) -> Self {
        Self::AuthHash(Zeroizing::new(digest))
    }
}

/// How both are hashed, and the hashes of nothing: comparing with these costs the time of a known account.
pub(super) struct Schemes {
    cost: u32,
    argon2: Argon2<'static>,
    no_password: String,
    no_auth_hash: String,
}

impl Schemes {
    /// Takes bcrypt's `cost`. Blocking: it hashes once in each way.
    pub(super) fn new(cost: u32) -> Result<Self, AuthError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(HashFault::from)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let no_auth_hash = argon2.hash_password_with_salt(b"", &[0; SALT_BYTES])?.to_string();
        Ok(Self { cost, argon2, no_password: bcrypt::hash("", cost)?, no_auth_hash })
    }

    pub(super) fn hash(&self, digested: &Digested) -> Result<String, AuthError> {
        match digested {
            Digested::Password(digest) => Ok(bcrypt::hash(digest.as_str(), self.cost)?),
            Digested::AuthHash(digest) => {
                let mut salt = [0; SALT_BYTES];
                aws_lc_rs::rand::fill(&mut salt).map_err(|_| HashFault::Crypto)?;
                Ok(self.argon2.hash_password_with_salt(&digest[..], &salt)?.to_string())
            }
        }
    }

    pub(super) fn compare(&self, digested: &Digested, hash: Option<&str>) -> Result<Comparison, AuthError> {
        match digested {
            Digested::Password(digest) => self.compare_password(digest, of_kind(BCRYPT, hash)),
            Digested::AuthHash(digest) => {
                let known = of_kind(ARGON2, hash);
                let compared = known.unwrap_or(&self.no_auth_hash);
                match self.argon2.verify_password(&digest[..], compared) {
                    Ok(()) if known.is_some() => Ok(Comparison::Right),
                    Ok(()) | Err(HashFault::PasswordInvalid) => Ok(Comparison::Wrong),
                    Err(fault) => Err(fault.into()),
                }
            }
        }
    }

    fn compare_password(&self, digest: &str, known: Option<&str>) -> Result<Comparison, AuthError> {
        let compared = known.unwrap_or(&self.no_password);
        let right = bcrypt::verify(digest, compared)? && known.is_some();
        let cost = compared.parse::<bcrypt::HashParts>()?.get_cost();
        if right && cost < self.cost {
            return Ok(Comparison::Outdated(bcrypt::hash(digest, self.cost)?));
        }
        // Each cost is twice the one before: with those in between, as much is done as at the cost that is asked for.
        for cost in cost..self.cost {
            bcrypt::hash(digest, cost)?;
        }
        Ok(if right { Comparison::Right } else { Comparison::Wrong })
    }
}

fn of_kind<'a>(start: &str, hash: Option<&'a str>) -> Option<&'a str> {
    hash.filter(|hash| hash.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(byte: u8) -> Digested {
        Digested::password([byte; 32])
    }

    fn auth_hash(byte: u8) -> Digested {
        Digested::auth_hash([byte; 32])
    }

    #[test]
    fn a_proof_is_right_for_its_own_hash_alone() {
        let schemes = Schemes::new(4).unwrap();
        for (kind, is_bcrypt) in [(password as fn(u8) -> Digested, true), (auth_hash, false)] {
            let hash = schemes.hash(&kind(1)).unwrap();
            assert_eq!(hash.starts_with("$2b$04$"), is_bcrypt, "{hash}");
            assert_eq!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), !is_bcrypt, "{hash}");
            assert_ne!(schemes.hash(&kind(1)).unwrap(), hash, "each has a salt of its own");
            assert_eq!(schemes.compare(&kind(1), Some(&hash)).unwrap(), Comparison::Right);
            assert_eq!(schemes.compare(&kind(2), Some(&hash)).unwrap(), Comparison::Wrong);
            assert_eq!(schemes.compare(&kind(1), None).unwrap(), Comparison::Wrong);
        }
    }

    #[test]
    fn a_proof_of_the_other_kind_is_wrong_even_where_the_digest_is_the_same() {
        let schemes = Schemes::new(4).unwrap();
        let (of_password, of_auth_hash) =
            (schemes.hash(&password(1)).unwrap(), schemes.hash(&auth_hash(1)).unwrap());
        assert_eq!(schemes.compare(&auth_hash(1), Some(&of_password)).unwrap(), Comparison::Wrong);
        assert_eq!(schemes.compare(&password(1), Some(&of_auth_hash)).unwrap(), Comparison::Wrong);
        assert_eq!(schemes.compare(&password(1), Some("no hash at all")).unwrap(), Comparison::Wrong);
    }

    #[test]
    fn a_right_password_of_a_lower_cost_is_hashed_anew() {
        let old = Schemes::new(4).unwrap().hash(&password(1)).unwrap();
        let schemes = Schemes::new(5).unwrap();
        assert_eq!(schemes.compare(&password(2), Some(&old)).unwrap(), Comparison::Wrong);
        let Comparison::Outdated(new) = schemes.compare(&password(1), Some(&old)).unwrap() else {
            panic!("it is outdated")
        };
        assert!(new.starts_with("$2b$05$"), "{new}");
        assert_eq!(schemes.compare(&password(1), Some(&new)).unwrap(), Comparison::Right);
    }
}

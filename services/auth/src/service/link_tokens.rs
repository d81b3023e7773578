use std::sync::Arc;

use slipway_jwt::{KeyError, SecretKey};

use crate::domain::LinkToken;
use crate::store::link_tokens::LinkDigest;

const PURPOSE: &str = "link-token";

/// Makes and reads the tokens of links in letters.
#[derive(Clone)]
pub(crate) struct LinkTokens(Arc<SecretKey>);

impl LinkTokens {
    pub(crate) fn new(key: Arc<SecretKey>) -> Self {
        Self(key)
    }

    /// Makes a token, with what is kept of it.
    pub(super) fn next(&self) -> Result<(LinkToken, LinkDigest), KeyError> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| KeyError::Cryptography)?;
        let token = LinkToken::from_random(random);
        let digest = self.digest(token.expose());
        Ok((token, digest))
    }

    /// Digests what came as a token; what never was one is no digest that is known.
    pub(super) fn digest(&self, text: &str) -> LinkDigest {
        self.0.digest(PURPOSE, text.as_bytes())
    }
}

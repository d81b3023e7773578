//! Signatures of calls: what a request shows, and whether it is what a key's secret makes of it.

mod fields;
mod mark;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
pub use mark::{InvalidMark, SignatureMark, SignedBy};
use slipway_kernel::SigningKeyId;
use slipway_models::functions::SigningScheme;

/// How far the time of a signature may be from ours, either way, in seconds.
pub const SIGNATURE_WINDOW_SECONDS: i64 = 300;

/// The headers that carry signatures. A function whose call was let in for one is not shown them.
pub const SIGNATURE_HEADERS: [&str; 5] =
    ["signature", "signature-input", "x-api-key", "x-signature", "x-timestamp"];

const MAC_BYTES: usize = digest::SHA256_OUTPUT_LEN;

/// Says why what a request shows is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{header} {fault}")]
pub struct MalformedSignature {
    header: &'static str,
    fault: &'static str,
}

/// The head of a request, as far as it is signed.
pub struct SignedHead<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole path, as it was sent.
    pub path: &'a str,
    /// The query, as it was sent, without its question mark.
    pub query: &'a str,
    /// Returns the values of a header.
    pub values: &'a dyn Fn(&str) -> Vec<&'a [u8]>,
}

/// The signature that a request shows; nothing is known of it but that it can be read.
#[derive(Debug)]
pub struct ShownSignature {
    /// The key that is said to have made it.
    pub key_id: SigningKeyId,
    signed_at: i64,
    expires_at: Option<i64>,
    mac: [u8; MAC_BYTES],
    covered: Covered,
}

/// What a signature is made over.
#[derive(Debug)]
enum Covered {
    /// A signature base (RFC 9421, section 2.5), which holds the digest of the body.
    Head { base: String, body_digest: [u8; MAC_BYTES] },
    /// This, and the body after it.
    Body { before: String },
}

impl ShownSignature {
    /// Reads what a request shows; none where it shows none.
    pub fn read(head: &SignedHead<'_>) -> Result<Option<Self>, MalformedSignature> {
        let shows = |name: &str| !(head.values)(name).is_empty();
        if shows("signature-input") || shows("signature") {
            return Self::read_message(head).map(Some);
        }
        if shows("x-signature") { Self::read_container_pub(head).map(Some) } else { Ok(None) }
    }

    /// Reads a message signature (RFC 9421) of one profile: one signature, over method, path, query and the digest of
    /// the body (RFC 9530), with the key's id, a time and a nonce.
    fn read_message(head: &SignedHead<'_>) -> Result<Self, MalformedSignature> {
        let input = fields::SignatureInput::read(head.only("signature-input")?)
            .map_err(|fault| MalformedSignature { header: "signature-input", fault })?;
        let malformed = |fault| MalformedSignature { header: "signature", fault };
        let mac = head
            .only("signature")?
            .strip_prefix(input.label)
            .and_then(|rest| fields::bytes(rest.strip_prefix('=')?))
            .ok_or(malformed("must hold one byte sequence, with the label that signature-input has"))?;
        let digest = head.only("content-digest")?;
        let body_digest = fields::sha_256(digest).ok_or(MalformedSignature {
            header: "content-digest",
            fault: "must hold one sha-256 digest, of an empty body too",
        })?;
        let signed = input.components.iter().map(|component| {
            let value = match *component {
                "@method" => head.method,
                "@path" => head.path,
                "@query" => &format!("?{}", head.query),
                _ => digest,
            };
            format!("\"{component}\": {value}\n")
        });
        let base = signed.collect::<String>() + &format!("\"@signature-params\": {}", input.text);
        Ok(Self {
            key_id: input.key_id,
            signed_at: input.created,
            expires_at: input.expires,
            mac: mac.try_into().map_err(|_| malformed("must be 32 bytes long"))?,
            covered: Covered::Head { base, body_digest },
        })
    }

    /// Reads the headers that clients of `ContainerPub` send: the key's id, the time in seconds since 1970, and the MAC
    /// of the time, a colon and the body in base64.
    fn read_container_pub(head: &SignedHead<'_>) -> Result<Self, MalformedSignature> {
        let malformed = |header, fault| MalformedSignature { header, fault };
        let key_id = head.only("x-api-key")?.parse();
        let time = head.only("x-timestamp")?;
        let mac = STANDARD.decode(head.only("x-signature")?).ok().and_then(|mac| mac.try_into().ok());
        Ok(Self {
            key_id: key_id.map_err(|_| malformed("x-api-key", "must be the id of a key"))?,
            signed_at: fields::seconds(time)
                .ok_or(malformed("x-timestamp", "must be a time in seconds since 1970"))?,
            expires_at: None,
            mac: mac.ok_or(malformed("x-signature", "must be 32 bytes in base64"))?,
            covered: Covered::Body { before: format!("{time}:") },
        })
    }

    /// Returns how it is made.
    pub fn scheme(&self) -> SigningScheme {
        match self.covered {
            Covered::Head { .. } => SigningScheme::Rfc9421,
            Covered::Body { .. } => SigningScheme::ContainerPub,
        }
    }

    /// Tells whether it was made lately enough to be good, and not too far in the future.
    pub fn is_timely(&self, now: DateTime<Utc>) -> bool {
        let now = now.timestamp();
        self.signed_at.abs_diff(now) <= SIGNATURE_WINDOW_SECONDS.unsigned_abs()
            && self.expires_at.is_none_or(|expires_at| now <= expires_at)
    }

    /// Tells whether the head is what `secret` signed, as far as that can be told without the body. Constant in time.
    pub fn fits_head(&self, secret: &[u8]) -> bool {
        match &self.covered {
            Covered::Head { base, .. } => self.is_of(secret, &[base.as_bytes()]),
            Covered::Body { .. } => true,
        }
    }

    /// Tells whether `body` is what was signed with a head that fits.
    pub fn fits_body(&self, secret: &[u8], body: &[u8]) -> bool {
        match &self.covered {
            Covered::Head { body_digest, .. } => {
                digest::digest(&digest::SHA256, body).as_ref() == body_digest.as_slice()
            }
            Covered::Body { before } => self.is_of(secret, &[before.as_bytes(), body]),
        }
    }

    /// Returns what it is known by from now on, so that it is not good a second time.
    pub fn mark(&self) -> SignatureMark {
        SignatureMark::new(self.signed_at, &self.mac)
    }

    fn is_of(&self, secret: &[u8], parts: &[&[u8]]) -> bool {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        for part in parts {
            context.update(part);
        }
        verify_slices_are_equal(context.sign().as_ref(), &self.mac).is_ok()
    }
}

impl<'a> SignedHead<'a> {
    /// Returns the value of a header that has to be there once.
    fn only(&self, header: &'static str) -> Result<&'a str, MalformedSignature> {
        match (self.values)(header).as_slice() {
            [only] => str::from_utf8(only.trim_ascii())
                .map_err(|_| MalformedSignature { header, fault: "must be ASCII" }),
            [] => Err(MalformedSignature { header, fault: "is missing" }),
            _ => Err(MalformedSignature { header, fault: "must be there once" }),
        }
    }
}

#[cfg(test)]
mod tests;

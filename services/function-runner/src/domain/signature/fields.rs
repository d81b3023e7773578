//! The structured fields (RFC 9651) of message signatures, as far as their one profile needs them. They are read in
//! their canonical form alone, for what is signed is the text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slipway_kernel::SigningKeyId;

/// What has to be signed.
const COMPONENTS: [&str; 4] = ["@method", "@path", "@query", "content-digest"];
const MAX_NONCE: usize = 128;

/// The member of `Signature-Input`.
#[derive(Debug)]
pub(super) struct SignatureInput<'a> {
    pub(super) label: &'a str,
    /// The member without its label: the signature's own parameters, which are signed as well.
    pub(super) text: &'a str,
    pub(super) components: Vec<&'a str>,
    pub(super) key_id: SigningKeyId,
    pub(super) created: i64,
    pub(super) expires: Option<i64>,
}

impl<'a> SignatureInput<'a> {
    /// Reads the header's value; else says what is wrong with it.
    pub(super) fn read(value: &'a str) -> Result<Self, &'static str> {
        const NO_MEMBER: &str = "must hold one label with a list of components and their parameters";
        let (label, text) = value.split_once('=').ok_or(NO_MEMBER)?;
        let is_in_label =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        let begins_well = label.starts_with(|first: char| first.is_ascii_lowercase() || first == '*');
        if !begins_well || !label.bytes().all(is_in_label) {
            return Err(NO_MEMBER);
        }
        let (list, mut rest) =
            text.strip_prefix('(').and_then(|text| text.split_once(')')).ok_or(NO_MEMBER)?;
        let components = list
            .split(' ')
            .map(|item| item.strip_prefix('"')?.strip_suffix('"').filter(|name| COMPONENTS.contains(name)))
            .collect::<Option<Vec<_>>>()
            .filter(|all| all.len() == COMPONENTS.len() && COMPONENTS.iter().all(|name| all.contains(name)))
            .ok_or(r#"must cover "@method", "@path", "@query" and "content-digest", each once, and nothing else"#)?;
        let mut parameters = Parameters::default();
        while !rest.is_empty() {
            rest = parameters.take(rest)?;
        }
        if parameters.nonce.is_none_or(|nonce| nonce.is_empty() || nonce.len() > MAX_NONCE) {
            return Err("must have a nonce of 1 to 128 characters");
        }
        Ok(Self {
            label,
            text,
            components,
            key_id: parameters
                .key_id
                .and_then(|id| id.parse().ok())
                .ok_or("must name the key by its id: keyid")?,
            created: parameters.created.ok_or("must have the time of the signature: created")?,
            expires: parameters.expires,
        })
    }
}

#[derive(Default)]
struct Parameters<'a> {
    created: Option<i64>,
    expires: Option<i64>,
    key_id: Option<&'a str>,
    nonce: Option<&'a str>,
    algorithm: Option<&'a str>,
    tag: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// Takes the first parameter of `text`; returns what follows.
    fn take(&mut self, text: &'a str) -> Result<&'a str, &'static str> {
        const NO_PARAMETER: &str = "has a parameter that cannot be read";
        let (name, value) =
            text.strip_prefix(';').and_then(|text| text.split_once('=')).ok_or(NO_PARAMETER)?;
        if let Some(quoted) = value.strip_prefix('"') {
            let (string, rest) = quoted.split_once('"').ok_or(NO_PARAMETER)?;
            let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'\\';
            let place = match name {
                "keyid" => &mut self.key_id,
                "nonce" => &mut self.nonce,
                "alg" if string == "hmac-sha256" => &mut self.algorithm,
                "alg" => return Err("must be made by hmac-sha256: alg"),
                "tag" => &mut self.tag,
                _ => return Err(NO_PARAMETER),
            };
            if place.is_some() || !string.bytes().all(is_plain) {
                return Err(NO_PARAMETER);
            }
            *place = Some(string);
            return Ok(rest);
        }
        let (number, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
        let place = match name {
            "created" => &mut self.created,
            "expires" => &mut self.expires,
            _ => return Err(NO_PARAMETER),
        };
        if place.is_some() {
            return Err(NO_PARAMETER);
        }
        *place = Some(seconds(number).ok_or("has a time that is none in seconds since 1970")?);
        Ok(rest)
    }
}

/// Reads a time in seconds since 1970.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let is_time = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_time { text.parse().ok() } else { None }
}

/// Reads a byte sequence.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix(':')?.strip_suffix(':')?).ok()
}

/// Reads the SHA-256 in the value of a `Content-Digest`, which may hold others.
pub(super) fn sha_256(value: &str) -> Option<[u8; 32]> {
    let mut members = value.split(',').filter_map(|member| member.trim_ascii().strip_prefix("sha-256="));
    let (first, second) = (members.next()?, members.next());
    bytes(first).filter(|_| second.is_none())?.try_into().ok()
}

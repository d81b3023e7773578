use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"slf_secret";
const KEY: &str = "019a9f3e-0000-7000-8000-000000000001";
const NOW: i64 = 1_700_000_000;
const COVERED: &str = r#"("@method" "@path" "@query" "content-digest")"#;

/// A request that can be changed before it is read.
#[derive(Clone)]
struct Request {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    headers: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Request {
    fn new() -> Self {
        Self { method: "POST", path: "/f/ada/hello/a%2Fb", query: "q=1&q=2", headers: BTreeMap::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), vec![value.as_bytes().to_vec()]);
        self
    }

    fn twice(mut self, name: &str) -> Self {
        let values = self.headers.get_mut(name).unwrap();
        values.push(values[0].clone());
        self
    }

    fn without(mut self, name: &str) -> Self {
        assert!(self.headers.remove(name).is_some());
        self
    }

    fn read(&self) -> Result<Option<ShownSignature>, MalformedSignature> {
        let values = |name: &str| self.headers.get(name).into_iter().flatten().map(Vec::as_slice).collect();
        ShownSignature::read(&SignedHead {
            method: self.method,
            path: self.path,
            query: self.query,
            values: &values,
        })
    }

    fn shown(&self) -> ShownSignature {
        self.read().unwrap().unwrap()
    }

    /// Says why it cannot be read.
    fn fault(&self) -> String {
        self.read().unwrap_err().to_string()
    }

    /// Tells whether it is what the secret signed, head and body.
    fn fits(&self, body: &[u8]) -> bool {
        let shown = self.shown();
        shown.fits_head(SECRET) && shown.fits_body(SECRET, body)
    }

    /// Signs it as a client would, with these components and parameters.
    fn signed_with(self, covered: &str, parameters: &str, body: &[u8]) -> Self {
        let digest = content_digest(body);
        let lines = covered.trim_matches(['(', ')']).split(' ').map(|component| {
            let value = match component {
                r#""@method""# => self.method.to_owned(),
                r#""@path""# => self.path.to_owned(),
                r#""@query""# => format!("?{}", self.query),
                _ => digest.clone(),
            };
            format!("{component}: {value}\n")
        });
        let base = lines.collect::<String>() + &format!(r#""@signature-params": {covered}{parameters}"#);
        self.with("content-digest", &digest)
            .with("signature-input", &format!("sig1={covered}{parameters}"))
            .with("signature", &format!("sig1=:{}:", STANDARD.encode(mac(base.as_bytes()))))
    }

    fn signed(self, body: &[u8]) -> Self {
        self.signed_with(COVERED, &parameters(), body)
    }

    fn signed_for_container_pub(self, body: &[u8]) -> Self {
        let mac = mac(&[format!("{NOW}:").as_bytes(), body].concat());
        self.with("x-api-key", KEY)
            .with("x-timestamp", &NOW.to_string())
            .with("x-signature", &STANDARD.encode(mac))
    }
}

fn parameters() -> String {
    format!(r#";created={NOW};keyid="{KEY}";nonce="n-1";alg="hmac-sha256""#)
}

fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, body)))
}

fn mac(message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message).as_ref().to_vec()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).unwrap() + TimeDelta::seconds(second)
}

#[test]
fn the_example_of_the_standard_is_signed_as_it_says() {
    // RFC 9421, appendix B.2.5: the same algorithm and key over the appendix's own base.
    let secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    let base = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
        \"@authority\": example.com\n\
        \"content-type\": application/json\n\
        \"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"";
    let shown = ShownSignature {
        key_id: SigningKeyId::generate(),
        signed_at: 1_618_884_473,
        expires_at: None,
        mac: STANDARD.decode("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=").unwrap().try_into().unwrap(),
        covered: Covered::Head { base: base.to_owned(), body_digest: [0; 32] },
    };
    assert!(shown.fits_head(&STANDARD.decode(secret).unwrap()));
    assert!(!shown.fits_head(SECRET));
}

#[test]
fn a_signed_request_fits_and_none_that_differs_from_it() {
    let body = br#"{"a":1}"#;
    let request = Request::new().signed(body);
    assert_eq!(request.shown().key_id.to_string(), KEY);
    assert_eq!(request.shown().scheme(), SigningScheme::Rfc9421);
    assert!(request.fits(body));
    for other in [&b""[..], br#"{"a":2}"#, br#"{"a":1} "#] {
        assert!(!request.fits(other));
    }
    for changed in [
        Request { method: "PUT", ..request.clone() },
        Request { method: "post", ..request.clone() },
        Request { path: "/f/ada/hello/a/b", ..request.clone() },
        Request { path: "/f/ada/other/a%2Fb", ..request.clone() },
        Request { query: "q=2&q=1", ..request.clone() },
        Request { query: "", ..request.clone() },
        request.clone().with("content-digest", &content_digest(b"other")),
        request.clone().with("signature", &format!("sig1=:{}:", STANDARD.encode([7; 32]))),
        request
            .clone()
            .with("signature-input", &format!("sig1={COVERED}{}", parameters().replace("n-1", "n-2"))),
        request.clone().with(
            "signature-input",
            &format!("sig1={COVERED}{}", parameters().replace(&NOW.to_string(), "1700000001")),
        ),
    ] {
        assert!(!changed.shown().fits_head(SECRET), "{:?}", changed.headers);
    }
    assert!(!request.shown().fits_head(b"slf_other"));
}

#[test]
fn a_request_without_query_and_body_is_signed_in_any_order() {
    let bare = Request { query: "", method: "GET", ..Request::new() };
    assert!(bare.clone().signed(b"").fits(b""));
    let covered = r#"("content-digest" "@query" "@path" "@method")"#;
    let parameters = format!(r#";nonce="a;b=c)(";keyid="{KEY}";expires={NOW};created={NOW};tag="t""#);
    let request = bare.signed_with(covered, &parameters, b"");
    assert!(request.fits(b""));
    assert!(request.shown().is_timely(at(0)) && !request.shown().is_timely(at(1)), "it says when it expires");
    let both = format!("sha-512=:AAAA:, {}", content_digest(b""));
    assert_eq!(request.with("content-digest", &both).shown().scheme(), SigningScheme::Rfc9421);
}

#[test]
fn what_covers_less_or_names_no_key_time_or_nonce_is_refused_by_name() {
    let fault = |input: &str| Request::new().signed(b"").with("signature-input", input).fault();
    let covers = r#"signature-input must cover "@method", "@path", "@query" and "content-digest", each once, and nothing else"#;
    for covered in [
        "()",
        r#"("@method" "@path" "@query")"#,
        r#"("@method" "@path" "@query" "@query")"#,
        r#"("@method" "@path" "@query" "content-digest" "date")"#,
        r#"("@method" "@path" "@query";req "content-digest")"#,
        r#"("@method"  "@path" "@query" "content-digest")"#,
        "(@method @path @query content-digest)",
    ] {
        assert_eq!(fault(&format!("sig1={covered}{}", parameters())), covers, "{covered}");
    }
    let less = |part: &str| fault(&format!("sig1={COVERED}{}", parameters().replace(part, "")));
    assert_eq!(less(";nonce=\"n-1\""), "signature-input must have a nonce of 1 to 128 characters");
    assert_eq!(less("n-1"), "signature-input must have a nonce of 1 to 128 characters");
    assert_eq!(less(KEY), "signature-input must name the key by its id: keyid");
    assert_eq!(
        less(&format!(";created={NOW}")),
        "signature-input must have the time of the signature: created"
    );
    let more = |text: &str| fault(&format!("sig1={COVERED}{}{text}", parameters()));
    for text in [
        ";",
        ";x=1",
        ";created=1",
        ";nonce=\"x\"",
        ", sig2=()",
        ";tag",
        ";tag=\"",
        ";tag=\"\\\"\"",
        ";tag=\"ä\"",
    ] {
        assert_eq!(more(text), "signature-input has a parameter that cannot be read", "{text}");
    }
    for created in ["", "-1", "+1", "1.5", "1e3", "9999999999999", "\"1\""] {
        let input = format!("sig1={COVERED};created={created};keyid=\"{KEY}\";nonce=\"n\"");
        assert!(fault(&input).starts_with("signature-input has a "), "{created}");
    }
    let ed25519 = parameters().replace("hmac-sha256", "ed25519");
    assert_eq!(
        fault(&format!("sig1={COVERED}{ed25519}")),
        "signature-input must be made by hmac-sha256: alg"
    );
    for input in ["", "sig1", "=", "sig1=", "sig1=x", "Sig1=()", "sig1=(", "1=()", "ä=()"] {
        let fault = fault(input);
        assert!(fault.starts_with("signature-input must"), "{input}: {fault}");
    }
}

#[test]
fn a_header_that_is_missing_or_there_twice_is_named() {
    let request = Request::new().signed(b"");
    for name in ["signature", "signature-input", "content-digest"] {
        assert_eq!(request.clone().without(name).fault(), format!("{name} is missing"));
        assert_eq!(request.clone().twice(name).fault(), format!("{name} must be there once"));
    }
    let request = Request::new().signed_for_container_pub(b"");
    for name in ["x-api-key", "x-timestamp"] {
        assert_eq!(request.clone().without(name).fault(), format!("{name} is missing"));
        assert_eq!(request.clone().twice(name).fault(), format!("{name} must be there once"));
    }
    for signature in ["sig2=:AAAA:", "sig1=AAAA", "sig1=:?:", "sig1", "", ":AAAA:"] {
        let fault = Request::new().signed(b"").with("signature", signature).fault();
        assert!(fault.starts_with("signature must hold one byte sequence"), "{signature}: {fault}");
    }
    let short = Request::new().signed(b"").with("signature", "sig1=:AAAA:").fault();
    assert_eq!(short, "signature must be 32 bytes long");
    for digest in ["", "sha-512=:AAAA:", "sha-256=:AAAA:", "sha-256=x"] {
        let fault = Request::new().signed(b"").with("content-digest", digest).fault();
        assert!(fault.starts_with("content-digest must hold one sha-256 digest"), "{digest}: {fault}");
    }
    let twice = format!("{0}, {0}", content_digest(b""));
    assert!(Request::new().signed(b"").with("content-digest", &twice).read().is_err());
}

#[test]
fn a_request_that_shows_nothing_is_not_signed() {
    let request = Request::new().with("content-digest", "x").with("x-api-key", "x").with("x-timestamp", "x");
    assert!(request.read().unwrap().is_none());
}

#[test]
fn a_container_pub_client_signs_time_and_body() {
    // Made apart: printf '1700000000:{"a":1}' | openssl dgst -sha256 -hmac slf_secret -binary | base64
    let request = Request::new()
        .with("x-api-key", KEY)
        .with("x-timestamp", "1700000000")
        .with("x-signature", "WuJS0z1aEXdXg9bg1qdWCj3WIleCP05zie+DB14DzBA=");
    assert_eq!(request.shown().scheme(), SigningScheme::ContainerPub);
    assert!(request.fits(br#"{"a":1}"#));
    assert!(!request.fits(br#"{"a":2}"#) && !request.fits(b""));
    assert!(!request.clone().with("x-timestamp", "1700000001").fits(br#"{"a":1}"#));
    assert!(Request::new().signed_for_container_pub(b"").fits(b""));

    let fault =
        |name: &str, value: &str| Request::new().signed_for_container_pub(b"").with(name, value).fault();
    assert_eq!(fault("x-api-key", "slk_x"), "x-api-key must be the id of a key");
    for time in ["", "-1", "now", "1700000000000", "0x1", " "] {
        assert_eq!(fault("x-timestamp", time), "x-timestamp must be a time in seconds since 1970", "{time}");
    }
    for signature in ["", "x", "AAAA", &hex::encode([7; 32])] {
        assert_eq!(fault("x-signature", signature), "x-signature must be 32 bytes in base64", "{signature}");
    }
}

#[test]
fn a_signature_is_timely_for_five_minutes_either_way() {
    for request in [Request::new().signed(b""), Request::new().signed_for_container_pub(b"")] {
        let shown = request.shown();
        for (second, is_timely) in [(-301, false), (-300, true), (0, true), (300, true), (301, false)] {
            assert_eq!(shown.is_timely(at(second)), is_timely, "{second}");
        }
    }
}

#[test]
fn a_mark_reads_back_from_its_text_and_tells_signatures_apart() {
    let (one, other) =
        (Request::new().signed(b"").shown().mark(), Request::new().signed(b"x").shown().mark());
    assert_ne!(one, other);
    assert_eq!(one.to_string().parse(), Ok(one));
    assert_eq!(one.signed_at(), NOW);
    for text in
        ["", "1", "1.", ".00", "x.00000000000000000000000000000000", "1.000000000000000000000000000000000"]
    {
        assert_eq!(text.parse::<SignatureMark>(), Err(InvalidMark), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_headers_hold_it_is_read_or_refused(
        input in r#"(sig1=)?(\("@method" "@path" "@query" "content-digest"\))?(;[a-z]{1,7}=("[ -~]{0,9}"|[0-9]{0,13}|:|")){0,4}\PC{0,9}"#,
        signature in r"(sig1=)?:?[A-Za-z0-9+/=]{0,48}:?\PC{0,3}",
        digest in r"(sha-256=)?:?[A-Za-z0-9+/=]{0,48}:?(,\PC{0,9})?",
    ) {
        let request = Request::new()
            .with("signature-input", &input)
            .with("signature", &signature)
            .with("content-digest", &digest);
        prop_assert!(request.read().map_or(true, |shown| !shown.unwrap().fits_head(SECRET)));
        let request = Request::new()
            .with("x-api-key", &input)
            .with("x-timestamp", &signature)
            .with("x-signature", &digest);
        prop_assert!(request.read().map_or(true, |shown| !shown.unwrap().fits_body(SECRET, b"")));
    }
}

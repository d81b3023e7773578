use actix_web::dev::Payload;
use actix_web::web::Query;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use serde::Deserialize;
use slipway_models::auth::{LoginRequest, Transport};
use slipway_web::{Json, Problem, read_body};
use std::pin::Pin;

use crate::error::AuthError;

const FORM: &str = "application/x-www-form-urlencoded";
const FORM_LIMIT: u64 = 16 * 1024;

/// What a sign-in names and proves: JSON, or the form of OAuth 2.0's password grant (RFC 6749, section 4.3.2).
pub(crate) struct SignIn(pub(crate) LoginRequest);

/// What a server does not know of a form it must ignore (RFC 6749, section 3.2).
#[derive(Deserialize)]
struct PasswordGrant {
    grant_type: String,
    username: String,
    password: String,
}

impl FromRequest for SignIn {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            if request.content_type().eq_ignore_ascii_case(FORM) {
                let body = read_body(&request, payload, FORM_LIMIT).await?;
                read_form(&body).map(Self)
            } else {
                Json::from_request(&request, &mut payload).await.map(|Json(login)| Self(login))
            }
        })
    }
}

fn read_form(body: &[u8]) -> Result<LoginRequest, Problem> {
    let fault = |detail: &str| Problem::invalid_request(format!("the form cannot be read: {detail}"));
    let text = str::from_utf8(body).map_err(|_| fault("it is not UTF-8"))?;
    let grant = Query::<PasswordGrant>::from_query(text).map_err(|cause| fault(&cause.to_string()))?;
    let PasswordGrant { grant_type, username: name, password } = grant.into_inner();
    if grant_type != "password" {
        return Err(AuthError::UnsupportedGrant.into());
    }
    let (email, username) = if name.contains('@') { (Some(name), None) } else { (None, Some(name)) };
    let password = Some(password);
    Ok(LoginRequest { email, username, password, auth_hash: None, transport: Transport::Bearer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_an_account_by_its_address_or_its_user_name() {
        let login =
            read_form(b"grant_type=password&username=ada%40example.org&password=a+b%26c&scope=x").unwrap();
        assert_eq!(login.email.as_deref(), Some("ada@example.org"));
        assert_eq!((login.password.as_deref(), login.transport), (Some("a b&c"), Transport::Bearer));
        let login = read_form(b"grant_type=password&username=ada&password=x").unwrap();
        assert_eq!((login.email, login.username.as_deref()), (None, Some("ada")));
    }

    #[test]
    fn a_form_of_another_grant_or_with_a_field_missing_or_twice_is_refused() {
        for form in [
            &b"grant_type=client_credentials&username=a&password=x"[..],
            b"grant_type=password&username=a",
            b"grant_type=password&username=a&username=b&password=x",
            b"\xff",
            b"",
        ] {
            assert_eq!(read_form(form).err().unwrap().status(), 400, "{}", String::from_utf8_lossy(form));
        }
    }
}

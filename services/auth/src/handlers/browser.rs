//! Tokens in cookies (ADR 18). The gateway judges where a request comes from; here is kept to its judgement.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};
use slipway_models::auth::{
    ACCESS_COOKIE, CookieAnswer, ORIGIN_ALLOWED, ORIGIN_HEADER, REFRESH_COOKIE, TokenAnswer, Transport,
};
use zeroize::Zeroizing;

use crate::domain::SessionDetails;
use crate::error::AuthError;

/// What a request says of the browser or program that sent it, as the gateway passed it on.
pub(crate) struct Browser {
    refresh_token: Option<Zeroizing<String>>,
    is_origin_allowed: bool,
    details: SessionDetails,
}

impl Browser {
    /// Returns the token of the refresh cookie. A page of another origin gets nothing by it.
    pub(crate) fn refresh_token(&self) -> Result<Option<&str>, AuthError> {
        match &self.refresh_token {
            Some(_) if !self.is_origin_allowed => Err(AuthError::OriginRefused),
            token => Ok(token.as_ref().map(|token| token.as_str())),
        }
    }

    /// Refuses cookies to pages of other origins: else those could sign a visitor in as somebody else.
    pub(crate) fn check(&self, transport: Transport) -> Result<(), AuthError> {
        match transport {
            Transport::Cookie if !self.is_origin_allowed => Err(AuthError::OriginRefused),
            Transport::Cookie | Transport::Bearer => Ok(()),
        }
    }

    /// Returns where the request comes from.
    pub(crate) fn details(&self) -> &SessionDetails {
        &self.details
    }
}

impl FromRequest for Browser {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let address = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let agent = headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        ready(Ok(Self {
            refresh_token: request
                .cookie(REFRESH_COOKIE)
                .map(|cookie| Zeroizing::new(cookie.value().to_owned())),
            is_origin_allowed: headers.get(ORIGIN_HEADER).map(HeaderValue::as_bytes)
                == Some(ORIGIN_ALLOWED.as_bytes()),
            details: SessionDetails::new(address, agent.as_deref()),
        }))
    }
}

/// Answers with tokens, which no cache may keep (RFC 6749, section 5.1).
pub(crate) fn tokens(answer: &TokenAnswer, transport: Transport) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    match transport {
        Transport::Bearer => response.json(answer),
        Transport::Cookie => {
            response.cookie(cookie(ACCESS_COOKIE, &answer.access_token, answer.expires_in));
            response.cookie(cookie(REFRESH_COOKIE, &answer.refresh_token, answer.refresh_expires_in));
            response.json(CookieAnswer {
                expires_in: answer.expires_in,
                refresh_expires_in: answer.refresh_expires_in,
                session_id: answer.session_id,
            })
        }
    }
}

/// Has a browser forget the cookies.
pub(crate) fn clear(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response.cookie(cookie(ACCESS_COOKIE, "", 0)).cookie(cookie(REFRESH_COOKIE, "", 0))
}

fn cookie(name: &'static str, value: &str, seconds: i64) -> Cookie<'static> {
    Cookie::build(name, value.to_owned())
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .finish()
}

//! Who calls, as extractors: a handler that names one cannot be reached without it.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Ready, ready};
use slipway_jwt::{Identity, IdentityVerifier, ServiceName, Subject, UserIdentity};
use slipway_kernel::{SessionId, UserId};
use slipway_models::auth::UserType;
use slipway_models::permissions::Permission;
use tracing::Span;

use crate::Problem;

static USER_ID: HeaderName = HeaderName::from_static("x-user-id");

/// A person who signed in, by the identity that the gateway signed. Nothing else in the request is believed.
#[derive(Debug, Clone)]
pub struct Caller(UserIdentity);

impl Caller {
    /// Returns the person's id.
    pub fn user_id(&self) -> UserId {
        self.0.user_id
    }

    /// Returns the session that the request belongs to.
    pub fn session_id(&self) -> SessionId {
        self.0.session_id
    }

    /// Returns the slug that names the person in URLs, for good.
    pub fn handle(&self) -> &Arc<str> {
        &self.0.handle
    }

    /// Returns what the person may do.
    pub fn user_type(&self) -> UserType {
        self.0.user_type
    }

    /// Returns the apps that the person may use.
    pub fn apps(&self) -> &[String] {
        &self.0.apps
    }

    /// Tells whether the person may use an app.
    pub fn may_use(&self, app: &str) -> bool {
        self.0.apps.iter().any(|granted| granted == app)
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request).and_then(|identity| match &identity.subject {
            Subject::User(user) => agree(request, user).map(|()| {
                Span::current().record("user.id", tracing::field::display(user.user_id));
                Self(user.clone())
            }),
            Subject::Service(_) => Err(Problem::forbidden("this is for people, not for services")),
        }))
    }
}

/// A person who signed in, or nobody. An identity that is shown and not valid is refused all the same.
#[derive(Debug, Clone)]
pub struct MaybeCaller(pub Option<Caller>);

impl FromRequest for MaybeCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if request.headers().contains_key(AUTHORIZATION) {
            ready(Caller::from_request(request, payload).into_inner().map(|caller| Self(Some(caller))))
        } else {
            ready(Ok(Self(None)))
        }
    }
}

/// A caller who has the permission that `P` names: `Permitted<ViewAudit>`.
#[derive(Debug, Clone)]
pub struct Permitted<P>(Caller, PhantomData<P>);

/// Names a permission in a handler's signature.
pub trait Required: 'static {
    /// What the caller must have.
    const PERMISSION: Permission;
}

/// Requires [`Permission::ManageUsers`].
#[derive(Debug, Clone)]
pub struct ManageUsers;

impl Required for ManageUsers {
    const PERMISSION: Permission = Permission::ManageUsers;
}

/// Requires [`Permission::ViewAudit`].
#[derive(Debug, Clone)]
pub struct ViewAudit;

impl Required for ViewAudit {
    const PERMISSION: Permission = Permission::ViewAudit;
}

impl<P> Deref for Permitted<P> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<P: Required> FromRequest for Permitted<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Caller::from_request(request, payload).into_inner().and_then(|caller| {
            if P::PERMISSION.is_held_by(caller.user_type()) {
                Ok(Self(caller, PhantomData))
            } else {
                Err(Problem::forbidden("your type of account does not have the permission that this takes"))
            }
        }))
    }
}

/// Another of the platform's services, for work of its own.
#[derive(Debug, Clone)]
pub struct ServiceCaller(ServiceName);

impl ServiceCaller {
    /// Returns the service's name.
    pub fn name(&self) -> &str {
        self.0.as_str()
    }
}

impl FromRequest for ServiceCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request).and_then(|identity| match &identity.subject {
            Subject::Service(name) => Ok(Self(name.clone())),
            Subject::User(_) => Err(Problem::forbidden("this is for the platform's services")),
        }))
    }
}

fn identify(request: &HttpRequest) -> Result<Arc<Identity>, Problem> {
    let verifier = request
        .app_data::<Data<IdentityVerifier>>()
        .ok_or_else(|| Problem::internal("the service has no IdentityVerifier in its app data"))?;
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .ok_or_else(|| refuse("sign in first: the request carries no identity"))?;
    verifier
        .verify(token)
        .map_err(|fault| refuse("the request's identity is not valid").coded(fault.code()).caused_by(fault))
}

fn refuse(detail: &str) -> Problem {
    Problem::unauthenticated(detail).header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// `x-user-id` is a courtesy to plain upstreams. Where it is there, it must say what the identity says.
fn agree(request: &HttpRequest, user: &UserIdentity) -> Result<(), Problem> {
    let named = user.user_id.to_string();
    if request.headers().get_all(&USER_ID).all(|value| value.as_bytes() == named.as_bytes()) {
        Ok(())
    } else {
        Err(refuse("x-user-id names another than the signed identity"))
    }
}

//! What the audit trail is told of functions.

use chrono::{DateTime, Utc};
use slipway_audit::{Action, Event};
use slipway_kernel::{Origin, UserId};
use slipway_models::audit::AuditActor;

use crate::domain::{Deployment, Function};

/// Says that a person did something.
pub(super) fn by(user: UserId, action: Action, origin: &Origin, now: DateTime<Utc>) -> Event {
    Event::new(action, AuditActor::User { id: user }, now).from(origin)
}

/// Says that its owner did something to a function.
pub(super) fn of_function(action: Action, function: &Function, origin: &Origin, now: DateTime<Utc>) -> Event {
    by(function.owner, action, origin, now).on("function", &function.id).with("name", function.name.as_str())
}

/// Says that a version which was built answers calls. Nobody asks for that at that moment: it is this service's own work.
pub(super) fn activated(deployment: &Deployment, now: DateTime<Utc>) -> Event {
    by_this_service(Action::FUNCTION_ACTIVATE, now)
        .on("function", &deployment.function_id)
        .with("deployment_id", deployment.id.to_string())
        .with("version", deployment.version)
        .with("owner_id", deployment.owner.to_string())
}

/// Says that a function goes because its owner's account was deleted.
pub(super) fn owner_deleted(function: &Function, now: DateTime<Utc>) -> Event {
    by_this_service(Action::FUNCTION_DELETE, now)
        .on("function", &function.id)
        .with("name", function.name.as_str())
        .with("owner_id", function.owner.to_string())
}

fn by_this_service(action: Action, now: DateTime<Utc>) -> Event {
    Event::new(action, AuditActor::Service { id: "functions".to_owned() }, now)
}

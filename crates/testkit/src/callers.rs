use std::path::Path;
use std::sync::Arc;

use slipway_jwt::{
    IdentitySigner, IdentityVerifier, KeyError, ServiceName, SignedIdentities, TrustedKeys, UserIdentity,
};
use slipway_kernel::{SessionId, SharedClock, UserId};
use slipway_models::auth::UserType;
use tempfile::TempDir;

/// Signs requests to one service as the gateway would, for callers of any role.
pub struct Callers {
    audience: ServiceName,
    clock: SharedClock,
    gateway: IdentitySigner,
    keys: TempDir,
}

/// A caller and the header that proves it.
#[derive(Debug, Clone)]
pub struct TestCaller {
    /// Who it is.
    pub identity: UserIdentity,
    /// The value of `authorization`.
    pub authorization: String,
}

impl Callers {
    /// Makes the callers of the service named `audience`, with keys of their own.
    pub fn of(audience: &str, clock: SharedClock) -> Self {
        let keys = tempfile::tempdir().unwrap_or_else(|fault| panic!("a directory for keys: {fault}"));
        let gateway = sound(IdentitySigner::load_or_create(keys.path(), name("gateway"), Arc::clone(&clock)));
        Self { audience: name(audience), clock, gateway, keys }
    }

    /// Returns the directory of the keys: the service's `KEYS_DIR`.
    pub fn keys_dir(&self) -> &Path {
        self.keys.path()
    }

    /// Returns a verifier that believes these callers.
    pub fn verifier(&self) -> IdentityVerifier {
        let trusted = sound(TrustedKeys::load(self.keys.path()));
        IdentityVerifier::new(self.audience.clone(), Arc::new(trusted), Arc::clone(&self.clock))
    }

    /// Makes a new person of a type, with every app.
    pub fn person(&self, user_type: UserType) -> TestCaller {
        self.session(UserId::generate(), SessionId::generate(), user_type)
    }

    /// Signs for a person and a session that the test knows.
    pub fn session(&self, user_id: UserId, session_id: SessionId, user_type: UserType) -> TestCaller {
        let apps = ["functions", "vault", "documents", "tasks", "workspace"].map(str::to_owned).into();
        // As unlike the others' as the id, and as short as a real one.
        let handle = format!("u{}", user_id.as_uuid().simple()).into();
        let identity = UserIdentity { user_id, session_id, handle, user_type, apps };
        let token =
            sound(self.gateway.for_user(&SignedIdentities::default(), &self.audience, || identity.clone()));
        TestCaller { identity, authorization: format!("Bearer {token}") }
    }

    /// Signs as another service does for work of its own; returns the value of `authorization`.
    pub fn service(&self, service: &str) -> String {
        let signer =
            sound(IdentitySigner::load_or_create(self.keys.path(), name(service), Arc::clone(&self.clock)));
        format!("Bearer {}", sound(signer.for_service(&self.audience)))
    }
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn sound<T>(outcome: Result<T, KeyError>) -> T {
    outcome.unwrap_or_else(|fault| panic!("the callers' keys: {fault}"))
}

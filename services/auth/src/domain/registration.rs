use slipway_models::auth::RegisterRequest;

use super::{
    Email, FieldFaults, GivenProof, NewProof, PasswordPolicy, ProofPointers, Username, check_full_name,
};

/// A registration whose every field keeps its rule.
pub(crate) struct Registration {
    pub(crate) email: Email,
    pub(crate) proof: NewProof,
    pub(crate) username: Option<Username>,
    pub(crate) full_name: Option<String>,
}

impl Registration {
    /// Checks a request; names all that is wrong with it.
    pub(crate) fn check(request: RegisterRequest, policy: &PasswordPolicy) -> Result<Self, FieldFaults> {
        let mut faults = FieldFaults::default();
        let email = faults.keep("/email", request.email.parse::<Email>());
        let username = request.username.map(|name| name.parse::<Username>()).transpose();
        let username = faults.keep("/username", username);
        let full_name =
            faults.keep("/full_name", request.full_name.as_deref().map(check_full_name).transpose());
        let given = GivenProof { password: request.password, auth_hash: request.auth_hash, kdf: request.kdf };
        let proof = NewProof::check(given, &ProofPointers::PLAIN, policy, &mut faults);
        match (email, username, full_name, proof) {
            (Some(email), Some(username), Some(full_name), Some(proof)) => {
                Ok(Self { email, proof, username, full_name })
            }
            _ => Err(faults),
        }
    }
}

//! What a handler is told besides its calls.

use std::collections::BTreeMap;

use slipway_sealing::{OpenError, SealingKeys};

use crate::domain::Version;

/// Returns the function's own settings with its secrets opened. A secret takes the place of a setting of its name.
pub(super) fn environment(
    version: &Version,
    keys: &SealingKeys,
) -> Result<BTreeMap<String, String>, OpenError> {
    let mut environment = version.config.env.clone();
    for secret in version.secrets.iter() {
        let value = keys.open(&secret.context(), &secret.sealed.0)?;
        let value = str::from_utf8(&value).map_err(|_| OpenError::Malformed)?;
        environment.insert(secret.name.clone(), value.to_owned());
    }
    Ok(environment)
}

use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Store;

/// Ends the sign-in. It is forgotten here even if the platform cannot be told, which then is the failure.
pub(crate) async fn run(store: &Store, output: &Output) -> Result<(), Failure> {
    let told = match store.client().await {
        Ok((client, _)) => client.logout().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let _lock = store.lock().await?;
    store.remove()?;
    match told {
        Err(failure) if !failure.is_not_signed_in() => {
            Err(failure
                .hint("the sign-in is forgotten here, but the platform does not know that it has ended"))
        }
        _ => output.result(&json!({ "signed_out": true }), "signed out"),
    }
}

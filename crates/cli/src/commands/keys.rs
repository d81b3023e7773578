use chrono::SecondsFormat;
use serde_json::json;
use slipway_kernel::SigningKeyId;
use slipway_models::functions::{SigningKeyBody, SigningKeyRequest};

use crate::arguments::Keys;
use crate::commands::{all_pages, find};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

pub(crate) async fn run(command: Keys, store: &Store, output: &Output) -> Result<(), Failure> {
    match command {
        Keys::Create { function, name, scheme } => {
            create(&function, SigningKeyRequest { name, scheme }, store, output).await
        }
        Keys::List { function } => list(&function, store, output).await,
        Keys::Remove { function, key } => remove(&function, key, store, output).await,
    }
}

async fn create(
    function: &str,
    request: SigningKeyRequest,
    store: &Store,
    output: &Output,
) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    let made = client.create_key(function.id, &request).await?;
    output.result(&made, &format!("key     {}\nsecret  {}", made.key.id, made.secret))?;
    output::note("keep the secret: it is not shown again");
    Ok(())
}

async fn list(function: &str, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    let keys = all_pages(async |cursor| client.keys(function.id, cursor.as_deref()).await).await?;
    if output.is_json() {
        return output::value(&keys);
    }
    let rows: Vec<_> = keys.iter().map(row).collect();
    output::table(["ID", "NAME", "SCHEME", "SECRET", "CREATED"], &rows)
}

fn row(key: &SigningKeyBody) -> [String; 5] {
    [
        key.id.to_string(),
        key.name.clone().unwrap_or_else(|| "-".to_owned()),
        key.scheme.as_str().to_owned(),
        format!("{}…", key.prefix),
        key.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    ]
}

async fn remove(function: &str, key: SigningKeyId, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    client.delete_key(function.id, key).await?;
    output.result(&json!({ "removed": key }), &format!("{}: removed key {key}", function.name))
}

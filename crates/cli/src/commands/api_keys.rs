use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use slipway_kernel::{Clock as _, SystemClock};
use slipway_models::api_keys::{ApiKeyBody, CreateApiKeyRequest};

use crate::arguments::ApiKeys;
use crate::commands::all_pages;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

pub(crate) async fn run(command: ApiKeys, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    match command {
        ApiKeys::Create { name, scopes, days } => {
            let expires_at = days.map(|days| SystemClock.now() + TimeDelta::days(days.into()));
            let made = client.create_api_key(&CreateApiKeyRequest { name, scopes, expires_at }).await?;
            output.result(&made, &format!("id   {}\nkey  {}", made.key.id, made.secret))?;
            output::note("keep the key: it is not shown again");
            Ok(())
        }
        ApiKeys::List => {
            let keys = all_pages(async |cursor| client.api_keys(cursor.as_deref()).await).await?;
            if output.is_json() {
                return output::value(&keys);
            }
            let rows: Vec<_> = keys.iter().map(row).collect();
            output::table(["ID", "NAME", "KEY", "SCOPES", "EXPIRES", "LAST USED"], &rows)
        }
        ApiKeys::Remove { key } => {
            client.delete_api_key(key).await?;
            output.result(&json!({ "removed": key }), &format!("removed API key {key}"))
        }
    }
}

fn row(key: &ApiKeyBody) -> [String; 6] {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    [
        key.id.to_string(),
        key.name.clone(),
        format!("{}…", key.prefix),
        scopes.join(" "),
        time(key.expires_at),
        key.last_used_at.map_or_else(|| "-".to_owned(), time),
    ]
}

use chrono::SecondsFormat;
use slipway_models::functions::DeploymentBody;

use crate::commands::{all_pages, find};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

pub(crate) async fn run(function: &str, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    let versions = all_pages(async |cursor| client.deployments(function.id, cursor.as_deref()).await).await?;
    if output.is_json() {
        return output::value(&versions);
    }
    let rows: Vec<_> = versions.iter().map(row).collect();
    output::table(["VERSION", "STATUS", "RUNTIME", "DEPLOYED", "ID"], &rows)
}

fn row(version: &DeploymentBody) -> [String; 5] {
    [
        version.version.to_string(),
        format!("{:?}", version.status).to_lowercase(),
        version.runtime.to_string(),
        version.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        version.id.to_string(),
    ]
}

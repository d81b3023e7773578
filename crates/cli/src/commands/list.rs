use chrono::SecondsFormat;
use slipway_models::functions::FunctionBody;

use crate::commands::all_pages;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

pub(crate) async fn run(store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let functions = all_pages(async |cursor| client.functions(cursor.as_deref()).await).await?;
    if output.is_json() {
        return output::value(&functions);
    }
    if functions.is_empty() {
        output::note("no functions yet; make one with: slipway init python hello");
        return Ok(());
    }
    let rows: Vec<_> = functions.iter().map(row).collect();
    output::table(["NAME", "RUNTIME", "STATUS", "VERSION", "UPDATED", "ID"], &rows)
}

fn row(function: &FunctionBody) -> [String; 6] {
    [
        function.name.clone(),
        function.runtime.to_string(),
        format!("{:?}", function.status).to_lowercase(),
        function.active_version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
        function.updated_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        function.id.to_string(),
    ]
}

use serde_json::json;

use crate::arguments::Delete;
use crate::commands::find;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Store;
use crate::terminal;

pub(crate) async fn run(options: &Delete, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, &options.function).await?;
    if !options.yes {
        let question = format!("Delete {} with its versions, runs and logs? [y/N] ", function.name);
        let answer = terminal::ask(&question, "give --yes").await?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::interrupted("nothing was deleted"));
        }
    }
    client.delete_function(function.id).await?;
    output.result(&json!({ "deleted": function.id }), &format!("deleted {}", function.name))
}

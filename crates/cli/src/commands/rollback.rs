use crate::commands::find;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Store;

pub(crate) async fn run(function: &str, version: i32, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    let function = client.roll_back(function.id, version).await?;
    output.result(&function, &format!("{}: version {version} is in service", function.name))
}

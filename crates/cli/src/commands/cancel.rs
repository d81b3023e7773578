use slipway_kernel::ExecutionId;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Store;

pub(crate) async fn run(execution: ExecutionId, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let run = client.cancel(execution).await?;
    output.result(&run, &format!("cancelled {execution}"))
}

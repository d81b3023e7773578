use slipway_kernel::ExecutionId;

use crate::commands::wait;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Store;

pub(crate) async fn run(
    execution: ExecutionId,
    is_awaited: bool,
    store: &Store,
    output: &Output,
) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let accepted = client.replay(execution).await?;
    wait::accepted(accepted, is_awaited, store, output).await
}

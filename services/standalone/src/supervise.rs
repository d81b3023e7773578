use std::time::Duration;

use slipway_web::{BoxError, Context, Service};
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keeps a service running until `stop` is cancelled: one that fails, panics or cannot start is built anew.
pub async fn supervise<S: Service>(config: S::Config, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let life = stop.child_token();
        let ended = tokio::spawn(live::<S>(config.clone(), life.clone())).await;
        // What the service left running in the background ends with it.
        life.cancel();
        let served = match ended {
            Ok(Ok(())) if stop.is_cancelled() => return,
            Ok(Ok(())) => {
                tracing::error!(service = S::NAME, "a service stopped unasked");
                true
            }
            Ok(Err(Fault::Start(fault))) => {
                tracing::error!(service = S::NAME, error = %fault, "a service cannot start");
                false
            }
            Ok(Err(Fault::Serving(fault))) => {
                tracing::error!(service = S::NAME, error = %fault, "a service failed");
                true
            }
            Err(fault) => {
                tracing::error!(service = S::NAME, error = %fault, "a service died");
                true
            }
        };
        if served {
            pause = FIRST_PAUSE;
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

enum Fault {
    Start(BoxError),
    Serving(BoxError),
}

async fn live<S: Service>(config: S::Config, stop: CancellationToken) -> Result<(), Fault> {
    let context = Context::new(S::NAME, stop.clone()).map_err(|fault| Fault::Start(fault.into()))?;
    let application = S::build(config, context).await.map_err(Fault::Start)?;
    tracing::info!(
        service = S::NAME,
        server.address = %application.address(),
        operations.address = %application.operations_address(),
        "serving"
    );
    application.run_until_stopped(stop).await.map_err(|fault| Fault::Serving(fault.into()))
}

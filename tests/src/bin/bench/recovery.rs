//! How long nobody is served after something was killed: until a function answers and a list can be read again.

use std::time::Duration;

use slipway_end_to_end::{Blow, Project, Victims, eventually};
use slipway_models::functions::InvokeRequest;

use crate::figures::{Figures, target};
use crate::function::Deployed;

const ROUNDS: usize = 5;
const HANDLER: &str = "def handle(request, context):\n    return None\n";

pub(crate) async fn measure() {
    let mut victims = Victims::start_with(&[]).await;
    let client = victims.platform.sign_in("recovery").await;
    let function = Deployed::new(&victims.platform, &client, "noop", &Project::python(HANDLER), None).await;
    let call = InvokeRequest::default();
    client.invoke(function.id, &call).await.expect("an answer");
    println!("{ROUNDS} times each, until all is served again   p50       worst");
    let mut worst = Duration::ZERO;
    for blow in Blow::ALL {
        let mut times = Figures::default();
        for _ in 0..ROUNDS {
            let restarted = victims.strike(blow, |_| 0).await;
            if blow == Blow::Podman {
                // Else nobody would need Podman.
                victims.strike(Blow::Container, |_| 0).await;
            }
            eventually("an answer", async || client.invoke(function.id, &call).await.ok()).await;
            eventually("a list", async || client.executions(function.id, None).await.ok()).await;
            times.add(restarted.elapsed());
        }
        times.print(&format!("{blow:?}").to_lowercase());
        worst = worst.max(times.at(1.0));
    }
    target("all within 5 s", worst <= Duration::from_secs(5));
    function.delete(&client).await;
    victims.end().await;
}

use std::time::Duration;

use serde_json::json;
use slipway_clients::platform::{Client, Deploy, DeployTarget};
use slipway_end_to_end::{Platform, Project, images_of};
use slipway_kernel::FunctionId;
use slipway_models::functions::{DeploymentStatus, FunctionConfigPatch, InvokeRequest};

/// How often a deployment is asked whether it is active.
const POLL: Duration = Duration::from_millis(50);

/// A function that is deployed and active.
pub(crate) struct Deployed {
    pub(crate) id: FunctionId,
    /// What its instances are made of.
    pub(crate) image: String,
}

impl Deployed {
    /// Deploys `project` and waits until it answers calls. Its image has to be a new one.
    pub(crate) async fn new(
        platform: &Platform,
        client: &Client,
        name: &str,
        project: &Project,
        config: Option<&FunctionConfigPatch>,
    ) -> Self {
        let before = images_of(&platform.state());
        let id = deploy(client, name, project, config).await;
        // What it depends on is an image as well.
        let is_of_a_function = |image: &String| image.contains("/function:");
        let new = images_of(&platform.state()).into_iter().filter(|image| !before.contains(image));
        let image = new.into_iter().find(is_of_a_function);
        Self { id, image: image.expect("the function's image") }
    }

    /// Deletes the function with all that it has.
    pub(crate) async fn delete(self, client: &Client) {
        client.delete_function(self.id).await.expect("the function is deleted");
    }
}

/// Deploys `project` and waits until it answers calls.
pub(crate) async fn deploy(
    client: &Client,
    name: &str,
    project: &Project,
    config: Option<&FunctionConfigPatch>,
) -> FunctionId {
    let deploy = Deploy { target: DeployTarget::Name(name), archive: project.pack(), config };
    let answer = client.deploy(deploy, |_| {}).await.expect("a deployment");
    loop {
        match client.deployment(answer.deployment.id).await.expect("the deployment").status {
            DeploymentStatus::Active => return answer.function.id,
            DeploymentStatus::Failed => panic!("the function {name} cannot be built"),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// Returns a function that does nothing, in each of the languages.
pub(crate) fn noops() -> [(&'static str, Project); 2] {
    let node = Project::of(&[("index.mjs", "export default () => null;\n")]);
    [("python", Project::python("def handle(request, context):\n    return None\n")), ("node", node)]
}

/// Returns a call with a small body.
pub(crate) fn call() -> InvokeRequest {
    InvokeRequest { body: Some(json!(1)), ..InvokeRequest::default() }
}

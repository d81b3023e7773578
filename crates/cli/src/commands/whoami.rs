use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Store;

pub(crate) async fn run(store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, url) = store.client().await?;
    let user = client.me().await?;
    let text = format!("{} ({}) at {url}", user.email, user.handle);
    output.result(&json!({ "url": url, "user": user }), &text)
}

use std::io::IsTerminal as _;

use slipway_models::auth::{LoginRequest, Transport};

use crate::arguments::Login;
use crate::environment;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::{DEFAULT_URL, Session, Store, anonymous_client};
use crate::terminal;

pub(crate) async fn run(options: Login, store: &Store, output: &Output) -> Result<(), Failure> {
    let url = match options.url {
        Some(url) => url,
        None => last_url(store).unwrap_or_else(|| DEFAULT_URL.to_owned()),
    };
    let client = anonymous_client(&url)?;
    if client.sends_in_clear() {
        output::note(&format!(
            "warning: {url} is not encrypted: others on the network can read the password"
        ));
    }
    let user = match options.user {
        Some(user) => user,
        None => terminal::ask("E-mail address or user name: ", "give --user").await?,
    };
    let password = password(options.password_stdin).await?;
    let (email, username) = if user.contains('@') { (Some(user), None) } else { (None, Some(user)) };
    let login = LoginRequest {
        email,
        username,
        password: Some(password),
        auth_hash: None,
        transport: Transport::Bearer,
    };
    let answer = client.login(&login).await;
    let tokens = answer.map_err(|fault| {
        let refused = fault.code() == Some("invalid_credentials");
        let failure = Failure::from(fault);
        if refused { failure.hint("check the name and the password") } else { failure }
    })?;

    let session = Session::new(&url, tokens);
    let account = session.client()?.me().await?;
    let _lock = store.lock().await?;
    store.save(&session)?;
    let text = format!("signed in to {url} as {}", account.email);
    output.result(&serde_json::json!({ "url": url, "user": account }), &text)
}

/// A sign-in that cannot be read is no obstacle to a new one.
fn last_url(store: &Store) -> Option<String> {
    store.load().ok().flatten().map(|session| session.url)
}

async fn password(from_stdin: bool) -> Result<String, Failure> {
    const OTHERWISE: &str = "give --password-stdin or set SLIPWAY_PASSWORD";
    let password = if from_stdin {
        terminal::read_line().await?
    } else if let Some(password) = environment::text("SLIPWAY_PASSWORD")? {
        password
    } else if std::io::stdin().is_terminal() {
        terminal::ask_secret("Password: ", OTHERWISE).await?
    } else {
        return Err(Failure::usage(format!("there is no terminal to ask for the password on: {OTHERWISE}")));
    };
    if password.is_empty() { Err(Failure::usage("the password is empty")) } else { Ok(password) }
}

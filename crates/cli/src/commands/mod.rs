//! One command a file.

mod api_keys;
mod cancel;
mod delete;
mod deploy;
mod executions;
mod init;
mod invoke;
mod keys;
mod list;
mod login;
mod logout;
mod logs;
mod replay;
mod rollback;
mod secrets;
mod stats;
mod versions;
mod wait;
mod whoami;

use slipway_clients::ClientError;
use slipway_clients::platform::Client;
use slipway_kernel::{FunctionId, Page};
use slipway_models::functions::FunctionBody;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Store;

pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let command = match arguments.command {
        // The one command that needs no sign-in, and no place to keep one.
        Command::Init(options) => return init::run(&options, output),
        command => command,
    };
    let store = Store::locate(arguments.session)?;
    match command {
        Command::Init(_) => Ok(()),
        Command::Login(options) => login::run(options, &store, output).await,
        Command::Logout => logout::run(&store, output).await,
        Command::Whoami => whoami::run(&store, output).await,
        Command::Deploy(options) => deploy::run(options, &store, output).await,
        Command::Invoke(options) => invoke::run(options, &store, output).await,
        Command::Logs(options) => logs::run(options, &store, output).await,
        Command::Stats(options) => stats::run(&options, &store, output).await,
        Command::List => list::run(&store, output).await,
        Command::Versions { function } => versions::run(&function, &store, output).await,
        Command::Rollback { function, version } => rollback::run(&function, version, &store, output).await,
        Command::Executions { function, dead_letter } => {
            executions::run(&function, dead_letter, &store, output).await
        }
        Command::Cancel { execution } => cancel::run(execution, &store, output).await,
        Command::Replay { execution, wait } => replay::run(execution, wait, &store, output).await,
        Command::Secrets(command) => secrets::run(command, &store, output).await,
        Command::Keys(command) => keys::run(command, &store, output).await,
        Command::ApiKeys(command) => api_keys::run(command, &store, output).await,
        Command::Delete(options) => delete::run(&options, &store, output).await,
    }
}

/// Finds a function by its name or id. Names begin with a letter and the ids of our age with a digit.
async fn find(client: &Client, function: &str) -> Result<FunctionBody, Failure> {
    if let Ok(id) = function.parse::<FunctionId>() {
        return Ok(client.function(id).await?);
    }
    client.function_named(function).await?.ok_or_else(|| {
        Failure::not_found(format!("you have no function {function:?}")).hint("run: slipway list")
    })
}

/// Reads a list to its end: `page` asks for the page after a cursor.
async fn all_pages<T>(
    page: impl AsyncFn(Option<String>) -> Result<Page<T>, ClientError>,
) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let read = page(cursor).await?;
        items.extend(read.items);
        match read.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(items),
        }
    }
}

/// Tells a name that the platform takes for a function: `[a-z][a-z0-9-]{0,62}`.
fn is_function_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_platforms_rule() {
        for name in ["a", "hello-2", &"a".repeat(63)] {
            assert!(is_function_name(name), "{name}");
        }
        for name in ["", "2a", "-a", "Hello", "a_b", "a.b", "ä", "a b", &"a".repeat(64)] {
            assert!(!is_function_name(name), "{name}");
        }
    }
}

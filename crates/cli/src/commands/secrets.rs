use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};

use chrono::SecondsFormat;
use serde_json::json;
use slipway_models::functions::SecretRequest;

use crate::arguments::{Secrets, SetSecrets};
use crate::commands::{all_pages, find};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;
use crate::terminal;

/// In bytes; platforms take less.
const MAX_INPUT: u64 = 1024 * 1024;

pub(crate) async fn run(command: Secrets, store: &Store, output: &Output) -> Result<(), Failure> {
    match command {
        Secrets::Set(options) => set(options, store, output).await,
        Secrets::List { function } => list(&function, store, output).await,
        Secrets::Remove { function, name } => remove(&function, &name, store, output).await,
    }
}

async fn set(options: SetSecrets, store: &Store, output: &Output) -> Result<(), Failure> {
    let secrets = match (options.name, options.from_env_file) {
        (Some(name), _) => {
            check_name(&name).map_err(Failure::usage)?;
            let value = value(&name).await?;
            vec![(name, value)]
        }
        (None, Some(path)) => {
            let shown = path.display();
            let read = if path.as_os_str() == "-" {
                read_bounded(io::stdin().lock())
            } else {
                File::open(&path).and_then(read_bounded)
            };
            let text = read.map_err(|fault| Failure::local(format!("{shown}: {fault}")))?;
            pairs(&text).map_err(|fault| Failure::usage(format!("{shown}: {fault}")))?
        }
        (None, None) => return Err(Failure::usage("give the secret's name, or --from-env-file")),
    };
    let (client, _) = store.client().await?;
    let function = find(&client, &options.function).await?;
    let mut names = Vec::new();
    for (name, value) in secrets {
        match client.set_secret(function.id, &name, &SecretRequest { value }).await {
            Ok(_) => names.push(name),
            Err(fault) => {
                let failure = Failure::from(fault).named(&name);
                let done = names.join(", ");
                return Err(if done.is_empty() {
                    failure
                } else {
                    failure.hint(format!("set before it: {done}"))
                });
            }
        }
    }
    output.result(&json!({ "set": names }), &format!("{}: set {}", function.name, names.join(", ")))
}

async fn list(function: &str, store: &Store, output: &Output) -> Result<(), Failure> {
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    let mut secrets = all_pages(async |cursor| client.secrets(function.id, cursor.as_deref()).await).await?;
    secrets.sort_by(|one, other| one.name.cmp(&other.name));
    if output.is_json() {
        return output::value(&secrets);
    }
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let rows: Vec<_> = secrets
        .into_iter()
        .map(|secret| [secret.name, time(secret.created_at), time(secret.updated_at)])
        .collect();
    output::table(["NAME", "CREATED", "UPDATED"], &rows)
}

async fn remove(function: &str, name: &str, store: &Store, output: &Output) -> Result<(), Failure> {
    check_name(name).map_err(Failure::usage)?;
    let (client, _) = store.client().await?;
    let function = find(&client, function).await?;
    client.delete_secret(function.id, name).await?;
    output.result(&json!({ "removed": name }), &format!("{}: removed {name}", function.name))
}

/// Takes the value from the terminal, or all of standard input but for the line end at its end. An empty one is most
/// likely a mistake.
async fn value(name: &str) -> Result<String, Failure> {
    let value = if io::stdin().is_terminal() {
        terminal::ask_secret(&format!("Value of {name}: "), "send the value to standard input").await?
    } else {
        let read = tokio::task::spawn_blocking(|| read_bounded(io::stdin().lock()));
        let text = read.await.map_err(io::Error::from).flatten();
        let text = text.map_err(|fault| Failure::local(format!("cannot read the input: {fault}")))?;
        let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        line.unwrap_or(&text).to_owned()
    };
    if value.is_empty() { Err(Failure::usage("the value is empty")) } else { Ok(value) }
}

fn read_bounded(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let mut source = source.take(MAX_INPUT);
    source.read_to_string(&mut text)?;
    if source.limit() == 0 {
        return Err(io::Error::other("larger than any platform takes"));
    }
    Ok(text)
}

/// Reads `NAME=VALUE` lines. What is said of a fault repeats no value.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut seen = BTreeSet::new();
    let mut pairs = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let at = |fault: &str| format!("line {}: {fault}", index + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or_else(|| at("expected NAME=VALUE"))?;
        let name = name.trim();
        check_name(name).map_err(|fault| at(&fault))?;
        if !seen.insert(name.to_owned()) {
            return Err(at(&format!("{name} is there twice")));
        }
        pairs.push((name.to_owned(), unquoted(value.trim()).ok_or_else(|| at("a quote is not closed"))?));
    }
    if pairs.is_empty() { Err("it holds no NAME=VALUE".to_owned()) } else { Ok(pairs) }
}

/// Takes the quotes off a value that has them; what is between them is the value as it is.
fn unquoted(value: &str) -> Option<String> {
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return Some(value.to_owned());
    };
    value[1..].strip_suffix(quote).map(str::to_owned)
}

/// The platform's rule, so that nothing else gets into a path.
fn check_name(name: &str) -> Result<(), String> {
    let is_good = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_good {
        Ok(())
    } else {
        Err("the name of a secret starts with A to Z or _ and holds A to Z, 0 to 9 and _, at most 64"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_is_read_as_it_is_written() {
        let text = "# mine\n\nA=1\nexport B = \"two words\" \nC='it''s=$A'\nD=\r\nE=\"\"\nF_1=a#b\n";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            pair("A", "1"),
            pair("B", "two words"),
            pair("C", "it''s=$A"),
            pair("D", ""),
            pair("E", ""),
            pair("F_1", "a#b"),
        ];
        assert_eq!(pairs(text).unwrap(), expected);
    }

    #[test]
    fn a_fault_names_its_line_and_no_value() {
        for (text, fault) in [
            ("", "it holds no NAME=VALUE"),
            ("# A=1", "it holds no NAME=VALUE"),
            ("A=1\nhunter2", "line 2: expected NAME=VALUE"),
            ("A=1\nA=hunter2", "line 2: A is there twice"),
            ("A='hunter2", "line 1: a quote is not closed"),
            ("A=\"", "line 1: a quote is not closed"),
        ] {
            assert_eq!(pairs(text).unwrap_err(), fault, "{text:?}");
        }
        for name in ["a", "1A", "A-B", "A B", "", "../A", "Ä"] {
            let fault = pairs(&format!("{name}=hunter2")).unwrap_err();
            assert!(
                fault.starts_with("line 1: the name of a secret") && !fault.contains("hunter2"),
                "{fault}"
            );
        }
    }
}

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use serde_json::Value;
use slipway_models::functions::{InvokeAnswer, InvokeRequest};

use crate::arguments::Invoke;
use crate::commands::{find, wait};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Store;

/// In bytes; platforms take far less.
const MAX_BODY: u64 = 256 * 1024 * 1024;

pub(crate) async fn run(options: Invoke, store: &Store, output: &Output) -> Result<(), Failure> {
    let body = options.data.as_deref().map(body).transpose()?;
    let headers = unique(options.headers, "header")?;
    let query = unique(options.query, "query parameter")?;
    let call = InvokeRequest { method: options.method, path: options.path, headers, query, body };

    let (client, _) = store.client().await?;
    let function = find(&client, &options.function).await?;
    if options.is_async {
        let accepted = client.invoke_async(function.id, &call).await?;
        return wait::accepted(accepted, options.wait, store, output).await;
    }
    let answer = client.invoke(function.id, &call).await.map_err(|fault| {
        let execution = fault.problem().and_then(|problem| problem.execution_id.clone());
        let failure = Failure::from(fault);
        match execution {
            Some(id) => failure.hint(format!("run: slipway logs {} --execution {id}", function.name)),
            None => failure,
        }
    })?;
    if output.is_json() {
        return output::value(&answer);
    }
    output::note(&summary(&answer));
    match &answer.result {
        Value::String(text) => output::line(text),
        value => output::line(&format!("{value:#}")),
    }
}

fn summary(answer: &InvokeAnswer) -> String {
    let start = if answer.cold_start { "cold" } else { "warm" };
    let InvokeAnswer { status_code, duration_ms, queue_ms, execution_id, .. } = answer;
    format!(
        "{status_code} in {duration_ms:.1} ms, {start}, after {queue_ms:.1} ms in the queue ({execution_id})"
    )
}

/// Reads the body: JSON as it is, from a file or from standard input.
fn body(data: &str) -> Result<Value, Failure> {
    let text = match data.strip_prefix('@') {
        Some(path) => File::open(path)
            .and_then(read_bounded)
            .map_err(|fault| Failure::local(format!("{path}: {fault}")))?,
        None if data == "-" => read_bounded(io::stdin().lock())
            .map_err(|fault| Failure::local(format!("cannot read the input: {fault}")))?,
        None => data.to_owned(),
    };
    serde_json::from_str(&text).map_err(|fault| {
        Failure::usage(format!("the body is not JSON: {fault}"))
            .hint(r#"a text needs quotes of its own: --data '"text"'"#)
    })
}

fn read_bounded(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let mut source = source.take(MAX_BODY);
    source.read_to_string(&mut text)?;
    if source.limit() == 0 {
        return Err(io::Error::other("larger than any platform takes"));
    }
    Ok(text)
}

fn unique(pairs: Vec<(String, String)>, kind: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for (name, value) in pairs {
        if values.contains_key(&name) {
            return Err(Failure::usage(format!("the {kind} {name} is given twice")));
        }
        values.insert(name, value);
    }
    Ok(values)
}

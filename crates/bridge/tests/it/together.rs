//! Several calls at a time in one instance.

use futures_util::future::join_all;
use serde_json::json;
use slipway_bridge::protocol::LogStream;

use crate::instance::{Answer, Caller, Instance, Language};

const CALLS: usize = 3;

/// Each call waits until all are there, so none ends where they do not overlap.
const SYNC: &str = r#"
import sys, threading, time
barrier = threading.Barrier(3)
def handle(request, context):
    print(request.body, "came")
    barrier.wait(60)
    print(request.body, "is seen", file=sys.stderr)
    context.logger.info("%s is logged", request.body)
    barrier.wait(60)
    print(request.body, end=" ")
    print("goes")
    return request.body
"#;

const ASYNC: &str = r#"
import asyncio, sys
here, gone = [], []
async def all_in(place, one):
    place.append(one)
    while len(place) % 3: await asyncio.sleep(0.001)
async def handle(request, context):
    print(request.body, "came")
    await all_in(here, request.body)
    print(request.body, "is seen", file=sys.stderr)
    context.logger.info("%s is logged", request.body)
    await all_in(gone, request.body)
    print(request.body, end=" ")
    print("goes")
    return request.body
"#;

const NODE: &str = r"
const barrier = () => {
    let waiting = [];
    return () => new Promise((resolve) => {
        waiting.push(resolve);
        if (waiting.length === 3) { for (const each of waiting) each(); waiting = []; }
    });
};
const [here, gone] = [barrier(), barrier()];
export default async function handle(request, context) {
    console.log(request.body, 'came');
    await here();
    console.error(request.body, 'is seen');
    context.logger.info('%s is logged', request.body);
    await gone();
    process.stdout.write(`${request.body} `);
    process.stdout.write('goes\n');
    return request.body;
}";

/// Has each of the callers make a call at the same time, with its own name.
async fn call_together(callers: &mut [Caller]) -> Vec<Answer> {
    let calls = callers.iter_mut().enumerate();
    join_all(calls.map(|(number, caller)| caller.invoke(json!(format!("call {number}"))))).await
}

#[tokio::test]
async fn calls_overlap_and_each_has_its_own_answer_and_lines() {
    for (language, code) in [(Language::Python, SYNC), (Language::Python, ASYNC), (Language::Node, NODE)] {
        let (_instance, mut callers) = Instance::together(language, code, CALLS).await;
        for _ in 0..20 {
            let answers = call_together(&mut callers).await;
            for (number, answer) in answers.iter().enumerate() {
                let of = |stream| {
                    let lines = answer.logs.iter().filter(move |line| line.stream == stream);
                    lines.map(|line| line.text.clone()).collect::<Vec<_>>()
                };
                let name = format!("call {number}");
                assert_eq!(answer.text(), name, "{code}");
                assert_eq!(of(LogStream::Stdout), [format!("{name} came"), format!("{name} goes")], "{code}");
                assert_eq!(of(LogStream::Stderr), [format!("{name} is seen")], "{code}");
                assert_eq!(of(LogStream::Log), [format!("INFO {name} is logged")], "{code}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_fails_or_exits_leaves_its_neighbours_alone() {
    let python = r#"
import threading
barrier = threading.Barrier(3)
def handle(request, context):
    barrier.wait(60)
    if request.body == "call 0": raise ValueError("no")
    if request.body == "call 1": exit(3)
    return "fine"
"#;
    let coroutine = r#"
import asyncio
here = []
async def handle(request, context):
    here.append(1)
    while len(here) % 3: await asyncio.sleep(0.001)
    if request.body == "call 0": raise ValueError("no")
    if request.body == "call 1": exit(3)
    return "fine"
"#;
    for code in [python, coroutine] {
        let (_instance, mut callers) = Instance::together(Language::Python, code, CALLS).await;
        for _ in 0..3 {
            let answers = call_together(&mut callers).await;
            assert_eq!(answers[0].failure(), ("ValueError", "no"));
            assert_eq!(answers[1].failure(), ("handler_exited", "the handler called exit(3)"));
            assert_eq!(answers[2].text(), "fine");
        }
    }
}

#[tokio::test]
async fn a_process_that_ends_fails_each_of_its_calls() {
    let python = r"
import os, threading
barrier = threading.Barrier(3)
def handle(request, context):
    print(request.body)
    if barrier.wait(60) == 0: os._exit(7)
    threading.Event().wait()
";
    let node = r"
let count = 0;
export default function handle(request) {
    console.log(request.body);
    if (++count === 3) setTimeout(() => process.exit(7), 1);
    return new Promise(() => {});
}";
    for (language, code) in Language::ALL.into_iter().zip([python, node]) {
        let (mut instance, mut callers) = Instance::together(language, code, CALLS).await;
        for (number, answer) in call_together(&mut callers).await.iter().enumerate() {
            let message = "the function's process exited with status 7";
            assert_eq!(answer.failure(), ("worker_exited", message), "{language:?}");
            assert_eq!(answer.texts(), [format!("call {number}")]);
            assert!(answer.end.worker_exited);
        }
        assert_eq!(instance.status_when_terminated().await.code(), Some(1));
    }
}

#[tokio::test]
async fn output_that_names_no_call_is_the_oldest_ones() {
    let code = r#"
import os, time
def handle(request, context):
    if request.body == "oldest":
        open("here", "w").close()
        while not os.path.exists("go on"): time.sleep(0.001)
    else:
        os.write(1, b"printed by a program\n")
    return "fine"
"#;
    let (instance, mut callers) = Instance::together(Language::Python, code, 2).await;
    let (mut first, mut second) = (callers.remove(0), callers.remove(0));
    let go_on = async {
        instance.file_made("here").await;
        let answer = second.invoke(json!("second")).await;
        instance.make_file("go on");
        answer
    };
    let (oldest, other) = tokio::join!(first.invoke(json!("oldest")), go_on);
    assert_eq!(oldest.texts(), ["printed by a program"]);
    assert_eq!((other.text(), other.texts().len()), ("fine", 0));
}

#[tokio::test]
async fn a_reader_that_is_slow_keeps_no_other_call_waiting() {
    let code = "def handle(request, context): return 'x' * (8 << 20) if request.body == 'large' else 'fine'";
    let (_instance, mut callers) = Instance::together(Language::Python, code, 2).await;
    let (mut slow, mut quick) = (callers.remove(0), callers.remove(0));
    let held = slow.begin(json!("large")).await;
    for _ in 0..20 {
        assert_eq!(quick.invoke(json!("small")).await.text(), "fine");
    }
    assert_eq!(held.rest().await.text().len(), 8 << 20);
}

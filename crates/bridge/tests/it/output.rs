//! What a handler prints.

use serde_json::json;
use slipway_bridge::protocol::{Frame, LogStream};

use crate::instance::{Instance, Language, gone};

#[tokio::test]
async fn all_that_was_printed_before_the_answer_is_in_the_log() {
    let python = r#"
import sys
def handle(request, context):
    print("one ü")
    context.logger.warning("two %s", 2)
    print("three", file=sys.stderr)
    context.logger.info("four\nfive")
    print("six", end="")
"#;
    let node = r"
export default function handle(request, context) {
    console.log('one ü');
    context.logger.warn('two %s', 2);
    console.error('three');
    context.logger.info('four\nfive');
    process.stdout.write('six');
}";
    for (language, code) in Language::ALL.into_iter().zip([python, node]) {
        let mut instance = Instance::of(language, code).await;
        for _ in 0..50 {
            let answer = instance.invoke(json!(null)).await;
            let of = |stream| {
                let lines = answer.logs.iter().filter(move |line| line.stream == stream);
                lines.map(|line| line.text.as_str()).collect::<Vec<_>>()
            };
            assert_eq!(of(LogStream::Stdout), ["one ü", "six"], "{language:?}");
            assert_eq!(of(LogStream::Stderr), ["three"]);
            assert_eq!(of(LogStream::Log), ["WARNING two 2", "INFO four", "five"]);
            let place = |text| answer.texts().iter().position(|line| *line == text);
            assert!(place("one ü") < place("WARNING two 2") && place("three") < place("INFO four"));
            assert!(answer.logs.is_sorted_by_key(|line| line.time_us));
        }
    }
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_counted_and_does_not_stop_the_answer() {
    let python = r#"
import sys
def handle(request, context):
    line = "x" * 99
    for _ in range(1000):
        sys.stdout.write((line + "\n") * 1000)
    for _ in range(50000):
        print(line)
    return "done"
"#;
    let node = r"
export default function handle() {
    const line = 'x'.repeat(99) + '\n';
    const block = line.repeat(1000);
    for (let i = 0; i < 1050; i++) process.stdout.write(block);
    return 'done';
}";
    for (language, code) in Language::ALL.into_iter().zip([python, node]) {
        let mut instance = Instance::of(language, code).await;
        let bridge = instance.bridge_process();
        for _ in 0..2 {
            let answer = instance.invoke(json!(null)).await;
            assert_eq!(answer.text(), "done");
            assert_eq!(answer.logs.len(), 256 * 1024 / 100, "{language:?}");
            assert_eq!(answer.end.log_lines_dropped, 1_050_000 - 256 * 1024 / 100);
            assert_eq!(answer.end.log_bytes_dropped, answer.end.log_lines_dropped * 99);
        }
        let status = std::fs::read_to_string(format!("/proc/{bridge}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
        let kibibytes: u64 = peak.strip_suffix(" kB").unwrap().parse().unwrap();
        assert!(kibibytes < 32 * 1024, "the bridge grew to {peak}");
    }
}

#[tokio::test]
async fn one_endless_line_is_cut_and_counted() {
    let code =
        "def handle(request, context):\n  for _ in range(100): print('y' * 1000000, end='')\n  return 'done'";
    let mut instance = Instance::python(code).await;
    let answer = instance.invoke(json!(null)).await;
    assert_eq!(answer.text(), "done");
    assert!(answer.logs.iter().all(|line| line.text.ends_with('…')));
    let kept: usize = answer.logs.iter().map(|line| line.text.len() - '…'.len_utf8()).sum();
    assert_eq!(kept as u64 + answer.end.log_bytes_dropped, 100_000_000);
    assert_eq!(answer.end.log_lines_dropped, 1);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced() {
    let code = "import os\ndef handle(request, context): os.write(1, b'a\\xff\\x00b\\n')";
    let answer = Instance::python(code).await.invoke(json!(null)).await;
    assert_eq!(answer.texts(), ["a\u{fffd}\u{fffd}b"]);
}

#[tokio::test]
async fn what_is_printed_between_calls_is_in_the_log_of_the_next() {
    let code = r#"
import os, threading, time
def late():
    while not os.path.exists("answered"): time.sleep(0.001)
    print("between")
    open("printed", "w").close()
def handle(request, context):
    if request.body == "first":
        threading.Thread(target=late).start()
"#;
    let mut instance = Instance::python(code).await;
    assert!(instance.invoke(json!("first")).await.logs.is_empty());
    instance.make_file("answered");
    instance.file_made("printed").await;
    assert_eq!(instance.invoke(json!("second")).await.texts(), ["between"]);
}

#[tokio::test]
async fn a_call_that_never_answers_leaves_its_lines_and_no_process() {
    let python = r#"
import os, subprocess, time
def handle(request, context):
    print(os.getpid())
    print(subprocess.Popen(["sleep", "600"]).pid)
    while True: time.sleep(600)
"#;
    let node = r"
import { spawn } from 'node:child_process';
export default function handle() {
    console.log(process.pid);
    console.log(spawn('sleep', ['600']).pid);
    return new Promise(() => {});
}";
    for (language, code) in Language::ALL.into_iter().zip([python, node]) {
        let mut instance = Instance::of(language, code).await;
        let mut stream = instance.invoke_slowly().await;
        let mut processes = Vec::new();
        while processes.len() < 2 {
            let Some(Frame::Log(line)) = stream.next().await else { panic!("no line") };
            processes.push(line.text);
        }
        drop(stream);
        assert_eq!(instance.hang_up().status().await.code(), Some(0), "{language:?}");
        for process in processes {
            gone(&process).await;
        }
    }
}

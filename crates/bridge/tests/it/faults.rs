//! Handlers that fail, exit, or attack their bridge.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::instance::{Instance, Language};

#[tokio::test]
async fn a_handler_that_raises_fails_with_its_message_and_trace() {
    let python =
        "def handle(request, context):\n    deeper()\n\ndef deeper():\n    raise ValueError('no ü')\n";
    let node = "export default async function handle() {\n  deeper();\n}\nfunction deeper() { throw new RangeError('no ü'); }";
    let kinds = ["ValueError", "RangeError"];
    for ((language, code), kind) in Language::ALL.into_iter().zip([python, node]).zip(kinds) {
        let mut instance = Instance::of(language, code).await;
        for _ in 0..2 {
            let answer = instance.invoke(json!(null)).await;
            assert_eq!(answer.failure(), (kind, "no ü"));
            let trace = answer.fault().trace.as_ref().unwrap();
            assert!(trace.contains("deeper") && !trace.contains("worker."), "{trace}");
            assert!(!answer.end.worker_exited && answer.head.is_none());
        }
    }
}

#[tokio::test]
async fn whatever_is_raised_is_told_and_the_process_goes_on() {
    let code = r#"
import sys
class Unreadable(Exception):
    def __str__(self): raise RuntimeError
def recurse(): recurse()
def handle(request, context):
    match request.body:
        case "exit": sys.exit(3)
        case "exit with text": sys.exit("bye")
        case "interrupt": raise KeyboardInterrupt
        case "unreadable": raise Unreadable
        case "huge": raise ValueError("\0" * 10_000_000)
        case "recursion": recurse()
        case "closed": sys.stdout.close(); sys.stderr.close()
    return "fine"
"#;
    let mut instance = Instance::python(code).await;
    let cases = [
        ("exit", "handler_exited", "the handler called exit(3)"),
        ("exit with text", "handler_exited", "the handler called exit('bye')"),
        ("interrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("unreadable", "Unreadable", "its text cannot be read: str() of it fails"),
        ("huge", "ValueError", &"\u{fffd}".repeat(8 * 1024)),
        ("recursion", "RecursionError", "maximum recursion depth exceeded"),
    ];
    for (case, kind, message) in cases {
        let answer = instance.invoke(json!(case)).await;
        assert_eq!(answer.failure(), (kind, message), "{case}");
        assert!(!answer.end.worker_exited);
    }
    assert_eq!(instance.invoke(json!("closed")).await.text(), "fine");
    assert_eq!(instance.invoke(json!(null)).await.text(), "fine");
}

#[tokio::test]
async fn what_is_thrown_need_not_be_an_error() {
    let code = "export default (request) => { throw request.body }";
    let mut instance = Instance::node(code).await;
    assert_eq!(instance.invoke(json!("text")).await.failure(), ("string", "text"));
    assert_eq!(instance.invoke(json!(null)).await.failure(), ("object", "null"));
}

#[tokio::test]
async fn a_process_that_ends_in_mid_call_is_told_and_ends_the_bridge() {
    let python = "import os, signal\ndef handle(request, context):\n    print('last', flush=True)\n    ";
    let node = "export default (request) => { console.log('last'); ";
    let cases = [
        (Language::Python, format!("{python}os._exit(3)"), "exited with status 3"),
        (
            Language::Python,
            format!("{python}os.kill(os.getpid(), signal.SIGSEGV)"),
            "was killed by signal 11",
        ),
        (
            Language::Python,
            format!("{python}os.kill(os.getpid(), signal.SIGKILL)"),
            "was killed by signal 9: it may have run out of memory",
        ),
        (Language::Node, format!("{node} process.exit(4) }}"), "exited with status 4"),
    ];
    for (language, code, fate) in cases {
        let mut instance = Instance::of(language, &code).await;
        let answer = instance.invoke(json!(null)).await;
        assert_eq!(answer.failure(), ("worker_exited", &*format!("the function's process {fate}")));
        assert_eq!(answer.texts(), ["last"]);
        assert!(answer.end.worker_exited);
        assert_eq!(instance.status_when_terminated().await.code(), Some(1));
    }
}

#[tokio::test]
async fn a_process_that_ends_between_calls_ends_the_bridge() {
    let code = r#"
import os, threading, time
def late():
    while not os.path.exists("answered"): time.sleep(0.001)
    os._exit(5)
def handle(request, context): threading.Thread(target=late).start()
"#;
    let mut instance = Instance::python(code).await;
    assert_eq!(instance.invoke(json!(null)).await.json(), json!(null));
    instance.make_file("answered");
    assert_eq!(instance.status_when_it_ends().await.code(), Some(1));
}

#[tokio::test]
async fn an_error_that_escapes_a_node_handler_fails_the_call_and_ends_the_process() {
    let cases = [
        "setTimeout(() => { throw new TypeError('escaped') }); return new Promise(() => {});",
        "Promise.reject(new TypeError('escaped')); return new Promise(() => {});",
    ];
    for case in cases {
        let mut instance = Instance::node(&format!("export default () => {{ {case} }}")).await;
        let answer = instance.invoke(json!(null)).await;
        assert_eq!(answer.failure(), ("TypeError", "escaped"));
        assert!(answer.end.worker_exited);
        assert_eq!(instance.status_when_terminated().await.code(), Some(1));
    }
}

/// Finds the worker's socket as hostile code would.
const SOCKET: &str = r"
import os, stat
def is_socket(fd):
    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError: return False
def sockets(): return [fd for fd in range(3, 200) if is_socket(fd)]
";

#[tokio::test]
async fn garbage_on_the_worker_s_socket_is_refused() {
    let cases = [
        ("os.urandom(100000)", "is too large"),
        ("b'\\xff' * 13", "is too large"),
        ("b'\\x0a' + bytes(12)", "unknown kind"),
        ("b'\\x04' + bytes(7) + b'\\x03' + bytes(4) + b'{x}'", "malformed"),
        ("b'\\x04' + bytes(7) + b'\\x15' + bytes(4) + b'{\"status_code\": 200 }'", "belongs to no call"),
        ("b'\\x03' + bytes(12)", "belongs to no call"),
    ];
    for (garbage, fault) in cases {
        let code = format!(
            "{SOCKET}\ndef handle(request, context):\n    os.write(sockets()[0], {garbage})\n    while True: pass\n"
        );
        let mut instance = Instance::python(&code).await;
        let answer = instance.invoke(json!(null)).await;
        assert_eq!(answer.fault().kind, "worker_misbehaved", "{garbage}");
        let random = garbage.contains("urandom");
        assert!(random || answer.fault().message.contains(fault), "{garbage}: {answer:?}");
        assert!(answer.end.worker_exited);
        assert_eq!(instance.status_when_terminated().await.code(), Some(1));
    }
}

#[tokio::test]
async fn a_handler_s_children_cannot_speak_for_it() {
    let python = format!(
        r#"{SOCKET}
import subprocess, sys
def handle(request, context):
    code = "import os; print([f for f in os.listdir('/proc/self/fd') if os.path.realpath('/proc/self/fd/' + f).find('socket') >= 0])"
    spawned = subprocess.run([sys.executable, "-c", code], close_fds=False, capture_output=True, text=True)
    child = os.fork()
    if child == 0:
        context.logger.info("from the child")
        return "from the child"
    os.waitpid(child, 0)
    return [spawned.stdout.strip(), "SLIPWAY_WORKER_FD" in os.environ]
"#
    );
    let mut instance = Instance::python(&python).await;
    for _ in 0..2 {
        let answer = instance.invoke(json!(null)).await;
        assert_eq!(answer.json(), json!(["[]", false]));
        assert_eq!(answer.texts(), ["INFO from the child"]);
    }

    let node = r"
import { execFileSync } from 'node:child_process';
export default () => execFileSync('ls', ['-l', '/proc/self/fd'], { stdio: ['ignore', 'pipe', 'inherit'] }).toString();";
    let answer = Instance::node(node).await.invoke(json!(null)).await;
    let sockets: Vec<_> = answer.text().lines().filter(|line| line.contains("socket")).collect();
    // The standard output that Node.js made for it.
    assert!(matches!(sockets[..], [output] if output.contains(" 1 -> ")), "{sockets:?}");
}

#[tokio::test]
async fn sigterm_ends_the_bridge_and_a_worker_that_ignores_it() {
    let code =
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handle(request, context): pass";
    let mut instance = Instance::python(code).await;
    instance.invoke(json!(null)).await;
    let process = instance.bridge_process().to_string();
    assert!(Command::new("kill").arg(process).status().unwrap().success());
    assert_eq!(instance.status_when_it_ends().await.code(), Some(143));
}

#[tokio::test]
async fn a_bridge_that_reaches_no_runner_says_so() {
    let bridge = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_slipway-bridge")).args(arguments).output().unwrap()
    };
    let output = bridge(&["--socket=/nowhere/runner.sock", "sleep", "600"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/runner.sock cannot be reached"));
    assert_eq!(bridge(&["--socket=/nowhere/runner.sock", "/no/worker"]).status.code(), Some(69));
    assert_eq!(bridge(&[]).status.code(), Some(64));
}

#[tokio::test]
async fn orphans_are_not_waited_for() {
    let code =
        "import subprocess\ndef handle(request, context): subprocess.Popen(['sleep', '600']); return 'done'";
    let mut instance = Instance::python(code).await;
    let answer = tokio::time::timeout(Duration::from_secs(30), instance.invoke(json!(null))).await.unwrap();
    assert_eq!(answer.text(), "done");
    assert_eq!(instance.hang_up().status().await.code(), Some(0));
}

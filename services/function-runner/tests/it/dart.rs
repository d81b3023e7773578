//! Functions in Dart: both shapes of a handler, and what cannot be compiled.

use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::harness::{TestRunner, problem, zip_of};

const PUBSPEC: (&str, &str) = ("pubspec.yaml", "name: hello\nenvironment:\n  sdk: ^3.4.0\n");

/// A function as it is written for `ContainerPub`: its packages by version, those of development too, and no `main()`.
const CLASS: [(&str, &str); 3] = [
    (
        "pubspec.yaml",
        "name: greeter\nversion: 1.0.0\n\nenvironment:\n  sdk: ^3.10.0\n\ndependencies:\n  \
         dart_cloud_function: ^0.2.0\n  dart_cloud_logger: ^0.2.1\n\ndev_dependencies:\n  lints: ^6.0.0\n  test: ^1.25.6\n",
    ),
    (
        "main.dart",
        r"
import 'package:dart_cloud_function/dart_cloud_function.dart';
import 'package:dart_cloud_logger/dart_cloud_logger.dart';
import 'package:greeter/greeting.dart';

@cloudFunction
class Greeter extends CloudDartFunction {
  int calls = 0;

  @override
  Future<CloudResponse> handle({
    required CloudRequest request,
    required CloudDartFunctionLogger logger,
    Map<String, String>? env,
  }) async {
    calls++;
    print('call $calls');
    if (request.body == null) throw ArgumentError('nobody to greet');
    logger.info('greeting', metadata: {'name': request.body['name']});
    return CloudResponse.json(
      {'text': greeting(request.body['name']), 'greeter': env?['GREETER'], 'query': request.query, 'calls': calls},
      statusCode: 201,
      headers: {'X-Mine': 'yes'},
    );
  }
}
",
    ),
    ("lib/greeting.dart", "String greeting(String name) => 'Hello, $name!';\n"),
];

const PLAIN: &str = r"
import 'dart:async';
import 'dart:io';
import 'dart:typed_data';
import 'package:dart_cloud_function/dart_cloud_function.dart';

class Unreadable implements Exception {
  @override
  String toString() => throw 'never';
}

int recurse(int depth) => recurse(depth + 1) + recurse(depth);

List<Object> cycle() {
  final list = <Object>[];
  list.add(list);
  return list;
}

Future<Object?> handle(CloudRequest request, CloudContext context) async {
  switch (request.body) {
    case 'context':
      final left = context.deadline.difference(DateTime.now().toUtc()).inMilliseconds;
      return [
        context.functionName, context.functionVersion, context.executionId.length, context.env['GREETING'],
        context.remainingMs > 0 && context.remainingMs <= 60000, left > 0 && left <= 60001,
      ];
    case 'request': return [request.method, request.path, request.query, request.headers['x-a'], request.raw.length];
    case 'list': return [1, 2];
    case 'text': return CloudResponse.text('text ü', statusCode: 404);
    case 'bytes': return CloudResponse(body: Uint8List.fromList([104, 105]));
    case 'numbers': return CloudResponse.json([1, 2]);
    case 'nothing': return CloudResponse(statusCode: 204);
    case 'large': return 'x' * (4 << 20);
    case 'status': return CloudResponse(statusCode: 99);
    case 'name': return CloudResponse(headers: {'a b': 'x'});
    case 'value': return CloudResponse(headers: {'a': 'x\r\ny'});
    case 'not a number': return {'a': double.nan};
    case 'object': return Unreadable;
    case 'cycle': return cycle();
    case 'thrown text': throw 'as text';
    case 'exception': throw Exception('no ü');
    case 'unreadable': throw Unreadable();
    case 'later': await Future.delayed(Duration.zero); throw StateError('later');
    case 'recursion': return recurse(0);
    case 'print':
      print('one ü');
      context.logger.error('two');
      stderr.writeln('three');
      context.logger.info('four\nfive', metadata: {'a': [1]});
      stdout.write('six');
      return null;
    case 'child':
      final child = await Process.run('sh', ['-c', 'readlink /proc/self/fd/*; echo to the worker >&0']);
      return (child.stdout as String).contains('socket');
    case 'escape': Timer.run(() => throw RangeError('escaped')); await Completer<void>().future;
    case 'exit': print('last words'); exit(3);
    case 'hang': print('begun'); while (true) {}
  }
  return 'fine';
}
";

async fn deployed<'a>(runner: &'a TestRunner, files: &[(&str, &str)]) -> Deployed<'a> {
    let owner = runner.person();
    let answer = runner.deploy("dart", files, &owner).await;
    assert_eq!(answer["function"]["runtime"], "dart");
    let id = answer["function"]["id"].as_str().unwrap().to_owned();
    Deployed { runner, owner, id }
}

/// Calls what fails; returns the status, the detail and the recorded error.
async fn failure(function: &Deployed<'_>, body: &str) -> (u16, String, Value) {
    let answer = function.call(&json!({ "body": body })).await;
    let status = answer.status().as_u16();
    let problem: Value = answer.json().await.unwrap();
    let run = function.execution(problem["execution_id"].as_str().unwrap()).await;
    (status, problem["detail"].as_str().unwrap().to_owned(), run["error"].clone())
}

#[tokio::test]
async fn a_class_that_was_written_for_containerpub_runs_unchanged() {
    let runner = TestRunner::start().await;
    let function = deployed(&runner, &CLASS).await;
    function.configure(json!({ "env": { "GREETER": "Ada" } })).await;

    let call = json!({ "body": { "name": "Bob" }, "query": { "a": "1" } });
    let first = function.answer(&call).await;
    let second = function.answer(&call).await;

    assert_eq!(
        (&first["status_code"], &first["headers"]["x-mine"]),
        (&json!(201), &json!("yes")),
        "{first:#}"
    );
    let result = json!({ "text": "Hello, Bob!", "greeter": "Ada", "query": { "a": "1" }, "calls": 1 });
    assert_eq!(first["result"], result);
    assert_eq!(second["result"]["calls"], 2, "the object lives as long as the instance");
    let printed = function.printed(second["execution_id"].as_str().unwrap()).await;
    assert_eq!(printed, ["call 2", r#"INFO greeting {"name":"Bob"}"#]);
    let answer = function.call(&json!({})).await;
    assert_eq!(answer.status(), 502);
    let failed: Value = answer.json().await.unwrap();
    let run = function.execution(failed["execution_id"].as_str().unwrap()).await;
    assert_eq!(run["error"]["type"], "ArgumentError", "{run:#}");
    assert_eq!(run["error"]["message"], "Invalid argument(s): nobody to greet");
    let trace = run["error"]["trace"].as_str().unwrap();
    assert!(
        trace.starts_with("#0      Greeter.handle (main.dart:18)") && !trace.contains("worker"),
        "{trace}"
    );
}

#[tokio::test]
async fn a_plain_handler_is_told_of_its_call_and_answers_in_every_shape() {
    let runner = TestRunner::start().await;
    let function = deployed(&runner, &[PUBSPEC, ("main.dart", PLAIN)]).await;
    function.configure(json!({ "env": { "GREETING": "hé" }, "timeout_ms": 60_000 })).await;

    let answer = function.answer(&json!({ "body": "context" })).await;
    assert_eq!(answer["result"], json!(["dart", 1, 36, "hé", true, true]), "{answer:#}");
    let call = json!({ "method": "PUT", "path": "/a/ü", "query": { "b": "ü" }, "headers": { "X-A": "1" }, "body": "request" });
    let answer = function.answer(&call).await;
    assert_eq!(answer["result"], json!(["PUT", "/a/ü", { "b": "ü" }, "1", 9]), "{answer:#}");
    for (case, status, content_type, body) in [
        ("list", 200, Some("application/json"), json!([1, 2])),
        ("text", 404, Some("text/plain; charset=utf-8"), json!("text ü")),
        ("bytes", 200, Some("application/octet-stream"), json!("hi")),
        ("numbers", 200, Some("application/json"), json!([1, 2])),
        ("nothing", 204, None, Value::Null),
        ("large", 200, Some("text/plain; charset=utf-8"), Value::Null),
    ] {
        let answer = function.answer(&json!({ "body": case })).await;
        assert_eq!(answer["status_code"], status, "{case}");
        assert_eq!(answer["headers"]["content-type"].as_str(), content_type, "{case}");
        if case != "large" {
            assert_eq!(answer["result"], body, "{case}");
        }
    }
    for (case, message) in [
        ("status", "statusCode has to be a number from 200 to 599, not 99"),
        ("name", "a b is no name of a header"),
        ("value", "the value of the header a holds characters that no header can"),
        ("not a number", "the answer is not JSON: NaN is no JSON value"),
        ("object", "the answer is not JSON: a Type is no JSON value"),
        ("cycle", "the answer is not JSON: it holds itself"),
    ] {
        let (status, _, error) = failure(&function, case).await;
        assert_eq!(
            (status, &error["type"], &error["message"]),
            (502, &json!("invalid_answer"), &json!(message))
        );
    }
    let answer = function.answer(&json!({ "body": "print" })).await;
    let mut printed = function.printed(answer["execution_id"].as_str().unwrap()).await;
    printed.sort_unstable();
    assert_eq!(printed, ["ERROR two", "INFO four", "five {\"a\":[1]}", "one ü", "six", "three"]);
    assert_eq!(
        function.answer(&json!({ "body": "child" })).await["result"],
        false,
        "children have no socket"
    );
}

#[tokio::test]
async fn whatever_a_dart_handler_throws_is_told_and_what_ends_its_process_ends_one_call() {
    let runner = TestRunner::start().await;
    let function = deployed(&runner, &[PUBSPEC, ("main.dart", PLAIN)]).await;

    for (case, kind, message) in [
        ("thrown text", "String", "as text"),
        ("exception", "Exception", "no ü"),
        ("unreadable", "Unreadable", "its text cannot be read: toString() of it fails"),
        ("later", "StateError", "Bad state: later"),
        ("recursion", "StackOverflowError", "Stack Overflow"),
        ("escape", "RangeError", "escaped"),
        ("exit", "worker_exited", "the function's process exited with status 3"),
    ] {
        let (status, detail, error) = failure(&function, case).await;
        assert_eq!(
            (status, &error["type"], &error["message"]),
            (502, &json!(kind), &json!(message)),
            "{case}"
        );
        assert!(detail.contains(message), "{detail}");
        assert_eq!(function.answer(&json!({ "body": "" })).await["result"], "fine", "after {case}");
    }

    function.configure(json!({ "timeout_ms": 2_000 })).await;
    let answer = function.call(&json!({ "body": "hang" })).await;
    assert_eq!(answer.status(), 504);
    let late: Value = answer.json().await.unwrap();
    assert_eq!(function.printed(late["execution_id"].as_str().unwrap()).await, ["begun"]);
}

#[tokio::test]
async fn what_cannot_be_compiled_is_refused_with_the_reason() {
    let runner = TestRunner::start_with(&[("BUILD_REGISTRIES", "registry.example")]).await;
    let ada = runner.person();
    let main = ("main.dart", "handle(request, context) => 1;");
    let try_deploy =
        async |files: &[(&str, &str)]| problem(runner.try_deploy("dart", zip_of(files), &ada).await).await;

    let (status, code, detail) = try_deploy(&[PUBSPEC, ("main.dart", "void main() {}")]).await;
    assert_eq!((status, code.as_str()), (422, "invalid_project"));
    assert!(detail.starts_with("main.dart: there is neither a class with @cloudFunction"), "{detail}");
    for (dependency, reason) in [
        ("path: ../../etc", "/etc"),
        ("git: https://example.com/a.git", "git"),
        (
            "{hosted: 'https://packages.example', version: any}",
            "packages.example:443 is not an allowed registry",
        ),
    ] {
        let pubspec = format!("{}dependencies:\n  a:\n    {dependency}\n", PUBSPEC.1);
        let (status, code, detail) = try_deploy(&[("pubspec.yaml", &pubspec), main]).await;
        assert_eq!((status, code.as_str()), (422, "build_failed"), "{dependency}: {detail}");
        assert!(detail.contains(reason), "{dependency}: {detail}");
    }
    let (status, code, detail) =
        try_deploy(&[PUBSPEC, ("main.dart", "handle(request, context) => missing;")]).await;
    assert_eq!((status, code.as_str()), (422, "build_failed"), "{detail}");
    assert!(detail.starts_with("the function was not compiled: "), "{detail}");
    assert!(detail.contains("main.dart:1:29: Error: Undefined name 'missing'"), "{detail}");
}

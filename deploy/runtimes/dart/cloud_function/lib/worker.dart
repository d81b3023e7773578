/// Runs a Dart function for the bridge. The program that is compiled of a function calls [serve]; functions themselves
/// have no use for this.
library;

import 'dart:async';
import 'dart:convert';
import 'dart:io';
import 'dart:typed_data';

import 'dart_cloud_function.dart';
import 'src/answer.dart';
import 'src/bridge.dart';

/// Answers a call with a [CloudResponse], or with any JSON value.
typedef Handler = FutureOr<Object?> Function(CloudRequest request, CloudContext context);

// Characters; with JSON's escapes they fit in a head.
const _maxName = 256, _maxMessage = 8 * 1024, _maxTrace = 24 * 1024;

/// Where the function was compiled, which its traces leave out.
const _folder = String.fromEnvironment('slipway.folder', defaultValue: 'file:///');

/// Returns what calls a function that is a class.
Handler ofClass(CloudDartFunction function) =>
    (request, context) => function.handle(request: request, logger: context.logger, env: context.env);

/// Loads the handler when the bridge asks for it, and calls it until the bridge is gone.
void serve(Handler Function() load) {
  late final _Worker worker;
  // What escapes the handler leaves the process in a state that nobody knows: it fails the call and ends.
  runZonedGuarded(() => worker = _Worker(load), (error, trace) => worker.escaped(error, trace));
}

class _Worker {
  final Handler Function() _load;
  late final Bridge _bridge;
  late final CloudDartFunctionLogger _logger;
  late final Map<String, dynamic> _configuration;
  late final Map<String, String> _env;
  late final Handler _handler;

  /// The number of the call that goes on.
  int? _call;

  _Worker(this._load) {
    _bridge = Bridge(_attend);
    _logger = BridgeLogger(_bridge);
  }

  Future<void> _attend(int kind, int call, Map<String, dynamic> head, Uint8List body) async {
    _call = call;
    int outcome;
    List<int> described = const [];
    Uint8List? data;
    try {
      if (kind == configure) {
        _configure(head);
        outcome = ready;
      } else {
        final context = CloudContext.of(head, _configuration, _env, _logger);
        (described, data) = encoded(await _handler(_request(head, body), context));
        outcome = answer;
      }
    } catch (error, trace) {
      outcome = failure;
      described = _fault(error, trace);
    }
    await _flush();
    if (_call != call) return;
    _call = null;
    _bridge.send(outcome, call, described, data);
  }

  void _configure(Map<String, dynamic> configuration) {
    _configuration = configuration;
    _env = Map<String, String>.from(configuration['env'] as Map? ?? const {});
    _handler = _load();
  }

  Future<void> escaped(Object error, StackTrace trace) async {
    final call = _call;
    if (call == null) {
      stderr.writeln('$error\n$trace');
      await _flush();
      exit(1);
    }
    _call = null;
    await _flush();
    _bridge.send(lastFailure, call, _fault(error, trace), null, () => exit(1));
  }
}

CloudRequest _request(Map<String, dynamic> head, Uint8List raw) {
  final headers = _joined(head['headers'] as List, ', ');
  return CloudRequest(
    method: head['method'] as String,
    path: head['path'] as String,
    headers: headers,
    query: _joined(head['query'] as List, ','),
    body: _parsed(raw, headers['content-type'] ?? 'application/json'),
    raw: raw,
  );
}

Map<String, String> _joined(List<dynamic> pairs, String separator) {
  final values = <String, String>{};
  for (final pair in pairs.cast<List<dynamic>>()) {
    final [name as String, value as String] = pair;
    values.update(name, (first) => '$first$separator$value', ifAbsent: () => value);
  }
  return values;
}

/// The body as JSON where it is JSON, else as text; null when it is empty or neither.
Object? _parsed(Uint8List raw, String contentType) {
  if (raw.isEmpty) return null;
  final media = contentType.split(';').first.trim().toLowerCase();
  try {
    final text = utf8.decode(raw);
    if (media != 'application/json' && !media.endsWith('+json')) return text;
    try {
      return jsonDecode(text);
    } on FormatException {
      return text;
    } on StackOverflowError {
      return text;
    }
  } on FormatException {
    return null;
  }
}

/// Waits until what was printed lies in the pipes, before the answer is sent.
Future<void> _flush() async {
  for (final stream in [stdout, stderr]) {
    try {
      await stream.flush();
    } catch (_) {
      // The function closed it, or writes to it still.
    }
  }
}

/// Describes what was thrown as JSON: {type, message, trace?}.
List<int> _fault(Object error, StackTrace trace) {
  if (error is InvalidAnswer) {
    return utf8.encode(jsonEncode({'type': 'invalid_answer', 'message': _beginning(error.message, _maxMessage)}));
  }
  // The exceptions of the language itself have private names.
  final type = '${error.runtimeType}'.replaceFirst(RegExp('^_'), '');
  return utf8.encode(
    jsonEncode({
      'type': _beginning(type, _maxName),
      'message': _beginning(_message(error, type), _maxMessage),
      'trace': _beginning(_frames(trace), _maxTrace),
    }),
  );
}

String _message(Object error, String type) {
  try {
    final text = '$error';
    final rest = text.startsWith('$type: ') ? text.substring(type.length + 2) : text;
    return rest.isEmpty ? type : rest;
  } catch (_) {
    return 'its text cannot be read: toString() of it fails';
  }
}

/// The frames from where it was thrown to where the worker called, without those of the language's event loop.
String _frames(StackTrace trace) => const LineSplitter()
    .convert('$trace')
    .takeWhile((line) => !line.contains('cloud_function/lib/') && !line.contains('package:dart_cloud_function/'))
    .where((line) => !line.contains('(dart:async') && !line.contains('(dart:isolate'))
    .map((line) => line.replaceAll(_folder, ''))
    .join('\n');

/// The first characters of a text. Halves of a pair, of which JSON would make no text, become U+FFFD.
String _beginning(String text, int length) =>
    utf8.decode(utf8.encode(text.length > length ? text.substring(0, length) : text));

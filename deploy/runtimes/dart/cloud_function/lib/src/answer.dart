import 'dart:convert';
import 'dart:typed_data';

import 'response.dart';

const _maxHeadBytes = 256 * 1024;
const _maxBodyBytes = 64 * 1024 * 1024;
final _token = RegExp(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$");
final _forbidden = RegExp('[\u0000-\u0008\u000a-\u001f\u007f]');

/// The handler's answer cannot be sent.
class InvalidAnswer {
  final String message;

  InvalidAnswer(this.message);
}

/// Returns head and body of an answer: a [CloudResponse], or any JSON value as the body.
(List<int>, Uint8List) encoded(Object? given) {
  final response = switch (given) {
    CloudResponse() => given,
    String() || Uint8List() => CloudResponse(body: given),
    _ => JsonResponse(body: given),
  };
  final status = response.statusCode;
  if (status < 200 || status > 599) {
    throw InvalidAnswer('statusCode has to be a number from 200 to 599, not $status');
  }
  final headers = [
    for (final MapEntry(key: name, value: text) in response.headers.entries) [_checkedName(name), _checked(name, text)],
  ];
  final hasBody = response.body != null || given is! CloudResponse;
  final (type, body) = hasBody ? _content(response) : (null, Uint8List(0));
  if (body.length > _maxBodyBytes) {
    throw InvalidAnswer('the answer is ${body.length} bytes, and at most $_maxBodyBytes can be sent');
  }
  if (type != null && !headers.any((header) => header.first == 'content-type')) headers.add(['content-type', type]);
  final head = utf8.encode(jsonEncode({'status_code': status, 'headers': headers}));
  if (head.length > _maxHeadBytes) {
    throw InvalidAnswer("the answer's headers are larger than $_maxHeadBytes bytes");
  }
  return (head, body);
}

(String, Uint8List) _content(CloudResponse response) {
  final body = response.body;
  if (body is String) {
    final type = response is JsonResponse ? 'application/json' : 'text/plain; charset=utf-8';
    return (type, utf8.encode(body));
  }
  if (body is List<int> && response is! JsonResponse) {
    return ('application/octet-stream', body is Uint8List ? body : Uint8List.fromList(body));
  }
  try {
    return ('application/json', utf8.encode(jsonEncode(body)));
  } on JsonCyclicError {
    throw InvalidAnswer('the answer is not JSON: it holds itself');
  } on JsonUnsupportedObjectError catch (error) {
    final value = error.unsupportedObject;
    final shown = value is double ? '$value' : 'a ${value.runtimeType}';
    throw InvalidAnswer('the answer is not JSON: $shown is no JSON value');
  } on StackOverflowError {
    throw InvalidAnswer('the answer is not JSON: it is nested too deep');
  }
}

String _checkedName(String name) {
  if (_token.hasMatch(name)) return name.toLowerCase();
  throw InvalidAnswer('${name.length > 100 ? name.substring(0, 100) : name} is no name of a header');
}

String _checked(String name, String value) {
  if (!_forbidden.hasMatch(value)) return value;
  throw InvalidAnswer('the value of the header $name holds characters that no header can');
}

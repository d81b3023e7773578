/// The answer to a call: text, bytes (`List<int>`), or what can be written as JSON; without a body where it is null.
class CloudResponse {
  /// From 200 to 599.
  final int statusCode;
  final Map<String, String> headers;
  final dynamic body;

  CloudResponse({this.statusCode = 200, Map<String, String>? headers, this.body}) : headers = headers ?? {};

  /// Answers with JSON; text is taken for JSON that is written already.
  static CloudResponse json(Object body, {int statusCode = 200, Map<String, String>? headers}) =>
      JsonResponse(statusCode: statusCode, headers: headers, body: body);

  static CloudResponse text(String body, {int statusCode = 200, Map<String, String>? headers}) =>
      CloudResponse(statusCode: statusCode, headers: headers, body: body);
}

/// An answer whose body is JSON, even if it is a list of numbers.
class JsonResponse extends CloudResponse {
  JsonResponse({super.statusCode, super.headers, super.body});
}

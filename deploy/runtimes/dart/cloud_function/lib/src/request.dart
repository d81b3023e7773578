/// A call of the function.
class CloudRequest {
  final String method;
  final String path;

  /// By lower-case names; the values of a repeated one are joined by `, `.
  final Map<String, String> headers;

  /// The values of a repeated parameter are joined by `,`.
  final Map<String, String> query;

  /// The body as JSON where it is JSON, else as text; null when it is empty or neither.
  final dynamic body;

  /// The body's bytes.
  final dynamic raw;

  CloudRequest({
    required this.method,
    required this.path,
    required this.headers,
    required this.query,
    this.body,
    this.raw,
  });

  CloudRequest copyWith({
    String? method,
    String? path,
    Map<String, String>? headers,
    Map<String, String>? query,
    dynamic body,
    dynamic raw,
  }) => CloudRequest(
    method: method ?? this.method,
    path: path ?? this.path,
    headers: headers ?? this.headers,
    query: query ?? this.query,
    body: body ?? this.body,
    raw: raw ?? this.raw,
  );
}

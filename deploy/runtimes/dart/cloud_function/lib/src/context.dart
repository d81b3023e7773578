import 'package:dart_cloud_logger/dart_cloud_logger.dart';

/// What a handler is told about its call.
class CloudContext {
  final String executionId;

  /// The trace that the call belongs to (W3C Trace Context).
  final String? traceparent;
  final String functionName;
  final int functionVersion;

  /// The function's settings and secrets.
  final Map<String, String> env;

  /// Its lines go to the function's log.
  final CloudDartFunctionLogger logger;
  final Duration _timeout;
  final Stopwatch _elapsed = Stopwatch()..start();

  CloudContext.of(Map<String, dynamic> head, Map<String, dynamic> configuration, this.env, this.logger)
    : executionId = head['execution_id'] as String,
      traceparent = head['traceparent'] as String?,
      functionName = configuration['function_name'] as String,
      functionVersion = configuration['function_version'] as int,
      _timeout = Duration(milliseconds: head['deadline_ms'] as int);

  /// The time until the call is ended, in milliseconds.
  int get remainingMs => (_timeout - _elapsed.elapsed).inMilliseconds.clamp(0, _timeout.inMilliseconds);

  /// When the call is ended, in UTC.
  DateTime get deadline => DateTime.now().toUtc().add(_timeout - _elapsed.elapsed);
}

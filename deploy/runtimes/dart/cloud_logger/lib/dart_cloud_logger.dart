/// What functions log with: the names of ContainerPub's package, for functions that were written for it.
library;

/// How much a line matters.
enum LoggerTypeAction { error, debug, info }

/// Takes the lines of a function.
abstract class CloudDartFunctionLogger {
  /// Logs a message, and values that belong to it.
  void printLog(LoggerTypeAction level, String message, {Map<String, dynamic>? metadata});

  void error(String message, {Map<String, dynamic>? metadata}) =>
      printLog(LoggerTypeAction.error, message, metadata: metadata);

  void debug(String message, {Map<String, dynamic>? metadata}) =>
      printLog(LoggerTypeAction.debug, message, metadata: metadata);

  void info(String message, {Map<String, dynamic>? metadata}) =>
      printLog(LoggerTypeAction.info, message, metadata: metadata);
}

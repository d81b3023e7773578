import 'package:dart_cloud_logger/dart_cloud_logger.dart';

import 'request.dart';
import 'response.dart';

/// Marks the class that answers calls; a function has one.
class CloudFunction {
  const CloudFunction();
}

const cloudFunction = CloudFunction();

/// Answers calls. One object of it lives as long as its instance.
abstract class CloudDartFunction {
  /// Answers a call; [env] has the function's settings and secrets.
  Future<CloudResponse> handle({
    required CloudRequest request,
    required CloudDartFunctionLogger logger,
    Map<String, String>? env,
  });
}

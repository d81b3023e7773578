/// What functions are written with: the names of ContainerPub's package, for functions that were written for it, and
/// [CloudContext] for those that are a plain `Future<CloudResponse> handle(CloudRequest, CloudContext)`.
library;

export 'package:dart_cloud_logger/dart_cloud_logger.dart';

export 'src/context.dart' show CloudContext;
export 'src/function.dart';
export 'src/request.dart';
export 'src/response.dart' hide JsonResponse;

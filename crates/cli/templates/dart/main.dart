import 'package:dart_cloud_function/dart_cloud_function.dart';

/// Greets whoever the request names.
Future<CloudResponse> handle(CloudRequest request, CloudContext context) async {
  final name = (request.body as Map?)?['name'] ?? 'world';
  print('greeting $name');
  return CloudResponse.json({'message': 'Hello, $name!'});
}

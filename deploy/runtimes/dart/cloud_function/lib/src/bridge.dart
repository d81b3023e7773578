import 'dart:collection';
import 'dart:convert';
import 'dart:io';
import 'dart:typed_data';

import 'package:dart_cloud_logger/dart_cloud_logger.dart';

/// What a message is; crates/bridge/src/wire.rs describes them.
const configure = 1, invoke = 2, ready = 3, answer = 4, failure = 5, log = 6, lastFailure = 7;
const _preludeBytes = 13;
const _maxLogBytes = 64 * 1024;

/// The socket to the bridge: standard input.
class Bridge {
  final void Function(int kind, int call, Map<String, dynamic> head, Uint8List body) _onMessage;
  final RawSocket _socket = ResourceHandle.fromStdin(stdin).toRawSocket();
  final _received = BytesBuilder(copy: false);
  final _unsent = Queue<Uint8List>();
  void Function()? _onSent;

  Bridge(this._onMessage) {
    // Without the bridge nobody waits for anything.
    _socket.listen(_attend, onError: (Object _) => exit(0), onDone: () => exit(0));
    _socket.writeEventsEnabled = false;
  }

  void _attend(RawSocketEvent event) {
    switch (event) {
      case RawSocketEvent.read:
        final chunk = _socket.read();
        if (chunk != null) _take(chunk);
      case RawSocketEvent.write:
        _write();
      default:
        exit(0);
    }
  }

  /// The bytes of the message that is on its way, once its prelude is there.
  int _awaited = _preludeBytes;

  void _take(Uint8List chunk) {
    _received.add(chunk);
    if (_received.length < _awaited) return;
    var bytes = _received.takeBytes();
    while (bytes.length >= _preludeBytes) {
      final prelude = ByteData.sublistView(bytes);
      final head = _preludeBytes + prelude.getUint32(5);
      final end = head + prelude.getUint32(9);
      _awaited = end;
      if (bytes.length < end) break;
      final text = utf8.decode(Uint8List.sublistView(bytes, _preludeBytes, head));
      final body = Uint8List.sublistView(bytes, head, end);
      _onMessage(prelude.getUint8(0), prelude.getUint32(1), jsonDecode(text) as Map<String, dynamic>, body);
      bytes = Uint8List.sublistView(bytes, end);
      _awaited = _preludeBytes;
    }
    if (bytes.isNotEmpty) _received.add(bytes);
  }

  /// Sends a message; [onSent] is called when all that was sent is with the bridge.
  void send(int kind, int call, [List<int> head = const [], Uint8List? body, void Function()? onSent]) {
    final start = Uint8List(_preludeBytes + head.length)..setAll(_preludeBytes, head);
    ByteData.sublistView(start)
      ..setUint8(0, kind)
      ..setUint32(1, call)
      ..setUint32(5, head.length)
      ..setUint32(9, body?.length ?? 0);
    _unsent.add(start);
    if (body != null && body.isNotEmpty) _unsent.add(body);
    _onSent = onSent ?? _onSent;
    _write();
  }

  void _write() {
    try {
      while (_unsent.isNotEmpty) {
        final part = _unsent.removeFirst();
        final written = _socket.write(part);
        if (written < part.length) {
          _unsent.addFirst(Uint8List.sublistView(part, written));
          _socket.writeEventsEnabled = true;
          return;
        }
      }
    } on SocketException {
      exit(0);
    }
    _onSent?.call();
  }

  /// Sends text as whole lines, in parts where it is long.
  void print(String text) {
    final data = utf8.encode('$text\n');
    for (var start = 0; start < data.length; start += _maxLogBytes) {
      send(log, 0, Uint8List.sublistView(data, start, (start + _maxLogBytes).clamp(0, data.length)));
    }
  }
}

/// Logs to the function's log.
class BridgeLogger extends CloudDartFunctionLogger {
  final Bridge _bridge;

  BridgeLogger(this._bridge);

  @override
  void printLog(LoggerTypeAction level, String message, {Map<String, dynamic>? metadata}) {
    final values = metadata == null || metadata.isEmpty ? '' : ' ${_described(metadata)}';
    _bridge.print('${level.name.toUpperCase()} $message$values');
  }

  static String _described(Map<String, dynamic> metadata) {
    try {
      return jsonEncode(metadata, toEncodable: (value) => '$value');
    } catch (_) {
      return '$metadata';
    }
  }
}

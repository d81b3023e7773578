"""Runs a Python function for the bridge: the standard library only, Python 3.9 and later.

The working directory is the application's folder and `.deps` in it holds its packages. The bridge's messages come
and go on the socket that $SLIPWAY_WORKER_FD names; crates/bridge/src/wire.rs describes them. Modules that not
every function needs are imported where they are needed: this file is on the path of every cold start.
"""

import json
import os
import struct
import sys
import threading
import time

PRELUDE = struct.Struct(">BIII")
CONFIGURE, INVOKE, READY, ANSWER, FAILURE, LOG, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 8, 9
MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
# Characters; with JSON's escapes they fit in a head.
MAX_NAME, MAX_MESSAGE, MAX_TRACE = 256, 8 * 1024, 24 * 1024
MAX_LOG_BYTES = 64 * 1024
FOLDER = os.getcwd()
DEFAULT_ENTRY = "main.py"
IS_COROUTINE = 0x80  # CO_COROUTINE of a code object's flags
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class HandlerMissing(Exception):
    """There is no handler where one was looked for."""


class InvalidAnswer(Exception):
    """The handler's answer cannot be sent."""


class HandlerExited(Exception):
    """The handler called exit."""


KINDS = {HandlerMissing: "handler_missing", InvalidAnswer: "invalid_answer", HandlerExited: "handler_exited"}


class Bridge:
    """The socket to the bridge: reads in the main thread, writes in any."""

    def __init__(self, descriptor):
        os.set_inheritable(descriptor, False)
        self.descriptor = descriptor
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.reader = open(descriptor, "rb", buffering=64 * 1024, closefd=False)
        # Tells the call of the code that runs, where several may be under way.
        self.current = lambda: 0
        os.register_at_fork(after_in_child=self.close)

    def close(self):
        """Keeps a forked child from speaking for its parent."""
        os.close(self.descriptor)
        self.descriptor = None

    def receive(self):
        """Returns (kind, call, head, body), or None when the bridge is gone."""
        prelude = self.reader.read(PRELUDE.size)
        if len(prelude) < PRELUDE.size:
            return None
        kind, call, head, body = PRELUDE.unpack(prelude)
        return kind, call, self.reader.read(head), self.reader.read(body)

    def send(self, kind, call, head=b"", body=b""):
        parts = [PRELUDE.pack(kind, call, len(head), len(body)) + head]
        if body:
            parts.append(body)
        with self.lock:
            while parts:
                written = os.writev(self.descriptor, parts)
                while parts and written >= len(parts[0]):
                    written -= len(parts.pop(0))
                if written:
                    parts[0] = memoryview(parts[0])[written:]

    def log(self, text):
        """Sends text as whole lines, in parts where it is long. A forked child prints it."""
        if self.descriptor is None:
            print(text, file=sys.stderr)
            return
        self.print(LOG, self.current(), (text + "\n").encode("utf-8", "replace"))

    def print(self, kind, call, data):
        for start in range(0, len(data), MAX_LOG_BYTES):
            self.send(kind, call, data[start : start + MAX_LOG_BYTES])


class Request(dict):
    """{method, path, headers, query, body, raw}, as keys and as attributes."""

    def __init__(self, head, raw):
        headers = joined(head["headers"], ", ")
        super().__init__(
            method=head["method"],
            path=head["path"],
            headers=headers,
            query=joined(head["query"], ","),
            body=parsed(raw, headers.get("content-type")),
            raw=raw,
        )

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a request has no {name}") from None


def joined(pairs, separator):
    values = {}
    for name, value in pairs:
        values[name] = values[name] + separator + value if name in values else value
    return values


def parsed(raw, content_type):
    """The body as JSON where it is JSON, else as text; None when it is empty or neither."""
    if not raw:
        return None
    media = "application/json" if content_type is None else content_type.partition(";")[0].strip().lower()
    if media == "application/json" or media.endswith("+json"):
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            pass
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


class Context:
    """What a handler is told about its call, and its logger."""

    __slots__ = ("execution_id", "traceparent", "function_name", "function_version", "env", "_ends", "_loggers")

    def __init__(self, head, configuration, loggers):
        self._ends = time.monotonic() + head["deadline_ms"] / 1000
        self._loggers = loggers
        self.execution_id = head["execution_id"]
        self.traceparent = head.get("traceparent")
        self.function_name = configuration["function_name"]
        self.function_version = configuration["function_version"]
        self.env = configuration["env"]

    def remaining_ms(self):
        """The time until the call is ended, in milliseconds."""
        return max(0, int((self._ends - time.monotonic()) * 1000))

    @property
    def deadline(self):
        """When the call is ended: an aware datetime in UTC."""
        from datetime import datetime, timedelta, timezone

        return datetime.now(timezone.utc) + timedelta(seconds=self._ends - time.monotonic())

    @property
    def logger(self):
        """A logging.Logger at level INFO whose lines go to the function's log."""
        return self._loggers(self.function_name)


def make_loggers(bridge):
    """Returns what makes the function's logger, once it is asked for."""
    made = {}

    def loggers(name):
        if name not in made:
            import logging

            class Handler(logging.Handler):
                def emit(self, record):
                    try:
                        bridge.log(self.format(record))
                    except Exception:
                        self.handleError(record)

            handler = Handler()
            handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False
            made[name] = logger
        return made[name]

    return loggers


def load(entry):
    """Imports the application's entry and returns its handler."""
    import importlib.util
    import site

    path = os.path.join(FOLDER, entry)
    if not os.path.isfile(path):
        raise HandlerMissing(f"there is no {entry}: it has to define handle(request, context)")
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HandlerMissing(f"{entry} is no Python file")
    # The worker's own folder gives way to the application's; its packages come after the standard library.
    sys.path[:1] = dict.fromkeys([os.path.dirname(path), FOLDER])
    site.addsitedir(os.path.join(FOLDER, ".deps"))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = getattr(module, "handle", None)
    if not callable(handler):
        raise HandlerMissing(f"{entry} does not define handle(request, context)")
    if is_coroutine(handler):
        event_loop()
    return handler


def is_coroutine(handler):
    return getattr(getattr(handler, "__code__", None), "co_flags", 0) & IS_COROUTINE


def event_loop():
    """The loop of all asynchronous calls, so that what a handler keeps between calls stays usable."""
    if not _event_loops:
        import asyncio

        _event_loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(_event_loops[0])
    return _event_loops[0]


_event_loops = []


def call(handler, request, context, wait):
    """Returns the handler's answer. An exit becomes an ordinary failure of this one call."""
    try:
        answer = handler(request, context)
        return wait(answer) if hasattr(answer, "__await__") else answer
    except SystemExit as exit:
        raise exited(exit) from None


def wait_here(answer):
    return event_loop().run_until_complete(answer)


def exited(exit):
    return HandlerExited(f"the handler called exit({'' if exit.code is None else repr(exit.code)})")


def encoded(answer):
    """Returns (head, body) of an answer: {status_code?, headers?, body}, or any JSON value as the body."""
    status, headers, has_body = 200, [], True
    if isinstance(answer, dict) and ("body" in answer or "status_code" in answer):
        if answer.keys() <= {"status_code", "headers", "body"}:
            status = checked_status(answer.get("status_code", 200))
            headers = checked_headers(answer.get("headers"))
            answer = answer.get("body")
            has_body = answer is not None
    content_type, body = content(answer) if has_body else (None, b"")
    if len(body) > MAX_BODY_BYTES:
        raise InvalidAnswer(f"the answer is {len(body)} bytes, and at most {MAX_BODY_BYTES} can be sent")
    if content_type and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", content_type))
    head = json.dumps({"status_code": status, "headers": headers}).encode()
    if len(head) > MAX_HEAD_BYTES:
        raise InvalidAnswer(f"the answer's headers are larger than {MAX_HEAD_BYTES} bytes")
    return head, body


def content(body):
    if isinstance(body, str):
        return "text/plain; charset=utf-8", utf8(body)
    if isinstance(body, (bytes, bytearray, memoryview)):
        return "application/octet-stream", bytes(body)
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidAnswer(f"the answer is not JSON: {error}") from None
    return "application/json", utf8(text)


def utf8(text):
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidAnswer(f"the answer is not UTF-8: {error.reason}") from None


def checked_status(status):
    if isinstance(status, int) and not isinstance(status, bool) and 200 <= status <= 599:
        return int(status)
    raise InvalidAnswer(f"status_code has to be a number from 200 to 599, not {status!r:.100}")


def checked_headers(headers):
    """Returns a list of (lower-case name, value); a list of values becomes as many headers."""
    if headers is None:
        return []
    if not isinstance(headers, dict):
        raise InvalidAnswer("headers has to be a dict of names and values")
    pairs = []
    for name, values in headers.items():
        lower = name.lower() if isinstance(name, str) else ""
        if not lower or not TOKEN.issuperset(lower):
            raise InvalidAnswer(f"{name!r:.100} is no name of a header")
        for value in values if isinstance(values, (list, tuple)) else [values]:
            text = str(value)
            if any(character < " " and character != "\t" or character == "\x7f" for character in text):
                raise InvalidAnswer(f"the value of the header {name} holds characters that no header can")
            utf8(text)
            pairs.append((lower, text))
    return pairs


def fault(error):
    """Describes an exception as JSON: {type, message, trace?}."""
    kind = KINDS.get(type(error))
    described = {"type": kind or type(error).__name__[:MAX_NAME], "message": message(error)[:MAX_MESSAGE]}
    if kind is None:
        described["trace"] = trace(error)
    return json.dumps(described, ensure_ascii=False).encode("utf-8", "replace")


def message(error):
    try:
        return str(error) or type(error).__name__
    except Exception:
        return "its text cannot be read: str() of it fails"


def trace(error):
    """The traceback from the application's first frame on; its end where it is long."""
    import traceback

    frame = error.__traceback__
    while frame and not frame.tb_frame.f_code.co_filename.startswith(FOLDER):
        frame = frame.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, frame))
    except Exception:
        return "the traceback cannot be written"
    return text if len(text) <= MAX_TRACE else "…" + text[-MAX_TRACE:]


def flush():
    """Writes out what was printed, so that it lies in the pipes before the answer is sent."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # The function closed or replaced it.


def configure(bridge, head, loggers):
    """Loads the handler; returns what begins a call of it, or None when it cannot be loaded."""
    configuration = json.loads(head)
    about = configuration, loggers
    try:
        os.environ.update(configuration["env"])
        # Before the handler is loaded, which may keep the outputs that it finds.
        together = Together(bridge, about) if configuration["concurrency"] > 1 else None
        handler = load(configuration.get("entry") or DEFAULT_ENTRY)
    except BaseException as error:
        if isinstance(error, SystemExit):
            error = HandlerExited("exit was called while the handler was loaded")
        flush()
        bridge.send(FAILURE, 0, fault(error))
        return None
    flush()
    bridge.send(READY, 0)
    if together:
        return lambda *call: together.begin(handler, *call)
    return lambda *call: invoke(bridge, handler, about, wait_here, *call)


def invoke(bridge, handler, about, wait, number, head, raw):
    try:
        head = json.loads(head)
        answer = call(handler, Request(head, raw), Context(head, *about), wait)
        outcome = (ANSWER, *encoded(answer))
    except BaseException as error:
        outcome = FAILURE, fault(error)
    respond(bridge, number, *outcome)


def respond(bridge, number, kind, head, body=b""):
    flush()
    if os.getpid() != bridge.process:
        os._exit(0)  # A child that the handler forked came back as if it were its parent.
    bridge.send(kind, number, head, body)


class Printed:
    """Takes the place of an output while several calls are under way: tells which of them printed."""

    def __init__(self, bridge, kind, stream):
        self._bridge, self._kind, self._stream = bridge, kind, stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        number = self._bridge.current()
        # Not known in a thread that the handler started, and not told by a child that it forked.
        if number == 0 or self._bridge.descriptor is None or not isinstance(text, str):
            return self._stream.write(text)
        self._bridge.print(self._kind, number, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)


class Together:
    """Has several calls under way: asynchronous handlers on one event loop, others on a thread each."""

    def __init__(self, bridge, about):
        import contextvars
        from concurrent.futures import ThreadPoolExecutor

        number = contextvars.ContextVar("slipway_call", default=0)
        bridge.current, self.enter = number.get, number.set
        sys.stdout, sys.stderr = Printed(bridge, STDOUT, sys.stdout), Printed(bridge, STDERR, sys.stderr)
        self.bridge, self.about = bridge, about
        self.threads = ThreadPoolExecutor(about[0]["concurrency"], "slipway-call")
        self.loop, self.lock = None, threading.Lock()

    def begin(self, handler, *call):
        if is_coroutine(handler):
            self.on_loop(self.serve(handler, *call))
        else:
            self.threads.submit(self.work, handler, *call)

    def on_loop(self, coroutine):
        import asyncio

        with self.lock:
            if self.loop is None:
                self.loop = event_loop()
                threading.Thread(target=self.loop.run_forever, name="slipway-loop", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    async def serve(self, handler, number, head, raw):
        self.enter(number)
        try:
            head = json.loads(head)
            answer = await self.settled(handler(Request(head, raw), Context(head, *self.about)))
            outcome = (ANSWER, *encoded(answer))
        except BaseException as error:
            outcome = FAILURE, fault(error)
        respond(self.bridge, number, *outcome)

    def work(self, handler, number, head, raw):
        self.enter(number)
        invoke(self.bridge, handler, self.about, self.wait, number, head, raw)

    def wait(self, answer):
        return self.on_loop(self.settled(answer)).result()

    async def settled(self, answer):
        try:
            return await answer
        except SystemExit as exit:  # It would end the loop.
            raise exited(exit) from None


def main():
    bridge = Bridge(int(os.environ.pop("SLIPWAY_WORKER_FD")))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False)
    loggers = make_loggers(bridge)
    begin = None
    while True:
        received = bridge.receive()
        if received is None:
            os._exit(0)  # The bridge is gone: nobody waits for threads or clean-up.
        kind, number, head, raw = received
        if kind == CONFIGURE:
            begin = configure(bridge, head, loggers)
        elif kind == INVOKE and begin:
            begin(number, head, raw)


if __name__ == "__main__":
    main()

// Runs a Node.js function for the bridge: no dependencies, Node.js 18 and later.
//
// The working directory is the application's folder, with its packages in `node_modules`. The bridge's messages
// come and go on the socket that $SLIPWAY_WORKER_FD names; crates/bridge/src/wire.rs describes them.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { format } from 'node:util';
import { pathToFileURL } from 'node:url';

const [CONFIGURE, INVOKE, READY, ANSWER, FAILURE, LOG, LAST_FAILURE] = [1, 2, 3, 4, 5, 6, 7];
const [STDOUT, STDERR] = [8, 9];
const PRELUDE_BYTES = 13;
const MAX_HEAD_BYTES = 256 * 1024;
const MAX_BODY_BYTES = 64 * 1024 * 1024;
// Characters; with JSON's escapes they fit in a head.
const [MAX_NAME, MAX_MESSAGE, MAX_TRACE] = [256, 8 * 1024, 24 * 1024];
const MAX_LOG_BYTES = 64 * 1024;
// What may wait for the bridge in memory before what is printed goes by the pipes, which take it in their time.
const MAX_WAITING_BYTES = 1024 * 1024;
// A worker that nobody needs for so long warms up.
const IDLE_MS = 100;
const DEFAULT_ENTRIES = ['index.mjs', 'index.js', 'index.cjs'];
const FOLDER = process.cwd();

/** A failure that the worker itself tells of. */
class Refusal extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

/** Gathers what was received until a message is whole. */
class Received {
  chunks = [];
  length = 0;

  push(chunk) {
    this.chunks.push(chunk);
    this.length += chunk.length;
  }

  /** Returns the first bytes, or null while fewer are there. */
  take(bytes) {
    if (this.length < bytes) return null;
    const whole = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks, this.length);
    this.chunks = [whole.subarray(bytes)];
    this.length -= bytes;
    return whole.subarray(0, bytes);
  }
}

/** The socket to the bridge. */
class Bridge {
  constructor(descriptor, onMessage) {
    const received = new Received();
    let prelude = null;
    this.socket = new net.Socket({ fd: descriptor, readable: true, writable: true });
    // Without the bridge nobody waits for anything.
    this.socket.on('error', () => process.exit(0)).on('close', () => process.exit(0));
    this.socket.on('data', (chunk) => {
      received.push(chunk);
      for (;;) {
        prelude ??= received.take(PRELUDE_BYTES);
        if (prelude === null) return;
        const headBytes = prelude.readUInt32BE(5);
        const message = received.take(headBytes + prelude.readUInt32BE(9));
        if (message === null) return;
        const [kind, call] = [prelude.readUInt8(0), prelude.readUInt32BE(1)];
        prelude = null;
        onMessage(kind, call, JSON.parse(message.toString('utf8', 0, headBytes)), message.subarray(headBytes));
      }
    });
  }

  send(kind, call, head = Buffer.alloc(0), body = Buffer.alloc(0), sent = undefined) {
    const start = Buffer.allocUnsafe(PRELUDE_BYTES + head.length);
    start.writeUInt8(kind, 0);
    start.writeUInt32BE(call, 1);
    start.writeUInt32BE(head.length, 5);
    start.writeUInt32BE(body.length, 9);
    head.copy(start, PRELUDE_BYTES);
    if (body.length === 0) {
      this.socket.write(start, sent);
      return;
    }
    this.socket.cork();
    this.socket.write(start);
    this.socket.write(body, sent);
    this.socket.uncork();
  }

  /** Tells the call of the code that runs, where several may be under way. */
  current = () => 0;

  /** Sends text as whole lines. */
  log(text) {
    this.print(LOG, this.current(), Buffer.from(`${text}\n`));
  }

  /** Sends text in parts where it is long. */
  print(kind, call, data) {
    for (let start = 0; start < data.length; start += MAX_LOG_BYTES) {
      this.send(kind, call, data.subarray(start, start + MAX_LOG_BYTES));
    }
  }
}

function joined(pairs, separator) {
  const values = Object.create(null);
  for (const [name, value] of pairs) {
    values[name] = name in values ? values[name] + separator + value : value;
  }
  return { ...values };
}

/** The body as JSON where it is JSON, else as text; null when it is empty or neither. */
function parsed(raw, contentType = 'application/json') {
  if (raw.length === 0) return null;
  const media = contentType.split(';', 1)[0].trim().toLowerCase();
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
    if (media !== 'application/json' && !media.endsWith('+json')) return text;
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  } catch {
    return null;
  }
}

function makeRequest(head, raw) {
  const headers = joined(head.headers, ', ');
  const { method, path } = head;
  return { method, path, headers, query: joined(head.query, ','), body: parsed(raw, headers['content-type']), raw };
}

function makeContext(head, configuration, logger) {
  const ends = performance.now() + head.deadline_ms;
  const remaining = () => Math.max(0, Math.trunc(ends - performance.now()));
  return {
    execution_id: head.execution_id,
    traceparent: head.traceparent ?? null,
    function_name: configuration.function_name,
    function_version: configuration.function_version,
    env: configuration.env,
    logger,
    remaining_ms: remaining,
    get deadline() {
      return new Date(Date.now() + remaining());
    },
  };
}

function makeLogger(bridge) {
  const at = (level) => (...values) => bridge.log(`${level} ${format(...values)}`);
  const [info, warn] = [at('INFO'), at('WARNING')];
  return { debug: at('DEBUG'), log: info, info, warn, warning: warn, error: at('ERROR') };
}

/** Returns the path of the file that holds the handler, from the application's folder. */
function findEntry(given) {
  if (given) return given;
  try {
    const { main } = JSON.parse(fs.readFileSync(path.join(FOLDER, 'package.json'), 'utf8'));
    if (typeof main === 'string') return main;
  } catch (error) {
    if (error.code !== 'ENOENT') throw new Refusal('handler_missing', `package.json cannot be read: ${error.message}`);
  }
  const found = DEFAULT_ENTRIES.find((name) => fs.existsSync(path.join(FOLDER, name)));
  if (found) return found;
  throw new Refusal('handler_missing', `there is no ${DEFAULT_ENTRIES.join(' or ')}, and no package.json with a main`);
}

async function load(given) {
  const entry = findEntry(given);
  const file = path.join(FOLDER, entry);
  if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw new Refusal('handler_missing', `there is no ${entry}: it has to export a function handle(request, context)`);
  }
  const module = await import(pathToFileURL(file)).catch(async (error) => {
    if (error instanceof SyntaxError) error.stack = (await syntaxError(file)) ?? error.stack;
    throw error;
  });
  const candidates = [module.default, module.default?.handle, module.default?.default, module.handle];
  const handler = candidates.find((candidate) => typeof candidate === 'function');
  if (handler) return handler;
  throw new Refusal('handler_missing', `${entry} does not export a function handle(request, context)`);
}

/** Returns where a file's syntax is wrong, which Node.js tells only on standard error; null where it is right. */
async function syntaxError(file) {
  const { spawnSync } = await import('node:child_process');
  const { status, stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' });
  return status === 0 ? null : stderr.split('\n    at ', 1)[0];
}

const invalid = (message) => new Refusal('invalid_answer', message);

/** Returns [head, body] of an answer: {status_code?, headers?, body}, or any JSON value as the body. */
function encoded(answer) {
  let [status, headers, hasBody] = [200, [], true];
  if (isResponse(answer)) {
    status = checkedStatus(answer.status_code ?? 200);
    headers = checkedHeaders(answer.headers ?? {});
    answer = answer.body ?? null;
    hasBody = answer !== null;
  }
  const [contentType, body] = hasBody ? content(answer) : [null, Buffer.alloc(0)];
  if (body.length > MAX_BODY_BYTES) {
    throw invalid(`the answer is ${body.length} bytes, and at most ${MAX_BODY_BYTES} can be sent`);
  }
  if (contentType && !headers.some(([name]) => name === 'content-type')) headers.push(['content-type', contentType]);
  const head = Buffer.from(JSON.stringify({ status_code: status, headers }));
  if (head.length > MAX_HEAD_BYTES) throw invalid(`the answer's headers are larger than ${MAX_HEAD_BYTES} bytes`);
  return [head, body];
}

function isResponse(answer) {
  if (answer === null || typeof answer !== 'object' || Array.isArray(answer)) return false;
  const known = ['status_code', 'headers', 'body'];
  return ('body' in answer || 'status_code' in answer) && Object.keys(answer).every((key) => known.includes(key));
}

function content(body) {
  if (typeof body === 'string') return ['text/plain; charset=utf-8', Buffer.from(body)];
  if (ArrayBuffer.isView(body)) {
    return ['application/octet-stream', Buffer.from(body.buffer, body.byteOffset, body.byteLength)];
  }
  if (body instanceof ArrayBuffer) return ['application/octet-stream', Buffer.from(body)];
  let text;
  try {
    text = JSON.stringify(body === undefined ? null : body);
  } catch (error) {
    throw invalid(`the answer is not JSON: ${messageOf(error)}`);
  }
  if (text === undefined) throw invalid(`the answer is not JSON: a ${typeof body} is no JSON value`);
  return ['application/json', Buffer.from(text)];
}

function checkedStatus(status) {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw invalid(`status_code has to be a number from 200 to 599, not ${format('%O', status).slice(0, 100)}`);
}

/** Returns a list of [lower-case name, value]; a list of values becomes as many headers. */
function checkedHeaders(headers) {
  if (typeof headers !== 'object' || Array.isArray(headers)) {
    throw invalid('headers has to be an object of names and values');
  }
  return Object.entries(headers).flatMap(([name, values]) => {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw invalid(`${name.slice(0, 100)} is no name of a header`);
    return [values].flat().map((value) => {
      const text = String(value);
      if (/[\0-\x08\x0a-\x1f\x7f\p{Cs}]/u.test(text)) {
        throw invalid(`the value of the header ${name} holds characters that no header can`);
      }
      return [name.toLowerCase(), text];
    });
  });
}

function messageOf(error) {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return 'its text cannot be read';
  }
}

/** The first characters of a text. Halves of a pair, of which JSON would make no text, become U+FFFD. */
const beginning = (text, length) => Buffer.from(text.slice(0, length)).toString();

/** Describes what was thrown as JSON: {type, message, trace?}. */
function fault(error) {
  const isError = error instanceof Error;
  const described = {
    type: error instanceof Refusal ? error.kind : beginning(String(isError ? error.name : typeof error), MAX_NAME),
    message: beginning(messageOf(error) || 'no message', MAX_MESSAGE),
  };
  if (isError && !(error instanceof Refusal) && typeof error.stack === 'string') {
    const frames = error.stack.split('\n').filter((line) => !line.includes(import.meta.url));
    described.trace = beginning(frames.join('\n'), MAX_TRACE);
  }
  return Buffer.from(JSON.stringify(described));
}

/** Waits until what was printed lies in the pipes: where they could not be made blocking, it may be on its way. */
async function flush() {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0) await new Promise((done) => stream.write('', done));
  }
}

/** Goes once through what a first call does, so that the engine has compiled it by then. */
async function warmUp(bridge, logger) {
  const headers = [['content-type', 'application/json']];
  const head = { method: 'POST', path: '/', headers, query: [], deadline_ms: 1000, execution_id: '' };
  const { body } = makeRequest(head, Buffer.from('{}'));
  makeContext(head, { env: {} }, logger);
  encoded({ status_code: 200, headers: { 'content-type': 'application/json' }, body });
  try {
    findEntry();
  } catch {
    // As it should be: the code has not come yet.
  }
  await import('data:text/javascript,');
  await flush();
  bridge.socket.write(Buffer.alloc(0));
}

function main() {
  const descriptor = Number(process.env.SLIPWAY_WORKER_FD);
  delete process.env.SLIPWAY_WORKER_FD;
  // Output that waits in memory would grow without bound, and be lost with the process.
  for (const stream of [process.stdout, process.stderr]) stream._handle?.setBlocking?.(true);
  const state = { handler: null, configuration: null, within: (_call, run) => run() };
  // By their numbers, the oldest first.
  const underway = new Set();
  const bridge = new Bridge(descriptor, async (kind, call, head, body) => {
    underway.add(call);
    const run = () => (kind === CONFIGURE ? configure(head) : invoke(head, body));
    const answer = await state.within(call, run).catch((error) => [FAILURE, fault(error)]);
    await flush();
    if (underway.delete(call)) bridge.send(answer[0], call, answer[1], answer[2]);
  });
  const logger = makeLogger(bridge);

  async function configure(configuration) {
    Object.assign(process.env, configuration.env);
    state.configuration = configuration;
    if (configuration.concurrency > 1) state.within = await tellApart(bridge);
    state.handler = await load(configuration.entry);
    return [READY];
  }

  async function invoke(head, body) {
    const answer = await state.handler(makeRequest(head, body), makeContext(head, state.configuration, logger));
    return [ANSWER, ...encoded(answer)];
  }

  setTimeout(() => {
    // One that is not warm works as well.
    if (state.configuration === null && underway.size === 0) warmUp(bridge, logger).catch(() => {});
  }, IDLE_MS);

  // What escapes the handler leaves the process in a state that nobody knows: it fails the call and ends.
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, async (error) => {
      const [oldest] = underway;
      if (oldest === undefined) {
        console.error(error);
        process.exit(1);
      }
      const call = underway.has(bridge.current()) ? bridge.current() : oldest;
      underway.clear();
      await flush();
      bridge.send(LAST_FAILURE, call, fault(error), undefined, () => process.exit(1));
    });
  }
}

/** Has what is printed sent as the call's that printed it; returns what runs a call as such. */
async function tellApart(bridge) {
  const { AsyncLocalStorage } = await import('node:async_hooks');
  const storage = new AsyncLocalStorage();
  bridge.current = () => storage.getStore() ?? 0;
  for (const [stream, kind] of [[process.stdout, STDOUT], [process.stderr, STDERR]]) {
    const write = stream.write.bind(stream);
    stream.write = (chunk, encoding, done) => {
      const call = bridge.current();
      if (call === 0 || bridge.socket.writableLength > MAX_WAITING_BYTES) return write(chunk, encoding, done);
      const [given, told] = typeof encoding === 'function' ? [undefined, encoding] : [encoding, done];
      bridge.print(kind, call, Buffer.from(chunk, given));
      if (told) process.nextTick(told);
      return true;
    };
  }
  return (call, run) => storage.run(call, run);
}

main();

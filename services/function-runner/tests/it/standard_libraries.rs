//! The bases of the runtimes are made of what functions need: here is what must not be missing from them.

use serde_json::json;

use crate::deployed::Deployed;
use crate::harness::TestRunner;

/// Imports every module of the standard library, and returns those that fail with the reason.
const PYTHON: &str = r#"
import importlib, sys

def handle(request, context):
    failed = {}
    for name in sorted(sys.stdlib_module_names - {"antigravity"}):
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = f"{type(error).__name__}: {error}"
    return {"body": {"imported": sorted(sys.stdlib_module_names & sys.modules.keys()), "failed": failed}}
"#;

/// Those of other systems, and what Debian packs apart: windows on a screen, GNU's dbm, the installer of pip.
const PYTHON_LACKS: &[&str] = &[
    "_gdbm",
    "_ios_support",
    "_overlapped",
    "_scproxy",
    "_tkinter",
    "_winapi",
    "_wmi",
    "ensurepip",
    "idlelib",
    "msvcrt",
    "nt",
    "tkinter",
    "turtle",
    "turtledemo",
    "winreg",
    "winsound",
];

/// Does with each library what needs data or other libraries beside it.
const PYTHON_USES: &str = r#"
import bz2, ctypes, ctypes.util, dbm, decimal, encodings, hashlib, locale, lzma, mimetypes, pkgutil, readline, socket, sqlite3
import ssl, subprocess, unicodedata, uuid, zlib, zoneinfo
from datetime import datetime

def handle(request, context):
    database = sqlite3.connect(":memory:")
    codecs = [name for _, name, _ in pkgutil.iter_modules(encodings.__path__)]
    for codec in set(codecs) - {"aliases", "mbcs", "oem"}:
        __import__("encodings." + codec)
    return {"body": {
        "old zone": str(zoneinfo.ZoneInfo("US/Pacific").utcoffset(datetime(2026, 1, 1))),
        "summer": datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).isoformat(),
        "authorities": len(ssl.create_default_context().get_ca_certs()) > 100,
        "json in sql": database.execute("select json_extract('[1,2]', '$[1]')").fetchone()[0],
        "full text": database.execute("create virtual table t using fts5(x)").fetchall(),
        "c": ctypes.CDLL(None).abs(-3),
        "found": ctypes.util.find_library("crypto"),
        "packed": [m.decompress(m.compress(b"x" * 1000)) == b"x" * 1000 for m in (bz2, lzma, zlib)],
        "sum": str(decimal.Decimal("0.1") + decimal.Decimal("0.2")),
        "digests": [hashlib.new(name, b"").hexdigest()[:8] for name in ("sha256", "blake2b", "sha3_256", "md5")],
        "japanese": "日本".encode("shift_jis").hex(),
        "chinese": "中".encode("gb18030").hex(),
        "service": socket.getservbyname("https"),
        "type": mimetypes.guess_type("a.svg")[0],
        "locale": locale.setlocale(locale.LC_ALL, "C.UTF-8"),
        "shell": subprocess.run("echo a b | cut -d' ' -f2", shell=True, capture_output=True, text=True).stdout,
    }}
"#;

/// Imports every module that Node.js has, and returns those that fail with the reason.
const NODE: &str = r"
import { builtinModules } from 'node:module';

export default async function handle() {
  const failed = {};
  for (const name of builtinModules) {
    await import(`node:${name}`).catch((error) => { failed[name] = error.message; });
  }
  return { body: { failed, imported: builtinModules } };
}
";

/// Does with each library what needs data or other libraries beside it.
const NODE_USES: &str = r#"
import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, scryptSync } from 'node:crypto';
import { createServer } from 'node:http';
import tls from 'node:tls';
import zlib from 'node:zlib';

async function fetched() {
  const server = createServer((request, response) => response.end('fetched')).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  const text = await answer.text();
  server.closeAllConnections();
  server.close();
  return text;
}

export default async function handle() {
  const text = Buffer.from('x'.repeat(1000));
  const packed = [['brotliCompressSync', 'brotliDecompressSync'], ['gzipSync', 'gunzipSync']];
  const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  return { body: {
    authorities: tls.rootCertificates.length > 100,
    digest: createHash('sha3-256').update('').digest('hex').slice(0, 8),
    key: generateKeyPairSync('ed25519').publicKey.asymmetricKeyType,
    scrypt: scryptSync('a', 'b', 8).length,
    packed: packed.map(([one, other]) => zlib[other](zlib[one](text)).equals(text)),
    number: new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }).format(1234.5),
    month: new Intl.DateTimeFormat('ja-JP', { month: 'long', weekday: 'long', timeZone: 'Asia/Tokyo' }).format(0),
    languages: new Intl.DisplayNames(['fr'], { type: 'language' }).of('de'),
    segments: [...new Intl.Segmenter('th', { granularity: 'word' }).segment('สวัสดีครับ')].length,
    chinese: new TextDecoder('gb18030').decode(new Uint8Array([0xd6, 0xd0])),
    fetched: await fetched(),
    assembly: module instanceof WebAssembly.Module,
    shell: spawnSync('echo a b | cut -d" " -f2', { shell: true, encoding: 'utf8' }).stdout,
  } };
}
"#;

#[tokio::test]
async fn python_has_all_of_its_standard_library_but_what_is_listed() {
    let runner = TestRunner::start().await;
    let function = deployed(&runner, &[("main.py", PYTHON)]).await;

    let answer = function.answer(&json!({})).await;

    let (imported, failed) = (answer["result"]["imported"].as_array().unwrap(), &answer["result"]["failed"]);
    let names: Vec<&str> = failed.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, PYTHON_LACKS, "{failed:#}");
    assert!(imported.len() > 200, "{imported:?}");
}

#[tokio::test]
async fn python_s_libraries_find_what_they_need_beside_them() {
    let runner = TestRunner::start().await;
    let function = deployed(&runner, &[("main.py", PYTHON_USES)]).await;

    let answer = function.answer(&json!({})).await;

    let expected = json!({
        "old zone": "-1 day, 16:00:00",
        "summer": "2026-07-01T00:00:00+02:00",
        "authorities": true,
        "json in sql": 2,
        "full text": [],
        "c": 3,
        "found": "libcrypto.so.3",
        "packed": [true, true, true],
        "sum": "0.3",
        "digests": ["e3b0c442", "786a02f7", "a7ffc6f8", "d41d8cd9"],
        "japanese": "93fa967b",
        "chinese": "d6d0",
        "service": 443,
        "type": "image/svg+xml",
        "locale": "C.UTF-8",
        "shell": "b\n",
    });
    assert_eq!(answer["result"], expected);
}

#[tokio::test]
async fn node_has_every_module_that_it_names() {
    let runner = TestRunner::start().await;
    let function = deployed(&runner, &[("index.mjs", NODE)]).await;

    let answer = function.answer(&json!({})).await;

    let (imported, failed) = (answer["result"]["imported"].as_array().unwrap(), &answer["result"]["failed"]);
    assert_eq!(failed, &json!({}));
    assert!(imported.len() > 60, "{imported:?}");
}

#[tokio::test]
async fn node_s_modules_find_what_they_need_beside_them() {
    let runner = TestRunner::start().await;
    let function = deployed(&runner, &[("index.mjs", NODE_USES)]).await;

    let answer = function.answer(&json!({})).await;

    let expected = json!({
        "authorities": true,
        "digest": "a7ffc6f8",
        "key": "ed25519",
        "scrypt": 8,
        "packed": [true, true],
        "number": "1.234,50\u{a0}€",
        "month": "1月 木曜日",
        "languages": "allemand",
        "segments": 2,
        "chinese": "中",
        "fetched": "fetched",
        "assembly": true,
        "shell": "b\n",
    });
    assert_eq!(answer["result"], expected);
}

/// Deploys what imports more than usual, and so needs more memory and, on a busy machine, more time.
async fn deployed<'a>(runner: &'a TestRunner, files: &[(&str, &str)]) -> Deployed<'a> {
    let owner = runner.person();
    let answer = runner.deploy("imports", files, &owner).await;
    let id = answer["function"]["id"].as_str().unwrap().to_owned();
    let function = Deployed { runner, owner, id };
    function.configure(json!({ "memory_mb": 512, "timeout_ms": 60_000 })).await;
    function
}

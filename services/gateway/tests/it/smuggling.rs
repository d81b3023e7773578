//! Requests that two readers could take for two different ones (RFC 9112, sections 2, 5, 6 and 7).

use crate::cases::Expected::{Closed, Cut, Passes, PassesAndCloses};
use crate::cases::{Case, Expected, run};

/// A request with these lines of headers beside `Host`, and what follows them.
fn post(lines: &[u8], body: &[u8]) -> Vec<u8> {
    [b"POST /f/ada/hello HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n", body].concat()
}

fn rows(rows: &[(&str, &[u8], Expected)], make: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Case> {
    rows.iter().map(|(name, bytes, expected)| Case::new(*name, make(bytes), *expected)).collect()
}

#[tokio::test]
async fn a_length_that_is_said_twice_or_badly_is_refused_and_ends_the_connection() {
    run(&rows(
        &[
            ("a length", b"Content-Length: 5\r\n", Passes),
            (
                "a length of the last request",
                b"Connection: x, Close\r\nContent-Length: 5\r\n",
                PassesAndCloses,
            ),
            ("a length with space around it", b"Content-Length: \t 5 \t\r\n", Passes),
            ("CL and TE", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Closed(400)),
            ("TE and CL", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Closed(400)),
            ("TE and CL of 0", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Closed(400)),
            ("CL twice, the same", b"Content-Length: 5\r\nContent-Length: 5\r\n", Closed(400)),
            ("CL twice, another", b"Content-Length: 5\r\nContent-Length: 0\r\n", Closed(400)),
            ("CL as a list, the same", b"Content-Length: 5, 5\r\n", Closed(400)),
            ("CL as a list, another", b"Content-Length: 5, 0\r\n", Closed(400)),
            ("CL with a plus", b"Content-Length: +5\r\n", Closed(400)),
            ("CL below zero", b"Content-Length: -5\r\n", Closed(400)),
            ("CL of minus zero", b"Content-Length: -0\r\n", Closed(400)),
            ("CL in hexadecimal", b"Content-Length: 0x5\r\n", Closed(400)),
            ("CL in two words", b"Content-Length: 5 5\r\n", Closed(400)),
            ("CL with a letter", b"Content-Length: 5a\r\n", Closed(400)),
            ("CL with a fraction", b"Content-Length: 5.0\r\n", Closed(400)),
            ("CL in quotes", b"Content-Length: \"5\"\r\n", Closed(400)),
            ("CL of nothing", b"Content-Length:\r\n", Closed(400)),
            ("CL over 64 bits", b"Content-Length: 18446744073709551616\r\n", Closed(400)),
            ("CL of 64 bits", b"Content-Length: 18446744073709551615\r\n", Closed(413)),
            ("CL after a vertical tab", b"Content-Length: \x0b5\r\n", Closed(400)),
            ("CL after a form feed", b"Content-Length: \x0c5\r\n", Closed(400)),
            ("CL with a Unicode digit", "Content-Length: ٥\r\n".as_bytes(), Closed(400)),
            ("CL with a space before the colon", b"Content-Length : 5\r\n", Closed(400)),
        ],
        |lines| post(lines, b"hello"),
    ))
    .await;
}

#[tokio::test]
async fn a_transfer_encoding_that_is_not_chunked_alone_is_refused_and_ends_the_connection() {
    run(&rows(
        &[
            ("chunked", b"Transfer-Encoding: chunked\r\n", Passes),
            ("chunked in capitals", b"TRANSFER-ENCODING: CHUNKED\r\n", Passes),
            ("chunked with space around it", b"Transfer-Encoding: \t chunked \r\n", Passes),
            ("chunked, identity", b"Transfer-Encoding: chunked, identity\r\n", Closed(400)),
            ("identity, chunked", b"Transfer-Encoding: identity, chunked\r\n", Closed(400)),
            ("identity", b"Transfer-Encoding: identity\r\n", Closed(400)),
            ("gzip", b"Transfer-Encoding: gzip\r\n", Closed(400)),
            ("gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n", Closed(400)),
            ("chunked, chunked", b"Transfer-Encoding: chunked, chunked\r\n", Closed(400)),
            ("chunked and a comma", b"Transfer-Encoding: chunked,\r\n", Closed(400)),
            ("a comma and chunked", b"Transfer-Encoding: ,chunked\r\n", Closed(400)),
            ("xchunked", b"Transfer-Encoding: xchunked\r\n", Closed(400)),
            ("chunkedx", b"Transfer-Encoding: chunkedx\r\n", Closed(400)),
            ("chunked with a parameter", b"Transfer-Encoding: chunked;q=1\r\n", Closed(400)),
            ("chunked in quotes", b"Transfer-Encoding: \"chunked\"\r\n", Closed(400)),
            ("nothing", b"Transfer-Encoding:\r\n", Closed(400)),
            ("a vertical tab and chunked", b"Transfer-Encoding: \x0bchunked\r\n", Closed(400)),
            ("chunked and a vertical tab", b"Transfer-Encoding: chunked\x0b\r\n", Closed(400)),
            ("chunked and a form feed", b"Transfer-Encoding: chunked\x0c\r\n", Closed(400)),
            ("chunked and a byte over 127", b"Transfer-Encoding: chunked\xff\r\n", Closed(400)),
            ("chunked and a no-break space", b"Transfer-Encoding: chunked\xc2\xa0\r\n", Closed(400)),
            ("a space before the colon", b"Transfer-Encoding : chunked\r\n", Closed(400)),
            ("a tab before the colon", b"Transfer-Encoding\t: chunked\r\n", Closed(400)),
            ("a vertical tab before the colon", b"Transfer-Encoding\x0b: chunked\r\n", Closed(400)),
            ("a space before the name", b" Transfer-Encoding: chunked\r\n", Closed(400)),
            ("twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Closed(400)),
            ("and identity", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Closed(400)),
            ("identity and", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", Closed(400)),
            ("a folded line", b"Transfer-Encoding:\r\n chunked\r\n", Closed(400)),
            (
                "listed in Connection",
                b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
                Passes,
            ),
            ("with an underscore beside CL", b"Content-Length: 17\r\nTransfer_Encoding: chunked\r\n", Passes),
        ],
        |lines| post(lines, b"5;x=y\r\nhello\r\n0\r\n\r\n"),
    ))
    .await;
}

#[tokio::test]
async fn an_older_version_knows_no_chunks_and_an_unknown_one_is_refused() {
    let head = |version: &str, lines: &str| {
        format!("POST /f/ada/hello {version}\r\nHost: a\r\n{lines}\r\n0\r\n\r\n")
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let mut cases = vec![
        Case::new("1.0 with TE", head("HTTP/1.0", chunked), Closed(400)),
        Case::new(
            "1.0 with TE and CL",
            head("HTTP/1.0", &format!("{chunked}Content-Length: 5\r\n")),
            Closed(400),
        ),
        Case::new(
            "1.0 with TE that is kept",
            head("HTTP/1.0", &format!("{chunked}Connection: keep-alive\r\n")),
            Closed(400),
        ),
        Case::new("1.0 with a body of unknown length", head("HTTP/1.0", ""), Closed(400)),
        Case::new("1.0 with a body", head("HTTP/1.0", "Content-Length: 5\r\n"), PassesAndCloses),
        Case::new("1.0 that is kept", "GET /f/ada/hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Passes),
        Case::new(
            "1.0 that is kept and not",
            "GET /f/ada/hello HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            PassesAndCloses,
        ),
        Case::new("1.0 without a body", "GET /f/ada/hello HTTP/1.0\r\n\r\n", PassesAndCloses),
    ];
    for version in [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1,1",
        "http/1.1",
        "ICY/1.1",
        "HTTP/1.1x",
        "",
    ] {
        cases.push(Case::new(
            format!("version {version:?}"),
            head(version, "Content-Length: 5\r\n"),
            Closed(400),
        ));
    }
    cases.push(Case::new("no version", "GET /f/ada/hello\r\nHost: a\r\n\r\n", Closed(400)));
    cases.push(Case::new("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Closed(400)));
    run(&cases).await;
}

#[tokio::test]
async fn lines_end_with_cr_and_lf_and_hold_no_control_character() {
    let mut cases = rows(
        &[
            ("a folded line", b"X-A: b\r\n c\r\n", Closed(400)),
            ("a line folded with a tab", b"X-A: b\r\n\tc\r\n", Closed(400)),
            ("a folded line of nothing", b"X-A: b\r\n \r\n", Closed(400)),
            ("CR in a value", b"X-A: b\rc\r\n", Closed(400)),
            ("CR in a name", b"X\rA: b\r\n", Closed(400)),
            ("CR at the end of a line", b"X-A: b\rX-B: c\r\n", Closed(400)),
            ("two CRs at the end of a line", b"X-A: b\r\r\n", Closed(400)),
            ("LF in a value", b"X-A: b\nX-B: c\r\n", Closed(400)),
            ("LF before a length", b"X-A: b\nContent-Length: 5\r\n", Closed(400)),
            ("LF before chunks", b"X-A: b\nTransfer-Encoding: chunked\r\n", Closed(400)),
            ("LF and CR", b"X-A: b\n\rX-B: c\r\n", Closed(400)),
            ("LF as the last line", b"X-A: b\r\n\n", Closed(400)),
            ("two LFs as the last line", b"X-A: b\n\n", Closed(400)),
            ("LF before a name", b"\nX-A: b\r\n", Closed(400)),
            ("NUL in a value", b"X-A: b\0c\r\n", Closed(400)),
            ("NUL in a name", b"X\0A: b\r\n", Closed(400)),
            ("NUL before a length", b"\0Content-Length: 5\r\n", Closed(400)),
            ("NUL as a line", b"\0\r\n", Closed(400)),
            ("a control character in a value", b"X-A: b\x01c\r\n", Closed(400)),
            ("DEL in a value", b"X-A: b\x7fc\r\n", Closed(400)),
            ("a space in a name", b"X A: b\r\n", Closed(400)),
            ("brackets in a name", b"X(A): b\r\n", Closed(400)),
            ("a byte over 127 in a name", b"X\xc3\xa9: b\r\n", Closed(400)),
            ("no name", b": b\r\n", Closed(400)),
            ("no colon", b"X-A\r\n", Closed(400)),
            ("a request for a name", b"GET /f/eve/x HTTP/1.1\r\n", Closed(400)),
        ],
        |lines| [b"GET /f/ada/hello HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat(),
    );
    cases.extend(rows(
        &[
            ("an empty line before", b"\r\nGET /f/ada/hello HTTP/1.1\r\n", Passes),
            ("LF after the request line", b"GET /f/ada/hello HTTP/1.1\n", Closed(400)),
            ("LF as an empty line before", b"\nGET /f/ada/hello HTTP/1.1\r\n", Closed(400)),
            ("CR after the request line", b"GET /f/ada/hello HTTP/1.1\r", Closed(400)),
            ("CR in the request line", b"GET /f/ada/hello\r HTTP/1.1\r\n", Closed(400)),
            ("NUL in the target", b"GET /f/ada/hello\0 HTTP/1.1\r\n", Closed(400)),
            ("NUL in the query", b"GET /f/ada/hello?\0 HTTP/1.1\r\n", Closed(400)),
            ("NUL in the method", b"GE\0T /f/ada/hello HTTP/1.1\r\n", Closed(400)),
            ("NUL before the method", b"\0GET /f/ada/hello HTTP/1.1\r\n", Closed(400)),
            ("a space before the method", b" GET /f/ada/hello HTTP/1.1\r\n", Closed(400)),
            ("a bracket in the method", b"GE(T /f/ada/hello HTTP/1.1\r\n", Closed(400)),
            ("two spaces after the method", b"GET  /f/ada/hello HTTP/1.1\r\n", Closed(400)),
            ("two spaces after the target", b"GET /f/ada/hello  HTTP/1.1\r\n", Closed(400)),
            ("a tab after the method", b"GET\t/f/ada/hello HTTP/1.1\r\n", Closed(400)),
            ("a tab in the target", b"GET /f/ada/hello\t HTTP/1.1\r\n", Closed(400)),
            ("a space after the version", b"GET /f/ada/hello HTTP/1.1 \r\n", Closed(400)),
            ("two targets", b"GET /f/ada/hello /f/eve/x HTTP/1.1\r\n", Closed(400)),
        ],
        |line| [line, b"Host: a\r\n\r\n"].concat(),
    ));
    run(&cases).await;
}

#[tokio::test]
async fn chunks_are_read_as_they_are_written_and_no_other_way() {
    run(&rows(
        &[
            ("a chunk", b"5\r\nhello\r\n0\r\n\r\n", Passes),
            ("a size with zeros before", b"0005\r\nhello\r\n000\r\n\r\n", Passes),
            ("an extension", b"5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", Passes),
            (
                "trailers",
                b"5\r\nhello\r\n0\r\nX-User-Id: evil\r\nContent-Length: 70\r\nX-T: evil\r\n\r\n",
                Passes,
            ),
            ("a size below zero", b"-5\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size with a plus", b"+5\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size after 0x", b"0x5\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size after a space", b" 5\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size before a space", b"5 \r\nhello\r\n0\r\n\r\n", Cut),
            ("a size before a tab", b"5\t\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size in two words", b"5 0\r\nhello\r\n0\r\n\r\n", Cut),
            ("no size", b"\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size that is no number", b"5g\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size with a line", b"5_\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size over 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n", Cut),
            ("a size far over 64 bits", b"fffffffffffffffffffff5\r\nhello\r\n0\r\n\r\n", Cut),
            ("LF after the size", b"5\nhello\r\n0\r\n\r\n", Cut),
            ("CR after the size", b"5\rhello\r\n0\r\n\r\n", Cut),
            ("two CRs after the size", b"5\r\r\nhello\r\n0\r\n\r\n", Cut),
            ("NUL after the size", b"5\0\r\nhello\r\n0\r\n\r\n", Cut),
            ("LF in an extension", b"5;a\nhello\r\n0\r\n\r\n", Cut),
            ("LF in a quoted extension", b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", Cut),
            ("CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", Cut),
            ("NUL in an extension", b"5;a\0\r\nhello\r\n0\r\n\r\n", Cut),
            ("an extension of the last chunk with LF", b"5\r\nhello\r\n0;a\n\r\n", Cut),
            ("nothing after the data", b"5\r\nhello0\r\n\r\n", Cut),
            ("LF after the data", b"5\r\nhello\n0\r\n\r\n", Cut),
            ("CR after the data", b"5\r\nhello\r0\r\n\r\n", Cut),
            ("too much data", b"5\r\nhello!\r\n0\r\n\r\n", Cut),
            ("LF after the last size", b"5\r\nhello\r\n0\n\r\n", Cut),
            ("LF as the last line", b"5\r\nhello\r\n0\r\n\n", Cut),
            ("CR as the last line", b"5\r\nhello\r\n0\r\n\rX", Cut),
            ("no last line: the next request for a trailer", b"5\r\nhello\r\n0\r\n", Cut),
            ("LF in a trailer", b"5\r\nhello\r\n0\r\nX-T: a\nX-U: b\r\n\r\n", Cut),
            ("LF for the end of the trailers", b"5\r\nhello\r\n0\r\nX-T: a\r\n\n", Cut),
            ("CR in a trailer", b"5\r\nhello\r\n0\r\nX-T: a\rb\r\n\r\n", Cut),
            ("NUL in a trailer", b"5\r\nhello\r\n0\r\nX-T: \0\r\n\r\n", Cut),
            ("a folded trailer", b"5\r\nhello\r\n0\r\nX-T: a\r\n b\r\n\r\n", Cut),
            ("a trailer without a name", b"5\r\nhello\r\n0\r\n: a\r\n\r\n", Cut),
            ("a trailer without a colon", b"5\r\nhello\r\n0\r\nX-T\r\n\r\n", Cut),
        ],
        |body| post(b"Transfer-Encoding: chunked\r\n", body),
    ))
    .await;
}

#[tokio::test]
async fn a_request_that_would_switch_protocols_has_no_body() {
    let inner = "GET /f/eve/x HTTP/1.1\r\nHost: a\r\n\r\n";
    let upgrade = |protocol: &str, lines: &str, body: &str| {
        format!(
            "GET /f/ada/hello HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{lines}\r\n{body}"
        )
    };
    let length = format!("Content-Length: {}\r\n", inner.len());
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    run(&[
        Case::new("websocket with a length", upgrade("websocket", &length, inner), Closed(400)),
        Case::new(
            "websocket with a short length",
            upgrade("websocket", "Content-Length: 2\r\n", inner),
            Closed(400),
        ),
        Case::new(
            "websocket with chunks",
            upgrade("websocket", "Transfer-Encoding: chunked\r\n", &chunked),
            Closed(400),
        ),
        Case::new("two protocols with a length", upgrade("h2c, websocket", &length, inner), Closed(400)),
        Case::new(
            "h2c with a length",
            upgrade("h2c", &format!("HTTP2-Settings: AAMAAABkAAQAAP__\r\n{length}"), inner),
            Passes,
        ),
        Case::new("h2c", upgrade("h2c", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""), Passes),
        Case::new("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Closed(400)),
        Case::new("CONNECT to a path", "CONNECT /f/ada/hello HTTP/1.1\r\nHost: a\r\n\r\n", Closed(400)),
    ])
    .await;
}

#[tokio::test]
async fn a_head_is_bounded() {
    let with = |lines: &str| format!("GET /f/ada/hello HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    run(&[
        Case::new("60 headers", with(&"X-A: b\r\n".repeat(60)), Passes),
        Case::new("100 headers", with(&"X-A: b\r\n".repeat(100)), Closed(431)),
        Case::new("a value of 200 KiB", with(&format!("X-A: {}\r\n", "b".repeat(200 * 1024))), Closed(431)),
        Case::new("a name of 200 KiB", with(&format!("X{}: b\r\n", "a".repeat(200 * 1024))), Closed(431)),
        Case::new("20,000 headers", with(&"X-A: b\r\n".repeat(20_000)), Closed(431)),
        Case::new(
            "a target of 70 KB",
            format!("GET /f/ada/{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(70_000)),
            Closed(400),
        ),
        Case::new(
            "a target of 200 KiB",
            format!("GET /f/ada/{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(200 * 1024)),
            Closed(431),
        ),
        Case::new(
            "a method of 200 KiB",
            format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "B".repeat(200 * 1024)),
            Closed(431),
        ),
        Case::new("200 KiB of empty lines", "\r\n".repeat(100 * 1024), Closed(431)),
    ])
    .await;
}

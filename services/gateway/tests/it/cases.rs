//! Runs tables of raw requests: each is followed on its connection by one that must not be taken for a part of it, nor a
//! part of it for that one.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::TestGateway;
use crate::tap::{Seen, Tapped};

/// What must become of a request, and of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is refused with this status and nothing after it is read: nobody knows where the next request begins.
    Closed(u16),
    /// Its body is no body, so it never ends: the connection does, with 400 if it can still be said.
    Cut,
    /// It is refused with this status. Where it ends is beyond doubt, so the next request is served.
    Refused(u16),
    /// It passes, and so does the next.
    Passes,
    /// It passes, and the connection ends with it.
    PassesAndCloses,
}

/// A row: what it is, its bytes, and what must become of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>, expected: Expected) -> Self {
        Self { name: name.into(), bytes: bytes.into(), expected }
    }
}

/// Within this the gateway has answered and, where it must, closed the connection. It waits longer for a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the gateway answered on a connection.
struct Outcome {
    statuses: Vec<u16>,
    is_closed: bool,
}

/// Sends each case, with the request for `/f/eve/smuggled-<index>` behind it, on a connection of its own. Returns what
/// reached the function-runner. Fails with all cases that came out otherwise than expected.
pub(crate) async fn run(cases: &[Case]) -> Vec<Seen> {
    let (gateway, [_, functions]) = TestGateway::start_tapped(&[]).await;
    let mut faults = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let next = format!("GET /f/eve/smuggled-{index} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let outcome = send(&gateway, &[case.bytes.as_slice(), next.as_bytes()].concat()).await;
        faults.extend(judge(case, &outcome));
    }
    let seen = functions.requests();
    for (index, case) in cases.iter().enumerate() {
        faults.extend(judge_next(case, index, &functions, &seen));
    }
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
    seen
}

async fn send(gateway: &TestGateway, bytes: &[u8]) -> Outcome {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut answers = Vec::new();
    let exchange = async {
        // What is refused early is not read to its end.
        let _ = stream.write_all(bytes).await;
        let _ = stream.read_to_end(&mut answers).await;
    };
    let is_closed = timeout(PATIENCE, exchange).await.is_ok();
    let text = String::from_utf8_lossy(&answers);
    let starts = text.match_indices("HTTP/1.1 ").chain(text.match_indices("HTTP/1.0 "));
    let statuses = starts.map(|(at, version)| text[at + version.len()..][..3].parse().unwrap()).collect();
    Outcome { statuses, is_closed }
}

fn judge(case: &Case, outcome: &Outcome) -> Option<String> {
    let statuses = outcome.statuses.as_slice();
    let is_right = match case.expected {
        Expected::Closed(status) => statuses == [status],
        Expected::Cut => statuses.is_empty() || statuses == [400],
        Expected::Refused(status) => statuses == [status, 200],
        Expected::Passes => statuses == [200, 200],
        Expected::PassesAndCloses => statuses == [200],
    };
    let end = if outcome.is_closed { "closed" } else { "left open" };
    (!is_right || !outcome.is_closed)
        .then(|| format!("{}: {:?}, but {statuses:?}, {end}", case.name, case.expected))
}

/// The next request reached the service once where it is one, and else never.
fn judge_next(case: &Case, index: usize, functions: &Tapped, seen: &[Seen]) -> Option<String> {
    let target = format!("/f/eve/smuggled-{index}");
    let passes = matches!(case.expected, Expected::Refused(_) | Expected::Passes);
    let requests = seen.iter().filter(|seen| seen.target == target).count();
    let bytes = functions.bytes().concat();
    let mentions =
        bytes.windows(target.len() + 1).filter(|bytes| *bytes == format!("{target} ").as_bytes()).count();
    let is_right = requests == usize::from(passes) && mentions == requests;
    (!is_right)
        .then(|| format!("{}: the next request was seen {requests} times, {mentions} in bytes", case.name))
}

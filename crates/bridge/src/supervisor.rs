//! Takes calls to the worker one at a time, and attends to the worker all the time.

use std::pin::pin;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustix::process::WaitStatus;
use slipway_bridge::protocol::{End, Fault, Frame, LogStream, Outcome};
use tokio::sync::mpsc;

use crate::cpu::CpuTime;
use crate::journal::Journal;
use crate::memory::PeakMemory;
use crate::wire::{self, Decoder, Message, Misbehaved, Request};
use crate::worker::{Ready, Worker};

/// Bounds what is printed before the limit is known, in bytes.
const FIRST_LOG_LIMIT: u64 = 256 * 1024;

/// What the worker is asked to do.
pub(crate) enum Work {
    /// Load the handler: the `Configure`'s JSON, and how much each call may log from then on.
    Load { log_limit_bytes: u64, json: Bytes },
    /// Call it: the head's JSON, the body's first bytes, the rest of it, and its whole length.
    Invoke { head: Bytes, first: Bytes, rest: Incoming, body_bytes: u32 },
}

/// Work, and where its frames go. A call that is refused is dropped with no frame sent.
pub(crate) struct Call {
    pub(crate) work: Work,
    pub(crate) frames: mpsc::Sender<Bytes>,
}

/// The worker takes no more calls: why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Gone {
    #[error("{}", describe(*.0))]
    Exited(WaitStatus),
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    #[error("the function's process cannot go on")]
    Ending,
    #[error("the server is gone")]
    Server,
}

pub(crate) struct Supervisor {
    worker: Worker,
    calls: mpsc::Receiver<Call>,
    decoder: Decoder,
    journal: Journal,
    memory: PeakMemory,
    cpu: CpuTime,
    /// How loading the handler ended.
    loaded: Option<Outcome>,
    /// The number of the last call.
    number: u32,
    stage: Stage,
    /// The worker said that it ends.
    ending: bool,
}

/// What the worker may say next, beside log lines.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Nothing,
    Ready,
    Answer,
    Body { left: usize },
}

impl Supervisor {
    pub(crate) fn new(worker: Worker, calls: mpsc::Receiver<Call>) -> Self {
        let memory = PeakMemory::new(worker.process());
        Self {
            worker,
            calls,
            decoder: Decoder::default(),
            journal: Journal::new(FIRST_LOG_LIMIT),
            memory,
            cpu: CpuTime::new(),
            loaded: None,
            number: 0,
            stage: Stage::Nothing,
            ending: false,
        }
    }

    /// Runs until the worker is gone.
    pub(crate) async fn run(&mut self) -> Gone {
        loop {
            let done = tokio::select! {
                call = self.calls.recv() => match call {
                    Some(call) => self.serve(call).await,
                    None => Err(Gone::Server),
                },
                // Outside of a call nothing leads to an outcome.
                ready = self.worker.ready() => self.attend(ready).map(drop),
            };
            match (done, self.worker.status()) {
                (Err(gone), _) => return gone,
                (Ok(()), Some(status)) => return Gone::Exited(status),
                (Ok(()), None) if self.ending => return Gone::Ending,
                (Ok(()), None) => {}
            }
        }
    }

    pub(crate) async fn terminate(&mut self) {
        self.worker.terminate().await;
    }

    async fn serve(&mut self, call: Call) -> Result<(), Gone> {
        let Call { work, frames } = call;
        let cpu_before = self.cpu.read_us();
        let outcome = match (work, &self.loaded) {
            (Work::Load { .. }, Some(outcome)) => Ok(outcome.clone()),
            (Work::Load { log_limit_bytes, json }, None) => {
                self.journal.set_limit(log_limit_bytes);
                self.stage = Stage::Ready;
                let sending = self.send(Request::Configure, [json, Bytes::new()], None, 0);
                self.outcome(sending, &frames).await.inspect(|outcome| self.loaded = Some(outcome.clone()))
            }
            (Work::Invoke { head, first, rest, body_bytes }, Some(Outcome::Succeeded)) => {
                self.number = self.number.wrapping_add(1);
                self.stage = Stage::Answer;
                let sending = self.send(Request::Invoke, [head, first], Some(rest), body_bytes);
                self.outcome(sending, &frames).await
            }
            (Work::Invoke { .. }, _) => return Ok(()),
        };
        self.stage = Stage::Nothing;
        match outcome {
            Ok(outcome) => {
                let exited = self.ending || self.worker.status().is_some();
                self.end(outcome, exited, cpu_before, &frames).await;
                Ok(())
            }
            Err(gone) => {
                self.end(Outcome::Failed { error: gone.fault() }, true, cpu_before, &frames).await;
                Err(gone)
            }
        }
    }

    /// Returns what sends a message to the worker.
    fn send(
        &self,
        request: Request,
        [head, first]: [Bytes; 2],
        mut rest: Option<Incoming>,
        body_bytes: u32,
    ) -> impl Future<Output = ()> + use<> {
        let socket = self.worker.socket();
        // Heads are bounded far below 4 GiB.
        let head_bytes = u32::try_from(head.len()).unwrap_or(u32::MAX);
        let prelude = wire::prelude(request, self.number, head_bytes, body_bytes);
        async move {
            // A worker that takes no more is gone, which shows elsewhere; so is a runner that sends no more.
            let mut sent = socket.write_all(&[&prelude, &head, &first]).await;
            while let (Ok(()), Some(Ok(part))) = (&sent, next_frame(&mut rest).await) {
                let Ok(data) = part.into_data() else { continue };
                sent = socket.write_all(&[&data]).await;
            }
        }
    }

    /// Attends to the worker while a message is sent to it and until it told the outcome.
    async fn outcome(
        &mut self,
        sending: impl Future<Output = ()>,
        frames: &mpsc::Sender<Bytes>,
    ) -> Result<Outcome, Gone> {
        let mut sending = pin!(sending);
        let mut sent = false;
        loop {
            tokio::select! {
                () = &mut sending, if !sent => sent = true,
                ready = self.worker.ready() => if let Some(outcome) = self.attend(ready)? {
                    return Ok(outcome);
                },
            }
            if let Some(bytes) = self.journal.take() {
                // A runner that takes no more closes the connection, which ends everything.
                let _ = frames.send(bytes).await;
            }
        }
    }

    async fn end(
        &mut self,
        outcome: Outcome,
        worker_exited: bool,
        cpu_before: Option<u64>,
        frames: &mpsc::Sender<Bytes>,
    ) {
        let peak_memory_bytes = self.memory.read();
        let used = |(before, now): (u64, u64)| now.saturating_sub(before);
        let dropped = self.journal.close();
        let end = End {
            outcome,
            log_bytes_dropped: dropped.bytes,
            log_lines_dropped: dropped.lines,
            peak_memory_bytes,
            cpu_us: cpu_before.zip(self.cpu.read_us()).map(used),
            worker_exited,
        };
        // Always fits: a fault is at most a message's head.
        let _ = self.journal.append(&Frame::End(end));
        if let Some(bytes) = self.journal.take() {
            let _ = frames.send(bytes).await;
        }
    }

    /// Attends to what is ready, and returns the outcome once the worker told it.
    fn attend(&mut self, ready: Ready) -> Result<Option<Outcome>, Gone> {
        match ready {
            Ready::Output(stream) => {
                self.read_output(stream);
                Ok(None)
            }
            Ready::Socket => Ok(self.read_socket()?),
            Ready::Children => match self.worker.reap() {
                Some(status) => self.last_words()?.map(Some).ok_or(Gone::Exited(status)),
                None => Ok(None),
            },
        }
    }

    /// Takes in what the worker left behind when it exited; it may have answered.
    fn last_words(&mut self) -> Result<Option<Outcome>, Misbehaved> {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            // Orphans may hold the pipe open and go on writing: what lies in it now is what counts.
            self.read_output(stream);
        }
        while let Some(chunk) = self.worker.read_socket() {
            self.decoder.push(chunk);
        }
        self.take_messages()
    }

    /// Takes in what lies in an output at this moment.
    fn read_output(&mut self, stream: LogStream) {
        if let Some(output) = self.worker.read_output(stream) {
            self.journal.push(stream, output);
        }
    }

    /// Takes in what was printed before a message. The worker's writes are done when it sends the message, so it
    /// lies in the pipes.
    fn read_outputs(&mut self) {
        self.read_output(LogStream::Stdout);
        self.read_output(LogStream::Stderr);
    }

    fn read_socket(&mut self) -> Result<Option<Outcome>, Misbehaved> {
        let Some(chunk) = self.worker.read_socket() else { return Ok(None) };
        self.decoder.push(chunk);
        self.take_messages()
    }

    fn take_messages(&mut self) -> Result<Option<Outcome>, Misbehaved> {
        while let Some(message) = self.decoder.next_message()? {
            if let Some(outcome) = self.take(message)? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    fn take(&mut self, message: Message) -> Result<Option<Outcome>, Misbehaved> {
        let body_left = match (message, self.stage) {
            (Message::Log(text), _) => {
                self.read_outputs();
                self.journal.push(LogStream::Log, &text);
                return Ok(None);
            }
            (Message::Ready { call }, Stage::Ready) if call == self.number => {
                self.read_outputs();
                0
            }
            (Message::Failure { call, fault, last }, Stage::Ready | Stage::Answer) if call == self.number => {
                self.read_outputs();
                self.ending |= last;
                return Ok(Some(Outcome::Failed { error: fault }));
            }
            (Message::Answer { call, head, body_bytes }, Stage::Answer) if call == self.number => {
                self.read_outputs();
                self.append(&Frame::Head(head))?;
                body_bytes
            }
            (Message::Body(part), Stage::Body { left }) => {
                let left = left - part.len();
                self.append(&Frame::Data(part))?;
                left
            }
            _ => return Err(Misbehaved("the worker sent a message that belongs to no call")),
        };
        self.stage = Stage::Body { left: body_left };
        Ok((body_left == 0).then_some(Outcome::Succeeded))
    }

    fn append(&mut self, frame: &Frame) -> Result<(), Misbehaved> {
        self.journal.append(frame).map_err(|_| Misbehaved("the worker's answer fits in no frame"))
    }
}

impl Gone {
    fn fault(&self) -> Fault {
        let kind = match self {
            Self::Exited(_) | Self::Ending => "worker_exited",
            Self::Misbehaved(_) | Self::Server => "worker_misbehaved",
        };
        Fault { kind: kind.to_owned(), message: self.to_string(), trace: None }
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("the function's process exited with status {code}"),
        (_, Some(9)) => {
            "the function's process was killed by signal 9: it may have run out of memory".to_owned()
        }
        (_, Some(signal)) => format!("the function's process was killed by signal {signal}"),
        (None, None) => "the function's process ended".to_owned(),
    }
}

async fn next_frame(body: &mut Option<Incoming>) -> Option<Result<hyper::body::Frame<Bytes>, hyper::Error>> {
    body.as_mut()?.frame().await
}

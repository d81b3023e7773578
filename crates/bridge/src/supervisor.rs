//! Takes calls to the worker, as many at a time as come, and attends to the worker all the time.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustix::process::WaitStatus;
use slipway_bridge::protocol::{End, Fault, Frame, LogStream, Outcome};
use tokio::sync::mpsc;

use crate::cpu::CpuTime;
use crate::frames::Frames;
use crate::journal::Journal;
use crate::memory::PeakMemory;
use crate::pipe::Pipe;
use crate::wire::{self, Decoder, Message, Misbehaved, Request};
use crate::worker::{Ready, Worker};

/// Bounds what is printed before the limit is known, in bytes.
const FIRST_LOG_LIMIT: u64 = 256 * 1024;

/// What is wrong with a message that may not come now.
const OUT_OF_PLACE: Misbehaved = Misbehaved("the worker sent a message that belongs to no call");

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
    pub(crate) frames: Frames,
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
    memory: PeakMemory,
    cpu: CpuTime,
    /// How loading the handler ended.
    loaded: Option<Outcome>,
    log_limit_bytes: u64,
    /// The number of the last call.
    number: u32,
    /// By number: the first is the oldest.
    underway: BTreeMap<u32, Underway>,
    /// What was printed while there is no call; the next one's.
    between: Journal,
    /// The call whose answer's body is on its way.
    answering: u32,
    /// Messages for the worker, one after the other: the first is being written.
    outbox: Outbox,
    /// The worker said that it ends.
    ending: bool,
    /// A call was told that it failed and that the worker is gone.
    has_failed_a_call: bool,
}

/// A call that the worker has.
struct Underway {
    frames: Frames,
    journal: Journal,
    stage: Stage,
    cpu_before: Option<u64>,
}

/// What the worker may say next of a call, beside log lines.
#[derive(Debug, Clone, Copy)]
enum Stage {
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
            memory,
            cpu: CpuTime::new(),
            loaded: None,
            log_limit_bytes: FIRST_LOG_LIMIT,
            number: 0,
            underway: BTreeMap::new(),
            between: Journal::new(FIRST_LOG_LIMIT),
            answering: 0,
            outbox: Outbox::default(),
            ending: false,
            has_failed_a_call: false,
        }
    }

    /// Runs until the worker is gone.
    pub(crate) async fn run(&mut self) -> Gone {
        loop {
            // A reader that is slow slows the worker down where there is no other call that would have to wait for it.
            let slow = match self.underway.first_key_value() {
                Some((_, only)) if self.underway.len() == 1 => only.frames.backlog_if_long(),
                _ => None,
            };
            let done = tokio::select! {
                call = self.calls.recv() => match call {
                    Some(call) => {
                        self.begin(call);
                        Ok(())
                    }
                    None => Err(Gone::Server),
                },
                () = self.outbox.write(), if !self.outbox.is_empty() => Ok(()),
                () = async { if let Some(backlog) = &slow { backlog.shrinks().await } }, if slow.is_some() => Ok(()),
                ready = self.worker.ready(), if slow.is_none() => self.attend(ready),
            };
            let gone = done.err().or_else(|| {
                let exited = self.worker.status().map(Gone::Exited);
                exited.or_else(|| self.ending.then_some(Gone::Ending))
            });
            if let Some(gone) = gone {
                while let Some((_, underway)) = self.underway.pop_first() {
                    self.end(underway, Outcome::Failed { error: gone.fault() }, true);
                }
                return gone;
            }
            for underway in self.underway.values_mut() {
                underway.flush();
            }
        }
    }

    pub(crate) fn has_failed_a_call(&self) -> bool {
        self.has_failed_a_call
    }

    pub(crate) async fn terminate(&mut self) {
        self.worker.terminate().await;
    }

    fn begin(&mut self, Call { work, frames }: Call) {
        let cpu_before = self.cpu.read_us();
        let (request, stage, parts, rest, body_bytes) = match (work, &self.loaded) {
            (Work::Load { .. }, Some(outcome)) => {
                let (outcome, journal) = (outcome.clone(), Journal::new(self.log_limit_bytes));
                self.end(Underway { frames, journal, stage: Stage::Ready, cpu_before }, outcome, false);
                return;
            }
            (Work::Load { log_limit_bytes, json }, None) if self.underway.is_empty() => {
                self.log_limit_bytes = log_limit_bytes;
                self.between.set_limit(log_limit_bytes);
                (Request::Configure, Stage::Ready, [json, Bytes::new()], None, 0)
            }
            (Work::Invoke { head, first, rest, body_bytes }, Some(Outcome::Succeeded)) => {
                self.number = self.number.wrapping_add(1);
                (Request::Invoke, Stage::Answer, [head, first], Some(rest), body_bytes)
            }
            _ => return,
        };
        let fresh = Journal::new(self.log_limit_bytes);
        let journal =
            if self.underway.is_empty() { std::mem::replace(&mut self.between, fresh) } else { fresh };
        self.underway.insert(self.number, Underway { frames, journal, stage, cpu_before });
        // Heads are bounded far below 4 GiB.
        let head_bytes = u32::try_from(parts[0].len()).unwrap_or(u32::MAX);
        let prelude = wire::prelude(request, self.number, head_bytes, body_bytes);
        self.outbox.push(self.worker.socket(), prelude, parts, rest);
    }

    fn end(&mut self, mut underway: Underway, outcome: Outcome, worker_exited: bool) {
        let used = |(before, now): (u64, u64)| now.saturating_sub(before);
        let dropped = underway.journal.close();
        self.has_failed_a_call |= worker_exited && matches!(outcome, Outcome::Failed { .. });
        let end = End {
            outcome,
            log_bytes_dropped: dropped.bytes,
            log_lines_dropped: dropped.lines,
            peak_memory_bytes: self.memory.read(),
            cpu_us: underway.cpu_before.zip(self.cpu.read_us()).map(used),
            worker_exited,
        };
        // Always fits: a fault is at most a message's head.
        let _ = underway.journal.append(&Frame::End(end));
        underway.flush();
    }

    /// Attends to what is ready.
    fn attend(&mut self, ready: Ready) -> Result<(), Gone> {
        match ready {
            Ready::Output(stream) => self.read_output(stream),
            Ready::Socket => {
                if let Some(chunk) = self.worker.read_socket() {
                    self.decoder.push(chunk);
                    self.take_messages()?;
                }
            }
            Ready::Children => {
                if self.worker.reap().is_some() {
                    self.last_words()?;
                }
            }
        }
        Ok(())
    }

    /// Takes in what the worker left behind when it exited; it may have answered.
    fn last_words(&mut self) -> Result<(), Misbehaved> {
        // Orphans may hold the pipes open and go on writing: what lies in them now is what counts.
        self.read_outputs();
        while let Some(chunk) = self.worker.read_socket() {
            self.decoder.push(chunk);
        }
        self.take_messages()
    }

    /// Takes in what lies in an output at this moment. It does not say whose it is: the oldest call's.
    fn read_output(&mut self, stream: LogStream) {
        if let Some(output) = self.worker.read_output(stream) {
            journal_of(None, &mut self.underway, &mut self.between).push(stream, output);
        }
    }

    /// Takes in what was printed before a message. The worker's writes are done when it sends the message, so it
    /// lies in the pipes.
    fn read_outputs(&mut self) {
        self.read_output(LogStream::Stdout);
        self.read_output(LogStream::Stderr);
    }

    fn take_messages(&mut self) -> Result<(), Misbehaved> {
        while let Some(message) = self.decoder.next_message()? {
            self.take(message)?;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<(), Misbehaved> {
        let (call, body_left) = match message {
            Message::Output { call, stream, text } => {
                self.read_outputs();
                journal_of(Some(call), &mut self.underway, &mut self.between).push(stream, &text);
                return Ok(());
            }
            Message::Failure { call, fault, last } => {
                self.expect(call, |stage| !matches!(stage, Stage::Body { .. }))?;
                self.ending |= last;
                self.finish(call, Outcome::Failed { error: fault });
                return Ok(());
            }
            Message::Ready { call } => {
                self.expect(call, |stage| matches!(stage, Stage::Ready))?;
                (call, 0)
            }
            Message::Answer { call, head, body_bytes } => {
                self.expect(call, |stage| matches!(stage, Stage::Answer))?.append(&Frame::Head(head))?;
                (call, body_bytes)
            }
            Message::Body(part) => self.take_body(part)?,
        };
        if body_left == 0 {
            self.finish(call, Outcome::Succeeded);
        } else if let Some(underway) = self.underway.get_mut(&call) {
            self.answering = call;
            underway.stage = Stage::Body { left: body_left };
        }
        Ok(())
    }

    /// Takes in a part of the body that is on its way; returns whose it is, and how much is left of it.
    fn take_body(&mut self, part: Bytes) -> Result<(u32, usize), Misbehaved> {
        match self.underway.get_mut(&self.answering) {
            Some(underway) if let Stage::Body { left } = underway.stage => {
                let left = left - part.len();
                underway.append(&Frame::Data(part))?;
                Ok((self.answering, left))
            }
            _ => Err(OUT_OF_PLACE),
        }
    }

    /// Finds the call that a message is of, if it may come now, and takes in what was printed before it.
    fn expect(&mut self, call: u32, fits: impl Fn(Stage) -> bool) -> Result<&mut Underway, Misbehaved> {
        self.read_outputs();
        self.underway.get_mut(&call).filter(|underway| fits(underway.stage)).ok_or(OUT_OF_PLACE)
    }

    /// Ends a call with what the worker told.
    fn finish(&mut self, call: u32, outcome: Outcome) {
        let Some(underway) = self.underway.remove(&call) else { return };
        if matches!(underway.stage, Stage::Ready) {
            self.loaded = Some(outcome.clone());
        }
        let exited = self.ending || self.worker.status().is_some();
        self.end(underway, outcome, exited);
    }
}

/// Returns the journal of a call; the oldest one's where it is not under way, or not known.
fn journal_of<'a>(
    call: Option<u32>,
    underway: &'a mut BTreeMap<u32, Underway>,
    between: &'a mut Journal,
) -> &'a mut Journal {
    let known = call.filter(|call| underway.contains_key(call));
    let known = known.or_else(|| underway.keys().next().copied());
    known.and_then(|call| underway.get_mut(&call)).map_or(between, |underway| &mut underway.journal)
}

impl Underway {
    fn append(&mut self, frame: &Frame) -> Result<(), Misbehaved> {
        self.journal.append(frame).map_err(|_| Misbehaved("the worker's answer fits in no frame"))
    }

    fn flush(&mut self) {
        if let Some(bytes) = self.journal.take() {
            self.frames.send(bytes);
        }
    }
}

/// Messages on their way to the worker, whose socket takes one at a time.
#[derive(Default)]
struct Outbox(VecDeque<Pin<Box<dyn Future<Output = ()>>>>);

impl Outbox {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push<const LENGTH: usize>(
        &mut self,
        socket: Rc<Pipe>,
        prelude: [u8; LENGTH],
        [head, first]: [Bytes; 2],
        mut rest: Option<Incoming>,
    ) {
        self.0.push_back(Box::pin(async move {
            // A worker that takes no more is gone, which shows elsewhere; so is a runner that sends no more.
            let mut sent = socket.write_all(&[&prelude, &head, &first]).await;
            while let (Ok(()), Some(Ok(part))) = (&sent, next_frame(&mut rest).await) {
                let Ok(data) = part.into_data() else { continue };
                sent = socket.write_all(&[&data]).await;
            }
        }));
    }

    /// Writes the first message. May be cancelled.
    async fn write(&mut self) {
        if let Some(first) = self.0.front_mut() {
            first.await;
            self.0.pop_front();
        }
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

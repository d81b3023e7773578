//! The log lines of a call, and the frames that are to be sent.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use slipway_bridge::protocol::{Frame, LogLine, LogStream};

/// The longest line, in bytes; a longer one goes out in parts, each but the last marked at its end.
const MAX_LINE_BYTES: usize = 16 * 1024;
const CONTINUED: char = '…';
/// The most lines of a call: empty ones cost no text.
const MAX_LINES: u64 = 10_000;

/// How much was cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// Turns output into lines, bounds them, and holds the frames until they are taken.
///
/// What is printed between two calls counts as the later one's.
pub(crate) struct Journal {
    frames: BytesMut,
    limit_bytes: u64,
    bytes: u64,
    lines: u64,
    dropped: Dropped,
    /// Set by the first line that does not fit: from there on output is counted only.
    full: bool,
    streams: [Unfinished; 3],
}

/// The line that a stream is in the middle of.
#[derive(Default)]
struct Unfinished {
    text: Vec<u8>,
    /// Some of the line was dropped.
    cut: bool,
}

impl Journal {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self {
            frames: BytesMut::new(),
            limit_bytes,
            bytes: 0,
            lines: 0,
            dropped: Dropped::default(),
            full: false,
            streams: Default::default(),
        }
    }

    pub(crate) fn set_limit(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
    }

    /// Takes in output as it was read.
    pub(crate) fn push(&mut self, stream: LogStream, mut output: &[u8]) {
        let time_us = if self.full { 0 } else { now_us() };
        while !output.is_empty() {
            if self.full {
                return self.count(stream, output);
            }
            let text = &mut self.streams[stream as usize].text;
            let window = output.len().min(MAX_LINE_BYTES + 1 - text.len());
            let Some(end) = memchr(b'\n', &output[..window]) else {
                text.extend_from_slice(&output[..window]);
                output = &output[window..];
                if text.len() > MAX_LINE_BYTES {
                    self.part(stream, time_us);
                }
                continue;
            };
            if text.is_empty() {
                self.line(stream, time_us, &output[..end], false);
            } else {
                let mut text = std::mem::take(text);
                text.extend_from_slice(&output[..end]);
                self.line(stream, time_us, &text, false);
            }
            output = &output[end + 1..];
        }
    }

    /// Appends a frame behind the lines so far. One that cannot be encoded is refused.
    pub(crate) fn append(&mut self, frame: &Frame) -> Result<(), slipway_bridge::protocol::FrameError> {
        frame.encode(&mut self.frames)
    }

    /// Returns the frames that were not taken yet; `None` when there are none.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        (!self.frames.is_empty()).then(|| self.frames.split().freeze())
    }

    /// Ends the call: unfinished lines become lines, and counting starts anew.
    pub(crate) fn close(&mut self) -> Dropped {
        for stream in [LogStream::Stdout, LogStream::Stderr, LogStream::Log] {
            let unfinished = std::mem::take(&mut self.streams[stream as usize]);
            if unfinished.cut {
                self.dropped.lines += 1;
                self.dropped.bytes += unfinished.text.len() as u64;
            } else if !unfinished.text.is_empty() {
                self.line(stream, now_us(), &unfinished.text, false);
            }
        }
        (self.bytes, self.lines, self.full) = (0, 0, false);
        std::mem::take(&mut self.dropped)
    }

    /// Sends on the first part of a line that is too long, up to the start of a character.
    fn part(&mut self, stream: LogStream, time_us: i64) {
        let mut text = std::mem::take(&mut self.streams[stream as usize].text);
        let starts = |at: &usize| text[*at] & 0b1100_0000 != 0b1000_0000;
        let end = (MAX_LINE_BYTES - 3..=MAX_LINE_BYTES).rev().find(starts).unwrap_or(MAX_LINE_BYTES);
        self.line(stream, time_us, &text[..end], true);
        text.drain(..end);
        self.streams[stream as usize] = Unfinished { text, cut: self.full };
    }

    fn line(&mut self, stream: LogStream, time_us: i64, line: &[u8], continues: bool) {
        let cost = line.len() as u64 + 1;
        self.full |= self.lines == MAX_LINES || self.bytes + cost > self.limit_bytes;
        let mut text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        text.extend(continues.then_some(CONTINUED));
        if self.full || self.append(&Frame::Log(LogLine { time_us, stream, text })).is_err() {
            self.dropped.bytes += line.len() as u64;
            self.dropped.lines += u64::from(!continues);
            return;
        }
        self.bytes += cost;
        self.lines += 1;
    }

    /// Counts output that is not kept.
    fn count(&mut self, stream: LogStream, output: &[u8]) {
        let ends = memchr_iter(b'\n', output).count() as u64;
        let unfinished = &mut self.streams[stream as usize];
        let held = std::mem::take(&mut unfinished.text).len() as u64;
        self.dropped.lines += ends;
        self.dropped.bytes += held + output.len() as u64 - ends;
        unfinished.cut = output.last() != Some(&b'\n');
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only clock of an instance; nothing but log lines carries it"
)]
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use slipway_bridge::protocol::FrameDecoder;

    use super::*;

    fn texts(journal: &mut Journal) -> Vec<String> {
        let mut decoder = FrameDecoder::new();
        decoder.push(&journal.take().unwrap_or_default());
        let mut texts = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            let Frame::Log(line) = frame else { panic!("{frame:?} is no line") };
            texts.push(line.text);
        }
        texts
    }

    #[test]
    fn lines_are_made_of_output_however_it_is_cut() {
        let mut journal = Journal::new(1_000);
        for part in ["fi", "rst\nsec", "ond\r\n\n", "la", "st"] {
            journal.push(LogStream::Stdout, part.as_bytes());
        }
        assert_eq!(journal.close(), Dropped::default());
        assert_eq!(texts(&mut journal), ["first", "second", "", "last"]);
    }

    #[test]
    fn streams_do_not_mix_within_a_line() {
        let mut journal = Journal::new(1_000);
        journal.push(LogStream::Stdout, b"out");
        journal.push(LogStream::Stderr, b"error\n");
        journal.push(LogStream::Stdout, b"put\n");
        assert_eq!(texts(&mut journal), ["error", "output"]);
    }

    #[test]
    fn a_long_line_goes_out_in_marked_parts_that_split_no_character() {
        let line = "é".repeat(MAX_LINE_BYTES);
        let mut journal = Journal::new(1 << 20);
        journal.push(LogStream::Stdout, b"x");
        journal.push(LogStream::Stdout, line.as_bytes());
        journal.push(LogStream::Stdout, b"\n");
        let parts = texts(&mut journal);
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.len() <= MAX_LINE_BYTES + CONTINUED.len_utf8()));
        assert!(parts[..2].iter().all(|part| part.ends_with(CONTINUED)));
        assert_eq!(parts.concat().replace(CONTINUED, ""), format!("x{line}"));
    }

    #[test]
    fn a_line_of_the_longest_length_is_one_line() {
        let mut journal = Journal::new(1 << 20);
        journal.push(LogStream::Stdout, &[b'x'; MAX_LINE_BYTES]);
        journal.push(LogStream::Stdout, b"\n");
        assert_eq!(texts(&mut journal), ["x".repeat(MAX_LINE_BYTES)]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut journal = Journal::new(1_000);
        journal.push(LogStream::Stderr, b"a\xff\xfeb\n");
        assert_eq!(texts(&mut journal), ["a\u{fffd}\u{fffd}b"]);
    }

    #[test]
    fn what_goes_beyond_the_limit_is_counted_and_the_next_call_starts_anew() {
        let mut journal = Journal::new(10);
        journal.push(LogStream::Stdout, b"12345\n12345\n1\n123");
        journal.push(LogStream::Stdout, b"45");
        assert_eq!(journal.close(), Dropped { bytes: 5 + 1 + 5, lines: 3 });
        journal.push(LogStream::Stdout, b"next\n");
        assert_eq!(texts(&mut journal), ["12345", "next"]);
        assert_eq!(journal.close(), Dropped::default());
    }

    #[test]
    fn empty_lines_are_bounded_too() {
        let mut journal = Journal::new(1 << 20);
        journal.push(LogStream::Stdout, &[b'\n'; 15_000]);
        assert_eq!(texts(&mut journal).len(), 10_000);
        assert_eq!(journal.close(), Dropped { bytes: 0, lines: 5_000 });
    }

    #[test]
    fn a_long_line_that_passes_the_limit_is_one_dropped_line() {
        let mut journal = Journal::new(MAX_LINE_BYTES as u64 + 1);
        journal.push(LogStream::Stdout, &vec![b'x'; 5 * MAX_LINE_BYTES]);
        journal.push(LogStream::Stdout, b"\n");
        assert_eq!(journal.close(), Dropped { bytes: 4 * MAX_LINE_BYTES as u64, lines: 1 });
        assert_eq!(texts(&mut journal).len(), 1);
    }
}

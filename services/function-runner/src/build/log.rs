use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What is kept of a build's output: its end.
const KEPT_BYTES: usize = 1024 * 1024;
const CUT: (&str, &str) = ("[", " earlier lines were cut]");
/// The attempt of a log that is over.
const OVER: u32 = 0;
const CUT_LINE: &str = "[cut] ";

/// The output of a build, shared between the build that writes it and those who read along. Its lines count from 1.
#[derive(Debug, Clone)]
pub(crate) struct LogTail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Tells lines of this log from those of an attempt before a restart, which had the same numbers.
    attempt: u32,
    lines: Mutex<Lines>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    bytes: usize,
    /// How many came before what is kept.
    cut: u64,
}

/// Names a line of a build's log for those who follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuildLineId {
    attempt: u32,
    number: u64,
}

/// A line of a build's log, or what says that lines were cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildLine {
    pub(crate) id: BuildLineId,
    pub(crate) text: String,
}

/// Reads a build's log as it is written.
#[derive(Debug)]
pub(crate) struct LogReader {
    log: LogTail,
    changes: watch::Receiver<()>,
    /// Every line up to this one was read.
    reached: u64,
}

impl Default for LogTail {
    fn default() -> Self {
        Self::new(fastrand::u32(1..), Lines::default())
    }
}

impl LogTail {
    /// Adds what was printed, with or without its end. NUL, which PostgreSQL cannot store, becomes U+FFFD.
    pub(crate) fn push(&self, printed: &str) {
        let mut lines = self.lines();
        for line in printed.trim_end_matches(['\r', '\n']).split('\n') {
            lines.push(line.trim_end_matches('\r').replace('\0', "\u{fffd}"));
        }
        drop(lines);
        self.0.changes.send_replace(());
    }

    /// Returns what is kept.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines();
        let mut text = String::with_capacity(64 + lines.bytes);
        if lines.cut > 0 {
            text.push_str(&cut(lines.cut));
            text.push('\n');
        }
        for line in &lines.kept {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Returns the log that has this text.
    pub(crate) fn restore(text: &str) -> Self {
        let first = text.lines().next().unwrap_or_default();
        let cut = first.strip_prefix(CUT.0).and_then(|rest| rest.strip_suffix(CUT.1));
        let cut = cut.and_then(|number| number.parse().ok());
        let kept: VecDeque<String> =
            text.lines().skip(usize::from(cut.is_some())).map(str::to_owned).collect();
        Self::new(OVER, Lines { kept, bytes: text.len(), cut: cut.unwrap_or_default() })
    }

    /// Reads from after the line `after`, else from the beginning.
    pub(crate) fn read(&self, after: Option<BuildLineId>) -> LogReader {
        // Which attempt wrote what is over is not known any more.
        let is_of_this = |id: &BuildLineId| self.0.attempt == OVER || id.attempt == self.0.attempt;
        let reached = after.filter(is_of_this).map_or(0, |id| id.number);
        LogReader { log: self.clone(), changes: self.0.changes.subscribe(), reached }
    }

    fn new(attempt: u32, lines: Lines) -> Self {
        Self(Arc::new(Shared { attempt, lines: Mutex::new(lines), changes: watch::Sender::new(()) }))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn push(&mut self, mut line: String) {
        if line.len() >= KEPT_BYTES {
            line = format!("{CUT_LINE}{}", &line[line.ceil_char_boundary(line.len() - KEPT_BYTES / 2)..]);
        }
        self.bytes += line.len() + 1;
        self.kept.push_back(line);
        while self.bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.len() + 1;
            self.cut += 1;
        }
    }

    /// Returns the line after number `reached`, and its number.
    fn after(&self, reached: u64) -> Option<(u64, String)> {
        if reached < self.cut {
            return Some((self.cut, cut(self.cut)));
        }
        let line = self.kept.get(usize::try_from(reached - self.cut).ok()?)?;
        Some((reached + 1, line.clone()))
    }
}

impl LogReader {
    /// Returns the next line, where there is one already.
    pub(crate) fn next(&mut self) -> Option<BuildLine> {
        self.changes.mark_unchanged();
        let (number, text) = self.log.lines().after(self.reached)?;
        self.reached = number;
        Some(BuildLine { id: BuildLineId { attempt: self.log.0.attempt, number }, text })
    }

    /// Waits until there may be another line.
    pub(crate) async fn changed(&mut self) {
        // The reader keeps the log, so the sender lives.
        let _ = self.changes.changed().await;
    }
}

impl fmt::Display for BuildLineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.attempt, self.number)
    }
}

/// Says that a text is no id of a line of a build's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoBuildLine;

impl FromStr for BuildLineId {
    type Err = NoBuildLine;

    fn from_str(text: &str) -> Result<Self, NoBuildLine> {
        let (attempt, number) = text.split_once('-').ok_or(NoBuildLine)?;
        let attempt = u32::from_str_radix(attempt, 16).map_err(|_| NoBuildLine)?;
        Ok(Self { attempt, number: number.parse().map_err(|_| NoBuildLine)? })
    }
}

fn cut(lines: u64) -> String {
    format!("{}{lines}{}", CUT.0, CUT.1)
}

/// Returns the last `most` bytes of a log, from the start of a line where there is one.
pub(crate) fn tail(log: &str, most: usize) -> &str {
    let start = log.ceil_char_boundary(log.len().saturating_sub(most));
    let end = log.get(start..).unwrap_or_default();
    if start == 0 {
        return end;
    }
    end.split_once('\n').map_or(end, |(_, whole_lines)| whole_lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(reader: &mut LogReader) -> Vec<String> {
        std::iter::from_fn(|| reader.next()).map(|line| format!("{} {}", line.id.number, line.text)).collect()
    }

    #[test]
    fn the_end_of_a_long_log_is_kept() {
        let log = LogTail::default();
        for number in 0..200_000 {
            log.push(&format!("line {number}\n"));
        }
        let text = log.text();
        assert!(text.len() <= KEPT_BYTES + 64);
        let kept = text.lines().count() - 1;
        assert!(
            text.starts_with(&format!("[{} earlier lines were cut]\n", 200_000 - kept)),
            "{}",
            &text[..64]
        );
        assert!(text.ends_with("line 199999\n"));
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let log = LogTail::default();
        log.push(&"ä".repeat(KEPT_BYTES));
        assert!(log.text().len() <= KEPT_BYTES);
        assert!(log.text().starts_with("[cut] ä") && log.text().ends_with("ä\n"));
    }

    #[test]
    fn a_reader_goes_on_where_another_stopped() {
        let log = LogTail::default();
        log.push("one\ntwo\r\n");
        let mut reader = log.read(None);
        assert_eq!(read_all(&mut reader), ["1 one", "2 two"]);
        log.push("\nthree\0");
        assert_eq!(read_all(&mut reader), ["3 ", "4 three\u{fffd}"]);

        let second = log.read(None).next().unwrap().id;
        assert_eq!(second.to_string().parse(), Ok(second));
        assert_eq!(read_all(&mut log.read(Some(second))), ["2 two", "3 ", "4 three\u{fffd}"]);
        let over = LogTail::restore(&log.text());
        assert_eq!(read_all(&mut over.read(Some(second))), ["2 two", "3 ", "4 three\u{fffd}"]);
        // A restart began the build anew.
        assert_eq!(read_all(&mut LogTail::default().read(Some(second))), Vec::<String>::new());
        let anew = LogTail::default();
        anew.push("one");
        assert_eq!(read_all(&mut anew.read(Some(second))), ["1 one"]);
        for bad in ["", "1", "x-1", "1-x", "1-", "-1", "100000000-1"] {
            assert_eq!(bad.parse::<BuildLineId>(), Err(NoBuildLine), "{bad:?}");
        }
    }

    #[test]
    fn a_reader_that_is_late_learns_how_much_was_cut() {
        let log = LogTail::default();
        let mut early = log.read(None);
        let line = "x".repeat(KEPT_BYTES / 4);
        (0..5).for_each(|_| log.push(&line));
        let expected = ["2 [2 earlier lines were cut]".to_owned()]
            .into_iter()
            .chain((3..=5).map(|number| format!("{number} {line}")));
        let expected: Vec<String> = expected.collect();
        assert_eq!(read_all(&mut early), expected);
        assert_eq!(read_all(&mut LogTail::restore(&log.text()).read(None)), expected);
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_what_is_printed() {
        let log = LogTail::default();
        let mut reader = log.read(None);
        let reading = tokio::spawn(async move {
            loop {
                if let Some(line) = reader.next() {
                    return line.text;
                }
                reader.changed().await;
            }
        });
        tokio::task::yield_now().await;
        log.push("one");
        assert_eq!(reading.await.unwrap(), "one");
    }

    #[test]
    fn a_tail_starts_at_a_line() {
        assert_eq!(tail("one\ntwo\nthree\n", 9), "three\n");
        assert_eq!(tail("one\ntwo\n", 100), "one\ntwo\n");
        assert_eq!(tail("ääää", 3), "ä");
    }
}

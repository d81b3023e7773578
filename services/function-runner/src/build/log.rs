use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// What is kept of a build's output: its end.
const KEPT_BYTES: usize = 1024 * 1024;
const CUT: &str = "[earlier output was cut]\n";

/// The output of a build, shared between the build that writes it and those who read along.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogTail(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    bytes: usize,
    is_cut: bool,
}

impl LogTail {
    /// Adds a line, with or without its end. NUL, which PostgreSQL cannot store, becomes U+FFFD.
    pub(crate) fn push(&self, line: &str) {
        let mut line = line.trim_end_matches(['\r', '\n']).replace('\0', "\u{fffd}");
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.len() >= KEPT_BYTES {
            line = line.split_off(line.ceil_char_boundary(line.len() - KEPT_BYTES / 2));
            lines.is_cut = true;
        }
        line.push('\n');
        lines.bytes += line.len();
        lines.kept.push_back(line);
        while lines.bytes > KEPT_BYTES {
            let Some(oldest) = lines.kept.pop_front() else { break };
            lines.bytes -= oldest.len();
            lines.is_cut = true;
        }
    }

    /// Returns what is kept.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::with_capacity(CUT.len() + lines.bytes);
        if lines.is_cut {
            text.push_str(CUT);
        }
        text.extend(lines.kept.iter().map(String::as_str));
        text
    }
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

    #[test]
    fn the_end_of_a_long_log_is_kept() {
        let log = LogTail::default();
        for number in 0..200_000 {
            log.push(&format!("line {number}\n"));
        }
        let text = log.text();
        assert!(text.len() <= KEPT_BYTES + CUT.len());
        assert!(text.starts_with(CUT) && text.ends_with("line 199999\n"));
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let log = LogTail::default();
        log.push(&"ä".repeat(KEPT_BYTES));
        assert!(log.text().len() <= KEPT_BYTES + CUT.len());
        assert!(log.text().ends_with("ä\n"));
    }

    #[test]
    fn a_tail_starts_at_a_line() {
        assert_eq!(tail("one\ntwo\nthree\n", 9), "three\n");
        assert_eq!(tail("one\ntwo\n", 100), "one\ntwo\n");
        assert_eq!(tail("ääää", 3), "ä");
    }
}

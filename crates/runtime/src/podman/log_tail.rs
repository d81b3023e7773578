use std::collections::VecDeque;

/// The last lines of a log, as many as fit.
#[derive(Debug)]
pub(super) struct LogTail {
    lines: VecDeque<String>,
    bytes: usize,
    most: usize,
}

impl LogTail {
    /// Keeps at most `most` bytes, line ends among them.
    pub(super) fn new(most: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, most }
    }

    /// Adds a line. Of one that is too long by itself, its end is kept.
    pub(super) fn push(&mut self, line: &str) {
        let longest = self.most.saturating_sub(1);
        let start = line.ceil_char_boundary(line.len().saturating_sub(longest));
        let kept = &line[start..];
        self.bytes += kept.len() + 1;
        self.lines.push_back(kept.to_owned());
        while self.bytes > self.most
            && let Some(dropped) = self.lines.pop_front()
        {
            self.bytes -= dropped.len() + 1;
        }
    }

    pub(super) fn into_text(self) -> String {
        Vec::from(self.lines).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::LogTail;

    fn tail(most: usize, lines: &[&str]) -> String {
        let mut tail = LogTail::new(most);
        for line in lines {
            tail.push(line);
        }
        tail.into_text()
    }

    #[test]
    fn the_last_lines_that_fit_are_kept() {
        assert_eq!(tail(100, &["one", "two", "three"]), "one\ntwo\nthree");
        assert_eq!(tail(10, &["one", "two", "three"]), "two\nthree");
        assert_eq!(tail(9, &["one", "two", "three"]), "three");
    }

    #[test]
    fn the_end_of_a_line_that_is_too_long_is_kept() {
        assert_eq!(tail(5, &["one", "a long line"]), "line");
        assert_eq!(tail(4, &["ééé"]), "é", "never half a character");
    }
}

//! Results to standard output, as JSON for scripts or as text for people; the rest to standard error.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};

use serde::Serialize;
use serde_json::json;

use crate::environment;
use crate::failure::Failure;

pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes the result: `value` for scripts, `text` for people.
    pub(crate) fn result<T: Serialize>(&self, value: &T, text: &str) -> Result<(), Failure> {
        if self.json { self::value(value) } else { line(text) }
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if self.json {
            let problem = failure.problem.as_deref();
            let error = json!({
                "error": failure.message, "exit_status": failure.exit_status(), "hint": failure.hint,
                "problem": problem,
            });
            note(&error.to_string());
            return;
        }
        let (red, plain) = if has_colours() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(stderr().lock(), "{red}error:{plain} {}", printable(&failure.message));
        for error in failure.problem.iter().flat_map(|problem| &problem.errors) {
            note(&format!("  {}: {}", error.pointer, error.detail));
        }
        if let Some(hint) = &failure.hint {
            note(&format!("hint: {hint}"));
        }
        if let Some(problem) = failure.problem.as_ref().filter(|_| failure.is_unavailable()) {
            note(&format!("request: {}", problem.request_id));
        }
    }
}

/// Writes a line of the result. On a terminal, control characters that a function may have put into it are shown
/// and not obeyed.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    if stdout.is_terminal() {
        writeln!(stdout, "{}", printable(text))?;
    } else {
        writeln!(stdout, "{text}")?;
    }
    Ok(())
}

/// Writes a value as one line of JSON.
pub(crate) fn value<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(std::io::Error::from)?;
    writeln!(stdout().lock(), "{text}")?;
    Ok(())
}

/// Writes a table of columns that fit their content.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    let mut widths = head.map(|name| name.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(&aligned(&head.map(str::to_owned), &widths))?;
    rows.iter().try_for_each(|row| line(&aligned(row, &widths)))
}

/// Tells the person something that is not the result.
pub(crate) fn note(text: &str) {
    // Who closed standard error does not want to know.
    let _ = writeln!(stderr().lock(), "{}", printable(text));
}

/// Colours are for terminals whose owner did not turn them off (<https://no-color.org>).
fn has_colours() -> bool {
    stderr().is_terminal() && environment::variable("NO_COLOR").is_none()
}

fn aligned<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// Returns a text whose control characters are shown and not obeyed.
pub(crate) fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        _ if character.is_control() => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered_by_what_a_function_prints() {
        assert_eq!(printable("a\x1b[2Jb\r\u{9b}c\td\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\td\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = ["héllo".to_owned(), "x".to_owned()];
        assert_eq!(aligned(&row, &[7, 4]), "héllo    x");
    }
}

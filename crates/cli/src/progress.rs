//! What is going on, on standard error: one line that changes on a terminal, a line per step elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::output::printable;

const REDRAW_AFTER: Duration = Duration::from_millis(100);

pub(crate) struct Progress {
    is_terminal: bool,
    is_silent: bool,
    drawn: Mutex<Drawn>,
}

#[derive(Default)]
struct Drawn {
    step: String,
    at: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_terminal: stderr().is_terminal(), is_silent: false, drawn: Mutex::default() }
    }

    /// Makes one that shows nothing.
    pub(crate) fn silent() -> Self {
        Self { is_terminal: false, is_silent: true, drawn: Mutex::default() }
    }

    /// Shows a line that stays, above the step. Control characters are shown and not obeyed.
    pub(crate) fn print(&self, line: &str) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_silent {
            return;
        }
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(stderr().lock(), "{clear}{}", printable(line));
        drawn.at = None;
    }

    /// Shows where a step stands. Away from a terminal only its beginning is shown.
    pub(crate) fn show(&self, step: &str, standing: &str) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_silent {
            return;
        }
        let is_new = drawn.step != step;
        let is_due = drawn.at.is_none_or(|at| at.elapsed() >= REDRAW_AFTER);
        if self.is_terminal && (is_new || is_due) {
            let _ = write!(stderr().lock(), "\r\x1b[K{step} {standing}");
            drawn.at = Some(Instant::now());
        } else if is_new {
            let _ = writeln!(stderr().lock(), "{step}");
        }
        if is_new {
            step.clone_into(&mut drawn.step);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(stderr().lock(), "\r\x1b[K");
        }
    }
}

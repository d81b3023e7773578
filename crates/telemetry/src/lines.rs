//! Lines of the log that are written many at a time: writing one costs more than making it.
//!
//! Warnings and errors are written at once, after all that waited. A process that is killed can lose the others of the last
//! 100 ms; one that stops, or panics, does not.

use std::io::{self, Stdout, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait for others to be written with.
const WAIT: Duration = Duration::from_millis(100);
/// So much is written without waiting.
const FULL: usize = 64 * 1024;

static LINES: OnceLock<Lines> = OnceLock::new();

/// Lines that wait to be written.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Vec<u8>>,
    came: Condvar,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.lock();
        let is_first = waiting.is_empty();
        write(&mut waiting);
        if waiting.len() > FULL {
            write_out(&mut waiting);
        } else if is_first {
            self.came.notify_one();
        }
    }

    /// Writes what waits, again and again.
    fn run(&self) -> ! {
        loop {
            let mut waiting = self.lock();
            while waiting.is_empty() {
                waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            std::thread::sleep(WAIT);
            write_out(&mut self.lock());
        }
    }
}

/// Has lines gathered from now on.
pub(crate) fn begin_gathering() {
    if LINES.set(Lines::default()).is_ok()
        && let Some(lines) = LINES.get()
    {
        // Where there is no thread to be had, lines are written when enough have come, and at the end.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(|| lines.run());
    }
}

pub(crate) fn are_gathered() -> bool {
    LINES.get().is_some()
}

/// Has lines written with others, where lines are gathered: `write` appends them.
pub(crate) fn gather(write: impl FnOnce(&mut Vec<u8>)) {
    if let Some(lines) = LINES.get() {
        lines.add(write);
    }
}

/// Writes all lines that wait, so that what follows comes after them.
pub(crate) fn write_waiting() {
    if let Some(lines) = LINES.get() {
        write_out(&mut lines.lock());
    }
}

fn write_out(waiting: &mut Vec<u8>) {
    // A log that cannot be written has nowhere to say so.
    let _ = io::stdout().lock().write_all(waiting);
    waiting.clear();
}

/// Writes lines to standard output: with others, or, of warnings and errors, at once.
pub(crate) struct Gathering;

/// How one line is written.
pub(crate) enum Line {
    WithOthers,
    AtOnce(Stdout),
}

impl<'w> MakeWriter<'w> for Gathering {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        write_waiting();
        Line::AtOnce(io::stdout())
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Line {
        if *metadata.level() >= Level::INFO && are_gathered() { Line::WithOthers } else { self.make_writer() }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::WithOthers => {
                gather(|waiting| waiting.extend_from_slice(line));
                Ok(line.len())
            }
            Self::AtOnce(stdout) => stdout.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::WithOthers => Ok(()),
            Self::AtOnce(stdout) => stdout.flush(),
        }
    }
}

//! Questions to the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _, stderr, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// More than any password, less than what hurts, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Asks a question and returns the answer, without its line end. There must be a terminal; `otherwise` says what to do
/// where there is none.
pub(crate) async fn ask(question: &str, otherwise: &str) -> Result<String, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage(format!("there is no terminal to ask on: {otherwise}")));
    }
    let _ = write!(stderr().lock(), "{question}");
    read_line().await
}

/// Asks without showing what is typed.
pub(crate) async fn ask_secret(question: &str, otherwise: &str) -> Result<String, Failure> {
    let _hidden = if stdin().is_terminal() { HiddenInput::start() } else { None };
    ask(question, otherwise).await
}

/// Reads a line on a thread, so that Ctrl-C is heard meanwhile.
pub(crate) async fn read_line() -> Result<String, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        stdin().lock().take(MAX_LINE).read_line(&mut line).map(|_| line)
    });
    let line = read.await.map_err(std::io::Error::from).flatten();
    let line = line.map_err(|fault| Failure::local(format!("cannot read the input: {fault}")))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// While it lives, the terminal does not show what is typed. It is dropped on Ctrl-C too.
struct HiddenInput(Termios);

impl HiddenInput {
    fn start() -> Option<Self> {
        let shown = tcgetattr(stdin()).ok()?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(stdin(), OptionalActions::Flush, &hidden).ok()?;
        Some(Self(shown))
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.0);
    }
}

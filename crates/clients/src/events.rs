//! Server-sent events (WHATWG HTML, section 9.2), as a client reads them.

use std::time::Duration;

use reqwest::Response;

use crate::ClientError;

/// The platform breaks a silence after 15 s: past this the connection is lost.
const SILENCE: Duration = Duration::from_secs(45);
/// The longest line that is read: far above a line of a log, far below what hurts.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type, where it has one of its own.
    pub name: Option<String>,
    /// Its data.
    pub data: String,
}

/// The events of an answer.
#[derive(Debug)]
pub struct Events {
    answer: Response,
    parser: Parser,
}

impl Events {
    pub(crate) fn new(answer: Response) -> Self {
        Self { answer, parser: Parser::default() }
    }

    /// Returns the next event; `None` when the answer is over.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.parser.next_event() {
                return Ok(Some(event));
            }
            if self.parser.unread.len() > MAX_LINE {
                let reason = format!("an event has a line of more than {MAX_LINE} bytes");
                return Err(ClientError::Foreign { status: self.answer.status().as_u16(), reason });
            }
            match tokio::time::timeout(SILENCE, self.answer.chunk()).await {
                Ok(Ok(Some(chunk))) => self.parser.unread.extend_from_slice(&chunk),
                // Whoever reads on asks again from the last id; what cut this off shows then.
                Ok(Ok(None) | Err(_)) | Err(_) => return Ok(None),
            }
        }
    }

    /// Returns the id of the last event, from after which an answer can go on.
    pub fn last_id(&self) -> Option<&str> {
        self.parser.last_id.as_deref()
    }
}

#[derive(Debug, Default)]
struct Parser {
    unread: Vec<u8>,
    last_id: Option<String>,
    id: Option<String>,
    name: Option<String>,
    data: Option<String>,
}

impl Parser {
    /// Reads lines up to the end of an event that has data.
    fn next_event(&mut self) -> Option<Event> {
        let mut read = 0;
        let mut event = None;
        while let Some(length) = self.unread[read..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.unread[read..read + length]).into_owned();
            read += length + 1;
            event = self.take(line.trim_end_matches('\r'));
            if event.is_some() {
                break;
            }
        }
        self.unread.drain(..read);
        event
    }

    fn take(&mut self, line: &str) -> Option<Event> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                self.last_id = self.id.clone().or(self.last_id.take());
                let name = self.name.take();
                return self.data.take().map(|data| Event { name, data });
            }
            "id" => self.id = Some(value.to_owned()),
            "event" => self.name = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = "retry: 2000\n\nid: 1\ndata: one\n\n:\n\nid: 2\r\nevent: end\r\ndata: a\r\ndata:  b\r\n\r\ndata: cut";
        for size in [1, 2, 7, 1_000] {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                parser.unread.extend_from_slice(chunk);
                while let Some(event) = parser.next_event() {
                    events.push((parser.last_id.clone().unwrap(), event));
                }
            }
            let one = Event { name: None, data: "one".to_owned() };
            let two = Event { name: Some("end".to_owned()), data: "a\n b".to_owned() };
            assert_eq!(events, [("1".to_owned(), one), ("2".to_owned(), two)], "{size}");
        }
    }
}

/// Finds the answers in what a connection brings (HTTP/1.1, bodies by their length).
#[derive(Default)]
pub(crate) struct Answers(Vec<u8>);

/// An answer that is there whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the connection ends with it.
    pub(crate) ends: bool,
}

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Of its body, where it tells.
    pub(crate) length: Option<u64>,
    ends: bool,
    /// How many bytes it takes itself.
    pub(crate) size: usize,
}

impl Head {
    /// Reads the head that a text begins with, where it is there whole.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let size = end_of_head(text)?;
        let head = String::from_utf8_lossy(&text[..size]).to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        assert!(field("transfer-encoding:").is_none(), "an answer does not tell its length: {head}");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Some(Self {
            status: status.unwrap_or_else(|| panic!("this is no answer: {head}")),
            length: field("content-length:").and_then(|length| length.parse().ok()),
            ends: field("connection:") == Some("close"),
            size,
        })
    }
}

impl Answers {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Takes the next answer that is there whole.
    pub(crate) fn take(&mut self) -> Option<Answer> {
        let head = Head::read(&self.0)?;
        let body = usize::try_from(head.length.unwrap_or_default()).expect("a small answer");
        let end = head.size + body;
        if self.0.len() < end {
            return None;
        }
        self.0.drain(..end);
        Some(Answer { status: head.status, ends: head.ends })
    }
}

/// Returns where the head of a message ends, where it is there whole.
pub(crate) fn end_of_head(text: &[u8]) -> Option<usize> {
    text.windows(4).position(|four| four == b"\r\n\r\n").map(|position| position + 4)
}

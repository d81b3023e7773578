//! Dart code as words and signs.

/// A part of code that is neither comment nor text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// Any other character.
    Sign(char),
    /// `=>`.
    Arrow,
}

/// Where the reader is, from the outside to the inside.
#[derive(Clone, Copy)]
enum Inside {
    /// A string that ends at this quote, or at three of it.
    Text { quote: u8, length: usize },
    /// An expression in a string, and how many braces are open in it.
    Expression { braces: usize },
}

/// Returns the tokens of a file, without what its comments and strings hold. Never fails: what is no Dart makes some
/// tokens or other, in time that is linear in its length.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut reader = Reader { code, at: 0, inside: Vec::new(), found: Vec::new() };
    while reader.at < code.len() {
        match reader.inside.last().copied() {
            Some(Inside::Text { quote, length }) => reader.text(quote, length),
            _ => reader.code(),
        }
    }
    reader.found
}

struct Reader<'a> {
    code: &'a str,
    at: usize,
    inside: Vec<Inside>,
    found: Vec<Token<'a>>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.code.get(self.at..).unwrap_or_default()
    }

    fn code(&mut self) {
        let rest = self.rest();
        let word = rest.find(|character: char| !is_of_word(character)).unwrap_or(rest.len());
        let after = &rest[word..];
        if word > 0 {
            self.at += word;
            if &rest[..word] == "r" && after.starts_with(['"', '\'']) {
                self.raw_text(after);
            } else {
                self.push(Token::Word(&rest[..word]));
            }
        } else if rest.starts_with("//") {
            self.at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            self.at += comment(rest);
        } else if rest.starts_with("=>") {
            self.at += 2;
            self.push(Token::Arrow);
        } else {
            self.sign(rest);
        }
    }

    fn sign(&mut self, rest: &str) {
        let Some(character) = rest.chars().next() else { return };
        if let '"' | '\'' = character {
            let length = quotes(rest);
            self.at += length;
            self.inside.push(Inside::Text { quote: rest.as_bytes()[0], length });
            return;
        }
        self.at += character.len_utf8();
        match (character, self.inside.last_mut()) {
            ('{', Some(Inside::Expression { braces })) => *braces += 1,
            ('}', Some(Inside::Expression { braces: 0 })) => drop(self.inside.pop()),
            ('}', Some(Inside::Expression { braces })) => *braces -= 1,
            _ if character.is_whitespace() => {}
            _ => self.push(Token::Sign(character)),
        }
    }

    /// Reads one character of a string, or what ends it. One of a single line ends with that.
    fn text(&mut self, quote: u8, length: usize) {
        let rest = self.rest();
        let ends = rest.bytes().take(length).filter(|byte| *byte == quote).count() == length;
        if ends || (length == 1 && rest.starts_with('\n')) {
            self.at += length;
            self.inside.pop();
        } else if rest.starts_with("${") {
            self.at += 2;
            self.inside.push(Inside::Expression { braces: 0 });
        } else {
            let taken = if rest.starts_with('\\') { 2 } else { 1 };
            self.at += rest.chars().take(taken).map(char::len_utf8).sum::<usize>();
        }
    }

    /// Passes over a string in which nothing is escaped.
    fn raw_text(&mut self, rest: &str) {
        let length = quotes(rest);
        let (opening, text) = rest.split_at(length);
        let end = if length == 1 {
            text.find([opening.chars().next().unwrap_or('"'), '\n'])
        } else {
            text.find(opening)
        };
        self.at += end.map_or(rest.len(), |end| length + end + length);
    }

    fn push(&mut self, token: Token<'a>) {
        if self.inside.is_empty() {
            self.found.push(token);
        }
    }
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '$'
}

/// The quotes that begin a string: three or one.
fn quotes(rest: &str) -> usize {
    if rest.starts_with("'''") || rest.starts_with("\"\"\"") { 3 } else { 1 }
}

/// The bytes of a comment, which may hold others.
fn comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        let pair = rest.get(at..at + 2);
        match pair {
            Some("/*") => depth += 1,
            Some("*/") => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

//! What a function of the Dart runtime is made of: a package, and a handler in one of its files.

mod tokens;

use std::io;
use std::path::Path;

use self::tokens::{Token, tokens};
use crate::project::read_text;

pub(crate) const MANIFEST: &str = "pubspec.yaml";
/// Where the handler is looked for, in this order.
const ENTRIES: [&str; 3] = ["main.dart", "bin/main.dart", "lib/main.dart"];
const ANNOTATIONS: [&str; 2] = ["cloudFunction", "CloudFunction"];
/// The packages of the platform, which a function's own would hide, and that of the program itself.
const TAKEN: [&str; 3] = ["dart_cloud_function", "dart_cloud_logger", "slipway_program"];

/// A Dart package that can be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DartPackage {
    /// Its name: a Dart identifier.
    pub(crate) name: String,
    /// What imports the file of the handler: a relative path or a `package:` address, percent-encoded.
    pub(crate) import: String,
    /// The class that is the handler, an identifier; none where it is the function `handle`.
    pub(crate) class: Option<String>,
}

/// Says why an archive is no Dart function.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DartFault {
    /// The package has no name that Dart takes.
    #[error(
        "{MANIFEST}: it needs a line such as name: my_function, of small letters, digits and underscores"
    )]
    Name,
    /// The package has a name of the platform's.
    #[error("{MANIFEST}: a function cannot have the name {0}, which is a package of the platform's")]
    TakenName(String),
    /// No file is where the handler is looked for.
    #[error(
        "there is no main.dart, bin/main.dart or lib/main.dart: name the handler's file in slipway.toml as its entry"
    )]
    NoEntry,
    /// A file cannot be read.
    #[error("{name}: {fault}")]
    Unreadable {
        /// The file.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The file has no handler.
    #[error(
        "{0}: there is neither a class with @cloudFunction before it nor a function handle(CloudRequest, CloudContext)"
    )]
    NoHandler(String),
    /// The file has two.
    #[error(
        "{entry}: {first} and {second} both have @cloudFunction before them, and a function has one such class"
    )]
    TwoHandlers {
        /// The file.
        entry: String,
        /// A class of it.
        first: String,
        /// Another.
        second: String,
    },
    /// Nothing outside of its file can name the class.
    #[error("{entry}: the class {class} is private: take the underscore from its name")]
    PrivateClass {
        /// The file.
        entry: String,
        /// The class.
        class: String,
    },
}

impl DartPackage {
    /// Looks at an archive that was unpacked to `root`, and at the `entry` that its manifest names. Blocking; the outer
    /// error is this host's.
    pub(crate) fn find(root: &Path, entry: Option<&str>) -> io::Result<Result<Self, DartFault>> {
        let manifest = match read_text(root, MANIFEST)? {
            Ok(manifest) => manifest.unwrap_or_default(),
            Err(fault) => return Ok(Err(DartFault::Unreadable { name: MANIFEST.to_owned(), fault })),
        };
        let name = match package_name(&manifest) {
            Some(name) if TAKEN.contains(&name) => return Ok(Err(DartFault::TakenName(name.to_owned()))),
            Some(name) => name.to_owned(),
            None => return Ok(Err(DartFault::Name)),
        };
        let found = || ENTRIES.into_iter().find(|entry| root.join(entry).is_file());
        let Some(entry) = entry.or_else(found) else { return Ok(Err(DartFault::NoEntry)) };
        let code = match read_text(root, entry)? {
            Ok(code) => code.unwrap_or_default(),
            Err(fault) => return Ok(Err(DartFault::Unreadable { name: entry.to_owned(), fault })),
        };
        Ok(handler(entry, &code).map(|class| Self { import: import(&name, entry), name, class }))
    }
}

/// Returns the name that a manifest gives its package. What YAML may be besides, pub reads.
fn package_name(manifest: &str) -> Option<&str> {
    let value = manifest.lines().find_map(|line| line.strip_prefix("name:"))?;
    let value = value.split(" #").next().unwrap_or_default().trim();
    let name = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value);
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (is_name && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())).then_some(name)
}

/// What is below `lib` goes by the package's name, as it does in its other files: it would be there twice otherwise.
fn import(name: &str, entry: &str) -> String {
    let encoded = |path: &str| {
        let encode = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        };
        path.bytes().map(encode).collect::<String>()
    };
    match entry.strip_prefix("lib/") {
        Some(rest) => format!("package:{name}/{}", encoded(rest)),
        None => encoded(entry),
    }
}

/// Returns the class that is the handler of a file, or `None` where that is a function. The compiler sees to the rest.
fn handler(entry: &str, code: &str) -> Result<Option<String>, DartFault> {
    let declared = Declared::of(&tokens(code));
    let entry = || entry.to_owned();
    match (&declared.classes[..], declared.has_function) {
        ([class], _) if class.starts_with('_') => {
            Err(DartFault::PrivateClass { entry: entry(), class: class.clone() })
        }
        ([class], _) => Ok(Some(class.clone())),
        ([], true) => Ok(None),
        ([], false) => Err(DartFault::NoHandler(entry())),
        ([first, second, ..], _) => {
            Err(DartFault::TwoHandlers { entry: entry(), first: first.clone(), second: second.clone() })
        }
    }
}

/// What a file declares that may be its handler.
#[derive(Default)]
struct Declared {
    /// The classes that are marked.
    classes: Vec<String>,
    /// Whether there is a function `handle`.
    has_function: bool,
}

impl Declared {
    fn of(tokens: &[Token<'_>]) -> Self {
        let mut found = Self::default();
        let mut depth = 0_usize;
        let mut is_marked = false;
        for (at, token) in tokens.iter().enumerate() {
            let next = tokens.get(at + 1);
            match *token {
                Token::Sign('{' | '(' | '[') => depth += 1,
                Token::Sign('}' | ')' | ']') => {
                    depth = depth.saturating_sub(1);
                    is_marked &= depth > 0 || *token != Token::Sign('}');
                }
                _ if depth > 0 => {}
                Token::Sign(';') => is_marked = false,
                Token::Sign('@') => is_marked |= annotates(&tokens[at + 1..]),
                Token::Word("class") if is_marked => {
                    if let Some(Token::Word(name)) = next {
                        found.classes.push((*name).to_owned());
                    }
                    is_marked = false;
                }
                Token::Word("handle") if next == Some(&Token::Sign('(')) => {
                    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                    found.has_function |= before.is_none_or(begins_declaration);
                }
                Token::Word(_) | Token::Sign(_) | Token::Arrow => {}
            }
        }
        found
    }
}

/// Tells whether what follows an `@` is our annotation, with or without the prefix of an import.
fn annotates(rest: &[Token<'_>]) -> bool {
    match rest {
        [Token::Word(_), Token::Sign('.'), Token::Word(name), ..] | [Token::Word(name), ..] => {
            ANNOTATIONS.contains(name)
        }
        _ => false,
    }
}

/// Tells whether a name after this token, followed by a parenthesis, is a function's declaration and not its use.
fn begins_declaration(before: &Token<'_>) -> bool {
    matches!(before, Token::Word(_) | Token::Sign(';' | '}' | '>' | '?' | ')' | ']'))
}

#[cfg(test)]
mod tests;

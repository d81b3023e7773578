//! The fields of a head: what each line may hold, and where it stands in the bytes.

use std::ops::Range;

use memchr::memchr;

use crate::Fault;

/// The most bytes of a head.
pub const MAX_HEAD: usize = 128 * 1024;
/// The most fields of a head.
const MAX_FIELDS: usize = 96;

/// Says why a head is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// It is no HTTP/1.1.
    Malformed,
    /// It is longer than [`MAX_HEAD`] bytes, or has too many fields.
    TooLarge,
}

impl From<Fault> for HeadFault {
    fn from(Fault: Fault) -> Self {
        Self::Malformed
    }
}

/// Finds the lines of a head in bytes that grow; each byte is looked at once.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Where the line begins that has not ended yet.
    start: usize,
    /// Up to where it holds no LF.
    seen: usize,
}

impl Lines {
    /// Returns where the next line stands, without its end.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, HeadFault> {
        let found = memchr(b'\n', &bytes[self.seen..]);
        let end = found.map_or(bytes.len(), |offset| self.seen + offset);
        if end >= MAX_HEAD {
            return Err(HeadFault::TooLarge);
        }
        self.seen = end;
        if found.is_none() {
            return Ok(None);
        }
        let line = self.start..end.saturating_sub(1);
        if line.end < line.start || bytes[line.end] != b'\r' {
            return Err(HeadFault::Malformed);
        }
        self.seen = end + 1;
        self.start = self.seen;
        Ok(Some(line))
    }

    /// Returns how many bytes the lines have taken.
    pub(crate) fn taken(&self) -> usize {
        self.start
    }
}

/// The fields of a head.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Where they stand: of each its name and its value.
    places: Vec<(Range<usize>, Range<usize>)>,
    /// A bit for each length that a name has, the last one for all that are longer: most fields that are asked for are not
    /// there.
    lengths: u64,
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.lengths = 0;
    }

    /// Reads a line and puts the name into lower case (RFC 9110, section 5.1: case means nothing). Returns the two.
    pub(crate) fn read<'a>(
        &mut self,
        bytes: &'a mut [u8],
        line: Range<usize>,
    ) -> Result<(&'a [u8], &'a [u8]), HeadFault> {
        if self.places.len() == MAX_FIELDS {
            return Err(HeadFault::TooLarge);
        }
        let text = &mut bytes[line.clone()];
        let colon = memchr(b':', text).ok_or(Fault)?;
        let (name, rest) = text.split_at_mut(colon);
        let rest = &rest[1..];
        if name.is_empty() || !to_lower_case(name) || !is_text(rest) {
            return Err(HeadFault::Malformed);
        }
        let value = rest.trim_ascii();
        let before = rest.len() - rest.trim_ascii_start().len();
        let start = line.start + colon + 1 + before.min(rest.len() - value.len());
        self.lengths |= length_bit(name);
        self.places.push((line.start..line.start + colon, start..start + value.len()));
        Ok((name, value))
    }

    pub(crate) fn iter<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.places.iter().map(|(name, value)| {
            // Names are tokens: ASCII.
            (str::from_utf8(&bytes[name.clone()]).unwrap_or_default(), &bytes[value.clone()])
        })
    }

    /// Returns the values of all fields of a name, in lower case.
    pub(crate) fn values<'a>(
        &'a self,
        bytes: &'a [u8],
        name: &'a str,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let name = name.as_bytes();
        let places = if self.lengths & length_bit(name) == 0 { &[] } else { &self.places[..] };
        let is_named = move |place: &Range<usize>| place.len() == name.len() && bytes[place.clone()] == *name;
        places.iter().filter(move |(place, _)| is_named(place)).map(|(_, value)| &bytes[value.clone()])
    }
}

/// What a token's bytes are in lower case (RFC 9110, section 5.6.2), and 0 for what no token holds.
static TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        if byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)] != 0
}

/// Tells whether all are a token's, and puts them into lower case.
fn to_lower_case(name: &mut [u8]) -> bool {
    let mut is_good = true;
    for byte in name {
        *byte = TOKEN[usize::from(*byte)];
        is_good &= *byte != 0;
    }
    is_good
}

/// Tells what a value may hold (RFC 9110, section 5.5). All bytes are looked at whatever comes: that is faster.
fn is_text(value: &[u8]) -> bool {
    let is_good = |byte: u8| byte >= b' ' && byte != 0x7f || byte == b'\t';
    value.iter().fold(0, |bad, byte| bad | u8::from(!is_good(*byte))) == 0
}

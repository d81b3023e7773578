/// Where a stream of WebSocket frames stands (RFC 6455, section 5.2). What they hold is not looked at.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a frame's header.
    header: [u8; 10],
    length: usize,
    /// What is to come of the payload, and of the mask before it.
    payload: u64,
}

impl Frames {
    /// Takes what comes. Returns how many bytes of it end with the last frame that ends there, if one does.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut end = None;
        let mut at = 0;
        while at < bytes.len() {
            if self.payload > 0 {
                let rest = bytes.len() - at;
                let taken = usize::try_from(self.payload).map_or(rest, |payload| payload.min(rest));
                self.payload -= taken as u64;
                at += taken;
            } else {
                self.header[self.length] = bytes[at];
                self.length += 1;
                at += 1;
                let Some(payload) = self.payload_length() else { continue };
                self.length = 0;
                self.payload = payload;
            }
            if self.payload == 0 {
                end = Some(at);
            }
        }
        end
    }

    /// Tells whether no frame has begun that has not ended.
    pub(super) fn is_between(&self) -> bool {
        self.length == 0 && self.payload == 0
    }

    /// Returns how much follows the header, once that is whole.
    fn payload_length(&self) -> Option<u64> {
        let [_, second, rest @ ..] = &self.header;
        let (short, mask) = (second & 0x7f, if second & 0x80 == 0 { 0 } else { 4 });
        let extended: u64 = match (short, self.length) {
            (_, 0 | 1) => return None,
            (0..=125, _) => short.into(),
            (126, 4) => u64::from(rest[0]) << 8 | u64::from(rest[1]),
            (127, 10) => rest.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            _ => return None,
        };
        Some(extended.saturating_add(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match length {
            0..=125 => bytes.push(u8::try_from(length).unwrap() | mask),
            126..=65_535 => {
                bytes.push(0x7e | mask);
                bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(0x7f | mask);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + length + if is_masked { 4 } else { 0 }, 0x88);
        bytes
    }

    #[test]
    fn the_end_of_each_frame_is_found_in_whatever_pieces_it_comes() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 3];
        for is_masked in [false, true] {
            let stream: Vec<u8> = lengths.iter().flat_map(|length| frame(*length, is_masked)).collect();
            let mut ends = Vec::new();
            for length in lengths {
                ends.push(ends.last().copied().unwrap_or(0) + frame(length, is_masked).len());
            }
            for piece in [1, 2, 3, 1000] {
                let (mut frames, mut found, mut at) = (Frames::default(), Vec::new(), 0);
                for bytes in stream.chunks(piece) {
                    if let Some(end) = frames.take(bytes) {
                        assert_eq!(frames.is_between(), end == bytes.len());
                        found.push(at + end);
                    }
                    at += bytes.len();
                }
                // Of several in one piece the last counts.
                assert!(found.iter().all(|end| ends.contains(end)), "{found:?}");
                assert!(piece > 1 || found == ends, "{found:?}");
                assert_eq!(found.last(), ends.last());
            }
        }
    }
}

//! A record on disk: `u32` length of the payload, `u32` CRC-32C of length and payload (both little-endian), payload.

/// The largest payload that is written or believed.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024 * 1024;
const HEADER: usize = 8;

/// Makes a frame of `payload`; none of an empty one and of one over [`MAX_PAYLOAD`].
pub(super) fn encode(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.is_empty() || payload.len() > MAX_PAYLOAD {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?.to_le_bytes();
    Some([&length[..], &checksum(length, payload).to_le_bytes(), payload].concat())
}

/// The whole frames at the beginning of some bytes. What is torn, zeroed or altered ends them.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns how many bytes were not read: not 0 at the end means that the tail is lost.
    pub(super) fn unread(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if size == 0 || size > MAX_PAYLOAD {
            return None;
        }
        let payload = rest.get(..size)?;
        if checksum(*length, payload) != u32::from_le_bytes(*sum) {
            return None;
        }
        self.rest = &self.rest[HEADER + size..];
        Some(payload)
    }
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(payloads: &[Vec<u8>]) -> Vec<u8> {
        payloads.iter().flat_map(|payload| encode(payload).unwrap()).collect()
    }

    #[test]
    fn a_tail_torn_at_any_byte_loses_only_the_frame_that_it_is_in() {
        let payloads: Vec<Vec<u8>> = vec![b"one".to_vec(), vec![0; 40], b"three".to_vec()];
        let bytes = encoded(&payloads);
        let ends = [HEADER + 3, 2 * HEADER + 43, bytes.len()];
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let read: Vec<&[u8]> = Frames::new(&bytes[..cut]).collect();
            assert_eq!(read, payloads[..whole], "cut at {cut}");
        }
    }

    #[test]
    fn a_frame_with_any_bit_turned_is_not_believed() {
        let bytes = encoded(&[b"payload".to_vec()]);
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frames::new(&altered).count(), 0, "bit {bit}");
        }
    }

    #[test]
    fn empty_and_huge_payloads_are_refused() {
        assert_eq!(encode(&[]), None);
        assert_eq!(encode(&vec![1; MAX_PAYLOAD + 1]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_whatever_follows_it(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..20),
            zeros in 0_usize..64,
        ) {
            let mut bytes = encoded(&payloads);
            bytes.extend(std::iter::repeat_n(0, zeros));
            let mut frames = Frames::new(&bytes);
            let read: Vec<Vec<u8>> = frames.by_ref().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(read, payloads);
            prop_assert_eq!(frames.unread(), zeros);
        }

        #[test]
        fn arbitrary_bytes_never_fault(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Frames::new(&bytes).count();
        }
    }
}

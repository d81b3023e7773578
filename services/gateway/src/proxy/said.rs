use std::io::Write as _;
use std::net::IpAddr;

/// What the usual headers need.
const ROOM: usize = 512;

/// Headers that the answer gets, be it an error, as they are written.
#[derive(Default)]
pub(super) struct Said(Vec<u8>);

impl Said {
    /// Adds a header. The value must be one that a header may hold.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        if self.0.is_empty() {
            self.0.reserve(ROOM);
        }
        write_field(&mut self.0, name, value);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes a header's line.
pub(super) fn write_field(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}

/// Writes a header's line whose value is a number.
pub(super) fn write_number_field(to: &mut Vec<u8>, name: &str, value: u64) {
    write_field(to, name, itoa::Buffer::new().format(value).as_bytes());
}

/// Writes an IP address.
pub(super) fn write_address(to: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    to.push(b'.');
                }
                to.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        // Writing into memory does not fail.
        IpAddr::V6(address) => drop(write!(to, "{address}")),
    }
}

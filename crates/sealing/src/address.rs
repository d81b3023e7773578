use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use slipway_jwt::KeyError;

use crate::{OpenError, SealError, SealingKeys};

const PURPOSE: &[u8] = b"address";

/// Seals the addresses that requests come from. Cheap to clone.
#[derive(Clone)]
pub struct AddressSeal(Arc<SealingKeys>);

impl AddressSeal {
    /// Loads the keys of `name`, and makes the first one where there is none. Blocking.
    pub fn load_or_create(directory: &Path, name: &str) -> Result<Self, KeyError> {
        Ok(Self(Arc::new(SealingKeys::load_or_create(directory, name)?)))
    }

    /// Seals an address, as text. All are of one length. It opens for the same `context` only.
    pub fn seal(&self, context: &str, address: IpAddr) -> Result<String, SealError> {
        let plain = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let sealed = self.0.seal(&[PURPOSE, context.as_bytes()], &plain.octets())?;
        Ok(STANDARD_NO_PAD.encode(sealed))
    }

    /// Opens what [`AddressSeal::seal`] sealed.
    pub fn open(&self, context: &str, sealed: &str) -> Result<IpAddr, OpenError> {
        let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| OpenError::Malformed)?;
        let plain = self.0.open(&[PURPOSE, context.as_bytes()], &sealed)?;
        let octets: [u8; 16] = plain.as_slice().try_into().map_err(|_| OpenError::Malformed)?;
        Ok(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_opens_for_its_context_alone_and_all_look_alike() {
        let directory = tempfile::tempdir().unwrap();
        let seal = AddressSeal::load_or_create(directory.path(), "audit").unwrap();
        let mut lengths = Vec::new();
        for text in ["203.0.113.9", "2001:db8::1"] {
            let address = text.parse().unwrap();
            let sealed = seal.seal("a", address).unwrap();
            assert_eq!(seal.open("a", &sealed), Ok(address));
            assert_eq!(seal.open("b", &sealed), Err(OpenError::Forged));
            assert_ne!(seal.seal("a", address).unwrap(), sealed, "not even the same one looks the same");
            lengths.push(sealed.len());
        }
        assert_eq!(lengths[0], lengths[1]);
        assert_eq!(seal.open("a", "x y"), Err(OpenError::Malformed));
    }
}

//! Settings: defaults, under an optional TOML file (`SLIPWAY_CONFIG`), under the environment.
//!
//! A service reads all of its settings through one [`Reader`] and then calls [`Reader::finish`], which reports
//! every fault at once, each by the name of its variable. A value is never printed: it may be a secret.
//!
//! ```
//! use slipway_config::{Reader, Settings};
//!
//! let settings = Settings::from_pairs([("AUTH_PORT", "8101")]);
//! let mut reader = Reader::new(&settings);
//! let port: u16 = reader.or("AUTH_PORT", 8101);
//! let host: std::net::IpAddr = reader.or("AUTH_HOST", [127, 0, 0, 1].into());
//! reader.finish().expect("the settings are good");
//! assert_eq!((port, host.is_loopback()), (8101, true));
//! ```

mod reader;
mod secret;
mod settings;

pub use reader::{Faults, Reader};
pub use secret::Secret;
pub use settings::{Settings, Unreadable};

/// The exit status of a program whose settings are at fault: `EX_USAGE` of `sysexits.h`.
pub const EXIT_USAGE: u8 = 64;

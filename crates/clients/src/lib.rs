//! Typed HTTP clients of our services.
//!
//! All of them go through [`Http`]: deadlines, bounded answers, the trace context and request id of the current span,
//! retries of what is safe to send twice, and problem answers as a [`ClientError`].

mod accounts;
mod audit;
mod error;
mod events;
mod http;
pub mod platform;

pub use accounts::AccountsClient;
pub use audit::AuditClient;
pub use error::{ClientError, SetupError};
pub use events::{Event, Events};
pub use http::Http;

//! Where a request came from.

use std::net::IpAddr;

/// Where a request came from, as the audit trail keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The id that the request has in logs and answers.
    pub request_id: String,
}

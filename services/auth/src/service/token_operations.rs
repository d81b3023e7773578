use slipway_telemetry::{IntCounterVec, Metrics, MetricsError};

/// Counts what is done with tokens: `auth_token_operations_total`.
#[derive(Clone)]
pub(crate) struct TokenOperations(IntCounterVec);

impl TokenOperations {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let name = "auth_token_operations_total";
        let counter = metrics.counter(name, "What was done with tokens.", &["operation"])?;
        for operation in ["issued", "refreshed", "replayed", "reused", "revoked", "expired"] {
            counter.with_label_values(&[operation]).inc_by(0);
        }
        Ok(Self(counter))
    }

    /// A session began.
    pub(crate) fn issued(&self) {
        self.count("issued", 1);
    }

    /// A refresh token gave the next.
    pub(crate) fn refreshed(&self) {
        self.count("refreshed", 1);
    }

    /// A used refresh token gave its successor again, within the time for that.
    pub(crate) fn replayed(&self) {
        self.count("replayed", 1);
    }

    /// A used refresh token was taken for stolen.
    pub(crate) fn reused(&self) {
        self.count("reused", 1);
    }

    /// Sessions were ended, or users' access tokens revoked.
    pub(crate) fn revoked(&self, how_many: usize) {
        self.count("revoked", how_many);
    }

    /// A refresh token was shown whose session is over, or which is none.
    pub(crate) fn expired(&self) {
        self.count("expired", 1);
    }

    fn count(&self, operation: &str, how_many: usize) {
        self.0.with_label_values(&[operation]).inc_by(how_many.try_into().unwrap_or(u64::MAX));
    }
}

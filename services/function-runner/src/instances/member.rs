use std::sync::Arc;

use slipway_kernel::InstanceId;

use crate::domain::Version;

/// What the pools hold: an instance, or a test's stand-in.
pub(super) trait Member {
    /// The right to have it carry out one call at a time. There are as many as its version's `concurrency`.
    type Slot;
    fn id(&self) -> InstanceId;
    /// The version that it serves.
    fn version(&self) -> &Arc<Version>;
    /// Tells whether it can take another call at all.
    fn is_open(&self) -> bool;
    /// Lends a slot; `None` where all are lent.
    fn lend(&mut self) -> Option<Self::Slot>;
    fn take_back(&mut self, slot: Self::Slot);
    /// Tells whether all slots are lent.
    fn is_full(&self) -> bool;
    /// Tells whether none is.
    fn is_idle(&self) -> bool;
    /// Ends the calls that it still carries out.
    fn stop(&self);
}

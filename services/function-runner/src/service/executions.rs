use std::sync::Arc;

use slipway_kernel::{ExecutionId, FunctionId, LogLineId, Page, PageRequest, SharedClock, UserId};
use slipway_models::functions::{StatsBody, StatsPeriod};

use super::Functions;
use crate::domain::stats::Window;
use crate::domain::{Execution, ExecutionFilter, LogFilter, LogLine};
use crate::error::FunctionError;
use crate::records::{Follower, Records};

/// The runs of functions, as their owners see them.
pub(crate) struct Executions {
    functions: Arc<Functions>,
    records: Arc<Records>,
    clock: SharedClock,
}

impl Executions {
    pub(crate) fn new(functions: Arc<Functions>, records: Arc<Records>, clock: SharedClock) -> Self {
        Self { functions, records, clock }
    }

    /// Finds a run of an owner's.
    pub(crate) async fn find(&self, owner: UserId, id: ExecutionId) -> Result<Execution, FunctionError> {
        self.records.find(owner, id).await?.ok_or(FunctionError::ExecutionNotFound)
    }

    /// Lists the runs of an owner's function, newest first.
    pub(crate) async fn list(
        &self,
        owner: UserId,
        filter: ExecutionFilter,
        page: PageRequest,
    ) -> Result<Page<Execution>, FunctionError> {
        self.functions.find(owner, filter.function_id).await?;
        Ok(self.records.list(owner, filter, page).await?)
    }

    /// Sums up the runs of an owner's function over a period that ends now.
    pub(crate) async fn stats(
        &self,
        owner: UserId,
        function_id: FunctionId,
        period: StatsPeriod,
    ) -> Result<StatsBody, FunctionError> {
        self.functions.find(owner, function_id).await?;
        let window = Window::ending(period, self.clock.now());
        Ok(self.records.stats(owner, function_id, window).await?)
    }

    /// Follows what an owner's function prints.
    pub(crate) async fn follow(
        &self,
        owner: UserId,
        filter: LogFilter,
        after: Option<LogLineId>,
    ) -> Result<Follower, FunctionError> {
        let function_id = filter.function_id;
        // First: a function that is deleted from here on ends it.
        let follower = self.records.follow(owner, filter, after)?;
        self.functions.find(owner, function_id).await?;
        Ok(follower)
    }

    /// Lists what an owner's function printed, newest first.
    pub(crate) async fn lines(
        &self,
        owner: UserId,
        filter: LogFilter,
        page: PageRequest,
    ) -> Result<Page<LogLine>, FunctionError> {
        self.functions.find(owner, filter.function_id).await?;
        Ok(self.records.lines(owner, filter, page).await?)
    }
}

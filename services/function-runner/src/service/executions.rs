use std::sync::Arc;

use slipway_kernel::{ExecutionId, FunctionId, Page, PageRequest, UserId};

use super::Functions;
use crate::domain::{Execution, LogFilter, LogLine};
use crate::error::FunctionError;
use crate::records::Records;

/// The runs of functions, as their owners see them.
pub(crate) struct Executions {
    functions: Arc<Functions>,
    records: Arc<Records>,
}

impl Executions {
    pub(crate) fn new(functions: Arc<Functions>, records: Arc<Records>) -> Self {
        Self { functions, records }
    }

    /// Finds a run of an owner's.
    pub(crate) async fn find(&self, owner: UserId, id: ExecutionId) -> Result<Execution, FunctionError> {
        self.records.find(owner, id).await?.ok_or(FunctionError::ExecutionNotFound)
    }

    /// Lists the runs of an owner's function, newest first.
    pub(crate) async fn list(
        &self,
        owner: UserId,
        function_id: FunctionId,
        page: PageRequest,
    ) -> Result<Page<Execution>, FunctionError> {
        self.functions.find(owner, function_id).await?;
        Ok(self.records.list(owner, function_id, page).await?)
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

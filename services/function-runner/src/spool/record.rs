use serde::{Deserialize, Serialize};
use slipway_kernel::{ExecutionId, FunctionId, UserId};

use crate::domain::{Execution, LogLine};

/// What is recorded of a run, in the order in which it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The call came in.
    Began {
        /// The run as it was then.
        execution: Execution,
    },
    /// The run printed, and has not ended yet.
    Printed {
        /// The run.
        execution_id: ExecutionId,
        /// Its function.
        function_id: FunctionId,
        /// Whose function it is.
        owner: UserId,
        /// Lines in order.
        lines: Vec<LogLine>,
    },
    /// The run ended.
    Ended {
        /// The run in full.
        execution: Execution,
        /// The lines that were not in a record before.
        lines: Vec<LogLine>,
    },
}

impl Record {
    /// The run that the record is of.
    pub fn execution_id(&self) -> ExecutionId {
        match self {
            Self::Began { execution } | Self::Ended { execution, .. } => execution.id,
            Self::Printed { execution_id, .. } => *execution_id,
        }
    }

    /// The function that runs.
    pub fn function_id(&self) -> FunctionId {
        match self {
            Self::Began { execution } | Self::Ended { execution, .. } => execution.function_id,
            Self::Printed { function_id, .. } => *function_id,
        }
    }

    /// Whose function it is.
    pub fn owner(&self) -> UserId {
        match self {
            Self::Began { execution } | Self::Ended { execution, .. } => execution.owner,
            Self::Printed { owner, .. } => *owner,
        }
    }

    /// Gives the record's lines their final ids.
    pub fn renew_line_ids(&mut self) {
        match self {
            Self::Began { .. } => {}
            Self::Printed { lines, .. } | Self::Ended { lines, .. } => {
                lines.iter_mut().for_each(LogLine::renew_id);
            }
        }
    }

    /// The lines that the record holds.
    pub fn lines(&self) -> &[LogLine] {
        match self {
            Self::Began { .. } => &[],
            Self::Printed { lines, .. } | Self::Ended { lines, .. } => lines,
        }
    }
}

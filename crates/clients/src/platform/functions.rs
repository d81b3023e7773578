use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use slipway_kernel::{DeploymentId, ExecutionId, FunctionId, Page};
use slipway_models::functions::{
    BuildLog, DeploymentBody, ExecutionBody, FunctionBody, FunctionConfigPatch, InvokeAccepted, InvokeAnswer,
    InvokeRequest, LogLine, RollbackRequest, StatsBody, StatsPeriod,
};

use super::Client;
use crate::{ClientError, Events};

/// Above the longest time that a function may take (15 minutes), with room for its queue.
const RUN_WITHIN: Duration = Duration::from_mins(16);

/// Above the longest time that the platform lets anyone follow without asking again.
const FOLLOW_WITHIN: Duration = Duration::from_hours(2);

/// Which lines of a function's log to return.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery<'a> {
    /// Only lines of this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only lines of this run.
    pub execution_id: Option<ExecutionId>,
    /// Only lines that hold this text, with the letters a to z in either case.
    pub query: Option<&'a str>,
    /// Continues a list.
    pub cursor: Option<&'a str>,
}

impl LogQuery<'_> {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let since = self.since.map(|since| ("since", since.to_rfc3339_opts(SecondsFormat::Micros, true)));
        let execution = self.execution_id.map(|id| ("execution_id", id.to_string()));
        let query = self.query.map(|query| ("query", query.to_owned()));
        let cursor = self.cursor.map(|cursor| ("cursor", cursor.to_owned()));
        [since, execution, query, cursor].into_iter().flatten().collect()
    }
}

impl Client {
    /// Returns a page of the caller's functions.
    pub async fn functions(&self, cursor: Option<&str>) -> Result<Page<FunctionBody>, ClientError> {
        self.page("/functions", cursor).await
    }

    /// Returns the caller's function of that name, if there is one.
    pub async fn function_named(&self, name: &str) -> Result<Option<FunctionBody>, ClientError> {
        let mut cursor = None;
        loop {
            let page = self.functions(cursor.as_deref()).await?;
            if let Some(function) = page.items.into_iter().find(|function| function.name == name) {
                return Ok(Some(function));
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Returns a function.
    pub async fn function(&self, id: FunctionId) -> Result<FunctionBody, ClientError> {
        self.http.json(self.request(Method::GET, &format!("/functions/{id}"))).await
    }

    /// Changes how a function runs; what is absent stays.
    pub async fn configure(
        &self,
        id: FunctionId,
        config: &FunctionConfigPatch,
    ) -> Result<FunctionBody, ClientError> {
        self.http.json(self.request(Method::PATCH, &format!("/functions/{id}")).json(config)).await
    }

    /// Deletes a function with all of its versions, runs and logs.
    pub async fn delete_function(&self, id: FunctionId) -> Result<(), ClientError> {
        self.http.send(self.request(Method::DELETE, &format!("/functions/{id}"))).await.map(drop)
    }

    /// Returns a page of a function's versions, the newest first.
    pub async fn deployments(
        &self,
        id: FunctionId,
        cursor: Option<&str>,
    ) -> Result<Page<DeploymentBody>, ClientError> {
        self.page(&format!("/functions/{id}/deployments"), cursor).await
    }

    /// Returns one version.
    pub async fn deployment(&self, id: DeploymentId) -> Result<DeploymentBody, ClientError> {
        self.http.json(self.request(Method::GET, &format!("/deployments/{id}"))).await
    }

    /// Returns the log of a version's build.
    pub async fn build_log(&self, id: DeploymentId) -> Result<BuildLog, ClientError> {
        self.http.json(self.request(Method::GET, &format!("/deployments/{id}/logs"))).await
    }

    /// Calls a function and waits for its answer. A function that fails is a problem with the code
    /// `function_failed`, `function_timed_out` or `function_busy`.
    pub async fn invoke(&self, id: FunctionId, call: &InvokeRequest) -> Result<InvokeAnswer, ClientError> {
        let request = self.request(Method::POST, &format!("/functions/{id}/invoke")).json(call);
        self.http.json(request.timeout(RUN_WITHIN)).await
    }

    /// Has a function called without waiting for it: returns once the call is kept.
    pub async fn invoke_async(
        &self,
        id: FunctionId,
        call: &InvokeRequest,
    ) -> Result<InvokeAccepted, ClientError> {
        let path = format!("/functions/{id}/invoke?mode=async");
        self.http.json(self.request(Method::POST, &path).json(call)).await
    }

    /// Calls a run off; returns its final record.
    pub async fn cancel(&self, id: ExecutionId) -> Result<ExecutionBody, ClientError> {
        self.http.json(self.request(Method::POST, &format!("/executions/{id}/cancel"))).await
    }

    /// Has a run that nobody waited for run again with the same input.
    pub async fn replay(&self, id: ExecutionId) -> Result<InvokeAccepted, ClientError> {
        self.http.json(self.request(Method::POST, &format!("/executions/{id}/replay"))).await
    }

    /// Has an earlier version of a function answer its calls.
    pub async fn roll_back(&self, id: FunctionId, version: i32) -> Result<FunctionBody, ClientError> {
        let request = self.request(Method::POST, &format!("/functions/{id}/rollback"));
        self.http.json(request.json(&RollbackRequest { version })).await
    }

    /// Returns a page of those of a function's runs that were given up, the newest first.
    pub async fn dead_letters(
        &self,
        id: FunctionId,
        cursor: Option<&str>,
    ) -> Result<Page<ExecutionBody>, ClientError> {
        self.page(&format!("/functions/{id}/executions?dead_letter=true"), cursor).await
    }

    /// Returns a page of a function's runs, the newest first.
    pub async fn executions(
        &self,
        id: FunctionId,
        cursor: Option<&str>,
    ) -> Result<Page<ExecutionBody>, ClientError> {
        self.page(&format!("/functions/{id}/executions"), cursor).await
    }

    /// Returns the record of one run.
    pub async fn execution(&self, id: ExecutionId) -> Result<ExecutionBody, ClientError> {
        self.http.json(self.request(Method::GET, &format!("/executions/{id}"))).await
    }

    /// Returns a page of a function's log, the newest line first.
    pub async fn logs(&self, id: FunctionId, query: &LogQuery<'_>) -> Result<Page<LogLine>, ClientError> {
        let request = self.request(Method::GET, &format!("/functions/{id}/logs"));
        self.http.json(request.query(&[("limit", "100")]).query(&query.parameters())).await
    }

    /// Follows a function's log: each event's data is a [`LogLine`], oldest first, from the query's `since` or from now
    /// on. `last` is the id of the last event of an answer that broke off. An event `end` is the last.
    pub async fn follow_logs(
        &self,
        id: FunctionId,
        query: &LogQuery<'_>,
        last: Option<&str>,
    ) -> Result<Events, ClientError> {
        let mut request = self.request(Method::GET, &format!("/functions/{id}/logs"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.query(&[("follow", "true")]).query(&query.parameters());
        Ok(Events::new(self.http.send(request.timeout(FOLLOW_WITHIN)).await?))
    }

    /// Follows what a deployment's build prints, from the first line on: each event's data is a [`BuildLogLine`], that
    /// of an event `status` a [`BuildProgress`], and that of an event `end`, the last, a [`DeploymentBody`]. `last` is the
    /// id of the last event of an answer that broke off.
    ///
    /// [`BuildLogLine`]: slipway_models::functions::BuildLogLine
    /// [`BuildProgress`]: slipway_models::functions::BuildProgress
    pub async fn follow_build_log(
        &self,
        id: DeploymentId,
        last: Option<&str>,
    ) -> Result<Events, ClientError> {
        let mut request = self.request(Method::GET, &format!("/deployments/{id}/logs?follow=true"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Ok(Events::new(self.http.send(request.timeout(FOLLOW_WITHIN)).await?))
    }

    /// Sums up a function's runs over a period that ends now.
    pub async fn stats(&self, id: FunctionId, period: StatsPeriod) -> Result<StatsBody, ClientError> {
        let request = self.request(Method::GET, &format!("/functions/{id}/stats"));
        self.http.json(request.query(&[("period", period)])).await
    }
}

//! Functions, their versions, and what is recorded of their runs.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_kernel::{DeploymentId, ExecutionId, FunctionId, SigningKeyId};
use utoipa::ToSchema;

/// What runs a function's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// CPython.
    Python,
    /// Node.js.
    Node,
    /// A program that speaks the AWS Lambda Runtime API.
    Binary,
    /// Dart, compiled ahead of time.
    Dart,
}

impl Runtime {
    /// Every runtime, in the order in which they are looked for.
    pub const ALL: [Self; 4] = [Self::Python, Self::Node, Self::Binary, Self::Dart];

    /// Returns the name as it goes over the wire and into image names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Binary => "binary",
            Self::Dart => "dart",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a function runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionConfig {
    /// Memory of an instance, in MiB: 32 to 4096.
    pub memory_mb: u32,
    /// Processors of an instance: 0.1 to 4.
    pub cpu: f64,
    /// The time from the call to its end, in milliseconds: 100 to 900,000.
    pub timeout_ms: u32,
    /// The instances that are kept ready while nobody calls: 0 to 10.
    pub min_instances: u32,
    /// The most instances at a time: 1 to 100.
    pub max_instances: u32,
    /// The calls that an instance carries out at a time: 1 to 100; only of python and node more than 1.
    pub concurrency: u32,
    /// The size of the writable `/tmp`, in MiB: 1 to 1024.
    pub tmp_mb: u32,
    /// Whether it reaches the public internet; else it has no network.
    pub egress: bool,
    /// Whether anybody may call its HTTP trigger; else its owner alone.
    #[serde(default)]
    pub public: bool,
    /// Settings of the function's own.
    pub env: BTreeMap<String, String>,
}

impl Default for FunctionConfig {
    fn default() -> Self {
        Self {
            memory_mb: 128,
            cpu: 0.5,
            timeout_ms: 5_000,
            min_instances: 0,
            max_instances: 10,
            concurrency: 1,
            tmp_mb: 64,
            egress: false,
            public: false,
            env: BTreeMap::new(),
        }
    }
}

/// `PATCH /functions/{id}` and the `config` part of a deployment: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionConfigPatch {
    /// See [`FunctionConfig::memory_mb`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// See [`FunctionConfig::cpu`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// See [`FunctionConfig::timeout_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// See [`FunctionConfig::min_instances`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<u32>,
    /// See [`FunctionConfig::max_instances`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u32>,
    /// See [`FunctionConfig::concurrency`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// See [`FunctionConfig::tmp_mb`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmp_mb: Option<u32>,
    /// See [`FunctionConfig::egress`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<bool>,
    /// See [`FunctionConfig::public`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// The whole of the settings: it takes the place of what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
}

/// `PUT /functions/{id}/secrets/{key}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Value")]
pub struct SecretRequest {
    /// The secret: text of at most 32 KiB.
    pub value: String,
}

/// Without the value.
impl fmt::Debug for SecretRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretRequest").finish_non_exhaustive()
    }
}

/// Unlike a derived reading, its faults repeat nothing of what was sent: that may be the secret.
impl TryFrom<Value> for SecretRequest {
    type Error = &'static str;

    fn try_from(body: Value) -> Result<Self, &'static str> {
        let Value::Object(mut fields) = body else { return Err("must be an object with the field `value`") };
        let value = fields.remove("value");
        if !fields.is_empty() {
            return Err("must have no other field than `value`");
        }
        match value {
            Some(Value::String(value)) => Ok(Self { value }),
            Some(_) => Err("`value` must be a string"),
            None => Err("missing field `value`"),
        }
    }
}

/// A secret of a function: all but its value, which nothing shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretBody {
    /// The variable that holds it.
    #[schema(example = "STRIPE_KEY")]
    pub name: String,
    /// When it was first set.
    pub created_at: DateTime<Utc>,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
}

/// How calls are signed with a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SigningScheme {
    /// HTTP Message Signatures (RFC 9421) over method, path, query and the digest of the body.
    #[default]
    Rfc9421,
    /// `X-Api-Key`, `X-Timestamp` and `X-Signature` over time and body, as clients of `ContainerPub` sign.
    ContainerPub,
}

impl SigningScheme {
    /// Every scheme, the default first.
    pub const ALL: [Self; 2] = [Self::Rfc9421, Self::ContainerPub];

    /// Returns the name as it goes over the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc9421 => "rfc9421",
            Self::ContainerPub => "containerpub",
        }
    }
}

/// The request of `POST /functions/{id}/keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKeyRequest {
    /// What its owner calls it: at most 100 characters; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How calls are signed with it; `rfc9421` when absent.
    #[serde(default)]
    pub scheme: SigningScheme,
}

/// A key that signs calls of a function: all but its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKeyBody {
    /// The key, as signatures name it.
    #[schema(value_type = String, format = Uuid)]
    pub id: SigningKeyId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// How calls are signed with it.
    pub scheme: SigningScheme,
    /// How its secret begins.
    #[schema(example = "slf_Zm9v")]
    pub prefix: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The answer to `POST /functions/{id}/keys`: the only one that has the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewSigningKeyBody {
    /// The key.
    #[serde(flatten)]
    pub key: SigningKeyBody,
    /// What signs: the bytes of this text are the key of the HMAC.
    pub secret: String,
}

/// Without the secret.
impl fmt::Debug for NewSigningKeyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSigningKeyBody").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Where a function stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FunctionStatus {
    /// Its first version is being built.
    Building,
    /// It can be called.
    Active,
    /// No version of it was ever built.
    Failed,
}

/// A function, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionBody {
    /// The function's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: FunctionId,
    /// Its name, unique among its owner's.
    #[schema(example = "hello")]
    pub name: String,
    /// What runs it; of the active version, or of the first attempt.
    pub runtime: Runtime,
    /// Where it stands.
    pub status: FunctionStatus,
    /// The version that answers calls.
    pub active_version: Option<i32>,
    /// How it runs.
    pub config: FunctionConfig,
    /// Its HTTP trigger, from the gateway's root.
    #[schema(example = "/f/ada/hello")]
    pub url: String,
    /// When it was first deployed.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentStatus {
    /// Waits for a builder.
    Queued,
    /// Its image is being built.
    Building,
    /// Its first instance is being started, to see that it is ready.
    Checking,
    /// Answers calls.
    Active,
    /// Answered calls until a newer one took its place.
    Superseded,
    /// Could not be built, or its handler could not be loaded.
    Failed,
}

impl DeploymentStatus {
    /// Tells whether the deployment has come to its end.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Active | Self::Superseded | Self::Failed)
    }
}

/// One version of a function, or the attempt at one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentBody {
    /// The deployment's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: DeploymentId,
    /// The function that it is a version of.
    #[schema(value_type = String, format = Uuid)]
    pub function_id: FunctionId,
    /// Counts from 1 in each function.
    pub version: i32,
    /// What runs it.
    pub runtime: Runtime,
    /// Where it stands.
    pub status: DeploymentStatus,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it became active or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The answer to `POST /functions/deploy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeployAnswer {
    /// The function.
    pub function: FunctionBody,
    /// The version that is being made of it.
    pub deployment: DeploymentBody,
}

/// `POST /functions/{id}/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The version that is to answer calls.
    pub version: i32,
}

/// The answer to `GET /deployments/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildLog {
    /// The log's text, at most its last 1 MiB.
    pub log: String,
}

/// The data of an event of `GET /deployments/{id}/logs?follow=true`: a line that the build printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildLogLine {
    /// The line, without its end.
    pub text: String,
}

/// The data of an event of type `status` of the same: how far the deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildProgress {
    /// Where it stands now.
    pub status: DeploymentStatus,
}

/// `POST /functions/{id}/invoke`: the request that the handler is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvokeRequest {
    /// The method; `POST` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path; `/` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The headers. `authorization`, `cookie` and the platform's own never reach the handler.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The query's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Any JSON value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// The answer of a call that succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InvokeAnswer {
    /// Always true: a failure is a problem answer.
    pub success: bool,
    /// The run, for its logs and record.
    #[schema(value_type = String, format = Uuid)]
    pub execution_id: ExecutionId,
    /// The handler's body: JSON where it is JSON, else text, else base64 of its bytes.
    pub result: Value,
    /// The handler's status.
    pub status_code: u16,
    /// The handler's headers.
    pub headers: BTreeMap<String, String>,
    /// The time in the handler, in milliseconds.
    pub duration_ms: f64,
    /// The time before an instance took the call, in milliseconds.
    pub queue_ms: f64,
    /// True when an instance was started for this call.
    pub cold_start: bool,
}

/// The answer to `POST /functions/{id}/invoke?mode=async` and to `POST /executions/{id}/replay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvokeAccepted {
    /// The run, which is on record and will be carried out.
    #[schema(value_type = String, format = Uuid)]
    pub execution_id: ExecutionId,
}

/// How a run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// Waits for an instance.
    Queued,
    /// Has begun.
    Running,
    /// The handler answered.
    Succeeded,
    /// The handler failed, or the platform lost it.
    Failed,
    /// The deadline came first.
    TimedOut,
    /// The caller called it off.
    Cancelled,
}

/// The record of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionBody {
    /// The run's id.
    #[schema(value_type = String, format = Uuid)]
    pub id: ExecutionId,
    /// The function that ran.
    #[schema(value_type = String, format = Uuid)]
    pub function_id: FunctionId,
    /// The version that ran.
    pub version: i32,
    /// What set it off: `invoke`, `async`, `replay` or `http`.
    pub trigger: String,
    /// How it stands or ended.
    pub status: ExecutionStatus,
    /// When the call came in.
    pub queued_at: DateTime<Utc>,
    /// When an instance took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The time before an instance took it, in milliseconds.
    pub queue_ms: Option<f64>,
    /// The time that starting an instance took, in milliseconds; absent when one was warm.
    pub cold_start_ms: Option<f64>,
    /// The time in the handler, in milliseconds.
    pub duration_ms: Option<f64>,
    /// The instance's peak memory so far, in bytes.
    pub peak_memory_bytes: Option<i64>,
    /// The CPU time, user and system, that the instance used for the run, in milliseconds; absent where the run was
    /// killed.
    pub cpu_ms: Option<f64>,
    /// The handler's status.
    pub status_code: Option<u16>,
    /// The handler's body, at most 1 MiB of it.
    pub result: Option<Value>,
    /// True when the body was larger than what is kept.
    pub result_truncated: bool,
    /// Why it failed; of a run that waits for its next attempt, why the last one did.
    pub error: Option<ExecutionError>,
    /// How often it has begun: more than once only where nobody waited for it and it failed.
    pub attempt: i32,
    /// True where nobody waited for it and its last attempt failed too.
    pub dead_letter: bool,
    /// The run whose input it was given, where it is a replay.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub replayed_from: Option<ExecutionId>,
    /// The key that the call was signed with, where it was let in for its signature.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub signing_key_id: Option<SigningKeyId>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionError {
    /// The kind: the exception's type, or one of the platform's codes such as `timed_out` and `runner_restarted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The handler's own message.
    pub message: String,
    /// Where it happened, in the handler's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// How far back statistics go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum StatsPeriod {
    /// An hour, by the minute.
    #[serde(rename = "1h")]
    Hour,
    /// A day, by 15 minutes.
    #[serde(rename = "24h")]
    Day,
    /// A week, by two hours.
    #[serde(rename = "7d")]
    Week,
    /// 30 days, by six hours.
    #[serde(rename = "30d")]
    Month,
}

impl StatsPeriod {
    /// Every period, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Returns the name as it goes over the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }
}

/// The answer to `GET /functions/{id}/stats`: a function's runs that ended within a period, summed up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsBody {
    /// The period.
    pub period: StatsPeriod,
    /// How long each bucket is, in milliseconds.
    pub bucket_ms: i64,
    /// The whole period.
    pub totals: StatsFigures,
    /// All of its parts, oldest first, those without a run too. The last one is not over yet.
    pub buckets: Vec<StatsBucket>,
}

/// A part of the period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsBucket {
    /// When it begins: a whole multiple of its length since 1970.
    pub start: DateTime<Utc>,
    /// Its runs.
    #[serde(flatten)]
    pub figures: StatsFigures,
}

/// What some runs come to. Percentiles are by nearest rank, within 2 %; absent where there was no run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsFigures {
    /// How many runs ended, however they did.
    pub calls: u64,
    /// How many of them did not succeed.
    pub errors: u64,
    /// These by kind, as in `ExecutionError::type`. Some 16 kinds are told apart; the rest is `other`.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// The median time in the handler, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Its 95th percentile.
    pub p95_ms: Option<f64>,
    /// Its 99th percentile.
    pub p99_ms: Option<f64>,
    /// The 95th percentile of the time before an instance took the call, in milliseconds.
    pub queue_p95_ms: Option<f64>,
    /// How many runs had an instance started for them.
    pub cold_starts: u64,
    /// The highest peak of an instance's memory, in bytes.
    pub peak_memory_bytes: Option<i64>,
    /// The most CPU time that one run took, in milliseconds.
    pub peak_cpu_ms: Option<f64>,
}

/// Where a line of the log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The context's logger.
    Log,
    /// The platform itself, such as a note of what was cut.
    System,
}

impl LogStream {
    /// Returns the name as it goes over the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Log => "log",
            Self::System => "system",
        }
    }
}

/// One line of a function's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was read.
    pub time: DateTime<Utc>,
    /// The run that printed it.
    #[schema(value_type = String, format = Uuid)]
    pub execution_id: ExecutionId,
    /// Where it came from.
    pub stream: LogStream,
    /// The line, without its end.
    pub text: String,
}

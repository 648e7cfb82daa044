//! `openhuman.skills_egress`: what skills sent over the network, and with which secret.

use openhuman_skills::{EgressCause, EgressOutcome, EgressRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RpcError;
use crate::Core;

/// Records that are shown when nobody says how many.
const USUAL: usize = 100;

/// The most records of one answer.
const MOST: usize = 1000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EgressParams {
    /// Only this skill's.
    skill_id: Option<String>,
    /// Only what was refused.
    #[serde(default)]
    refused: bool,
    /// How many, at most 1000; 100 without it.
    limit: Option<usize>,
}

/// What left, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EgressView {
    /// The records.
    pub records: Vec<EgressEntry>,
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EgressResult {
    /// The host answered.
    Answered,
    /// It was not allowed to leave.
    Refused,
    /// It left, or tried to, and failed.
    Failed,
    /// It was given up, or nothing else is known.
    Aborted,
    /// A WebSocket that is still open.
    Open,
    /// A WebSocket that ended.
    Closed,
}

/// One attempt to reach a host. It holds no secret, no body and no query.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EgressEntry {
    /// When it began, in milliseconds since 1970.
    pub time_ms: i64,
    /// How long it took.
    pub duration_ms: u64,
    /// The skill.
    pub skill_id: String,
    /// What it was for: `tool get_price`, `hook onCronTrigger`, `timer` or `background`.
    pub cause: String,
    /// The method.
    pub method: String,
    /// `http`, `https`, `ws` or `wss`.
    pub scheme: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, without the query.
    pub path: String,
    /// How it went.
    pub result: EgressResult,
    /// The status, the reason or the code.
    pub detail: String,
    /// Bytes that left.
    pub bytes_out: u64,
    /// Bytes that came.
    pub bytes_in: u64,
    /// The names of the secrets that were inside.
    pub secrets: Vec<String>,
}

pub(super) async fn egress(core: &Core, params: EgressParams) -> Result<EgressView, RpcError> {
    let skill = params.skill_id.map(|skill| core.skill(&skill)).transpose()?;
    let limit = params.limit.unwrap_or(USUAL).clamp(1, MOST);
    let records = core.egress(skill.as_ref(), params.refused, limit).await?;
    Ok(EgressView {
        records: records.into_iter().map(EgressEntry::from).collect(),
    })
}

impl From<EgressRecord> for EgressEntry {
    fn from(record: EgressRecord) -> Self {
        let cause = match record.cause {
            EgressCause::Tool { name, .. } => format!("tool {name}"),
            EgressCause::Hook { name } => format!("hook {name}"),
            EgressCause::Timer => "timer".to_owned(),
            _ => "background".to_owned(),
        };
        let (result, detail) = match record.outcome {
            EgressOutcome::Answered { status } => (EgressResult::Answered, status.to_string()),
            EgressOutcome::Refused { reason } => (EgressResult::Refused, reason),
            EgressOutcome::Failed { reason } => (EgressResult::Failed, reason),
            EgressOutcome::Open => (EgressResult::Open, String::new()),
            EgressOutcome::Closed { code } => (EgressResult::Closed, code.to_string()),
            _ => (EgressResult::Aborted, String::new()),
        };
        Self {
            time_ms: record.time_ms,
            duration_ms: record.duration_ms,
            skill_id: record.skill_id.to_string(),
            cause,
            method: record.method,
            scheme: record.scheme,
            host: record.host,
            port: record.port,
            path: record.path,
            result,
            detail,
            bytes_out: record.bytes_out,
            bytes_in: record.bytes_in,
            secrets: record.secrets,
        }
    }
}

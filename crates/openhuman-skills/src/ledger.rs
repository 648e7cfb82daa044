//! What left, for whom and why: a record of every request and connection, kept in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::SkillId;

/// Records kept for one engine of what left or tried to; the oldest are forgotten first.
const MOST: usize = 10_000;
/// Records kept of what was refused. They are counted apart: whoever is refused a thousand times a second must not
/// push out what left.
const MOST_REFUSED: usize = 2_000;

/// One attempt of a skill to reach a host: sent, refused or failed. Each redirect is an attempt of its own.
///
/// It holds no secret, no body and no query: the path shows placeholders, and values a skill put there itself are
/// replaced by theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EgressRecord {
    /// When it began, in milliseconds since 1970, by the engine's clock.
    pub time_ms: i64,
    /// How long it took, the body included, in milliseconds.
    pub duration_ms: u64,
    /// The skill.
    pub skill_id: SkillId,
    /// What made it happen.
    pub cause: EgressCause,
    /// `http`, `https`, `ws` or `wss`.
    pub scheme: String,
    /// The method; `GET` for a WebSocket.
    pub method: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, without the query, at most 256 characters.
    pub path: String,
    /// How it went.
    pub outcome: EgressOutcome,
    /// Bytes of the bodies or messages that left.
    pub bytes_out: u64,
    /// Bytes of the bodies or messages that came, as they were sent (before they were decoded).
    pub bytes_in: u64,
    /// The handles of the secrets whose values were inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// What a skill was doing when it reached out. Work behind a promise counts for what started it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EgressCause {
    /// A tool call.
    Tool {
        /// The number of the call, unique within the engine.
        call: u64,
        /// The tool.
        name: String,
    },
    /// A hook, such as `init` or `onCronTrigger`.
    Hook {
        /// The hook.
        name: String,
    },
    /// A timer.
    Timer,
    /// The script while it was loaded, or promise jobs nobody can be named for.
    #[default]
    Background,
}

/// How an attempt to reach a host went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EgressOutcome {
    /// The host answered; 101 for a WebSocket, which now is open. A WebSocket has at least one more record, at its end.
    Answered {
        /// The status.
        status: u16,
    },
    /// It was not allowed to leave.
    Refused {
        /// Why.
        reason: String,
    },
    /// It left, or tried to, and failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// It was given up before an answer came.
    Aborted,
    /// A WebSocket that is still open, with what went over it until now: written before a secret leaves over it for
    /// the first time.
    Open,
    /// A WebSocket that ended, with everything that went over it.
    Closed {
        /// The code of its end; 1006 when it broke or was cut off.
        code: u16,
    },
}

/// Which records [`Engine::ledger`](crate::Engine::ledger) gives. The default is all.
#[derive(Clone, Debug, Default)]
pub struct LedgerQuery {
    skill: Option<SkillId>,
    host: Option<String>,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    call: Option<u64>,
    tool: Option<String>,
    refused: bool,
    limit: Option<usize>,
}

impl LedgerQuery {
    /// All records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only of this skill.
    #[must_use]
    pub fn skill(mut self, skill: &SkillId) -> Self {
        self.skill = Some(skill.clone());
        self
    }

    /// Only to this host, exactly as the records write it.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_ascii_lowercase());
        self
    }

    /// Only begun at this time or later, in milliseconds since 1970.
    #[must_use]
    pub fn since_ms(mut self, time: i64) -> Self {
        self.since_ms = Some(time);
        self
    }

    /// Only begun before this time, in milliseconds since 1970.
    #[must_use]
    pub fn until_ms(mut self, time: i64) -> Self {
        self.until_ms = Some(time);
        self
    }

    /// Only caused by this tool call.
    #[must_use]
    pub fn call(mut self, call: u64) -> Self {
        self.call = Some(call);
        self
    }

    /// Only caused by this tool.
    #[must_use]
    pub fn tool(mut self, name: &str) -> Self {
        self.tool = Some(name.to_owned());
        self
    }

    /// Only refused ones.
    #[must_use]
    pub fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// Only the newest.
    #[must_use]
    pub fn limit(mut self, most: usize) -> Self {
        self.limit = Some(most);
        self
    }

    fn fits(&self, record: &EgressRecord) -> bool {
        let call = match &record.cause {
            EgressCause::Tool { call, name } => Some((*call, name)),
            _ => None,
        };
        self.skill.as_ref().is_none_or(|skill| *skill == record.skill_id)
            && self.host.as_ref().is_none_or(|host| *host == record.host)
            && self.since_ms.is_none_or(|time| record.time_ms >= time)
            && self.until_ms.is_none_or(|time| record.time_ms < time)
            && self
                .call
                .is_none_or(|wanted| call.is_some_and(|(call, _)| call == wanted))
            && self
                .tool
                .as_ref()
                .is_none_or(|wanted| call.is_some_and(|(_, tool)| tool == wanted))
            && (!self.refused || matches!(record.outcome, EgressOutcome::Refused { .. }))
    }
}

/// The records of one engine.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Records>);

#[derive(Default)]
struct Records {
    /// Records that were ever added: their order over both lists.
    added: u64,
    sent: VecDeque<(u64, Arc<EgressRecord>)>,
    refused: VecDeque<(u64, Arc<EgressRecord>)>,
}

impl Ledger {
    pub(crate) fn add(&self, record: Arc<EgressRecord>) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.added += 1;
        let number = records.added;
        let (list, most) = match record.outcome {
            EgressOutcome::Refused { .. } => (&mut records.refused, MOST_REFUSED),
            _ => (&mut records.sent, MOST),
        };
        if list.len() >= most {
            list.pop_front();
        }
        list.push_back((number, record));
    }

    /// The records that fit, oldest first.
    pub(crate) fn query(&self, query: &LedgerQuery) -> Vec<Arc<EgressRecord>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = records.sent.iter().chain(&records.refused);
        let mut found: Vec<_> = all.filter(|(_, record)| query.fits(record)).cloned().collect();
        drop(records);
        found.sort_unstable_by_key(|(number, _)| *number);
        let surplus = found.len().saturating_sub(query.limit.unwrap_or(usize::MAX));
        found.drain(..surplus);
        found.into_iter().map(|(_, record)| record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(skill: &str, host: &str, time_ms: i64, call: u64) -> Arc<EgressRecord> {
        Arc::new(EgressRecord {
            time_ms,
            duration_ms: 1,
            skill_id: SkillId::new(skill).unwrap(),
            cause: EgressCause::Tool {
                call,
                name: format!("tool-{call}"),
            },
            scheme: "https".to_owned(),
            method: "GET".to_owned(),
            host: host.to_owned(),
            port: 443,
            path: "/".to_owned(),
            outcome: if call == 2 {
                EgressOutcome::Refused {
                    reason: "no".to_owned(),
                }
            } else {
                EgressOutcome::Answered { status: 200 }
            },
            bytes_out: 0,
            bytes_in: 0,
            secrets: Vec::new(),
        })
    }

    #[test]
    fn records_are_found_by_what_is_asked() {
        let ledger = Ledger::default();
        for (index, (skill, host)) in [("a", "x.org"), ("a", "y.org"), ("b", "x.org"), ("b", "y.org")]
            .iter()
            .enumerate()
        {
            ledger.add(record(skill, host, index as i64 * 10, index as u64));
        }
        let calls = |query: LedgerQuery| {
            let found = ledger.query(&query);
            found
                .iter()
                .map(|record| match record.cause {
                    EgressCause::Tool { call, .. } => call,
                    _ => u64::MAX,
                })
                .collect::<Vec<_>>()
        };
        let skill = SkillId::new("a").unwrap();
        assert_eq!(calls(LedgerQuery::new()), [0, 1, 2, 3]);
        assert_eq!(calls(LedgerQuery::new().skill(&skill)), [0, 1]);
        assert_eq!(calls(LedgerQuery::new().host("Y.org")), [1, 3]);
        assert_eq!(calls(LedgerQuery::new().since_ms(10).until_ms(30)), [1, 2]);
        assert_eq!(calls(LedgerQuery::new().refused()), [2]);
        assert_eq!(calls(LedgerQuery::new().limit(1)), [3]);
        assert_eq!(calls(LedgerQuery::new().call(1)), [1]);
        assert_eq!(
            calls(LedgerQuery::new().tool("tool-3").skill(&skill)),
            Vec::<u64>::new()
        );
    }

    #[test]
    fn only_the_newest_are_kept_and_refusals_push_out_nothing_that_left() {
        let ledger = Ledger::default();
        for index in 0..MOST as u64 + 5 {
            ledger.add(record("a", "x.org", 0, index + 10));
        }
        for _ in 0..MOST + 5 {
            ledger.add(record("b", "x.org", 0, 2));
        }
        let all = ledger.query(&LedgerQuery::new());
        assert_eq!(all.len(), MOST + MOST_REFUSED);
        assert!(matches!(all[0].cause, EgressCause::Tool { call: 15, .. }));
        assert_eq!(ledger.query(&LedgerQuery::new().refused()).len(), MOST_REFUSED);
        assert_eq!(ledger.query(&LedgerQuery::new().limit(3)).len(), 3);
    }
}

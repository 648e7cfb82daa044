//! What travels with a call: who asked, how it is stopped, how it tells of progress, who can approve it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::error::CallError;
use crate::tool::Annotations;

/// Who asked, and how to tell the tool to stop.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Where the call came from.
    pub origin: Origin,
    /// Cancelled when the answer is no longer wanted: deadline, disconnect, cancellation by the caller.
    pub cancel: CancellationToken,
    /// Where the tool reports how far it is. Reports also keep the deadline away.
    pub progress: Progress,
    /// Who decides when the policy wants a person to. Without one such a call is refused.
    pub approver: Option<Arc<dyn Approver>>,
}

impl CallContext {
    /// A context with a token of its own, whose progress nobody follows and that nobody can approve.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            cancel: CancellationToken::new(),
            progress: Progress::default(),
            approver: None,
        }
    }

    /// Asks the person who is at the other end; see [`Approver::ask`].
    ///
    /// # Errors
    /// When nobody can be asked, or is asked between this call and the next.
    pub async fn ask(&self, question: Question<'_>) -> Result<Answer, CallError> {
        match &self.approver {
            Some(approver) => approver.ask(question).await,
            None => Err(nobody()),
        }
    }
}

/// Where a call came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The backend, over Socket.IO events.
    SocketIo,
    /// An MCP client on standard input and output.
    Stdio,
    /// An MCP client over HTTP.
    Http,
    /// An MCP client on a unix socket.
    Unix,
    /// The local agent.
    Agent,
    /// A command line.
    Cli,
    /// The local user interface.
    Ui,
}

/// How far a call is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProgressReport {
    /// What is done, in a unit of the tool's choice. It should grow with each report.
    pub progress: f64,
    /// What there is to do, in the same unit, where that is known.
    pub total: Option<f64>,
    /// One sentence for a person.
    pub message: Option<String>,
}

/// Receives the reports of one call, in order. It must not block.
pub trait ProgressSink: Send + Sync {
    /// One report.
    fn report(&self, report: ProgressReport);
}

/// A tool's way to say how far it is. Clones report to the same place.
#[derive(Clone, Default)]
pub struct Progress {
    sink: Option<Arc<dyn ProgressSink>>,
    pulse: Option<Arc<Pulse>>,
}

impl Progress {
    /// Reports go to `sink`.
    pub fn new(sink: Arc<dyn ProgressSink>) -> Self {
        Self {
            sink: Some(sink),
            pulse: None,
        }
    }

    /// Tells the caller, if it listens, and moves the deadline: the tool is alive. The hub's cap stays.
    pub fn report(&self, report: ProgressReport) {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
        if let Some(sink) = &self.sink {
            sink.report(report);
        }
    }

    pub(crate) fn beating(&self, pulse: Arc<Pulse>) -> Self {
        Self {
            sink: self.sink.clone(),
            pulse: Some(pulse),
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("followed", &self.sink.is_some())
            .finish_non_exhaustive()
    }
}

/// When a call last showed that it is alive.
#[derive(Debug)]
pub(crate) struct Pulse {
    started: Instant,
    /// Milliseconds after the start.
    last: std::sync::atomic::AtomicU64,
}

impl Pulse {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            last: std::sync::atomic::AtomicU64::new(0),
        }
    }

    fn beat(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(millis, std::sync::atomic::Ordering::Relaxed);
    }

    /// When the call has to have answered: `quiet` after the last sign of life, `longest` after the start at most.
    pub(crate) fn deadline(&self, quiet: Duration, longest: Duration) -> Instant {
        let last = Duration::from_millis(self.last.load(std::sync::atomic::Ordering::Relaxed));
        self.started + (last + quiet).min(longest.max(quiet))
    }
}

/// Asks a person whether a call may happen.
pub trait Approver: Send + Sync {
    /// Answers with the decision. The future is dropped when the call is cancelled; an approver that cannot ask
    /// answers [`Approval::Refused`].
    fn approve<'a>(&'a self, call: ApprovalRequest<'a>) -> BoxFuture<'a, Approval>;

    /// Asks a question of the tool's own. By default nobody can be asked.
    ///
    /// Clients of MCP 2026-07-28 are asked between two calls: the first one ends with an error here, which the tool has
    /// to pass on, and the tool is called again with the answer. So ask before anything has an effect, and ask the same
    /// questions each time.
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Answer, CallError>> {
        let _ = question;
        Box::pin(std::future::ready(Err(nobody())))
    }
}

fn nobody() -> CallError {
    CallError::Failed("the tool has a question, and nobody can be asked here".into())
}

/// A question of a tool.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// A name for it that no other question of the call has.
    pub key: &'a str,
    /// What the person reads.
    pub message: &'a str,
    /// The form to fill in: an object schema whose properties are texts, numbers, booleans and choices.
    pub schema: &'a Value,
}

/// What a person answered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The filled-in form. Whether it fits the schema is up to whoever asked.
    Given(Value),
    /// The person said no.
    Declined,
    /// The person did not answer.
    Dismissed,
}

impl std::fmt::Debug for dyn Approver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Approver(..)")
    }
}

/// What a person is asked about.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalRequest<'a> {
    /// `skillId__toolName`
    pub name: &'a str,
    /// What the tool may do.
    pub annotations: Annotations,
    /// The arguments, which may be private.
    pub arguments: &'a Value,
    /// Why a person is asked.
    pub reason: &'a str,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Approval {
    /// The call may happen, this once.
    Granted,
    /// It may not; why, in words for the caller.
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_life_moves_the_deadline_up_to_the_cap() {
        let (quiet, longest) = (Duration::from_secs(30), Duration::from_secs(100));
        let started = Instant::now();
        let pulse = Pulse::new(started);
        assert_eq!(pulse.deadline(quiet, longest), started + quiet);
        tokio::time::advance(Duration::from_secs(20)).await;
        pulse.beat();
        assert_eq!(pulse.deadline(quiet, longest), started + Duration::from_secs(50));
        tokio::time::advance(Duration::from_secs(70)).await;
        pulse.beat();
        assert_eq!(pulse.deadline(quiet, longest), started + longest);
        assert_eq!(
            pulse.deadline(quiet, Duration::ZERO),
            started + quiet,
            "a cap below the deadline takes nothing away"
        );
    }
}

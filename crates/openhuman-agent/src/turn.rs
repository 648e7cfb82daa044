//! The turn as a pure state machine: inputs in, actions out, every state serialisable.
//!
//! Nothing here waits, reads a clock or draws a random number, so a turn can be tested in microseconds, kept in a
//! journal after each step, and taken up again by another process.

mod asking;
mod calls;
mod recalled;
mod trust;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Spent};
use crate::event::FailureKind;
use crate::message::{Message, Recalled, ToolCall, ToolSpec, repair};
use crate::model::{ModelRequest, ToolChoice, Usage};
use crate::outlet::Held;
use crate::policy::{Policy, Risk};
use calls::{Call, CallState, next_call};
use recalled::fit_context;

pub use types::{Action, ApprovalRequest, End, FinishedCall, Input, Origin, Provenance, Transition};

/// The version of the serialised form.
const FORMAT: u8 = 2;
/// One reply may not be longer than this, in bytes.
const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;
/// One reply may not ask for more calls than this.
const MAX_CALLS_PER_REPLY: usize = 128;

/// What a turn starts from.
#[derive(Clone, Debug, Default)]
pub struct TurnSetup {
    /// The standing instructions; empty for none.
    pub system: String,
    /// The conversation so far; repaired when it was cut.
    pub history: Vec<Message>,
    /// What the person says.
    pub prompt: String,
    /// What was recalled for it, best first; capped at 64 snippets and 32 KiB.
    pub context: Vec<Recalled>,
    /// The tools on offer; of several with one name the first counts.
    pub tools: Vec<ToolSpec>,
    /// The limits.
    pub budget: Budget,
    /// What runs, what is asked about, what is refused.
    pub policy: Policy,
    /// Where the turn comes from, for the rules of the policy; may be empty.
    pub origin: String,
    /// What the tools can do; of those that are missing here the worst is assumed.
    pub risks: BTreeMap<String, Risk>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Phase {
    /// The model is to be asked.
    Ready,
    /// The model is answering.
    Asking {
        /// What has been shown.
        text: String,
        /// What has not been shown yet.
        #[serde(default)]
        held: Held,
        /// Bytes the model has sent.
        #[serde(default)]
        sent: usize,
        calls: Vec<ToolCall>,
        usage: Option<Usage>,
    },
    /// Calls are being worked off.
    Acting { text: String, calls: Vec<Call> },
    /// Over.
    Finished { end: End },
}

/// One turn of a conversation: from a prompt to an answer, through any number of tool calls.
///
/// Drive it by calling [`poll`](Turn::poll) until it returns `None`, doing what it says, and feeding what happens
/// into [`apply`](Turn::apply). Time is an argument: milliseconds of any clock that does not go back.
/// [`Agent`](crate::Agent) is such a driver.
///
/// ```
/// use openhuman_agent::turn::{Action, End, Input, Turn, TurnSetup};
/// use openhuman_agent::{ModelEvent, StopReason};
///
/// let mut turn = Turn::new(TurnSetup { prompt: "Hello".to_owned(), ..TurnSetup::default() }, 0);
/// assert!(matches!(turn.poll(0), Some(Action::RequestModel(_))));
/// turn.apply(Input::Model(ModelEvent::TextDelta { text: "Hi.".to_owned() }), 5);
/// turn.apply(Input::Model(ModelEvent::Done { reason: StopReason::Stop }), 6);
/// assert_eq!(turn.poll(6), Some(Action::Finish(End::Answered { answer: "Hi.".to_owned() })));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    format: u8,
    system: String,
    history: Vec<Message>,
    prompt: String,
    context: Vec<Recalled>,
    tools: Vec<ToolSpec>,
    budget: Budget,
    spent: Spent,
    started_ms: i64,
    /// The messages after the prompt.
    steps: Vec<Message>,
    phase: Phase,
    /// How often each call was asked for.
    repeats: BTreeMap<String, u32>,
    provenance: Vec<Provenance>,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    risks: BTreeMap<String, Risk>,
    /// Text the driver has not fetched yet.
    #[serde(default)]
    shown: String,
    /// Results the driver has not fetched yet.
    results: VecDeque<(String, String, String, bool, u64)>,
}

/// A journal entry cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The text is not a serialised turn.
    #[error("the journal entry is not a turn: {0}. Start the turn again from its prompt.")]
    Malformed(#[from] serde_json::Error),
    /// The entry was written by another version.
    #[error(
        "the journal entry has format {found}, this version reads format {FORMAT}. Start the turn again."
    )]
    Format {
        /// The format found.
        found: u8,
    },
}

impl Turn {
    /// A turn that starts now.
    pub fn new(setup: TurnSetup, now_ms: i64) -> Turn {
        let mut names = BTreeSet::new();
        let mut tools = setup.tools;
        tools.retain(|tool| names.insert(tool.name.clone()));
        let (context, provenance) = fit_context(setup.context, setup.policy.trusts_memory);
        Turn {
            format: FORMAT,
            system: setup.system,
            history: repair(setup.history),
            prompt: setup.prompt,
            context,
            tools,
            budget: setup.budget,
            spent: Spent::default(),
            started_ms: now_ms,
            steps: Vec::new(),
            phase: Phase::Ready,
            repeats: BTreeMap::new(),
            provenance,
            policy: setup.policy,
            origin: setup.origin,
            risks: setup.risks,
            shown: String::new(),
            results: VecDeque::new(),
        }
    }

    /// The next thing to do; `None` when the turn waits for an input. Call it again until it returns `None`. After
    /// the end it returns [`Action::Finish`] every time.
    pub fn poll(&mut self, now_ms: i64) -> Option<Action> {
        self.tick(now_ms);
        loop {
            match &mut self.phase {
                Phase::Finished { end } => return Some(Action::Finish(end.clone())),
                Phase::Asking { .. } => return None,
                Phase::Ready => {
                    if let Some(request) = self.ask_model() {
                        return Some(Action::RequestModel(request));
                    }
                }
                Phase::Acting { text, calls } => {
                    if calls.iter().all(|call| call.state == CallState::Done) {
                        let (text, calls) = (std::mem::take(text), std::mem::take(calls));
                        self.record_calls(text, calls);
                        self.phase = Phase::Ready;
                        continue;
                    }
                    return next_call(calls, &self.tools, self.budget.parallel.max(1));
                }
            }
        }
    }

    /// Takes in what happened. An input that does not fit the state is ignored, never an error: results of cancelled
    /// work may come late.
    pub fn apply(&mut self, input: Input, now_ms: i64) -> Transition {
        if matches!(self.phase, Phase::Finished { .. }) {
            return Transition::Ignored;
        }
        self.tick(now_ms);
        match input {
            Input::Cancel => self.fail(FailureKind::Cancelled, "The turn was cancelled."),
            Input::Abort { kind, message } => self.fail(kind, message),
            Input::ModelFailed { message } if matches!(self.phase, Phase::Asking { .. }) => {
                self.fail(FailureKind::Model, message)
            }
            Input::Model(event) => self.on_model(event),
            Input::Tool { id, outcome, millis } => self.on_result(&id, outcome, millis),
            Input::Approval { id, approval } => self.on_approval(&id, approval),
            Input::Offer { tools } => self.on_offer(tools),
            Input::ModelFailed { .. } => Transition::Ignored,
        }
    }

    /// Prepares a turn read from a journal: what was under way is planned again. A model request is repeated;
    /// read-only calls are repeated; other calls that had been started go through
    /// [`Approver::approve_repeat`](crate::Approver::approve_repeat). The time in between does not count.
    pub fn resume(&mut self, now_ms: i64) {
        let elapsed = i64::try_from(self.spent.elapsed_ms).unwrap_or(i64::MAX);
        self.started_ms = now_ms.saturating_sub(elapsed);
        match &mut self.phase {
            Phase::Asking { .. } => {
                self.spent.model_calls = self.spent.model_calls.saturating_sub(1);
                self.phase = Phase::Ready;
            }
            Phase::Acting { calls, .. } => {
                for call in calls {
                    if matches!(
                        call.state,
                        CallState::Running | CallState::Asking | CallState::Deferred
                    ) {
                        call.state = CallState::Waiting;
                    }
                }
            }
            Phase::Ready | Phase::Finished { .. } => {}
        }
    }

    /// The serialised form for a journal: JSON with a format number.
    ///
    /// # Errors
    /// Never for a turn made by this module; the error type is that of the serialiser.
    pub fn to_json(&self) -> Result<String, TurnError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads a journal entry. Follow it with [`resume`](Turn::resume).
    ///
    /// # Errors
    /// When the text is not a turn of this format.
    pub fn from_json(entry: &str) -> Result<Turn, TurnError> {
        let turn: Turn = serde_json::from_str(entry)?;
        if turn.format == FORMAT {
            Ok(turn)
        } else {
            Err(TurnError::Format { found: turn.format })
        }
    }

    /// When the wall-clock budget runs out, on the clock the turn was started or resumed with.
    pub fn deadline_ms(&self) -> i64 {
        self.started_ms
            .saturating_add(i64::try_from(self.budget.wall.as_millis()).unwrap_or(i64::MAX))
    }

    /// How the turn ended, once it has.
    pub fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Finished { end } => Some(end),
            _ => None,
        }
    }

    /// The new messages of this turn: the prompt and every completed step. The pairing of calls and results always
    /// holds, also after a failure.
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = vec![Message::user(self.prompt.clone())];
        messages.extend(self.steps.iter().cloned());
        messages
    }

    /// What was recalled for this turn.
    pub fn context(&self) -> &[Recalled] {
        &self.context
    }

    /// What the turn has spent.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Where everything came from that neither the person nor the model wrote, in the order it entered.
    pub fn provenance(&self) -> &[Provenance] {
        &self.provenance
    }

    /// True once text from outside (memory or tools) is in the conversation.
    pub fn has_outside_text(&self) -> bool {
        !self.provenance.is_empty()
    }

    /// Text since the last call, for display: filtered and in whole words once untrusted text is in the conversation.
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.shown)
    }

    /// Results since the last call, for display: each finished or refused call once.
    pub fn take_results(&mut self) -> Vec<FinishedCall> {
        let finished = |(id, name, text, is_error, millis)| FinishedCall {
            id,
            name,
            text,
            is_error,
            millis,
        };
        self.results.drain(..).map(finished).collect()
    }

    fn tick(&mut self, now_ms: i64) {
        let elapsed = u64::try_from(now_ms.saturating_sub(self.started_ms)).unwrap_or(0);
        self.spent.elapsed_ms = self.spent.elapsed_ms.max(elapsed);
        if !matches!(self.phase, Phase::Finished { .. }) && now_ms >= self.deadline_ms() {
            let limit = self.budget.wall.as_secs_f32();
            self.fail(
                FailureKind::Budget,
                format!("The turn took longer than its budget of {limit} s. Ask for less, or raise the time budget."),
            );
        }
    }

    fn fail(&mut self, kind: FailureKind, message: impl Into<String>) -> Transition {
        self.phase = Phase::Finished {
            end: End::Failed {
                kind,
                message: message.into(),
            },
        };
        Transition::Milestone
    }

    fn request(&self) -> ModelRequest {
        let mut messages = Vec::with_capacity(self.history.len() + self.steps.len() + 2);
        if !self.system.is_empty() {
            messages.push(Message::system(self.system.clone()));
        }
        messages.extend(self.history.iter().cloned());
        messages.extend(self.messages());
        ModelRequest {
            messages,
            tools: self.tools.clone(),
            tool_choice: if self.must_answer() {
                ToolChoice::None
            } else {
                ToolChoice::Auto
            },
            context: self.context.clone(),
            labels: self.labels(),
        }
    }

    /// True when the request under way (or the next one) is the last, or no tool call is left.
    fn must_answer(&self) -> bool {
        self.spent.model_calls >= self.budget.model_calls || self.spent.tool_calls >= self.budget.tool_calls
    }
}

#[cfg(test)]
mod tests;
